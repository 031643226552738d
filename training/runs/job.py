"""Jobs: the processes that execute runs. Starts, supervises, stops, queues and finds them again.

    python -m training.runs.job RUNS/RUN_ID    the supervisor; the queue starts it

Nothing here remembers anything: the queue, the processes and their states are read from `runs/`,
under its lock, so that an app that is killed and started again, a second app, and the terminal
agree.
"""

import contextlib
import dataclasses
import errno
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from training import recipe
from training.recipe import IsDataclass
from training.runs import checkpoint
from training.runs.index import open_index
from training.runs.process import is_alive, process_identity
from training.runs.records import JsonValue, is_disk_full
from training.runs.run import ENDED, OVER, Run, lock
from training.wording import quote

ROOT = Path(__file__).parents[2]
# seconds: after the stop file; then without a heartbeat
TERM_AFTER = 15.0
KILL_AFTER = 10.0
POLL = 0.2
MEMORY = "Lower the batch size, raise gradient accumulation, or train on fewer examples."
REMOVED = "Removed from the queue."
STARTING = "starting"  # the stage before a worker has said what it is at
FULL = (
    "The disk is full. Delete runs that you no longer need (and then free their space: what is "
    "deleted stays for a while), or make room elsewhere; then continue this run, or start it again."
)
LOST = "Its processes ended unexpectedly. Was the machine restarted?"
LITTLE = 1 << 20  # bytes: a disk with less is full
_children: list[subprocess.Popen] = []  # kept so that ended supervisors are reaped


# -- making runs -----------------------------------------------------------------------------------
def create(
    runs: Path, name: str, settings: Mapping[str, object], local: bool = True, **more: JsonValue
) -> Run:
    """A queued run from loose settings. `local`: the caller is this machine's command line, which
    waits for its own turn; otherwise the app starts it. Raises SettingsError."""
    made = recipe.load(name)
    config = recipe.parse(made.config, settings, local)
    _refuse_foreign_starts(runs, made, config)
    with lock(runs):
        return _queue_up(runs, name, config, settings, local, **more)


def _refuse_foreign_starts(runs: Path, made: recipe.Recipe, config: IsDataclass) -> None:
    """A checkpoint that a setting names must be there, or be on its way; a start must be one that
    answers in this recipe's slots. Said before there is a run. Raises SettingsError."""
    used = recipe.find_used(config)
    for f in dataclasses.fields(config):
        offers = f.metadata["offers"]
        if offers is None or f.metadata["names"] != "checkpoint" or f.name not in used:
            continue
        own_words = {"embedded", f.default, *(value for _, value in offers)}
        text = str(getattr(config, f.name))
        names = {name.strip() for name in text.split(",")} if f.metadata["many"] else {text}
        for name in names - own_words - {""}:
            if "/" in name:  # on the Hub, which is asked when the run starts
                continue
            slot = _find_slot(runs, name)
            if f.name == "start" and slot not in made.slots:
                raise recipe.SettingsError(
                    f"start is {quote(name)}, which is a model of another kind "
                    f"({slot or 'unknown'}). Choose one of {made.title}."
                )


def _find_slot(runs: Path, checkpoint_id: str) -> str:
    """Of a checkpoint that is there, or that a run may yet publish. Raises SettingsError."""
    run = Run.find(runs, checkpoint_id)
    if run is not None and run.state not in OVER:
        return run.slot
    try:
        found = checkpoint.find(runs, checkpoint_id)
    except checkpoint.CheckpointError as error:
        raise recipe.SettingsError(str(error)) from error
    return run.slot if run else found.id.removeprefix("embedded-")


def _queue_up(
    runs: Path,
    name: str,
    config: IsDataclass,
    given: Mapping[str, object],
    local: bool,
    **more: JsonValue,
) -> Run:
    run = Run.create(
        runs,
        name,
        dataclasses.asdict(config),
        slot=recipe.load(name).slot(config),
        versions=_versions(),
        commit=_commit(),
        **more,
    )
    if local:
        run.set_status("queued", worker=process_identity(), terminal=True)
    # What was asked for and has no effect is told; it is no reason not to run.
    for note in recipe.explain_unused(config, given):
        run.say(f"note: {note}", error=True)
    return run


