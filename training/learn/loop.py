"""The loop that every recipe trains in: plain PyTorch with Accelerate, continued exactly, stopped
at any step.

A recipe describes its examples as a `Lesson`; `fit` does the rest: order, steps, schedule, the
held-out score after each epoch, the best weights, stopping, and what continuing needs. Every random
draw is a function of (seed, epoch, index), so that a continued run gives the losses of an unbroken
one: exactly on the CPU.

transformers' Trainer is not used: its resume loses weights of some models silently and draws other
augmentations, and it moves every example through Python.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from training.recipe import SettingsError
from training.runs.batches import Stopped, batches
from training.runs.run import Run

ROUND = 32  # batches that are sorted by length together: more saves padding, fewer mixes better
SAVE_EVERY = 60  # seconds between saves of what continuing needs, within an epoch, at least
# seconds between saves at the ends of later epochs, at least: they may last a few milliseconds
SOONEST = 1


@dataclass
class Lesson:
    """What a recipe tells the loop about its examples."""

    count: int  # examples of an epoch
    data: int  # a checksum of them: a run is continued on the same ones
    fetch: Callable[[Tensor, int], Any]  # (indices, epoch) -> what a step on them needs
    loss: Callable[
        [Any, Any, slice], Tensor
    ]  # (model, fetched, places in it) -> loss, summed over these
    judge: Callable[[], tuple[float, float]] | None = (
        None  # held-out score and loss; may raise Stopped
    )
    judged_on: str = ""  # what the held-out score is, in words
    begin: Callable[[Any], Any] = (
        torch.nn.Module.train
    )  # before an epoch: what of the model is in training mode
    clip: float = 0.0  # largest norm of the gradients; 0: any
    ahead: bool = False  # fetch the next batch while a step runs
    order: Callable[[int], Tensor] | None = None  # epoch -> all indices; None: shuffled
    tell: str = "{:.2%}"  # how a score is written
    answers: Callable[[], np.ndarray] | None = (
        None  # probabilities of the held-out part, where it has classes
    )
    light: bool = False  # a step's work is too little for several threads


class Stop:
    """Whether to stop: what one process knows is told to all, so that they leave the loop at one
    step."""

    def __init__(self, run: Run, accelerator: Accelerator):
        self.run = run
        self.accelerator = accelerator

    def __call__(self) -> bool:
        return self.any(self.run.should_stop())

    def any(self, here: bool) -> bool:
        """Whether it is so in any of the processes."""
        if self.accelerator.num_processes == 1:
            return here
        return bool(
            self.accelerator.reduce(
                torch.tensor(float(here), device=self.accelerator.device), "sum"
            )
            > 0
        )


def rate(config: Any, done: float) -> float:
    """The share of the learning rate at `done` (0 to 1) of all steps."""
    if done < config.warmup:
        return max(done / config.warmup, 0.02)
    left = (1 - done) / (1 - config.warmup)
    return {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[
        config.schedule
    ]


def set_seed(number: int, where: torch.device) -> None:
    """What torch.manual_seed does for the processor and for `where`. It also formats a traceback
    for every kind of accelerator that there is not, which took a third of a step of method frozen.
    """
    torch.default_generator.manual_seed(number)
    if where.type != "cpu":
        torch.get_device_module(where).manual_seed(number)


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def by_length(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> Tensor:
    """All indices, so that each batch in a row holds clips of like length; the batches come in any
    order."""
    order = shuffled(len(lengths), seed, epoch)
    pieces = []
    for part in order.split(ROUND * batch):
        part = part[np.argsort(lengths[part.numpy()], kind="stable")]
        pieces += list(part.split(batch))
    whole = [p for p in pieces if len(p) == batch]
    mixed = [whole[i] for i in shuffled(len(whole), seed + 1, epoch)]
    return torch.cat(mixed + [p for p in pieces if len(p) < batch])


def steps_of(order: Tensor, batch: int, world: int) -> list[Tensor]:
    """The epoch's batches. A last one too small to give every process an example joins the one
    before."""
    parts = list(order.split(batch))
    if len(parts) > 1 and len(parts[-1]) < world:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def fetched(fetch: Callable[[Tensor], Any], parts: Iterable[Tensor], ahead: bool) -> Iterator[Any]:
    """`fetch` of each part, with `ahead` the next one in a thread while the caller works on this
    one."""
    if not ahead:
        yield from map(fetch, parts)
        return
    with ThreadPoolExecutor(1, "fetch") as pool:
        waiting: deque[Any] = deque()
        for part in parts:
            waiting.append(pool.submit(fetch, part))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """What continuing needs, whole or not at all."""
    partial = folder / "state.partial"
    with open(
        partial, "wb"
    ) as file:  # a full disk is then an OSError; torch's own writer says something obscure
        torch.save(state, file)
    partial.replace(folder / "state.pt")


def read_state(run: Run) -> dict[str, Any] | None:
    """What an earlier run left for this one to go on from."""
    if not (run.resume / "state.pt").exists():
        return None
    saved = torch.load(run.resume / "state.pt", map_location="cpu", weights_only=True)
    run.say(f"continuing at step {saved['state']['step']}")
    return saved


def fit(
    model: Any,
    lesson: Lesson,
    optimizer: torch.optim.Optimizer,
    config: Any,
    run: Run,
    accelerator: Accelerator,
    saved: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains in place; returns what was reached: {epoch, step, total, stopped, best}.

    `config` has the fields that the recipes share: epochs, batch_size, learning_rate, schedule,
    warmup, weight_decay, accumulate, early_stopping and seed."""
    with _one_thread() if lesson.light and accelerator.device.type == "cpu" else nullcontext():
        return _Fit(model, lesson, optimizer, config, run, accelerator, saved).go()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Fit:
    def __init__(
        self,
        model: Any,
        lesson: Lesson,
        optimizer: torch.optim.Optimizer,
        config: Any,
        run: Run,
        accelerator: Accelerator,
        saved: dict[str, Any] | None,
    ):
        self.model = model
        self.bare = accelerator.unwrap_model(model)
        self.lesson = lesson
        self.optimizer = optimizer
        self.config = config
        self.run = run
        self.accelerator = accelerator
        self.world = accelerator.num_processes
        self.rank = accelerator.process_index
        self.per_epoch = len(steps_of(torch.arange(lesson.count), config.batch_size, self.world))
        self.total = self.per_epoch * config.epochs
        self.stop = Stop(run, accelerator)
        self.log_every = max(1, self.total // 400)
        self.saved_at = time.monotonic()
        self.saving = 0.0
        self.state = self._begin(saved)

    def _begin(self, saved: dict[str, Any] | None) -> dict[str, Any]:
        """Where training stands: at the start, or where `saved` left it. Raises SettingsError on
        other examples."""
        if not saved:
            return {
                "epoch": 0,
                "at": 0,
                "step": 0,
                "best": None,
                "weights": None,
                "stale": 0,
                "data": self.lesson.data,
            }
        if saved["state"]["data"] != self.lesson.data:
            raise SettingsError(
                "The training examples are not those that this run began with, so it cannot be "
                "continued. Start a new run from its checkpoint."
            )
        self.bare.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        return saved["state"]

    def go(self) -> dict[str, Any]:
        state = self.state
        asked = False
        early = False
        while state["epoch"] < self.config.epochs and not (asked or early):
            asked = self._epoch(state["epoch"])
            if not asked:
                try:
                    judged = self._judge()
                except (
                    Stopped
                ):  # in the midst of scoring: the epoch is scored when the run is continued
                    judged = False
                    asked = True
                asked = self.stop.any(asked)
                if not asked:
                    state["epoch"], state["at"] = state["epoch"] + 1, 0
                    # Only rank 0 judges: the others' batch statistics, and so their scores, may
                    # differ.
                    early = self.stop.any(judged and self.run.main)
                    asked = self.stop()
            ends = asked or early or state["epoch"] in (1, self.config.epochs)
            if ends or self._due(SOONEST):
                self._save()
        if state["weights"] is not None:
            self.bare.load_state_dict(state["weights"])
        return {
            **state,
            "total": self.total,
            "stopped": asked and not early and state["step"] < self.total,
        }

    def _epoch(self, epoch: int) -> bool:
        """The rest of an epoch's steps; True if it was left because a stop was asked for."""
        lesson = self.lesson
        state = self.state
        order = (
            lesson.order(epoch) if lesson.order else shuffled(lesson.count, self.config.seed, epoch)
        )
        wholes = steps_of(order, self.config.batch_size, self.world)[state["at"] :]
        mine = [whole[self.rank :: self.world] for whole in wholes]
        ready = fetched(lambda part: lesson.fetch(part, epoch), mine, lesson.ahead)
        lesson.begin(self.bare)
        for whole, part in zip(wholes, mine, strict=True):
            if self.stop():
                return True
            loss = self._step(next(ready), len(part), len(whole))
            state["step"] += 1
            state["at"] += 1
            if state["step"] % self.log_every == 0 or state["step"] == self.total:
                self._log(epoch, loss)
            if self._due(SAVE_EVERY):
                self._save()
        return False

    def _step(self, batch: Any, count: int, whole: int) -> Tensor:
        """One optimizer step over this process's `count` examples of a batch of `whole`; returns
        the batch's loss."""
        config = self.config
        accelerator = self.accelerator
        step = self.state["step"]
        set_seed(
            (config.seed * 1_000_003 + step) * self.world + self.rank, accelerator.device
        )  # dropout's draws
        for group in self.optimizer.param_groups:
            group["lr"] = (
                config.learning_rate * rate(config, step / self.total) * group.get("scale", 1.0)
            )
            if group.get("decays", True):
                group["weight_decay"] = config.weight_decay
        loss: Any = 0.0
        pieces = list(batches(count, math.ceil(count / config.accumulate)))
        for i, piece in enumerate(pieces):
            with (
                nullcontext() if i == len(pieces) - 1 else accelerator.no_sync(self.model),
                accelerator.autocast(),
            ):
                # The processes' gradients are averaged: scaled so that every example of the batch
                # weighs alike.
                part = self.lesson.loss(self.model, batch, piece) * (self.world / whole)
                accelerator.backward(part)
            loss = loss + part.detach() / self.world
        if self.lesson.clip:
            accelerator.clip_grad_norm_(self.model.parameters(), self.lesson.clip)
        self.optimizer.step()
        self.bare.zero_grad()
        return loss if self.world == 1 else accelerator.reduce(loss, "sum")

    def _log(self, epoch: int, loss: Tensor) -> None:
        step = self.state["step"]
        if not math.isfinite(loss):
            raise SettingsError(
                f"At step {step} the loss is no longer a number. Lower the learning rate "
                f"({self.config.learning_rate:g}), or lengthen the warm-up."
            )
        self.run.log(
            step=step,
            total=self.total,
            epoch=epoch + 1,
            loss=round(float(loss), 6),
            seen=step * self.config.batch_size,
        )

    def _judge(self) -> bool:
        """Scores the held-out part, keeps the best weights; True to stop early."""
        state = self.state
        epochs = self.config.epochs
        epoch = state["epoch"] + 1
        if self.lesson.judge is None:
            self.run.say(f"epoch {epoch}/{epochs}")
            return False
        score, loss = self.lesson.judge()
        self.run.log(
            step=state["step"],
            total=self.total,
            epoch=epoch,
            score=round(score, 6),
            score_loss=round(loss, 6),
        )
        self.run.say(
            f"epoch {epoch}/{epochs}: {self.lesson.tell.format(score)} {self.lesson.judged_on}"
        )
        if state["best"] is None or score >= state["best"]:
            state["best"], state["stale"] = score, 0
            state["weights"] = {
                k: v.detach().cpu().clone() for k, v in self.bare.state_dict().items()
            }
            return False
        state["stale"] += 1
        if self.config.early_stopping and state["stale"] >= self.config.early_stopping:
            self.run.say(f"stopped early: no better score in {state['stale']} epochs")
            return True
        return False

    def _due(self, least: float) -> bool:
        """Whether `least` seconds have gone by without a save; after a slow one it takes longer,
        since a large model on a slow disk must spend a twentieth of its time on being saved, at
        most."""
        return time.monotonic() - self.saved_at > max(least, 20 * self.saving)

    def _save(self) -> None:
        if self.run.main:
            began = time.monotonic()
            write_state(
                self.run.resume,
                {
                    "model": self.bare.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "state": self.state,
                },
            )
            self.saving = time.monotonic() - began
        self.saved_at = time.monotonic()
