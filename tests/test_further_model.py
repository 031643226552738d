"""A further model edits no shared file: what tests/further holds, a package, a demo and one word
more, goes from its data to its tab. It has neither pictures nor sounds nor words, no classes and
no checkpoint to begin with.

Each app and each command here is a process of its own, in a copy of the project.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import wait_for
from gradio_client import Client
from serving import free_port

from demos.serving.model_slot import EMPTY
from training.runs.job import ROOT
from training.runs.run import ENDED, Run

FURTHER = Path(__file__).parent / "further"
SHARED = ("app.py", "demos", "training")
LARGE = ("demos/checkpoints", "training/samples")
HANG = 240  # seconds: a process imports much, and jobs are niced
FLAT = (63, 2, 3, 40)


# -- the copy --------------------------------------------------------------------------------------
def copy_project(folder: Path, word: str) -> Path:
    """The project, without what is large, and with one word more in the list of its demos."""
    for name in SHARED:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder)
        else:
            kept_out = [Path(large).name for large in LARGE if large.startswith(name)]
            ignored = shutil.ignore_patterns("__pycache__", *kept_out)
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    app = folder / "app.py"
    text = app.read_text("utf-8")
    app.write_text(re.sub(r"^(DEMOS = \[.*)\]$", rf'\1, "{word}"]', text, flags=re.M), "utf-8")
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project with the further model in it."""
    folder = copy_project(tmp_path_factory.mktemp("further"), "rents")
    for large in LARGE:
        (folder / large).symlink_to(ROOT / large)
    shutil.copytree(FURTHER, folder, dirs_exist_ok=True)
    return folder