def continue_run(runs: Path, run_id: str, changes: Mapping[str, object], local: bool = True) -> Run:
    """A new run seeded with what `run_id` left. A finished one goes on for as many epochs again,
    unless `changes` names its epochs. Raises SettingsError."""
    old = Run.find(runs, run_id)
    if old is None:
        raise recipe.SettingsError(f"There is no run {quote(run_id)} to continue.")
    if old.state == "damaged":
        raise recipe.SettingsError(f"{old.damage} It cannot be continued: start a new run.")
    if old.state not in ENDED:
        raise recipe.SettingsError(
            f"{run_id} is {old.state}: it can be continued when it has ended."
        )
    if not old.saved and old.has_checkpoint:
        raise recipe.SettingsError(
            f"{run_id} was not trained in steps: its last layer was solved for, and there is "
            f"nothing to go on with. Start a new run, or start from it: start {run_id}."
        )
    if not old.saved:
        raise recipe.SettingsError(f"{run_id} ended before it saved anything. Start a new run.")
    settings: dict[str, object] = {**old.config, **changes}
    if old.state == "done" and "epochs" not in changes and "epochs" in old.config:
        settings["epochs"] = 2 * int(old.config["epochs"])
    config = recipe.parse(recipe.load(old.recipe).config, settings, local)
    _refuse_changed(old, config)
    with lock(runs):
        run = _queue_up(runs, old.recipe, config, changes, local, continues=run_id)
        for path in old.saved:
            # A save replaces the file, so the two runs may share it until one of them saves.
            try:
                os.link(path, run.resume / path.name)
            except OSError:
                shutil.copy2(path, run.resume / path.name)
    return run


def _refuse_changed(old: Run, config: IsDataclass) -> None:
    """A step's place in its epoch, and the shapes of what was saved, hang on the lasting
    settings. Raises SettingsError."""
    for f in dataclasses.fields(config):
        before = old.config.get(f.name, f.default)  # of an earlier version that did not have it
        after = getattr(config, f.name)
        if f.metadata["lasting"] and before != after:
            raise recipe.SettingsError(
                f"{f.name} cannot change from {quote(before)} to {quote(after)} while {old.id} is "
                f"continued. Start a new run from its checkpoint instead: start {old.id}."
            )


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "accelerate")},
    }


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=5
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no git here: a Space, or a downloaded copy


# -- the queue -------------------------------------------------------------------------------------
def running(runs: Path) -> Run | None:
    found = open_index(runs)
    entry = found.running()
    return found.open(entry) if entry else None


def queue(runs: Path) -> list[Run]:
    """Queued runs in the order in which they will start."""
    found = open_index(runs)
    return [found.open(entry) for entry in found.queue()]


def reconcile(runs: Path) -> None:
    """No state sticks: runs whose processes all died without a word are lost."""
    _children[:] = [child for child in _children if child.poll() is None]
    found = open_index(runs)
    for entry in found.at_work():
        run = found.open(entry)
        status = run.status
        if status["state"] == "running" or (status["state"] == "queued" and status.get("terminal")):
            dead = not is_alive(status.get("worker")) and not is_alive(status.get("supervisor"))
            # Read again: between the two looks its last word may have been written, and now no
            # other can come.
            if dead and run.status["state"] == status["state"]:
                with contextlib.suppress(OSError):  # of a full disk: it is said once there is room
                    run.discard()
                    run.set_status("lost", reason=LOST)


def pump(runs: Path) -> None:
    """Starts the first queued run if none is running. Called by the app every second, and by a
    terminal that waits for its turn."""
    with lock(runs):
        reconcile(runs)
        waiting = queue(runs)
        if not waiting or running(runs) or waiting[0].status.get("terminal"):
            return
        run = waiting[0]
        if run.stop_requested:
            run.set_status("stopped", reason=REMOVED)
            return
        try:
            _start(run)
        except OSError as error:  # those behind it still start
            run.set_status("failed", reason=f"The job did not start. {explain(error)}")


