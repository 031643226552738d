"""Audio intent: any network that tells sounds apart, as a recipe. What trains it is
imported when it is trained."""

from pathlib import Path

from training import settings
from training.judge.records import ACCURACY, Report
from training.recipe import Recipe
from training.recipes.audio_intent.config import Config
from training.runs.run import Run


def slot(config: Config) -> str:
    return "audio"


def train(config: Config, run: Run) -> Report:
    from training.recipes.audio_intent import train as training

    return training.train(config, run)


def evaluate(path: Path, config: Config, folder: Path) -> Report:
    from training.judge.exam import examine
    from training.learn import folds
    from training.recipes.audio_intent import data, score

    found = data.load_once(
        config.dataset, config.source, config.folder, config.language, config.clips
    )
    return examine(score.make_exam(config, folds.pool(found, config)), path, folder)


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
)
