"""Fine-tuning a network that tells classes apart, whatever its examples are: what such recipes
share of a `Task`."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data, Examples
from training.device import device
from training.judge import classification
from training.judge.exam import ClassExam, sit
from training.learn import features
from training.learn.finetune import Task, checksum
from training.learn.loop import Lesson
from training.recipe import Metrics
from training.runs.checkpoint import Checkpoint

LIGHT = 10**8  # multiplications of a step that one thread does in a millisecond or two


class Classification(Task):
    @abstractmethod
    def exam(self, data: Data) -> ClassExam: ...

    @abstractmethod
    def frozen(self, model: nn.Module, eye: Any, part: Examples) -> Tensor:
        """(N, ...) what the head gets, kept on disk. Raises Stopped."""

    def frozen_views(self, model: nn.Module, eye: Any, part: Examples) -> list[Tensor]:
        """The same in each view that is asked about. Raises Stopped."""
        return [self.frozen(model, eye, part)]

    def half(self) -> bool:
        return (
            self.config.method != "frozen" and super().half()
        )  # a head is so small that casting is the most of it

    def described(self, part: Examples, validation: Examples, data: Data) -> str:
        seen = len(np.unique(part.labels))
        return (
            f"{len(part):,} training {self.things} of {seen} of {len(data.classes)} classes "
            f"(chance: {1 / len(data.classes):.1%}), {len(validation):,} held out of them; test: "
            f"{data.about}"
        )

    def frozen_lesson(
        self, model: nn.Module, eye: Any, part: Examples, validation: Examples
    ) -> tuple[nn.Module, Lesson]:
        """Features, computed before: an epoch takes seconds."""
        given = self.frozen(model, eye, part)
        held = self.frozen_views(model, eye, validation)
        head = self.head(model)
        return head, head_lesson(head, given, part, held, validation, self.config)

    def examine(self, data: Data, base: Checkpoint | None) -> Metrics:
        metrics = sit(self.exam(data), self.run, base, self.slot)
        if metrics["after"]["interval"][0] <= metrics["chance"]:
            note = (
                "The result is not better than chance: more epochs, more examples or another start "
                "are needed."
            )
            self.run.say(f"note: {note}")
            self.run.beat(note=note)
        return metrics


def head_lesson(
    head: nn.Module,
    given: Tensor,
    part: Examples,
    held: list[Tensor],
    validation: Examples,
    config: Any,
) -> Lesson:
    """Of features: `given` are those of `part`, `held` those of `validation` in each view."""
    where = device()
    given = given.to(where)
    labels = torch.from_numpy(part.labels).to(where)

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        at = indices.to(where)
        return given[at], labels[at]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        shown, truth = (column[piece] for column in batch)
        return F.cross_entropy(
            model(shown).float(), truth, label_smoothing=config.label_smoothing, reduction="sum"
        )

    return Lesson(
        len(part),
        checksum(part),
        fetch,
        loss,
        **classification.judged(lambda: features.answers(head, held), validation.labels),
        light=config.batch_size * sum(p.numel() for p in head.parameters()) < LIGHT,
    )
