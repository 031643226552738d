"""Who may speak to the app: other names, other pages, and programs."""

import httpx
import pytest
from gradio_client import Client
from serving import fresh_app, is_a_sentence, served_app

from demos import server
from demos.serving.origins import Addresses

HOME = "127.0.0.1:7860"


def request(host: str | None = HOME, method: str = "POST", path: str = "/config", **headers: str):
    """An ASGI scope; `_` in a header's name is a dash."""
    given = {"host": host, **headers}
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items() if v is not None]
    return {"type": "http", "method": method, "path": path, "headers": raw}


HERE = Addresses()
OUT = Addresses(others=True)
PROXIED = Addresses(known=("lab.example.org",))


@pytest.mark.parametrize(
    "host",
    [HOME, "localhost:7860", "LOCALHOST", "[::1]:7860", "127.1.2.3", "localhost.:7860", None],
)
def test_on_loopback_its_own_names_are_served(host):
    assert HERE.refusal(request(host)) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "0.0.0.0:7860",
        "192.168.1.5:7860",
        "evil.example@127.0.0.1:x",
        "",
        "[",
    ],
)
def test_on_loopback_no_other_name_is_served_even_for_its_own_page(host):
    for more in ({}, {"origin": f"http://{host}"}, {"sec_fetch_site": "same-origin"}):
        sentence = HERE.refusal(request(host, "GET", "/", sec_fetch_mode="navigate", **more))
        assert is_a_sentence(sentence) and "localhost" in sentence


def test_two_hosts_are_one_too_many():
    asked = request()
    asked["headers"].append((b"host", b"evil.example"))
    assert HERE.refusal(asked) and OUT.refusal(asked)


@pytest.mark.parametrize("where", [OUT, PROXIED])
def test_where_others_reach_it_or_a_proxy_leads_to_it_other_names_are_served(where):
    origin = "https://lab.example.org"
    assert where.refusal(request("lab.example.org", origin=origin)) == ""
    assert where.refusal(request("lab.example.org")) == ""
    assert where.refusal(request("lab.example.org", origin="https://evil.example"))


OWN = [
    {},
    {"origin": f"http://{HOME}"},
    {"origin": f"http://{HOME}", "sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "none"},
    # A proxy in front that names itself, and asks by the name of the machine behind.
    {"origin": "https://lab.example.org", "x_forwarded_host": "lab.example.org, inner"},
    {"origin": "https://lab.example.org", "sec_fetch_site": "same-origin"},
]
FOREIGN = [
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://localhost:7860"},  # the same machine, but another origin
    {"origin": "http://127.0.0.1"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "file://"},
    {"origin": "chrome-extension://abc"},
    {"origin": ""},
    {"origin": f"http://{HOME}", "sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},  # another port of localhost
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},  # a picture of another page
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},  # a form of another page
]


@pytest.mark.parametrize("headers", OWN, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_own_page_and_programs_are_answered(headers, method):
    assert HERE.refusal(request(method=method, **headers)) == ""


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("where", [HERE, OUT])
@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/gradio_api/upload"),
        ("OPTIONS", "/gradio_api/upload"),
        ("GET", "/config"),
        ("GET", "/logout"),
        ("POST", "/"),
    ],
)
def test_another_page_is_refused(headers, where, method, path):
    assert is_a_sentence(where.refusal(request(method=method, path=path, **headers)))


def test_a_link_of_another_page_opens_this_one_and_a_space_is_shown_in_a_frame():
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert HERE.refusal(request(method="GET", path="/", **link)) == ""


@pytest.mark.parametrize(
    "host, share, env, found",
    [
        ("127.0.0.1", False, {}, HERE),
        ("::1", False, {"GRADIO_ROOT_PATH": "/lab"}, HERE),
        ("localhost", False, {"GRADIO_ROOT_PATH": "https://lab.example.org/x"}, PROXIED),
        ("127.0.0.1", True, {}, OUT),
        ("0.0.0.0", False, {}, OUT),
        ("192.168.1.5", False, {}, OUT),
        (
            "0.0.0.0",
            False,
            {"SPACE_ID": "me/lab", "SPACE_HOST": "me-lab.hf.space"},
            Addresses(True, ("me-lab.hf.space",)),
        ),
    ],
)
def test_where_an_app_is_found_follows_from_how_it_is_started(host, share, env, found):
    assert server.addresses(host, share, env) == found


# -- over HTTP -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    with served_app(tmp_path_factory.mktemp("origins") / "runs") as blocks:
        yield blocks


@pytest.fixture(scope="module")
def http(blocks):
    with httpx.Client(base_url=blocks.local_url, timeout=60) as http:
        yield http


ASKED = [
    ("GET", "config", None),
    ("GET", "gradio_api/info", None),
    ("GET", "gradio_api/heartbeat/x", None),
    ("GET", "gradio_api/queue/data?session_hash=x", None),
    ("GET", "logout", None),
    ("POST", "gradio_api/call/start_run", {"data": ["digits", {"epochs": 1}]}),
    ("POST", "gradio_api/call/v2/start_run", {"recipe": "digits", "settings": {}}),
    ("POST", "gradio_api/run/start_run", {"data": ["digits", {"epochs": 1}]}),
    ("POST", "gradio_api/api/start_run", {"data": ["digits", {"epochs": 1}]}),
    ("POST", "gradio_api/queue/join", {"data": [], "fn_index": 0, "session_hash": "x"}),
    ("POST", "gradio_api/cancel", {"session_hash": "x", "fn_index": 1, "event_id": "x"}),
    ("POST", "gradio_api/reset", {"event_id": "x"}),
    ("POST", "gradio_api/component_server", {}),
    ("POST", "gradio_api/upload", {}),
    ("POST", "login", {}),
    ("OPTIONS", "gradio_api/upload", None),
]


@pytest.mark.parametrize("method, path, body", ASKED, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://localhost:9999", "Access-Control-Request-Method": "POST"},
        {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    ],
    ids=str,
)
def test_nothing_is_told_or_done_for_another_page(http, runs, method, path, body, headers):
    answer = http.request(method, path, json=body, headers=headers)
    assert answer.status_code == 403 and is_a_sentence(answer.json()["error"])
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert not list(runs.iterdir())


def test_programs_and_the_own_page_use_the_api(blocks, http):
    client = Client(blocks.local_url, verbose=False)
    assert client.predict("digits", api_name="/list_checkpoints")[0]["active"]
    client.close()
    ask = dict(url="gradio_api/run/list_checkpoints", json={"data": ["digits"]})
    own = blocks.local_url.rstrip("/")
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}):
        assert http.post(**ask, headers=headers).status_code == 200


def test_beyond_loopback_the_page_is_served_by_any_name_and_a_space_by_its_proxys(tmp_path):
    with served_app(tmp_path / "runs", True, "--host", "0.0.0.0") as blocks:
        for headers in (
            {"Host": "lab.example.org", "Origin": "https://lab.example.org"},
            {
                "Host": "10.0.0.1:7860",
                "X-Forwarded-Host": "a.hf.space",
                "Origin": "https://a.hf.space",
            },
        ):
            answer = httpx.post(
                f"{blocks.local_url}gradio_api/run/list_checkpoints",
                json={"data": ["digits"]},
                headers=headers,
            )
            assert answer.status_code == 200, answer.text


def test_the_page_can_be_built_and_asked_without_the_guard(tmp_path):
    with fresh_app(tmp_path / "runs") as blocks:
        assert blocks.get_api_info()["named_endpoints"]
