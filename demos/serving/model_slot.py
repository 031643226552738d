"""The place in a demo tab that holds the checkpoint now answering, and how another one takes it.

A swap loads the new checkpoint beside the old, checks it, predicts once, and then replaces one
reference: requests under way finish on the model that they started with, and every answer names its
checkpoint. If anything is wrong the old one stays, and a SwapError says what.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from demos.serving.loading import SwapError
from demos.serving.offers import Offer
from demos.serving.shelf import Shelf, size_of
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint, CheckpointError
from training.runs.index import Times, take_times
from training.runs.job import explain
from training.runs.run import Run

if TYPE_CHECKING:  # the page starts without torch
    from torch import nn

# One load at a time in all slots: threads that import transformers for the first time at once find
# it half made.
LOADING = threading.Lock()
ACTIVE = (None, "", "active")  # what a person or a program sends who names no checkpoint
EMPTY = (
    "There is no model here yet. Train one in the Train tab; you can use it here as soon as "
    "training ends."
)


class Predictor(Protocol):
    """What a demo makes of a checkpoint directory. How it is asked is between the demo and it."""

    @property
    def model(self) -> "nn.Module":
        """On the device, where `load_checked` put it; a large one weighs more."""
        ...

    def check(self) -> None:
        """Answers once, to a blank input. Raises SwapError with what is wrong with the answer."""


P = TypeVar("P", bound=Predictor, covariant=True)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Held(Generic[P]):
    """A loaded checkpoint."""

    checkpoint: Checkpoint
    predictor: P
    bytes: int  # the memory that it takes

    @property
    def id(self) -> str:
        return self.checkpoint.id

    @property
    def name(self) -> str:
        return self.checkpoint.name


class ModelSlot(Generic[P]):
    def __init__(
        self,
        name: str,
        load: Callable[[Path], P],
        runs: Path,
        title: str = "",
        shelf: Shelf[Held[Any]] | None = None,
        offer: Offer | None = None,
    ):
        """`load` makes a predictor of a checkpoint's directory; slots of one app share a shelf;
        `offer`: what models of the Hub it takes."""
        self.name = name
        self.load = load
        self.runs = runs
        self.title = title or name.capitalize()
        self.offer = offer
        self.notice = ""  # what a person should know: why the choice of last time is not there
        self._held: Held[P] | None = None
        self._seen: Times = ()  # of active.json, when it was last followed
        self._shelf: Shelf[Held[P]] = shelf or Shelf()
        self._lock = threading.RLock()  # swaps and loads, one at a time; predictions take no lock

    # -- answering ---------------------------------------------------------------------------------
    def answer(
        self, ask: Callable[[P], Answer], checkpoint_id: str | None = None
    ) -> tuple[Held[P], Answer]:
        """What `ask` finds with the active checkpoint, or with the one named, and which one that
        was. Raises SwapError.

        Every answer passes here or through `stream`, so that what an answer needs is in one place:
        a checkpoint that stays the same until the answer is there, with its model on the device.
        It takes a function, since a GPU that is lent by the call (spaces.GPU) wraps functions and
        generators, and no `with`.
        """
        held = self.get(checkpoint_id)
        return held, ask(held.predictor)

    def stream(
        self, ask: Callable[[Held[P]], Iterator[Answer]], checkpoint_id: str | None = None
    ) -> Iterator[Answer]:
        """The same for an answer that grows. Raises SwapError when its first part is asked for."""
        yield from ask(self.get(checkpoint_id))

    def get(self, checkpoint_id: str | None = None) -> Held[P]:
        """The active checkpoint, or the one asked for, which is loaded beside it. Raises
        SwapError."""
        held = self._held
        if held is not None and checkpoint_id in (*ACTIVE, held.id):
            return held
        with self._lock:
            if self._held is None and checkpoint_id in (*ACTIVE, self.active_id):
                self._held = self._open_chosen()
            if self._held is not None and checkpoint_id in (*ACTIVE, self._held.id):
                return self._held
            return self._load_beside(self.find(str(checkpoint_id)))

    def find(self, checkpoint_id: str) -> Checkpoint:
        """A checkpoint that belongs in this slot, by id. Raises SwapError."""
        try:
            found = checkpoint.find(self.runs, checkpoint_id, self.name)
            run = Run.find(self.runs, found.id)
            slot = run.slot if run else found.id.removeprefix("embedded-")
            if found.kind == "hub":  # it was looked for among this slot's own
                slot = self.name
        except (CheckpointError, SettingsError) as error:
            raise SwapError(str(error)) from error
        if slot != self.name:
            raise SwapError(
                f"{found.id} belongs in {slot or 'no slot of this version'}, not in {self.name}."
            )
        return found

    def list_checkpoints(self, most: int | None = None) -> list[Checkpoint]:
        """What this slot can hold: the embedded one, then runs, newest first; of those at most so
        many."""
        return list(checkpoint.list_checkpoints(self.runs, self.name, most))

    @property
    def embedded_id(self) -> str:
        """Of the checkpoint that comes with this project; empty where none does."""
        has = checkpoint.has_embedded(self.name)
        return checkpoint.embedded(self.name).id if has else ""

    def _chosen(self) -> list[str]:
        """The choices so far, the active one last, and the embedded one, where there is one, under
        them all."""
        chosen = checkpoint.active(self.runs, self.name)
        first = self.embedded_id
        return chosen if not first or chosen[0] == first else [first, *chosen]

    def _open_chosen(self) -> Held[P]:
        """The choice that the last session left; where it cannot be loaded, an earlier one, from
        now on. Raises SwapError."""
        chosen = self._chosen()
        lost = None
        self.notice = checkpoint.find_lost_choice(self.runs, self.name)
        while chosen:
            try:
                held = self._open(self.find(chosen[-1]))
            except SwapError as error:
                lost = lost or error
                if chosen == [self.embedded_id]:
                    raise
                chosen.pop()
            else:
                if lost:
                    self.notice = f"{lost} An earlier checkpoint is used in its place."
                    # What the gate compares with must be what answers.
                    checkpoint.set_active(self.runs, self.name, chosen)
                return held
        if lost:
            self.notice = str(lost)
            checkpoint.set_active(self.runs, self.name, [])
        raise SwapError(EMPTY)

    def follow(self) -> None:
        """Takes what another app on the same runs has put into this slot meanwhile. What cannot be
        used is said in the notice."""
        times = take_times(self.runs / checkpoint.ACTIVE)
        if times == self._seen:
            return
        with self._lock:
            self._seen = times
            # Before the first question nothing is held, and that question opens what was chosen.
            if self._held is None or checkpoint.find_lost_choice(self.runs, self.name):
                return
            chosen = self._chosen()
            if not chosen or chosen[-1] == self._held.id:
                return
            before = self._held
            try:
                self._held = self._shelf.take(chosen[-1]) or self._open_chosen()
            except SwapError:  # and the notice says why
                return
            self._shelf.keep(before)

    def _load_beside(self, found: Checkpoint) -> Held[P]:
        held = self._shelf.take(found.id) or self._open(found)
        self._shelf.keep(held)
        return held

    def _open(self, found: Checkpoint) -> Held[P]:
        """Loads and checks. Raises SwapError, whatever it is that fails."""
        # Of a model of the Hub as it is named there.
        called = found.id.partition("@")[0] if found.kind == "hub" else found.id
        try:
            with LOADING:
                predictor = self.load(found.path)
                predictor.check()
                return Held(found, predictor, size_of(predictor.model))
        except SwapError as error:
            raise SwapError(f"{called} was refused: {error}.") from error
        except Exception as error:  # files that a person changed can raise almost anything
            what = " ".join(str(error).split())[:200]
            raise SwapError(
                f"{called} was refused: it cannot be used ({type(error).__name__}: {what})."
            ) from error

    # -- swapping ----------------------------------------------------------------------------------
    @property
    def active_id(self) -> str:
        """Without loading anything; empty where nothing is active yet."""
        if self._held is not None:
            return self._held.id
        chosen = checkpoint.active(self.runs, self.name)
        return chosen[-1] if chosen else ""

    @property
    def previous(self) -> str | None:
        """What Roll back returns to: the last other choice that is still there."""
        chosen = self._chosen()
        for earlier in reversed(chosen[:-1]):
            try:
                if earlier != chosen[-1]:
                    return self.find(earlier).id
            except SwapError:
                continue  # deleted since
        return None

    def swap(self, checkpoint_id: str) -> Held[P]:
        """Makes a checkpoint the active one, now and after a restart. Raises SwapError; then
        nothing changed."""
        with self._lock:
            found = self.find(checkpoint_id)
            if self._held is not None and self._held.id == found.id:
                return self._held
            chosen = self._chosen()
            return self._take(found, chosen if chosen[-1:] == [found.id] else [*chosen, found.id])

    def forget(self, checkpoint_id: str) -> None:
        """Gives up a checkpoint that is loaded beside the active one."""
        self._shelf.take(checkpoint_id)

    def roll_back(self) -> Held[P]:
        """Returns to the choice before this one, past those that are gone or damaged. Raises
        SwapError."""
        with self._lock:
            chosen = self._chosen()
            active = chosen.pop() if chosen else ""
            refused = "There is nothing to roll back to: this is the first checkpoint."
            while chosen:
                try:
                    if chosen[-1] != active:
                        return self._take(self.find(chosen[-1]), chosen)
                except SwapError as error:
                    refused = str(error)
                chosen.pop()
            raise SwapError(refused)

    def _take(self, found: Checkpoint, chosen: list[str]) -> Held[P]:
        """Puts a checkpoint into the slot and `chosen` on disk; if it is refused, nothing
        changes."""
        held = self._shelf.take(found.id) or self._open(found)
        try:
            checkpoint.set_active(self.runs, self.name, chosen)
        except OSError as error:
            raise SwapError(f"{found.id} could not be put into use. {explain(error)}") from error
        if self._held is not None:
            self._shelf.keep(self._held)
        self._held = held
        self.notice = ""
        return held
