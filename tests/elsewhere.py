"""A device that is not the CPU, on a machine that has none: it computes on the CPU, and refuses to
mix its tensors with the CPU's, as a GPU does.

Its tensors say that they are on torch's `meta` device, and hold their numbers beside.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"


class There(torch.Tensor):
    """A tensor on that device; `numbers` is what it holds."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> "There":
        made = torch.Tensor._make_wrapper_subclass(
            cls, numbers.size(), strides=numbers.stride(), dtype=numbers.dtype, device=NAME
        )
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, where its tensors are; its result is there too. Raises RuntimeError where they
    are in two places, single numbers apart."""
    flat = tree_flatten((args, kwargs))[0]
    tensors = [each for each in flat if isinstance(each, torch.Tensor)]
    asked = [each.type for each in flat if isinstance(each, torch.device)]
    there = [isinstance(each, There) for each in tensors]
    mixed = any(there) and any(each.ndim and not isinstance(each, There) for each in tensors)
    if mixed and func is not torch.ops.aten.copy_.default:
        raise RuntimeError(f"{func} was given tensors of two devices")
    found = func(*tree_map(_bring, args), **tree_map(_bring, kwargs))
    if asked:
        ends_there = asked[0] == NAME
    else:  # `copy_` ends where its first tensor is
        ends_there = bool(there) and (there[0] if mixed else any(there))
    return tree_map(_send, found) if ends_there else found


def _bring(value: Any) -> Any:
    """What the CPU computes with in place of a tensor, or a device, that is there."""
    if isinstance(value, There):
        return value.numbers
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _send(value: Any) -> Any:
    return There(value) if isinstance(value, torch.Tensor) else value


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """`torch.tensor` makes its tensor before any operation is seen, and `tolist` refuses tensors of
    other classes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        asked = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and asked is not None:
            return func(*args, **{**kwargs, "device": None}).to(asked)
        if func is torch.Tensor.tolist:
            return func(args[0].cpu())
        return func(*args, **kwargs)


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """While it is entered, the device is there."""
    with _Operations(), _Functions():
        yield
