"""The page's clock: nothing is sent again that did not change, and what changed is."""

import gradio as gr
import pytest
from conftest import TWO_STEPS
from serving import fresh_app

from demos.clock import Part, make_look
from demos.serving.lab import Lab
from training.runs import job


@pytest.fixture
def look(runs):
    """What the browser's tick calls on the real page."""
    with fresh_app(runs) as page:
        yield next(fn.fn for fn in page.fns.values() if fn.api_name == "look")


def unchanged(values: list) -> list[bool]:
    return [isinstance(value, dict) and value == gr.skip() for value in values]


def test_a_second_look_sends_nothing_again(look):
    sign, *first = look("", "")
    again, *second = look("", sign)
    assert again == sign and not any(unchanged(first)) and all(unchanged(second))


def test_a_new_run_changes_what_shows_it_and_nothing_else(runs, look):
    sign, *_ = look("", "")
    run = job.create(runs, "digits", TWO_STEPS)
    later, *values = look("", sign)
    assert later != sign and any(unchanged(values))
    assert any(f"· {run.id[-4:]}" in str(value) for value in values)


def test_each_part_is_asked_only_when_its_sign_is_another_one(runs):
    asked, signs = [], {"one": "a", "two": "b"}

    def part(name: str) -> Part:
        return Part(
            lambda _: signs[name],
            lambda moment: asked.append((name, moment.selected)) or [name],
            ["a component"],
        )

    look = make_look(Lab(runs, {}), [part("one"), part("two")])
    sign = look("r", None)[0]
    signs["two"] = "c"
    assert look("r", sign)[1:] == [gr.skip(), "two"]
    assert asked == [("one", "r"), ("two", "r"), ("two", "r")]
