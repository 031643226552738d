"""The Hub: asked only when chosen, refused within seconds when it does not answer, in words that
say what to do."""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from conftest import execute, train
from serving import fresh_app, is_a_sentence

from demos.own_data import OwnData
from demos.own_tab import make_pushing
from demos.serving.lab import Lab
from training import recipe
from training.__main__ import DONE, SETTINGS
from training.data import hub
from training.data.own import bring
from training.recipes.digits import data as digits_data
from training.runs import job

CHOOSE = """
import json, time
import datasets, huggingface_hub, requests  # the wait is measured, not the imports
from training.recipes.digits import data as digits_data
from training.recipe import SettingsError
began = time.monotonic()
try:
    digits_data.load("mnist", "hub")
except SettingsError as error:
    print(json.dumps([time.monotonic() - began, str(error)]))
"""


def stand_in() -> bool:
    """Whether HF_ENDPOINT is a Hub on this machine that answers."""
    place = urlsplit(os.environ.get("HF_ENDPOINT", ""))
    if place.hostname not in ("127.0.0.1", "localhost", "::1"):
        return False
    with socket.socket() as one:
        one.settimeout(2)
        return one.connect_ex((place.hostname, place.port or 80)) == 0


@pytest.fixture
def silent():
    """The address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed():
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_hub_that_does_not_answer_is_refused_within_seconds_with_what_to_do(
    silent, closed, tmp_path
):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHOOSE],
            cwd=recipe.RECIPES.parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_ENDPOINT": place, "HF_HOME": str(tmp_path / str(i))},
        )
        for i, place in enumerate((silent, closed))
    ]
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0 and out, err
        seconds, text = json.loads(out)
        assert seconds < 5, "a hang, not a refusal"
        assert "The Hub does not answer" in text and "choose the source 'sample'" in text


@pytest.mark.parametrize("ask", ["a model", "a preview", "a push", "a start"])
def test_whatever_is_chosen_of_a_hub_that_never_answers_is_refused_in_a_sentence(
    silent, in_process, ask
):
    from training.data import hub_model, hub_preview
    from training.publish import push

    in_process(silent)
    with pytest.raises(recipe.SettingsError, match="The Hub does not answer") as told:
        if ask == "a model":
            hub_model.describe("owner/name", (hub_model.PICTURES,))
        elif ask == "a preview":
            hub_preview.preview("owner/name")
        elif ask == "a push":
            push.check_ready("owner/name", "hf_token")
        else:
            hub.download_model("owner/name")
    assert is_a_sentence(str(told.value)) and "onnection" in str(told.value)


def test_what_is_not_of_the_hub_asks_nobody(runs, in_process, answering):
    """The page opened, own data brought and its card seen, a run on the sample."""
    from PIL import Image

    address, asked = answering
    in_process(address)
    with fresh_app(runs) as blocks:
        next(f.fn for f in blocks.fns.values() if f.api_name == "look")("", "")
    picture = runs.parent / "a.png"
    Image.new("RGB", (40, 40)).save(picture)
    bring.add(runs, "things", [picture], "dark")
    own = OwnData(Lab(runs, {}, alone=True))
    assert make_pushing(own).pack("things", None).card
    assert train(runs).state == "done"
    assert not asked


@pytest.mark.parametrize("deep", [False, True])
def test_a_disk_that_fills_while_a_data_set_comes_is_told(in_process, answering, monkeypatch, deep):
    import datasets

    def fill(*_, **__):
        full = OSError(errno.ENOSPC, "No space left on device")
        raise datasets.exceptions.DatasetGenerationError("failed") from full if deep else full

    in_process(answering[0])
    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_: SimpleNamespace(sha="1"))
    monkeypatch.setattr(datasets, "load_dataset", fill)
    with pytest.raises(
        recipe.SettingsError, match="The disk is full, so me/x could not be"
    ) as told:
        hub.load_dataset("me/x", "train")
    assert is_a_sentence(str(told.value))


@pytest.fixture
def in_process(monkeypatch):
    """Sets the Hub's address for this process."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return lambda address: monkeypatch.setattr(constants, "ENDPOINT", address)


