"""The exam of a classifier: which class is it? Answers are probabilities, (N, classes)."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from training.judge import classification, learned
from training.judge.classification import Confused, Mistake
from training.judge.exam import Exam, Findings
from training.judge.records import ACCURACY, BALANCED, Score
from training.runs import checkpoint
from training.runs.records import JsonValue
from training.runs.run import Run
from training.wording import fold

EXAMPLES = 6  # test examples that are written beside the report

# Writes an example of a report into a folder under this stem; returns the file's name.
Show = Callable[[int, Path], str]


def make_exam(
    data: str,
    held_out: str,
    classes: list[str],
    labels: np.ndarray,
    predict: Callable[[Path, Run | None], np.ndarray],
    show: Show,
    problems: list[str],
    notes: list[str],
    top5: bool = False,
    keys: np.ndarray | None = None,
    folds: int = 0,
    name: Callable[[int], str] = lambda index: "",
) -> Exam[np.ndarray]:
    """`labels`: (N,) int64, of the test examples; `predict`: a checkpoint's probabilities of them,
    (N, classes); `notes`: how the data was understood; `top5`: whether to report how often the
    label is among the first five; `keys`: (N,), by which what a checkpoint has learned from is
    known; `folds`: in how many they are judged, if they are; `name`: of an example's file, where it
    is one."""

    def mask(probabilities: np.ndarray, path: Path) -> np.ndarray:
        return probabilities if keys is None else learned.read(path).mask(probabilities, keys)

    def score(probabilities: np.ndarray) -> Score:
        asked = learned.is_asked(probabilities)
        return classification.score_answers(
            probabilities[asked], labels[asked], classes, top5, folds
        )

    def ask(path: Path, run: Run | None) -> np.ndarray:
        return _sort(predict(path, run), checkpoint.labels(path), classes)

    def find_refusal(path: Path) -> str:
        known = len(checkpoint.labels(path))
        if known == len(classes):
            return ""
        return f"The checkpoint knows {known} classes, the data has {len(classes)}."

    def is_comparable(path: Path) -> bool:
        return _fold_all(checkpoint.labels(path)) == _fold_all(classes)

    def find(
        probabilities: np.ndarray, before: Score | None, after: Score, folder: Path
    ) -> Findings:
        confused = draw_confused(after, classes, folder)
        asked = learned.is_asked(probabilities)
        mistakes = write_mistakes(probabilities, labels, classes, show, folder, name)
        facts = dict(classes=classes, confused=confused, mistakes=mistakes)
        facts |= dict(examples=write_examples(labels, show, folder))
        return Findings(
            classification.make_sections(before, after, confused, mistakes),
            classification.make_notes(before, after),
            chance=1 / len(classes),
            base=classification.find_base(labels[asked], classes),
            beside=[BALANCED],
            facts=cast(dict[str, JsonValue], facts),
        )

    def judge_each(probabilities: np.ndarray) -> np.ndarray:
        right = (probabilities.argmax(1) == labels).astype(float)
        right[~learned.is_asked(probabilities)] = np.nan
        return right

    return Exam(
        data,
        held_out,
        ACCURACY,
        ask,
        score,
        find_refusal,
        is_comparable,
        find,
        problems,
        notes,
        judge_each,
        mask,
    )


def draw_confused(score: Score, classes: list[str], folder: Path) -> list[Confused]:
    """Draws the confusion matrix; the pairs that are taken for each other most."""
    confusion = classification.read_figures(score)["confusion"]
    title = f"{score.value:.2%} of {score.n:,} correct"
    classification.draw_confusion(folder / classification.CONFUSION, confusion, classes, title)
    return classification.find_confused(confusion, classes)


def write_examples(labels: np.ndarray, show: Show, folder: Path) -> list[str]:
    """A few of the test examples, each of another class as long as there are any: for whoever
    would like to ask the checkpoint something."""
    firsts = np.unique(labels, return_index=True)[1]
    chosen = firsts[np.linspace(0, len(firsts) - 1, min(EXAMPLES, len(firsts))).astype(int)]
    return [
        show(int(index), folder / f"example-{number}")
        for number, index in enumerate(np.unique(chosen))
    ]


def write_mistakes(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    show: Show,
    folder: Path,
    name: Callable[[int], str],
) -> list[Mistake]:
    """The most confident mistakes, each with its picture or sound in the folder."""
    mistakes: list[Mistake] = []
    for number, index in enumerate(classification.find_worst(probabilities, labels)):
        said = int(probabilities[index].argmax())
        mistakes.append(
            {
                "picture": show(index, folder / f"mistake-{number:02}"),
                "truth": classes[int(labels[index])],
                "said": classes[said],
                "confidence": round(float(probabilities[index, said]), 4),
                "file": name(index),
            }
        )
    return mistakes


def _fold_all(labels: list[str]) -> list[str]:
    return sorted(map(fold, labels))


def _sort(probabilities: np.ndarray, known: list[str], classes: list[str]) -> np.ndarray:
    """(N, classes) in the order of the data's classes, of what a checkpoint says in the order of
    its own; as they are where it knows others."""
    folded = [fold(each) for each in known]
    if _fold_all(known) != _fold_all(classes) or len(set(folded)) < len(folded):
        return probabilities
    return probabilities[:, [folded.index(fold(each)) for each in classes]]
