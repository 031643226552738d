"""Runs that were deleted, and can be brought back for a while.

A run that is deleted is renamed into `runs/.aside/`, so it leaves every list at once and comes back
as it was. Which ones there are, and since when, their names there say: `<seconds>-<id>`. After a
while, or when a person wants the space, they are removed for good; the app that runs then does it.
"""

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from training.recipe import SettingsError
from training.runs.records import is_disk_full
from training.runs.run import NAME, Run, lock
from training.wording import quote

HOME = ".aside"  # in runs/
KEPT = 15 * 60.0  # seconds
NAMED = re.compile(rf"(\d{{9,11}})-({NAME.pattern})")
GOING = "going-"  # what is being removed, and nobody can bring back


@dataclass(frozen=True)
class Aside:
    """A deleted run, as it lies there."""

    id: str
    at: float  # when it was deleted, seconds since 1970
    path: Path

    @property
    def until(self) -> float:
        """When it is removed for good."""
        return self.at + KEPT


def put_aside(run: Run) -> bool:
    """Under the lock of `runs`. False where it was removed for good: on a full disk there may be no
    room even for this, and space is what is wanted. Raises OSError."""
    home = run.path.parent / HOME
    try:
        home.mkdir(exist_ok=True)
        os.rename(run.path, home / f"{int(time.time())}-{run.id}")
    except OSError as error:
        if not is_disk_full(error):
            raise
        run.delete()
        return False
    run.tell()
    return True


def list_aside(runs: Path) -> list[Aside]:
    """The one that was deleted last comes first."""
    try:
        names = os.listdir(runs / HOME)
    except OSError:
        return []
    found = [(match, runs / HOME / name) for name in names if (match := NAMED.fullmatch(name))]
    listed = [Aside(match[2], float(match[1]), path) for match, path in found]
    return sorted(listed, key=lambda each: (-each.at, each.id))


def bring_back(runs: Path, run_id: str) -> Run:
    """As it was. Raises SettingsError where it is gone, and OSError."""
    with lock(runs):
        found = next((each for each in list_aside(runs) if each.id == run_id), None)
        if found is None:
            raise SettingsError(f"{quote(run_id)} can no longer be brought back: it was removed.")
        run = Run(runs / found.id)
        if os.path.lexists(run.path):
            raise SettingsError(f"There is a run {quote(run_id)} again, so this one stays away.")
        os.rename(found.path, run.path)
    run.tell()
    return run


def sweep(runs: Path, kept: float = KEPT) -> None:
    """Removes for good what was deleted so many seconds ago (0: all of it, whatever the clock
    says), and what a process left that ended while it did so. Raises OSError."""
    if not _list_due(runs, kept):
        return
    with lock(runs):
        for path in _list_due(runs, kept):
            if not path.name.startswith(GOING):
                os.rename(path, path.with_name(f"{GOING}{path.name}"))
        due = _list_due(runs, kept)
    for path in due:
        with contextlib.suppress(FileNotFoundError):  # another app is at it too
            if path.is_symlink():  # of one that a person keeps elsewhere, the name goes
                path.unlink()
            else:
                shutil.rmtree(path)


def _list_due(runs: Path, kept: float) -> list[Path]:
    now = time.time()
    due = [each.path for each in list_aside(runs) if not kept or now >= each.at + kept]
    return due + list((runs / HOME).glob(f"{GOING}*"))
