"""A run: one execution of a recipe, kept in a directory, the only thing that crosses from training
to serving.

    runs/digits-20261120-234401-kqzt/
        config.json        settings, data and its revision, resolved base, versions, `continues`
        status.json        state, process, heartbeat, reason; written atomically
        events.jsonl       one line an event, appended and flushed
        log.txt            all output of the job
        stop               its presence asks the job to stop at the next step
        swap.json          what became of the checkpoint in its slot
        resume/            what continuing needs
        checkpoint/        published by one rename, last
        report/            metrics.json and pictures

This file alone knows the paths inside it. Each phase has one writer of the status: who queues it,
then its supervisor, then its worker, then (when the worker left no word) the supervisor again.
"""

import contextlib
import json
import os
import random
import re
import shutil
import string
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Required, TypeAlias, TypedDict, Unpack, cast

from filelock import FileLock

ENDED = ("done", "stopped", "failed", "lost")
BEAT = 1.0  # seconds between heartbeats, at most
JsonValue: TypeAlias = (
    "Mapping[str, JsonValue] | Sequence[JsonValue] | str | int | float | bool | None"
)


# -- what its files hold ---------------------------------------------------------------------------
class Settings(TypedDict, total=False):
    """config.json whole. Beside these keys, what was resolved when it ran
    (`judge.records.Provenance`)."""

    recipe: str
    config: dict[str, str | int | float]
    created: float
    slot: str  # where its checkpoint belongs
    continues: str  # the run that it continues
    versions: dict[str, str]
    commit: str


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
    worker: dict[str, float]  # see training/runs/process.py
    supervisor: dict[str, float]


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
    """What became of a run's checkpoint."""

    outcome: str  # swapped, kept, offered or refused
    why: str
    at: float


# -- files -----------------------------------------------------------------------------------------
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


def read_json(path: Path, default: JsonValue = None) -> JsonValue:
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: half-written
        return default


