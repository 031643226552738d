"""A run is a directory: what is in it, how it is found, and that nobody reads half of anything."""

import errno
import json
import os
import threading
import time

import pytest

from training.runs.process import process_identity
from training.runs.records import MOST, read_json, write_json
from training.runs.run import Run


@pytest.fixture
def run(runs):
    return Run.create(runs, "toy", {"epochs": 2})


def test_a_new_run_is_queued_and_keeps_its_settings(runs, run):
    assert run.state == "queued" and run.recipe == "toy" and run.config == {"epochs": 2}
    assert run.id.startswith("toy-") and Run.find(runs, run.id).config == run.config


def test_what_is_resolved_later_is_added_to_the_settings(run):
    run.record(base="embedded-digits")
    assert run.settings["base"] == "embedded-digits" and run.config == {"epochs": 2}


def test_runs_are_listed_oldest_first_and_what_is_no_run_is_left_out(runs):
    made = [Run.create(runs, "toy", {}) for _ in range(3)]
    (runs / "not-a-run").mkdir()
    (runs / ".deleted-toy").mkdir()
    (runs / ".deleted-toy" / "config.json").write_text("{}")
    assert [r.id for r in Run.all(runs)] == [r.id for r in made]


def test_a_status_is_never_read_half_written(run):
    padding, states, stop = "x" * 20_000, set(), threading.Event()

    def read():
        while not stop.is_set():
            states.add(run.status["state"])

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(100):
        run.set_status("running" if i % 2 else "stopping", padding=padding[: i * 200])
    stop.set()
    reader.join()
    assert states <= {"queued", "running", "stopping"}


def test_what_was_being_written_in_a_crash_leaves_the_old_status_and_no_litter(run):
    with pytest.raises(TypeError):
        run.set_status("running", cannot=object())
    assert run.state == "queued"
    assert {p.name for p in run.path.iterdir()} == {"config.json", "status.json", "reserve"}


