"""What runs there are in a directory, known without reading each of them again.

A history grows to thousands of runs, and the page asks once a second what is new. To ask the file
times of each would cost as much as there are; the system's notifications (inotify, FSEvents) are
another thing on each system, and silent over a network. So whoever changes what a list shows leaves
a line in `runs/.journal`, and a reader reads the lines that were added. What changed by other hands
(a run that was copied in, a file that was damaged, an earlier version at work) is found by the
directory's own time, and by going round all runs, a few at each look. What is still at work is
looked at each time.
"""

import bisect
import contextlib
import functools
import itertools
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from training.runs import about
from training.runs.records import Swap
from training.runs.run import JOURNAL, Run

ROUND = 50  # runs that are looked at in turn, each time
LONGEST = 1 << 20  # bytes of the journal, when it is begun anew
FILES = ("config.json", "status.json", "swap.json")
ABSENT = (0, 0, 0)  # the times of a file that is not there
Times = tuple[tuple[int, int, int], ...]  # of a run's directory and FILES


@dataclass(frozen=True)
class Entry:
    """What lists need to know of a run."""

    id: str
    created: float
    slot: str
    state: str  # as a person sees it
    queued: float  # since when it waits, seconds since 1970
    terminal: bool  # whether a terminal waits with it
    has_checkpoint: bool
    swap: Swap | None
    recipe: str
    title: str
    data: str  # what it learned from, in a few words
    method: str  # "" where its recipe has none
    seconds: float  # how long it took; 0 where it has not ended
    notes: str  # a person's own

    @property
    def is_running(self) -> bool:
        return self.state in ("running", "stopping")

    @property
    def is_at_work(self) -> bool:
        return self.is_running or self.state == "queued"

    @property
    def is_pending(self) -> bool:
        """Whether it ended with a checkpoint of which nothing was decided yet."""
        return self.state in ("done", "stopped") and self.has_checkpoint and self.swap is None