def lock(runs: Path) -> FileLock:
    """Held for queueing, claiming and deleting; shared by the app and the terminal command. Not
    reentrant."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / ".lock", timeout=30)


class Run:
    def __init__(self, path: Path, main: bool = True):
        """`main` is False on the ranks of a distributed job that only compute: they write
        nothing."""
        self.path = Path(path)
        self.main = main
        self.interrupted = False
        self._beat = 0.0
        self._step: Beat = {}

    # -- making and finding ------------------------------------------------------------------------
    @classmethod
    def create(
        cls,
        runs: Path,
        recipe: str,
        config: Mapping[str, str | int | float],
        **more: JsonValue,
    ) -> "Run":
        """A new directory with its config, queued."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        while True:
            run = cls(
                runs / f"{recipe}-{stamp}-{''.join(random.choices(string.ascii_lowercase, k=4))}"
            )
            with contextlib.suppress(FileExistsError):
                run.path.mkdir(parents=True)
                break
        write_json(
            run.path / "config.json",
            {"recipe": recipe, "config": config, "created": time.time(), **more},
        )
        run.set_status("queued", queued=time.time())
        return run

    @classmethod
    def find(cls, runs: Path, run_id: str) -> "Run | None":
        """By id, which is never a path."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
            return None
        return cls(runs / run_id) if (runs / run_id / "config.json").is_file() else None

    @classmethod
    def all(cls, runs: Path) -> list["Run"]:
        """Oldest first."""
        found = [
            cls(p.parent)
            for p in Path(runs).glob("*/config.json")
            if not p.parent.name.startswith(".")
        ]
        return sorted(found, key=lambda r: (r.settings.get("created", 0), r.id))

    # -- what it is --------------------------------------------------------------------------------
    @property
    def id(self) -> str:
        return self.path.name

    @property
    def settings(self) -> Settings:
        """config.json whole: recipe, config, created, and what was resolved when it ran."""
        return cast(Settings, read_json(self.path / "config.json", {}))

    @property
    def recipe(self) -> str:
        return self.settings.get("recipe", self.id.split("-")[0])

    @property
    def slot(self) -> str:
        """Where its checkpoint belongs: written when it was made."""
        return self.settings.get("slot", "")

    @property
    def config(self) -> dict[str, str | int | float]:
        return self.settings.get("config", {})

    def record(self, **more: JsonValue) -> None:
        """Adds what was resolved (base, data revision, versions) to config.json."""
        if self.main:
            write_json(self.path / "config.json", {**self.settings, **more})

    # -- status ------------------------------------------------------------------------------------
    @property
    def status(self) -> Status:
        status = read_json(self.path / "status.json")
        if isinstance(status, dict) and "state" in status:
            return cast(Status, status)
        return {"state": "lost", "reason": "Its status file is missing."}

    @property
    def state(self) -> str:
        """As a person sees it: a running job that was asked to stop is `stopping`."""
        state = self.status["state"]
        return "stopping" if state == "running" and self.stop_requested else state

    def set_status(self, state: str, **more: Unpack[StatusFacts]) -> None:
        if self.main:
            found = read_json(self.path / "status.json")
            old = found if isinstance(found, dict) else {}
            write_json(
                self.path / "status.json", {**old, "state": state, "heartbeat": time.time(), **more}
            )

    def beat(self, stage: str = "", **more: Unpack[Progress]) -> None:
        """A sign of life, with what the job is at; written at most once a second, a new stage or a
        note at once."""
        if "note" in more or (stage and stage != self._step.get("stage")):
            self._beat = 0.0
        self._step.update(cast(Beat, more))
        if stage:
            self._step["stage"] = stage
        if self.main and time.time() - self._beat > BEAT:
            self._beat = time.time()
            self.set_status("running", **self._step)

    # -- events and log ----------------------------------------------------------------------------
    def log(self, **event: Unpack[Facts]) -> None:
        """Appends one event; `step` and `total` are also the progress that the page shows."""
        if not self.main:
            return
        with open(self.path / "events.jsonl", "a", encoding="utf-8") as f:
            f.write(json.dumps({"t": round(time.time(), 3), **event}) + "\n")
        at = {key: value for key, value in event.items() if key in ("step", "total", "epoch")}
        self.beat(**cast(Progress, at))

    def events(self) -> Iterator[Event]:
        """All events; a half-written last line is left out."""
        try:
            text = (self.path / "events.jsonl").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield cast(Event, event)

    def say(self, text: str, error: bool = False) -> None:
        """One line for the person: on the terminal, and in log.txt (which is the output of a
        spawned job). Errors go to stderr, also those of a rank that otherwise writes nothing."""
        if self.main or error:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)
        if not self.main:
            return
        if not self.spawned:
            with open(self.log_file, "a", encoding="utf-8") as f:
                f.write(text + "\n")

    @property
    def spawned(self) -> bool:
        return os.environ.get("TRANSFER_LAB_JOB") == self.id

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    def log_tail(self, lines: int = 12) -> str:
        try:
            with open(self.log_file, "rb") as f:
                f.seek(max(0, f.seek(0, os.SEEK_END) - 16384))
                text = f.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        # A progress bar redraws its line with \r: only its last state is worth showing.
        shown = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.rstrip().split("\n")]
        return "\n".join(shown[-lines:])

    # -- stopping ----------------------------------------------------------------------------------
    def request_stop(self) -> None:
        if not self.stop_requested:  # asking twice does not make the first time later
            (self.path / "stop").touch()

    @property
    def stop_requested(self) -> bool:
        return os.path.exists(
            f"{self.path}/stop"
        )  # asked before every step: making a Path takes as long again

    @property
    def stop_age(self) -> float:
        """Seconds since the stop was asked for; 0 if it was not."""
        try:
            return time.time() - (self.path / "stop").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @property
    def escalation(self) -> str:
        """What the supervisor had to add to the stop file: nothing, SIGTERM or SIGKILL."""
        return str(read_json(self.path / "escalation.json", ""))

    def escalate(self, signal_name: str) -> None:
        write_json(self.path / "escalation.json", signal_name)

    def should_stop(self) -> bool:
        """True once a person (the stop file) or the system (SIGTERM, Ctrl-C) asked. Cheap: one
        stat."""
        return self.interrupted or self.stop_requested

    # -- results -----------------------------------------------------------------------------------
    @property
    def staging(self) -> Path:
        return self.path / "checkpoint.partial"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def has_checkpoint(self) -> bool:
        return (self.checkpoint / "config.json").is_file()

    def publish(self) -> None:
        """One rename, last: a checkpoint directory that exists is whole."""
        if self.main:
            os.rename(self.staging, self.checkpoint)

    def discard(self) -> None:
        """What was not published goes, also because the disk may be full and its status must be
        written."""
        if self.main:
            shutil.rmtree(self.staging, ignore_errors=True)
            for path in self.path.glob("resume/*.partial"):
                path.unlink()

    def _folder(self, name: str) -> Path:
        path = self.path / name
        if self.main:
            path.mkdir(exist_ok=True)
        return path

    @property
    def resume(self) -> Path:
        return self._folder("resume")

    @property
    def saved(self) -> list[Path]:
        """What it left in resume/ for continuing it; empty before its first save."""
        return [p for p in sorted(self.path.glob("resume/*")) if p.suffix != ".partial"]

    @property
    def report(self) -> Path:
        return self._folder("report")

    @property
    def metrics(self) -> JsonValue:
        return read_json(self.path / "report" / "metrics.json", {})

    @property
    def swap(self) -> Swap | None:
        """What became of the checkpoint; None: pending."""
        return cast(Swap | None, read_json(self.path / "swap.json"))

    def set_swap(self, outcome: str, why: str) -> None:
        write_json(self.path / "swap.json", {"outcome": outcome, "why": why, "at": time.time()})

    def size(self) -> int:
        """Bytes on disk."""
        total = 0
        for root, _, files in os.walk(self.path):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(root, name)).st_size
        return total

    def delete(self) -> None:
        """Renamed out of sight first, so that a half-deleted run is never listed."""
        gone = self.path.with_name(f".deleted-{self.id}")
        os.rename(self.path, gone)
        shutil.rmtree(gone)