def _start(run: Run) -> None:
    """Starts a job, and waits until it says so. Raises OSError."""
    with open(run.log_file, "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "training.runs.job", str(run.path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children.append(child)
    deadline = time.time() + 20
    while run.status["state"] == "queued" and child.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    if run.status["state"] == "queued":
        child.kill()
        run.set_status("failed", reason="The job did not start. See its log.")


def wait_for_turn(run: Run) -> bool:
    """For a run of the terminal: returns when it may run here; False if it was stopped before."""
    runs = run.path.parent
    told = False
    while not run.should_stop():
        with lock(runs):
            reconcile(runs)
            now = running(runs)
            waiting = queue(runs)
            if now is None and waiting and waiting[0].id == run.id:
                run.set_status("running", worker=process_identity())
                return True
        if not told:
            before = now.id if now else waiting[0].id
            run.say(f"Waiting for {before} to finish (Ctrl-C leaves the queue)")
            told = True
        pump(runs)  # no app may be up to start the runs that come first
        time.sleep(0.5)
    run.set_status("stopped", reason=REMOVED)
    return False


def stop(run: Run) -> str:
    """Asks a run to stop, or removes it from the queue; returns its state."""
    with lock(run.path.parent):
        run.request_stop()
        status = run.status
        if status["state"] == "queued" and not status.get("terminal"):
            run.set_status("stopped", reason=REMOVED)
    return run.state


# -- the supervisor --------------------------------------------------------------------------------
def supervise(run: Run, term_after: float = TERM_AFTER, kill_after: float = KILL_AFTER) -> None:
    """Runs the worker, stops it by degrees when asked, and writes the last word that it could
    not."""
    signal.signal(signal.SIGTERM, lambda *_: run.request_stop())
    try:
        run.set_status("running", supervisor=process_identity(), stage=STARTING)
    except OSError as error:
        _write_at_last(run, "failed", explain(error))
        return
    _give_way()
    command = [
        sys.executable,
        "-u",
        "-m",
        "training",
        run.recipe,
        "--run",
        run.id,
        "--runs",
        str(run.path.parent),
    ]
    with open(run.log_file, "ab") as log:
        worker = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TRANSFER_LAB_JOB": run.id},
            process_group=0,
        )
    while worker.poll() is None:
        _escalate(run, worker, term_after, kill_after)
        time.sleep(POLL)
    last_word(run, worker.returncode)


def _give_way() -> None:
    """The demo keeps answering. Linux weighs whole sessions against each other, and there `nice`
    counts only within this job's own; its session's weight is in /proc (sched(7), autogroup)."""
    if hasattr(os, "nice"):
        os.nice(10)
    autogroup = Path("/proc/self/autogroup")
    # In another's session it would slow down all that belongs to that one.
    if autogroup.exists() and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # not to be had in every container
            autogroup.write_text("10")


def _escalate(run: Run, worker: subprocess.Popen, term_after: float, kill_after: float) -> None:
    """The stop file, then SIGTERM, then SIGKILL only if it no longer shows any sign of life."""
    age = run.stop_age
    sent = run.escalation
    status = run.status
    # There is nothing yet that could be saved.
    starting = status.get("stage") == STARTING and not status.get("step")
    if age > (0 if starting else term_after) and not sent:
        run.escalate("SIGTERM")
        worker.terminate()
    elif (
        sent == "SIGTERM"
        and time.time() - run.status.get("heartbeat", 0) > kill_after
        and age > term_after + kill_after
    ):
        run.escalate("SIGKILL")
        os.killpg(worker.pid, signal.SIGKILL)


def last_word(run: Run, code: int) -> None:
    """The status of a worker that ended without writing one."""
    if run.status["state"] in ENDED:
        return
    run.discard()
    if code < 0 and run.escalation:
        _write_at_last(run, "stopped", "Stopped before anything was saved.")
        return
    if code < 0:
        reason = f"Killed by signal {-code}."
        if -code == signal.SIGKILL:
            reason += f" Most often the system does that when memory runs out. {MEMORY}"
    elif shutil.disk_usage(run.path).free < LITTLE:
        reason = FULL
    else:
        reason = f"Exited with code {code}. " + (run.log_tail(1) or "Its log is empty.")
    _write_at_last(run, "failed", reason)


def _write_at_last(run: Run, state: str, reason: str) -> None:
    """However long the disk stays full: no other process will say it."""
    while run.path.exists():
        try:
            run.set_status(state, reason=reason, stage="")
            return
        except OSError:
            time.sleep(1)


def explain(error: BaseException) -> str:
    """An error as a sentence that says what to do."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if (
        isinstance(error, MemoryError)
        or "out of memory" in text.lower()
        or "can't allocate memory" in text.lower()
    ):
        return f"Out of memory. {MEMORY}"
    # Who writes for others says something of their own, and the system's word stands behind it.
    causes = list(list_causes(error))
    if any(map(is_disk_full, causes)) or "No space left" in text:
        return FULL
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if numbers & {errno.EROFS, errno.EACCES, errno.EPERM}:
        return (
            "The system refused access to a file. See that the folder of runs is not read-only, "
            "and that it belongs to who runs this."
        )
    if isinstance(error, OSError) and error.strerror:  # its text names paths of this machine
        return f"{type(error).__name__}: {error.strerror}"
    return f"{type(error).__name__}: {text}"[:500]


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    supervise(Run(Path(sys.argv[1])))
