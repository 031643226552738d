"""Where tensors live: cuda, then mps, then cpu, picked once; and when bf16 is worth using."""
import ctypes
import functools
import os
import sys
from pathlib import Path

# A thread that waits for its turn must not spin for long: with a job and the demo on the same few cores, libgomp's
# default busy waiting took one prediction from 4 ms to 99 ms (2 cores, width-24 CNN). Where it does not spin at all,
# each operation wakes it anew: a food prediction took 31 to 41 ms, and 24 to 27 with these few turns (three runs each,
# in turn, n 90). Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# One thread loads a checkpoint, not four: each takes turns with the predictions that go on meanwhile (p99 during
# swaps 40 ms in place of 53, 2 cores). Read by transformers at each load.
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@functools.cache
def device() -> str:
    import torch
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def cores() -> int:
    """Cores that this process may use, not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    if device() == "cuda":
        import torch
        return torch.cuda.get_device_name()
    return {"mps": "Apple GPU", "cpu": f"CPU, {cores()} core{'s' if cores() > 1 else ''}"}[device()]


def keep_memory() -> None:
    """For a process that trains: memory that is freed stays with it, up to a gigabyte, and is not fetched anew from
    the system, page by page, at every step. Blocks of over 32 MB, the most that glibc allows, are given back still."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


@functools.cache
def has_bf16() -> bool:
    """Whether bf16 autocast is faster here: on CUDA, and on CPUs with bf16 instructions."""
    if device() != "cpu":
        return device() == "cuda"
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    return "amx_bf16" in text or "avx512_bf16" in text
