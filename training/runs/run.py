"""A run: one execution of a recipe, kept in a directory, the only thing that crosses from training
to serving.

    runs/digits-20261120-234401-kqzt/
        config.json        settings, data and its revision, resolved base, versions, `continues`
        status.json        state, process, heartbeat, reason; written atomically
        events.jsonl       one line an event, appended and flushed
        log.txt            all output of the job
        stop               its presence asks the job to stop at the next step
        swap.json          what became of the checkpoint in its slot
        about.json         the name and the notes that a person gave it; most have none
        resume/            what continuing needs
        checkpoint/        published by one rename, last
        report/            metrics.json and pictures
        learned.safetensors  what it learned from, by keys (training/judge/learned.py)
        reserve            room on the disk for the last word, while it has not ended

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
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack, cast

from filelock import FileLock

from training.runs.records import (
    About,
    Beat,
    Event,
    Facts,
    JsonValue,
    Progress,
    RecordError,
    Settings,
    Status,
    StatusFacts,
    Swap,
    fits,
    is_disk_full,
    read_json,
    read_record,
    write_json,
)

ENDED = ("done", "stopped", "failed", "lost")
BEAT = 1.0  # seconds between heartbeats, at most
OVER = (*ENDED, "damaged")  # nothing more comes of it
NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")  # of a run: its id, which is never a path
MADE = re.compile(r"[A-Za-z0-9_]+-\d{8}-\d{6}-[a-z]{4}")  # as `Run.create` names them
JOURNAL = ".journal"  # in runs/, read by training/runs/index.py
RESERVE = "reserve"  # room on the disk for a last word


def lock(runs: Path) -> FileLock:
    """Held for queueing, claiming and deleting; shared by the app and the terminal command. Not
    reentrant."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / ".lock", timeout=30)


@dataclass
class Contents:
    """What a run's records say; of a damaged run, what could be read, and its status tells what is
    wrong."""

    settings: Settings = field(default_factory=lambda: Settings())
    status: Status = field(default_factory=lambda: Status(state="damaged"))
    swap: Swap | None = None
    about: About = field(default_factory=lambda: About())


