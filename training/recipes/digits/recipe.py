"""Digits & fashion: a small network of our own, as a recipe. What trains it is
imported when it is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from training import settings
from training.judge.records import ACCURACY, Report
from training.publish.records import Portable, Usage
from training.recipe import Recipe
from training.recipes.digits.config import Config
from training.runs.run import Run
from training.wording import counted

if TYPE_CHECKING:
    from training.data.examples import Data
    from training.learn.cost import Cost


def slot(config: Config) -> str:
    return "fashion" if config.framed == "garment" and config.source != "folder" else "digits"


def describe(config: Config) -> str:
    start = "" if config.start == "embedded" else f" from {settings.name_start(config.start)}"
    epochs = f", {counted(config.epochs, 'epoch')}" if settings.takes_steps(config) else ""
    return f"{config.data_name}, {config.source}, {config.method}{start}{epochs}"


def train(config: Config, run: Run) -> Report:
    from training.recipes.digits import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.judge.exam import examine
    from training.learn import folds
    from training.recipes.digits import data, score

    found = data.load_once(config.dataset, config.source, config.folder, config.framed)
    found = folds.pool(found, config)
    return examine(score.make_exam(config, found), path, folder)


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> "Cost":
    from training.recipes.digits import cost

    return cost.measure(config, runs, files, classes)


def use(path: Path) -> Usage:
    from training.recipes.digits.use import describe_use

    return describe_use(path)


def port(path: Path, config: Config) -> Portable:
    from training.recipes.digits.port import open_portable

    return open_portable(path, config)


def sample(config: Config) -> "Data":
    from training.recipes.digits import data

    return data.load_once(config.dataset, "sample")


RECIPE = Recipe(
    "digits",
    "Digits & fashion",
    Config,
    ACCURACY,
    ("digits", "fashion"),
    train,
    evaluate,
    slot,
    describe,
    measure,
    use,
    port,
    sample=sample,
)
