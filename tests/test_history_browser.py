"""In a real browser: a run of the history is chosen by keys, named, found, compared, deleted and
brought back, and the form is filled with what it was trained with."""

import shutil

import pytest
from serving import ended_run
from test_accessible import find_faults
from test_browser import CHROMIUM, App, browser, choose, page, until

from training.runs.run import Run

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
__all__ = ["browser", "page"]
ODD = "${alert(1)} {{value}} <b>bold</b>"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    runs = tmp_path_factory.mktemp("history") / "runs"
    runs.mkdir()
    for seed in (1, 2):
        run = ended_run(runs, seed=seed, swap="never", epochs=seed + 5)
        for step in (1, 2, 3):
            run.log(step=step, total=3, loss=seed / step, score=0.5)
        run.set_status("done")
    failed = ended_run(runs, seed=3, slot="fashion", state="failed", swap="never")
    shutil.rmtree(failed.checkpoint)
    made = App(runs)
    yield made
    made.end()


def test_a_run_is_chosen_named_compared_run_again_deleted_and_brought_back(page, app):
    first, second, failed = Run.all(app.runs)
    rows = page.locator("#history tr[data-run]")
    page.get_by_role("tab", name="Train").click()
    rows.nth(2).wait_for()

    # By keys alone; and what has the focus keeps it when the rows are drawn anew.
    name = rows.nth(2).locator(".open")
    name.focus()
    page.keyboard.press("Enter")
    until(page, f"document.querySelector('#chosen-run').innerText.includes('{first.id}')")
    until(page, "document.activeElement.matches('tr[aria-current] .open')")
    page.locator("#edit-run").click()
    page.locator("#run-name :is(input, textarea)").fill(ODD)
    page.locator("#run-notes textarea").fill("what I tried")
    page.wait_for_timeout(1500)  # ticks pass
    assert page.locator("#run-notes textarea").input_value() == "what I tried"
    page.locator("#save-run").click()
    until(page, "document.querySelector('#history').innerText.includes('<b>bold</b>')")
    assert (
        ODD in rows.nth(2).inner_text()
        and "what I tried" in page.locator("#chosen-run").inner_text()
    )
    until(page, "document.querySelector('#status h3').innerText.includes('alert(1)')")

    for row in (1, 2):
        rows.nth(row).locator("input").check()
    page.locator("#history [data-do=compare]").click()
    until(
        page, "document.querySelector('#compared-text')?.innerText.includes('Settings that differ')"
    )
    told = page.locator("#compared-text").inner_text()
    assert "Epochs" in told and "Seed" in told and "Optimizer" not in told
    page.wait_for_selector("#compared-loss canvas, #compared-loss svg")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    shown = page.locator("#history th:visible").all_inner_texts()
    assert [each for each in shown if each != "Compare"] == ["Name", "State", "Score"]
    assert not find_faults(page)
    page.set_viewport_size({"width": 1280, "height": 900})

    choose(page, "history-state", "Failed")
    until(page, "document.querySelectorAll('#history tr[data-run]').length == 1")
    rows.first.click(position={"x": 500, "y": 8})  # anywhere on the row
    until(page, f"document.querySelector('#chosen-run').innerText.includes('{failed.id}')")
    page.locator("#delete").click()
    page.locator("#history [data-do=undo]").wait_for()
    assert not failed.path.exists() and rows.count() == 0, "the filter stays"
    page.reload()  # on another page too
    page.get_by_role("tab", name="Train").click()
    page.locator("#history [data-do=undo]").click()
    until(page, "document.querySelectorAll('#history tr[data-run]').length == 3")
    assert failed.path.exists() and page.locator("#history .deleted").count() == 0

    choose(page, "recipe", "Food")
    rows.nth(1).locator(".open").click()
    until(page, f"document.querySelector('#chosen-run').innerText.includes('{second.id}')")
    page.locator("#run-again").click()
    until(page, "document.querySelector('#set-digits-epochs input')?.offsetParent")
    until(page, "document.querySelector('#set-digits-epochs input').value == '7'")
    assert page.locator("#recipe input").input_value() == "Digits & fashion"
    assert not page.outside
