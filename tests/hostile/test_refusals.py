"""What is no request: each is refused in a sentence, and in one line of the log."""

import logging
import os

import httpx
import pytest
from serving import drawing, encoded, is_a_sentence, served_app

import app
from demos import digits, refusals
from training.recipe import SettingsError

JSON = {"Content-Type": "application/json"}
FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    with served_app(tmp_path_factory.mktemp("refusals") / "runs") as blocks:
        yield blocks


@pytest.fixture(scope="module")
def http(blocks):
    with httpx.Client(base_url=f"{blocks.local_url}gradio_api/", timeout=60) as http:
        yield http


@pytest.fixture
def logged(caplog, capfd):
    """The lines of the server's log since the test began, after which it is empty again."""

    def lines() -> list[str]:
        out = capfd.readouterr()
        assert "Traceback" not in out.out + out.err + caplog.text
        records = [each.getMessage() for each in caplog.records if each.name == "transfer_lab"]
        assert not [each for each in caplog.records if each.exc_info]
        caplog.clear()
        return records

    caplog.set_level(logging.INFO)
    return lines


def sentence(answer: httpx.Response) -> str:
    """As `run/` says it, or the event of `call/`."""
    told = answer.json()["error"]
    assert is_a_sentence(told), told
    assert "pydantic" not in told and "http" not in told and "gradio cache" not in told
    return told


def by_event(http: httpx.Client, name: str, **sent) -> str:
    """What `call/` streams at the end."""
    event = http.post(f"call/{name}", **sent).json()["event_id"]
    return http.get(f"call/{name}/{event}").text


BROKEN = [
    '{"data":NaN}',
    '{"data":Infinity}',
    '{"data":5}',
    '{"data":{}}',
    '{"data":null}',
    "{}",
    "[]",
    "null",
    '{"data":',
    "",
    "\xff\xfe",
    '{"data":["a"],"session_hash":5}',
    '{"data":["a"],"fn_index":"x"}',
    '{"data":' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: body[:30])
@pytest.mark.parametrize("path", ["run/list_checkpoints", "call/list_checkpoints", "queue/join"])
def test_what_is_no_request_is_said_to_be_none(http, logged, path, body):
    answer = http.post(path, content=body.encode("latin-1"), headers=JSON)
    if path.startswith("call") and "fn_index" in body:
        pytest.skip("call/ takes none")
    assert answer.status_code in (400, 422), answer.text
    assert "data" in sentence(answer) and len(logged()) <= 1


@pytest.mark.parametrize("data", [[], [None], [1, 2, 3], [[], {}, 5, "x"]], ids=str)
def test_too_few_and_too_many_values_are_counted(http, logged, data):
    told = sentence(http.post("run/classify_digit", json={"data": data}))
    assert f"takes 2 values (picture, checkpoint), and {len(data)} came" in told
    assert logged() == [f"classify_digit refused: {told}"]
    assert told in by_event(http, "classify_digit", json={"data": data})


FILES = {
    "a number": 5,
    "a text": "seven.png",
    "a list": [{"path": "x", **FILE}],
    "nothing": {},
    "no meta": {"path": "x.png"},
    "a wrong meta": {"path": "x.png", "meta": {"_type": "x"}},
    "a meta that is a text": {"path": "x.png", "meta": "gradio.FileData"},
    "a path that is a number": {"path": 5, **FILE},
    "a path that is a list": {"path": ["x"], **FILE},
    "no path": {**FILE},
    "an empty path": {"path": "", **FILE},
    "a null byte": {"path": "a\0b", **FILE},
    "a surrogate": {"path": "\ud800", **FILE},
    "a long path": {"path": "x" * 10_000, **FILE},
    "a path of the server": {"path": "/etc/passwd", **FILE},
    "a folder": {"path": os.getcwd(), **FILE},
    "an address": {"path": "http://127.0.0.1:1/a.png", **FILE},
    "an address in capitals": {"path": " HTTPS://example.org/a.png", **FILE},
    "an address inside": {"path": None, "url": "http://127.0.0.1:1/a.png", **FILE},
    "a size that is a text": {"path": "x", "size": "large", **FILE},
    "damaged base64": {"path": None, "url": "data:image/png;base64,@@@"},
    "an empty base64": {"path": None, "url": "data:,"},
    "deep lists": eval("[" * 60 + "]" * 60),
}


@pytest.mark.parametrize("value", FILES.values(), ids=FILES)
@pytest.mark.parametrize("name", ["classify_digit", "classify_audio", "caption", "caption_words"])
def test_what_is_no_file_is_said_to_be_none(http, logged, name, value):
    import json

    body = json.dumps({"data": [value, None]})  # ASCII, so that a surrogate travels
    told = by_event(http, name, content=body, headers=JSON)
    assert told.startswith("event: error"), told
    said = json.loads(told.partition("data: ")[2].strip())["error"]
    assert is_a_sentence(said), said
    assert "pydantic" not in said and "http" not in said and "cache" not in said
    assert len(logged()) == 1


@pytest.mark.parametrize("value", [5, {}, ["x"], "\ud800", None, True], ids=repr)
@pytest.mark.parametrize("name", ["run_status", "stop_run", "list_checkpoints"])
def test_values_of_a_wrong_type_are_refused(http, logged, name, value):
    import json

    answer = http.post(f"run/{name}", content=json.dumps({"data": [value]}), headers=JSON)
    sentence(answer)
    assert len(logged()) == 1


