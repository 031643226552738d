"""Food: any network that tells pictures apart, as a recipe. What trains it is
imported when it is trained."""

from pathlib import Path

from training import settings
from training.judge.records import ACCURACY, Report
from training.recipe import Recipe
from training.recipes.food.config import Config
from training.runs.run import Run


def slot(config: Config) -> str:
    return "food"


def train(config: Config, run: Run) -> Report:
    from training.recipes.food import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.judge.exam import examine
    from training.learn import folds
    from training.recipes.food import data, score

    found = folds.pool(data.load_once(config.dataset, config.source, config.folder), config)
    return examine(score.make_exam(config, found), path, folder)


RECIPE = Recipe(
    "food",
    "Food",
    Config,
    ACCURACY,
    ("food",),
    train,
    evaluate,
    slot,
    settings.describe,
)