def test_a_resolver_that_hangs_does_not_make_a_person_wait(in_process, monkeypatch):
    release = threading.Event()

    def hang(*_, **__):
        release.wait(60)
        raise socket.gaierror("gave up")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    in_process("http://hub.invalid")
    began = time.monotonic()
    assert not hub.is_reachable(0.2)
    assert time.monotonic() - began < 20, "a hang"
    release.set()


@pytest.fixture
def answering():
    """The address of a server that has nothing, and says so, and what it was asked for."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    asked = []

    class Nothing(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_hub_is_reachable_where_it_answers_whatever_it_says(in_process, answering, closed):
    address, asked = answering
    in_process(address)
    assert hub.is_reachable() and asked
    in_process(closed)
    assert not hub.is_reachable(0.5)


def test_nobody_is_asked_where_a_person_has_chosen_to_be_offline(
    in_process, answering, monkeypatch
):
    from huggingface_hub import constants

    address, asked = answering
    in_process(address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # by the variable of that name
    assert not hub.is_reachable() and not asked


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The name of a data set of two rows that lies in the cache, as a download left it."""
    import datasets

    file = tmp_path / "rows.jsonl"
    file.write_text('{"number": 1}\n{"number": 2}\n')
    datasets.load_dataset("json", data_files={"train": str(file)}, cache_dir=str(tmp_path / "made"))
    made = next((tmp_path / "made" / "json").glob("*/*/*/dataset_info.json")).parent
    kept = tmp_path / "datasets" / "somebody___numbers" / "default" / "0.0.0" / "c0ffee"
    kept.mkdir(parents=True)
    for file in made.iterdir():
        shutil.copy(file, kept / file.name.replace("json-", "numbers-"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    return "somebody/numbers"


def test_what_is_cached_loads_without_a_hub_and_the_libraries_are_left_as_they_were(
    in_process, silent, cached
):
    import datasets
    from huggingface_hub import constants

    in_process(silent)
    rows, revision = hub.load_dataset(cached, "train")
    assert rows["number"][:] == [1, 2] and revision == "cached"
    assert hub.list_splits(cached) == ["train"] and hub.list_configs(cached) == ["default"]
    with pytest.raises(recipe.SettingsError, match="not in this machine's cache"):
        hub.load_dataset("somebody/else", "train")
    assert not constants.HF_HUB_OFFLINE and not datasets.config.HF_HUB_OFFLINE


@pytest.mark.parametrize("author, given", [("SFconvertbot", True), ("somebody", False)])
def test_safetensors_that_the_hubs_robot_offers_for_pickles_are_taken_and_nobody_elses(
    monkeypatch, tmp_path, author, given
):
    import huggingface_hub

    offer = type(
        "Offer", (), {"author": author, "is_pull_request": True, "git_reference": "refs/pr/7"}
    )
    for name, files in (
        ("main", ["config.json"]),
        ("c0ffee", ["config.json", "model.safetensors"]),
    ):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}")
    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, revision=None, **_: (
            tmp_path / ("c0ffee" if revision == "refs/pr/7" else "main")
        ),
    )
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda *_: type("Info", (), {"sha": "main"})
    )
    monkeypatch.setattr(
        huggingface_hub.HfApi, "get_repo_discussions", lambda *_, **__: iter([offer])
    )
    if given:
        assert hub.download_model("nlpconnect/vit-gpt2-image-captioning") == (
            tmp_path / "c0ffee",
            "c0ffee",
        )
    else:
        with pytest.raises(recipe.SettingsError, match="holds no safetensors"):
            hub.download_model("nlpconnect/vit-gpt2-image-captioning")


