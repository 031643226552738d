"""The recipe of Captioning: an encoder that sees and a decoder that writes."""

from pathlib import Path
from typing import Any

from training import settings
from training.recipe import Metrics, Recipe
from training.recipes.captioning.config import Config


def slot(config: Config) -> str:
    return "captions"


def train(config: Config, run: Any) -> Metrics:
    from training.learn import finetune
    from training.recipes.captioning import train as caption_train

    return finetune.train(caption_train.CaptionTask(config, run))


def evaluate(path: Path, config: Config) -> Metrics:
    from training.recipes.captioning import score as caption_score

    return caption_score.evaluate(path, config)


RECIPE = Recipe(
    "captioning",
    "Captioning",
    Config,
    "cider_d",
    ("captions",),
    train,
    evaluate,
    slot,
    settings.describe,
)
