"""What an example costs on this machine, by measured passes of the very network that would learn:
asked before there is a run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.device import device

MEASURED = 8  # examples of a pass
READ = 8  # files that are opened


@dataclass(frozen=True)
class Cost:
    """Of one example, in seconds and bytes."""

    read: float  # its file opened, and made the network's input
    ask: float  # a forward pass
    learn: float  # its share of a step; 0 where no steps are taken
    examine: float  # answered in full, as the exam does it
    kept: int  # bytes of it that are held in memory
    weights: int  # that learn, of the whole network


def time_each(act: Callable[[], object], count: int = MEASURED) -> float:
    """Seconds of each of `count` examples, by the quicker of two goes: the first one warms up."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        act()
        if device() == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return min(took) / count


def time_reading(read: Callable[[Path], object], files: Sequence[Path]) -> float:
    """Seconds of each file; what cannot be read costs its attempt."""
    some = files[:: max(1, len(files) // READ)][:READ]

    def read_some() -> None:
        for path in some:
            try:
                read(path)
            except ValueError:  # a picture's or a sound's refusal, which the run will tell
                continue

    return time_each(read_some, max(1, len(some)))


def time_asking(model: nn.Module, ask: Callable[[], Tensor]) -> float:
    model.eval()
    with torch.no_grad():
        return time_each(ask)


def time_learning(model: nn.Module, ask: Callable[[], Tensor]) -> float:
    """Forward and back, of what learns."""
    model.train()

    def step() -> None:
        ask().float().square().mean().backward()
        model.zero_grad()

    return time_each(step)


def count_weights(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
