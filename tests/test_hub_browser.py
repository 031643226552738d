"""A model of the Hub in a real browser: looked up, refused, downloaded, used, rolled back, removed.

Skips where Chromium or Playwright is missing.
"""

import shutil

import pytest
from serving import served_app

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PATIENCE = 120_000  # milliseconds; only a hang takes so long


@pytest.fixture
def page(hub, runs):
    with served_app(runs) as blocks, playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        opened = browser.new_page(viewport={"width": 390, "height": 900})
        opened.set_default_timeout(PATIENCE)
        opened.goto(blocks.local_url)
        opened.get_by_role("tab", name="Food").click()
        opened.locator("#hub-food button").first.click()
        yield opened
        browser.close()


def look_up(page, name: str) -> None:
    box = page.locator("#hub-model-food input")
    box.fill(name)
    box.press("Enter")


def test_a_model_is_looked_up_used_rolled_back_and_removed(hub, page):
    expect = playwright.expect
    expect.set_options(timeout=PATIENCE)
    assert page.locator("#hub-model-food input").input_value() == "" and not hub.asked
    look_up(page, "tiny/blip")
    expect(page.locator("#hub-card-food .notice.bad")).to_contain_text("tiny/blip writes about")
    expect(page.locator("#hub-use-food")).to_be_hidden()
    look_up(page, "tiny/clip")
    expect(page.locator("#hub-card-food")).to_contain_text("class names that you type")
    page.locator("#hub-classes-food :is(textarea, input)").fill("ramen, pho, soup")
    page.locator("#hub-use-food").click()
    expect(page.locator("#hub-told-food")).to_contain_text("Food now uses tiny/clip (3 classes)")
    expect(page.locator("#label-food")).to_contain_text("Which of its 3 classes?")
    wide = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert wide, "a phone does not scroll sideways"
    page.locator("#back-food").click()
    expect(page.locator("#label-food")).to_contain_text("Which dish?")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#hub-mine-food input").click()
    page.get_by_role("option").filter(has_text="tiny/clip").click()
    page.locator("#hub-remove-food").click()
    expect(page.locator("#hub-told-food")).to_contain_text("tiny/clip is removed.")
    expect(page.locator("#hub-mine-food")).to_be_hidden()
