"""The networks of the food recipe: opened from a checkpoint or the Hub, or small ones made anew."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForZeroShotImageClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from training.device import lay_out_for_pictures
from training.learn import backbone, towers, zero_shot
from training.learn.architectures import ARCHS, SIZE
from training.learn.backbone import Start
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.recipes.food.config import Config
from training.runs import checkpoint


def open_network(path: Path) -> tuple[PreTrainedModel, PicturePreprocessor]:
    """A checkpoint as float32, and how it sees pictures. Raises CheckpointError."""
    if zero_shot.is_zero_shot(path):
        pair = AutoModelForZeroShotImageClassification.from_pretrained(
            path, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
        # It answers as a network of transformers does.
        made = cast(PreTrainedModel, zero_shot.make(pair, path))
        return made, PicturePreprocessor.from_checkpoint(path)
    model = AutoModelForImageClassification.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return model, PicturePreprocessor.from_checkpoint(path)


def find_start(config: Config, runs: Path, slot: str, classes: list[str]) -> Start:
    """What a run starts from; a network that compares pictures with texts as a classifier of these
    classes. Raises SettingsError, CheckpointError."""
    start = backbone.find_start(config, runs, slot)
    if start.checkpoint is None or not towers.compares(start.checkpoint.path):
        return start
    if config.method == "scratch":
        raise SettingsError(
            f"{start.name} compares pictures with texts, and of that random weights keep nothing: "
            "choose method full, frozen or lora, or another network (arch)."
        )
    return towers.settle(start, classes, config.template, runs)


def build_network(
    config: Config, start: Start, classes: list[str]
) -> tuple[PreTrainedModel, PicturePreprocessor]:
    """The network to train, float32, and how it sees pictures. A head for as many classes is kept,
    another one is new. Raises SettingsError."""
    torch.manual_seed(config.seed)
    labels = backbone.name_labels(classes)
    if start.checkpoint is None:
        before = preprocessor = PicturePreprocessor(config.image_size or SIZE)
        made = AutoConfig.for_model(**ARCHS[config.arch], image_size=preprocessor.size, **labels)
    else:
        path = start.checkpoint.path
        before = PicturePreprocessor.from_checkpoint(path)
        made = backbone.open_config(path, classes)
        preprocessor = backbone.resize_input(made, before, config, start.checkpoint.name)
    _refuse_other_sizes(made, preprocessor, config)
    own_shape = bool(before.longest) if config.shape == "start" else config.shape == "own"
    if own_shape and backbone.is_timm(made):
        raise SettingsError(
            f"{backbone.name_family(made)} is a network of timm, whose checkpoints cannot say that "
            "pictures keep their shape: leave shape at start."
        )
    if config.shape == "square":
        preprocessor = replace(preprocessor, crop=0.0)
    if own_shape != bool(preprocessor.longest):
        preprocessor = preprocessor.with_own_shape(own_shape)
    mirrored = config.mirror == "on"
    if config.mirror == "start":
        # Of other classes, left and right may be what tells them apart.
        same = start.path is not None and checkpoint.labels(start.path) == classes
        mirrored = same and before.mirrored
    preprocessor = replace(preprocessor, mirrored=mirrored)
    auto = AutoModelForImageClassification
    model = backbone.make_network(auto, made, config.method, start, "pictures")
    lay_out_for_pictures(model)
    return model, preprocessor


def _refuse_other_sizes(
    made: PretrainedConfig, preprocessor: PicturePreprocessor, config: Config
) -> None:
    if not backbone.is_bound_to_its_size(made):
        return
    family = backbone.name_family(made)
    if config.progressive == "on":
        raise SettingsError(f"A {family} sees pictures of one size: leave progressive off.")
    if config.train_size not in (0, preprocessor.size):
        raise SettingsError(f"A {family} sees pictures of one size: leave train_size at 0.")
    if config.shape == "own":
        raise SettingsError(f"A {family} sees square pictures: leave shape at start.")
