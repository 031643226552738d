"""The loop that every recipe trains in: plain PyTorch with Accelerate, continued exactly, stopped
at any step.

A recipe describes its examples as a `Lesson`; `fit` does the rest, in one order: step, log, score
the held-out part after each epoch, keep the best weights, save what continuing needs, stop. Every
random draw is a function of (seed, epoch, index), so that a continued run gives the losses of an
unbroken one: exactly on the CPU.

transformers' Trainer is not used: its resume loses weights of some models silently and draws other
augmentations, and it moves every example through Python.
"""

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypedDict, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.optimizer import StateDict

from training.learn.optimizers import Optimizer
from training.learn.rate_finder import Found, find_rate
from training.recipe import SettingsError
from training.runs.batches import Stopped, batches
from training.runs.run import Run

# Batches that are sorted by length together: more of them save padding, fewer mix better.
SORTED_TOGETHER = 32
# Seconds between saves of what continuing needs, at least: within an epoch, and at the ends of
# later epochs, which may last a few milliseconds.
SAVE_EVERY = 60
SOONEST = 1

Batch = TypeVar("Batch")


class LoopConfig(Protocol):
    """What the loop reads of a recipe's config."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def schedule(self) -> str: ...
    @property
    def warmup(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def accumulate(self) -> int: ...
    @property
    def early_stopping(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass
class Lesson(Generic[Batch]):
    """What a recipe tells the loop about its examples. A batch is whatever `fetch` returns."""

    count: int  # examples of an epoch
    checksum: int  # of them: a run is continued on the same ones
    fetch: Callable[[Tensor, int], Batch]  # (indices, epoch) -> what a step on them needs
    # (model, batch, places in it) -> the loss, summed over these examples
    loss: Callable[[nn.Module, Batch, slice], Tensor]
    # Held-out score and loss; may raise Stopped. None: there is no held-out part.
    judge: Callable[[], tuple[float, float]] | None = None
    judged_on: str = ""  # what the held-out score is, in words
    # Before an epoch: what of the model is in training mode.
    set_mode: Callable[[nn.Module], object] = nn.Module.train
    clip: float = 0.0  # largest norm of the gradients; 0: any
    prefetch: bool = False  # fetch the next batch while a step runs
    order: Callable[[int], Tensor] | None = None  # epoch -> all indices; None: shuffled
    score_format: str = "{:.3f}"  # of the held-out score
    # Probabilities of the held-out part, where it has classes.
    predict: Callable[[], np.ndarray] | None = None
    one_thread: bool = False  # a step's work is too little for several


@dataclass
class Progress:
    """Where training stands; its fields are what `resume/state.pt` holds under "state"."""

    data: int  # the lesson's checksum
    epoch: int = 0  # whole ones that lie behind
    at: int = 0  # steps of this epoch that lie behind
    step: int = 0  # of all epochs
    best: float | None = None  # held-out score
    weights: dict[str, Tensor] | None = None  # those of the best score
    rate: float | None = None  # the learning rate that a test found
    stale: int = 0  # epochs without a better score


class SavedState(TypedDict):
    """What `resume/state.pt` holds."""

    model: dict[str, Tensor]
    optimizer: StateDict
    state: dict[str, Any]  # the fields of Progress


@dataclass(frozen=True)
class Outcome:
    """What a training reached."""

    step: int
    total: int
    stopped: bool  # it was asked to stop before its end
    best: float | None  # held-out score
    found: Found | None = None  # the learning rate, where a test was to find it


class StopSignal:
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
        flag = torch.tensor(float(here), device=self.accelerator.device)
        return bool(_sum(flag, self.accelerator) > 0)


def _sum(value: Tensor, accelerator: Accelerator) -> Tensor:
    """Over all processes."""
    found = accelerator.reduce(value, "sum")
    assert isinstance(found, Tensor)  # it takes, and returns, whole structures of tensors too
    return found


# -- schedule and order ----------------------------------------------------------------------------
def rate_factor(config: LoopConfig, done: float) -> float:
    """The share of the peak learning rate at `done` (0 to 1) of all steps."""
    if done < config.warmup:
        return max(done / config.warmup, 0.02)
    left = (1 - done) / (1 - config.warmup)
    shapes = {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}
    return shapes[config.schedule]


def set_seed(number: int, where: torch.device) -> None:
    """What torch.manual_seed does for the processor and for `where`. It also formats a traceback
    for every kind of accelerator that there is not, which took a third of a step of method frozen.
    """
    torch.default_generator.manual_seed(number)
    if where.type != "cpu":
        torch.get_device_module(where).manual_seed(number)


def shuffle(count: int, seed: int, epoch: int) -> Tensor:
    """(count,) all indices in the order of this epoch."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def order_by_length(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> Tensor:
    """All indices, so that each batch in a row holds examples of like length; the batches come in
    any order."""
    order = shuffle(len(lengths), seed, epoch)
    pieces: list[Tensor] = []
    for part in order.split(SORTED_TOGETHER * batch):
        part = part[np.argsort(lengths[part.numpy()], kind="stable")]
        pieces += list(part.split(batch))
    whole = [piece for piece in pieces if len(piece) == batch]
    rest = [piece for piece in pieces if len(piece) < batch]
    mixed = [whole[i] for i in shuffle(len(whole), seed + 1, epoch)]
    return torch.cat(mixed + rest)


