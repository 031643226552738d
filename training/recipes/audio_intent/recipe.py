"""Audio intent: any network that tells sounds apart, as a recipe. What trains it is
imported when it is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from training import settings
from training.judge.records import ACCURACY, Report
from training.publish.records import Portable, Usage
from training.recipe import Recipe
from training.recipes.audio_intent.config import Config
from training.runs.run import Run

if TYPE_CHECKING:
    from training.data.examples import Data
    from training.learn.cost import Cost


def slot(config: Config) -> str:
    return "audio"


def train(config: Config, run: Run) -> Report:
    from training.recipes.audio_intent import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.judge.exam import examine
    from training.learn import folds
    from training.recipes.audio_intent import data, score

    found = data.load_for(config)
    return examine(score.make_exam(config, folds.pool(found, config)), path, folder)


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> "Cost":
    from training.recipes.audio_intent import cost

    return cost.measure(config, runs, files, classes)


def use(path: Path) -> Usage:
    from training.recipes.audio_intent.use import describe_use

    return describe_use(path)


def port(path: Path, config: Config) -> Portable:
    from training.recipes.audio_intent.port import open_portable

    return open_portable(path, config)


def sample(config: Config) -> "Data":
    from training.recipes.audio_intent import data

    return data.load_for(config)


RECIPE = Recipe(
    "audio_intent",
    "Audio intent",
    Config,
    ACCURACY,
    ("audio",),
    train,
    evaluate,
    slot,
    settings.describe,
    measure,
    use,
    port,
    sample=sample,
)
