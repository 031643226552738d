"""What the tests of the recipes share: own pictures that load fast, what a run learned, and that it
goes on."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ended_well, ending, execute
from PIL import Image

from training.__main__ import DONE, STOPPED
from training.device import device
from training.recipes.digits.model import DigitsNet
from training.runs import job
from training.runs.run import Run


@dataclass
class Bars:
    images: np.ndarray  # (N, 28, 28) uint8
    labels: np.ndarray  # (N,) int64

    def __getitem__(self, index: np.ndarray) -> "Bars":
        return Bars(self.images[index], self.labels[index])


def bars(classes: int, each: int, seed: int = 0) -> Bars:
    """Pictures that differ: a bar at a height that tells the class, with noise in it, on a plain
    black border."""
    rng = np.random.default_rng(seed)
    images = np.zeros((classes * each, 28, 28), np.uint8)
    labels = np.repeat(np.arange(classes), each)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 6 + 2 * label, 5:23] = rng.integers(120, 256, (2, 18))
    return Bars(images, labels)


def folder_of(pictures: Bars, path: Path, names: str = "abcdefghijklmnop") -> Path:
    """Writes them as a person's folder, one subfolder a class."""
    for i, (image, label) in enumerate(zip(pictures.images, pictures.labels, strict=True)):
        sub = path / names[label]
        sub.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(sub / f"{i:03}.png")
    return path


def losses(run: Run) -> list[float]:
    return [e["loss"] for e in run.events() if "loss" in e]


def weights(run: Run) -> dict[str, torch.Tensor]:
    return DigitsNet.from_pretrained(run.checkpoint).state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Equal weights: exactly on the CPU, nearly on a GPU, whose sums come in another order each
    time."""
    alike = torch.equal if device() == "cpu" else functools.partial(torch.allclose, atol=0.05)
    return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)


def same_losses(one: list[float], other: list[float]) -> bool:
    """Likewise for losses."""
    return one == other if device() == "cpu" else one == pytest.approx(other, rel=0.05)


def goes_on_exactly(
    runs: Path, name: str, settings: dict, weights: Callable[[Run], dict[str, torch.Tensor]]
) -> None:
    """A run of four steps that is stopped at its third and continued has the losses and weights of
    an unbroken one."""
    whole = ended_well(runs, name, settings)
    first = ending(runs, name, 3, settings)
    assert execute(first) == STOPPED and first.has_checkpoint
    second = job.continue_run(runs, first.id, {})
    assert execute(second) == DONE
    assert same_losses(losses(first) + losses(second), losses(whole)) and len(losses(whole)) == 4
    assert same(weights(second), weights(whole))


def own(folder) -> dict:
    """Settings for own pictures."""
    return dict(source="folder", folder=str(folder), epochs=1, batch_size=64)
