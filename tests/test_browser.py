"""The page in a real browser: draw, train, reload in mid-run, see the swap, roll back.

Skips where Chromium or Playwright is missing. `SCREENSHOTS=1 python -m pytest
tests/test_browser.py` also writes the README's pictures to tests/screenshots/.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pillow_heif
import pytest
import soundfile
import soxr
from PIL import Image
from voice_files import film

from demos import run_views
from demos.clock import ASK
from training.runs.run import ENDED, Run

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
ROOT = Path(__file__).parent.parent
SHOTS = Path(__file__).parent / "screenshots"
EXAMPLES = ROOT / "demos" / "examples"
PATIENCE = 120_000  # milliseconds; only a hang takes so long


class App:
    """The real command, on a free port, with its own runs."""

    def __init__(self, runs: Path, *options: str):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.runs, self.options, self.url = runs, options, f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "app.py",
                "--port",
                str(self.port),
                "--runs",
                str(self.runs),
                *self.options,
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if k not in ("TRAINING", "SPACE_ID", "AUTH")},
        )
        deadline = time.time() + 120
        while time.time() < deadline:
            try:
                urllib.request.urlopen(self.url, timeout=2).close()
                return
            except OSError:
                assert self.process.poll() is None, "the app ended"
                time.sleep(0.2)
        raise AssertionError("the app did not answer")

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = App(tmp_path_factory.mktemp("browser") / "runs")
    yield app
    app.end()
    for run in Run.all(
        app.runs
    ):  # what a failed test left behind: jobs outlive the app, as they should
        if run.state not in ENDED:
            run.request_stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, app):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.outside = []
    page.on(
        "request",
        lambda r: (
            page.outside.append(r.url)
            if r.url.startswith(("http", "ws")) and "127.0.0.1" not in r.url
            else None
        ),
    )
    page.goto(app.url)
    yield page
    context.close()


def until(page, expression: str) -> None:
    """Waits until it is true in the page, asking four times a second: asking at each frame keeps a
    core busy."""
    page.wait_for_function(expression, polling=250)


def test_a_tick_right_after_another_is_told_nothing_again(page):
    first, second = page.evaluate(
        f"""async () => {{
          const ask = {ASK};
          while (window.looking) await new Promise(done => setTimeout(done, 20));
          delete window.signs;
          return [await ask(''), await ask('')];
        }}"""
    )
    assert None not in first, "all of it"
    assert second == [None] * len(first)


def draw_seven(page) -> None:
    page.get_by_role("tab", name="Digits & fashion").click()
    page.wait_for_selector(
        '#canvas button[aria-label="Brush Size"]'
    )  # the brush is in hand, without a click
    box = page.locator("#canvas canvas").first.bounding_box()
    middle, side = box["x"] + box["width"] / 2, box["height"]
    top = box["y"] + side * 0.3
    page.mouse.move(middle - side * 0.18, top)
    page.mouse.down()
    page.mouse.move(middle + side * 0.18, top, steps=8)
    page.mouse.move(middle - side * 0.05, top + side * 0.48, steps=8)
    page.mouse.up()


def shown_digit(page) -> str:
    until(
        page, "document.querySelector('#label-digits [data-testid=label-output-value]')?.innerText"
    )
    return page.locator("#label-digits [data-testid=label-output-value]").inner_text().strip()


def shot(page, name: str) -> None:
    if os.environ.get("SCREENSHOTS"):
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / name, full_page=True)


def open_train(page, tab: str = "Digits & fashion", recipe: str = "digits") -> None:
    """With this recipe chosen."""
    page.get_by_role("tab", name=tab).click()
    page.locator(f"#tune-{recipe}").click()
    page.wait_for_selector(f"#set-{recipe}-epochs")


def choose(page, element: str, option: str) -> None:
    page.locator(f"#{element} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def test_a_drawn_seven_is_a_seven_while_it_is_drawn(page):
    draw_seven(page)
    assert shown_digit(page) == "7"
    seen = page.locator("#seen-digits")
    assert "Built-in" in seen.inner_text() and " ms" in seen.inner_text()
    assert seen.locator("img").get_attribute("src").startswith("data:image/png")
    page.wait_for_selector("#label-fashion [data-testid=label-output-value]")
    shot(page, "digits.png")
    page.wait_for_timeout(1000)
    asked = []
    page.on("request", lambda r: asked.append(r.url.rsplit("/", 1)[-1]))
    page.wait_for_timeout(
        3000
    )  # nobody touches it: only the clock asks, and the drawing is not sent again
    assert asked and set(asked) == {"look"}
    page.locator('#canvas button[aria-label="Clear canvas"]').click()
    until(page, "document.querySelector('#seen-digits').innerText.includes('Draw a digit')")
    assert page.outside == []


def test_an_example_photo_is_answered(page):
    page.get_by_role("tab", name="Digits & fashion").click()
    page.get_by_role("tab", name="Photo").click()
    page.locator('.gallery-item:has(img[src*="five_on_black"])').click()
    assert shown_digit(page) == "5"


def test_what_is_answered_is_what_is_seen(page):
    page.get_by_role("tab", name="Digits & fashion").click()
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(
        EXAMPLES / "digits" / "three_on_paper.jpg"
    )
    until(page, "document.querySelector('#label-digits').innerText.includes('%')")
    page.get_by_role("tab", name="Draw").click()  # at a blank sheet
    until(page, "!document.querySelector('#label-digits').innerText.includes('%')")
    page.get_by_role("tab", name="Photo").click()
    until(page, "document.querySelector('#label-digits').innerText.includes('%')")


def test_a_broken_picture_gets_a_sentence(page, tmp_path):
    page.get_by_role("tab", name="Digits & fashion").click()
    page.get_by_role("tab", name="Photo").click()
    broken = tmp_path / "holiday.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not really" * 20)
    page.locator("#photo input[type=file]").set_input_files(broken)
    page.wait_for_selector("#seen-digits .notice.bad")
    assert "Traceback" not in page.locator("#seen-digits").inner_text()


def phone_photo(path: Path) -> Path:
    """A photo whose ending Linux's browsers do not know."""
    pillow_heif.from_pillow(Image.open(EXAMPLES / "food" / "sushi.png").convert("RGB")).save(path)
    return path


