"""Every tab is seen, read and reached by anybody: axe-core has no serious finding, in the light and
in the dark, and by keys alone a question is asked."""

from pathlib import Path

import pytest
from meals import colours
from test_browser import CHROMIUM, PATIENCE, app, browser, until

from training.data.own import bring, data_set

axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
__all__ = ["app", "browser"]
AXE = next(Path(axe.__file__).parent.rglob("axe.min.js"))
GRAVE = ("serious", "critical")


@pytest.fixture(params=["light", "dark"])
def page(request, browser, app, tmp_path):
    if not data_set.list_names(app.runs):
        bring.add(app.runs, "bright", [colours(tmp_path / "bright", 2, 6)])
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=request.param
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(app.url)
    yield page
    context.close()


def find_faults(page) -> list[str]:
    """What axe-core calls serious or worse, each with where it is."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


def test_no_tab_has_a_serious_finding(page):
    for tab in ("Food", "Digits & fashion", "Audio intent", "Captioning", "Train"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(1000)
        assert not find_faults(page), tab
    page.locator("#own-data > button").click()
    page.wait_for_selector("#own-card table")
    assert not find_faults(page), "your own data"


def test_by_keys_alone_a_question_is_asked(page):
    page.wait_for_selector("button.gallery-item[aria-label]")
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.getAttribute('aria-label') || ''")
        if name.startswith("Example"):
            break
    assert name.startswith("Example")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "who goes by keys sees where they are"
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#label-food').innerText.includes('%')")
    assert page.locator("#label-food").get_attribute("aria-live") == "polite"
