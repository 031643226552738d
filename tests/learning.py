"""What the tests of the digits recipe share: own pictures that load fast, and what a run learned."""
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.device import device
from training.digits_data import Pictures
from training.digits_model import DigitsNet
from training.run import Run


def bars(classes: int, each: int, seed: int = 0) -> Pictures:
    """Pictures that differ: a bar at a height that tells the class, with noise in it, on a plain black border."""
    rng = np.random.default_rng(seed)
    images = np.zeros((classes * each, 28, 28), np.uint8)
    labels = np.repeat(np.arange(classes), each)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label:6 + 2 * label, 5:23] = rng.integers(120, 256, (2, 18))
    return Pictures(images, labels)


def folder_of(pictures: Pictures, path: Path, names: str = "abcdefghijklmnop") -> Path:
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
    """Equal weights: exactly on the CPU, nearly on a GPU, whose sums come in another order each time."""
    alike = torch.equal if device() == "cpu" else functools.partial(torch.allclose, atol=0.05)
    return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)


def same_losses(one: list[float], other: list[float]) -> bool:
    """Likewise for losses."""
    return one == other if device() == "cpu" else one == pytest.approx(other, rel=0.05)


def own(folder) -> dict:
    """Settings for own pictures."""
    return dict(source="folder", folder=str(folder), epochs=1, batch_size=64)
