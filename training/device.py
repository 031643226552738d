"""Where tensors live: cuda, then mps, then cpu, picked once; and when bf16 is worth using.

TRANSFER_LAB_PRECISION=float32 keeps this process, and the jobs that it starts, from using bf16.
"""

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

from training.wording import counted

# Process-wide, since torch and transformers offer no other place: set when this module is first
# imported, which must be before torch, and inherited by the jobs that this process starts. What a
# person has set stays.
#
# A thread that waits for its turn must not spin: with a job and the demo on the same few cores,
# libgomp's default busy waiting took one prediction from 4 ms to 99 ms (2 cores, width-24 CNN).
# Read when torch loads. The price is a thread that has to wake up before it works.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# One thread loads a checkpoint, not four: each takes turns with the predictions that go on
# meanwhile (p99 during swaps 40 ms in place of 53, 2 cores). Read by transformers at each load. The
# price is paid where a disk is slow and a checkpoint large.
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")

PRECISIONS = ("auto", "float32")


@functools.cache
def device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# transformers wraps its networks' own `to` so that a type checker takes it for a function of
# something else: these two call it on what is any module to them.
def move(model: "nn.Module") -> None:
    """Puts a network on the device, in place."""
    model.to(device())


def lay_out_for_pictures(model: "nn.Module") -> None:
    """Lays a network's weights out as pictures lie in memory, in place: a convolution need not turn
    them."""
    import torch

    model.to(memory_format=torch.channels_last)


def cores() -> int:
    """Cores that this process may use, not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    if device() == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return {"mps": "Apple GPU", "cpu": f"CPU, {counted(cores(), 'core')}"}[device()]


@functools.cache
def has_bf16(where: str = "") -> bool:
    """Whether bf16 autocast is faster on a device, or on the one that was picked: on CUDA, and on
    CPUs with bf16 instructions. Nowhere, if TRANSFER_LAB_PRECISION is float32. Raises ValueError
    where it is something unknown."""
    precision = os.environ.get("TRANSFER_LAB_PRECISION") or "auto"
    if precision not in PRECISIONS:
        raise ValueError(
            f"TRANSFER_LAB_PRECISION is {precision!r}: it must be one of {', '.join(PRECISIONS)}."
        )
    if precision == "float32":
        return False
    where = where or device()
    if where == "cpu":
        return any(name in _processor() for name in ("amx_bf16", "avx512_bf16"))
    return where == "cuda"


@functools.cache
def has_amx() -> bool:
    """Whether this is a CPU that multiplies matrices of bf16 in tiles."""
    return device() == "cpu" and "amx_bf16" in _processor()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text() if info.exists() else ""
