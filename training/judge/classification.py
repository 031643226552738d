"""What a run that tells classes apart reports: figures with their intervals, and the sections that
show each class, which is predicted as which, and the worst mistakes.

Classes are told apart by the data set's own names; what a person reads is those names in words.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np

from training.judge import calibration
from training.judge.records import ACCURACY, Base, Gallery, Item, Matrix, Score, Section, Table
from training.runs.records import JsonValue
from training.wording import in_words, name_classes

CONFUSION = "confusion.png"  # its file in a report
MANY = 12  # classes, beyond which the weakest come first and the rest is folded away
PAIRS = 6  # of classes that are named beside a confusion picture that cannot show all of them
SMALL = 60  # examples, under which a score is hardly one
CROWD = 20  # classes that a confusion picture shows at most


class Figures(TypedDict):
    """What a classifier's score says beside its accuracy (`Score.more`)."""

    balanced_accuracy: NotRequired[float]
    macro_f1: float
    per_class: Mapping[str, float | None]  # recall; None where there is no example of a class
    confusion: list[list[int]]  # true classes in rows, predicted ones in columns
    calibration_error: NotRequired[float]
    folds: NotRequired[int]  # in which every example was judged by a network that had not seen it
    top5: NotRequired[float]
    top5_interval: NotRequired[list[float]]


def compute_interval(right: int, n: int) -> tuple[float, float]:
    """95% interval of a share, `right` of n (Wilson 1927); it stays within 0 and 1."""
    from scipy.stats import binomtest  # scipy takes a moment to load

    if not n:
        return 0.0, 1.0
    found = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return round(float(found.low), 5), round(float(found.high), 5)


def score_answers(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    top5: bool = False,
    folds: int = 0,
) -> Score:
    """Accuracy, and further figures, of (N, classes) probabilities against (N,) labels. `top5`:
    also how often the label is among the first five of more than five classes; `folds`: in how many
    they were judged, if they were."""
    n = len(labels)
    k = len(classes)
    if not n:
        return Score(ACCURACY, 0.0, (0.0, 1.0), 0)
    from training.judge.metrics import compute_metrics  # it imports evaluate, which takes seconds

    found = compute_metrics(probabilities, labels, top5 and k > 5)
    more: dict[str, JsonValue] = {"folds": folds} if folds else {}
    if n >= calibration.LEAST:
        error = calibration.compute_error(probabilities, labels)
        more["calibration_error"] = round(error, 4)
    more["macro_f1"] = found["macro_f1"]
    confusion = np.bincount(labels * k + probabilities.argmax(1), minlength=k * k).reshape(k, k)
    right = confusion.diagonal()
    truth = confusion.sum(1)
    held = truth > 0
    more["balanced_accuracy"] = round(float((right[held] / truth[held]).mean()), 5)
    more["per_class"] = {
        name: round(float(right[i] / truth[i]), 4) if truth[i] else None
        for i, name in enumerate(classes)
    }
    more["confusion"] = confusion.tolist()
    if "top5" in found:
        more["top5"] = found["top5"]
        more["top5_interval"] = list(compute_interval(round(found["top5"] * n), n))
    interval = compute_interval(int(right.sum()), n)
    return Score(ACCURACY, found["accuracy"], interval, n, more)


def read_figures(score: Score) -> Figures:
    """What a classifier's score says beside its accuracy."""
    return cast(Figures, score.more)


def find_base(labels: np.ndarray, classes: list[str]) -> Base:
    """What always naming the commonest class would score: accuracy below that is worth nothing,
    however many of a rare class's examples are missed."""
    counts = np.bincount(labels, minlength=len(classes))
    name = name_classes(classes)[int(counts.argmax())]
    return Base(round(float(counts.max() / max(1, len(labels))), 5), f'always "{name}"')


