"""How the food recipe trains: pictures to the device, and the lesson for the loop.

See training/recipes/food/config.py for its settings.
"""

from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from training.data.pictures import MARGIN, Pictures, Store, measure_usual_side
from training.device import device, move
from training.judge.records import ACCURACY, Report
from training.learn import backbone, classification, finetune, folds, known, probe
from training.learn.finetune import Session
from training.learn.loop import Lesson, Outcome
from training.media.picture_augment import augment, draws, mix
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.food import data as food_data
from training.recipes.food import score
from training.recipes.food.config import Config
from training.recipes.food.model import build_network, find_start
from training.recipes.food.teachers import Teachers
from training.runs.batches import Stopped
from training.runs.run import Run

SMALLEST = 32  # side of the first epochs' pictures, with progressive


def train(config: Config, run: Run) -> Report:
    """From the data to the published checkpoint and its report. Raises SettingsError,
    CheckpointError, Stopped."""
    frozen = config.method == "frozen"
    # A head is so small that casting would be the most of its work.
    accelerator = finetune.start_accelerator(not frozen and finetune.wants_half(config.bf16))
    data = finetune.open_data(lambda: food_data.load_for(config, run), run)
    data = folds.pool(data, config)
    part, validation = finetune.choose_examples(data, config)
    start = find_start(config, run.path.parent, run.slot, data.classes)
    finetune.check_keep(config, config.method, start)
    model, preprocessor = build_network(config, start, data.classes)
    teachers = _open_teachers(config, run, data.classes)
    rate = backbone.choose_learning_rate(config, config.method, model, start.zero_shot)
    finetune.record(
        run,
        start,
        data,
        "pictures",
        (part, validation),
        frozen,
        learning_rate=rate,
        teachers=teachers.revisions if teachers else {},
        needs="timm" if backbone.is_timm(model.config) else "",
    )
    run.say(classification.describe_examples("pictures", part, validation, data))

    session = Session(config, config.method, rate, start, run, accelerator)
    lesson, outcome = _teach(model, preprocessor, part, validation, teachers, session, data.folds)
    classification.fit_confidence(
        lambda: backbone.find_head(model), lesson, outcome, validation.strata, run
    )
    knows = known.recognise(
        lambda some, at: score.compute_received(model, preprocessor, some, at, run, frozen),
        part,
        validation,
        outcome,
        run,
    )

    def save(folder: Path) -> None:
        finetune.describe_data(model.config, data.name, data)
        model.config.mirrored = preprocessor.mirrored
        if backbone.is_timm(model.config):  # its config is the one place that timm reads
            model.config.pretrained_cfg |= preprocessor.describe_for_timm()
            finetune.save_network(model.cpu(), None, folder, config.store)
        else:
            finetune.save_network(model.cpu(), preprocessor.processor(), folder, config.store)
        known.save(knows, folder)

    def refit(part: Pictures, held: Pictures, aside: Run) -> np.ndarray:
        again, preprocessor = build_network(config, start, data.classes)
        session = Session(config, config.method, rate, start, aside, accelerator)
        _, outcome = _teach(again, preprocessor, part, part[np.zeros(0, int)], teachers, session)
        if outcome.stopped:
            raise Stopped
        move(again)
        return score.predict(again, Store(held, preprocessor, aside.beat), preprocessor, aside)

    report = finetune.finish(
        run,
        outcome,
        ACCURACY,
        save,
        lambda: classification.examine(
            score.make_exam(config, data), run, start, data, part, refit
        ),
    )
    classification.warn_if_no_better_than_base(report, run)
    return report


def _teach(
    model: PreTrainedModel,
    preprocessor: PicturePreprocessor,
    part: Pictures,
    validation: Pictures,
    teachers: Teachers | None,
    session: Session[Config],
    judged_in: int = 0,
) -> tuple[Lesson, Outcome]:
    """By the session's method; `judged_in`: folds of a probe. Raises SettingsError, Stopped."""
    config, run = session.config, session.run
    if session.method == "frozen":
        head = backbone.find_head(model)
        return classification.teach_head(
            head,
            probe.find_linear(head, session.start.zero_shot),
            lambda: (
                score.compute_views(model, preprocessor, part, run),
                score.compute_views(model, preprocessor, validation, run),
            ),
            part,
            validation,
            model.config.num_labels or 0,
            session,
            judged_in,
        )
    return finetune.teach_network(
        model,
        lambda learner: make_lesson(learner, preprocessor, part, validation, config, run, teachers),
        session,
        add_lora=lambda network: backbone.add_lora(network, config.lora_rank),
        find_heads=lambda _: backbone.list_heads(model),
        wrap=lambda network: network,
        relative_cost=compare_cost(config, preprocessor.size),
    )


