"""Starts as people have them: a folder, a training's output, an adapter and its base, shards, a
head in another order or of another size. Each is used, with a note where something had to be
guessed, or refused in a sentence before anything is trained."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from conftest import execute
from meals import TWO_STEPS, colours
from PIL import Image
from serving import fresh_app, is_a_sentence
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from demos.serving.hub_models import HubModels
from training.__main__ import SETTINGS
from training.judge.class_exam import _sort
from training.learn import layouts
from training.learn.backbone import Start, open_checkpoint
from training.recipe import SettingsError, is_path
from training.recipes.food.config import Config
from training.recipes.food.model import build_network, open_network
from training.runs import checkpoint, job
from training.runs.checkpoint import CheckpointError


def vit(labels: list[str], seed: int = 0) -> ViTForImageClassification:
    torch.manual_seed(seed)
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    return ViTForImageClassification(ViTConfig(**tiny_models.LOOK, **names))


def keep(folder: Path, labels: list[str], processor: bool = True, **how) -> Path:
    vit(labels).save_pretrained(folder, **how)
    if processor:
        tiny_models.sees().save_pretrained(folder)
    return folder


def build(runs: Path, name: str, classes: list[str], **settings):
    found, _ = open_checkpoint(name, runs, "food")
    return build_network(Config(start=name, **settings), Start(found.id, found), classes)[0]


def head(path: Path) -> torch.Tensor:
    return AutoModelForImageClassification.from_pretrained(path).classifier.weight.detach()


# -- classes by name -------------------------------------------------------------------------------
def test_rows_of_the_head_go_to_the_classes_of_their_names(runs, tmp_path):
    start = str(keep(tmp_path / "start", ["Hot_Dog", "pizza", "soup"]))
    before = head(tmp_path / "start")
    for classes, rows in (
        (["pizza", "soup", "hot dog"], [1, 2, 0]),
        (["hot dog", "pizza", "soup"], [0, 1, 2]),
        (["soup", "hot dog"], [2, 0]),
        (["ramen", "soup", "pizza", "pho"], [None, 2, 1, None]),
    ):
        found = build(runs, start, classes).classifier.weight
        for place, row in enumerate(rows):
            old = [torch.equal(found[place], each) for each in before]
            assert old == [row == each for each in range(3)], (classes, place)


def test_a_checkpoint_of_the_same_classes_in_another_order_is_judged_by_name():
    answers = np.array([[0.7, 0.2, 0.1]])
    assert _sort(answers, ["a", "b", "c"], ["c", "A", "b"]).tolist() == [[0.1, 0.7, 0.2]]
    assert _sort(answers, ["x", "y", "z"], ["a", "b", "c"]).tolist() == answers.tolist()
    assert _sort(answers, ["a", "A", "b"], ["a", "A", "b"]).tolist() == answers.tolist()


@pytest.mark.usefixtures("quick_picture")
def test_before_is_the_same_whichever_order_the_start_has_its_classes_in(runs, tmp_path):
    data = colours(tmp_path / "data", classes=2, each=12)
    names = sorted(each.name for each in data.iterdir())
    start = keep(tmp_path / "start", names)
    other = tmp_path / "other"
    shutil.copytree(start, other)
    turned = AutoModelForImageClassification.from_pretrained(other)
    with torch.no_grad():
        for each in (turned.classifier.weight, turned.classifier.bias):
            each.copy_(each.flip(0))
    turned.config.id2label = dict(enumerate(names[::-1]))
    turned.save_pretrained(other)
    scores = []
    for path in (start, other):
        settings = {**TWO_STEPS, "source": "folder", "folder": str(data), "start": str(path)}
        run = job.create(runs, "food", {**settings, "batch_size": 8, "limit": 16})
        assert execute(run) == 0, run.status
        scores.append(run.metrics["before"]["accuracy"])
    assert scores[0] == scores[1]


@pytest.mark.parametrize("method", ["full", "frozen", "lora"])
def test_a_head_that_is_not_what_its_config_says_is_told_before_training(runs, tmp_path, method):
    start = keep(tmp_path / "start", ["a", "b", "c"])
    tiny_models.change_config(start, id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    data = colours(tmp_path / "data", classes=2, each=12)
    settings = {**TWO_STEPS, "source": "folder", "folder": str(data), "method": method}
    run = job.create(runs, "food", {**settings, "start": str(start)})
    assert execute(run) == SETTINGS
    reason = run.status["reason"]
    assert "names 2 classes and its head tells 3 apart" in reason and "Mend its id2label" in reason


# -- folders ---------------------------------------------------------------------------------------
def test_shards_are_a_start_as_one_file_is(runs, tmp_path):
    whole = keep(tmp_path / "whole", ["a", "b"])
    parts = keep(tmp_path / "parts", ["a", "b"], max_shard_size="20KB")
    assert len([*parts.glob("model-*.safetensors")]) > 2
    one, many = (build(runs, str(path), ["a", "b"]).state_dict() for path in (whole, parts))
    assert all(torch.equal(one[key], many[key]) for key in one)


def test_of_a_trainings_output_the_newest_checkpoint_is_used_and_said(runs, tmp_path):
    output = tmp_path / "output"
    for step in (2, 10, 9):
        keep(output / f"checkpoint-{step}", [f"a{step}", "b"], processor=False)
    tiny_models.sees().save_pretrained(output)
    found, _ = open_checkpoint(str(output), runs, "food")
    assert layouts.read_notes(found.path) == [f"{output}: its checkpoint-10 is used, the newest."]
    model, preprocessor = open_network(found.path)
    assert model.config.id2label[0] == "a10" and preprocessor.mean == (0.5, 0.5, 0.5)
    assert found.name == "output", "where it lies is nobody's business"
    again, _ = open_checkpoint(str(output), runs, "food")
    assert again.path == found.path


def test_where_nothing_says_how_input_is_prepared_it_is_what_is_usual_with_a_note(runs, tmp_path):
    start = keep(tmp_path / "start", ["a", "b"], processor=False)
    found, _ = open_checkpoint(str(start), runs, "food")
    (note,) = layouts.read_notes(found.path)
    assert "as is usual for vit, which may not be how it learned" in note
    assert open_network(found.path)[1].size == tiny_models.SIDE


def test_a_folder_that_there_is_not_and_one_without_a_model_are_said(runs, tmp_path):
    with pytest.raises(SettingsError, match="There is no folder"):
        open_checkpoint(str(tmp_path / "nothing"), runs, "food")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty cannot be used: its config.json is missing"):
        open_checkpoint(str(tmp_path / "empty"), runs, "food")


@pytest.mark.parametrize("name", ["/etc", "./x", "../x", "~/x", "~", ".", "..", "C:\\x", "a\\b"])
def test_the_page_and_the_api_name_no_folder(runs, name):
    assert is_path(name)
    with fresh_app(runs) as blocks:
        start = next(f.fn for f in blocks.fns.values() if f.api_name == "start_run")
        for setting in ("start", "teacher"):
            with pytest.raises(Exception, match="names a folder of this machine") as told:
                start("food", {setting: name})
            assert is_a_sentence(str(told.value).strip("'\""))


@pytest.mark.parametrize("name", ["owner/name", "owner/name@main", "embedded", "food-1", "a.b/c.d"])
def test_what_is_no_path_is_an_id_or_a_name_on_the_hub(name):
    assert not is_path(name)


# -- adapters --------------------------------------------------------------------------------------
@pytest.fixture
def adapter(tmp_path):
    """A LoRA adapter of three classes, its base beside it, and what both answer together."""
    from peft import LoraConfig, get_peft_model

    base = keep(tmp_path / "base", ["x", "y"])
    model = ViTForImageClassification.from_pretrained(
        base, num_labels=3, ignore_mismatched_sizes=True
    )
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    joined = get_peft_model(model, lora)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, each in joined.named_parameters():
            if "lora_" in name:
                each.normal_(std=0.5)
    folder = tmp_path / "adapter"
    joined.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    picture = torch.rand(1, 3, tiny_models.SIDE, tiny_models.SIDE)
    with torch.no_grad():
        return folder, base, picture, joined.eval()(pixel_values=picture).logits


def test_an_adapter_is_joined_with_its_base(runs, adapter):
    folder, base, picture, right = adapter
    found, _ = open_checkpoint(str(folder), runs, "food")
    assert layouts.read_notes(found.path) == [
        f"{folder} is an adapter: it was joined with its base, {base}."
    ]
    model, _ = open_network(found.path)
    with torch.no_grad():
        assert torch.allclose(model.eval()(pixel_values=picture).logits, right, atol=1e-5)


def test_an_adapter_whose_base_cannot_be_had_or_that_is_a_pickle_says_so(runs, adapter):
    folder = adapter[0]
    file = folder / "adapter_config.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "base_model_name_or_path": "nobody/nothing"}))
    with pytest.raises(SettingsError, match="is an adapter of nobody/nothing, which cannot be had"):
        open_checkpoint(str(folder), runs, "food")
    file.write_text(json.dumps({**about, "base_model_name_or_path": ""}))
    with pytest.raises(SettingsError, match="does not name its base"):
        open_checkpoint(str(folder), runs, "food")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(SettingsError, match="holds its adapter as a pickle"):
        open_checkpoint(str(folder), runs, "food")
    assert not [*(runs / layouts.STARTS).glob("*")]


# -- the Hub ---------------------------------------------------------------------------------------
@pytest.fixture
def elsewhere(hub):
    """A Hub that can be given more, until the test ends."""
    yield hub
    shutil.rmtree(hub.root / "odd", ignore_errors=True)


def test_of_a_published_output_the_newest_checkpoint_alone_is_fetched(runs, elsewhere):
    folder = elsewhere.root / "odd" / "output"
    for step in (2, 10):
        keep(folder / f"checkpoint-{step}", ["a", "b"])
    found, revision = open_checkpoint("odd/output", runs, "food")
    assert found.name == "odd/output" and revision == elsewhere.commit("odd/output")
    assert layouts.read_notes(found.path) == ["odd/output: its checkpoint-10 is used, the newest."]
    assert not [each for each in elsewhere.asked if "checkpoint-2/" in each]


def test_a_published_adapter_takes_its_base_from_the_hub_and_no_path(runs, elsewhere, adapter):
    folder, base, picture, right = adapter
    shutil.copytree(base, elsewhere.root / "odd" / "base")
    shutil.copytree(folder, elsewhere.root / "odd" / "adapter")
    with pytest.raises(
        SettingsError, match="odd/adapter is an adapter of .* is no name on the Hub"
    ):
        open_checkpoint("odd/adapter", runs, "food")
    file = elsewhere.root / "odd" / "adapter" / "adapter_config.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "base_model_name_or_path": "odd/base"}))
    found, _ = open_checkpoint("odd/adapter", runs, "food")
    with torch.no_grad():
        logits = open_network(found.path)[0].eval()(pixel_values=picture).logits
    assert torch.allclose(logits, right, atol=1e-5)


def test_a_revision_is_named_behind_an_at(runs, elsewhere):
    commit = elsewhere.commit("tiny/vit")
    found, revision = open_checkpoint(f"tiny/vit@{commit}", runs, "food")
    assert revision == commit and found.name == f"tiny/vit@{commit}"
    with pytest.raises(SettingsError, match="tiny/vit@v9 could not be loaded"):
        open_checkpoint("tiny/vit@v9", runs, "food")


def test_a_model_that_was_added_in_a_tab_is_a_start_by_its_id(runs, elsewhere):
    import app

    held = HubModels().use(app.open_lab(runs).slots["food"], "tiny/vit")
    elsewhere.asked.clear()
    found, revision = open_checkpoint(held.id, runs, "food")
    assert found.path == held.checkpoint.path and revision in held.id and not elsewhere.asked


def test_pictures_of_a_start_are_the_ones_that_its_processor_makes(runs, tmp_path):
    """Guards the helper above: a start without a processor is one with the family's."""
    plain = keep(tmp_path / "plain", ["a", "b"])
    bare = keep(tmp_path / "bare", ["a", "b"], processor=False)
    picture = Image.new("RGB", (50, 40), (200, 90, 30))
    frames = [
        open_network(open_checkpoint(str(path), runs, "food")[0].path)[1].frame(picture)
        for path in (plain, bare)
    ]
    assert np.array_equal(*frames)


def test_a_checkpoint_is_called_by_what_a_person_knows_it_by(tmp_path):
    call = checkpoint.call
    assert call(Path("runs/food-20260101-120000-abcd/checkpoint")) == "food-20260101-120000-abcd"
    assert call(Path("hub/models--me--net/snapshots/c0ffee")) == "me/net"
    assert call(Path("somewhere/food")) == "food"


def test_what_was_made_ready_is_capped_and_the_last_one_used_stays(runs, tmp_path, monkeypatch):
    def make(name: str) -> Path:
        source = tmp_path / name
        source.mkdir(exist_ok=True)
        return layouts.keep(
            runs, source, name, lambda made: (made / "weights").write_bytes(bytes(100))
        )

    first, second = make("one"), make("two")
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    monkeypatch.setattr(layouts, "CAP", 250)
    assert make("one") == first, "used again"
    third = make("three")
    assert first.exists() and third.exists() and not second.exists()
