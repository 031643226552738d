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


def judge_by(predict: Callable[[], np.ndarray], labels: np.ndarray) -> Judged:
    """The fields of a Lesson whose held-out part has these labels, if any; `predict` gives its
    probabilities, (N, classes)."""
    if not len(labels):
        return {}
    return {
        "predict": predict,
        "judge": lambda: score_held_out(predict(), labels),
        "judged_on": f"of {len(labels):,} validation examples",
        "score_format": "{:.2%}",
    }


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

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        at = indices.to(where)
        return given[at], labels[at]

    def compute_loss(model: nn.Module, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        shown, truth = (column[piece] for column in batch)
        return F.cross_entropy(
            model(shown).float(),
            truth,
            label_smoothing=config.label_smoothing,
            reduction="sum",
        )

    work = config.batch_size * sum(p.numel() for p in head.parameters())
    return Lesson(
        len(part),
        compute_checksum(part),
        fetch,
        compute_loss,
        **judge_by(lambda: features.predict_from(head, held), validation.strata),
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


def warn_if_no_better_than_chance(report: Report, run: Run) -> None:
    if report.after is None or report.chance is None:
        return
    if report.after.interval[0] <= report.chance:
        note = (
            "The score is not better than chance. Try more epochs, more examples or another start."
        )
        run.say(f"note: {note}")
        run.beat(note=note)
