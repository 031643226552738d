"""The command that a person starts: its options, who may train, what it loads, and whom it
calls."""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from conftest import wait_for
from gradio_client import Client, handle_file
from serving import drawing, encoded, free_port, fresh_app, served_app

import app
import demos
from demos import digits, page
from training.runs.job import ROOT

VARIABLES = (
    "GRADIO_SERVER_NAME",
    "GRADIO_SERVER_PORT",
    "GRADIO_SHARE",
    "RUNS",
    "AUTH",
    "TRAINING",
    "SPACE_ID",
)
PROMISED = {
    "/classify_digit",
    "/classify_fashion",
    "/classify_food",
    "/classify_audio",
    "/caption",
    "/caption_words",
    "/estimate_run",
    "/start_run",
    "/run_status",
    "/stop_run",
    "/list_checkpoints",
    "/swap",
    "/add_dataset",
    "/list_datasets",
    "/check_dataset",
    "/correct_label",
    "/rename_dataset",
    "/rename_run",
    "/remove_dataset",
    "/download_dataset",
    "/download_run",
    "/describe_hub_model",
    "/use_hub_model",
    "/remove_hub_model",
}


@pytest.fixture
def plain(monkeypatch):
    """No variable that the app reads is set."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


# -- options ---------------------------------------------------------------------------------------
DEFAULTS = dict(host="127.0.0.1", port=7860, share=False, runs="runs", auth="", training=None)


def test_without_flags_and_variables_only_this_machine_reaches_it(plain):
    assert vars(app.options([])) == DEFAULTS


@pytest.mark.parametrize(
    "variable, given, name, value",
    [
        ("GRADIO_SERVER_NAME", "0.0.0.0", "host", "0.0.0.0"),
        ("GRADIO_SERVER_PORT", "7999", "port", 7999),
        ("GRADIO_SHARE", "1", "share", True),
        ("GRADIO_SHARE", "True", "share", True),
        ("GRADIO_SHARE", "0", "share", False),
        ("RUNS", "elsewhere", "runs", "elsewhere"),
        ("AUTH", "me:secret", "auth", "me:secret"),
        ("TRAINING", "on", "training", "on"),
        ("TRAINING", "off", "training", "off"),
        *(
            (variable, "", name, DEFAULTS[name])
            for variable, name in zip(
                VARIABLES, ("host", "port", "share", "runs", "auth", "training"), strict=False
            )
        ),
    ],
)
def test_options_come_from_the_environment_where_a_variable_is_not_empty(
    plain, variable, given, name, value
):
    plain.setenv(variable, given)
    assert vars(app.options([])) == {**DEFAULTS, name: value}


def test_a_flag_is_stronger_than_its_variable(plain):
    for variable, value in zip(VARIABLES, ("0.0.0.0", "1", "1", "a", "a:b", "off"), strict=False):
        plain.setenv(variable, value)
    flags = ["--host", "::1", "--port", "2", "--runs", "b", "--auth", "c:d", "--training", "on"]
    assert vars(app.options(flags)) == dict(
        host="::1", port=2, share=True, runs="b", auth="c:d", training="on"
    )


@pytest.mark.parametrize(
    "flags, variables, words",
    [
        (["--port", "many"], {}, "invalid int value: 'many'"),
        (["--port", "99999"], {}, "from 1 to 65535"),
        (["--port", "0"], {}, "from 1 to 65535"),
        (["--training", "maybe"], {}, "invalid choice: 'maybe'"),
        (["--auth", "me"], {}, "USER:PASS, both not empty"),
        (["--auth", ":secret"], {}, "USER:PASS, both not empty"),
        (["--auth", "me:"], {}, "USER:PASS, both not empty"),
        (["--trainig", "on"], {}, "unrecognized arguments"),
        ([], {"GRADIO_SERVER_PORT": "many"}, "invalid int value: 'many'"),
        ([], {"AUTH": "me"}, "USER:PASS"),
        ([], {"TRAINING": "yes"}, "TRAINING is 'yes': it must be 'on' or 'off'"),
    ],
)
def test_values_that_cannot_be_used_end_it_with_a_line_that_says_so(
    plain, capsys, flags, variables, words
):
    for name, value in variables.items():
        plain.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        app.options(flags)
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_help_names_every_option_with_its_variable_and_its_default(plain, capsys):
    with pytest.raises(SystemExit) as ended:
        app.options(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for word in (
        "--host",
        "--port",
        "--share",
        "--runs",
        "--auth",
        "--training",
        "127.0.0.1",
        "7860",
        *(name for name in VARIABLES if name != "SPACE_ID"),
    ):
        assert word in text


@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # gradio's own, with which it tried the port
def test_a_port_that_is_taken_is_said_in_a_line(plain, tmp_path):
    plain.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with socket.socket() as other, fresh_app(tmp_path / "runs"):
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=f"^error: cannot listen on 127.0.0.1:{port}.*--port"):
            app.main(["--port", str(port), "--runs", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


# -- who may train ---------------------------------------------------------------------------------
LOOPBACK, OPEN = (
    ("127.0.0.1", "localhost", "::1", "127.9.9.9"),
    ("0.0.0.0", "::", "192.168.1.5", "example.org", ""),
)
NEVER, ALWAYS, GUARDED = ((0, 0),) * 3, ((1, 1),) * 3, ((1, 1), (0, 1), (0, 1))
# (on a Space, --training): on loopback, on an open host, with --share; each without and with --auth
MAY = {
    (False, None): GUARDED,
    (False, "on"): GUARDED,
    (False, "off"): NEVER,
    (True, None): NEVER,
    (True, "on"): ALWAYS,
    (True, "off"): NEVER,
}


@pytest.mark.parametrize("where", MAY, ids=str)
def test_training_is_on_only_where_nobody_else_can_use_it_unasked(plain, where):
    space, training = where
    if space:
        plain.setenv("SPACE_ID", "me/lab")
    for (hosts, share), expected in zip(
        ((LOOPBACK, False), (OPEN, False), (LOOPBACK, True)), MAY[where], strict=True
    ):
        for host in hosts:
            for auth, may in zip(("", "me:secret"), expected, strict=True):
                chosen = argparse.Namespace(host=host, share=share, auth=auth, training=training)
                on, why = app.may_train(chosen)
                assert on is bool(may), chosen
                assert bool(why) != on and (on or re.match(r"Training is off.*\.$", why)), why


def test_with_a_password_nobody_without_it_is_answered(runs, plain):
    with (
        served_app(runs, True, "--auth", "me:secret") as blocks,
        httpx.Client(base_url=blocks.local_url) as http,
    ):
        ask = dict(url="gradio_api/run/list_checkpoints", json={"data": ["digits"]})
        assert http.post(**ask).status_code == 401
        assert http.post("login", data={"username": "me", "password": "guess"}).status_code == 400
        assert http.post("login", data={"username": "me", "password": "secret"}).status_code == 200
        assert http.post(**ask).json()["data"][0][0]["id"] == "embedded-digits"


# -- the page --------------------------------------------------------------------------------------
@pytest.mark.parametrize("training", [True, False])
def test_the_api_offers_what_is_promised_and_nothing_else(runs, training):
    with fresh_app(runs, training) as blocks:
        assert set(blocks.get_api_info()["named_endpoints"]) == PROMISED


TAB = '''
"""A tab that only answers."""

import gradio as gr

from demos import page, slot_view
from demos.slot_view import SlotView

TITLE = "Echo"
RECIPE = None
SLOTS = {"echo": lambda path: None}


def build(lab):
    slot = lab.slots["echo"]
    view = SlotView(slot)
    gr.Textbox(label="Say something")
    return None, slot_view.part([view], lab.training)
'''


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """The app with one more tab, which has no recipe and no embedded checkpoint."""
    (tmp_path / "echo.py").write_text(TAB)
    monkeypatch.setattr(demos, "__path__", [*demos.__path__, str(tmp_path)])
    monkeypatch.setattr(app, "DEMOS", [*app.DEMOS, "echo"])
    yield
    sys.modules.pop("demos.echo", None)


def test_a_tab_without_a_recipe_is_there_and_the_train_tab_does_not_list_it(runs, echo):
    with fresh_app(runs) as blocks:
        components = blocks.config["components"]
        tabs = [c["props"]["label"] for c in components if c["type"] == "tabitem"]
        recipes = next(c for c in components if c["props"].get("elem_id") == "recipe")
        assert "Echo" in tabs and tabs[-1] == "Train"
        assert [value for _, value in recipes["props"]["choices"]] == app.DEMOS[:-1]
        assert set(blocks.get_api_info()["named_endpoints"]) == PROMISED


def test_a_slot_without_a_model_is_shown_as_such_and_the_others_answer(runs, echo):
    with fresh_app(runs) as blocks:
        slot = blocks.lab.slots["echo"]
        assert page.choices(slot) == [("None yet", "active")]
        assert "There is no model here yet" in page.banner(slot)
        look = next(fn.fn for fn in blocks.fns.values() if fn.api_name == "look")
        assert "There is no model here yet" in str(look("", ""))
        assert page.choices(blocks.lab.slots["food"]) == [
            ("Built-in (in use)", "active"),
            ("Built-in", "embedded-food"),
        ]


def test_every_handler_answers_without_a_page(runs):
    lab = app.open_lab(runs)
    assert digits.classify(lab.slots["digits"], drawing()).checkpoint == "embedded-digits"
    titles = [slot.title for slot in lab.slots.values()]
    assert titles == ["Food", "Digits", "Fashion", "Audio intent", "Captioning"]


# -- processes -------------------------------------------------------------------------------------
GUARD = """
import os, socket
HERE = (None, "", "localhost", "::1", "::", "0.0.0.0", os.uname().nodename)

