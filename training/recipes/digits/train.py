"""How the digits recipe trains: the network, the lesson for the loop, and the run from data to
report.

See training/recipes/digits/config.py for its settings.
"""

import functools
import zlib
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from training.data.splits import stratified
from training.device import device, has_bf16
from training.judge import classification
from training.learn.loop import Lesson, fit, read_state
from training.learn.muon import AdamW
from training.recipe import Metrics, SettingsError
from training.recipes.digits import data as digits_data
from training.recipes.digits.augment import augment, draws
from training.recipes.digits.config import Config
from training.recipes.digits.data import Data, Pictures
from training.recipes.digits.model import DigitsNet, DigitsNetConfig
from training.recipes.digits.score import load, predict, write_report
from training.runs import checkpoint
from training.runs.batches import Stopped
from training.runs.run import Run, write_json


def build(config: Config, data: Data, runs: Path) -> tuple[DigitsNet, checkpoint.Checkpoint | None]:
    """The network to train, and the checkpoint that it starts from. A head for as many classes is
    kept."""
    torch.manual_seed(config.seed)
    labels = dict(enumerate(data.classes))
    framing = digits_data.FRAMING[config.dataset]
    if config.start == "scratch":
        grey = data.train.images / 255.0
        made = DigitsNetConfig(
            arch=config.arch,
            framing=framing,
            image_mean=round(float(grey.mean()), 4),
            image_std=round(float(grey.std()), 4),
        )
        model = DigitsNet(made)
        base = None
        if model.config.num_labels != len(labels):
            model.head = torch.nn.Linear(model.head.in_features, len(labels))
    else:
        base = checkpoint.usable(checkpoint.find(runs, config.start, "digits"))
        model = DigitsNet.from_pretrained(base.path, use_safetensors=True, dtype=torch.float32)
        if model.config.num_labels != len(labels):
            model.head = torch.nn.Linear(model.head.in_features, len(labels))
    model.config.id2label = labels
    model.config.label2id = {c: i for i, c in labels.items()}
    model.config.framing = framing
    model.config.dropout = config.dropout
    model.drop.p = config.dropout
    source = config.source if config.source != "folder" else Path(config.folder).name
    model.config.trained_on = (
        f"{config.dataset if config.source != 'folder' else 'folder'} ({source})"
    )
    if config.method == "frozen":
        model.body.requires_grad_(False)
    return model.to(memory_format=torch.channels_last), base  # a third faster on a CPU


def lesson(
    bare: DigitsNet,
    part: Pictures,
    validation: Pictures,
    config: Config,
    run: Run,
    where: torch.device,
) -> Lesson:
    """The pictures lie on the device as one tensor; a step augments its own there."""
    images = torch.from_numpy(part.images).to(where)[:, None]
    labels = torch.from_numpy(part.labels).to(where)
    table = functools.lru_cache(maxsize=1)(lambda epoch: draws(len(part), config.seed, epoch))

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        return indices.to(where), table(epoch)[indices].to(where)

    def loss(model: Any, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        at, rows = (column[piece] for column in batch)
        x = augment(images[at].float() / 255, rows, bare.config.framing, config.augmentation)
        return F.cross_entropy(
            model(x).logits.float(),
            labels[at],
            label_smoothing=config.label_smoothing,
            reduction="sum",
        )

    def begin(model: DigitsNet) -> None:
        model.train()
        if config.method == "frozen":  # batch statistics are weights too
            model.body.eval()

    return Lesson(
        len(part),
        zlib.crc32(part.labels.tobytes(), zlib.crc32(part.images.tobytes())),
        fetch,
        loss,
        begin=begin,
        **classification.judged(lambda: predict(bare, validation.images, run), validation.labels),
    )


def train(config: Config, run: Run) -> Metrics:
    """Trains, writes run.staging and the report; a stopped run is published unscored, at once."""
    transformers.utils.logging.disable_progress_bar()
    accelerator = Accelerator(cpu=device() == "cpu", mixed_precision="bf16" if has_bf16() else "no")
    run.beat("loading the data")
    data = load(config.dataset, config.source, config.folder)
    for problem in data.problems[:20]:
        run.say(f"note: {problem}")
    part, validation = digits_data.holdout(data.train, config.holdout)
    part = part[stratified(part.labels, config.limit, config.seed)]
    if len(part) < accelerator.num_processes:
        raise SettingsError(
            f"{len(part)} training pictures are left; at least {accelerator.num_processes} are "
            "needed."
        )
    model, base = build(config, data, run.path.parent)
    run.record(
        slot=run.slot,
        base=base.id if base else "scratch",
        data=data.about,
        revision=data.revision,
        pictures={"train": len(part), "held out": len(validation), "test": len(data.test)},
    )
    run.say(
        f"{len(part):,} training pictures, {len(validation):,} held out of them, test: {data.about}"
    )
    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=config.learning_rate)
    run.beat("training")
    reached = fit(
        accelerator.prepare(model),
        lesson(model, part, validation, config, run, accelerator.device),
        optimizer,
        config,
        run,
        accelerator,
        read_state(run),
    )
    if not run.main:
        return {}
    if not reached["step"]:
        return {"stopped": True}
    run.beat("saving")
    model.save_pretrained(run.staging)
    metrics: Metrics = {
        "step": reached["step"],
        "total": reached["total"],
        "stopped": reached["stopped"],
        "held_out_score": reached["best"],
    }
    if not reached["stopped"]:
        try:
            metrics = {**write_report(config, run, data, base), **metrics}
        except Stopped:
            metrics["stopped"] = True
    write_json(run.report / "metrics.json", metrics)
    return metrics
