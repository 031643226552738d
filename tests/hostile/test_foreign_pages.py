"""What a page of another origin can do to an app on this machine, tried in a real browser: from
another port of localhost, from a foreign name, and from a foreign name that leads to the app itself
(DNS rebinding); and what the app's own page can.

Skips where Chromium or Playwright is missing.
"""

import http.server
import shutil
import threading
from pathlib import Path

import pytest
from serving import free_port, served_app

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# Each way in which a page's script can ask another origin; what it can read of the answer.
TRY = """async (app) => {
  const run = JSON.stringify({data: ['digits', {epochs: 1}]});
  const json = {'Content-Type': 'application/json'};
  const file = new FormData();
  file.append('files', new File(['a picture'], 'foreign.png'));
  const ways = {
    read: [app + 'config'],
    simple: [app + 'gradio_api/call/start_run', {method: 'POST', body: run}],
    asked: [app + 'gradio_api/call/start_run', {method: 'POST', body: run, headers: json}],
    blind: [app + 'gradio_api/run/start_run', {method: 'POST', body: run, mode: 'no-cors'}],
    upload: [app + 'gradio_api/upload', {method: 'POST', body: file}],
    store: [app + 'gradio_api/upload', {method: 'POST', body: file, mode: 'no-cors'}],
    disguised: [app + 'config', {headers: {'X-Forwarded-Host': location.host}}],
  };
  const told = {};
  for (const [name, way] of Object.entries(ways)) {
    try {
      const answer = await fetch(...way);
      told[name] = answer.type === 'opaque' ? 'nothing' : `${answer.status}`;
    } catch { told[name] = 'nothing'; }
  }
  return told;
}"""
FORM = """(app) => {
  const form = document.createElement('form');
  form.method = 'POST'; form.enctype = 'text/plain'; form.action = app + 'gradio_api/run/start_run';
  const field = document.createElement('input');
  field.name = '{"data":["digits",{"epochs":1}],"x":"'; field.value = '"}';
  form.append(field); document.body.append(form); form.submit();
}"""


class Blank(http.server.BaseHTTPRequestHandler):
    """Somebody else's site, with a page and nothing on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another page</title><body></body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere():
    """The port of another site on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Blank)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    runs = tmp_path_factory.mktemp("foreign") / "runs"
    runs.mkdir()
    with served_app(runs) as blocks:
        yield blocks


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-proxy-server",
                "--host-resolver-rules=MAP evil.example 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    yield page
    context.close()


def stored(app) -> list[Path]:
    return list(Path(app.server_app.uploaded_file_dir).glob("*/foreign.png"))


def started(app) -> list[Path]:
    return [path for path in app.lab.runs.iterdir() if path.is_dir()]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_another_page_reads_nothing_starts_nothing_and_stores_nothing(page, app, elsewhere, host):
    page.goto(f"http://{host}:{elsewhere}/")
    told = page.evaluate(TRY, app.local_url)
    assert set(told.values()) == {"nothing"} and len(told) == 7
    with page.expect_navigation():
        page.evaluate(FORM, app.local_url)
    assert "another page" in page.content()
    assert not started(app) and not stored(app)


def test_a_foreign_name_that_leads_to_the_app_is_not_served(page, app):
    port = app.local_url.strip("/").rpartition(":")[2]
    foreign = f"http://evil.example:{port}/"
    answer = page.goto(foreign)
    assert answer.status == 403 and "localhost" in page.content()
    told = page.evaluate(TRY, foreign)
    assert set(told.values()) <= {"403", "nothing"} and told["read"] == "403"
    assert not started(app) and not stored(app)


def test_a_link_elsewhere_opens_the_page(page, app, elsewhere):
    page.goto(f"http://evil.example:{elsewhere}/")
    with page.expect_navigation():
        page.evaluate("(app) => { location.href = app; }", app.local_url)
    page.get_by_role("tab", name="Train").wait_for()


def test_the_own_page_does_it_all(page, app):
    page.goto(app.local_url)
    page.get_by_role("tab", name="Train").wait_for()
    told = page.evaluate(TRY.replace("start_run", "list_checkpoints"), app.local_url)
    # `call/` and `run/` want JSON to be named as such, and get two values where they want one.
    assert told["read"] == told["asked"] == told["upload"] == told["disguised"] == "200"
    assert stored(app)
