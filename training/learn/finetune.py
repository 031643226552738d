"""Fine-tuning a network, whatever its examples are: from the data to the published checkpoint and
its report. A recipe describes its own part as a `Task`.
"""

import contextlib
import dataclasses
import time
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers
from accelerate import Accelerator
from torch import nn

from training.data.examples import Data, Examples, holdout
from training.data.splits import stratified
from training.device import device, has_bf16
from training.judge import calibration
from training.learn import backbone
from training.learn.loop import Lesson, fit, read_state
from training.recipe import Metrics, SettingsError
from training.runs.batches import Stopped
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run, write_json

LONG = 3600  # seconds on a CPU from which a faster method is proposed


class Task(ABC):
    """A recipe's own part. `config` is the recipe's; `eye` is how its network prepares an
    example."""

    things: str  # "pictures"
    slot: str

    def __init__(self, config: Any, run: Run):
        self.config = config
        self.run = run

    @abstractmethod
    def load(self) -> Data:
        """Raises SettingsError."""

    @abstractmethod
    def build(self, base: Checkpoint | None, data: Data) -> tuple[nn.Module, Any]:
        """The network, float32, and its eye. Raises SettingsError."""

    @abstractmethod
    def lesson(self, learner: nn.Module, eye: Any, part: Examples, validation: Examples) -> Lesson:
        """For methods that train the backbone."""

    @abstractmethod
    def frozen_lesson(
        self, model: nn.Module, eye: Any, part: Examples, validation: Examples
    ) -> tuple[nn.Module, Lesson]:
        """For method frozen: what learns, and how, on features that are computed once. Raises
        Stopped."""

    @abstractmethod
    def described(self, part: Examples, validation: Examples, data: Data) -> str:
        """What it is trained on, as a line of the log."""

    @abstractmethod
    def examine(self, data: Data, base: Checkpoint | None) -> Metrics:
        """The report on run.staging, the test part read once. Raises Stopped."""

    def find(self) -> tuple[Checkpoint | None, str]:
        """The checkpoint to start from, and its revision. Raises SettingsError, CheckpointError."""
        return backbone.find(self.config, self.run.path.parent, self.slot)

    def begins_with(self, base: Checkpoint | None) -> str:
        """What the run starts from, in a word or two."""
        return base.id if base else self.config.arch

    def lora(self, model: nn.Module) -> nn.Module:
        return backbone.with_lora(model, self.config.lora_rank)

    def head(self, model: nn.Module) -> nn.Module:
        """What makes classes of features: a part of the model itself."""
        return backbone.head(model)

    def around(self, learner: nn.Module) -> nn.Module:
        """What learns beside the network and is not published, around it."""
        return learner

    def told(self, model: nn.Module, eye: Any, part: Examples, data: Data) -> list[str]:
        """What a person should know before it starts. Raises SettingsError."""
        return []

    def save(self, model: nn.Module, eye: Any, staging: Path) -> None:
        (model.half() if self.config.store == "float16" else model).save_pretrained(staging)
        eye.processor().save_pretrained(staging)

    def half(self) -> bool:
        """Whether it trains in half precision."""
        return has_bf16() if self.config.bf16 == "auto" else self.config.bf16 == "on"

    def speed(self) -> float:
        """How much longer a usual step is than a step of the first epoch."""
        return 1.0


def checksum(part: Examples) -> int:
    return zlib.crc32(part.labels.tobytes(), zlib.crc32(part.keys.tobytes()))