def read_files(folder: Path) -> dict[str, bytes]:
    """Those that are no link, by their path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in SHARED
        for path in [folder / name, *folder.glob(f"{name}/**/*")]
        if path.is_file()
        and "__pycache__" not in path.parts
        and not str(path.relative_to(folder)).startswith(LARGE)
    }


def test_it_is_one_package_one_file_and_one_word(copy):
    shared = read_files(ROOT)
    own = read_files(FURTHER)
    found = read_files(copy)
    assert {path for path in found if path not in shared} == set(own)
    folders = {str(Path(path).parent) for path in own}
    assert folders == {"training/recipes/rents", "demos"}
    assert [path for path in own if path.startswith("demos")] == ["demos/rents.py"]
    assert [path for path in shared if shared[path] != found[path]] == ["app.py"]
    before = shared["app.py"].decode().splitlines()
    after = found["app.py"].decode().splitlines()
    edits = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(edits) == 1 and edits[0][0].startswith("DEMOS = [")
    assert edits[0][1] == edits[0][0].replace("]", ', "rents"]')


# -- the command -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def terminal_runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("terminal") / "runs"


@pytest.fixture(scope="module")
def command(copy, terminal_runs):
    """`python -m training` with these words; its output, if its exit code is 0."""

    def type_in(*words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "training", *words],
            cwd=copy,
            env={**os.environ, "RUNS": str(terminal_runs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    return type_in


def test_the_command_lists_it_and_its_settings_are_flags(command):
    assert re.search(r"^    rents +fine-tune the model of the Rents tab$", command(), re.M)
    told = command("rents", "--help")
    for flag in ("--start", "--width", "--epochs", "--learning-rate", "--holdout", "--continue"):
        assert f"\n  {flag} " in told
    for flag in ("--source", "--dataset", "--method", "--label-smoothing"):
        assert flag not in told, "of other recipes"


def test_the_command_trains_it_and_goes_on(command, terminal_runs):
    told = command("rents", "--epochs", "3")
    (run,) = Run.all(terminal_runs)
    assert run.state == "done" and run.slot == "rents"
    assert re.search(r"^R² on +before +after$", told, re.M)
    assert re.search(r"^flats +- +0\.\d{4} \(0\.\d{3} to 0\.\d{3}, n 274\)$", told, re.M)
    assert "epoch 3/3: 0." in told and "R² on 77 held out" in told
    assert re.findall(r"\S*%\S*", told) == ["95%"], "of the interval; R² is no share of examples"
    held = {path.name for path in run.checkpoint.iterdir()}
    assert held == {"config.json", "model.safetensors", "README.md"}
    card = (run.checkpoint / "README.md").read_text("utf-8")
    assert "| R² on | before | after |" in card and "| Command | `python -m training rents" in card
    assert "| Flats | train 849, held out 77, test 274 |" in card
    assert "Chance: 0.000; the intervals are 95% (bootstrap)." in card

    told = command("rents", "--continue", run.id)
    second = Run.all(terminal_runs)[-1]
    assert second.settings["continues"] == run.id and second.config["epochs"] == 6
    assert f"continuing at step {run.status['step']}" in told and "epoch 4/6" in told
    assert second.metrics["after"]["r2"] > run.metrics["after"]["r2"]


# -- the app ---------------------------------------------------------------------------------------
@dataclass
class Site:
    """An app in a process of its own, which a program and a browser ask."""

    url: str
    runs: Path
    client: Client

    def predict(self, *data: Any, api_name: str) -> Any:
        return self.client.predict(*data, api_name=api_name)

    def post(self, name: str, **body: Any) -> list[Any]:
        """What the page itself asks."""
        answer = httpx.post(f"{self.url}/gradio_api/run/{name}", json=body, timeout=60)
        return answer.raise_for_status().json()["data"]

    def list_runs(self) -> str:
        """The history as the page draws it."""
        asked = httpx.get(f"{self.url}/config").json()["dependencies"]
        draws = next(each["id"] for each in asked if each["api_name"] == "draw_list")
        return str(self.post("predict", fn_index=draws, data=["", "", "", "", ""]))

    def look(self, run_id: str) -> str:
        """All that the page shows by itself while this run is looked at."""
        return str(self.post("look", data=[run_id, ""]))

    def train(self, **settings: Any) -> Run:
        """A run that was started by the API, once it has ended and landed."""
        run_id = self.predict("rents", settings, api_name="/start_run")
        run = Run.find(self.runs, run_id)
        wait_for(lambda: run.swap or run.state in ("failed", "lost"), HANG)
        return run


@contextlib.contextmanager
def serve(copy: Path, folder: Path) -> Iterator[Site]:
    """`python app.py` in the copy, until it is told to end."""
    runs = folder / "runs"
    output = folder / "output.txt"
    port = free_port()
    told = {
        "GRADIO_SERVER_PORT": str(port),
        "RUNS": str(runs),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "PYTHONUNBUFFERED": "1",
    }
    with open(output, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=copy, stdout=file, stderr=file, env=os.environ | told
        )
    try:
        wait_for(lambda: "Runs are kept in" in output.read_text() or process.poll(), HANG)
        assert process.poll() is None, output.read_text()
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        try:
            yield Site(f"http://127.0.0.1:{port}", runs, client)
        finally:
            client.close()
        assert process.poll() is None and "could not look after" not in output.read_text()
    finally:
        for run in Run.all(runs):
            if run.state not in ENDED:
                run.request_stop()
        wait_for(lambda: all(run.state in ENDED for run in Run.all(runs)), HANG)
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def site(copy, tmp_path_factory):
    with serve(copy, tmp_path_factory.mktemp("site")) as served:
        yield served


def test_its_empty_slot_is_listed_and_says_how_to_fill_it(site):
    assert site.predict("rents", api_name="/list_checkpoints") == []
    with pytest.raises(Exception, match=re.escape(EMPTY)):
        site.predict(*FLAT, None, api_name="/predict_rent")
    assert EMPTY in site.look("")


def test_its_form_shows_the_settings_that_count(site):
    page = httpx.get(f"{site.url}/config").json()
    components = {each["id"]: each["props"] for each in page["components"]}
    fields = {
        props["elem_id"].removeprefix("set-rents-"): number
        for number, props in components.items()
        if str(props.get("elem_id")).startswith("set-rents-")
    }
    assert {"start", "width", "epochs", "swap", "holdout", "limit", "seed"} < set(fields)
    assert components[fields["width"]]["visible"]
    assert components[fields["start"]]["choices"] == [["Random weights", "scratch"]]
    (listens,) = (
        each
        for each in page["dependencies"]
        if [fields["start"], "change"] in each["targets"] and each["outputs"]
    )

    def choose(start: str) -> dict[str, bool]:
        chosen = {fields["start"]: start}
        values = [chosen.get(each, components[each].get("value")) for each in listens["inputs"]]
        shown = site.post("predict", fn_index=listens["id"], data=values)
        updates = dict(zip(listens["outputs"], shown, strict=True))
        return {name: updates[at]["visible"] for name, at in fields.items() if at in updates}

    assert choose("scratch") == {"width": True, "early_stopping": True}
    assert choose("rents-20260101-000000-abcd") == {"width": False, "early_stopping": True}


@pytest.fixture(scope="module")
def first(site) -> Run:
    return site.train(epochs=1, name="a first try")


@pytest.fixture(scope="module")
def better(site, first) -> Run:
    return site.train(start=first.id, epochs=5)


def test_its_first_run_lands_in_the_empty_slot_and_answers(site, first):
    status = site.predict(first.id, api_name="/run_status")
    assert status["state"] == "done" and status["step"] == status["total"] > 0
    assert status["metrics"]["before"] is None and "active" not in status["metrics"]
    assert status["swap"]["outcome"] == "swapped"
    assert status["swap"]["why"] == "there was no model here yet"
    (listed,) = site.predict("rents", api_name="/list_checkpoints")
    assert listed["id"] == first.id and listed["active"] and "a first try" in listed["name"]
    rent, told = site.predict(*FLAT, None, api_name="/predict_rent")
    assert 100 < rent < 3000 and told["checkpoint"] == first.id


def test_a_better_run_takes_its_place_by_the_recipes_own_metric(site, first, better):
    found = better.metrics
    reached = first.metrics["after"]["r2"]
    assert found["before"]["r2"] == reached, "it started from there"
    assert found["active"] == {"id": first.id, "same_labels": True, "score": reached}
    assert found["after"]["r2"] > reached
    held_out = "274 held-out flats of 1,200 drawn flats"
    assert better.swap["outcome"] == "swapped"
    assert better.swap["why"] == (
        f"better: {found['after']['r2']:.3f} against {reached:.3f} on {held_out}"
    )
    _, told = site.predict(*FLAT, None, api_name="/predict_rent")
    assert told["checkpoint"] == better.id


def test_its_report_is_drawn_with_its_metric_and_its_sections(site, first, better):
    shown = site.look(better.id)
    gain = better.metrics["after"]["r2"] - better.metrics["before"]["r2"]
    assert "R² on" in shown and f"R² rose by {gain:.3f}." in shown
    assert f"<b>{better.metrics['after']['r2']:.3f}</b>" in shown
    assert "Chance: 0.00." in shown and "The mean error is" in shown
    assert "<h4>Error by size</h4>" in shown and "<td>60 to 99 m²</td>" in shown
    assert "<h4>Largest errors</h4>" in shown and "€</b> predicted" in shown
    listed = site.list_runs()
    assert first.id in listed and "In use" in listed and "Was in use" in listed


def test_its_checkpoints_are_swapped_by_hand(site, first, better):
    told = site.predict("rents", first.id, api_name="/swap")
    assert told["active"] == first.id and "error" not in told
    rents = {}
    for checkpoint in (None, better.id, first.id):
        rent, by = site.predict(*FLAT, checkpoint, api_name="/predict_rent")
        assert by["checkpoint"] == (checkpoint or first.id)
        rents[checkpoint] = rent
    assert rents[None] == rents[first.id] != rents[better.id]
    told = site.predict("rents", "embedded-food", api_name="/swap")
    assert told["active"] == first.id and "belongs in food" in told["error"]


# -- still less ------------------------------------------------------------------------------------
WORDS = '''
"""A tab with nothing to train and no checkpoint at all: it counts words."""

import gradio as gr

from demos.clock import Part

TITLE = "Words"
RECIPE = None
SLOTS = {}


def build(lab):
    count = gr.Number(label="Words")
    text = gr.Textbox(label="Text")
    text.submit(lambda text: len(text.split()), text, count, api_name="count_words")
    return None, Part(lambda moment: "", lambda moment: [], [])
'''


def test_a_tab_that_trains_nothing_is_served_in_a_project_without_any_checkpoint(tmp_path):
    (tmp_path / "project").mkdir()
    copy = copy_project(tmp_path / "project", "words")
    (copy / "demos" / "words.py").write_text(WORDS)
    with serve(copy, tmp_path) as site:
        assert site.predict("two words", api_name="/count_words") == 2
        assert site.predict("food", api_name="/list_checkpoints") == []
        assert site.look("").count(EMPTY) == 5
