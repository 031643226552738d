"""What a picture costs the food recipe on this machine."""

from pathlib import Path

import torch
from torch import Tensor

from training.device import device, move
from training.learn import backbone
from training.learn.cost import (
    MEASURED,
    Cost,
    count_weights,
    time_asking,
    time_learning,
    time_reading,
)
from training.media.pictures import load_picture
from training.recipes.food.config import Config
from training.recipes.food.model import build_network, find_start
from training.recipes.food.train import choose_side, compare_cost

WIDTH = 1280  # of features, about


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> Cost:
    """Raises SettingsError, CheckpointError."""
    start = find_start(config, runs, "food", classes)
    model, preprocessor = build_network(config, start, classes)
    learner = backbone.add_lora(model, config.lora_rank) if config.method == "lora" else model
    move(learner)
    sides = preprocessor.size, choose_side(config, preprocessor.size, 0)
    asked, taught = (torch.rand(MEASURED, 3, side, side, device=device()) for side in sides)

    def ask(pixels: Tensor) -> Tensor:
        return learner(pixel_values=pixels.contiguous(memory_format=torch.channels_last)).logits

    one = time_asking(learner, lambda: ask(asked)) * (1 + preprocessor.mirrored)
    frozen = config.method == "frozen"
    step = 0.0 if frozen else time_learning(learner, lambda: ask(taught))
    return Cost(
        read=time_reading(lambda path: preprocessor.frame(load_picture(path)), files),
        ask=one,
        learn=step * compare_cost(config, preprocessor.size),
        examine=0.0 if frozen else one,  # of method frozen the features are there
        kept=4 * WIDTH if frozen else 3 * preprocessor.size**2,
        weights=count_weights(learner),
    )
