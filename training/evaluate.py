"""Scores any checkpoint on any data: the same exam, and the same report, as at the end of a run.

    python -m training evaluate embedded food
    python -m training evaluate food-20261127-101500-kqzt food --source folder --folder my-pictures
    python -m training evaluate owner/name food --source hub --report my-report

A checkpoint is a run's id, `embedded`, a model of the Hub, or a folder.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import transformers

from training import recipe
from training.data.own import use
from training.judge.records import Report
from training.judge.report import FILE, describe
from training.learn.backbone import open_checkpoint
from training.recipe import Recipe
from training.runs.records import write_json
from training.runs.run import Run


def evaluate(
    name: str, made: Recipe, settings: Mapping[str, object], runs: Path, folder: Path | None
) -> Report:
    """The report on the checkpoint `name`, on the data that the settings say. What it shows is
    written into `folder`, if there is one. Raises SettingsError, CheckpointError."""
    transformers.utils.logging.disable_progress_bar()
    config = use.locate(recipe.parse(made.config, dict(settings)), runs)
    path = find_checkpoint(name, runs, made.slot(config))
    notes = _tell_change(name, settings, runs)
    if folder is None:
        with tempfile.TemporaryDirectory() as kept_for_now:
            report = made.evaluate(path, config, Path(kept_for_now))
            return replace(report, notes=[*report.notes, *notes])
    folder.mkdir(parents=True, exist_ok=True)
    report = made.evaluate(path, config, folder)
    report = replace(report, notes=[*report.notes, *notes])
    write_json(folder / FILE, report.to_json())
    return report


def _tell_change(name: str, settings: Mapping[str, object], runs: Path) -> list[str]:
    """Of a run that is scored on the own data that it learned from, whether that is what it was."""
    run = Run.find(runs, name)
    if run is None or run.config.get("dataset") != settings.get("dataset"):
        return []
    change = use.describe_change(run)
    return [f"{change} This score is on what it is now."] if change else []


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
