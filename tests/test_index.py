"""The index of runs: what it finds is what there is, and it looks at no more than it needs."""

import os
import threading

import pytest

from training.runs import index
from training.runs.index import Index, shorten_journal
from training.runs.records import write_json
from training.runs.run import JOURNAL, Run


@pytest.fixture
def found(runs):
    return Index(runs)


def ids(found: Index) -> list[str]:
    return [entry.id for entry in found.refresh().newest()]


@pytest.fixture
def looked(monkeypatch):
    """The names of the runs that were read."""
    names: list[str] = []
    read = index._read_entry
    monkeypatch.setattr(index, "_read_entry", lambda run: names.append(run.id) or read(run))
    return names


def test_it_finds_what_comes_and_goes_newest_first(runs, found):
    assert ids(found) == [] and len(found) == 0
    first, second, third = (Run.create(runs, "toy", {}) for _ in range(3))
    assert ids(found) == [third.id, second.id, first.id]
    second.delete()
    assert ids(found) == [third.id, first.id] and len(found) == 2


def test_a_directory_that_does_not_exist_yet_is_empty_until_it_does(tmp_path):
    found = Index(tmp_path / "later")
    assert ids(found) == []
    run = Run.create(tmp_path / "later", "toy", {})
    assert ids(found) == [run.id]


def test_each_change_of_a_run_is_seen_at_the_next_look(runs, found):
    run = Run.create(runs, "toy", {}, slot="digits")
    steps = [
        (lambda: None, "queued"),
        (lambda: run.set_status("running"), "running"),
        (run.request_stop, "stopping"),
        (lambda: run.set_status("stopped"), "stopped"),
    ]
    versions = set()
    for act, state in steps:
        act()
        (entry,) = found.refresh().newest()
        versions.add(found.version)
        assert entry.state == state
        assert bool(found.running()) == (state in ("running", "stopping"))
        assert bool(found.queue()) == (state == "queued")
    assert len(versions) == len(steps) and found.pending() == []
    run.staging.mkdir()
    write_json(run.staging / "config.json", {})
    run.publish()
    assert [entry.id for entry in found.refresh().pending()] == [run.id]
    run.set_swap("kept", "not better")
    assert found.refresh().pending() == [] and found.newest()[0].swap["outcome"] == "kept"


def test_where_nothing_changed_the_version_stays_and_no_run_is_read(runs, found, looked):
    made = [Run.create(runs, "toy", {}) for _ in range(5)]
    made[0].set_status("running")
    found.refresh()
    before = found.version
    looked.clear()
    made[0].beat("training", step=1, total=9)  # a sign of life is no change of a list
    looked.clear()
    found.refresh()
    assert found.version == before and set(looked) <= {made[0].id}


def test_a_look_costs_no_more_with_many_runs_than_with_some(runs, found, looked, monkeypatch):
    monkeypatch.setattr(index, "ROUND", 3)
    made = [Run.create(runs, "toy", {}) for _ in range(20)]
    for run in made:
        run.set_status("done")
    found.refresh()
    asked: list = []
    take = index.take_times
    monkeypatch.setattr(index, "take_times", lambda *paths: asked.extend(paths) or take(*paths))
    looked.clear()
    found.refresh()
    assert len(asked) == 1 + 3 * 4 and looked == [], "the directory, and three runs' times"
    made[7].set_swap("kept", "not better")
    found.refresh()
    assert looked == [made[7].id]


def test_what_other_hands_changed_is_found_by_going_round(runs, found, monkeypatch):
    monkeypatch.setattr(index, "ROUND", 3)
    made = [Run.create(runs, "toy", {}) for _ in range(10)]
    for run in made:
        run.set_status("done")
    found.refresh()
    (made[5].path / "status.json").write_text("5")
    states = []
    for _ in range(4):
        states.append({entry.id: entry.state for entry in found.refresh().newest()}[made[5].id])
    assert states[-1] == "damaged"


def test_a_damaged_run_stands_where_its_name_says(runs, found):
    first = Run.create(runs, "toy", {})
    renamed = runs / "toy-20200101-000000-aaaa"
    os.rename(first.path, renamed)
    second = Run.create(runs, "toy", {})
    (renamed / "config.json").write_text("[]")
    assert ids(found) == [second.id, renamed.name]
    assert found.newest()[1].state == "damaged"


def test_the_journal_is_shortened_and_nothing_is_missed(runs, found, monkeypatch):
    run = Run.create(runs, "toy", {})
    found.refresh()
    monkeypatch.setattr(index, "LONGEST", 10)
    shorten_journal(runs)
    assert (runs / JOURNAL).stat().st_size == 0
    monkeypatch.setattr(index, "ROUND", 0)
    run.set_status("failed")
    assert found.refresh().newest()[0].state == "failed"


def test_threads_that_look_at_once_see_each_run_once(runs, found):
    made = [Run.create(runs, "toy", {}) for _ in range(30)]
    seen: list[list[str]] = []

    def look() -> None:
        for _ in range(20):
            seen.append(ids(found))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for run in made[:10]:
        run.delete()
    for thread in threads:
        thread.join()
    assert all(len(each) == len(set(each)) for each in seen)
    assert ids(found) == [run.id for run in reversed(made[10:])]