@pytest.mark.skipif(not stand_in(), reason="HF_ENDPOINT is not a Hub on this machine that answers")
class TestWithAHub:
    def test_the_whole_data_set_loads_and_its_revision_is_recorded(self, in_process):
        data = digits_data.load("mnist", "hub")
        assert digits_data.stack_images(data.train).shape == (60_000, 28, 28)
        assert digits_data.stack_images(data.test).shape == (10_000, 28, 28)
        assert set(data.train.labels) == set(data.test.labels) == set(range(10))
        assert re.fullmatch("[0-9a-f]{40}", data.revision) and "ylecun/mnist" in data.about

    def test_what_is_cached_loads_at_once_when_the_hub_is_gone(self, in_process, closed):
        rows, _ = hub.load_dataset(digits_data.HUB["mnist"], "test")
        in_process(closed)
        again, revision = hub.load_dataset(digits_data.HUB["mnist"], "test")
        assert len(again) == len(rows) and revision == "cached"

    def test_a_data_set_that_there_is_not_is_refused_by_name(self, in_process):
        with pytest.raises(
            recipe.SettingsError, match="nobody/nothing could not be loaded from the Hub"
        ):
            hub.load_dataset("nobody/nothing", "train")

    @pytest.mark.parametrize("method", ["frozen", "lora"])
    def test_a_vision_transformer_of_the_hub_learns_food_101_and_is_published(
        self, in_process, runs, method, quick_picture
    ):
        run = job.create(runs, "food", dict(source="hub", method=method, limit=96, epochs=1))
        assert execute(run) == DONE, run.status
        config = json.loads((run.checkpoint / "config.json").read_text())
        assert (
            config["architectures"] == ["ViTForImageClassification"]
            and len(config["id2label"]) == 101
        )
        assert run.settings["base"] == "google/vit-base-patch16-224-in21k"
        assert re.fullmatch("[0-9a-f]{40}", run.settings["base_revision"])
        assert "96 training pictures of 96 of 101 classes" in run.log_file.read_text(), (
            "stratify, not a slice"
        )
        assert run.metrics["after"]["n"] == 1010 and run.metrics["before"] is None
        assert "- google/vit-base" in (run.checkpoint / "README.md").read_text()

    def test_a_short_fine_tune_fetches_of_every_class_little_more_than_it_takes(
        self, in_process, monkeypatch, tmp_path
    ):
        import datasets
        from huggingface_hub import constants

        from training.data.hub_rows import Choice
        from training.recipes.food import data as food_data

        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
        fetched = []
        choice = Choice(limit=2000, holdout=0.05, watch=fetched.append)
        data = food_data.load("ethz/food101", "hub", choice=choice)
        assert len(data.train) >= 2000 and set(data.train.labels) == set(range(101))
        taken = sum(path.stat().st_size for path in tmp_path.rglob("*.arrow"))
        assert fetched[-1] <= 3 * taken and "59 MB" in data.notes[0]
        again = food_data.load("ethz/food101", "hub", choice=choice)
        assert (again.train.keys == data.train.keys).all() and again.revision == data.revision

    def test_columns_and_subsets_are_found_or_their_candidates_named(self, in_process):
        from training.data.hub_rows import Choice
        from training.recipes.food import data as food_data

        assert food_data.load("me/string-labels", "hub").classes == ["green", "red"]
        with pytest.raises(recipe.SettingsError, match="supplier, label. Choose one as label_colu"):
            food_data.load("me/two-label-columns", "hub")
        chosen = food_data.load("me/two-label-columns", "hub", choice=Choice(label="label"))
        assert chosen.classes == ["green", "red"]
        with pytest.raises(recipe.SettingsError, match="several subsets: full, mini. Choose one"):
            food_data.load("me/two-configs", "hub")
        assert food_data.load("me/two-configs", "hub", subset="mini").name == "me/two-configs mini"

    def test_a_classifier_of_the_hub_with_as_many_classes_is_scored_before(
        self, in_process, runs, quick_picture
    ):
        run = job.create(
            runs,
            "food",
            dict(source="hub", start="nateraw/food", method="frozen", limit=64, epochs=1),
        )
        assert execute(run) == DONE, run.status
        assert run.metrics["before"]["n"] == 1010 and "top5" in run.metrics["before"]

    def test_a_model_that_there_is_not_is_refused_by_name(self, in_process, runs):
        run = job.create(runs, "food", dict(start="nobody/nothing"))
        assert execute(run) == SETTINGS
        assert "nobody/nothing could not be loaded from the Hub" in run.status["reason"]

    @pytest.mark.parametrize("method", ["frozen", "lora"])
    def test_wav2vec2_of_the_hub_learns_minds_14_and_is_published(
        self, in_process, runs, method, quick_picture
    ):
        run = job.create(
            runs, "audio_intent", dict(source="hub", method=method, limit=28, epochs=1, seconds=2)
        )
        assert execute(run) == DONE, run.status
        config = json.loads((run.checkpoint / "config.json").read_text())
        assert (
            config["architectures"] == ["Wav2Vec2ForSequenceClassification"]
            and len(config["id2label"]) == 14
        )
        assert (
            run.settings["base"] == "facebook/wav2vec2-base"
            and "PolyAI/minds14 en-US" in run.settings["data"]
        )
        assert re.fullmatch("[0-9a-f]{40}", run.settings["base_revision"])
        # Of so few that were fetched a part is parted off, since there is no test split; or all of
        # them are judged by folds.
        assert run.metrics["classes"][-1] == "pay_bill" and run.metrics["after"]["n"] >= 14
        assert "scored one at a time" in run.log_file.read_text(), (
            "its feature encoder normalises over time"
        )

    def test_the_data_tells_what_is_said_and_a_language_that_there_is_not_is_refused(
        self, in_process
    ):
        from training.recipes.audio_intent import data as audio_data

        data = audio_data.load("PolyAI/minds14", "hub", "", "en-US", 0)
        assert len(data.train.texts) == len(data.train) + len(data.test) and all(data.train.texts)
        with pytest.raises(recipe.SettingsError, match="has no part named 'xx-XX'"):
            audio_data.load("PolyAI/minds14", "hub", "", "xx-XX", 0)

    @pytest.mark.parametrize("method", ["full", "frozen", "lora"])
    def test_an_encoder_and_a_decoder_of_the_hub_are_joined_and_learn_flickr8k(
        self, in_process, runs, method, few_captions
    ):
        run = job.create(
            runs,
            "captioning",
            dict(source="hub", method=method, limit=16, batch_size=8, epochs=1, words=6),
        )
        assert execute(run) == DONE, run.status
        config = json.loads((run.checkpoint / "config.json").read_text())
        assert (
            config["architectures"] == ["VisionEncoderDecoderModel"]
            and config["decoder"]["add_cross_attention"]
        )
        assert run.settings["base"] == "google/vit-base-patch16-224-in21k + openai-community/gpt2"
        assert "16 training pictures with 80 captions" in run.log_file.read_text()
        assert run.metrics["before"] is None and run.metrics["after"]["n"] == 8
        card = (run.checkpoint / "README.md").read_text()
        assert "- openai-community/gpt2" in card
        assert re.search(
            r"\| Starts from \| google/vit-\S+ \(revision [0-9a-f]{40}\) \+ openai-community/gpt2 "
            r"\(revision [0-9a-f]{40}\) \|",
            card,
        )

    def test_a_whole_captioner_of_the_hub_goes_on_learning(self, in_process, runs, few_captions):
        run = job.create(
            runs,
            "captioning",
            dict(
                source="hub",
                start="nlpconnect/vit-gpt2-image-captioning",
                limit=16,
                batch_size=8,
                epochs=1,
                words=6,
            ),
        )
        assert execute(run) == DONE, run.status
        assert run.metrics["before"]["n"] == 8 and re.fullmatch(
            "[0-9a-f]{40}", run.settings["base_revision"]
        )


@pytest.fixture
def few_captions(monkeypatch):
    """Flickr8k's validation pictures, eight of them: beam search takes its time."""
    import dataclasses

    import numpy as np

    from training.recipes.captioning import data as caption_data
    from training.recipes.captioning import train as caption_train

    whole = caption_data.load("jxie/flickr8k", "hub")
    assert len(whole.train) == 6000 and len(whole.test) == 1000 and "validation" in whole.about
    assert all(len(whole.train.texts[place]) == 5 for place in whole.train.places)
    few = dataclasses.replace(whole, test=whole.test[np.arange(8)])
    monkeypatch.setattr(caption_data, "load_once", lambda *_: few)
    monkeypatch.setattr(caption_train, "JUDGED", 8)