# -- the run ---------------------------------------------------------------------------------------
def foretell(
    model: nn.Module, lesson: Lesson, task: Task, accelerator: Accelerator, done: int
) -> None:
    """On a CPU, before it starts: how long it will take from step `done` on, by two measured steps,
    and what would be faster. All processes measure, so that they are in each other's way as they
    will be."""
    config = task.config
    run = task.run
    if accelerator.device.type != "cpu":
        return
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    batch = min(config.batch_size, lesson.count)
    some = torch.arange(max(1, batch // accelerator.num_processes))
    took = []
    for _ in range(2):
        began = time.perf_counter()
        lesson.begin(model)
        with accelerator.autocast():
            loss = lesson.loss(
                model, lesson.fetch(some, 0), slice(0, max(1, len(some) // config.accumulate))
            )
        loss.backward()
        took.append((time.perf_counter() - began) * config.accumulate)
    model.zero_grad()
    for name, b in model.named_buffers():
        b.copy_(buffers[name])
    left = max(0, lesson.count / batch * config.epochs - done)
    seconds = min(took) * task.speed() * left
    note = f"About {_duration(seconds)} on this CPU, by two measured steps of {min(took):.1f} s."
    if seconds > LONG and config.method != "scratch":
        # The features are computed once, forward only, which is about a third of a step.
        note += (
            f" Method frozen would take about {_duration(seconds / config.epochs / 3)}: stop this "
            "run and choose it, or limit the samples."
        )
    run.say(note)
    run.beat(note=note)


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds > 5400
        else f"{seconds / 60:.0f} min"
        if seconds > 90
        else f"{seconds:.0f} s"
    )


def _refuse_what_cannot_fit(model: nn.Module, method: str) -> None:
    """Weights, gradients and the optimizer's two averages, in bytes, against what is free. Raises
    SettingsError."""
    need = 16 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    free = torch.cuda.mem_get_info()[0] if device() == "cuda" else psutil.virtual_memory().available
    if need > free:
        raise SettingsError(
            f"Training {method} needs at least {need / 2**30:.1f} GB of memory, and "
            f"{free / 2**30:.1f} GB are free. Choose method frozen or lora, or a smaller start."
        )


def train(task: Task) -> Metrics:
    """Trains, writes run.staging and the report; a stopped run is published unscored, at once."""
    config = task.config
    run = task.run
    transformers.utils.logging.disable_progress_bar()
    accelerator = Accelerator(
        cpu=device() == "cpu", mixed_precision="bf16" if task.half() else "no"
    )
    run.beat("loading the data")
    data = task.load()
    for problem in data.problems[:20]:
        run.say(f"note: {problem}")
    part, validation = holdout(data.train, config.holdout)
    part = part[stratified(part.labels, config.limit, config.seed)]
    base, revision = task.find()
    if config.keep and (config.method != "full" or base is None):
        raise SettingsError(
            "keep mixes in the start's weights: it goes with method full, and a checkpoint to "
            "start from."
        )
    model, eye = task.build(base, data)
    task.config = config = dataclasses.replace(
        config, learning_rate=backbone.usual_rate(config, model)
    )
    run.record(
        slot=task.slot,
        base=task.begins_with(base),
        base_revision=revision,
        data=data.about,
        revision=data.revision,
        learning_rate=config.learning_rate,
        **{task.things: {"train": len(part), "held out": len(validation), "test": len(data.test)}},
    )
    run.say(task.described(part, validation, data))
    for note in task.told(model, eye, part, data):
        run.say(f"note: {note}")
    try:
        model, reached = _taught(task, model, eye, base, part, validation, accelerator)
    except Stopped:  # while the features were computed
        return {"stopped": True}
    if not run.main:
        return {}
    if not reached["step"]:
        return {"stopped": True}
    run.beat("saving", step=reached["step"], total=reached["total"])
    model.config.trained_on = data.name
    task.save(model.cpu(), eye, run.staging)
    metrics: Metrics = {
        "step": reached["step"],
        "total": reached["total"],
        "stopped": reached["stopped"],
        "held_out_score": reached["best"],
    }
    if not reached["stopped"]:
        try:
            metrics = {**task.examine(data, base), **metrics}
        except Stopped:
            metrics["stopped"] = True
    write_json(run.report / "metrics.json", metrics)
    return metrics


def _taught(
    task: Task,
    model: nn.Module,
    eye: Any,
    base: Checkpoint | None,
    part: Examples,
    validation: Examples,
    accelerator: Accelerator,
) -> tuple[nn.Module, dict[str, Any]]:
    """The network after training by the config's method, and what was reached."""
    config = task.config
    run = task.run
    saved = read_state(task.run)
    if config.method == "frozen":
        with accelerator.local_main_process_first():
            learner, taught = task.frozen_lesson(model, eye, part, validation)
    else:
        backbone.quicken(model, accelerator, config.compile == "on")
        inner = task.lora(model) if config.method == "lora" else model
        learner = task.around(inner)
        _refuse_what_cannot_fit(learner, config.method)
        learner.to(accelerator.device)
        taught = task.lesson(learner, eye, part, validation)
        foretell(learner, taught, task, accelerator, saved["state"]["step"] if saved else 0)
        if config.compile == "on":
            learner.compile()
    run.beat("training")
    reached = fit(
        accelerator.prepare(learner),
        taught,
        backbone.optimizer(learner, config),
        config,
        run,
        accelerator,
        saved,
    )
    if config.keep and base:
        backbone.mix(model, base, config.keep)
        if taught.judge and not reached["stopped"]:
            with contextlib.suppress(Stopped):  # it is published all the same
                reached["best"] = taught.judge()[0]
                run.say(
                    f"with {config.keep:.0%} of the start: {taught.tell.format(reached['best'])} "
                    f"{taught.judged_on}"
                )
    heat = 1.0
    if taught.answers and run.main and not reached["stopped"]:
        with contextlib.suppress(Stopped):
            heat = calibration.temperature(taught.answers(), validation.labels)
    if config.method == "lora":
        model = backbone.merged(inner)
    with contextlib.suppress(SettingsError):  # a head that is not known stays as sure as it is
        if heat != 1.0 and calibration.cool(task.head(model), heat):
            run.say(
                f"confidence fitted to the {len(validation):,} held out: logits divided by "
                f"{heat:.2f}"
            )
    return model, reached
