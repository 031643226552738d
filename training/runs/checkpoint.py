"""The checkpoints that a slot can hold: the embedded one, where there is one, and every finished
run. And which one is active.

An id is `embedded-<slot>` or a run's id; never a path. `runs/active.json` keeps each slot's choice
over a restart; it is written under the lock of `runs/`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from training.runs.run import JsonValue, Run, lock, read_json, write_json

EMBEDDED = Path(__file__).parents[2] / "demos" / "checkpoints"
HISTORY = 10  # how many earlier choices Roll back can walk through


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the text says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A directory that `from_pretrained` loads. It comes with this project, or a run published it,
    or it was fetched from the Hub."""

    id: str
    name: str  # as the API and the command tell it
    path: Path
    kind: Literal["embedded", "run", "hub"]

    @property
    def title(self) -> str:
        """The name as the page shows it."""
        return "Built-in" if self.kind == "embedded" else self.name

    @property
    def bytes(self) -> int:
        """The size of its weight files on disk."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors"))


def embedded(slot: str) -> Checkpoint:
    """The one that comes with this project, where `has_embedded(slot)`."""
    return Checkpoint(f"embedded-{slot}", "embedded", EMBEDDED / slot, "embedded")


def has_embedded(slot: str) -> bool:
    """Whether this project brings a checkpoint for a slot: a new recipe may have none yet."""
    return (EMBEDDED / slot).is_dir()


def of_run(run: Run) -> Checkpoint:
    from training import recipe

    try:
        made = recipe.load(run.recipe)
        name = str(run.config.get("name") or "")
        name = name or made.describe(recipe.parse(made.config, run.config))
    except recipe.SettingsError:  # made by another version, whose recipes or settings were others
        name = run.recipe
    return Checkpoint(run.id, f"{name} · {run.id[-4:]}", run.checkpoint, "run")


def listing(runs: Path, slot: str) -> Iterator[Checkpoint]:
    """The embedded one, then the runs that landed here, newest first."""
    if has_embedded(slot):
        yield embedded(slot)
    for run in reversed(Run.all(runs)):
        if run.has_checkpoint and run.slot == slot:
            yield of_run(run)


def find(runs: Path, checkpoint_id: str, slot: str = "") -> Checkpoint:
    """By id; `embedded` alone means the one of `slot`. Raises CheckpointError."""
    if checkpoint_id == "embedded" and slot:
        checkpoint_id = f"embedded-{slot}"
    known = {p.name for p in EMBEDDED.iterdir() if p.is_dir()} if EMBEDDED.exists() else set()
    if checkpoint_id.removeprefix("embedded-") in known and checkpoint_id.startswith("embedded-"):
        return embedded(checkpoint_id.removeprefix("embedded-"))
    run = Run.find(runs, checkpoint_id)
    if run is None:
        why = "It may have been deleted."
        if checkpoint_id.startswith("embedded"):
            why = "No model is built in there: choose another start, or random weights."
        raise CheckpointError(f"There is no checkpoint {checkpoint_id!r}. {why}")
    if not run.has_checkpoint:
        raise CheckpointError(f"{checkpoint_id} published no checkpoint (its state: {run.state}).")
    return of_run(run)


def active(runs: Path, slot: str) -> list[str]:
    """Ids, the active one last; those before it are what Roll back returns to. Empty where nothing
    is embedded and nothing was chosen."""
    chosen = _read_choices(runs).get(slot)
    if isinstance(chosen, list) and chosen:
        return chosen
    return [embedded(slot).id] if has_embedded(slot) else []


def set_active(runs: Path, slot: str, history: list[str]) -> None:
    with lock(runs):
        write_json(runs / "active.json", {**_read_choices(runs), slot: history[-HISTORY:]})


def _read_choices(runs: Path) -> dict[str, list[str]]:
    """Of all slots; what is no list is skipped by who reads it."""
    found = read_json(runs / "active.json")
    return cast(dict[str, list[str]], found) if isinstance(found, dict) else {}


def config(path: Path) -> dict[str, JsonValue]:
    """What a checkpoint's config.json says. Raises CheckpointError where it is missing or
    damaged."""
    file = path / "config.json"
    if not file.is_file():
        raise CheckpointError("its config.json is missing, so it cannot be loaded")
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"its config.json is damaged ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("id2label") or {}, dict):
        raise CheckpointError(
            "its config.json is damaged (it holds no table of settings, or none of labels)"
        )
    return found


def usable(found: Checkpoint) -> Checkpoint:
    """The same. Raises CheckpointError, with its name, where its config.json is missing or
    damaged."""
    try:
        config(found.path)
    except CheckpointError as error:
        raise CheckpointError(f"{found.name} cannot be used: {error}") from error
    return found


def is_synthetic(path: Path) -> bool:
    """Whether a checkpoint learned from what code drew or spoke. Raises CheckpointError."""
    return config(path).get("synthetic") is True


def labels(path: Path) -> list[str]:
    """The names of a checkpoint's classes, in the order of its outputs. Raises CheckpointError."""
    names = cast(dict[str, str], config(path).get("id2label") or {})
    return [names[key] for key in sorted(names, key=int)]
