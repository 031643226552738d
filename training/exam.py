"""The exam at the end of a classification run: the test part, read once, before and after.

Scores the run's new checkpoint, the one that it started from, and the one now active in the slot (for the gate), and
writes the report: figures, the confusion, and the surest mistakes.
"""
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training import checkpoint, report
from training.recipe import Metrics, SettingsError
from training.run import Run


@dataclass
class Exam:
    """Test examples, and how a checkpoint is asked about them."""
    data: str                                               # in a few words: "digits (hub)"
    about: str                                              # "the 10,000 test pictures of ylecun/mnist"
    classes: list[str]
    labels: np.ndarray                                      # (N,) int64
    predict: Callable[[Path, Run | None], np.ndarray]       # checkpoint -> (N, classes) probabilities; raises Stopped
    show: Callable[[int, Path], str]                        # writes an example into a folder under this stem; its name
    problems: list[str] = field(default_factory=list)

    def score(self, path: Path, run: Run | None = None) -> Metrics:
        return self.figures(self.predict(path, run))

    def figures(self, probabilities: np.ndarray) -> Metrics:
        return report.classification(probabilities, self.labels, self.classes)


def sit(exam: Exam, run: Run, base: checkpoint.Checkpoint | None, slot: str) -> Metrics:
    """Reads the test part, once: before (where the base knows as many classes), after, and what is active."""
    run.beat("scoring")
    probabilities = exam.predict(run.staging, run)
    after = exam.figures(probabilities)
    before = exam.score(base.path, run) if kept(base, exam.classes) else None
    active_id = checkpoint.active(run.path.parent, slot)[-1]
    metrics = {"data": exam.data, "held_out": exam.about, "chance": 1 / len(exam.classes), "classes": exam.classes,
               "before": before, "after": after, "problems": exam.problems,
               "active": {"id": active_id, **_gate(exam, run, base, before, active_id, slot)}}
    run.beat("drawing the report")
    report.confusion_picture(run.report / "confusion.png", after["confusion"], exam.classes,
                          f"{after['accuracy']:.2%} of {after['n']:,} right")
    metrics["confused"] = report.confused(after["confusion"], exam.classes)
    metrics["mistakes"] = _mistakes(exam, run, probabilities)
    return metrics


def asked(exam: Exam, path: Path) -> Metrics:
    """What a checkpoint scores. Raises SettingsError where it knows another number of classes."""
    known = len(checkpoint.labels(path))
    if known != len(exam.classes):
        raise SettingsError(f"The checkpoint knows {known} classes, the data has {len(exam.classes)}.")
    return exam.score(path)


def kept(base: checkpoint.Checkpoint | None, classes: list[str]) -> bool:
    """Whether the base's head was kept, so that it can be asked the same questions."""
    return base is not None and len(checkpoint.labels(base.path)) == len(classes)


def _gate(exam: Exam, run: Run, base: Any, before: Metrics | None, active_id: str, slot: str) -> Metrics:
    """The active checkpoint on the same examples; `accuracy` is None where it could not be scored."""
    if base is not None and active_id == base.id and before and checkpoint.labels(base.path) == exam.classes:
        return {"same_labels": True, "accuracy": before["accuracy"]}
    try:
        found = checkpoint.find(run.path.parent, active_id, slot)
        if checkpoint.labels(found.path) != exam.classes:
            return {"same_labels": False, "accuracy": None}
        return {"same_labels": True, "accuracy": exam.score(found.path, run)["accuracy"]}
    except (checkpoint.CheckpointError, OSError) as error:
        run.say(f"{active_id}, now in the slot, could not be scored: {error}")
        return {"same_labels": True, "accuracy": None}


def _mistakes(exam: Exam, run: Run, probabilities: np.ndarray) -> list[dict[str, Any]]:
    found = []
    for number, index in enumerate(report.worst(probabilities, exam.labels)):
        said = int(probabilities[index].argmax())
        found.append({"picture": exam.show(index, run.report / f"mistake-{number:02}"),
                      "truth": exam.classes[int(exam.labels[index])], "said": exam.classes[said],
                      "confidence": round(float(probabilities[index, said]), 4)})
    return found