def test_a_photo_of_a_phone_is_answered_whatever_the_browser_knows_of_its_ending(page, tmp_path):
    page.click('button[role=tab]:text-is("Food")')
    photo = phone_photo(tmp_path / "IMG_0001.HEIC")
    page.locator("#food-photo input[type=file]").set_input_files(photo)
    page.locator('img[alt^="The photo, bright where"]').wait_for()
    assert not page.get_by_text("Only image").count()


def test_a_file_that_is_dropped_and_is_no_picture_gets_a_sentence_of_ours(page):
    page.click('button[role=tab]:text-is("Food")')
    drop = """(node) => { const moved = new DataTransfer();
      moved.items.add(new File(['Dear diary'], 'notes.xyz'));
      node.dispatchEvent(new DragEvent('drop',
        {bubbles: true, cancelable: true, dataTransfer: moved})); }"""
    page.locator("#food-photo button:has(> input[type=file])").evaluate(drop)
    page.locator(".notice.bad", has_text="is a text, not a picture").first.wait_for()
    assert not page.get_by_text("Only image").count()


def test_a_recording_of_a_phone_is_answered(page, tmp_path):
    page.click('button[role=tab]:text-is("Audio intent")')
    samples, rate = soundfile.read(EXAMPLES / "audio_intent" / "balance.mp3", dtype="float32")
    (tmp_path / "memo.amr").write_bytes(film("amr", soxr.resample(samples, rate, 8_000)))
    page.locator("#audio-recording button[aria-label='Upload file']").click()
    recording = page.locator("#audio-recording input[type=file]")
    recording.set_input_files(tmp_path / "memo.amr")
    page.locator('img[alt^="Waveform of what was heard"]').wait_for()


