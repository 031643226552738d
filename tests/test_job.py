"""Jobs, with real processes: the queue, stopping by degrees, and the last word on every way to
end."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import wait_for

from training.recipe import SettingsError
from training.runs import job
from training.runs.process import is_alive
from training.runs.run import ENDED, Run, lock

pytestmark = [
    pytest.mark.usefixtures("workshop", "no_survivors"),
    pytest.mark.skipif(sys.platform == "win32", reason="jobs are stopped by POSIX signals"),
]
FOREVER = dict(steps=100_000, pause=0.02)


def queue_up(runs, **settings) -> Run:
    return job.create(runs, "clockwork", settings, local=False)


def started(runs, **settings) -> Run:
    """A run whose worker has taken its first step."""
    run = queue_up(runs, **settings)
    job.pump(runs)
    wait_for(lambda: any(run.events()))
    return run


def ended(run: Run) -> str:
    """Its last state, as the app sees it, that looks every now and then."""

    def look():
        job.reconcile(run.path.parent)
        return run.status["state"] in ENDED

    wait_for(look)
    return run.state


def kill(run: Run, who: str, number: int = signal.SIGKILL):
    os.kill(int(run.status[who]["pid"]), number)


@pytest.fixture
def supervise(workshop):
    """Starts a supervisor whose patience is a moment."""
    children = []

    def start(run: Run, kill_after: float = 0.5):
        code = (
            "import sys; from pathlib import Path; from training.runs import job; from "
            "training.runs.run import Run; job.supervise(Run(Path(sys.argv[1])), term_after=0.3, "
            "kill_after=float(sys.argv[2]))"
        )
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", code, str(run.path), str(kill_after)],
                cwd=workshop,
                start_new_session=True,
            )
        )
        wait_for(lambda: any(run.events()))

    yield start
    for child in children:
        child.kill()
        child.wait()


# -- the queue -------------------------------------------------------------------------------------
def test_runs_start_one_at_a_time_in_the_order_in_which_they_were_queued(runs):
    made, most = [queue_up(runs, steps=3) for _ in range(3)], 0
    assert [r.id for r in job.queue(runs)] == [r.id for r in made]

    def look():
        nonlocal most
        job.pump(runs)
        most = max(most, sum(r.status["state"] == "running" for r in made))
        return all(r.status["state"] in ENDED for r in made)

    wait_for(look)
    assert [r.state for r in made] == ["done"] * 3 and most == 1
    times = [[e["t"] for e in r.events()] for r in made]
    assert times[0][-1] <= times[1][0] and times[1][-1] <= times[2][0]


def test_a_job_ends_with_a_checkpoint_a_log_and_nothing_left_behind(runs):
    run = queue_up(runs, steps=2)
    job.pump(runs)
    assert ended(run) == "done" and run.has_checkpoint and not run.staging.exists()
    assert "chance 50.0%" in run.log_tail() and [e["step"] for e in run.events()] == [1, 2]
    wait_for(lambda: not is_alive(run.status["supervisor"]))


def test_a_queued_run_can_be_taken_out(runs):
    first, second = started(runs, **FOREVER), queue_up(runs)
    assert job.stop(second) == "stopped" and second.status["reason"] == "Removed from the queue."
    job.stop(first)
    assert ended(first) == "stopped"
    job.pump(runs)
    assert second.state == "stopped" and not second.log_file.exists() and job.queue(runs) == []


def test_two_pumps_at_once_start_one_job(runs):
    for _ in range(2):
        queue_up(runs, **FOREVER)
    barrier = threading.Barrier(4)

    def pump():
        barrier.wait()
        job.pump(runs)

    threads = [threading.Thread(target=pump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        sorted(r.state for r in Run.all(runs)) == ["queued", "running"] and len(job._children) == 1
    )


def test_a_supervisor_that_does_not_start_fails_its_run_and_not_the_queue(
    runs, tmp_path, monkeypatch
):
    run = queue_up(runs)
    monkeypatch.setattr(job, "ROOT", tmp_path)
    job.pump(runs)
    assert run.state == "failed" and "did not start" in run.status["reason"]
    assert "No module named" in run.log_tail() and job.running(runs) is None


def test_the_apps_own_queue_leaves_a_run_of_the_terminal_to_the_terminal(runs):
    run = job.create(runs, "clockwork", {})
    job.pump(runs)
    assert run.state == "queued" and job._children == []


def test_a_queued_run_whose_terminal_is_gone_is_lost_and_does_not_hold_up_the_queue(runs):
    gone = job.create(runs, "clockwork", {})
    gone.set_status("queued", worker={"pid": os.getpid(), "started": 1.0})
    assert ended(started(runs, steps=1)) == "done" and gone.state == "lost"


def test_a_terminal_that_waits_starts_what_the_page_had_queued_before_it(runs):
    first = queue_up(runs, steps=2)
    mine = job.create(runs, "clockwork", {})
    assert job.wait_for_turn(mine)
    assert (
        first.state == "done"
        and mine.state == "running"
        and mine.status["worker"]["pid"] == os.getpid()
    )


# -- stopping --------------------------------------------------------------------------------------
def test_stop_acts_at_the_next_step_and_publishes(runs):
    run = started(runs, **FOREVER)
    assert job.stop(run) == "stopping"
    wait_for(lambda: run.status["state"] in ENDED, seconds=20)
    assert run.state == "stopped" and run.has_checkpoint and run.escalation == ""
    assert (
        run.status["reason"].startswith("Stopped at step")
        and "--continue " + run.id in run.log_tail()
    )


def test_a_worker_that_listens_to_signals_only_gets_one_and_publishes(runs, supervise):
    run = queue_up(runs, steps=2, then="deaf")
    supervise(run, kill_after=60)
    job.stop(run)
    assert ended(run) == "done" and run.escalation == "SIGTERM" and run.has_checkpoint


def test_a_stop_while_the_libraries_are_loaded_ends_it_within_seconds(runs):
    run = queue_up(runs, steps=2, then="load")
    job.pump(runs)
    wait_for(lambda: "loading" in run.log_tail())
    asked = time.time()
    job.stop(run)
    assert ended(run) == "stopped" and run.escalation == "SIGTERM"
    assert run.status["reason"] == "Stopped before anything was saved."
    assert time.time() - asked < 10  # of a load that takes a minute


@pytest.mark.parametrize("how", ["frozen", "hanging"])
def test_a_worker_that_shows_no_sign_of_life_is_ended_by_force(runs, supervise, how):
    run = queue_up(runs, **FOREVER, then="hang" if how == "hanging" else "end")
    supervise(run)
    if how == "frozen":
        kill(run, "worker", signal.SIGSTOP)
    assert job.stop(run) == "stopping"
    assert ended(run) == "stopped" and run.escalation == "SIGKILL" and not run.has_checkpoint
    assert run.status["reason"] == "Stopped before anything was saved."
    assert not is_alive(run.status["worker"])


def test_a_frozen_worker_that_nobody_stops_is_left_alone(runs, supervise):
    run = queue_up(runs, **FOREVER)
    supervise(run)
    kill(run, "worker", signal.SIGSTOP)
    time.sleep(1.5)
    assert run.state == "running" and run.escalation == ""
    before = len(list(run.events()))
    kill(run, "worker", signal.SIGCONT)
    wait_for(lambda: len(list(run.events())) > before)


def test_a_supervisor_that_is_asked_to_end_stops_its_run(runs):
    run = started(runs, **FOREVER)
    kill(run, "supervisor", signal.SIGTERM)
    assert ended(run) == "stopped" and run.has_checkpoint


# -- dying -----------------------------------------------------------------------------------------
def test_a_killed_worker_failed_by_its_signal_with_a_hint_at_memory(runs):
    run = started(runs, **FOREVER)
    kill(run, "worker")
    assert ended(run) == "failed" and not run.has_checkpoint
    assert "Killed by signal 9." in run.status["reason"] and job.MEMORY in run.status["reason"]


def test_when_worker_and_supervisor_die_without_a_word_the_run_is_lost(runs):
    run = started(runs, **FOREVER)
    kill(run, "supervisor")
    kill(run, "worker")
    assert ended(run) == "lost" and "ended unexpectedly" in run.status["reason"]
    assert ended(started(runs, steps=1)) == "done", "and the next one can start"


def test_a_run_whose_supervisor_died_goes_on_and_ends_by_itself(runs):
    run = started(runs, steps=60, pause=0.02)
    kill(run, "supervisor")
    wait_for(lambda: not is_alive(run.status["supervisor"]))
    job.reconcile(runs)
    assert run.state == "running"
    assert ended(run) == "done" and run.has_checkpoint


def test_a_last_word_that_comes_between_the_two_looks_stays(runs, monkeypatch):
    run = queue_up(runs)
    run.set_status("running", worker={"pid": 1, "started": 1.0})

    def died_just_now(identity):
        run.set_status("done")
        return False

    monkeypatch.setattr(job, "is_alive", died_just_now)
    job.reconcile(runs)
    assert run.state == "done"


@pytest.mark.parametrize(
    "then, reason",
    [
        ("leave", "Exited with code 7. the spring broke"),
        ("forget", "Exited with code 0. Its log is empty."),
    ],
)
def test_a_worker_that_leaves_without_a_word_failed_with_the_end_of_its_log(runs, then, reason):
    run = started(runs, then=then)
    assert ended(run) == "failed" and run.status["reason"] == reason


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_disk_that_fills_while_saving_fails_in_a_sentence_and_leaves_room(runs):
    run = started(runs, steps=1, then="fill")
    assert ended(run) == "failed" and "The disk is full" in run.status["reason"]
    assert "Delete runs that you no longer need" in run.status["reason"]
    assert not run.has_checkpoint and not run.staging.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_job_whose_log_cannot_be_written_does_not_keep_those_behind_it_from_starting(runs):
    first, second = (job.create(runs, "clockwork", {}, local=False) for _ in range(2))
    first.log_file.mkdir()
    job.pump(runs)
    assert first.state == "failed" and "did not start" in first.status["reason"]
    job.pump(runs)
    assert ended(second) == "done"


def test_a_supervisor_that_cannot_say_that_it_runs_says_why(runs, monkeypatch):
    run = job.create(runs, "clockwork", {}, local=False)
    write = Run._write_status

    def refuse(self, status):
        if status["state"] == "running":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, status)

    monkeypatch.setattr(Run, "_write_status", refuse)
    monkeypatch.setattr(job.signal, "signal", lambda *_: None)  # those of this process stay
    job.supervise(run)
    assert run.state == "failed" and run.status["reason"].startswith("The disk is full")


def test_a_last_word_waits_for_room(runs, monkeypatch):
    run = started(runs, steps=1)
    ended(run)
    run.set_status("running")
    tries = []
    write = Run._write_status

    def refuse(self, status):
        tries.append(status["state"])
        if len(tries) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, status)

    monkeypatch.setattr(Run, "_write_status", refuse)
    monkeypatch.setattr(job.time, "sleep", lambda _: None)
    job.last_word(run, -9)
    assert run.state == "failed" and len(tries) == 4


def test_what_a_dead_job_had_not_published_is_swept(runs):
    run = job.create(runs, "clockwork", {}, local=False)
    run.set_status("running", worker={"pid": 1, "started": 0.0})
    run.staging.mkdir()
    job.reconcile(runs)
    assert run.state == "lost" and not run.staging.exists()


def test_settings_of_another_version_fail_in_a_sentence(runs):
    run = Run.create(runs, "clockwork", {"wheels": 3})
    job.pump(runs)
    assert ended(run) == "failed" and run.status["reason"].startswith(
        "There is no setting named 'wheels'"
    )


@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError(), "Out of memory. Lower the batch size"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "Out of memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "Out of memory."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "The disk is full."),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "The disk is full."),
        (OSError(errno.EACCES, "Permission denied", "/x"), "The system refused access to a file."),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "The system refused access"),
        (OSError(errno.EIO, "Input/output error", "/x"), "OSError: Input/output error"),
        (ValueError("first line\nsecond line"), "ValueError: first line"),
        (KeyError(), "KeyError: "),
    ],
)
def test_errors_are_explained_in_one_line(error, words):
    text = job.explain(error)
    assert "/x" not in text
    assert text.startswith(words) and "\n" not in text and len(text) <= 500


# -- continuing ------------------------------------------------------------------------------------
@pytest.fixture
def old(runs):
    run = job.create(runs, "digits", {"epochs": 2, "seed": 5, "start": "scratch"}, local=False)
    (run.resume / "state.pt").write_text("saved")
    (run.resume / "state.partial").write_text("half")
    run.set_status("stopped")
    return run


def test_continuing_takes_over_settings_and_changes_and_what_was_saved(runs, old):
    run = job.continue_run(runs, old.id, {"learning_rate": "0.01"}, local=False)
    assert (
        run.settings["continues"] == old.id
        and run.state == "queued"
        and not run.status.get("terminal")
    )
    assert run.config == {**old.config, "learning_rate": 0.01}
    assert [p.name for p in run.saved] == ["state.pt"] and run.saved[0].read_text() == "saved"
    assert not (run.resume / "state.partial").exists()


def test_a_finished_run_is_continued_for_as_many_epochs_again_unless_told(runs, old):
    assert job.continue_run(runs, old.id, {}).config["epochs"] == 2, (
        "a stopped one has its epochs to finish"
    )
    old.set_status("done")
    assert job.continue_run(runs, old.id, {}).config["epochs"] == 4
    assert job.continue_run(runs, old.id, {"epochs": 3}).config["epochs"] == 3


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_has_not_ended_cannot_be_continued(runs, old, state):
    old.set_status(state)
    with pytest.raises(SettingsError, match=f"is {state}: it can be continued when it has ended"):
        job.continue_run(runs, old.id, {})


@pytest.mark.parametrize("name", ["digits-20200101-000000-gone", "../x", ""])
def test_what_there_is_not_cannot_be_continued(runs, name):
    with pytest.raises(SettingsError, match="There is no run"):
        job.continue_run(runs, name, {})


def test_what_saved_nothing_cannot_be_continued(runs, old):
    for path in old.saved:
        path.unlink()
    with pytest.raises(SettingsError, match="before it saved anything"):
        job.continue_run(runs, old.id, {})
    assert len(Run.all(runs)) == 1


@pytest.mark.parametrize(
    "changes", [{"batch_size": 64}, {"arch": "mlp"}, {"seed": 6}, {"limit": 10}]
)
def test_what_a_saved_state_hangs_on_cannot_change(runs, old, changes):
    with pytest.raises(
        SettingsError, match=f"{next(iter(changes))} cannot change from .* is continued"
    ):
        job.continue_run(runs, old.id, changes)
    assert job.continue_run(runs, old.id, {"batch_size": "128", "seed": 5.0}), (
        "the same value is no change"
    )


def test_wrong_changes_are_refused_before_anything_is_made(runs, old):
    with pytest.raises(SettingsError, match="epochs is 0"):
        job.continue_run(runs, old.id, {"epochs": 0})
    assert len(Run.all(runs)) == 1 and job.queue(runs) == []


def test_the_page_may_not_name_paths_but_the_command_line_may(runs):
    with pytest.raises(SettingsError, match="only the command line"):
        queue_up(runs, shelf="/etc")
    assert job.create(runs, "clockwork", {"shelf": "/etc"}).config["shelf"] == "/etc"
    assert len(Run.all(runs)) == 1


def test_a_new_run_records_where_it_lands_and_what_made_it(runs):
    run = queue_up(runs)
    assert run.settings["slot"] == "clock" and run.settings["versions"]["python"].startswith("3.")
    assert {"torch", "transformers", "accelerate"} < set(
        run.settings["versions"]
    ) and "commit" in run.settings


def test_the_lock_is_free_again_after_a_refusal(runs, old):
    with pytest.raises(SettingsError):
        job.continue_run(runs, old.id, {"seed": 6})
    with lock(runs):
        pass
