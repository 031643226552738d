"""Training as a program does it, through the page's API: start, watch, stop, swap; and what is
refused."""

import contextlib
import errno

import gradio as gr
import pytest
from conftest import wait_for
from gradio_client import Client, handle_file
from serving import drawing, encoded, ended_run, fresh_app, is_a_sentence, served_app
from starlette.testclient import TestClient

from demos import page
from demos.actions import Actions
from demos.serving.lab import Lab
from training.runs import job
from training.runs.run import ENDED, Run

TINY = dict(source="sample", start="scratch", arch="mlp", limit=128, epochs=1)
EXAMPLES = job.ROOT / "demos" / "examples"
HANG = 240  # seconds: a job imports much, and is niced


@pytest.fixture(scope="module")
def lab_runs(tmp_path_factory):
    """A folder of runs in which none is left running."""
    path = tmp_path_factory.mktemp("endpoints") / "runs"
    path.mkdir()
    yield path
    for run in Run.all(path):
        if run.state not in ENDED:
            job.stop(run)
    wait_for(lambda: all(run.state in ENDED for run in Run.all(path)), HANG)
    for child in job._children:
        child.wait(30)
    job._children.clear()


@pytest.fixture(scope="module")
def site(lab_runs):
    with served_app(lab_runs) as app:
        yield app


@pytest.fixture(scope="module")
def client(site):
    client = Client(site.local_url, verbose=False)
    yield client
    client.close()


def refusal(client: Client, *data, api_name: str) -> str:
    with pytest.raises(Exception) as error:
        client.predict(*data, api_name=api_name)
    return str(error.value)


# -- disks -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "number, words", [(errno.ENOSPC, "The disk is full"), (errno.EROFS, "read-only")]
)
def test_a_run_that_cannot_be_written_is_refused_in_a_sentence_without_a_path(
    runs, monkeypatch, number, words
):
    def refuse(path, value):
        raise OSError(number, "what the system says", str(path))

    monkeypatch.setattr("training.runs.run.write_json", refuse)
    with pytest.raises(gr.Error) as error:
        Actions(Lab(runs, {})).start("digits", TINY)
    assert words in str(error.value) and is_a_sentence(str(error.value).strip("'"))
    assert Run.all(runs) == []


# -- end to end ------------------------------------------------------------------------------------
def test_a_run_goes_from_its_start_to_an_answer_and_back(lab_runs, client, tmp_path):
    (tmp_path / "seven.png").write_bytes(encoded(drawing()))

    def active() -> list[str]:
        return [
            c["id"] for c in client.predict("digits", api_name="/list_checkpoints") if c["active"]
        ]

    run_id = client.predict(
        "digits", {**TINY, "swap": "always", "name": "end to end"}, api_name="/start_run"
    )
    assert Run.find(lab_runs, run_id).config["name"] == "end to end" and active() == [
        "embedded-digits"
    ]
    wait_for(
        lambda: Run.find(lab_runs, run_id).swap, HANG
    )  # watched on disk: asking without pause slows the job
    status = client.predict(run_id, api_name="/run_status")
    assert (
        status["state"] == "done" and status["step"] == status["total"] > 0 and not status["reason"]
    )
    assert 0 <= status["metrics"]["after"]["accuracy"] <= 1
    assert (
        "active" not in status["metrics"]
    )  # with `always`, no score decides: what answers now is not scored
    assert status["swap"]["outcome"] == "swapped" and active() == [run_id]
    _, told = client.predict(handle_file(tmp_path / "seven.png"), api_name="/classify_digit")
    assert told["checkpoint"] == run_id
    listed = client.predict("digits", api_name="/list_checkpoints")
    assert [c["id"] for c in listed] == ["embedded-digits", run_id] and listed[1][
        "name"
    ].startswith("end to end")
    back = client.predict("digits", "embedded-digits", api_name="/swap")
    assert back == {"active": "embedded-digits", "name": "embedded"} and active() == [
        "embedded-digits"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, slot, question, example, settings",
    [
        ("captioning", "captions", "/caption", "captioning/boat.png", dict(limit=16, batch_size=8)),
        ("food", "food", "/classify_food", "food/sushi.png", dict(limit=64, method="frozen")),
        (
            "audio_intent",
            "audio",
            "/classify_audio",
            "audio_intent/balance.mp3",
            dict(limit=28, method="frozen"),
        ),
        (
            "digits",
            "fashion",
            "/classify_fashion",
            "digits/sneaker.png",
            dict(limit=128, dataset="fashion_mnist"),
        ),
    ],
)
def test_every_recipe_trains_from_here_and_what_it_made_answers(
    lab_runs, client, name, slot, question, example, settings
):
    run_id = client.predict(
        name,
        {**settings, "source": "sample", "start": "embedded", "epochs": 1, "swap": "always"},
        api_name="/start_run",
    )
    wait_for(
        lambda: Run.find(lab_runs, run_id).swap or Run.find(lab_runs, run_id).state == "failed",
        HANG,
    )
    status = client.predict(run_id, api_name="/run_status")
    assert status["state"] == "done" and status["swap"]["outcome"] == "swapped", status
    for answering in (run_id, f"embedded-{slot}", run_id):
        assert client.predict(slot, answering, api_name="/swap")["active"] == answering
        _, told = client.predict(handle_file(EXAMPLES / example), api_name=question)
        assert told["checkpoint"] == answering