def test_a_scene_gets_a_caption_whose_words_show_what_they_attended_to(page):
    page.get_by_role("tab", name="Captioning").click()
    page.set_input_files(
        "#captioning-photo input[type=file]", EXAMPLES / "captioning" / "girl_on_bicycle.png"
    )
    page.wait_for_selector("#seen-captions .attended")
    words = page.locator("#seen-captions .word")
    assert words.count() >= 3 and page.locator("#seen-captions .others li").count() >= 5
    assert not words.nth(2).locator("img").is_visible()
    words.nth(2).hover()
    words.nth(2).locator("img").wait_for(state="visible")
    choose(page, "compare-captions", "Built-in")
    page.wait_for_selector("#seen-compare-captions .attended")
    words.nth(2).hover()
    shot(page, "captioning.png")
    assert not page.outside


def test_a_caption_can_be_stopped_in_its_midst(page):
    page.get_by_role("tab", name="Captioning").click()
    page.set_input_files("#captioning-photo input[type=file]", EXAMPLES / "captioning" / "boat.png")
    page.wait_for_selector("#seen-captions .caption")
    page.locator("#stop-captioning").click()
    page.wait_for_timeout(1000)
    before = page.locator("#seen-captions").inner_html()
    page.wait_for_timeout(1000)
    assert page.locator("#seen-captions").inner_html() == before
    page.locator("#ask-captioning").click()
    page.wait_for_selector("#seen-captions .attended")


def test_a_dish_is_answered_with_where_the_model_looked_and_a_second_opinion(page):
    page.get_by_role("tab", name="Food").click()
    page.locator("#food-photo input[type=file]").set_input_files(EXAMPLES / "food" / "sushi.png")
    page.wait_for_selector("#seen-food .looked img")
    assert page.locator("#label-food").inner_text().count("%") == 5
    choose(page, "compare-food", "Built-in")
    page.wait_for_selector("#seen-compare-food .looked img")
    shot(page, "food.png")


def test_a_sound_file_is_answered_with_what_was_heard_and_a_second_opinion(page):
    page.get_by_role("tab", name="Audio intent").click()
    sound = EXAMPLES / "audio_intent" / "pay_bill.mp3"
    page.locator("#audio-recording button[aria-label='Upload file']").click()
    page.locator("#audio-recording input[type=file]").set_input_files(sound)
    page.wait_for_selector("#seen-audio .sound img")
    assert page.locator("#label-audio").inner_text().count("%") == 5
    buttons = page.locator("#audio-recording button").evaluate_all(
        "all => all.map(b => b.ariaLabel || b.title)"
    )
    assert any("ownload" in name for name in buttons) and not any(
        "hare" in name for name in buttons
    ), buttons
    choose(page, "compare-audio", "Built-in")
    page.wait_for_selector("#seen-compare-audio .sound img")
    shot(page, "audio.png")
    assert not page.outside


def test_a_recording_of_the_microphone_is_answered(browser, app, tmp_path):
    samples, rate = soundfile.read(EXAMPLES / "audio_intent" / "freeze.mp3")
    soundfile.write(tmp_path / "voice.wav", samples, rate)
    spoken = browser.browser_type.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={tmp_path / 'voice.wav'}",
        ],
    )
    try:
        page = spoken.new_context(permissions=["microphone"]).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(app.url)
        page.get_by_role("tab", name="Audio intent").click()
        page.locator("#audio-recording button.record-button").click()
        page.wait_for_timeout(1000 * len(samples) / rate)
        page.locator("#audio-recording button.stop-button").click()
        page.wait_for_selector("#seen-audio .sound img")
        assert page.locator("#label-audio").inner_text().count("%") == 5
        assert "heard as a whole" in page.locator("#seen-audio").inner_text()
    finally:
        spoken.close()


