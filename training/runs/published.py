"""Models of the Hub that a person added: which they are, and the folders that answer.

Each is a folder `runs/models/<letters>/` that `from_pretrained` loads like a run's checkpoint: its
small files are kept there, its weights are links to the Hub's cache, and `hub.json` says what it is
of. So all of them are there after a restart, with no Hub. Its id is `owner/name@revision`, with
`#letters` behind where it answers for classes, or by a prompt, that a person chose.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict

from training.runs.records import RecordError, read_record

MODELS = "models"  # in the folder of runs
RECORD = "hub.json"  # in each model's folder
ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*@[0-9a-f]{7,64}(#[0-9a-f]{6})?")


class Choice(TypedDict, total=False):
    """What a person chose of a model that can be asked in many ways."""

    classes: list[str]  # of a zero-shot model
    template: str  # likewise: "a photo of {}."
    prompt: str  # of one that writes: what it is told to do


class Record(TypedDict, total=False):
    """hub.json whole."""

    name: Required[str]  # owner/name
    revision: Required[str]  # its commit
    slot: Required[str]
    kind: Required[str]  # what it does: training.data.hub_model.KINDS
    choice: Required[Choice]
    license: str
    bytes: int  # of the files that it links to
    fetched: bool  # whether these were fetched for it, and may go with it
    added: float  # seconds since 1970


@dataclass(frozen=True)
class Added:
    """A model of the Hub that is one of a slot's choices."""

    path: Path
    record: Record

    @property
    def id(self) -> str:
        return name_id(self.record)

    @property
    def title(self) -> str:
        """As a person reads it."""
        about = self.record["choice"]
        classes = about.get("classes") or []
        what = f" ({len(classes)} classes)" if classes else ""
        return f"{self.record['name']}{what} @{self.record['revision'][:7]}"

    @property
    def is_whole(self) -> bool:
        """Whether the Hub's cache still holds its weights."""
        return all(file.exists() for file in self.path.iterdir())


def name_id(record: Record) -> str:
    """`owner/name@revision`, and letters for what a person chose."""
    chosen = {key: value for key, value in sorted(record["choice"].items()) if value}
    letters = hashlib.sha256(repr(chosen).encode()).hexdigest()[:6]
    return f"{record['name']}@{record['revision']}" + f"#{letters}" * bool(chosen)


def find_folder(runs: Path, record: Record) -> Path:
    """Where a model lies, or will lie: one name for each slot and id."""
    text = f"{record['slot']} {name_id(record)}"
    return runs / MODELS / hashlib.sha256(text.encode()).hexdigest()[:20]


def list_added(runs: Path, slot: str = "") -> list[Added]:
    """Those of a slot, or of all, the newest first. A folder that is damaged is none of them."""
    found = []
    for file in (runs / MODELS).glob(f"*/{RECORD}"):
        try:
            record = read_record(file, Record)
        except RecordError:
            continue
        if record and (not slot or record["slot"] == slot):
            found.append(Added(file.parent, record))
    return sorted(found, key=lambda each: (-each.record.get("added", 0.0), each.id))


def find(runs: Path, name: str, slot: str = "") -> Added | None:
    """By id."""
    if not ID.fullmatch(name):
        return None
    return next((each for each in list_added(runs, slot) if each.id == name), None)


def read_own(path: Path) -> Record | None:
    """Of a folder, what it is of; None where it is no model of the Hub."""
    try:
        return read_record(path / RECORD, Record)
    except RecordError:
        return None


def discard(added: Added) -> None:
    """Removes a model's folder; the Hub's cache keeps its files."""
    gone = added.path.with_name(f".{added.path.name}.gone")
    added.path.rename(gone)  # at once: half of it is none
    shutil.rmtree(gone, ignore_errors=True)
