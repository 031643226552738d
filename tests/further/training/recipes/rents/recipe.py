"""Rents as a recipe. What trains it is imported when it is trained."""

from pathlib import Path

from training.recipes.rents.config import R2, Config

from training.judge.records import Report
from training.recipe import Recipe
from training.runs.run import Run
from training.wording import counted


def train(config: Config, run: Run) -> Report:
    from training.recipes.rents import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.recipes.rents import data, score

    from training.judge.exam import examine

    return examine(score.make_exam(data.draw_flats()), path, folder)


def slot(config: Config) -> str:
    return "rents"


def describe(config: Config) -> str:
    start = "random weights" if config.start == "scratch" else config.start
    return f"flats, from {start}, {counted(config.epochs, 'epoch')}"


RECIPE = Recipe("rents", "Rents", Config, R2, ("rents",), train, evaluate, slot, describe)