def split_into_steps(order: Tensor, batch: int, world: int) -> list[Tensor]:
    """The epoch's batches. A last one too small to give every process an example joins the one
    before."""
    parts = list(order.split(batch))
    if len(parts) > 1 and len(parts[-1]) < world:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def fetch_all(
    fetch: Callable[[Tensor], Batch], parts: Iterable[Tensor], prefetch: bool
) -> Generator[Batch, None, None]:
    """`fetch` of each part; with `prefetch` the next one in a thread while the caller works on
    this one."""
    if not prefetch:
        yield from map(fetch, parts)
        return
    with ThreadPoolExecutor(1, "fetch") as pool:
        waiting: deque[Future[Batch]] = deque()
        for part in parts:
            waiting.append(pool.submit(fetch, part))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# -- what continuing needs -------------------------------------------------------------------------
def write_state(folder: Path, state: SavedState) -> None:
    """Whole or not at all."""
    partial = folder / "state.partial"
    # Opened here, since a full disk is then an OSError; torch's own writer says something obscure.
    with open(partial, "wb") as file:
        torch.save(state, file)
    partial.replace(folder / "state.pt")


def read_state(run: Run) -> SavedState | None:
    """What an earlier run left for this one to go on from."""
    if not (run.resume / "state.pt").exists():
        return None
    saved = torch.load(run.resume / "state.pt", map_location="cpu", weights_only=True)
    run.say(f"continuing at step {saved['state']['step']}")
    return saved


