"""Whether the process that a run's status names still lives.

A pid alone does not tell, since the system gives pids out again; nor does a time of day, since a
clock is set right now and then. A process is known by its pid, by the boot of the machine, and by
when it started, in ticks since then.
"""

import os
from pathlib import Path

import psutil

from training.runs.records import Identity

PROC = Path("/proc")
# Of systems without /proc: seconds by which start times may differ, which hang on the clock there.
CLOCK_STEP = 2.5
STARTED = 19  # of /proc/PID/stat, behind the name: when it started, in ticks (proc(5), field 22)


def process_identity(pid: int | None = None) -> Identity:
    """Of a process that is alive. Raises psutil.NoSuchProcess."""
    pid = pid or os.getpid()
    started = psutil.Process(pid).create_time()
    found = Identity(pid=pid, started=started)
    ticks = read_start_ticks(pid)
    if ticks is not None:
        found["boot"] = read_boot_id()
        found["ticks"] = ticks
    return found


def is_alive(identity: Identity | None) -> bool:
    """Whether it runs, or is stopped; a zombie does not live."""
    if not identity or "pid" not in identity:
        return False
    try:
        process = psutil.Process(identity["pid"])
        return _is_same(process, identity) and process.status() not in (
            psutil.STATUS_ZOMBIE,
            psutil.STATUS_DEAD,
        )
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # or a number that is no process's
        return False


def _is_same(process: psutil.Process, identity: Identity) -> bool:
    if "ticks" in identity:
        same_boot = identity.get("boot") == read_boot_id()
        return same_boot and identity["ticks"] == read_start_ticks(process.pid)
    return abs(process.create_time() - identity.get("started", 0.0)) < CLOCK_STEP


def read_start_ticks(pid: int) -> int | None:
    """Clock ticks from the machine's boot to the process's start; None where there is no /proc, or
    no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may hold any, so the rest begins behind the last one.
    return int(text.rpartition(")")[2].split()[STARTED])


def read_boot_id() -> str:
    """Another one after each start of the machine; empty where there is none."""
    try:
        return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text("utf-8").strip()
    except OSError:
        return ""