def score_held_out(
    probabilities: np.ndarray, labels: np.ndarray, balanced: bool = False
) -> tuple[float, float]:
    """Accuracy and mean loss: what an epoch is judged by. `balanced`: every class counts alike."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    right = probabilities.argmax(1) == labels
    loss = -np.log(np.maximum(of_truth, 1e-9))
    if balanced:
        shares = 1 / np.bincount(labels)[labels]
        return float(np.average(right, weights=shares)), float(np.average(loss, weights=shares))
    return float(right.mean()), float(loss.mean())


def find_worst(probabilities: np.ndarray, labels: np.ndarray, count: int = 24) -> list[int]:
    """Indices of the mistakes that the model was surest of, the surest first."""
    said = probabilities.argmax(1)
    wrong = np.flatnonzero((said != labels) & ~np.isnan(probabilities).any(1))
    return wrong[np.argsort(-probabilities[wrong, said[wrong]], kind="stable")][:count].tolist()


def find_confused(
    confusion: list[list[int]], classes: list[str], count: int = 10
) -> list["Confused"]:
    """The pairs that are taken for each other most: {truth, said, count, of}."""
    table = np.array(confusion)
    wrong = table - np.diag(table.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    return [
        {
            "truth": classes[i],
            "said": classes[j],
            "count": int(wrong[i, j]),
            "of": int(table[i].sum()),
        }
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]


def find_most_confused(confusion: list[list[int]], most: int) -> list[int]:
    """At most so many classes, in their order: those in which the most mistakes begin or end."""
    table = np.array(confusion)
    wrong = table - np.diag(table.diagonal())
    return sorted(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:most].tolist())


def draw_confusion(path: Path, confusion: list[list[int]], classes: list[str], title: str) -> None:
    """Rows are true classes, columns predicted ones; shares of each row, since classes differ in
    number. Of many classes only those that are confused most."""
    from matplotlib.figure import Figure

    table = np.array(confusion)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    if len(classes) > CROWD:
        title += f"; of {len(classes)} classes the {CROWD} most confused"
        chosen = find_most_confused(confusion, CROWD)
        table = table[np.ix_(chosen, chosen)]
        shares = shares[np.ix_(chosen, chosen)]
        classes = [classes[i] for i in chosen]
    size = max(4.5, 0.42 * len(classes) + 2.2)
    figure = Figure(figsize=(size, size), dpi=130, layout="constrained")
    axes = figure.subplots()
    # The right answers would drown the mistakes: colour shows the square root of the share.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    words = [name if len(name) < 16 else name[:15] + "…" for name in name_classes(classes)]
    names = [name.replace("$", r"\$") for name in words]  # else it begins a formula
    axes.set_xticks(range(len(classes)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), names)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True class")
    axes.set_title(title, fontsize=10)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for i, row in enumerate(table):
        for j, count in enumerate(row):
            if count:
                axes.text(
                    j,
                    i,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if shares[i, j] > 0.3 else "#1d3557",
                )
    figure.savefig(path)


# -- sections --------------------------------------------------------------------------------------
class Confused(TypedDict):
    """A pair of classes, as metrics.json holds it."""

    truth: str
    said: str
    count: int  # examples of `truth` that were predicted as `said`
    of: int  # examples of `truth`


class Mistake(TypedDict):
    """A wrong answer, as metrics.json holds it."""

    picture: str  # a file of the report: a picture, or a sound
    truth: str
    said: str
    confidence: float
    file: NotRequired[str]  # the example's own, where it is one


def make_sections(
    before: Score | None,
    after: Score,
    confused: list[Confused],
    mistakes: list[Mistake],
) -> list[Section]:
    """What a report shows below its scores. Both scores hold `per_class` figures; the picture of
    the confusion matrix is there already, and so are the files of the mistakes."""
    recall = read_figures(after)["per_class"]
    names = dict(zip(recall, name_classes([*recall]), strict=True))
    return [
        make_recall_table(read_figures(before).get("per_class") if before else None, recall),
        make_matrix(confused, names),
        make_gallery(mistakes, names),
    ]


def make_recall_table(
    before: Mapping[str, float | None] | None, after: Mapping[str, float | None]
) -> Table:
    """Recall by class; None where the test examples hold none of it. Of many classes the weakest
    come first."""
    known = before or {}
    words = dict(zip(after, name_classes([*after]), strict=True))
    names = list(after)
    title = "Recall per class"
    if crowded := len(names) > MANY:
        names.sort(key=lambda name: after[name] or 0)
        title += ", weakest first"
    return Table(
        title,
        ["Class", "Before", "After"],
        [[words[name], known.get(name), after[name]] for name in names],
        shares=[1, 2],
        folded_after=MANY if crowded else 0,
    )


def make_matrix(confused: list[Confused], names: Mapping[str, str]) -> Matrix:
    """`confused`: the pairs that are confused most, the worst first. They are named where the
    picture, of so many classes, cannot show each. `names`: what a person reads, by class."""
    return Matrix(
        "Confusion matrix",
        CONFUSION,
        "Confusion matrix: true classes in rows, predicted classes in columns",
        [
            f"{pair['count']:,} of {pair['of']:,} **{_name(pair['truth'], names)}** were predicted "
            f"as **{_name(pair['said'], names)}**"
            for pair in confused[: PAIRS if len(names) > MANY else 0]
        ],
    )


def _name(label: str, names: Mapping[str, str]) -> str:
    """An old report may tell of a class that it has no figures of."""
    return names.get(label) or in_words(label)


def make_gallery(mistakes: list[Mistake], names: Mapping[str, str]) -> Gallery:
    """`names`: what a person reads, by class."""
    items = []
    for mistake in mistakes:
        truth = _name(mistake["truth"], names)
        said = _name(mistake["said"], names)
        text = f"Predicted **{said}** ({mistake['confidence']:.0%} confident), actual **{truth}**"
        items.append(Item(mistake["picture"], truth, text))
    return Gallery("Most confident mistakes", items, "No mistakes on the test examples.")


def make_notes(before: Score | None, after: Score) -> list[str]:
    """Sentences on a classifier's further figures, where it has them."""
    notes = []
    if 0 < after.n < SMALL and "folds" not in after.more:
        notes.append(
            f"Only {after.n} examples judge it, so that one more or less right is "
            f"{100 / after.n:.1f} points: method frozen, or folds, judges every example."
        )
    past = before.more if before else {}
    now = read_figures(after)
    if "top5" in now and "top5_interval" in now:
        low, high = now["top5_interval"]
        was = f", {past['top5']:.1%} before" if "top5" in past else ""
        notes.append(f"Top-5 accuracy {now['top5']:.1%} ({low:.1%} to {high:.1%}){was}.")
    if "calibration_error" in now:
        was = f" ({past['calibration_error']:.1%} before)" if "calibration_error" in past else ""
        notes.append(f"Calibration error {now['calibration_error']:.1%}{was}.")
    return notes
