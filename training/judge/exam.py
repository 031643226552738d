"""The exam at the end of a run: the test part, read once, before and after.

Scores the run's new checkpoint, the one that it started from, and the one now active in the slot
(for the gate), and writes the report: figures, and pictures or sounds of what went wrong. What is
asked and how it is judged is an `Exam`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.judge import report, scores
from training.recipe import Metrics, SettingsError
from training.runs import checkpoint
from training.runs.run import Run


class Exam(ABC):
    """Test examples, and how a checkpoint is asked about them."""

    data: str  # in a few words: "digits (hub)"
    about: str  # "the 10,000 test pictures of ylecun/mnist"
    problems: list[str]
    predict: Callable[[Path, Run | None], Any]  # checkpoint -> its answers; raises Stopped

    @abstractmethod
    def figures(self, answers: Any) -> Metrics:
        """A scored part (training/judge/scores.py)."""

    @abstractmethod
    def refusal(self, path: Path) -> str:
        """Why a checkpoint cannot be asked, as a sentence; empty where it can."""

    @abstractmethod
    def same(self, path: Path) -> bool:
        """Whether a checkpoint's answers mean the same, so that the better one can take its
        place."""

    @abstractmethod
    def drawn(self, answers: Any, after: Metrics, run: Run) -> Metrics:
        """What the report shows beside figures; pictures and sounds are written into run.report."""

    def score(self, path: Path, run: Run | None = None) -> Metrics:
        return self.figures(self.predict(path, run))


@dataclass
class ClassExam(Exam):
    """Which class is it?"""

    data: str
    about: str
    classes: list[str]
    labels: np.ndarray  # (N,) int64
    predict: Callable[[Path, Run | None], np.ndarray]  # checkpoint -> (N, classes) probabilities
    show: Callable[[int, Path], str]  # writes an example into a folder under this stem; its name
    problems: list[str] = field(default_factory=list)

    def figures(self, answers: np.ndarray) -> Metrics:
        return report.classification(answers, self.labels, self.classes)

    def refusal(self, path: Path) -> str:
        known = len(checkpoint.labels(path))
        return (
            ""
            if known == len(self.classes)
            else (f"The checkpoint knows {known} classes, the data has {len(self.classes)}.")
        )

    def same(self, path: Path) -> bool:
        return checkpoint.labels(path) == self.classes

    def drawn(self, answers: np.ndarray, after: Metrics, run: Run) -> Metrics:
        report.confusion_picture(
            run.report / "confusion.png",
            after["confusion"],
            self.classes,
            f"{after['accuracy']:.2%} of {after['n']:,} right",
        )
        return {
            "chance": 1 / len(self.classes),
            "classes": self.classes,
            "confused": report.confused(after["confusion"], self.classes),
            "mistakes": self._mistakes(answers, run),
        }

    def _mistakes(self, answers: np.ndarray, run: Run) -> list[dict[str, Any]]:
        found = []
        for number, index in enumerate(report.worst(answers, self.labels)):
            said = int(answers[index].argmax())
            found.append(
                {
                    "picture": self.show(index, run.report / f"mistake-{number:02}"),
                    "truth": self.classes[int(self.labels[index])],
                    "said": self.classes[said],
                    "confidence": round(float(answers[index, said]), 4),
                }
            )
        return found


def sit(exam: Exam, run: Run, base: checkpoint.Checkpoint | None, slot: str) -> Metrics:
    """Reads the test part, once: before (where the base can be asked), after, and, where it decides
    whether to swap, what is active."""
    run.beat("scoring")
    answers = exam.predict(run.staging, run)
    after = exam.figures(answers)
    before = (
        exam.score(base.path, run) if base is not None and not exam.refusal(base.path) else None
    )
    metrics = {
        "data": exam.data,
        "held_out": exam.about,
        "before": before,
        "after": after,
        "problems": exam.problems,
    }
    chosen = checkpoint.active(run.path.parent, slot)  # none: there is nothing to compare with
    if chosen and run.config.get("swap", "better") == "better":
        active_id = chosen[-1]
        metrics["active"] = {"id": active_id, **_gate(exam, run, base, before, active_id, slot)}
    run.beat("drawing the report")
    return {**metrics, **exam.drawn(answers, after, run)}


def asked(exam: Exam, path: Path) -> Metrics:
    """What a checkpoint scores. Raises SettingsError where it cannot be asked."""
    if told := exam.refusal(path):
        raise SettingsError(told)
    return exam.score(path)


def _gate(
    exam: Exam, run: Run, base: Any, before: Metrics | None, active_id: str, slot: str
) -> Metrics:
    """The active checkpoint on the same examples; `score` is None where it could not be scored."""
    if base is not None and active_id == base.id and before and exam.same(base.path):
        return {"same_labels": True, "score": scores.value(before)}
    try:
        found = checkpoint.find(run.path.parent, active_id, slot)
        if not exam.same(found.path):
            return {"same_labels": False, "score": None}
        return {"same_labels": True, "score": scores.value(exam.score(found.path, run))}
    except (checkpoint.CheckpointError, OSError) as error:
        run.say(f"{active_id}, now in the slot, could not be scored: {error}")
        return {"same_labels": True, "score": None}