class Index:
    """The runs of a directory. `refresh` finds what is new; all else is as of then."""

    def __init__(self, runs: Path):
        self.runs = runs
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._times: dict[str, Times] = {}
        self._order: list[str] = []  # ids, the oldest first
        self._round: deque[str] = deque()
        self._at_work: set[str] = set()
        self._pending: set[str] = set()
        self._directory: Times = ()
        self._read = 0  # bytes of the journal
        self._changes = 0
        self._life = os.urandom(4).hex()  # a process's own count says nothing to the next one's

    # -- what there is -----------------------------------------------------------------------------
    @property
    def version(self) -> str:
        """Another one when anything changed that a list shows."""
        return f"{self._life}-{self._changes}"

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._entries

    def open(self, entry: Entry) -> Run:
        return Run(self.runs / entry.id)

    def newest(self, most: int | None = None, skip: int = 0) -> list[Entry]:
        """The newest first."""
        with self._lock:
            end = None if most is None else skip + most
            return [self._entries[i] for i in itertools.islice(reversed(self._order), skip, end)]

    def running(self) -> Entry | None:
        return next((entry for entry in self.at_work() if entry.is_running), None)

    def queue(self) -> list[Entry]:
        """In the order in which they will start."""
        waiting = [entry for entry in self.at_work() if entry.state == "queued"]
        return sorted(waiting, key=lambda entry: (entry.queued, entry.id))

    def at_work(self) -> list[Entry]:
        """The oldest first."""
        return self._choose(self._at_work)

    def pending(self) -> list[Entry]:
        """Those that ended with a checkpoint of which nothing was decided yet, the oldest first."""
        return self._choose(self._pending)

    def _choose(self, ids: set[str]) -> list[Entry]:
        with self._lock:
            return sorted((self._entries[i] for i in ids), key=_age)

    # -- finding what is new -----------------------------------------------------------------------
    def refresh(self) -> "Index":
        """The same index, as of now."""
        with self._lock:
            changed = self._read_journal() | self._at_work
            times = take_times(self.runs)
            if times != self._directory:
                self._directory = times
                changed |= self._find_new()
            for _ in range(min(ROUND, len(self._round))):
                changed.add(self._round[0])
                self._round.rotate(-1)
            for run_id in changed:
                self._look_at(run_id)
        return self

    def _read_journal(self) -> set[str]:
        """The ids of runs that somebody changed since."""
        try:
            with open(self.runs / JOURNAL, "rb") as f:
                size = f.seek(0, os.SEEK_END)
                if not self._directory:  # what it tells of the past will be seen
                    self._read = size
                if size < self._read:  # it was begun anew
                    self._read = 0
                f.seek(self._read)
                added = f.read(LONGEST)
        except OSError:
            return set()
        whole = added[: added.rfind(b"\n") + 1]  # a line may still be under way
        self._read += len(whole)
        names = whole.decode("utf-8", errors="replace").split()
        return {name for name in names if name in self._entries or Run.is_run(self.runs, name)}

    def _find_new(self) -> set[str]:
        """Runs that came or went."""
        try:
            names = set(os.listdir(self.runs))
        except OSError:
            names = set()
        gone = self._entries.keys() - names
        come = {n for n in names - self._entries.keys() if Run.is_run(self.runs, n)}
        return gone | come

    def _look_at(self, run_id: str) -> None:
        path = self.runs / run_id
        times = take_times(path, *(path / name for name in FILES))
        known = self._entries.get(run_id)
        # Of what is at work the stop file counts too, which the directory's time tells.
        if known is not None and times == self._times.get(run_id):
            return
        has_config = times[1] != ABSENT
        if not has_config and not Run.is_run(self.runs, run_id):
            self._forget(run_id)
            return
        self._times[run_id] = times
        found = _read_entry(Run(path))
        if found == known:
            return
        self._changes += 1
        self._entries[run_id] = found
        if known is None or _age(known) != _age(found):
            if known is None:
                self._round.append(run_id)
            else:
                self._order.remove(run_id)
            bisect.insort(self._order, run_id, key=lambda each: _age(self._entries[each]))
        for chosen, belongs in (
            (self._at_work, found.is_at_work),
            (self._pending, found.is_pending),
        ):
            chosen.discard(run_id)
            if belongs:
                chosen.add(run_id)

    def _forget(self, run_id: str) -> None:
        self._times.pop(run_id, None)
        if self._entries.pop(run_id, None) is None:
            return
        self._changes += 1
        self._order.remove(run_id)
        self._round.remove(run_id)
        self._at_work.discard(run_id)
        self._pending.discard(run_id)


def _age(entry: Entry) -> tuple[float, str]:
    return entry.created, entry.id


def take_times(*paths: Path) -> Times:
    """When each was written last, its size and its place on the disk, which a new file changes."""
    found = []
    for path in paths:
        try:
            about = os.stat(path)
            found.append((about.st_mtime_ns, about.st_size, about.st_ino))
        except OSError:
            found.append(ABSENT)
    return tuple(found)


def _read_entry(run: Run) -> Entry:
    found = run.read()
    settings = found.settings
    words = about.describe(run.id, found)
    return Entry(
        run.id,
        settings["created"] if "created" in settings else run.named,
        settings.get("slot", ""),
        run.name_state(found.status),
        found.status.get("queued", 0.0),
        bool(found.status.get("terminal")),
        run.has_checkpoint,
        found.swap,
        settings.get("recipe", run.id.split("-")[0]),
        words.title,
        words.data,
        str(settings.get("config", {}).get("method", "")),
        found.status.get("seconds", 0.0),
        found.about.get("notes", ""),
    )


@functools.cache
def _share(runs: Path) -> Index:
    return Index(runs)


def open_index(runs: Path) -> Index:
    """The index of a directory as of now: one for all of a process that look at it. The directory
    may not exist yet."""
    return _share(Path(runs).resolve()).refresh()


def shorten_journal(runs: Path) -> None:
    """Begins the journal anew where it has grown long: for an app that starts. Under the lock of
    `runs`."""
    with contextlib.suppress(OSError):
        if (runs / JOURNAL).stat().st_size > LONGEST:
            os.truncate(runs / JOURNAL, 0)
