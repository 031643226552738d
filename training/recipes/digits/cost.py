"""What a picture costs the digits recipe on this machine."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.device import device, move
from training.learn.cost import (
    MEASURED,
    Cost,
    count_weights,
    time_asking,
    time_learning,
    time_reading,
)
from training.media.pictures import load_picture
from training.recipes.digits.config import Config
from training.recipes.digits.picture import to_28x28
from training.recipes.digits.train import build_network, find_start


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> Cost:
    """Raises SettingsError, CheckpointError."""
    model = build_network(
        config, find_start(config, runs), np.zeros((1, 28, 28), np.uint8), classes
    )
    move(model)
    pixels = torch.rand(MEASURED, 1, 28, 28, device=device())

    def ask() -> Tensor:
        return model(pixels).logits

    one = time_asking(model, ask)
    return Cost(
        read=time_reading(lambda path: to_28x28(load_picture(path), config.framed), files),
        ask=one,
        learn=0.0 if config.method == "frozen" else time_learning(model, ask),
        examine=one,
        kept=28 * 28 * 5,
        weights=count_weights(model),
    )
