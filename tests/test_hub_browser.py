"""The Hub in a real browser: a model is looked up, refused, downloaded, used, rolled back, removed;
a data set is previewed.

Skips where Chromium or Playwright is missing.
"""

import io
import shutil

import pytest
import small_hub
from PIL import Image
from serving import served_app

from training.data import hub as asked_hub

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


def publish_meals(hub, monkeypatch) -> None:
    """A data set of two classes, `me/meals`."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, file = [], io.BytesIO()
    for number in range(12):
        picture = io.BytesIO()
        Image.new("RGB", (90, 60), (20 * number, 90, 40)).save(picture, "JPEG")
        rows.append({"bytes": picture.getvalue(), "path": None})
    made = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["apple_pie", "gyoza"])}
    )
    pq.write_table(pa.table({"image": rows, "label": [0, 1] * 6}).cast(made.arrow_schema), file)
    repo = small_hub.Repo(False, {"train.parquet": file.getvalue()})
    hub.repos["dataset/me/meals"] = repo
    found = asked_hub.Files(repo.sha, {"train": ["train.parquet"]}, False)
    monkeypatch.setattr(asked_hub, "find_files", lambda *_: found)


def choose(page, box: str, text: str) -> None:
    page.locator(f"{box} input").click()
    page.get_by_role("option", name=text, exact=True).click()


def preview_meals(page) -> None:
    expect = playwright.expect
    page.get_by_role("tab", name="Train").click()
    choose(page, "#recipe", "Food")
    expect(page.locator("#preview-data")).to_be_hidden()
    choose(page, "#set-food-source", "hub")
    box = page.locator("#set-food-dataset input")
    box.fill("me/meals")
    box.press("Enter")
    page.locator("#preview-data").click()
    seen = page.locator("#previewed")
    expect(seen).to_contain_text("me/meals: train 12 pictures")
    expect(seen).to_contain_text("2 classes: apple pie 6, gyoza 6")
    assert seen.locator("figure img[alt]").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    choose(page, "#set-food-source", "sample")
    expect(page.locator("#preview-data")).to_be_hidden()
    expect(seen).not_to_contain_text("me/meals")


def test_a_model_is_looked_up_used_rolled_back_and_removed_and_a_data_set_seen(
    hub, page, monkeypatch
):
    expect = playwright.expect
    expect.set_options(timeout=PATIENCE)
    assert page.locator("#hub-model-food input").input_value() == "" and not hub.asked
    look_up(page, "tiny/blip")
    expect(page.locator("#hub-card-food .notice.bad")).to_contain_text("tiny/blip writes about")
    expect(page.locator("#hub-use-food")).to_be_hidden()
    hub.locked.add("tiny/swin")
    look_up(page, "tiny/swin")
    where = f"{hub.address}/tiny/swin"
    expect(page.locator("#hub-card-food .notice.bad a")).to_have_attribute("href", where)
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
    publish_meals(hub, monkeypatch)
    preview_meals(page)
