"""Scores any checkpoint on any data: the same exam, and the same report, as at the end of a run.

    python -m training evaluate embedded food
    python -m training evaluate food-20261127-101500-kqzt food --source folder --folder my-pictures
    python -m training evaluate owner/name food --source hub --report my-report

A checkpoint is a run's id, `embedded`, a model of the Hub, or a folder.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import transformers

from training import recipe
from training.judge.records import Report
from training.judge.report import FILE, describe
from training.learn.backbone import open_checkpoint
from training.recipe import Recipe
from training.runs.records import write_json


def evaluate(
    name: str, made: Recipe, settings: Mapping[str, object], runs: Path, folder: Path | None
) -> Report:
    """The report on the checkpoint `name`, on the data that the settings say. What it shows is
    written into `folder`, if there is one. Raises SettingsError, CheckpointError."""
    transformers.utils.logging.disable_progress_bar()
    config = recipe.parse(made.config, dict(settings))
    path = find_checkpoint(name, runs, made.slot(config))
    if folder is None:
        with tempfile.TemporaryDirectory() as kept_for_now:
            return made.evaluate(path, config, Path(kept_for_now))
    folder.mkdir(parents=True, exist_ok=True)
    report = made.evaluate(path, config, folder)
    write_json(folder / FILE, report.to_json())
    return report


def find_checkpoint(name: str, runs: Path, slot: str) -> Path:
    """The folder of a checkpoint. Whoever types a command may name folders of this machine. Raises
    SettingsError, CheckpointError."""
    if (Path(name) / "config.json").is_file():
        return Path(name)
    found, _ = open_checkpoint(name, runs, slot)
    return found.path


def print_report(report: Report, folder: Path | None) -> None:
    print(describe(report))
    if folder is not None:
        print(f"\nThe report is in {folder}.")
