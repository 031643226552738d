"""How the digits recipe trains: the network, and the lesson for the loop.

See training/recipes/digits/config.py for its settings.
"""

import functools
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.data.examples import Data
from training.device import device, lay_out_for_pictures, move
from training.judge.records import ACCURACY, Report
from training.learn import backbone, classification, finetune, folds, known, probe
from training.learn.backbone import Start
from training.learn.loop import Lesson, Outcome, fit, read_state
from training.learn.optimizers import ParameterGroup, make_adamw
from training.recipe import SettingsError, is_path
from training.recipes.digits import data as digits_data
from training.recipes.digits import score
from training.recipes.digits.augment import augment, draws
from training.recipes.digits.config import USUAL_RATE, Config
from training.recipes.digits.data import Pictures, hash_for_holdout, stack_images
from training.recipes.digits.model import DigitsNet, DigitsNetConfig
from training.runs import checkpoint, published
from training.runs.batches import Stopped
from training.runs.checkpoint import CheckpointError
from training.runs.run import Run
from training.settings import FIND, OWN


def train(config: Config, run: Run) -> Report:
    """From the data to the published checkpoint and its report. Raises SettingsError,
    CheckpointError, Stopped."""
    accelerator = finetune.start_accelerator(finetune.wants_half("auto"))
    data = finetune.open_data(
        lambda: digits_data.load_once(config.dataset, config.source, config.folder, config.framed),
        run,
    )
    data = folds.pool(data, config)
    images = stack_images(data.train)
    buckets = hash_for_holdout(images)
    part, validation = finetune.choose_examples(data, config, buckets)
    if len(part) < accelerator.num_processes:
        raise SettingsError(
            f"{len(part)} training pictures are left; at least {accelerator.num_processes} are "
            "needed."
        )
    start = find_start(config, run.path.parent)
    model = build_network(config, start, images, data.classes)
    finetune.describe_data(model.config, _name_data(config), data)
    frozen = config.method == "frozen"
    finetune.record(run, start, data, "pictures", (part, validation), frozen)
    run.say(
        f"{len(part):,} training pictures ({classification.name_few(data.classes)}), "
        f"{len(validation):,} for validation; test: {data.about}"
    )

    outcome = _teach(model, part, validation, config, run, accelerator, data.folds)
    knows = known.recognise(
        lambda some, at: score.compute_features(model, stack_images(some[at]), run),
        part,
        validation,
        outcome,
        run,
    )

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        known.save(knows, folder)

    def refit(some: Pictures, held: Pictures, aside: Run) -> np.ndarray:
        again = build_network(config, start, stack_images(some), data.classes)
        outcome = _teach(again, some, some[np.zeros(0, int)], config, aside, accelerator)
        if outcome.stopped:
            raise Stopped
        move(again)
        return score.predict(again, stack_images(held), aside)

    return finetune.finish(
        run,
        outcome,
        ACCURACY,
        save,
        lambda: _examine(config, data, run, start, part, refit),
    )


def _teach(
    model: DigitsNet,
    part: Pictures,
    validation: Pictures,
    config: Config,
    run: Run,
    accelerator: Accelerator,
    judged_in: int = 0,
) -> Outcome:
    """By the config's method; `judged_in`: folds of a probe. Raises SettingsError, Stopped."""
    lesson = make_lesson(model, part, validation, config, run)
    saved = read_state(run)
    if config.method == "frozen" and not saved:  # earlier versions took steps: these go on so
        if not run.main:  # rank 0 solves and publishes
            return Outcome(1, 1, False, None)
        move(model)
        found = score.compute_features(model, stack_images(part), run)
        head = probe.LinearHead(model.head, model.head)
        classes = model.head.out_features
        return classification.solve_head(
            head, [found], part, classes, config.class_weights, lesson, run, judged_in
        )
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    rate = max(config.learning_rate, 0.0) or USUAL_RATE
    optimizer = make_adamw([ParameterGroup(learning)], rate)
    run.beat("training")
    return fit(
        accelerator.prepare(model),
        lesson,
        optimizer,
        config,
        rate,
        run,
        accelerator,
        saved,
        cap=finetune.BOLDEST * USUAL_RATE if config.learning_rate == FIND[1] else 0.0,
    )


def _name_data(config: Config) -> str:
    if config.source == "folder":
        return f"folder ({config.data_name})"
    return f"{config.dataset} ({config.source})"


