"""The recipe of Audio intent: any network that tells sounds apart."""

from pathlib import Path
from typing import Any

from training import settings
from training.recipe import Metrics, Recipe
from training.recipes.audio_intent.config import Config


def slot(config: Config) -> str:
    return "audio"


def train(config: Config, run: Any) -> Metrics:
    from training.learn import finetune
    from training.recipes.audio_intent import train as audio_train

    return finetune.train(audio_train.AudioTask(config, run))


def evaluate(path: Path, config: Config) -> Metrics:
    from training.recipes.audio_intent import score as audio_score

    return audio_score.evaluate(path, config)


RECIPE = Recipe(
    "audio_intent",
    "Audio intent",
    Config,
    "accuracy",
    ("audio",),
    train,
    evaluate,
    slot,
    settings.describe,
)