def guard(owner, name, host_of):
    original = getattr(owner, name)
    def guarded(*args, **more):
        host = host_of(args)
        host = host.decode() if isinstance(host, bytes) else host
        if host not in HERE and not str(host).startswith("127."):
            with open(os.environ["GUARD_LOG"], "a") as log:
                log.write(f"{name} {host}\\n")
            raise OSError("this test lets nobody call outside")
        return original(*args, **more)
    setattr(owner, name, guarded)

for name in ("connect", "connect_ex"):  # not of AF_UNIX sockets, whose address is a path
    guard(socket.socket, name, lambda args: args[1][0] if isinstance(args[1], tuple) else None)
guard(socket.socket, "sendto", lambda args: args[-1][0] if isinstance(args[-1], tuple) else None)
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    guard(socket, name, lambda args: args[0] if args else None)
"""


@pytest.fixture
def guarded(plain, tmp_path):
    """The environment of a process whose calls to the outside fail and are written down; and
    where."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    log = tmp_path / "calls.txt"
    log.touch()
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GRADIO_"))
    }
    return {
        **outside,
        "PYTHONPATH": str(tmp_path / "guard"),
        "GUARD_LOG": str(log),
        "RUNS": str(tmp_path / "runs"),
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
    }, log


@pytest.mark.parametrize(
    "call",
    [
        'socket.create_connection(("example.org", 80))',
        'socket.gethostbyname("example.org")',
        'socket.socket().connect(("192.0.2.1", 80))',
        'socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))',
    ],
)
def test_the_guard_itself_sees_a_call_outside(guarded, call):
    env, log = guarded
    process = subprocess.run(
        [sys.executable, "-c", f"import socket; {call}"], env=env, capture_output=True, text=True
    )
    assert (
        process.returncode == 1 and "lets nobody call outside" in process.stderr and log.read_text()
    )


