"""The place in a demo tab that holds the checkpoint now answering, and how another one takes it.

A swap loads the new checkpoint beside the old, checks it, predicts once, and then replaces one reference:
requests under way finish on the model that they started with, and every answer names its checkpoint. If
anything is wrong the old one stays, and a SwapError says what.
"""
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from training import checkpoint
from training.checkpoint import CheckpointError, runs_dir

BESIDE = 2  # checkpoints kept loaded beside the active one, for side-by-side comparison
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle", ".msgpack", ".h5")


class SwapError(ValueError):
    """A checkpoint was refused; the text says why. The one before still answers."""


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


def load_checked(model_class: Any, path: Path) -> Any:
    """`from_pretrained` that refuses what it would only warn of. Raises SwapError with a sentence."""
    import torch
    from safetensors import SafetensorError, safe_open
    from transformers.utils import logging
    logging.disable_progress_bar()
    if not (path / "config.json").is_file():
        raise SwapError("its config.json is missing, so it cannot be loaded")
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        pickled = [p.name for p in path.iterdir() if p.suffix in PICKLES]
        raise SwapError(f"it holds {pickled[0]}, which could run code when loaded; only safetensors are accepted"
                        if pickled else "its weights (model.safetensors) are missing")
    try:
        for file in weights:  # the header names every tensor's place: a truncated file fails here
            with safe_open(file, "pt") as f:
                f.keys()
        model, info = model_class.from_pretrained(path, use_safetensors=True, local_files_only=True,
                                                  dtype=torch.float32, output_loading_info=True)
    except SafetensorError as error:
        raise SwapError(f"its weights are damaged or cut off ({error})") from error
    except json.JSONDecodeError as error:
        raise SwapError(f"its config.json is damaged ({error})") from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise SwapError(f"its weights do not fit its config: {str(error).splitlines()[0][:200]}") from error
    wrong = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
    if wrong:
        raise SwapError(f"its weights do not fit its config: {wrong[0]} and {len(wrong) - 1} more")
    if not all(torch.isfinite(p).all() for p in model.parameters()):
        raise SwapError("some of its weights are not finite numbers: the training diverged (lower the learning rate)")
    return model.eval()


class ModelSlot:
    def __init__(self, name: str, load: Callable[[Path], Predictor]):
        self.name, self.load = name, load
        self.notice = ""                      # what a person should know: why the choice of last time is not there
        self._held: Held | None = None
        self._beside: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.RLock()        # swaps and loads, one at a time; predictions take no lock

    @property
    def runs(self) -> Path:
        return runs_dir()

    # -- answering ------------------------------------------------------------------------------------
    def get(self, checkpoint_id: str | None = None) -> Held:
        """The active checkpoint, or the one asked for, which is loaded beside it. Raises SwapError."""
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
        try:
            return checkpoint.find(self.runs, checkpoint_id, self.name)
        except CheckpointError as error:
            raise SwapError(str(error)) from error

    def _first(self) -> Held:
        """The choice that the last session left; where it cannot be loaded, the embedded one."""
        for wanted in reversed(checkpoint.active(self.runs, self.name)):
            try:
                return self._open(self.find(wanted))
            except SwapError as error:
                self.notice = f"{wanted} could not be loaded, so an earlier checkpoint answers: {error}"
        return self._open(checkpoint.embedded(self.name))

    def _load_beside(self, found: checkpoint.Checkpoint) -> Held:
        held = self._beside.pop(found.id, None) or self._open(found)
        self._beside[found.id] = held
        while len(self._beside) > BESIDE:
            self._beside.popitem(last=False)
        return held

    def _open(self, found: checkpoint.Checkpoint) -> Held:
        """Loads, warms up and checks."""
        import numpy as np
        predictor = self.load(found.path)
        scores = np.asarray(predictor.warm_up())
        if scores.shape[-1] != len(predictor.labels):
            raise SwapError(f"it gives {scores.shape[-1]} scores for {len(predictor.labels)} labels")
        if not np.isfinite(scores).all():
            raise SwapError("it answers with numbers that are not finite")
        return Held(found.id, found.name, predictor)

    # -- swapping -------------------------------------------------------------------------------------
    @property
    def active_id(self) -> str:
        """Without loading anything."""
        return self._held.id if self._held else checkpoint.active(self.runs, self.name)[-1]

    @property
    def previous(self) -> str | None:
        """What Roll back returns to: the last choice that is still there."""
        for earlier in reversed(checkpoint.active(self.runs, self.name)[:-1]):
            try:
                checkpoint.find(self.runs, earlier, self.name)
            except CheckpointError:
                continue  # deleted since
            return earlier
        return None

    def swap(self, checkpoint_id: str) -> Held:
        """Makes a checkpoint the active one, now and after a restart. Raises SwapError; then nothing changed."""
        with self._lock:
            if self._held is not None and self._held.id == checkpoint_id:
                return self._held
            held = self._take(checkpoint_id)
            checkpoint.set_active(self.runs, self.name, [*checkpoint.active(self.runs, self.name), held.id])
            self._held, self.notice = held, ""
            return held

    def roll_back(self) -> Held:
        """Returns to the choice before this one. Raises SwapError."""
        with self._lock:
            earlier = self.previous
            if earlier is None:
                raise SwapError("There is nothing to roll back to: this is the first checkpoint.")
            held = self._take(earlier)
            chosen = checkpoint.active(self.runs, self.name)[:-1]
            while chosen[-1] != earlier:
                chosen.pop()
            checkpoint.set_active(self.runs, self.name, chosen)
            self._held, self.notice = held, ""
            return held

    def _take(self, checkpoint_id: str) -> Held:
        found = self.find(checkpoint_id)
        try:
            return self._beside.pop(found.id, None) or self._open(found)
        except SwapError as error:
            raise SwapError(f"{found.id} was refused: {error}.") from error
