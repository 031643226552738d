"""A run's mistakes on own data are seen, corrected, and trained on again; and what learns from a
data set."""

import gradio as gr
import pytest
from conftest import ended_well
from serving import fresh_app
from test_digits_own import draw_letters

import app
from demos import own_view, tab_words
from demos.actions import Actions
from demos.own_tab import LEARNERS, _choose_learner, _offer_training
from training.data.own import bring, corrections, use
from training.runs.run import Run

OWN = {"source": "own", "dataset": "letters", "method": "frozen", "swap": "never"}


@pytest.fixture
def letters(runs, tmp_path):
    """Crosses and rings; one ring lies among the crosses."""
    folder = draw_letters(tmp_path / "letters", 12)
    (folder / "ring" / "ring-3.png").rename(folder / "cross" / "misplaced.png")
    return bring.add(runs, "letters", [folder]).data_set


@pytest.fixture
def run(runs, letters) -> Run:
    return ended_well(runs, "digits", OWN)


@pytest.fixture
def started(monkeypatch):
    """What the page started, without running it."""
    asked = []
    monkeypatch.setattr(Actions, "start", lambda self, *given: asked.append(given) or "made")
    return asked


@pytest.fixture
def below(runs):
    """What lies below the report, on the page."""
    with fresh_app(runs) as page:
        named = {str(getattr(block, "elem_id", "")): block for block in page.blocks.values()}
        again = named["mistake-again"]._id
        (clicked,) = (fn for fn in page.fns.values() if (again, "click") in fn.targets)
        yield clicked.fn.__self__


def test_a_mistake_is_corrected_and_trained_on_again(letters, run, below, started):
    seen = own_view.list_mistakes(run, letters)
    misplaced = next(each for each in seen if each["name"] == "misplaced.png")
    assert (misplaced["label"], misplaced["said"]) == ("cross", "ring")
    assert "the model says ring" in misplaced["why"]
    assert use.find_change(letters) is None
    assert below.show(run)[-1]["visible"] is False

    corrections.correct_label(letters, misplaced["id"], "ring")
    assert misplaced["id"] not in [each["id"] for each in own_view.list_mistakes(run, letters)]
    again = below.show(run)[-1]
    assert again["visible"] and again["value"] == "Train again with 1 correction"
    assert below._train(run.id) == "made"
    ((recipe, settings),) = started
    assert recipe == "digits" and settings.items() >= OWN.items() and "epochs" not in settings

    corrections.undo(letters)
    assert use.find_change(letters) is None


def test_what_came_since_is_counted(letters, run, tmp_path):
    more = draw_letters(tmp_path / "more", 15)
    added = bring.add(letters.runs, "letters", [more / "ring" / "ring-14.png"], "ring")
    assert added.count == 1
    corrections.confirm(letters, letters.list_items()[0].id)  # nothing to learn anew
    assert str(use.find_change(letters)) == "1 new example"


def test_the_page_offers_what_can_learn_from_it(runs, letters, tmp_path):
    chooser, button = _offer_training(letters)
    assert chooser["choices"] == list(LEARNERS["pictures"])
    assert chooser["visible"] and button["value"] == "Train on this data"
    assert _choose_learner(letters) == next(iter(LEARNERS["pictures"]))
    drawn = draw_letters(tmp_path / "signs")
    for old, new in (("cross", "4"), ("ring", "0")):
        (drawn / old).rename(drawn / new)
    digits = bring.add(runs, "drawn", [drawn]).data_set
    recipe, _ = LEARNERS["pictures"][_choose_learner(digits)]
    assert recipe == "digits"


def test_the_tab_offers_what_the_run_was_tested_on(runs, letters, run):
    page_lab = app.open_lab(runs)
    slot = page_lab.slots["digits"]
    assert tab_words.list_examples(slot) == []  # built in: its own are on the page
    slot.swap(run.id)
    files = tab_words.list_examples(slot)
    assert [path.name for path in files] == ["example-0.png", "example-1.png"]
    with fresh_app(runs) as page:
        named = {str(getattr(block, "elem_id", "")): block for block in page.blocks.values()}
        words = tab_words.Words(named["label-digits"], "Which digit?", examples=gr.Dataset())
        question, examples = words.show(slot)
    assert question["label"] == "Which of your 2 classes?"
    assert examples["visible"] and len(examples["samples"]) == 2