@pytest.mark.slow
def test_running_and_queued_runs_are_stopped_and_cannot_be_deleted(lab_runs, site, client):
    actions = Actions(site.lab)
    long = {**TINY, "epochs": 500}
    first, second = (
        client.predict("digits", {**long, "seed": seed}, api_name="/start_run") for seed in (1, 2)
    )
    wait_for(lambda: Run.find(lab_runs, first).status.get("step"), HANG)
    assert client.predict(first, api_name="/run_status")["state"] == "running"
    assert client.predict(second, api_name="/run_status")["state"] == "queued"
    for run_id, state in ((first, "running"), (second, "queued")):
        with pytest.raises(gr.Error, match=f"{run_id} is {state}: stop it before you delete it"):
            actions.delete(run_id)
    assert client.predict(second, api_name="/stop_run") == {"state": "stopped"}
    assert client.predict(first, api_name="/stop_run")["state"] in ("stopping", "stopped")
    wait_for(lambda: Run.find(lab_runs, first).state in ENDED, HANG)
    status = client.predict(first, api_name="/run_status")
    assert status["state"] == "stopped"
    assert 0 < status["step"] < status["total"] and "Stopped at step" in status["reason"]
    for run_id in (second, first):
        actions.delete(run_id)
        assert "There is no run" in refusal(client, run_id, api_name="/run_status")
        assert not (lab_runs / run_id).exists()


# -- refusals --------------------------------------------------------------------------------------
BAD = [
    ("digits", {"epochs": "many"}, "epochs is 'many': it must be a whole number."),
    ("digits", {"epochs": 0}, "epochs is 0: it must be from 1 to 500."),
    ("digits", {"learning_rate": None}, "learning_rate is None: it must be a number, or "),
    ("digits", {"speed": 3}, "There is no setting named 'speed'."),
    (
        "digits",
        {"dataset": "imagenet"},
        "dataset must be one of mnist, fashion_mnist; or with source own, the name of a data set "
        "that you added.",
    ),
    ("digits", {"start": "scratch", "method": "frozen"}, "method 'frozen' needs a trained start"),
    (
        "digits",
        {"folder": "/etc"},
        "folder names a path of this machine, which only the command line may do.",
    ),
    ("digits", {"source": "folder"}, "source 'folder'"),
    ("digits", {"source": "folder", "folder": "/etc"}, "which only the command line may do."),
    ("digits", {"continue": "../x"}, "There is no run '../x' to continue."),
    ("digits", "epochs", "The settings must be a JSON object"),
    ("digits", None, "The settings must be a JSON object"),
    (
        "telepathy",
        {},
        "There is no recipe named 'telepathy'. The recipes are: audio_intent, captioning, digits",
    ),
    ("../digits", {}, "There is no recipe named '../digits'."),
]


class Api:
    """The endpoints in process; gives data, or the sentence of the refusal."""

    def __init__(self, app):
        self.http = TestClient(gr.routes.App.create_app(app))

    def __call__(self, endpoint: str, *data):
        answer = self.http.post(f"/gradio_api/run/{endpoint}", json={"data": list(data)}).json()
        return answer["data"][0] if "data" in answer else answer["error"]


@pytest.fixture(scope="module")
def quiet_runs(tmp_path_factory):
    """A folder of runs of which none is ever started: no landing thread looks at it."""
    path = tmp_path_factory.mktemp("quiet") / "runs"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def on_and_off(quiet_runs):
    with contextlib.ExitStack() as both:
        yield {
            on: Api(both.enter_context(fresh_app(quiet_runs, training=on))) for on in (True, False)
        }


