"""Features that a frozen backbone gives, computed once and kept on disk for every later run on the
same data.

Kept under `runs/.features/` as safetensors, named by what they depend on: the backbone's weights,
the data, and how an example is prepared. The folder is capped: the one that was not used for the
longest goes first.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.data.examples import Examples
from training.runs.batches import batches
from training.runs.run import Run

CAP = 4 * 2**30  # bytes
LARGE = 2**30


def make_key(weights: dict[str, Tensor], examples: Examples, *parts: object) -> str:
    """A name for what these weights make of examples that are prepared as `parts` say."""
    total = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    total.update(examples.keys.tobytes())
    total.update(examples.places.tobytes())
    for name, tensor in sorted(weights.items()):
        total.update(name.encode())
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        total.update(content.data)
    return total.hexdigest()


def load_or_compute(
    runs: Path,
    key: str,
    order: np.ndarray,
    compute: Callable[[np.ndarray], Tensor],
    run: Run,
    step: int = 64,
) -> Tensor:
    """(N, ...), a row for each example: from the disk, or by `compute(indices)`, then kept;
    float32, or float16 where that would be more than LARGE. `order`, (N,), all indices: examples
    are shuffled by a run's seed, and what is kept must serve every seed, so they are kept in an
    order of their own. Raises Stopped."""
    return _load_or_compute(runs, key, order, compute, run, step)[torch.from_numpy(order.argsort())]


@torch.no_grad()
def predict_from(head: nn.Module, views: list[Tensor]) -> np.ndarray:
    """(N, classes) probabilities, the mean of what a head makes of N examples' features in each
    view."""
    head.eval()
    where = next(head.parameters()).device
    each = [
        torch.cat([head(part.to(where)).float().softmax(1).cpu() for part in view.split(1024)])
        for view in views
    ]
    return torch.stack(each).mean(0).numpy()


def _load_or_compute(
    runs: Path,
    key: str,
    order: np.ndarray,
    compute: Callable[[np.ndarray], Tensor],
    run: Run,
    step: int,
) -> Tensor:
    if not len(order):
        return torch.zeros(0, 0)
    path = runs / ".features" / f"{key}.safetensors"
    if path.exists():
        os.utime(path)
        run.say(f"features of {len(order):,} examples were computed by an earlier run")
        return load_file(path)["features"]
    found = compute_now(order, compute, run, step)
    if run.main:
        _store(path, found, run)
    return found


def compute_now(
    order: np.ndarray, compute: Callable[[np.ndarray], Tensor], run: Run, step: int = 64
) -> Tensor:
    """(N, ...), rows in this order, by `compute(indices)` and not kept; float32, or float16 where
    that would be more than LARGE. Raises Stopped."""
    count = len(order)
    parts = []
    for at in batches(count, step, run):
        part = compute(order[at]).float().cpu()
        parts.append(part.half() if part.nbytes / len(part) * count > LARGE else part)
        run.beat("computing features", step=at.stop, total=count)
    run.beat(step=0, total=0)
    return torch.cat(parts).contiguous()


def _store(path: Path, found: Tensor, run: Run) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    others = sorted(path.parent.glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
    size = found.nbytes + sum(p.stat().st_size for p in others)
    for old in others:
        if size <= CAP:
            break
        size -= old.stat().st_size
        old.unlink(missing_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        save_file({"features": found}, partial)
        partial.replace(path)
    except Exception as error:
        # A full disk, in the library's own kind: this run has its features in memory.
        run.say(f"note: the features could not be kept for later runs ({error})")
    finally:
        partial.unlink(missing_ok=True)
