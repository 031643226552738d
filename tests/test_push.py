"""To the Hub and back: what is pushed, what it is filed under, who may see it, and what is said
where it cannot be. Against a small server of the Hub's routes, and the Hub itself where there is
one."""

import dataclasses
import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import small_hub
from conftest import execute
from huggingface_hub import ModelCard
from PIL import Image
from test_hub import stand_in

from demos import pushing
from demos.food import FoodPredictor
from demos.own_data import OwnData
from demos.own_tab import make_pushing
from demos.serving.lab import Lab
from training import __main__ as command
from training import recipe
from training.__main__ import DONE, SETTINGS
from training.data import hub
from training.data.own import bring, data_set
from training.data.own.data_set import Cancelled
from training.judge.report import write_report
from training.publish import pack, push
from training.recipe import SettingsError
from training.runs import checkpoint, job
from training.runs.run import Run

FOOD = "embedded-food"
EXPECTED = json.loads((Path(__file__).parent / "old_runs" / "expected.json").read_text())
# huggingface_hub sends files in a way that what it sends with calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def reached(tmp_path, monkeypatch):
    """A small Hub that this process asks, with a cache of its own and somebody signed in."""
    with small_hub.serve() as made:
        made.be_asked(monkeypatch, tmp_path)
        monkeypatch.setenv("HF_TOKEN", made.token)
        yield made


def package(runs, name: str = FOOD) -> pack.Package:
    return pack.pack_checkpoint(pack.find_checkpoint(runs, name), runs)


# -- there and back --------------------------------------------------------------------------------
def test_what_is_pushed_is_private_and_answers_the_same_when_it_is_pulled_again(
    runs, reached, capsys
):
    assert command.main(["push", FOOD, "me/food-small"]) == DONE
    assert f"Pushed to {reached.address}/me/food-small (it is private)." in capsys.readouterr().out
    repo = reached.repos["model/me/food-small"]
    assert repo.private and {"model.safetensors", "config.json", "use.py", "LICENSE"} <= set(
        repo.files
    )
    path, revision = hub.download_model("me/food-small")
    assert re.fullmatch("[0-9a-f]{40}", revision)
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    ours = FoodPredictor(checkpoint.EMBEDDED / "food")
    theirs = FoodPredictor(path)
    assert np.array_equal(ours.scores(pixels), theirs.scores(pixels))
    assert ours.labels == theirs.labels


def test_a_run_starts_from_what_was_pushed(runs, reached, quick_picture):
    push.push(package(runs), "me/food-small", token=reached.token)
    settings = dict(start="me/food-small", method="frozen", limit=64, image_size=0)
    run = job.create(runs, "food", settings)
    assert execute(run) == DONE, run.status
    assert run.settings["base"] == "me/food-small"
    card = pack.pack_checkpoint(pack.find_checkpoint(runs, run.id), runs).card
    assert "base_model:\n- me/food-small" in card and "license: other" in card


def test_a_public_one_is_asked_for_by_its_flag(runs, reached, capsys):
    assert command.main(["push", FOOD, "me/seen", "--public"]) == DONE
    assert "(everybody can see it)" in capsys.readouterr().out
    assert not reached.repos["model/me/seen"].private


def test_a_second_push_is_another_commit_without_the_weights_of_the_first(runs, reached):
    whole = package(runs)
    first = dataclasses.replace(whole, files={**whole.files, "old.safetensors": b"0", "mine": b""})
    push.push(first, "me/food", token=reached.token)
    push.push(whole, "me/food", token=reached.token)
    assert set(reached.repos["model/me/food"].files) == {*whole.files, "mine"}


