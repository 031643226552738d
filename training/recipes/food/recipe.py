"""The recipe of Food: any network that tells pictures apart."""

from pathlib import Path
from typing import Any

from training import settings
from training.recipe import Metrics, Recipe
from training.recipes.food.config import Config


def slot(config: Config) -> str:
    return "food"


def train(config: Config, run: Any) -> Metrics:
    from training.learn import finetune
    from training.recipes.food import train as food_train

    return finetune.train(food_train.FoodTask(config, run))


def evaluate(path: Path, config: Config) -> Metrics:
    from training.recipes.food import score as food_score

    return food_score.evaluate(path, config)


RECIPE = Recipe(
    "food", "Food", Config, "accuracy", ("food",), train, evaluate, slot, settings.describe
)
