"""Own data in a real browser: a zip is dropped, its problems seen, a label corrected, a model
trained on it that answers in the tab with words of its own, and a wrong answer taught."""

import shutil
import time
from pathlib import Path

import pytest
from meals import colours
from serving import served_app
from test_browser import CHROMIUM, PATIENCE, app, browser, page, shot, until

from training.data.own import bring, data_set

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
__all__ = ["app", "browser", "page"]


@pytest.fixture(scope="module")
def bright(tmp_path_factory) -> Path:
    """A zip of three colours by class folders; one picture is there twice, one in a wrong class."""
    folder = colours(tmp_path_factory.mktemp("bright") / "zip")
    names = ["crimson", "green", "blue"]
    for number, name in enumerate(names):
        (folder / f"colour{number}").rename(folder / name)
    shutil.copy(folder / "green" / "00.png", folder / "green" / "00 copy.png")
    shutil.move(folder / "blue" / "03.png", folder / "crimson" / "misplaced.png")
    made = shutil.make_archive(str(folder.parent / "bright colours"), "zip", folder)
    return Path(made)


def open_own(page) -> None:
    page.get_by_role("tab", name="Train").click()
    page.locator("#own-data > button").click()
    page.wait_for_selector("#own-files")


def test_a_zip_is_dropped_corrected_trained_on_and_asked(page, bright):
    open_own(page)
    page.locator("#own-files input[type=file]").set_input_files(bright)
    until(page, "document.querySelector('#own-name :is(input, textarea)').value")
    page.locator("#own-add").click()
    page.wait_for_selector("#own-told .notice.good")
    page.wait_for_selector("#own-card table")
    assert "bright colours" in page.locator("#own-card").inner_text()
    assert page.locator("#own-card .thumbs img").count() >= 9

    page.locator("#own-train").click()
    until(page, "document.querySelector('#status .state')?.innerText == 'Done'")
    until(page, "document.querySelector('#report').innerText.includes('cross-validated')")
    until(page, "document.querySelector('#mistake-gallery')?.innerText.includes('crimson → blue?')")
    page.locator("#mistake-gallery button:has-text('crimson → blue?')").first.click()
    until(page, "document.querySelector('#mistake-looked').innerText.includes('says blue')")
    page.locator("#mistake-say").click()
    until(page, "document.querySelector('#mistake-again')?.innerText.includes('with 1 correction')")
    page.locator("#own-undo").click()
    until(page, "document.querySelector('#own-told').innerText.includes('Undone')")
    page.locator("#own-estimate").click()
    until(page, "document.querySelector('#own-estimated').innerText.includes('GB of memory')")
    page.locator("#own-check").click()  # what the folds took for another class
    until(page, "document.querySelector('#own-gallery')?.innerText.includes('crimson → blue?')")
    shot(page, "own-data.png")
    page.locator("#own-gallery button:has-text('crimson → blue?')").first.click()
    until(page, "document.querySelector('#own-looked').innerText.includes('misplaced')")
    until(page, "document.querySelector('#own-is input').value == 'blue'")
    page.locator("#own-say").click()
    until(page, "document.querySelector('#own-told').innerText.includes('is blue now')")
    until(page, "!document.querySelector('#own-gallery')?.innerText.includes('crimson → blue?')")
    page.locator("#own-undo").click()
    until(page, "document.querySelector('#own-told').innerText.includes('Undone')")

    # The third click, after Add and Train on this data; an example of one's own is a fourth.
    page.locator("#try_it").click()
    until(page, "document.body.innerText.includes('Which of your 3 classes?')")
    page.locator("button.gallery-item:visible").first.click()
    until(page, "document.querySelector('#label-food').innerText.includes('%')")
    assert "blue, crimson, green" in page.locator(".about:visible").inner_text()

    page.reload()  # who comes again finds it
    open_own(page)
    page.wait_for_selector("#own-card table")


def test_an_answer_that_is_wrong_is_taught(page, tmp_path):
    photo = colours(tmp_path / "one", 1, 1) / "colour0" / "00.png"
    page.get_by_role("tab", name="Food").click()
    page.locator("#teach-food > button").click()
    page.locator("#teach-add-food").click()
    until(page, "document.querySelector('#teach-told-food').innerText.includes('photo first')")
    page.locator("#food-photo input[type=file]").set_input_files(photo)
    until(page, "document.querySelector('#label-food').innerText.includes('%')")
    page.locator("#teach-right-food input").fill("scarlet")
    page.locator("#teach-right-food input").press("Enter")
    page.locator("#teach-add-food").click()
    until(page, "document.querySelector('#teach-told-food').innerText.includes('as scarlet')")


def test_a_folder_is_chosen_and_its_subfolders_are_the_classes(page, app, tmp_path):
    folder = colours(tmp_path / "Käfer and birds", 2, 6)
    open_own(page)
    with page.expect_file_chooser() as choosing:
        page.locator("#own-folder").click()
    choosing.value.set_files(folder)
    until(page, "document.querySelector('#own-name :is(input, textarea)').value")
    page.locator("#own-add").click()
    page.wait_for_selector("#own-told .notice.good")
    found = data_set.find(app.runs, "Käfer and birds")
    assert found.classes == ["colour0", "colour1"] and len(found.list_items()) == 12
    brought = {path.read_bytes() for path in folder.rglob("*.png")}
    assert {item.path.read_bytes() for item in found.list_items()} == brought


def test_a_refused_upload_says_why_and_keeps_nothing(page, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    open_own(page)
    page.locator("#own-files input[type=file]").set_input_files(tmp_path / "notes.txt")
    page.locator("#own-name :is(input, textarea)").fill("letters")
    page.wait_for_timeout(500)
    page.locator("#own-add").click()
    page.wait_for_selector("#own-told .notice.bad")
    page.locator("#own-chosen input").click()
    assert not page.get_by_role("option", name="letters", exact=True).count()


def test_what_is_cancelled_while_it_is_read_leaves_nothing(browser, runs, bright, monkeypatch):
    def read_for_long(found, ready, classes, tell):
        for number in range(1200):
            tell("checking", number, 1200)
            time.sleep(0.1)
        raise AssertionError("nobody cancelled it")

    monkeypatch.setattr(bring, "_lay_out", read_for_long)
    with served_app(runs) as site:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(site.local_url)
        open_own(page)
        page.locator("#own-files input[type=file]").set_input_files(bright)
        until(page, "document.querySelector('#own-name :is(input, textarea)').value")
        page.locator("#own-add").click()
        until(page, "document.querySelector('#own-told').innerText.includes('checking')")
        page.locator("#own-cancel").click()
        until(page, "document.querySelector('#own-told').innerText.includes('Cancelled: nothing')")
        page.close()
    assert [path.name for path in (runs / "datasets").iterdir()] == [".lock"]
