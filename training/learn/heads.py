"""The head of a network, which tells classes apart: where it is, what it receives, and which of its
rows is which class. Light to import: the page asks for it too.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from training.recipe import SettingsError
from training.runs import checkpoint
from training.wording import counted, fold


def find_head(model: nn.Module) -> nn.Module:
    """The part after the features: what `frozen` trains. Raises SettingsError."""
    found = getattr(model, "classifier", None) or find_timm_head(model)
    if not isinstance(found, nn.Module) or next(found.parameters(), None) is None:
        raise SettingsError(
            f"method 'frozen' does not know the head of {type(model).__name__}: choose full or "
            "lora."
        )
    return found


def find_timm_head(model: nn.Module) -> object:
    """The classifier of a network of timm, or what it has in place of one; None elsewhere."""
    inner = getattr(model, "timm_model", None)
    return inner.get_classifier() if inner is not None else None


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """A new head is no news: we say so ourselves."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


# -- rows by name ----------------------------------------------------------------------------------
NEW_ROW = 0.02  # deviation of a new class's weights


@torch.no_grad()
def sort_rows(model: nn.Module, path: Path, name: str, classes: Sequence[str]) -> None:
    """Gives each class the row of that name in the head of the start at `path`, and those that it
    has none for new ones; where it knows none of them, the head is as it was loaded. Raises
    SettingsError where the start's head is not what its config says."""
    known = checkpoint.labels(path)
    try:
        layers = [m for m in find_head(model).modules() if isinstance(m, nn.Linear)]
    except SettingsError:
        return
    if not known or not layers or layers[-1].out_features != len(classes):
        return
    head = layers[-1]
    own = next(each for each, module in model.named_modules() if module is head)
    stored = _read(path, (own, own.removeprefix("timm_model.")))
    if "weight" not in stored:
        return
    before = stored["weight"]
    if len(before) != len(known):
        raise SettingsError(
            f"{name} cannot be used: its config.json names "
            f"{counted(len(known), 'class', 'classes')} and its head tells {len(before)} apart, so "
            "which is which is not known. Mend its "
            "id2label, or choose another start."
        )
    places = {fold(label): place for place, label in enumerate(known)}
    rows = [places.get(fold(each)) for each in classes]
    fits = before.shape[1:] == head.weight.shape[1:]
    if not fits or all(row is None for row in rows) or rows == [*range(len(known))]:
        return
    for place, row in enumerate(rows):
        if row is None:
            nn.init.normal_(head.weight[place], std=NEW_ROW)
        else:
            head.weight[place] = before[row].to(head.weight)
        if head.bias is not None:
            bias = stored.get("bias")
            head.bias[place] = 0.0 if row is None or bias is None else bias[row].to(head.bias)


def _read(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Weight and bias of a part of a checkpoint, by whichever of its names."""
    found: dict[str, Tensor] = {}
    for file in checkpoint.list_weights(path):
        with safe_open(file, "pt") as stored:
            keys = set(stored.keys())
            for name in names:
                for part in ("weight", "bias"):
                    if f"{name}.{part}" in keys:
                        found[part] = stored.get_tensor(f"{name}.{part}")
    return found


# -- what a head receives --------------------------------------------------------------------------
_received = threading.local()


def _catch(head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    _received.features = inputs[0].detach()


def watch(head: nn.Module) -> None:
    """From now on `take_received` knows what this head receives. (A network that is copied takes
    its hooks along, so there is one function for all, and it holds nothing of any network.)"""
    if _catch not in head._forward_pre_hooks.values():
        head.register_forward_pre_hook(_catch)


def take_received() -> Tensor | None:
    """(N, ...) what a watched head received last in this thread: of the answer that was just
    given, with no second pass."""
    found = getattr(_received, "features", None)
    _received.features = None
    return found
