"""The networks of the food recipe: opened from a checkpoint or the Hub, or small ones made anew."""

from dataclasses import replace

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification

from training.learn import backbone
from training.learn.architectures import ARCHS, SIZE
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.recipes.food.config import Config
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint


def build(
    config: Config, base: Checkpoint | None, classes: list[str]
) -> tuple[nn.Module, PicturePreprocessor]:
    """The network to train, float32. A head for as many classes is kept, another one is new."""
    torch.manual_seed(config.seed)
    labels = backbone.naming(classes)
    if base is None:
        start = looks = PicturePreprocessor(config.image_size or SIZE)
        made = AutoConfig.for_model(**ARCHS[config.arch], image_size=looks.size, **labels)
    else:
        start = looks = PicturePreprocessor.from_checkpoint(base.path)
        made = AutoConfig.from_pretrained(base.path, local_files_only=True, **labels)
        looks = backbone.resized(made, looks, config, base.name)
    if backbone.bound_to_its_size(made):
        if config.progressive == "on":
            raise SettingsError(
                f"A {made.model_type} sees pictures of one size: leave progressive off."
            )
        if config.train_size not in (0, looks.size):
            raise SettingsError(
                f"A {made.model_type} sees pictures of one size: leave train_size at 0."
            )
        if config.shape == "own":
            raise SettingsError(f"A {made.model_type} sees square pictures: leave shape at start.")
    own = bool(start.longest) if config.shape == "start" else config.shape == "own"
    if own != bool(looks.longest):
        looks = looks.with_own_shape(own)
    same = (
        base is not None and checkpoint.labels(base.path) == classes
    )  # others may differ by left and right
    looks = replace(
        looks,
        mirrored=config.mirror == "on" or config.mirror == "start" and same and start.mirrored,
    )
    return backbone.network(AutoModelForImageClassification, made, config, base, "pictures"), looks
