"""The checkpoints that a slot can hold: the embedded one, where there is one, models of the Hub
that a person added, and every finished run. And which one is active.

An id is `embedded-<slot>`, `embedded-backbone-<things>` (to start from; no slot holds it), a
run's id, or `owner/name@revision`; never a path. `runs/active.json` keeps each slot's choice
over a restart; it is written under the lock of `runs/`.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from training.runs import about, published
from training.runs.index import open_index
from training.runs.records import (
    JsonValue,
    RecordError,
    fits,
    read_json,
    read_record,
    write_json,
)
from training.runs.run import Run, lock
from training.wording import quote

EMBEDDED = Path(__file__).parents[2] / "demos" / "checkpoints"
ACTIVE = "active.json"  # in runs/
KNOWN = "known"  # .safetensors and .json of a checkpoint: what it knows (training/learn/known.py)
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
        return sum(file.stat().st_size for file in list_weights(self.path))


def embedded(slot: str) -> Checkpoint:
    """The one that comes with this project, where `has_embedded(slot)`."""
    return Checkpoint(f"embedded-{slot}", "embedded", EMBEDDED / slot, "embedded")


def has_embedded(slot: str) -> bool:
    """Whether this project brings a checkpoint for a slot: a new recipe may have none yet."""
    return (EMBEDDED / slot).is_dir()


def of_run(run: Run) -> Checkpoint:
    return Checkpoint(run.id, about.describe(run.id, run.read()).title, run.checkpoint, "run")


def of_hub(added: published.Added) -> Checkpoint:
    return Checkpoint(added.id, added.title, added.path, "hub")


def list_checkpoints(runs: Path, slot: str, most: int | None = None) -> Iterator[Checkpoint]:
    """The embedded one, models of the Hub, then the runs that landed here, newest first; of those
    at most so many."""
    if has_embedded(slot):
        yield embedded(slot)
    yield from map(of_hub, published.list_added(runs, slot))
    found = open_index(runs)
    landed = (entry for entry in found.newest() if entry.has_checkpoint and entry.slot == slot)
    for entry in itertools.islice(landed, most):
        yield Checkpoint(entry.id, entry.title, found.open(entry).checkpoint, "run")


def find(runs: Path, checkpoint_id: str, slot: str = "") -> Checkpoint:
    """By id; `embedded` alone means the one of `slot`. Raises CheckpointError."""
    if checkpoint_id == "embedded" and slot:
        checkpoint_id = f"embedded-{slot}"
    known = {p.name for p in EMBEDDED.iterdir() if p.is_dir()} if EMBEDDED.exists() else set()
    if checkpoint_id.removeprefix("embedded-") in known and checkpoint_id.startswith("embedded-"):
        return embedded(checkpoint_id.removeprefix("embedded-"))
    if added := published.find(runs, checkpoint_id, slot):
        if not added.is_whole:
            raise CheckpointError(
                f"{added.record['name']} is no longer in the Hub's cache of this machine: remove "
                "it here, and download it again."
            )
        return of_hub(added)
    run = Run.find(runs, checkpoint_id)
    if run is None:
        why = "It may have been deleted."
        if checkpoint_id.startswith("embedded"):
            why = "No model is built in there: choose another start, or random weights."
        raise CheckpointError(f"There is no checkpoint {quote(checkpoint_id)}. {why}")
    if not run.has_checkpoint:
        raise CheckpointError(f"{checkpoint_id} published no checkpoint (its state: {run.state}).")
    return of_run(run)


def active(runs: Path, slot: str) -> list[str]:
    """Ids, the active one last; those before it are what Roll back returns to. Empty where nothing
    is embedded and nothing was chosen."""
    chosen = _read_choices(runs).get(slot)
    if chosen and fits(chosen, list[str]):
        return cast(list[str], chosen)
    return [embedded(slot).id] if has_embedded(slot) else []


def find_lost_choice(runs: Path, slot: str) -> str:
    """A sentence where what was chosen for a slot can no longer be read; else empty."""
    try:
        chosen = (read_record(runs / ACTIVE, dict) or {}).get(slot, [])
    except RecordError as error:
        chosen = error
    if fits(chosen, list[str]):
        return ""
    text = f"{ACTIVE} is damaged, so which model was in use here is no longer known."
    return text + " The built-in one answers." * has_embedded(slot)


def set_active(runs: Path, slot: str, history: list[str]) -> None:
    """Raises OSError where it cannot be written; then all is as before."""
    with lock(runs):
        write_json(runs / ACTIVE, {**_read_choices(runs), slot: history[-HISTORY:]})


def _read_choices(runs: Path) -> dict[str, JsonValue]:
    """Of all slots, whatever stands there."""
    found = read_json(runs / ACTIVE)
    return found if isinstance(found, dict) else {}


def call(path: Path) -> str:
    """What a person calls the checkpoint in a folder: owner/name of the Hub's, a run's id, else the
    folder's name."""
    if own := published.read_own(path):
        return own["name"]
    if path.name == "checkpoint":
        return path.parent.name
    if path.parent.name == "snapshots":  # of the Hub's cache
        return path.parents[1].name.removeprefix("models--").replace("--", "/")
    return path.name


def list_weights(path: Path) -> list[Path]:
    """The files of a checkpoint that hold its network."""
    return [file for file in sorted(path.glob("*.safetensors")) if file.stem != KNOWN]


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
    if isinstance(found, dict) and isinstance(names := found.get("label_names"), list):
        found.setdefault("id2label", {str(i): name for i, name in enumerate(names)})  # timm's way
    if not isinstance(found, dict) or not isinstance(found.get("id2label") or {}, dict):
        raise CheckpointError(
            "its config.json is damaged (it holds no table of settings, or none of labels)"
        )
    return found


def check_usable(found: Checkpoint) -> Checkpoint:
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
