"""Loaded checkpoints that do not answer in a slot now: to compare with, and to go back to at once.

All slots share one shelf, which keeps within a budget of bytes: a count would be too many large
models or too few small ones.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import psutil

from training.device import device

if TYPE_CHECKING:  # the page starts without torch
    from torch import nn

SHARE = 0.25  # of the free memory: the rest is for the models in use, training jobs, and pictures
CONTAINER = Path("/sys/fs/cgroup/memory.max")


class Loaded(Protocol):
    """A checkpoint in memory."""

    @property
    def id(self) -> str: ...

    @property
    def bytes(self) -> int: ...


LoadedT = TypeVar("LoadedT", bound=Loaded)


class Shelf(Generic[LoadedT]):
    def __init__(self, budget: int | None = None):
        """`budget` is in bytes; None means a SHARE of the memory that is free when the first
        checkpoint comes, since asking a GPU needs torch, which the page starts without."""
        self._budget = budget
        self._held: OrderedDict[str, LoadedT] = OrderedDict()  # the most recently used one last
        self._lock = threading.Lock()  # slots load at the same time

    def keep(self, loaded: LoadedT) -> None:
        """Makes room by dropping what was not used for longest. What is larger than the whole
        budget is not kept: it would drop all the others and then itself."""
        with self._lock:
            if self._budget is None:
                self._budget = int(SHARE * free_bytes())
            self._held.pop(loaded.id, None)
            if loaded.bytes > self._budget:
                return
            self._held[loaded.id] = loaded
            while sum(held.bytes for held in self._held.values()) > self._budget:
                self._held.popitem(last=False)

    def take(self, checkpoint_id: str) -> LoadedT | None:
        """A checkpoint, which is then no longer on the shelf; None where it was not."""
        with self._lock:
            return self._held.pop(checkpoint_id, None)


def free_bytes() -> int:
    """Free memory where models are kept: on the GPU, or in this machine."""
    if device() == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    free = psutil.virtual_memory().available
    if CONTAINER.exists():  # psutil sees the whole machine, of which a container may have little
        limit = CONTAINER.read_text().strip()
        if limit != "max":
            free = min(free, int(limit))
    return free


def size_of(model: "nn.Module") -> int:
    """Bytes of a network's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