# -- the card --------------------------------------------------------------------------------------
def test_the_card_files_it_with_its_scores_their_data_and_how_many(old_runs, reached):
    run = Run.find(old_runs, EXPECTED["food"]["done"])
    card = ModelCard(package(old_runs, run.id).card)
    data = card.data
    assert data.license == "apache-2.0" and data.pipeline_tag == "image-classification"
    assert data.library_name == "transformers" and push.TAG in data.tags and not data.base_model
    (accuracy, *_) = data.eval_results
    after = run.metrics["after"]
    assert accuracy.metric_type == "accuracy" and accuracy.dataset_args["n"] == after["n"]
    assert accuracy.metric_value == pytest.approx(after["accuracy"], abs=1e-4)
    assert run.metrics["held_out"] in accuracy.dataset_name
    assert "use.py" in card.text and run.metrics["data"] in card.text
    assert card.content.count("---\n") == 2, "its own metadata is replaced"


def test_data_and_bases_of_the_hub_are_named_and_their_licence_is_asked(runs, reached):
    from training.judge.records import ACCURACY, Report, Score

    run = Run.create(runs, "food", {"source": "hub"}, slot="food")
    run.checkpoint.mkdir()
    for file in (checkpoint.EMBEDDED / "food").iterdir():
        (run.checkpoint / file.name).write_bytes(file.read_bytes())
    run.record(base="them/net", base_revision="c0ffee", data="the 9 test pictures of ethz/food101")
    write_report(
        run,
        Report(
            ACCURACY, "ethz/food101 (hub)", "9 pictures", None, Score(ACCURACY, 0.5, (0.2, 0.8), 9)
        ),
    )
    run.set_status("done")
    found = pack.find_checkpoint(runs, run.id)
    card = ModelCard(pack.pack_checkpoint(found, runs).card)
    assert card.data.datasets == ["ethz/food101"] and card.data.base_model == ["them/net"]
    assert card.data.license == "other" and "[them/net](" in card.text, "nobody was asked"
    asked = ModelCard(pack.pack_checkpoint(found, runs, lambda name: "cc-by-nc-4.0").card)
    assert asked.data.license == "cc-by-nc-4.0"
    assert asked.data.eval_results[0].dataset_type == "ethz/food101"


# -- refusals --------------------------------------------------------------------------------------
def refusal(given: pack.Package, name: str, **more) -> str:
    with pytest.raises(SettingsError) as error:
        push.push(given, name, **more)
    return str(error.value)


@pytest.fixture
def small(runs) -> pack.Package:
    """Something to push that is there at once."""
    card = f"---\ntags:\n- {push.TAG}\n---\n"
    return pack.Package("small", "model", {"README.md": card.encode(), "config.json": b"{}"})


@pytest.mark.parametrize("name", ["food", "me/", "/food", "me/fo od", "me/a--b", "a/b/c", "../x"])
def test_a_name_that_is_none_on_the_hub_is_refused(small, reached, name):
    assert "it must be owner/name" in refusal(small, name, token=reached.token)
    assert not reached.asked


def test_nobody_is_asked_where_nobody_is_signed_in(runs, small, reached, monkeypatch, capsys):
    assert "hf auth login" in refusal(small, "me/x", token=None)
    monkeypatch.setattr("training.take_away.find_token", lambda: None)
    assert command.main(["push", FOOD, "me/x"]) == SETTINGS
    assert "hf auth login" in capsys.readouterr().err and not reached.asked


