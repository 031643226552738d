"""The model card that a published checkpoint carries."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from training import recipe
from training.judge.card import write_card
from training.judge.records import Provenance, Report, Score
from training.judge.report import read_report
from training.recipe import Metric, Recipe, setting
from training.runs.run import Run

EXPECTED = json.loads((Path(__file__).parent / "old_runs" / "expected.json").read_text())


def card_of(run: Run, seconds: float = 600) -> str:
    made = recipe.load(run.recipe)
    config = recipe.parse(made.config, run.config)
    return write_card(made, config, Provenance.from_json(run.settings), read_report(run), seconds)


@pytest.mark.parametrize(
    "name, counts",
    [
        ("digits", "| Pictures | train 128, held out 79, test 346 |"),
        ("food", "| Pictures | train 128, held out 22, test 89 |"),
        ("audio_intent", "| Clips | train 28, held out 37, test 140 |"),
        ("captioning", "| Pictures | train 32, held out 19, test 111 |"),
    ],
)
def test_the_examples_are_counted_by_what_they_are(old_runs, name, counts):
    assert counts in card_of(Run.find(old_runs, EXPECTED[name]["done"]))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_card_says_what_was_measured_and_how_it_was_made(old_runs, name):
    run = Run.find(old_runs, EXPECTED[name]["done"])
    report = read_report(run)
    text = card_of(run)
    assert text.startswith("---\nlibrary_name: transformers\nlicense: apache-2.0\n---\n")
    assert text.endswith(" |\n")
    assert f"| {report.data} | " in text and report.after.with_interval(2) in text
    assert f"Measured on {report.held_out}, read once" in text
    assert all(note in text for note in report.notes)
    assert f"`python -m training {name} " in text and "| Training time | 10 min on " in text
    assert f"| Commit | {run.settings['commit']} |" in text
    assert f"| Starts from | {run.settings['base']} |" in text


def test_a_run_that_was_stopped_has_no_score_and_its_card_says_so(old_runs):
    text = card_of(Run.find(old_runs, EXPECTED["food"]["stopped"]))
    assert "\nStopped at step 3 of 4, before it was scored.\n" in text and "| before |" not in text


@dataclass(frozen=True)
class Rents:
    depth: int = setting(3, "Depth.", low=1, high=9)


def test_a_model_of_neither_pictures_nor_classes_has_a_card_too():
    fit = Metric("r2", "R²", share=False, interval="bootstrap")
    rents = Recipe(
        "rents", "Rents", Rents, "r2", (), dict, dict, lambda _: "", lambda config: "a tree"
    )
    provenance = Provenance(
        base="somebody/trees + other/leaves",
        parts={"somebody/trees": "c0ffee", "other/leaves": ""},
        things="flats",
        counts={"train": 1200},
        teachers={"somebody/forest": "beef"},
        continues="rents-1",
    )
    report = Report(fit, "rents", "50 flats", None, Score(fit, 0.5, (0.4, 0.6), 50))
    text = write_card(rents, Rents(depth=5), provenance, report, 30)
    assert "base_model:\n- somebody/trees\n- other/leaves\n" in text
    assert "license" not in text, "theirs, which nobody has asked"
    assert "| rents | none | 0.5000 (0.4000 to 0.6000, n = 50) |" in text
    assert "The intervals are 95% (bootstrap)." in text and "hance" not in text
    guessed = replace(report, chance=0.25)
    text_with_chance = write_card(rents, Rents(depth=5), provenance, guessed, 30)
    assert "Chance: 0.250; the intervals are 95% (bootstrap)." in text_with_chance
    assert "| Starts from | somebody/trees (revision c0ffee) + other/leaves |" in text
    assert "| Teachers | somebody/forest (revision beef) |" in text
    assert "| Flats | train 1,200 |" in text and "| Continues | rents-1 |" in text
    assert "`python -m training rents --depth 5`" in text and "| Training time | 30 s on " in text