DAMAGES = {
    "empty": b"",
    "cut off": b'{"state": "run',
    "zeros": b"\x00\x00\x00",
    "no text": b"\xff\xfe",
    "null": b"null",
    "a number": b"5",
    "a list": b"[]",
    "no state": b"{}",
    "a state that is none": b'{"state": 5}',
    "a step that is none": b'{"state": "running", "step": "many"}',
    "no number": b'{"state": "running", "step": NaN}',
    "a number without end": b'{"state": "running", "total": 1' + b"0" * 300 + b"}",
    "a process that is none": b'{"state": "running", "worker": 5}',
    "half a character": b'{"state": "done", "reason": "\\ud800"}',
    "half a character elsewhere": b'{"state": "done", "more": ["\\ud800"]}',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("rest", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_status_is_said_and_can_be_written_again(run, rest):
    (run.path / "status.json").write_bytes(rest)
    assert run.state == "damaged" and "status.json" in run.status["reason"]
    run.set_status("failed", reason="told")
    assert run.state == "failed" and run.status["reason"] == "told"


@pytest.mark.parametrize("name", ["config.json", "status.json", "swap.json"])
@pytest.mark.parametrize("kind", ["directory", "pipe", "number", "far too large"])
def test_whatever_stands_where_a_file_should_be_the_run_is_damaged_and_can_be_deleted(
    runs, run, name, kind
):
    path = run.path / name
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"5" if kind == "number" else b" " * (MOST + 1))
    assert [found.id for found in Run.all(runs)] == [run.id]
    assert run.state == "damaged" and name in run.status["reason"]
    assert isinstance(run.settings, dict) and run.recipe == "toy"
    run.delete()
    assert Run.all(runs) == []


def test_settings_that_are_missing_are_damage_and_settings_of_another_kind_too(runs, run):
    write_json(run.path / "config.json", {"recipe": "toy", "config": {"epochs": [1]}})
    assert run.state == "damaged" and run.config == {}
    (run.path / "config.json").unlink()
    assert run.state == "damaged" and "missing" in run.status["reason"]
    assert Run.find(runs, run.id) is not None


def test_a_worker_that_writes_over_a_damaged_status_still_says_who_it_is(run):
    run.set_status("running", worker=process_identity())
    (run.path / "status.json").write_text("5")
    run.set_status("running", step=2)
    assert run.status["worker"] == process_identity() and run.status["step"] == 2


def test_a_full_disk_leaves_room_for_the_last_word(run, monkeypatch):
    def refuse(path, value):
        if (run.path / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write_json(path, value)

    monkeypatch.setattr("training.runs.run.write_json", refuse)
    run.set_status("failed", reason="The disk is full.")
    assert run.state == "failed" and run.status["reason"] == "The disk is full."


def test_a_run_that_cannot_be_made_whole_leaves_nothing(runs, monkeypatch):
    def refuse(path, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("training.runs.run.write_json", refuse)
    with pytest.raises(OSError):
        Run.create(runs, "toy", {})
    assert list(runs.iterdir()) == []


def test_events_of_another_kind_are_left_out(run):
    run.log(step=1, total=2, loss=0.5)
    with open(run.path / "events.jsonl", "a") as f:
        f.write('{"t": 1.0, "step": 2, "total": 2, "loss": "low"}\n[]\n5\n{"loss": 1.0}\n')
        f.write('{"t": 1.0, "step": 2, "total": 2, "loss": NaN}\n')
    assert [event["step"] for event in run.events()] == [1, 2]


def test_a_missing_status_reads_as_lost(run):
    (run.path / "status.json").unlink()
    assert run.state == "lost"


def test_events_come_back_in_order_without_the_half_written_last_line(run):
    run.log(step=1, total=2, loss=0.5)
    run.log(step=2, total=2, loss=0.25, words="line\u2028break")
    with open(run.path / "events.jsonl", "a") as f:
        f.write('{"t": 1.0, "step": 3, "lo')
    events = list(run.events())
    assert [e["step"] for e in events] == [1, 2] and events[1]["words"] == "line\u2028break"


def test_a_run_without_events_has_none(run):
    assert list(run.events()) == []


def test_progress_reaches_the_status(run):
    run.log(step=3, total=9, epoch=1, loss=1.0)
    assert {k: run.status[k] for k in ("state", "step", "total", "epoch")} == {
        "state": "running",
        "step": 3,
        "total": 9,
        "epoch": 1,
    }


def test_a_new_stage_is_written_at_once_and_the_same_one_again_at_most_once_a_second(run):
    run.beat("one")
    run.beat("two")
    assert run.status["stage"] == "two"
    before = run.status["heartbeat"]
    run.beat("two")
    assert run.status["heartbeat"] == before


def test_ranks_that_only_compute_write_nothing(run):
    before = sorted(p.name for p in run.path.iterdir())
    other = Run(run.path, main=False)
    other.log(step=1)
    other.beat("training")
    other.say("words")
    other.set_status("done")
    other.record(base="x")
    other.publish()
    assert sorted(p.name for p in run.path.iterdir()) == before and run.state == "queued"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../{}",
        "a/b",
        "./{}",
        "{}/",
        "/{}",
        ".hidden",
        "{}\0",
        "x" * 400,
        "{}\n",
        "é" * 90,
    ],
)
def test_an_id_is_never_a_path(runs, run, name):
    hidden = runs / ".hidden"
    hidden.mkdir()
    (hidden / "config.json").write_text("{}")
    assert Run.find(runs, name.format(run.id)) is None


def test_an_id_that_there_is_not_finds_nothing(runs):
    assert Run.find(runs, "toy-20200101-000000-aaaa") is None


def test_a_running_job_that_was_asked_to_stop_is_stopping(run):
    run.request_stop()
    assert run.state == "queued" and run.should_stop()
    run.set_status("running")
    assert run.state == "stopping" and run.status["state"] == "running"
    run.set_status("stopped")
    assert run.state == "stopped"


def test_a_signal_asks_for_a_stop_as_the_file_does(run):
    assert not run.should_stop() and run.stop_age == 0
    run.interrupted = True
    assert run.should_stop() and not run.stop_requested


def test_asking_twice_does_not_put_the_first_time_off(run):
    run.request_stop()
    os.utime(run.path / "stop", (time.time() - 100, time.time() - 100))
    run.request_stop()
    assert run.stop_age > 99


def test_the_tail_of_a_log_shows_the_last_state_of_a_progress_bar(run):
    run.log_file.write_bytes(
        b"first\r\nloading\n"
        + b"\r".join(b"%d%%" % i for i in range(101))
        + b"\r\nafter\n"
        + b"10%\r20%\r"
    )
    assert run.log_tail() == "first\nloading\n100%\nafter\n20%"
    assert run.log_tail(2) == "after\n20%"


def test_the_tail_of_a_long_log_is_short_and_that_of_none_is_empty(run):
    assert run.log_tail() == ""
    run.log_file.write_text("".join(f"line {i} é\n" for i in range(50_000)), encoding="utf-8")
    assert run.log_tail(3) == "line 49997 é\nline 49998 é\nline 49999 é"


def test_words_go_to_the_terminal_and_to_the_log_and_errors_to_stderr(run, capsys):
    run.say("hello")
    run.say("error: no", error=True)
    assert tuple(capsys.readouterr()) == ("hello\n", "error: no\n")
    assert run.log_file.read_text() == "hello\nerror: no\n"


def test_a_spawned_job_does_not_write_its_words_twice(run, monkeypatch, capsys):
    monkeypatch.setenv("TRANSFER_LAB_JOB", run.id)
    run.say("hello")
    assert capsys.readouterr().out == "hello\n" and not run.log_file.exists()


def test_publishing_is_one_rename(run):
    run.staging.mkdir()
    (run.staging / "config.json").write_text("{}")
    assert not run.has_checkpoint
    inode = run.staging.stat().st_ino
    run.publish()
    assert run.has_checkpoint and not run.staging.exists() and run.checkpoint.stat().st_ino == inode


def test_what_was_not_published_is_discarded_and_what_was_saved_stays(run):
    run.staging.mkdir()
    (run.staging / "model.safetensors").write_text("half")
    (run.resume / "state.partial").write_text("half")
    (run.resume / "state.pt").write_text("whole")
    run.discard()
    assert not run.staging.exists() and [p.name for p in run.resume.iterdir()] == ["state.pt"]


def test_what_was_saved_counts_whole_files_only_and_looking_makes_nothing(run):
    assert run.saved == [] and not (run.path / "resume").exists()
    (run.resume / "state.partial").write_text("half")
    assert run.saved == []
    (run.resume / "state.pt").write_text("whole")
    assert [p.name for p in run.saved] == ["state.pt"]


def test_the_size_is_that_of_all_files(run):
    before = run.size()
    (run.report / "picture.png").write_bytes(b"x" * 1000)
    (run.report / "again.png").write_bytes(b"x" * 500)
    assert run.size() == before + 1500


def test_a_deleted_run_is_gone_with_all_that_was_in_it(runs, run):
    (run.report / "picture.png").write_bytes(b"x")
    run.delete()
    assert list(runs.glob("[!.]*")) == [] and Run.find(runs, run.id) is None
    assert list(runs.glob(".deleted*")) == []


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == [
        "a.json"
    ]
    assert read_json(tmp_path / "none.json", 7) == 7 and read_json(path / "below", 7) == 7


def test_what_became_of_a_checkpoint_is_pending_until_it_is_written(run):
    assert run.swap is None
    run.set_swap("kept", "the active one scores better")
    assert run.swap["outcome"] == "kept"
