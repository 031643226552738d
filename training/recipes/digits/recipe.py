"""The recipe of Digits & fashion: a small network of our own on handwritten digits or garments."""

from pathlib import Path
from typing import Any

from training.recipe import Metrics, Recipe
from training.recipes.digits.config import Config


def slot(config: Config) -> str:
    return (
        "fashion" if config.dataset == "fashion_mnist" and config.source != "folder" else "digits"
    )


def describe(config: Config) -> str:
    what = {"mnist": "digits", "fashion_mnist": "garments"}[config.dataset]
    if config.source == "folder":
        what = Path(config.folder).name
    start = "" if config.start == "embedded" else " from " + config.start.removeprefix("embedded-")
    return (
        f"{what}, {config.source}, {config.method}{start}, {config.epochs} "
        f"epoch{'s' * (config.epochs > 1)}"
    )


def train(config: Config, run: Any) -> Metrics:
    from training.recipes.digits import train as digits_train

    return digits_train.train(config, run)


def evaluate(path: Path, config: Config) -> Metrics:
    from training.recipes.digits import score as digits_score

    return digits_score.evaluate(path, config)


RECIPE = Recipe(
    "digits",
    "Digits & fashion",
    Config,
    "accuracy",
    ("digits", "fashion"),
    train,
    evaluate,
    slot,
    describe,
)