UNKNOWN = [
    ("POST", "run/nothing", {"data": []}, 404),
    ("POST", "api/nothing", {"data": []}, 404),
    ("POST", "call/nothing", {"data": []}, 404),
    ("POST", "call/v2/nothing", {}, 400),
    ("POST", "call/v2/run_status", {"other": 1}, 400),
    ("POST", "queue/join", {"data": [], "fn_index": 9999, "session_hash": "x"}, 400),
    ("POST", "queue/join", {"data": [], "fn_index": 0, "session_hash": "x" * 1000}, 400),
    ("POST", "queue/join", {"data": []}, 400),
    ("POST", "component_server", {}, 400),
    (
        "POST",
        "component_server",
        {"data": 1, "fn_name": "x", "component_id": 99999, "session_hash": "x"},
        400,
    ),
    ("POST", "upload", {}, 400),
    ("POST", "process_recording", {}, 404),
    ("GET", "file=https://example.org/x", None, 403),
    ("GET", "file=HTTP://127.0.0.1/x", None, 403),
    ("GET", "file/https://example.org/x", None, 403),
    ("GET", "file=/etc/passwd", None, 403),
    ("GET", "file=app.py", None, 403),
    ("GET", "proxy=https://example.org", None, 400),
    ("GET", "runs", None, 404),
    ("GET", "run-history/records", None, 404),
    ("GET", "vibe-code", None, 403),
    ("GET", "../monitoring", None, 403),
    ("GET", "../monitoring/summary", None, 403),
    ("GET", "nothing", None, 404),
]


@pytest.mark.parametrize("method, path, body, status", UNKNOWN, ids=lambda value: str(value)[:40])
def test_what_is_not_there_is_said_so(http, logged, method, path, body, status):
    answer = http.request(method, path, json=body)
    assert answer.status_code == status and answer.json()["error"], answer.text
    assert len(logged()) <= 1


@pytest.mark.parametrize("path", ["queue/data?session_hash=unknown", "call/caption/unknown"])
def test_a_session_that_nobody_knows_ends_its_stream(http, logged, path):
    answer = http.get(path)
    assert answer.status_code == 200 and "404" in answer.text and len(logged()) == 1


def layer(http: httpx.Client, blocks, index: str, name: str = "x") -> httpx.Response:
    canvas = next(each for each in blocks.blocks.values() if each.elem_id == "canvas")
    fields = dict(
        component_id=str(canvas._id),
        session_hash="x",
        fn_name="accept_blobs",
        type="layer",
        index=index,
        id=name,
    )
    return http.post("component_server", data=fields, files={"file": encoded(drawing())})


def test_no_method_of_a_component_is_called_but_those_for_it(http, blocks, logged):
    canvas = next(each for each in blocks.blocks.values() if each.elem_id == "canvas")
    for name in ("__init__", "preprocess", "get_config", "x"):
        body = dict(data=1, fn_name=name, component_id=canvas._id, session_hash="x")
        assert http.post("component_server", json=body).status_code == 404
    assert not logged()


def test_a_canvas_takes_few_layers_and_is_not_kept_for_ever(http, blocks, logged):
    canvas = next(each for each in blocks.blocks.values() if each.elem_id == "canvas")
    for number in range(40):
        assert layer(http, blocks, "0", str(number)).status_code == 200
    assert len(canvas.blob_storage) <= 32
    for index in ("999999999999", "-5", "x"):
        assert layer(http, blocks, index).status_code == 400
    assert layer(http, blocks, "0", "x" * 500).status_code == 400
    logged()


def test_a_fault_of_the_apps_own_is_a_sentence_and_its_traceback_is_in_the_log(
    http, caplog, monkeypatch
):
    def fail(*_):
        raise RuntimeError("a secret of /srv/lab")

    monkeypatch.setattr(app.Path, "exists", fail)
    monkeypatch.setattr(digits, "classify", fail)
    path = http.post("upload", files={"files": ("a.png", encoded(drawing()))}).json()[0]
    answer = http.post("run/classify_digit", json={"data": [{"path": path, **FILE}, None]})
    assert answer.json()["error"] == refusals.OWN_FAULT and is_a_sentence(refusals.OWN_FAULT)
    assert "secret" not in answer.text and "a secret of" in caplog.text


def test_the_projects_own_errors_are_told_as_they_are(http, monkeypatch, logged):
    def fail(*_):
        raise SettingsError("The epochs must be from 1 to 100.")

    monkeypatch.setattr(digits, "classify", fail)
    path = http.post("upload", files={"files": ("a.png", encoded(drawing()))}).json()[0]
    answer = http.post("run/classify_digit", json={"data": [{"path": path, **FILE}, None]})
    assert answer.json()["error"] == "The epochs must be from 1 to 100." and len(logged()) == 1


def test_a_line_of_the_log_is_one_line():
    assert refusals.one_line("a\nb\r\n\x00c \ud800") == "a b \x00c \\ud800"
    assert len(refusals.one_line("x" * 9999)) == refusals.LINE