def _open_teachers(config: Config, run: Run, classes: list[str]) -> Teachers | None:
    names = config.teachers
    if not names:
        return None
    teachers = Teachers(names, run.path.parent, run.slot, classes)
    verb = "answers" if len(names) == 1 else "answer"
    run.say(
        f"{config.teacher_share:.0%} of each label is what {' and '.join(names)} {verb} to the crop"
    )
    return teachers


# -- sizes -----------------------------------------------------------------------------------------
def choose_side(config: Config, size: int, epoch: int) -> int:
    """The side of an epoch's pictures, for a network that is asked at `size`: with `progressive` it
    grows over the first two thirds."""
    size = config.train_size or size
    if config.progressive == "off" or size <= SMALLEST:
        return size
    grown = min(1.0, epoch / max(1, round(config.epochs * 2 / 3)))
    return max(SMALLEST, int(round(size * (0.5 + 0.5 * grown) / 8) * 8))


def compare_cost(config: Config, size: int) -> float:
    """How much longer a usual step is than a step of the first epoch."""
    sides = [choose_side(config, size, epoch) for epoch in range(config.epochs)]
    return sum(side * side for side in sides) / len(sides) / sides[0] ** 2


# -- lessons ---------------------------------------------------------------------------------------
def make_lesson(
    model: nn.Module,
    preprocessor: PicturePreprocessor,
    part: Pictures,
    validation: Pictures,
    config: Config,
    run: Run,
    teachers: Teachers | None = None,
) -> Lesson:
    """Pictures, cropped and varied on the device, for methods that train the backbone."""
    run.beat("preparing the pictures")
    # No larger than they are, and a margin larger than the network sees, so that crops stay sharp.
    side = max(min(measure_usual_side(part), round(MARGIN * preprocessor.size)), 1)
    store = Store(part, PicturePreprocessor(side), run.beat)
    held = Store(validation, preprocessor, run.beat)
    labels = torch.from_numpy(part.strata)
    table = lru_cache(maxsize=2)(lambda epoch: draws(len(part), config.seed, epoch))
    config_of_network = cast(PretrainedConfig, model.config)  # also of what LoRA put around it
    classes = config_of_network.num_labels or 0
    weights = classification.weigh_classes(config.class_weights, part.strata, classes)
    where = device()

    def fetch(indices: Tensor, epoch: int) -> tuple[tuple[Tensor, ...], int, int]:
        chance = config.seed * 1_000_003 + epoch * 7919 + int(indices[0])
        if preprocessor.longest:
            # What is seen in its own shape must be learned in it: crops are squares of the picture,
            # not of its pressed form.
            stretch = torch.from_numpy(1 / store.aspects[indices.numpy()])
        else:
            stretch = torch.ones(len(indices))
        columns = (store.batch(indices), labels[indices], table(epoch)[indices], stretch)
        return columns, choose_side(config, preprocessor.size, epoch), chance

    def compute_loss(
        model: nn.Module, batch: tuple[tuple[Tensor, ...], int, int], piece: slice
    ) -> Tensor:
        columns, size, chance = batch
        pixels, truth, rows, stretch = (column[piece] for column in columns)
        pixels, truth, stretch = (
            column.to(where, non_blocking=True) for column in (pixels, truth, stretch)
        )
        x = augment(pixels, rows, (size, size), config.augmentation, config.crop, stretch)
        draw = chance + piece.start
        x, shares = mix(x, truth, classes, config.mixup, config.cutmix, draw)
        if teachers:
            shares = torch.lerp(shares, teachers.predict(x, draw), config.teacher_share)
        x = preprocessor.normalise(x).contiguous(memory_format=torch.channels_last)
        logits = model(pixel_values=x).logits.float()
        return classification.sum_cross_entropy(logits, shares, config.label_smoothing, weights)

    def set_mode(model: nn.Module) -> None:
        model.train()
        if config.method == "lora":  # batch statistics are weights too, and they are not to change
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    return Lesson(
        len(part),
        finetune.compute_checksum(part),
        fetch,
        compute_loss,
        set_mode=set_mode,
        clip=1.0,
        prefetch=store.packed is None or where != "cpu",
        **classification.judge_by(
            lambda: score.predict(model, held, preprocessor, run),
            validation.strata,
            config.class_weights,
        ),
    )
