"""What the files of `runs/` hold, as typed records: written whole, and checked when they are read.

Anything may have happened to a file since it was written: a disk that filled, a hand that edited
it, another version. What does not fit its record is a RecordError with a sentence, here and nowhere
else, so that nobody who reads a run need ask again whether a number is one.
"""

import errno
import functools
import json
import os
import random
import stat
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import (
    Any,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

MOST = 1 << 24  # bytes of a record's file: the largest, a report's, take some hundred thousand
LARGEST = 1e18  # no number of a run is larger; some that are cannot even be written out
JsonValue: TypeAlias = (
    "Mapping[str, JsonValue] | Sequence[JsonValue] | str | int | float | bool | None"
)
Record = TypeVar("Record")


class RecordError(ValueError):
    """A stored record cannot be read, or is none; the text says what is wrong with it."""


# -- the records of a run --------------------------------------------------------------------------
class Settings(TypedDict, total=False):
    """config.json whole. Beside these keys, what was resolved when it ran
    (`judge.records.Provenance`)."""

    recipe: str
    config: dict[str, str | int | float]
    created: float
    slot: str  # where its checkpoint belongs
    continues: str  # the run that it continues
    revision: str  # of its data
    versions: dict[str, str]
    commit: str


class Identity(TypedDict, total=False):
    """A process (training/runs/process.py)."""

    pid: int
    boot: str
    ticks: int
    started: float  # seconds since 1970; of systems without /proc, and of earlier versions


class Progress(TypedDict, total=False):
    """How far a job is."""

    step: int
    total: int
    epoch: int
    note: str  # what a person should know


class Beat(Progress, total=False):
    """What a job is at."""

    stage: str


class StatusFacts(Beat, total=False):
    """What a status says beside its state."""

    reason: str  # why it ended
    seconds: float  # how long it took
    queued: float
    terminal: bool  # a terminal waits for its turn, and runs it
    worker: Identity
    supervisor: Identity


class Status(StatusFacts, total=False):
    """status.json whole."""

    state: Required[str]
    heartbeat: float


class Facts(TypedDict, total=False):
    """What happened: a step, or the score of an epoch."""

    step: Required[int]
    total: Required[int]
    epoch: int
    loss: float
    seen: int  # examples so far
    score: float
    score_loss: float


class Event(Facts):
    """A line of events.jsonl."""

    t: float  # seconds since 1970


class Swap(TypedDict):
    """swap.json: what became of a run's checkpoint."""

    outcome: str  # swapped, kept, offered or refused
    why: str
    at: float


class About(TypedDict, total=False):
    """about.json: what a person wrote about a run."""

    name: str
    notes: str


# -- whether something is a record -----------------------------------------------------------------
def fits(value: object, kind: Any, finite: bool = True) -> bool:
    """Whether what was stored has the type that a record's field is declared with. `finite`:
    whether a number must be one; a loss may have become infinite."""
    if isinstance(kind, types.UnionType):
        return any(fits(value, one, finite) for one in get_args(kind))
    if is_typeddict(kind):
        return _fits_keys(value, kind, finite)
    if get_origin(kind) is list:
        (of,) = get_args(kind)
        return isinstance(value, list) and all(fits(each, of, finite) for each in value)
    if get_origin(kind) is dict:
        key, of = get_args(kind)
        return isinstance(value, dict) and all(
            fits(name, key) and fits(each, of, finite) for name, each in value.items()
        )
    if isinstance(value, bool):
        return kind is bool
    if kind in (int, float) and isinstance(value, int | float if kind is float else int):
        return abs(value) < LARGEST or (not finite and isinstance(value, float))
    if kind is str:
        return isinstance(value, str) and is_text(value)
    return isinstance(value, kind)


def _fits_keys(value: object, kind: Any, finite: bool) -> bool:
    """A table with every key that its record requires; further keys are another's to check."""
    if not isinstance(value, dict) or not kind.__required_keys__ <= value.keys():
        return False
    hints = _hints(kind)
    return all(fits(each, hints[name], finite) for name, each in value.items() if name in hints)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def is_text(value: str) -> bool:
    """False for halves of a character, which JSON can hold and no page can be sent."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# -- files -----------------------------------------------------------------------------------------
def read_record(path: Path, kind: type[Record]) -> Record | None:
    """None where there is no such file. Raises RecordError where it cannot be read, or holds
    something else."""
    text = read_text(path)
    if text is None:
        return None
    found = _parse(path, text)
    if not fits(found, kind):
        raise RecordError(f"{path.name} does not hold what belongs there")
    return cast(Record, found)


def read_json(path: Path, default: JsonValue = None) -> JsonValue:
    """Whatever it holds; `default` where it holds nothing that can be read."""
    try:
        text = read_text(path)
        return default if text is None else _parse(path, text)
    except RecordError:
        return default


def _parse(path: Path, text: str) -> JsonValue:
    """Raises RecordError."""
    try:
        found = json.loads(text)
        if "\\ud" in text.lower():  # perhaps half a character
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path.name} is damaged or cut off") from error
    return found


def read_text(path: Path, most: int = MOST) -> str | None:
    """None where there is no such file. Raises RecordError where it is no file of a sensible size
    that may be read."""
    try:
        # Asked first: to open a pipe would wait for somebody to write into it.
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise RecordError(f"{path.name} is no file")
        if about.st_size > most:
            raise RecordError(f"{path.name} is far too large")
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise RecordError(f"{path.name} is damaged or cut off") from error
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read ({error.strerror})") from error


def is_disk_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_json(path: Path, value: object) -> None:
    """Atomic: a reader sees the old file or the new one, also after a crash."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{random.getrandbits(32):x}")
    try:
        with open(partial, "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
