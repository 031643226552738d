"""The door: what it tells before sign-in, and what guessing costs."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gradio_client import Client
from serving import is_a_sentence, served_app

from demos.serving import sign_in
from demos.serving.sign_in import Attempts

RIGHT = {"username": "me", "password": "secret"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_pause_grows_and_ends_and_is_forgotten():
    clock = Clock()
    attempts = Attempts(clock)
    pauses = []
    for _ in range(60):
        pauses.append(attempts.pause("me"))
        clock.now += pauses[-1]
        assert attempts.pause("me") == 0
        attempts.count("me")
    free = sign_in.FREE
    assert pauses[:free] == [0] * free and pauses[free : free + 4] == [1, 2, 4, 8]
    assert pauses[-1] == sign_in.LONGEST and attempts.pause("another") == 0
    attempts.clear("me")
    assert attempts.pause("me") == 0
    for _ in range(2000):
        attempts.count("me")
    clock.now += sign_in.FORGOTTEN
    assert attempts.pause("me") == 0


def test_random_names_do_not_fill_the_memory():
    attempts = Attempts()
    for number in range(sign_in.REMEMBERED + 100):
        attempts.count(str(number))
    assert len(attempts._tried) == sign_in.REMEMBERED


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    runs = tmp_path_factory.mktemp("door") / "runs"
    with served_app(runs, True, "--auth", "me:secret") as blocks:
        yield blocks


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(served, clock):
    """As if nobody had tried yet."""
    served.server_app.tokens.clear()
    served.server_app.middleware_stack.app.attempts = Attempts(clock)
    return served


@pytest.fixture
def http(door):
    with httpx.Client(base_url=door.local_url, timeout=60) as http:
        yield http


HIDDEN = [
    "config",
    "config/",
    "gradio_api/info",
    "gradio_api/openapi.json",
    "gradio_api/app_id",
    "gradio_api/token",
    "gradio_api/user",
    "gradio_api/login_check",
    "gradio_api/heartbeat/x",
    "gradio_api/queue/status",
    "gradio_api/queue/data?session_hash=x",
    "gradio_api/theme.css",
    "gradio_api/runs",
    "gradio_api/file=app.py",
    "gradio_api/stream/a/b/1/playlist.m3u8",
    "gradio_api/mcp/sse",
    "theme.css",
    "static/fonts",
    "manifest.json",
    "monitoring/summary",
    "?view=api",
    "",
]


@pytest.mark.parametrize("path", HIDDEN)
def test_nothing_is_told_before_sign_in(door, http, path):
    answer = http.get(path)
    assert answer.status_code == (200 if path in ("", "?view=api") else 401)
    for word in ("classify", "start_run", "components", "dependencies", "Transfer"):
        assert word not in answer.text
    assert http.post("gradio_api/cancel", json={}).status_code == 401
    assert http.post("gradio_api/upload").status_code == 401


def test_two_hundred_guesses_at_once_are_few_and_the_right_password_waits_too(door, http, clock):
    def guess(number: int) -> int:
        form = {"username": "me", "password": str(number)}
        return httpx.post(f"{door.local_url}login", data=form, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(guess, range(200)))
    assert answers.count(400) == sign_in.FREE and answers.count(429) == 200 - sign_in.FREE
    early = http.post("login", data=RIGHT)
    assert early.status_code == 429 and is_a_sentence(early.json()["detail"])
    clock.now += int(early.headers["Retry-After"])
    assert http.post("login", data=RIGHT).status_code == 200
    assert "classify" in http.get("config").text
    # Whoever is in need not wait again.
    assert http.post("login", data={"username": "me", "password": "x"}).status_code == 400


def test_other_names_do_not_help_the_same_machine(http):
    for number in range(sign_in.FREE):
        http.post("login", data={"username": f"user{number}", "password": "x"})
    answer = http.post("login", data={"username": "another", "password": "x"})
    assert answer.status_code == 429


@pytest.mark.parametrize(
    "sent",
    [
        dict(files={"username": (None, "me"), "password": (None, "secret")}),  # as the page does
        dict(data=RIGHT),  # as gradio_client does
    ],
)
def test_both_forms_of_a_form_sign_in(http, sent):
    assert http.post("login", **sent).status_code == 200
    assert http.get("config").status_code == 200


@pytest.mark.parametrize(
    "sent, status",
    [
        (dict(content=b"x" * 40_000), 413),
        (dict(content=b"\xff\xfe"), 422),
        (dict(content=b"x", headers={"Content-Type": "multipart/form-data"}), 400),
        (dict(json={"username": "me"}), 422),
        (dict(files={"username": ("a.txt", b"me"), "password": (None, "x")}), 422),
    ],
)
def test_a_form_that_is_none_is_said_to_be_so(http, sent, status):
    answer = http.post("login", **sent)
    assert answer.status_code == status and is_a_sentence(answer.json()["error"]), answer.text


def test_the_client_signs_in_and_says_when_it_did_not(door):
    client = Client(door.local_url, auth=("me", "secret"), verbose=False)
    assert client.predict("digits", api_name="/list_checkpoints")
    client.close()
    with pytest.raises(Exception, match="credentials"):
        Client(door.local_url, verbose=False)
