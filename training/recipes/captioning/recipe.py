"""Captioning: an encoder that sees and a decoder that writes, as a recipe. What trains it is
imported when it is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from training import settings
from training.judge.records import CIDER, Report
from training.publish.records import Usage
from training.recipe import Recipe
from training.recipes.captioning.config import Config
from training.runs.run import Run

if TYPE_CHECKING:
    from training.data.examples import Data
    from training.learn.cost import Cost


def slot(config: Config) -> str:
    return "captions"


def train(config: Config, run: Run) -> Report:
    from training.recipes.captioning import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.judge.exam import examine
    from training.recipes.captioning import data, score

    found = data.load_for(config)
    return examine(score.make_exam(config, found), path, folder)


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> "Cost":
    from training.recipes.captioning import cost

    return cost.measure(config, runs, files, classes)


def use(path: Path) -> Usage:
    from training.recipes.captioning.use import describe_use

    return describe_use(path)


def sample(config: Config) -> "Data":
    from training.recipes.captioning import data

    return data.load_for(config)


RECIPE = Recipe(
    "captioning",
    "Captioning",
    Config,
    CIDER,
    ("captions",),
    train,
    evaluate,
    slot,
    settings.describe,
    measure,
    use,
    sample=sample,
)