def test_a_fine_tune_survives_a_reload_and_a_killed_app_and_is_used_and_rolled_back(page, app):
    open_train(page)
    choose(page, "set-digits-dataset", "Garments (Fashion-MNIST)")
    page.locator("#set-digits-epochs input").fill("4")
    page.locator("#start").click()
    page.wait_for_selector("#status .state.running")
    until(page, "/step \\d+ of \\d+/.test(document.querySelector('#status').innerText)")

    page.reload()  # in mid-run
    open_train(page)
    page.wait_for_selector("#status .state.running")
    shot(page, "training.png")
    app.end(signal.SIGKILL)
    app.start()
    page.goto(app.url)
    page.wait_for_selector("#strip .strip")
    open_train(page)
    page.wait_for_selector("#status .state.done")
    page.wait_for_selector("#report .confusion")
    assert "forgot" in page.locator("#report").inner_text()
    assert "Done" in page.locator("#history").inner_text()
    shot(page, "report.png")

    # The verdict, and its buttons: mistakes are come to, and it is tried by whoever asks alone.
    until(page, "document.querySelector('#result').innerText.includes('not in use')")
    said = page.locator("#result").inner_text()
    assert "Its start: Built-in (digits)" in said and "In use then: Built-in\n" in said
    assert "This run" in said
    page.locator("#mistakes").click()
    until(page, "document.querySelector('#report .mistakes').getBoundingClientRect().top < 300")
    page.locator("#try_it").click()
    page.wait_for_selector("#canvas", state="visible")
    run = Run.all(app.runs)[0]
    until(
        page,
        f"document.querySelector('#chooser-fashion input').value.includes('{run.id[-4:]}')",
    )

    # It learned from drawings, and the built-in one from photos: it waits for a click.
    page.get_by_role("tab", name="Digits & fashion").click()
    page.wait_for_selector("#banner-fashion .notice.note")
    open_train(page)
    page.locator("#use").click()
    page.wait_for_selector("#canvas", state="visible")
    draw_seven(page)
    until(page, f"document.querySelector('#seen-fashion').innerText.includes('{run.id[-4:]}')")
    page.locator("#back-fashion").click()
    until(page, "document.querySelector('#seen-fashion').innerText.includes('Built-in')")


def test_a_reload_keeps_the_tab_the_form_and_what_is_said_of_it(page):
    open_train(page, "Food", "food")
    until(page, "document.querySelector('#data-card').innerText.includes('8 classes')")
    page.locator("#set-food-epochs input").fill("7")
    page.locator("#set-food-epochs input").blur()
    page.locator("#more-food button").first.click()
    page.locator("#set-food-seed input").fill("5")
    page.locator("#set-food-seed input").blur()
    until(page, "document.querySelector('#more-food').innerText.includes('changed seed')")
    choose(page, "recipe", "Audio intent")
    until(page, "document.querySelector('#data-card').innerText.includes('synthesised')")
    page.reload()
    until(page, "document.querySelector('#recipe input')?.value === 'Audio intent'")
    choose(page, "recipe", "Food")
    until(page, "document.querySelector('#set-food-epochs input')?.value === '7'")
    until(page, "document.querySelector('#more-food').innerText.includes('changed seed')")


def test_a_run_is_stopped_from_the_page_and_can_be_continued(page, app):
    open_train(page)
    page.locator("#set-digits-epochs input").fill("200")
    page.locator("#start").click()
    until(
        page,
        "/step \\d+ of \\d+/.test(document.querySelector('#status').innerText) && "
        "document.querySelector('#status .state.running')",
    )
    page.locator("#stop").click()
    page.wait_for_selector("#status .state.stopped")
    page.wait_for_selector("#go_on")
    run = Run.all(app.runs)[-1]
    assert run.has_checkpoint
    for name, points in zip(("loss", "score"), run_views.curves(run), strict=True):
        assert page.locator(f"#{name}").is_visible() == (len(points) > 0), (
            "no empty plot of a run that has ended"
        )