def test_building_the_page_loads_no_training_library_and_calls_nobody(guarded, tmp_path):
    env, log = guarded
    heavy = (
        "torch",
        "transformers",
        "peft",
        "evaluate",
        "sklearn",
        "matplotlib",
        "datasets",
        "accelerate",
        "scipy",
    )
    code = (
        "import sys, app; from pathlib import Path; app.build(app.open_lab(Path('runs'))); "
        f"print(*(name for name in {heavy} if name in sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0 and process.stdout.split() == [], process.stdout + process.stderr
    assert log.read_text() == "" and not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_command_serves_the_last_choice_calls_nobody_and_ends_when_told(
    guarded, runs, slots, ended, tmp_path
):
    env, log = guarded
    for run in (first := ended(seed=1), second := ended(seed=2)):
        slots["digits"].swap(run.id)
    port, output = free_port(), tmp_path / "output.txt"
    with open(output, "w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env={**env, "GRADIO_SERVER_PORT": str(port), "RUNS": str(runs)},
        )
    try:
        wait_for(
            lambda: "Runs are kept in" in output.read_text() or process.poll() is not None, 240
        )
        text = output.read_text()
        assert (
            f"Transfer Lab is at http://127.0.0.1:{port}/" in text
            and f"Runs are kept in {runs}." in text
        )
        assert "Transfer Lab" in httpx.get(f"http://127.0.0.1:{port}", timeout=60).text
        (tmp_path / "seven.png").write_bytes(encoded(drawing()))
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        _, told = client.predict(handle_file(tmp_path / "seven.png"), api_name="/classify_digit")
        listed = client.predict("digits", api_name="/list_checkpoints")
        client.close()
        assert told["checkpoint"] == second.id and [c["id"] for c in listed if c["active"]] == [
            second.id
        ]
        assert {c["id"] for c in listed} == {"embedded-digits", first.id, second.id}
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code in (0, -signal.SIGTERM) and "Traceback" not in output.read_text()
    assert log.read_text() == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}")
