"""What a classification run reports: figures with their intervals, the confusion, the worst
mistakes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from training.judge import calibration, scores

CROWD = 20  # classes that a confusion picture shows at most


def interval(share: float, n: int, z: float = 1.96) -> list[float]:
    """95% interval of a share of n (Wilson 1927); it stays within 0 and 1."""
    if not n:
        return [0.0, 1.0]
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = (centre - spread) / (1 + z * z / n)
    high = (centre + spread) / (1 + z * z / n)
    return [round(max(0.0, low), 5), round(min(1.0, high), 5)]


def classification(
    probabilities: np.ndarray, labels: np.ndarray, classes: list[str]
) -> dict[str, Any]:
    """Figures of (N, classes) probabilities against (N,) labels."""
    n = len(labels)
    k = len(classes)
    said = probabilities.argmax(1)
    confusion = np.bincount(labels * k + said, minlength=k * k).reshape(k, k)
    right = confusion.diagonal()
    truth = confusion.sum(1)
    guessed = confusion.sum(0)
    f1 = np.divide(2 * right, truth + guessed, out=np.zeros(k), where=(truth + guessed) > 0)
    accuracy = float(right.sum() / n)
    apart = (
        {"calibration_error": round(calibration.error(probabilities, labels), 4)}
        if n >= calibration.LEAST
        else {}
    )
    return {
        "accuracy": round(accuracy, 5),
        "interval": interval(accuracy, n),
        "n": n,
        **apart,
        "macro_f1": round(float(f1[truth > 0].mean()), 5),
        "per_class": {
            c: round(float(right[i] / truth[i]), 4) if truth[i] else None
            for i, c in enumerate(classes)
        },
        "confusion": confusion.tolist(),
    }


def held_out(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean loss: what an epoch is judged by."""
    right = probabilities[np.arange(len(labels)), labels]
    return float((probabilities.argmax(1) == labels).mean()), float(
        -np.log(np.maximum(right, 1e-9)).mean()
    )


def judged(answers: Callable[[], np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """The fields of a Lesson (training/learn/loop.py) whose held-out part has these labels, if any;
    `answers` gives its probabilities."""
    return (
        {
            "answers": answers,
            "judge": lambda: held_out(answers(), labels),
            "judged_on": f"of {len(labels):,} held out of train",
        }
        if len(labels)
        else {}
    )


def worst(probabilities: np.ndarray, labels: np.ndarray, count: int = 24) -> list[int]:
    """Indices of the mistakes that the model was surest of, the surest first."""
    said = probabilities.argmax(1)
    wrong = np.flatnonzero(said != labels)
    return wrong[np.argsort(-probabilities[wrong, said[wrong]], kind="stable")][:count].tolist()


def confused(
    confusion: list[list[int]], classes: list[str], count: int = 10
) -> list[dict[str, Any]]:
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


def most_confused(confusion: list[list[int]], most: int) -> list[int]:
    """At most so many classes, in their order: those in which the most mistakes begin or end."""
    table = np.array(confusion)
    wrong = table - np.diag(table.diagonal())
    return sorted(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:most].tolist())


def confusion_picture(
    path: Path, confusion: list[list[int]], classes: list[str], title: str
) -> None:
    """Rows are the truth, columns what was said; shares of each row, since classes differ in
    number. Of many classes only those that are confused most."""
    from matplotlib.figure import Figure

    table = np.array(confusion)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    if len(classes) > CROWD:
        title += f"; of {len(classes)} classes the {CROWD} most confused"
        chosen = most_confused(confusion, CROWD)
        table = table[np.ix_(chosen, chosen)]
        shares = shares[np.ix_(chosen, chosen)]
        classes = [classes[i] for i in chosen]
    size = max(4.5, 0.42 * len(classes) + 2.2)
    figure = Figure(figsize=(size, size), dpi=130, layout="constrained")
    axes = figure.subplots()
    # The right answers would drown the mistakes: colour shows the square root of the share.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    names = [c if len(c) < 16 else c[:15] + "…" for c in classes]
    axes.set_xticks(range(len(classes)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), names)
    axes.set_xlabel("the model said")
    axes.set_ylabel("it was")
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


def table(metrics: dict[str, Any]) -> str:
    """The final table on the terminal and in log.txt: before and after."""

    def cell(part: dict[str, Any] | None) -> str:
        if not part:
            return "-"
        low, high = (scores.scale(part).text(end) for end in part["interval"])
        top5 = f", top 5 {part['top5']:.1%}" if "top5" in part else ""
        return f"{scores.text(part, 2)} ({low} to {high}, n {part['n']:,}){top5}"

    rows = [
        (f"{scores.scale(metrics['after']).title} on", "before", "after"),
        (metrics["data"], cell(metrics.get("before")), cell(metrics["after"])),
    ]
    if other := metrics.get("other"):
        rows.append((other["data"], cell(other["before"]), cell(other["after"])))
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    chance = f"chance {metrics['chance']:.1%}; " if "chance" in metrics else ""
    return "\n".join(
        [lines[0], "-" * len(lines[0]), *lines[1:], f"{chance}95% intervals; {metrics['held_out']}"]
    )