@pytest.mark.parametrize("recipe, settings, words", BAD)
def test_settings_that_cannot_be_used_are_refused_in_a_sentence_and_make_no_run(
    quiet_runs, on_and_off, recipe, settings, words
):
    before = list(quiet_runs.iterdir())
    sentence = on_and_off[True]("start_run", recipe, settings)
    assert words in sentence and is_a_sentence(sentence)
    assert [p for p in quiet_runs.iterdir() if p.name != ".lock"] == [
        p for p in before if p.name != ".lock"
    ]


@pytest.mark.parametrize(
    "endpoint, data, words",
    [
        ("run_status", ["digits-1-gone"], "There is no run 'digits-1-gone'."),
        ("run_status", ["../runs"], "There is no run '../runs'."),
        ("run_status", [7], "There is no run 7."),
        ("stop_run", ["/etc"], "There is no run '/etc'."),
        (
            "list_checkpoints",
            ["cars"],
            "There is no slot 'cars'. The slots are: food, digits, fashion, audio, captions.",
        ),
        ("list_checkpoints", [["digits"]], "There is no slot ['digits']."),
        ("swap", ["cars", "x"], "There is no slot 'cars'."),
    ],
)
def test_names_of_nothing_are_refused_in_a_sentence(on_and_off, endpoint, data, words):
    sentence = on_and_off[True](endpoint, *data)
    assert words in sentence and is_a_sentence(sentence)


@pytest.mark.parametrize(
    "name", ["digits-1-gone", "../x", "/etc", None, 7, ["x"], "embedded-fashion"]
)
def test_a_swap_that_is_refused_says_why_and_what_still_answers(on_and_off, name):
    told = on_and_off[True]("swap", "digits", name)
    assert told["active"] == "embedded-digits" and is_a_sentence(told["error"])


def test_where_training_is_off_nothing_changes_and_looking_still_works(quiet_runs, on_and_off):
    run, off = ended_run(quiet_runs, seed=1), on_and_off[False]
    for endpoint, data in (
        ("start_run", ["digits", TINY]),
        ("start_run", ["digits", {"continue": run.id}]),
        ("stop_run", [run.id]),
        ("swap", ["digits", run.id]),
    ):
        assert off(endpoint, *data) == page.OFF
    assert off("run_status", run.id)["state"] == "done"
    assert run.id in [c["id"] for c in off("list_checkpoints", "digits")]
    assert [c["id"] for c in off("list_checkpoints", "digits") if c["active"]] == [
        "embedded-digits"
    ]
    assert not run.stop_requested and [r.id for r in Run.all(quiet_runs)] == [run.id]
    run.delete()


# -- what the buttons do ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "act",
    [
        lambda a, r: a.start("digits", TINY),
        lambda a, r: a.start("digits", {"continue": r}),
        lambda a, r: a.stop(r),
        lambda a, r: a.delete(r),
        lambda a, r: a.swap("digits", r),
        lambda a, r: a.use(r),
        lambda a, r: a.roll_back("digits"),
    ],
    ids=["start", "continue", "stop", "delete", "swap", "use", "roll back"],
)
def test_where_training_is_off_no_button_changes_anything(runs, slots, ended, act):
    run = ended()
    with pytest.raises(gr.Error) as refused:
        act(Actions(Lab(runs, slots, training=False)), run.id)
    assert (
        refused.value.message == page.OFF
        and run.has_checkpoint
        and slots["digits"].active_id == "embedded-digits"
    )


def test_a_run_that_answers_is_not_deleted_until_another_does(runs, slots, ended):
    run, actions = ended(), Actions(Lab(runs, slots))
    assert actions.use(run.id) == "digits"
    with pytest.raises(gr.Error, match="Digits uses this model now. Roll back, then delete it."):
        actions.delete(run.id)
    actions.roll_back("digits")
    actions.delete(run.id)
    assert not run.path.exists()
    with pytest.raises(gr.Error, match="nothing to roll back to"):
        actions.roll_back("digits")


def test_a_choice_that_no_slot_has_loaded_yet_is_not_deleted_either(runs, slots, ended):
    run, actions = ended(), Actions(Lab(runs, slots))
    (run.path.parent / "active.json").write_text(f'{{"digits": ["embedded-digits", "{run.id}"]}}')
    with pytest.raises(gr.Error, match="Digits uses this model now"):
        actions.delete(run.id)


def test_a_damaged_run_is_not_used_and_its_button_says_why(runs, slots, ended):
    run, actions = ended(), Actions(Lab(runs, slots))
    (run.checkpoint / "model.safetensors").unlink()
    with pytest.raises(gr.Error, match=r"weights \(model.safetensors\) are missing"):
        actions.use(run.id)
    with pytest.raises(gr.Error, match="Choose a run in the history first."):
        actions.use("")
