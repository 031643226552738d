"""How the food recipe trains: pictures to the device, the lesson for the loop, and the run from data to report.

See training/food.py for its settings.
"""
import dataclasses
import time
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import psutil
import torch
import transformers
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from training import food_data, food_model, report
from training.data import stratified
from training.device import device
from training.exam import sit
from training.food import Config, slot
from training.food_augment import augment, draws, mixed
from training.food_data import Pictures, Store
from training.food_model import Looks, find
from training.food_score import exam, frozen_features, half, load, predict
from training.loop import Lesson, fit, read_state
from training.recipe import Metrics, SettingsError
from training.run import Run, Stopped, write_json

MARGIN = 1.15    # training pictures are kept so much larger than the network sees, so that crops stay sharp
LONG = 3600      # seconds on a CPU from which a faster method is proposed


def usual(config: Config, model: nn.Module) -> Config:
    """The config with the learning rate that its method usually takes, where none was asked for."""
    if config.learning_rate:
        return config
    attends = any(hasattr(model.config, name) for name in ("num_attention_heads", "num_heads"))
    rate = {"frozen": 5e-3, "lora": 1e-3, "scratch": 1e-3, "full": 1e-4 if attends else 5e-4}[config.method]
    return dataclasses.replace(config, learning_rate=100 * rate if config.optimizer == "sgd" else rate)


def side(config: Config, size: int, epoch: int) -> int:
    """The side of an epoch's pictures: with `progressive` it grows over the first two thirds."""
    if config.progressive == "off":
        return size
    grown = min(1.0, epoch / max(1, round(config.epochs * 2 / 3)))
    return max(32, int(round(size * (0.5 + 0.5 * grown) / 8) * 8)) if size > 32 else size


# -- lessons ---------------------------------------------------------------------------------------------
def lesson(model: nn.Module, looks: Looks, part: Pictures, validation: Pictures, config: Config, run: Run) -> Lesson:
    """Pictures, cropped and varied on the device, for methods that train the backbone."""
    run.beat("preparing the pictures")
    store = Store(part, max(min(part.natural, round(MARGIN * looks.size)), 1), run.beat)
    labels = torch.from_numpy(part.labels)
    held = Store(validation, looks.size, run.beat)
    table = lru_cache(maxsize=2)(lambda epoch: draws(len(part), config.seed, epoch))
    classes, where = model.config.num_labels, device()

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor, int, int]:
        chance = config.seed * 1_000_003 + epoch * 7919 + int(indices[0])
        return (torch.from_numpy(store[indices.numpy()]), labels[indices], table(epoch)[indices],
                side(config, looks.size, epoch), chance)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, int, int], piece: Tensor) -> Tensor:
        pixels, truth, rows = (column[piece].to(where, non_blocking=True) for column in batch[:3])
        x = augment(pixels, rows, batch[3], config.augmentation, config.crop)
        x, shares = mixed(x, truth, classes, config.mixup, batch[4] + int(piece[0]))
        x = looks.normalised(x).contiguous(memory_format=torch.channels_last)
        logits = model(pixel_values=x).logits.float()
        return F.cross_entropy(logits, shares, label_smoothing=config.label_smoothing, reduction="sum")

    def judge() -> tuple[float, float]:
        return report.held_out(predict(model, held, looks, run), validation.labels)

    return Lesson(len(part), _checksum(part), fetch, loss, judge if len(validation) else None,
                  f"of {len(validation):,} held out of train", lambda m: _begin(m, config), clip=1.0,
                  ahead=store.packed is None or where != "cpu")


def _begin(model: nn.Module, config: Config) -> None:
    model.train()
    if config.method == "lora":  # batch statistics are weights too, and they are not to change
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def head_lesson(head: nn.Module, given: Tensor, part: Pictures, held: Tensor, validation: Pictures,
                config: Config) -> Lesson:
    """Features, computed before, for method frozen: an epoch takes seconds."""
    where = device()
    given, labels = given.to(where), torch.from_numpy(part.labels).to(where)

    def loss(model: nn.Module, batch: Tensor, piece: Tensor) -> Tensor:
        at = batch[piece].to(where)
        return F.cross_entropy(model(given[at]).float(), labels[at], label_smoothing=config.label_smoothing,
                               reduction="sum")

    @torch.no_grad()
    def judge() -> tuple[float, float]:
        head.eval()
        return report.held_out(head(held.to(where)).float().softmax(1).cpu().numpy(), validation.labels)

    return Lesson(len(part), _checksum(part), lambda indices, _: indices, loss, judge if len(validation) else None,
                  f"of {len(validation):,} held out of train")


def _checksum(part: Pictures) -> int:
    return zlib.crc32(part.labels.tobytes(), zlib.crc32(part.keys.tobytes()))


