"""The network of a checkpoint, checked while it is loaded and put on the device; a few
milliseconds where one like it is loaded already.

`from_pretrained` takes 30 ms of Python for the smallest network, and whoever asks meanwhile waits
for them. Checkpoints of a slot mostly differ in their weights alone: then the network in use is
copied, with the other weights in it.
"""

import copy
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload
from weakref import WeakValueDictionary

from training.data.hub import PICKLES
from training.device import move
from training.runs import checkpoint, published
from training.runs.records import JsonValue

if TYPE_CHECKING:  # the page starts without torch
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

Network = TypeVar("Network", bound="PreTrainedModel")

# what a config says beside id2label that is not about its network
NOTES = ("label2id", "trained_on", "synthetic", "mirrored")
# Of a published model these may be missing: they are of use in training alone, or not at all.
SPARE = ("masked_spec_embed", ".pooler.dense.weight", ".pooler.dense.bias")
# networks in use, by their class and their config
_loaded: "WeakValueDictionary[tuple[str, str], PreTrainedModel]" = WeakValueDictionary()


class SwapError(ValueError):
    """A checkpoint was refused; the text says why. The one before still answers."""


@overload
def load_checked(model_class: type[Network], path: Path) -> Network: ...
@overload
def load_checked(model_class: "type[_BaseAutoModelClass]", path: Path) -> "PreTrainedModel": ...
def load_checked(model_class: Any, path: Path) -> "PreTrainedModel":
    """`from_pretrained`, float32, on the device, that refuses what it would only warn of. Raises
    SwapError with the reason."""
    from safetensors import SafetensorError

    try:
        config = checkpoint.config(path)
    except checkpoint.CheckpointError as error:
        raise SwapError(str(error)) from error
    weights = checkpoint.list_weights(path)
    if not weights:
        pickled = [p.name for p in path.iterdir() if p.suffix in PICKLES]
        raise SwapError(
            f"it holds {pickled[0]}, which could run code when loaded; only safetensors are "
            "accepted"
            if pickled
            else "its weights (model.safetensors) are missing"
        )
    network = {
        name: value
        for name, value in config.items()
        if name not in (*NOTES, "id2label", "label_names", "dtype", "transformers_version")
    }
    network |= {
        "labels": len(_labels(config)),
        "notes": [name for name in NOTES if name in config],
    }
    kind = f"{model_class.__module__}.{model_class.__name__}", json.dumps(network, sort_keys=True)
    try:
        model = _copy(_loaded.get(kind), weights, config) or _open(model_class, path, weights)
    except SwapError:  # a sentence already, though a ValueError too
        raise
    except SafetensorError as error:
        raise SwapError(f"its weights are damaged or cut off ({error})") from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise SwapError(
            f"its weights do not fit its config: {str(error).splitlines()[0][:200]}"
        ) from error
    if not all(p.sum().isfinite() for p in model.parameters()):
        raise SwapError(
            "some of its weights are not finite numbers: the training diverged (lower the learning "
            "rate)"
        )
    _loaded[kind] = model
    model.eval()
    move(model)  # once: whatever a predictor derives from the network is then in the same place
    return model


def _labels(config: dict[str, JsonValue]) -> dict[str, str]:
    """By number; empty where there are none."""
    return cast(dict[str, str], config.get("id2label") or {})


def _open(model_class: Any, path: Path, weights: list[Path]) -> "PreTrainedModel":
    import torch
    from safetensors import safe_open
    from transformers.utils import logging

    logging.disable_progress_bar()
    for file in weights:  # the header names every tensor's place: a truncated file fails here
        with safe_open(file, "pt") as f:
            f.keys()
    model, info = model_class.from_pretrained(
        path,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # said below, in our words
    )
    wrong = [
        f"{name} is {tuple(its)} instead of {tuple(due)}"
        for name, its, due in sorted(info["mismatched_keys"])
    ]
    missing = sorted(info["missing_keys"])
    unexpected = sorted(info["unexpected_keys"])
    if published.read_own(path):  # others saved what they liked beside it
        missing = [name for name in missing if not name.endswith(SPARE)]
        unexpected = []
    wrong += [f"{name} is missing" for name in missing]
    wrong += [f"{name} has no place in it" for name in unexpected]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise SwapError(f"its weights do not fit its config: {wrong[0]}{more}")
    return model


def _copy(
    other: "PreTrainedModel | None", weights: list[Path], config: dict[str, JsonValue]
) -> "PreTrainedModel | None":
    """A network like `other` with these weights; None where there is none, or they are not exactly
    its own. (Some networks, such as ViTs, are saved by other names than they have: these are loaded
    as if nothing was there.)"""
    from safetensors import safe_open
    from torch import nn

    if other is None:
        return None
    own = other.state_dict(keep_vars=True)
    memo: dict[int, Any] = {}  # what deepcopy takes in place of a tensor, by its address
    for file in weights:
        with safe_open(file, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118  (it is no dict)
                if name not in own or (tensor := stored.get_tensor(name)).shape != own[name].shape:
                    return None
                fresh = tensor.to(own[name].dtype, copy=True)
                memo[id(own[name])] = (
                    nn.Parameter(fresh) if isinstance(own[name], nn.Parameter) else fresh
                )
                _let_requests_through()
    # Weights that are tied stand in the file once.
    if any(id(tensor) not in memo for tensor in own.values()):
        return None
    for module in reversed(list(other.modules())):  # the innermost first
        copy.deepcopy(module, memo)
        _let_requests_through()
    made = copy.deepcopy(other, memo)  # the whole, of what is in the memo by now
    for note in set(NOTES) & set(config):
        setattr(made.config, note, config[note])
    made.name_or_path = made.config._name_or_path = str(weights[0].parent)
    if labels := _labels(config):
        made.config.id2label = {int(number): label for number, label in labels.items()}
    return made


def _let_requests_through() -> None:
    """Python's lock is held for a millisecond at a time at most: a request that comes meanwhile
    needs it many times."""
    time.sleep(0.0005)