def _examine(
    config: Config,
    data: Data[np.ndarray],
    run: Run,
    start: Start,
    part: Pictures,
    refit: Callable[[Pictures, Pictures, Run], np.ndarray],
) -> Report:
    """The report, with what was forgotten of the data set that was not trained on."""
    report = classification.examine(score.make_exam(config, data), run, start, data, part, refit)
    if report.before and start.checkpoint and config.source not in OWN:
        report.other = score.measure_forgetting(config, run, start.checkpoint)
        if report.other is None:
            report.facts["other"] = None  # it was tried
    return report


NO_HUB = (
    "{} is no start here: the digits recipe trains a small network of this project's own. Choose "
    "embedded, a run or scratch. A classifier of the Hub that tells digits or garments apart "
    "answers as it is, in its tab: “Try a model of the Hub”."
)


def find_start(config: Config, runs: Path) -> Start:
    """Raises SettingsError, CheckpointError."""
    if config.start == "scratch":
        return Start("scratch")
    try:
        found = checkpoint.check_usable(checkpoint.find(runs, config.start, "digits"))
    except CheckpointError as error:
        if "/" in config.start and not is_path(config.start):
            raise SettingsError(NO_HUB.format(config.start)) from error
        raise
    hub = published.read_own(found.path)
    if hub and hub["kind"] != "digits":
        raise SettingsError(NO_HUB.format(hub["name"]))
    return Start(found.id, found)


def build_network(
    config: Config, start: Start, images: np.ndarray, classes: list[str]
) -> DigitsNet:
    """The network to train. A head for as many classes is kept, another one is new. `images`:
    (N, 28, 28), by which a network that is made anew normalises."""
    torch.manual_seed(config.seed)
    labels = dict(enumerate(classes))
    framing = config.framed
    if start.checkpoint is None:
        grey = images / 255.0
        made = DigitsNetConfig(
            arch=config.arch,
            framing=framing,
            image_mean=round(float(grey.mean()), 4),
            image_std=round(float(grey.std()), 4),
        )
        model = DigitsNet(made)
    else:
        path = start.checkpoint.path
        try:
            made = DigitsNetConfig.from_pretrained(path)
            loaded = backbone.load_weights(
                DigitsNet, path, made, start.checkpoint.name, lambda _, key: key.startswith("head.")
            )
        except (OSError, RuntimeError) as error:
            raise SettingsError(f"{start.checkpoint.name} cannot be loaded as a start.") from error
        assert isinstance(loaded, DigitsNet)
        model = loaded
    if model.config.num_labels != len(labels):
        model.head = nn.Linear(model.head.in_features, len(labels))
    model.config.id2label = labels
    model.config.label2id = {name: i for i, name in labels.items()}
    model.config.framing = framing
    model.config.dropout = config.dropout
    model.drop.p = config.dropout
    if config.method == "frozen":
        model.body.requires_grad_(False)
    lay_out_for_pictures(model)  # a third faster on a CPU
    return model


def make_lesson(
    bare: DigitsNet, part: Pictures, validation: Pictures, config: Config, run: Run
) -> Lesson:
    """The pictures lie on the device as one tensor; a step augments its own there."""
    where = device()
    shown = stack_images(part)
    held = stack_images(validation)
    images = torch.from_numpy(shown).to(where)[:, None]
    labels = torch.from_numpy(part.strata).to(where)
    weights = classification.weigh_classes(config.class_weights, part.strata)
    table = functools.lru_cache(maxsize=1)(lambda epoch: draws(len(part), config.seed, epoch))

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        return indices.to(where), table(epoch)[indices].to(where)

    def compute_loss(model: nn.Module, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        at, rows = (column[piece] for column in batch)
        x = augment(images[at].float() / 255, rows, bare.config.framing, config.augmentation)
        return classification.sum_cross_entropy(
            model(x).logits.float(), labels[at], config.label_smoothing, weights
        )

    def set_mode(model: nn.Module) -> None:
        model.train()
        if config.method == "frozen":  # batch statistics are weights too
            bare.body.eval()

    return Lesson(
        len(part),
        # By the pixels, not by their keys: runs that were made before are continued by it.
        zlib.crc32(part.strata.tobytes(), zlib.crc32(shown.tobytes())),
        fetch,
        compute_loss,
        set_mode=set_mode,
        **classification.judge_by(
            lambda: score.predict(bare, held, run), validation.strata, config.class_weights
        ),
    )
