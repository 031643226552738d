"""Runs that the code before the renovation of November 2026 wrote: one that ended and one that was
stopped, of each recipe. They are listed, they answer, they are started from and continued."""

import json
from pathlib import Path

import pytest
from conftest import execute, wait_for
from learning import losses

from training.__main__ import DONE
from training.judge.records import Provenance
from training.judge.report import read_report
from training.runs import checkpoint, job
from training.runs.run import Run

EXPECTED = json.loads((Path(__file__).parent / "old_runs" / "expected.json").read_text())
RECIPES = sorted(EXPECTED)
pytestmark = pytest.mark.usefixtures("quick_picture")


def find(runs: Path, name: str, which: str) -> Run:
    run = Run.find(runs, EXPECTED[name][which])
    assert run is not None
    return run


def test_there_are_some_of_each_recipe():
    assert RECIPES == ["audio_intent", "captioning", "digits", "food"]


@pytest.mark.parametrize("name", RECIPES)
def test_what_an_old_run_resolved_is_read(old_runs, name):
    run = find(old_runs, name, "done")
    known = Provenance.from_json(run.settings)
    assert known.things == ("clips" if name == "audio_intent" else "pictures")
    assert known.counts["train"] > 0 and known.data and known.versions["torch"]
    report = read_report(run)
    assert report.after.value == pytest.approx(EXPECTED[name]["score"]) and report.sections


@pytest.mark.parametrize("name", RECIPES)
def test_an_old_runs_checkpoint_answers_in_its_tab(old_runs, name):
    import app

    run = find(old_runs, name, "done")
    slot = app.open_lab(old_runs).slots[run.slot]
    assert run.id in [found.id for found in checkpoint.list_checkpoints(old_runs, run.slot)]
    held = slot.get(run.id)  # loads, predicts once, and is checked
    assert held.id == run.id and held.bytes > 0


@pytest.mark.parametrize("name", RECIPES)
def test_an_old_run_that_was_stopped_goes_on_with_the_losses_of_an_unbroken_one(old_runs, name):
    run = find(old_runs, name, "stopped")
    assert run.state == "stopped" and len(losses(run)) == 3
    second = job.continue_run(old_runs, run.id, {})
    assert execute(second) == DONE, second.status
    found = losses(run) + losses(second)
    # Made on another machine: its last digits may differ from this one's.
    assert found == pytest.approx(EXPECTED[name]["losses"], rel=2e-3)


def test_an_old_checkpoint_is_started_from(old_runs):
    run = find(old_runs, "digits", "done")
    settings = {**run.config, "start": run.id, "epochs": 1, "swap": "never"}
    made = job.create(old_runs, "digits", settings)
    assert execute(made) == DONE, made.status
    assert read_report(made).before.value == pytest.approx(EXPECTED["digits"]["score"])
    assert wait_for(lambda: made.has_checkpoint)
