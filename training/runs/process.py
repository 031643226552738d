"""Whether the process that a run's status names still lives: by pid and start time, never by pid
alone."""

import os

import psutil


def process_identity(pid: int | None = None) -> dict[str, float]:
    """A process by pid and start time, since the system gives pids out again."""
    return {"pid": pid or os.getpid(), "started": psutil.Process(pid).create_time()}


def is_alive(identity: dict[str, float] | None) -> bool:
    if not identity:
        return False
    try:
        process = psutil.Process(int(identity["pid"]))
        # The system's clock, from which start times are counted, may be set right by a second
        # meanwhile.
        return abs(process.create_time() - identity["started"]) < 2.5 and process.status() not in (
            psutil.STATUS_ZOMBIE,
            psutil.STATUS_DEAD,
        )
    except psutil.NoSuchProcess:
        return False