class Run:
    def __init__(self, path: Path, main: bool = True):
        """`main` is False on the ranks of a distributed job that only compute: they write
        nothing."""
        self.path = Path(path)
        self.main = main
        self.interrupted = False
        self._beat = 0.0
        self._step: Beat = {}
        self._who: StatusFacts = {}

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
        made = time.time()
        runs.mkdir(parents=True, exist_ok=True)
        # Made whole beside the others, then named: nobody ever sees half a run, also where the disk
        # fills in the midst of it.
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=runs))
        try:
            new.chmod(0o755)
            (new / RESERVE).write_bytes(bytes(4096))
            write_json(
                new / "config.json", {"recipe": recipe, "config": config, "created": made, **more}
            )
            cls(new)._write_status({"state": "queued", "heartbeat": made, "queued": made})
            while True:
                letters = "".join(random.choices(string.ascii_lowercase, k=4))
                run = cls(runs / f"{recipe}-{stamp}-{letters}")
                if not run.path.exists():
                    new.rename(run.path)
                    break
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        run.tell()
        return run

    @classmethod
    def find(cls, runs: Path, run_id: str) -> "Run | None":
        """By id, which is never a path."""
        return cls(runs / run_id) if cls.is_run(runs, run_id) else None

    @classmethod
    def is_run(cls, runs: Path, name: str) -> bool:
        """Whether a directory in `runs` is a run's, be it a damaged one's."""
        if not NAME.fullmatch(name):
            return False
        path = runs / name
        return (path / "config.json").exists() or bool(MADE.fullmatch(name) and path.is_dir())

    @classmethod
    def all(cls, runs: Path) -> list["Run"]:
        """Oldest first. (`index.open_index` knows them without reading each anew.)"""
        names = [path.name for path in Path(runs).glob("*") if cls.is_run(runs, path.name)]
        return sorted((cls(runs / name) for name in names), key=lambda run: (run.created, run.id))

    # -- what it is --------------------------------------------------------------------------------
    @property
    def id(self) -> str:
        return self.path.name

    def read(self) -> "Contents":
        """What its records say, each read once."""
        found = Contents(about=self.about)
        try:
            settings = read_record(self.path / "config.json", Settings)
            if settings is None:
                raise RecordError("config.json is missing")
            found.settings = settings
            found.swap = read_record(self.path / "swap.json", Swap)
            status = read_record(self.path / "status.json", Status)
            if status is None:
                status = Status(state="lost", reason="Its status file is missing.")
            found.status = status
        except RecordError as error:
            reason = f"This run's files are damaged: {error}."
            found.status = Status(state="damaged", reason=reason)
        return found

    @property
    def damage(self) -> str:
        """What is wrong with its files, as a sentence; empty where nothing is."""
        status = self.status
        return status.get("reason", "") if status["state"] == "damaged" else ""

    @property
    def settings(self) -> Settings:
        """config.json whole: recipe, config, created, and what was resolved when it ran. Empty
        where it is damaged."""
        with contextlib.suppress(RecordError):
            return read_record(self.path / "config.json", Settings) or {}
        return {}

    @property
    def created(self) -> float:
        """Seconds since 1970; where its settings do not say, by its name."""
        return self.settings.get("created", self.named)

    @property
    def named(self) -> float:
        """When it was made, by its name; 0 where that does not say."""
        if MADE.fullmatch(self.id):
            stamp = self.id.rpartition("-")[0][-len("20261120-234401") :]
            with contextlib.suppress(ValueError, OverflowError):
                return time.mktime(time.strptime(stamp, "%Y%m%d-%H%M%S"))
        return 0.0

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

    @property
    def revision(self) -> str:
        """Of the data that it learned from; empty before it was read."""
        return self.settings.get("revision", "")

    def record(self, **more: JsonValue) -> None:
        """Adds what was resolved (base, data revision, versions) to config.json."""
        if self.main:
            write_json(self.path / "config.json", {**self.settings, **more})

    # -- status ------------------------------------------------------------------------------------
    @property
    def status(self) -> Status:
        return self.read().status

    @property
    def state(self) -> str:
        """As a person sees it: a running job that was asked to stop is `stopping`."""
        return self.name_state(self.status)

    def name_state(self, status: Status) -> str:
        """The state of which `status` tells, as a person sees it."""
        state = status["state"]
        return "stopping" if state == "running" and self.stop_requested else state

    def set_status(self, state: str, **more: Unpack[StatusFacts]) -> None:
        """Raises OSError where it cannot be written."""
        if not self.main:
            return
        # Which process it is must not be lost with a file that was damaged meanwhile.
        if "worker" in more:
            self._who["worker"] = more["worker"]
        if "supervisor" in more:
            self._who["supervisor"] = more["supervisor"]
        try:
            old = read_record(self.path / "status.json", Status) or {}
        except RecordError:
            old = self._who
        now = cast(Status, {**old, "state": state, "heartbeat": time.time(), **more})
        try:
            self._write_status(now)
        except OSError as error:
            if state not in ENDED or not is_disk_full(error):
                raise
            # The disk is full: the last word takes the room that was kept for it.
            (self.path / RESERVE).unlink(missing_ok=True)
            self._write_status(now)
        if state in ENDED:
            (self.path / RESERVE).unlink(missing_ok=True)
        if old.get("state") != state or "worker" in more:
            self.tell()

    def _write_status(self, status: Status) -> None:
        write_json(self.path / "status.json", status)

    def tell(self) -> None:
        """That something changed which a list of runs shows."""
        # One that could not be told is found by the index's rounds.
        with contextlib.suppress(OSError), open(self.path.parent / JOURNAL, "a") as f:
            f.write(f"{self.id}\n")

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

    @property
    def has_begun(self) -> bool:
        """Whether this process has said what it is at: before that, libraries are loaded."""
        return bool(self._step)

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
        """All events; a half-written last line is left out, and whatever else is none."""
        try:
            text = (self.path / "events.jsonl").read_text("utf-8", errors="replace")
        except OSError:
            return
        for line in text.split("\n"):
            with contextlib.suppress(ValueError, RecursionError):
                event = json.loads(line)
                if fits(event, Event, finite=False):
                    yield cast(Event, event)

    def say(self, text: str, error: bool = False) -> None:
        """One line for the person: on the terminal, and in log.txt (which is the output of a
        spawned job). Errors go to stderr, also those of a rank that otherwise writes nothing."""
        # A full disk must not keep a run from saying in its status why it ended.
        with contextlib.suppress(OSError):
            if self.main or error:
                print(text, file=sys.stderr if error else sys.stdout, flush=True)
            if self.main and not self.spawned:
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
        except OSError:  # there is none, or none that can be read
            return ""
        # A progress bar redraws its line with \r: only its last state is worth showing.
        shown = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.rstrip().split("\n")]
        return "\n".join(shown[-lines:])

    # -- stopping ----------------------------------------------------------------------------------
    def request_stop(self) -> None:
        if not self.stop_requested:  # asking twice does not make the first time later
            (self.path / "stop").touch()
            self.tell()

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
            self.tell()

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
    def learned(self) -> Path:
        return self.path / "learned.safetensors"

    @property
    def metrics(self) -> JsonValue:
        return read_json(self.path / "report" / "metrics.json", {})

    @property
    def swap(self) -> Swap | None:
        """What became of the checkpoint; None: pending."""
        with contextlib.suppress(RecordError):
            return read_record(self.path / "swap.json", Swap)
        return None

    def set_swap(self, outcome: str, why: str) -> None:
        write_json(self.path / "swap.json", {"outcome": outcome, "why": why, "at": time.time()})
        self.tell()

    @property
    def about(self) -> About:
        """What a person called it and noted. What they wrote says nothing of the run's state: where
        it is damaged there is none."""
        with contextlib.suppress(RecordError):
            return read_record(self.path / "about.json", About) or {}
        return {}

    def set_about(self, name: str, notes: str) -> None:
        """Raises OSError where it cannot be written."""
        write_json(self.path / "about.json", {"name": name, "notes": notes})
        self.tell()

    def size(self) -> int:
        """Bytes on disk."""
        total = 0
        for root, _, files in os.walk(self.path):
            for name in files:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(root, name)).st_size
        return total

    def delete(self) -> None:
        """Renamed out of sight first, so that a half-deleted run is never listed."""
        gone = self.path.with_name(f".deleted-{self.id}")
        os.rename(self.path, gone)
        self.tell()
        if gone.is_symlink():  # of one that a person keeps elsewhere, the name goes
            gone.unlink()
        else:
            shutil.rmtree(gone)


class Rehearsal(Run):
    """A training within a run, such as that of one fold: it shows where it is, stops when the run
    is asked to, and leaves no trace."""

    def __init__(self, run: Run, stage: str):
        super().__init__(run.path, run.main)
        self.whole = run
        self.shown = stage

    def beat(self, stage: str = "", **more: Unpack[Progress]) -> None:
        at = {key: value for key, value in more.items() if key in ("step", "total")}
        self.whole.beat(self.shown, **cast(Progress, at))

    def log(self, **event: Unpack[Facts]) -> None:
        self.beat(step=event.get("step", 0), total=event.get("total", 0))

    def say(self, text: str, error: bool = False) -> None:
        if error:
            self.whole.say(text, error)

    def record(self, **more: JsonValue) -> None:
        pass

    def should_stop(self) -> bool:
        return self.whole.should_stop()

    @property
    def resume(self) -> Path:
        return self._folder(".rehearsal")

    def end(self) -> None:
        """What it saved goes: another one must not go on from it."""
        shutil.rmtree(self.path / ".rehearsal", ignore_errors=True)
