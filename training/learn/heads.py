"""The head of a network, which tells classes apart: where it is, and what it receives. Light to
import: the page asks for it too.
"""

import threading

from torch import Tensor, nn

from training.recipe import SettingsError


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
