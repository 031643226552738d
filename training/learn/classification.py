"""What recipes share that teach a network to tell classes apart, whatever its examples are."""

from collections.abc import Callable
from typing import Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data, Examples
from training.device import device
from training.judge import calibration
from training.judge.classification import score_held_out
from training.judge.records import Report
from training.learn import features
from training.learn.finetune import compute_checksum
from training.learn.loop import Lesson, Outcome
from training.recipe import SettingsError
from training.runs.batches import Stopped
from training.runs.run import Run

LIGHT = 10**8  # multiplications of a step that one thread does in a millisecond or two


NAMED = 12  # classes that the log names


class HeadConfig(Protocol):
    """What is read of a recipe's config."""

    @property
    def batch_size(self) -> int: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def class_weights(self) -> str: ...


def describe_examples(things: str, part: Examples, validation: Examples, data: Data) -> str:
    """What is learned from, as a line of the log."""
    seen = len(np.unique(part.strata))
    return (
        f"{len(part):,} training {things} of {seen} of {len(data.classes)} classes "
        f"({name_few(data.classes)}), {len(validation):,} for validation; test: {data.about}"
    )


def name_few(classes: list[str]) -> str:
    """The classes by their own names; of many the first ones."""
    rest = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return ", ".join(classes[:NAMED]) + rest


class Judged(TypedDict, total=False):
    """Of a Lesson with a held-out part: its fields."""

    predict: Callable[[], np.ndarray]
    judge: Callable[[], tuple[float, float]]
    judged_on: str
    score_format: str


def judge_by(
    predict: Callable[[], np.ndarray], labels: np.ndarray, class_weights: str = "none"
) -> Judged:
    """The fields of a Lesson whose held-out part has these labels, if any; `predict` gives its
    probabilities, (N, classes). An epoch is judged by what is learned: by the balanced accuracy
    where `class_weights` are balanced."""
    if not len(labels):
        return {}
    balanced = class_weights == "balanced"
    return {
        "predict": predict,
        "judge": lambda: score_held_out(predict(), labels, balanced),
        "judged_on": f"of {len(labels):,} validation examples" + ", balanced" * balanced,
        "score_format": "{:.2%}",
    }


def weigh_classes(choice: str, labels: np.ndarray, classes: int = 0) -> Tensor | None:
    """(classes,) what an example of each class counts in the loss, by the setting: with `balanced`
    all classes that there are count alike, and the mean over these (N,) labels is 1. None: 1."""
    if choice == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    weights = np.ones(len(counts), np.float32)
    held = counts > 0
    weights[held] = len(labels) / (held.sum() * counts[held])
    return torch.from_numpy(weights).to(device())


def sum_cross_entropy(
    logits: Tensor, truth: Tensor, label_smoothing: float, weights: Tensor | None
) -> Tensor:
    """The loss of a Lesson. `logits`: (N, classes); `truth`: (N,) labels or (N, classes) shares;
    `weights`: (classes,), what an example of each counts."""
    if weights is None:
        return F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="sum")
    each = F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="none")
    return each @ (truth @ weights if truth.is_floating_point() else weights[truth])


def make_head_lesson(
    head: nn.Module,
    given: Tensor,
    part: Examples,
    held: list[Tensor],
    validation: Examples,
    config: HeadConfig,
) -> Lesson:
    """A lesson of features that were computed before, so that an epoch takes seconds: `given` are
    those of `part`, `held` those of `validation` in each view that is asked about."""
    where = device()
    given = given.to(where)
    labels = torch.from_numpy(part.strata).to(where)
    weights = weigh_classes(config.class_weights, part.strata)

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        at = indices.to(where)
        return given[at], labels[at]

    def compute_loss(model: nn.Module, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        shown, truth = (column[piece] for column in batch)
        return sum_cross_entropy(model(shown).float(), truth, config.label_smoothing, weights)

    work = config.batch_size * sum(p.numel() for p in head.parameters())
    return Lesson(
        len(part),
        compute_checksum(part),
        fetch,
        compute_loss,
        **judge_by(
            lambda: features.predict_from(head, held), validation.strata, config.class_weights
        ),
        one_thread=work < LIGHT,
    )


def fit_confidence(
    find_head: Callable[[], nn.Module],
    lesson: Lesson,
    outcome: Outcome,
    labels: np.ndarray,
    run: Run,
) -> None:
    """Divides the logits by a temperature that is fitted to the held-out part, where it is large
    enough. A head that is not known stays as sure as it is."""
    if lesson.predict is None or outcome.stopped or not run.main:
        return
    try:
        temperature = calibration.fit_temperature(lesson.predict(), labels)
    except Stopped:  # it is published all the same
        return
    if temperature == 1.0:
        return
    try:
        fitted = calibration.divide_logits(find_head(), temperature)
    except SettingsError:
        return
    if fitted:
        run.say(
            f"confidence calibrated on the {len(labels):,} validation examples: logits divided by "
            f"{temperature:.2f}"
        )


def warn_if_no_better_than_base(report: Report, run: Run) -> None:
    if report.after is None or report.base is None:
        return
    low = report.after.interval[0]
    base = f"the base, {report.metric.text(report.base.value)} ({report.base.rule})"
    if report.after.value <= report.base.value:
        note = (
            f"The score is not better than {base}. Try more epochs, more examples or another start."
        )
    elif low <= report.base.value:
        note = (
            f"The score lies above {base}, but its 95% interval begins at "
            f"{report.metric.text(low)}: the test examples are too few to tell."
        )
    else:
        return
    run.say(f"note: {note}")
    run.beat(note=note)