# -- the loop --------------------------------------------------------------------------------------
def fit(
    model: nn.Module,
    lesson: Lesson,
    optimizer: Optimizer,
    config: LoopConfig,
    learning_rate: float,
    run: Run,
    accelerator: Accelerator,
    saved: SavedState | None = None,
    cap: float = 0.0,
) -> Outcome:
    """Trains `model`, as Accelerate prepared it, in place. `saved` is what an earlier run left
    (`read_state`); with a `cap` a test finds the learning rate, which is at most that. Raises
    SettingsError where it cannot go on from there, or where the loss is no longer a number."""
    few = lesson.one_thread and accelerator.device.type == "cpu"
    with _one_thread() if few else nullcontext():
        loop = _Fit(model, lesson, optimizer, config, learning_rate, run, accelerator)
        if saved:
            loop.go_on_from(saved)
        found = loop.find_rate(cap) if cap and loop.progress.rate is None else None
        return replace(loop.train(), found=found)


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
        model: nn.Module,
        lesson: Lesson,
        optimizer: Optimizer,
        config: LoopConfig,
        learning_rate: float,
        run: Run,
        accelerator: Accelerator,
    ):
        self.model = model
        self.bare = accelerator.unwrap_model(model)  # without what distributes it
        self.lesson = lesson
        self.optimizer = optimizer
        self.config = config
        self.learning_rate = learning_rate
        self.run = run
        self.accelerator = accelerator
        self.world = accelerator.num_processes
        self.rank = accelerator.process_index
        steps = split_into_steps(torch.arange(lesson.count), config.batch_size, self.world)
        self.total = len(steps) * config.epochs
        self.should_stop = StopSignal(run, accelerator)
        self.log_every = max(1, self.total // 400)
        self.saved_at = time.monotonic()
        self.saving = 0.0  # seconds that the last save took
        self.progress = Progress(lesson.checksum)

    def go_on_from(self, saved: SavedState) -> None:
        """Raises SettingsError on other examples, or on another network."""
        progress = Progress(**saved["state"])
        if progress.data != self.lesson.checksum:
            raise SettingsError(
                "The training examples are not those that this run began with, so it cannot be "
                "continued. Start a new run from its checkpoint."
            )
        try:
            self.bare.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise SettingsError(
                "What this run saved does not fit the network and optimizer of this version, so "
                "it cannot be continued. Start a new run from its checkpoint."
            ) from error
        self.progress = progress
        self.learning_rate = progress.rate or self.learning_rate

    def find_rate(self, cap: float) -> Found | None:
        """Tests rates, and goes on with the best one. None where a stop was asked for."""
        self.run.beat("testing learning rates")
        parts = split_into_steps(
            shuffle(self.lesson.count, self.config.seed, 0), self.config.batch_size, self.world
        )
        endless = itertools.cycle(part[self.rank :: self.world] for part in parts)
        wholes = itertools.cycle(len(part) for part in parts)
        ready = fetch_all(lambda part: self.lesson.fetch(part, 0), endless, self.lesson.prefetch)
        self.lesson.set_mode(self.bare)
        counts = itertools.cycle(len(part[self.rank :: self.world]) for part in parts)

        def take_step(rate: float) -> float:
            self.run.beat()
            if self.should_stop():
                raise Stopped
            whole = next(wholes)
            loss = self._take_step(next(ready), next(counts), whole, rate)
            return float(loss)

        try:
            found = find_rate(self.bare, self.optimizer, take_step, cap)
        except Stopped:  # before the first step: `train` says so
            return None
        finally:
            ready.close()
        self.learning_rate = self.progress.rate = found.rate
        self.run.record(learning_rate=found.rate)
        why = "the most for this method" if found.capped else "a tenth of that"
        self.run.say(
            f"learning rate by a test: the loss was least at {found.least:.2g}; taken: "
            f"{found.rate:.2g}, {why}"
        )
        self.run.beat("training")
        return found

    def train(self) -> Outcome:
        now = self.progress
        asked = False
        early = False
        while now.epoch < self.config.epochs and not (asked or early):
            asked = self._run_epoch(now.epoch)
            if not asked:
                asked, early = self._end_epoch()
            last = asked or early or now.epoch in (1, self.config.epochs)
            if last or self._is_due(SOONEST):
                self._save()
        if now.weights is not None:
            self.bare.load_state_dict(now.weights)
        stopped = asked and not early and now.step < self.total
        return Outcome(now.step, self.total, stopped, now.best)

    def _end_epoch(self) -> tuple[bool, bool]:
        """Scores the held-out part. Returns whether a stop was asked for, and whether to stop
        early."""
        now = self.progress
        try:
            enough = self._judge()
            asked = False
        except Stopped:  # in the midst of scoring: the epoch is scored when the run is continued
            enough = False
            asked = True
        asked = self.should_stop.any(asked)
        early = False
        if not asked:
            now.epoch += 1
            now.at = 0
            # Rank 0's word counts: the others' batch statistics, and so their scores, may differ.
            early = self.should_stop.any(enough and self.run.main)
            asked = self.should_stop()
        return asked, early

    def _run_epoch(self, epoch: int) -> bool:
        """The rest of an epoch's steps; True if it was left because a stop was asked for."""
        lesson = self.lesson
        now = self.progress
        if lesson.order:
            order = lesson.order(epoch)
        else:
            order = shuffle(lesson.count, self.config.seed, epoch)
        wholes = split_into_steps(order, self.config.batch_size, self.world)[now.at :]
        mine = [whole[self.rank :: self.world] for whole in wholes]
        ready = fetch_all(lambda part: lesson.fetch(part, epoch), mine, lesson.prefetch)
        lesson.set_mode(self.bare)
        for whole, part in zip(wholes, mine, strict=True):
            if self.should_stop():
                return True
            loss = self._take_step(next(ready), len(part), len(whole))
            now.step += 1
            now.at += 1
            if now.step % self.log_every == 0 or now.step == self.total:
                self._log(epoch, loss)
            if self._is_due(SAVE_EVERY):
                self._save()
        return False

    def _take_step(self, batch: Any, count: int, whole: int, rate: float | None = None) -> Tensor:
        """One optimizer step over this process's `count` examples of a batch of `whole`, at the
        schedule's rate or at this one; returns the batch's loss."""
        config = self.config
        accelerator = self.accelerator
        step = self.progress.step
        # Dropout's draws: of this step and this process alone, so that a continued run draws alike.
        set_seed((config.seed * 1_000_003 + step) * self.world + self.rank, accelerator.device)
        if rate is None:
            rate = self.learning_rate * rate_factor(config, step / self.total)
        self.optimizer.set_rates(rate, config.weight_decay)
        loss: Any = 0.0
        pieces = list(batches(count, math.ceil(count / config.accumulate)))
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            # The processes exchange gradients once a step, with the last piece.
            apart = nullcontext() if last else accelerator.no_sync(self.model)
            with apart, accelerator.autocast():
                # Gradients are averaged over the processes: scaled so that every example of the
                # batch weighs alike.
                part = self.lesson.loss(self.model, batch, piece) * (self.world / whole)
                accelerator.backward(part)
            loss = loss + part.detach() / self.world
        if self.lesson.clip:
            accelerator.clip_grad_norm_(self.model.parameters(), self.lesson.clip)
        self.optimizer.step()
        self.bare.zero_grad()
        return loss if self.world == 1 else _sum(loss, accelerator)

    def _log(self, epoch: int, loss: Tensor) -> None:
        step = self.progress.step
        if not math.isfinite(loss):
            raise SettingsError(
                f"At step {step} the loss is no longer a number. Lower the learning rate "
                f"({self.learning_rate:g}), or lengthen the warm-up."
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
        now = self.progress
        lesson = self.lesson
        epoch = now.epoch + 1
        if lesson.judge is None:
            self.run.say(f"epoch {epoch}/{self.config.epochs}")
            return False
        score, loss = lesson.judge()
        self.run.log(
            step=now.step,
            total=self.total,
            epoch=epoch,
            score=round(score, 6),
            score_loss=round(loss, 6),
        )
        shown = lesson.score_format.format(score)
        self.run.say(f"epoch {epoch}/{self.config.epochs}: {shown} {lesson.judged_on}")
        if now.best is None or score >= now.best:
            weights = self.bare.state_dict()
            now.weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
            now.best = score
            now.stale = 0
            return False
        now.stale += 1
        if self.config.early_stopping and now.stale >= self.config.early_stopping:
            self.run.say(f"stopped early: no better score in {now.stale} epochs")
            return True
        return False

    def _is_due(self, least: float) -> bool:
        """Whether `least` seconds have gone by without a save; after a slow one it takes longer,
        since a large model on a slow disk must spend a twentieth of its time on being saved, at
        most."""
        return time.monotonic() - self.saved_at > max(least, 20 * self.saving)

    def _save(self) -> None:
        if self.run.main:
            began = time.monotonic()
            state: SavedState = {
                "model": self.bare.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                # asdict() would copy every tensor
                "state": vars(self.progress).copy(),
            }
            write_state(self.run.resume, state)
            self.saving = time.monotonic() - began
        self.saved_at = time.monotonic()