def test_a_hub_that_does_not_answer_is_told(small, reached, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "The Hub does not answer" in refusal(small, "me/x", token=reached.token)


def test_only_ones_own_places_are_written_to(small, reached):
    told = refusal(small, "them/x", token=reached.token)
    assert "signed in to the Hub as me" in told and "begins with one of: me/" in told
    reached.orgs.append("them")
    assert push.push(small, "them/x", token=reached.token) == f"{reached.address}/them/x"


def test_a_token_that_only_reads_is_told(small, reached):
    reached.role = "read"
    assert "may only read" in refusal(small, "me/x", token=reached.token)


def test_what_is_something_elses_is_left_alone(small, reached):
    reached.repos["model/me/diary"] = small_hub.Repo(True, {"README.md": b"dear", "a.txt": b"b"})
    told = refusal(small, "me/diary", token=reached.token)
    assert "was not pushed from here" in told
    assert set(reached.repos["model/me/diary"].files) == {"README.md", "a.txt"}


def test_nothing_private_lands_where_everybody_sees_it(small, reached):
    push.push(small, "me/x", private=False, token=reached.token)
    assert "everybody can see it" in refusal(small, "me/x", token=reached.token)


SPOILED = {
    "an ended token": (dict(refuse={"whoami": 401}), "does not know your token"),
    "no right": (dict(refuse={"repos/create": 403}), "may not write to me/x"),
    "taken meanwhile": (dict(refuse={"repos/create": 409}), "Choose another name"),
    "too much": (dict(refuse={"preupload": 429}), "try again later"),
    "a fault": (dict(refuse={"commit": 500}), "error 500"),
    "a broken line": (dict(cut="preupload"), "The line to the Hub broke. Nothing half"),
    "a line broken at its end": (dict(cut="commit"), "The line to the Hub broke. Nothing half"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_goes_wrong_is_a_sentence_without_the_token(small, reached, monkeypatch, case):
    monkeypatch.setattr("huggingface_hub.utils._http._DEFAULT_RETRY_ON_STATUS_CODES", ())
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    changes, words = SPOILED[case]
    for name, value in changes.items():
        setattr(reached, name, value)
    told = refusal(small, "me/x", token=reached.token)
    assert words in told and told.endswith(".")
    assert reached.token not in told and "http" not in told and "Bearer" not in told
    repo = reached.repos.get("model/me/x")
    assert repo is None or not repo.files, "nothing half"
    reached.refuse, reached.cut = {}, ""
    push.push(small, "me/x", token=reached.token)
    assert reached.repos["model/me/x"].files


def test_a_push_that_is_cancelled_leaves_nothing_half(runs, reached):
    def tell(doing: str, done: int, total: int) -> None:
        if doing.startswith("sending (MB)"):
            raise Cancelled

    with pytest.raises(Cancelled):
        push.push(package(runs), "me/x", token=reached.token, tell=tell)
    assert not reached.repos["model/me/x"].files


def test_the_way_of_large_files_is_told(runs, reached):
    told = []
    push.push(package(runs), "me/x", token=reached.token, tell=lambda *each: told.append(each))
    doing = list(dict.fromkeys(each[0] for each in told))
    assert doing == ["asking the Hub", "reading (MB)", "sending", "sending (MB)"]
    assert told[-1][1] == told[-1][2] > 5


# -- data sets -------------------------------------------------------------------------------------
@pytest.fixture
def pets(runs, tmp_path) -> data_set.DataSet:
    files = []
    for number in range(6):
        file = io.BytesIO()
        Image.new("RGB", (40, 40), (40 * number, 20, 90)).save(file, "PNG")
        path = tmp_path / f"{number}.png"
        path.write_bytes(file.getvalue())
        files.append(path)
    bring.add(runs, "pets", files[:3], "cat")
    bring.add(runs, "pets", files[3:], "dog")
    return data_set.find(runs, "pets")


def test_a_data_set_is_pushed_byte_for_byte_with_a_card_that_names_its_splits(
    pets, reached, capsys
):
    assert command.main(["datasets", "push", "pets", "me/pets"]) == DONE
    where = f"{reached.address}/datasets/me/pets"
    assert f"Pushed to {where} (it is private)." in capsys.readouterr().out
    repo = reached.repos["dataset/me/pets"]
    for item in pets.list_items():
        place = f"data/{item.path.relative_to(pets.data).as_posix()}"
        assert repo.files[place] == item.path.read_bytes()
    card = ModelCard(repo.files["README.md"].decode())
    assert card.data.task_categories == ["image-classification"] and card.data.license is None
    assert card.data.to_dict()["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train/**"}
    ]
    assert "| cat | 3 |" in card.text


def test_what_was_left_out_of_a_data_set_since_is_not_there_after_the_next_push(pets, reached):
    from training.data.own import corrections

    push.push(pack.pack_data_set(pets), "me/pets", token=reached.token)
    corrections.leave_out(pets, pets.list_items()[0].id)
    push.push(pack.pack_data_set(pets), "me/pets", token=reached.token)
    files = reached.repos["dataset/me/pets"].files
    assert len([place for place in files if place.startswith("data/")]) == 5


def push_from_page(runs, name, place, seen=pushing.PRIVATE, cancelled=False, **lab):
    """What the form and the notice are then."""
    own = OwnData(Lab(runs, {}, **{"alone": True, **lab}))
    does = pushing._Handlers(make_pushing(own))
    if cancelled:

        def progress(*_, **__):
            does.waiting.cancel(VISIT)
    else:
        progress = lambda *_, **__: None  # noqa: E731
    return does.push_it(name, place, seen, None, VISIT, progress)


VISIT = SimpleNamespace(session_hash="a visit")


def test_a_data_set_is_pushed_from_its_page_private_unless_its_owner_says_otherwise(
    runs, pets, reached
):
    own = OwnData(Lab(runs, {}, alone=True))
    form, card, told = pushing._Handlers(make_pushing(own)).show_what_goes("pets", None)
    assert form.visible and told == "" and not reached.asked, "the card is seen before"
    form, told = push_from_page(runs, "pets", "me/pets")
    repo = reached.repos["dataset/me/pets"]
    assert repo.private and repo.files["README.md"].decode() == card
    assert f"{reached.address}/datasets/me/pets" in told and "it is private" in told
    assert not form.visible and reached.token not in told
    _, told = push_from_page(runs, "pets", "me/open", pushing.PUBLIC)
    assert not reached.repos["dataset/me/open"].private and "everybody can see it" in told


def test_what_the_page_does_not_push_is_told(runs, pets, reached, monkeypatch):
    _, told = push_from_page(runs, "pets", "pets")
    assert "it must be owner/name" in told and not reached.repos
    _, told = push_from_page(runs, "", "me/pets")
    assert "Choose a data set first." in told
    _, told = push_from_page(runs, "pets", "me/pets", alone=False)
    assert "python -m training datasets push NAME owner/name" in told
    _, told = push_from_page(runs, "pets", "me/pets", alone=False, signs_in=True)
    assert "Sign in to the Hub" in told
    with pytest.raises(gr.Error, match="Training is off"):
        push_from_page(runs, "pets", "me/pets", training=False)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(pushing, "find_token", lambda: None)
    _, told = push_from_page(runs, "pets", "me/pets")
    assert "hf auth login" in told and not reached.repos


def test_a_data_set_whose_push_is_cancelled_is_nowhere_half(runs, pets, reached):
    _, told = push_from_page(runs, "pets", "me/pets", cancelled=True)
    assert "Cancelled: nothing was pushed." in told
    assert not any(repo.files for repo in reached.repos.values())


# -- the Hub itself --------------------------------------------------------------------------------
@pytest.mark.skipif(not stand_in(), reason="HF_ENDPOINT is not a Hub on this machine that answers")
@pytest.mark.parametrize(
    "name, start",
    [("food", "embedded-food"), ("audio_intent", "embedded-audio")],
)
def test_the_hub_takes_it_and_gives_it_back(runs, monkeypatch, name, start, quick_picture):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    token = os.environ.get("HF_TOKEN")
    owner = hub_user(token)
    place = f"{owner}/round-{name}-{os.getpid()}"
    push.push(package(runs, start), place, private=True, token=token)
    settings = dict(start=place, method="frozen", limit=28)
    before = job.create(runs, name, settings)
    assert execute(before) == DONE, before.status
    again = job.create(runs, name, {**settings, "start": start})
    assert execute(again) == DONE
    assert before.metrics["before"] == again.metrics["before"]
    assert before.settings["base"] == place and recipe.load(name).port


def hub_user(token: str | None) -> str:
    from huggingface_hub import HfApi

    return HfApi(token=token).whoami()["name"]
