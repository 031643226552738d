"""How the food recipe trains: pictures to the device, and the lesson for the loop.

See training/recipes/food/config.py for its settings, training/learn/finetune.py for the run from
data to report.
"""

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data
from training.data.pictures import MARGIN, Pictures, Store
from training.device import device
from training.judge import report
from training.judge.exam import ClassExam
from training.learn.classify import Classification
from training.learn.finetune import checksum
from training.learn.loop import Lesson
from training.media.picture_augment import augment, draws, mix
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.food import model as food_model
from training.recipes.food import score as food_score
from training.recipes.food.config import Config
from training.recipes.food.teachers import Teachers
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run


def side(config: Config, size: int, epoch: int) -> int:
    """The side of an epoch's pictures, for a network that is asked at `size`: with `progressive` it
    grows over the first two thirds."""
    size = config.train_size or size
    if config.progressive == "off":
        return size
    grown = min(1.0, epoch / max(1, round(config.epochs * 2 / 3)))
    return max(32, int(round(size * (0.5 + 0.5 * grown) / 8) * 8)) if size > 32 else size


# -- lessons ---------------------------------------------------------------------------------------
def lesson(
    model: nn.Module,
    looks: PicturePreprocessor,
    part: Pictures,
    validation: Pictures,
    config: Config,
    run: Run,
    teachers: Teachers | None = None,
) -> Lesson:
    """Pictures, cropped and varied on the device, for methods that train the backbone."""
    run.beat("preparing the pictures")
    store = Store(
        part, PicturePreprocessor(max(min(part.natural, round(MARGIN * looks.size)), 1)), run.beat
    )
    labels = torch.from_numpy(part.labels)
    held = Store(validation, looks, run.beat)
    table = lru_cache(maxsize=2)(lambda epoch: draws(len(part), config.seed, epoch))
    classes = model.config.num_labels
    where = device()

    def fetch(indices: Tensor, epoch: int) -> tuple[tuple[Tensor, ...], int, int]:
        chance = config.seed * 1_000_003 + epoch * 7919 + int(indices[0])
        # what is seen in its own shape must be learned in it: crops are squares of the picture, not
        # of its pressed form
        stretch = (
            torch.from_numpy(1 / store.aspects[indices.numpy()])
            if looks.longest
            else torch.ones(len(indices))
        )
        columns = store.batch(indices), labels[indices], table(epoch)[indices], stretch
        return columns, side(config, looks.size, epoch), chance

    def loss(model: nn.Module, batch: tuple[tuple[Tensor, ...], int, int], piece: slice) -> Tensor:
        columns, size, chance = batch
        pixels, truth, rows, stretch = (column[piece] for column in columns)
        pixels, truth, stretch = (
            column.to(where, non_blocking=True) for column in (pixels, truth, stretch)
        )
        x = augment(pixels, rows, (size, size), config.augmentation, config.crop, stretch)
        x, shares = mix(x, truth, classes, config.mixup, config.cutmix, chance + piece.start)
        if teachers:
            shares = torch.lerp(
                shares, teachers.answers(x, chance + piece.start), config.teacher_share
            )
        x = looks.normalise(x).contiguous(memory_format=torch.channels_last)
        logits = model(pixel_values=x).logits.float()
        return F.cross_entropy(
            logits, shares, label_smoothing=config.label_smoothing, reduction="sum"
        )

    return Lesson(
        len(part),
        checksum(part),
        fetch,
        loss,
        begin=lambda m: _begin(m, config),
        clip=1.0,
        ahead=store.packed is None or where != "cpu",
        **report.judged(lambda: food_score.predict(model, held, looks, run), validation.labels),
    )


def _begin(model: nn.Module, config: Config) -> None:
    model.train()
    if config.method == "lora":  # batch statistics are weights too, and they are not to change
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


class FoodTask(Classification):
    things = "pictures"
    slot = "food"
    config: Config

    def load(self) -> Data:
        return food_score.load(self.config.dataset, self.config.source, self.config.folder)

    def build(self, base: Checkpoint | None, data: Data) -> tuple[nn.Module, PicturePreprocessor]:
        model, looks = food_model.build(self.config, base, data.classes)
        self.looks = looks
        self.teachers = None
        names = self.config.teachers
        if names:
            self.teachers = Teachers(names, self.run.path.parent, self.slot, data.classes)
            self.run.record(teachers=self.teachers.revisions)
            self.run.say(
                f"{self.config.teacher_share:.0%} of each label is what {' and '.join(names)} "
                "answer"
                f"{'s' * (len(names) == 1)} to the crop"
            )
        return model.to(memory_format=torch.channels_last), looks

    def lesson(
        self, learner: nn.Module, eye: PicturePreprocessor, part: Pictures, validation: Pictures
    ) -> Lesson:
        return lesson(learner, eye, part, validation, self.config, self.run, self.teachers)

    def frozen(self, model: nn.Module, eye: PicturePreprocessor, part: Pictures) -> Tensor:
        return food_score.frozen_features(model, eye, part, self.run)

    def frozen_views(
        self, model: nn.Module, eye: PicturePreprocessor, part: Pictures
    ) -> list[Tensor]:
        return food_score.frozen_views(model, eye, part, self.run)

    def save(self, model: nn.Module, eye: PicturePreprocessor, staging: Path) -> None:
        model.config.mirrored = eye.mirrored
        super().save(model, eye, staging)

    def exam(self, data: Data) -> ClassExam:
        return food_score.exam(self.config, data)

    def speed(self) -> float:
        sides = [side(self.config, self.looks.size, epoch) for epoch in range(self.config.epochs)]
        return sum(s * s for s in sides) / len(sides) / sides[0] ** 2