def test_the_form_shows_the_settings_that_count_whatever_they_hang_on(page):
    open_train(page, "Captioning", "captioning")
    asked = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/run/predict") else None)
    encoder = page.locator("#set-captioning-encoder")
    choose(page, "set-captioning-start", "Encoder and decoder")
    encoder.wait_for(state="visible")
    assert page.locator("#set-captioning-decoder").is_visible()
    page.locator("#more-captioning button").first.click()
    for method, shown in (("scratch", True), ("full", False)):  # a choice that comes and goes
        choose(page, "set-captioning-method", method)
        page.locator("#set-captioning-arch").wait_for(state="visible" if shown else "hidden")
    assert len(asked) == 3, "one call a choice, and none for what it showed"
    page.locator("#set-captioning-holdout input").press_sequentially("00")
    assert len(asked) == 3, "and none a key"
    page.locator("#set-captioning-holdout input").fill("0")
    page.locator("#set-captioning-holdout input").blur()
    page.locator("#set-captioning-best").wait_for(state="hidden")
    choose(page, "set-captioning-start", "Built-in")
    encoder.wait_for(state="hidden")


def test_teachers_are_chosen_from_the_checkpoints_that_there_are(page, app):
    def start_with(teacher: str) -> None:
        open_train(page, "Food", "food")
        page.locator("#more-food button").first.click()
        page.locator("#set-food-teacher input").click()
        page.get_by_role("option", name="Built-in", exact=True).click()
        page.locator("#set-food-teacher input").press_sequentially(teacher)
        page.locator("#set-food-teacher input").press("Enter")
        page.locator("#start").click()

    before = len(Run.all(app.runs))
    start_with("food-gone")
    page.get_by_text("There is no checkpoint 'food-gone'").first.wait_for()
    assert len(Run.all(app.runs)) == before, "it is refused before there is a run"
    # Which keeps what is filled in, and the tab; it is emptied as the page is left.
    page.evaluate("addEventListener('pagehide', () => sessionStorage.clear())")
    page.reload()
    start_with("nobody/nothing")  # only the run itself asks the Hub
    page.wait_for_selector("#status .state.failed")
    assert Run.all(app.runs)[-1].config["teacher"] == "embedded,nobody/nothing"
    assert "nobody/nothing" in page.locator("#status").inner_text()


def test_a_phone_shows_everything_without_scrolling_sideways(browser, app):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(app.url)
    draw_seven(page)
    assert shown_digit(page) == "7"
    assert (
        page.locator("#label-fashion").bounding_box()["y"]
        < page.locator("#tune-digits").bounding_box()["y"]
    ), "the answers come right after the question"
    shot(page, "phone.png")
    for tab in ("Captioning", "Food", "Audio intent", "Digits & fashion", "Train"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(500)
        # A phone zooms out where a page is too wide, and the window's inner width with it.
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390, tab
    page.get_by_role("tab", name="Food").click()
    page.locator("button.gallery-item:visible").last.click()
    until(page, "document.querySelector('#label-food').innerText.includes('%')")
    until(
        page,
        "(([top, bottom]) => top >= 0 && bottom <= innerHeight)((({top, bottom}) => [top, bottom])"
        "(document.querySelector('#label-food').getBoundingClientRect()))",
    )
    page.get_by_role("tab", name="Train").click()
    state = page.locator("#history th", has_text="State").bounding_box()
    assert state["x"] + state["width"] <= 390, "a run's state is seen beside its name"
    shot(page, "phone-train.png")
    context.close()


def test_with_training_off_the_tab_says_how_to_get_it(browser, tmp_path):
    app = App(tmp_path / "runs", "--training", "off")
    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(app.url)
        page.get_by_role("tab", name="Train").click()
        page.get_by_text("start the app without").first.wait_for()
        assert not page.get_by_text("Duplicate this Space").is_visible()
        assert not page.locator("#start").is_visible()
    finally:
        context.close()
        app.end()
