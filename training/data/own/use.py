"""Runs on own data sets: refused before they wait in the queue where that cannot be, and given the
place of what they name when they start. A run keeps the name and the revision alone.

Settings name a data set (`source` own, `dataset` pets); what trains on it reads `folder`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from training import recipe
from training.data.own.data_set import DataSet, find
from training.recipe import IsDataclass, SettingsError
from training.runs import job
from training.runs.index import open_index
from training.runs.run import Run
from training.wording import counted, quote

ConfigT = TypeVar("ConfigT", bound=IsDataclass)


def locate(config: ConfigT, runs: Path) -> ConfigT:
    """The same with the folder of the own data set that it names, if it names one. Raises
    SettingsError where there is none that fits."""
    named: Any = config
    if getattr(config, "source", "") != "own":
        return config
    found = find(runs, named.dataset)
    if found.kind != named.own_kind:
        raise SettingsError(
            f"{quote(found.name)} holds {found.kind}, and this learns from {named.own_kind}: "
            "choose another data set, or another model."
        )
    return dataclasses.replace(named, folder=str(found.path))


def locate_for(config: ConfigT, run: Run) -> ConfigT:
    """The same for a run that starts, or goes on. Raises SettingsError where what it continues
    learned from something else."""
    runs = run.path.parent
    origin = Run.find(runs, run.settings.get("continues", ""))
    if origin is not None:
        refuse_changed(origin)
    return locate(config, runs)


def create_run(runs: Path, name: str, settings: Mapping[str, object], local: bool = True) -> Run:
    """As job.create, of a recipe whose data is there. Raises SettingsError."""
    locate(recipe.parse(recipe.load(name).config, settings, local), runs)
    return job.create(runs, name, settings, local)


def continue_run(runs: Path, run_id: str, changes: Mapping[str, object], local: bool = True) -> Run:
    """As job.continue_run, where the data is what it was. Raises SettingsError."""
    old = Run.find(runs, run_id)
    if old is not None:
        refuse_changed(old)
    return job.continue_run(runs, run_id, changes, local)


def refuse_changed(old: Run) -> None:
    """A run goes on with what it began with. Raises SettingsError."""
    if change := describe_change(old):
        raise SettingsError(
            f"{change} It cannot be continued: undo the corrections, or start a new run from its "
            f"checkpoint: start {old.id}."
        )


def describe_change(run: Run) -> str:
    """What became of the own data that a run learned from, as a sentence; empty where it is as it
    was. Raises SettingsError where it is not there any more."""
    if run.config.get("source") != "own":
        return ""
    before = run.revision
    now = find(run.path.parent, run.config.get("dataset")).revision
    if not before or before == now:
        return ""
    return (
        f"{run.id} learned from revision {before} of {quote(run.config.get('dataset'))}, which "
        f"has been changed since and is revision {now} now."
    )


# -- what became of it since -----------------------------------------------------------------------
@dataclass(frozen=True)
class Change:
    """What became of a data set since a run learned from it."""

    run: Run
    corrections: int  # made or taken back
    added: int  # items

    @property
    def settings(self) -> dict[str, object]:
        """To train again as that run did. Raises SettingsError."""
        known: Mapping[str, object] = self.run.config
        used = recipe.find_used(recipe.parse_draft(recipe.load(self.run.recipe).config, known))
        return {name: value for name, value in known.items() if name in used and name != "name"}

    def __str__(self) -> str:
        told = [counted(self.corrections, "correction")] * bool(self.corrections)
        told += [counted(self.added, "new example")] * bool(self.added)
        return " and ".join(told) or "what has changed"


def list_learned(runs: Path, name: str) -> Iterator[Run]:
    """The runs on a data set, the newest first."""
    index = open_index(runs)
    for entry in index.newest():
        run = index.open(entry)
        if run.config.get("source") == "own" and run.config.get("dataset") == name:
            yield run


def find_change(found: DataSet) -> Change | None:
    """Since the newest run that ended well; None where there is none, or where the data is as it
    was then. Raises SettingsError."""
    learned = list_learned(found.runs, found.name)
    run = next((each for each in learned if each.state == "done"), None)
    if run is None or not run.revision or run.revision == found.revision:
        return None
    since = run.created
    corrections = sum(
        (each["at"] > since) != (each["undone"] > since)
        for each in found.record.get("corrections", [])
        if each["did"] != "right"  # nothing to learn anew
    )
    added = sum(item.path.stat().st_mtime > since for item in found.list_items())
    return Change(run, corrections, added)
