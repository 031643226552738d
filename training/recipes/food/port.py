"""A checkpoint of the food recipe as other programs run it."""

from pathlib import Path

import numpy as np
import torch

from training.data.pictures import read_pixels
from training.publish.held_out import Probabilities, choose_held_out
from training.publish.records import Portable
from training.recipes.food import data
from training.recipes.food.config import Config
from training.recipes.food.model import open_network

INPUT = "pixel_values"


def open_portable(path: Path, config: Config) -> Portable:
    """With held-out examples of the config's data. Raises SettingsError, CheckpointError."""
    found = data.load_for(config)
    model, seen = open_network(path)
    held_out = choose_held_out(found)
    pixels = read_pixels(held_out, np.arange(len(held_out)), seen)
    return Portable(
        Probabilities(model, (INPUT,), seen.mirrored),
        (INPUT,),
        [(seen.normalise(torch.from_numpy(each.copy())[None]),) for each in pixels],
        {INPUT: (2, 3)} if seen.longest else {},
        {
            "layout": "batch, channels (red, green, blue), height, width",
            "size": seen.size,
            "longest_edge": seen.longest or None,
            "crop": seen.crop or None,
            "resample": "bicubic",
            "background": "white",
            "scale": 1 / 255,
            "mean": list(seen.mean),
            "std": list(seen.std),
            "how": _describe(seen.longest, seen.crop),
        },
        found.about,
    )


def _describe(longest: int, crop: float) -> str:
    if crop:
        return "Resize the short side to size / crop, then take the square of size in the middle."
    if longest:
        return "Resize the short side to size, the long side to longest_edge at most."
    return "Resize to a square of size, whatever the picture's shape."