# -- the run ---------------------------------------------------------------------------------------------
def foretell(model: nn.Module, lesson: Lesson, config: Config, run: Run, accelerator: Accelerator) -> None:
    """On a CPU, before it starts: how long it will take, by two measured steps, and what would be faster."""
    if accelerator.device.type != "cpu" or not run.main:
        return
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    some, took = torch.arange(min(config.batch_size, lesson.count)), []
    for _ in range(2):
        began = time.perf_counter()
        lesson.begin(model)
        with accelerator.autocast():
            loss = lesson.loss(model, lesson.fetch(some, 0), some[:max(1, len(some) // config.accumulate)])
        loss.backward()
        took.append((time.perf_counter() - began) * config.accumulate)
    model.zero_grad(set_to_none=True)
    for name, b in model.named_buffers():
        b.copy_(buffers[name])
    seconds = min(took) * lesson.count / len(some) * config.epochs
    note = f"About {_duration(seconds)} on this CPU, by two measured steps of {min(took):.1f} s."
    if seconds > LONG and config.method != "scratch":
        # The features are computed once, forward only, which is about a third of a step.
        note += (f" Method frozen would take about {_duration(seconds / config.epochs / 3)}: stop this run and choose "
                 "it, or limit the samples.")
    run.say(note)
    run.beat(note=note)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min" if seconds > 90 else \
        f"{seconds:.0f} s"


def _refuse_what_cannot_fit(model: nn.Module, config: Config) -> None:
    """Weights, gradients and the optimizer's two averages, in bytes, against what is free. Raises SettingsError."""
    need = 16 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    free = torch.cuda.mem_get_info()[0] if device() == "cuda" else psutil.virtual_memory().available
    if need > free:
        raise SettingsError(f"Training {config.method} needs at least {need / 2**30:.1f} GB of memory, and "
                            f"{free / 2**30:.1f} GB are free. Choose method frozen or lora, or a smaller start.")


def train(config: Config, run: Run) -> Metrics:
    """Trains, writes run.staging and the report; a stopped run is published unscored, at once."""
    transformers.utils.logging.disable_progress_bar()
    accelerator = Accelerator(cpu=device() == "cpu", mixed_precision="bf16" if half(config) else "no")
    run.beat("loading the data")
    data = load(config.dataset, config.source, config.folder)
    for problem in data.problems[:20]:
        run.say(f"note: {problem}")
    part, validation = food_data.holdout(data.train, config.holdout)
    part = part[stratified(part.labels, config.limit, config.seed)]
    base, revision = find(config, run.path.parent)
    model, looks = food_model.build(config, base, data.classes)
    config = usual(config, model)
    run.record(slot=slot(config), base=base.id if base else config.arch, base_revision=revision, data=data.about,
               revision=data.revision, learning_rate=config.learning_rate,
               pictures={"train": len(part), "held out": len(validation), "test": len(data.test)})
    seen = len(np.unique(part.labels))
    run.say(f"{len(part):,} training pictures of {seen} of {len(data.classes)} classes (chance: "
            f"{1 / len(data.classes):.1%}), {len(validation):,} held out of them; test: {data.about}")
    try:
        model, reached = _taught(model, looks, part, validation, config, run, accelerator)
    except Stopped:  # while the features were computed
        return {"stopped": True}
    if not run.main:
        return {}
    if not reached["step"]:
        return {"stopped": True}
    run.beat("saving", step=reached["step"], total=reached["total"])
    model.config.trained_on = data.name
    (model.half() if config.store == "float16" else model).cpu().save_pretrained(run.staging)
    looks.processor().save_pretrained(run.staging)
    metrics: Metrics = {"step": reached["step"], "total": reached["total"], "stopped": reached["stopped"],
                        "held_out_score": reached["best"]}
    if not reached["stopped"]:
        try:
            metrics = {**sit(exam(config, data), run, base, slot(config)), **metrics}
        except Stopped:
            metrics["stopped"] = True
    write_json(run.report / "metrics.json", metrics)
    return metrics


def _taught(model: nn.Module, looks: Looks, part: Pictures, validation: Pictures, config: Config, run: Run,
            accelerator: Accelerator) -> tuple[nn.Module, dict[str, Any]]:
    """The network after training by the config's method, and what was reached."""
    if config.method == "frozen":
        with accelerator.local_main_process_first():
            given, held = (frozen_features(model, looks, p, run) for p in (part, validation))
        learner = food_model.head(model)
        taught = head_lesson(learner, given, part, held, validation, config)
    else:
        learner = food_model.with_lora(model, config.lora_rank) if config.method == "lora" else model
        _refuse_what_cannot_fit(learner, config)
        learner.to(accelerator.device, memory_format=torch.channels_last)
        taught = lesson(learner, looks, part, validation, config, run)
        foretell(learner, taught, config, run, accelerator)
        if config.compile == "on":
            learner.compile()
    run.beat("training")
    reached = fit(accelerator.prepare(learner), taught, food_model.optimizer(learner, config), config, run,
                  accelerator, read_state(run))
    return food_model.merged(learner) if config.method == "lora" else model, reached
