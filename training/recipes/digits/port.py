"""A checkpoint of the digits recipe as other programs run it."""

from pathlib import Path

import torch

from training.publish.held_out import Probabilities, choose_held_out
from training.publish.records import Portable
from training.recipes.digits import data
from training.recipes.digits.config import Config
from training.recipes.digits.data import stack_images
from training.recipes.digits.model import DigitsNet

INPUT = "pixel_values"


def open_portable(path: Path, config: Config) -> Portable:
    """With held-out examples of the config's data. Raises SettingsError."""
    found = data.load_once(config.dataset, config.source, config.folder)
    model = DigitsNet.from_pretrained(path, use_safetensors=True, dtype=torch.float32)
    images = torch.from_numpy(stack_images(choose_held_out(found)))
    return Portable(
        Probabilities(model, (INPUT,)),
        (INPUT,),
        [(image[None, None].float() / 255,) for image in images],
        {},
        {
            "layout": "batch, 1, height, width",
            "size": 28,
            "scale": 1 / 255,
            "mean": 0.0,  # the network subtracts its own
            "std": 1.0,
            "framing": model.config.framing,
            "how": "Grey, light on dark; a digit fitted in 20 x 20 and centred by its mass as in "
            "MNIST, a garment with its longest edge 28 as in Fashion-MNIST.",
        },
        found.about,
    )
