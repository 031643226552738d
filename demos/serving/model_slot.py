"""The place in a demo tab that holds the checkpoint now answering, and how another one takes it.

A swap loads the new checkpoint beside the old, checks it, predicts once, and then replaces one
reference: requests under way finish on the model that they started with, and every answer names its
checkpoint. If anything is wrong the old one stays, and a SwapError says what.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from demos.serving.loading import SwapError
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError, runs_dir
from training.runs.run import Run

BESIDE = (
    2  # checkpoints kept loaded beside the active one: to compare with, and to go back to at once
)
# One load at a time in all slots: threads that import transformers for the first time at once find
# it half made.
LOADING = threading.Lock()


class Predictor(Protocol):
    """What a demo makes of a checkpoint directory."""

    labels: list[str]

    def warm_up(self) -> Any:
        """Predicts once on a blank input; returns the scores, one a label."""


@dataclass(frozen=True)
class Held:
    """A loaded checkpoint."""

    id: str
    name: str
    predictor: Any


class ModelSlot:
    def __init__(self, name: str, load: Callable[[Path], Predictor]):
        self.name = name
        self.load = load
        self.notice = ""  # what a person should know: why the choice of last time is not there
        self._held: Held | None = None
        self._beside: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.RLock()  # swaps and loads, one at a time; predictions take no lock

    @property
    def runs(self) -> Path:
        return runs_dir()

    # -- answering ---------------------------------------------------------------------------------
    def get(self, checkpoint_id: str | None = None) -> Held:
        """The active checkpoint, or the one asked for, which is loaded beside it. Raises
        SwapError."""
        held = self._held
        if held is not None and checkpoint_id in (None, "", "active", held.id):
            return held
        with self._lock:
            if self._held is None:
                self._held = self._first()
            if checkpoint_id in (None, "", "active", self._held.id):
                return self._held
            return self._load_beside(self.find(checkpoint_id))

    def find(self, checkpoint_id: str) -> checkpoint.Checkpoint:
        """A checkpoint that belongs in this slot, by id. Raises SwapError."""
        try:
            found = checkpoint.find(self.runs, checkpoint_id, self.name)
            run = Run.find(self.runs, found.id)
            slot = run.slot if run else found.id.removeprefix("embedded-")
        except (CheckpointError, SettingsError) as error:
            raise SwapError(str(error)) from error
        if slot != self.name:
            raise SwapError(
                f"{found.id} belongs in {slot or 'no slot of this version'}, not in {self.name}."
            )
        return found

    def _chosen(self) -> list[str]:
        """The choices so far, the active one last, and the embedded one under them all."""
        chosen = checkpoint.active(self.runs, self.name)
        first = f"embedded-{self.name}"
        return chosen if chosen[0] == first else [first, *chosen]

    def _first(self) -> Held:
        """The choice that the last session left; where it cannot be loaded, an earlier one, from
        now on."""
        chosen = self._chosen()
        while True:
            try:
                held = self._open(self.find(chosen[-1]))
                break
            except SwapError as error:
                self.notice = self.notice or f"{error} An earlier checkpoint answers in its place."
                if len(chosen) == 1:
                    raise
                chosen.pop()
        if self.notice:  # the gate must compare with what answers
            checkpoint.set_active(self.runs, self.name, chosen)
        return held

    def _load_beside(self, found: checkpoint.Checkpoint) -> Held:
        held = self._beside.pop(found.id, None) or self._open(found)
        self._keep(held)
        return held

    def _keep(self, held: Held) -> None:
        self._beside[held.id] = held
        while len(self._beside) > BESIDE:
            self._beside.popitem(last=False)

    def _open(self, found: checkpoint.Checkpoint) -> Held:
        """Loads, warms up and checks. Raises SwapError, whatever it is that fails."""
        try:
            with LOADING:
                return Held(found.id, found.name, self._checked(found.path))
        except SwapError as error:
            raise SwapError(f"{found.id} was refused: {error}.") from error
        except Exception as error:  # files that a person changed can raise almost anything
            what = " ".join(str(error).split())[:200]
            raise SwapError(
                f"{found.id} was refused: it cannot be used ({type(error).__name__}: {what})."
            ) from error

    def _checked(self, path: Path) -> Predictor:
        import numpy as np

        predictor = self.load(path)
        scores = np.asarray(predictor.warm_up())
        if scores.shape[-1] != len(predictor.labels):
            raise SwapError(
                f"it gives {scores.shape[-1]} scores for {len(predictor.labels)} labels"
            )
        if not np.isfinite(scores).all():
            raise SwapError("it answers with numbers that are not finite")
        return predictor

    # -- swapping ----------------------------------------------------------------------------------
    @property
    def active_id(self) -> str:
        """Without loading anything."""
        return self._held.id if self._held else checkpoint.active(self.runs, self.name)[-1]

    @property
    def previous(self) -> str | None:
        """What Roll back returns to: the last other choice that is still there."""
        *chosen, active = self._chosen()
        for earlier in reversed(chosen):
            try:
                if earlier != active:
                    return self.find(earlier).id
            except SwapError:
                continue  # deleted since
        return None

    def swap(self, checkpoint_id: str) -> Held:
        """Makes a checkpoint the active one, now and after a restart. Raises SwapError; then
        nothing changed."""
        with self._lock:
            found = self.find(checkpoint_id)
            if self._held is not None and self._held.id == found.id:
                return self._held
            chosen = self._chosen()
            return self._take(found, chosen if chosen[-1] == found.id else [*chosen, found.id])

    def roll_back(self) -> Held:
        """Returns to the choice before this one, past those that are gone or damaged. Raises
        SwapError."""
        with self._lock:
            *chosen, active = self._chosen()
            refused = "There is nothing to roll back to: this is the first checkpoint."
            while chosen:
                try:
                    if chosen[-1] != active:
                        return self._take(self.find(chosen[-1]), chosen)
                except SwapError as error:
                    refused = str(error)
                chosen.pop()
            raise SwapError(refused)

    def _take(self, found: checkpoint.Checkpoint, chosen: list[str]) -> Held:
        """Puts a checkpoint into the slot and `chosen` on disk; if it is refused, nothing
        changes."""
        held = self._beside.get(found.id) or self._open(found)
        checkpoint.set_active(self.runs, self.name, chosen)
        self._beside.pop(found.id, None)
        if self._held is not None:
            self._keep(self._held)
        self._held = held
        self.notice = ""
        return held
