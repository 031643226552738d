"""In a real browser: below a run's report its model is downloaded, its card seen, and it is pushed
to the Hub; and so is a data set of one's own."""

import json
import os
import zipfile
from pathlib import Path

import pytest
import small_hub
from PIL import Image
from test_browser import CHROMIUM, App, browser, page, until

from training.data.own import bring

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
__all__ = ["browser", "page"]
OLD = Path(__file__).parent / "old_runs"


@pytest.fixture(scope="module")
def hub():
    with small_hub.serve() as made:
        yield made


@pytest.fixture(scope="module")
def app(tmp_path_factory, hub):
    """The app with one run and a data set, on a machine where somebody is signed in to a small
    Hub."""
    folder = tmp_path_factory.mktemp("taken")
    name = json.loads((OLD / "expected.json").read_text())["food"]["done"]
    with zipfile.ZipFile(OLD / "food.zip") as packed:
        packed.extractall(
            folder / "runs", [each for each in packed.namelist() if each.startswith(name)]
        )
    for name in ("ant", "bee"):
        picture = folder / f"{name}.png"
        Image.new("RGB", (40, 40), {"ant": "black", "bee": "gold"}[name]).save(picture)
        bring.add(folder / "runs", "insects", [picture], name)
    signed_in = {"HF_ENDPOINT": hub.address, "HF_TOKEN": hub.token, "HF_HOME": str(folder / "hf")}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in signed_in.items():
            patch.setitem(os.environ, variable, value)
        made = App(folder / "runs")
        yield made
        made.end()


def is_pushed(page, hub, told: str, address: str, repo: str) -> None:
    """Privately, with its address told, and no token in the page nor a request elsewhere."""
    until(page, f"document.querySelector('{told}').innerText.includes('it is private')")
    assert page.locator(f"{told} a").get_attribute("href") == f"{hub.address}/{address}"
    assert hub.repos[repo].private
    assert hub.token not in page.content() and not page.outside


def test_a_model_is_downloaded_and_pushed_from_its_report(page, hub, tmp_path):
    page.get_by_role("tab", name="Train").click()
    until(page, "document.querySelector('#report').innerText.includes('Accuracy')")
    page.locator("#take-zip").click()
    link = page.locator("#take-file a").first
    with page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "got.zip")
    with zipfile.ZipFile(tmp_path / "got.zip") as packed:
        assert any(name.endswith("/use.py") for name in packed.namelist())

    assert not [line for line in hub.asked if "harness" not in line], "before anybody chose the Hub"
    page.locator("#take-hub").click()
    card = page.locator("#push-card textarea")
    until(page, "document.querySelector('#push-card textarea')?.value.includes('model-index')")
    assert "license: apache-2.0" in card.input_value()
    page.locator("#push-go").click()
    until(page, "document.querySelector('#taken').innerText.includes('it must be owner/name')")
    page.locator("#push-name :is(input, textarea)").fill("me/drawn-dishes")
    page.locator("#push-go").click()
    is_pushed(page, hub, "#taken", "me/drawn-dishes", "model/me/drawn-dishes")
    assert "use.py" in hub.repos["model/me/drawn-dishes"].files


def test_a_data_set_of_ones_own_is_pushed_from_its_page(page, hub):
    page.get_by_role("tab", name="Train").click()
    page.locator("#own-data > button").click()
    until(page, "document.querySelector('#own-findings')?.innerText.includes('one colour')")
    page.locator("#own-push").click()
    until(page, "document.querySelector('#own-push-card textarea')?.value.includes('# insects')")
    assert page.get_by_label("Private: you alone").last.is_checked()
    page.locator("#own-push-name :is(input, textarea)").fill("me/insects")
    page.locator("#own-push-go").click()
    is_pushed(page, hub, "#own-pushed", "datasets/me/insects", "dataset/me/insects")
