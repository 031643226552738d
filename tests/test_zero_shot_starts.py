"""Networks that compare pictures with texts as starts: they begin with what they answer zero-shot,
learn by each method, and are published as what others load. The Hub is a small server of this
process, with tiny models."""

import shutil

import numpy as np
import pytest
import tiny_models
import torch
from conftest import execute
from learning import goes_on_exactly, losses
from meals import TWO_STEPS, colours, train, weights
from PIL import Image
from serving import is_a_sentence
from test_take_away import agree
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoTokenizer,
)

import app
from demos import food, run_views
from demos.heat_map import where_it_looked
from demos.serving.hub_models import HubModels, Wishes
from training import recipe
from training.__main__ import SETTINGS
from training.data.own import bring
from training.data.pictures import Store
from training.estimate import estimate
from training.learn import towers, zero_shot
from training.learn.backbone import Start
from training.learn.known import open_known
from training.recipe import SettingsError
from training.recipes.food.config import Config
from training.recipes.food.data import load
from training.recipes.food.model import find_start, open_network
from training.recipes.food.score import predict
from training.runs import checkpoint, job
from training.samples.dishes import CLASSES

pytestmark = pytest.mark.usefixtures("quick_picture")
NAMES = {tiny_models.clip: "tiny/clip", tiny_models.siglip: "tiny/siglip"}


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    return tmp_path_factory.mktemp("kitchen")


def answer_zero_shot(folder, pixels: torch.Tensor) -> np.ndarray:
    """What the library itself says of dishes, by its own comparison with the sentences."""
    pair = AutoModel.from_pretrained(folder).eval()
    fixed = pair.config.model_type == "siglip"
    sentences = [f"a photo of {name.replace('_', ' ')}." for name in CLASSES]
    told = AutoTokenizer.from_pretrained(folder)(
        sentences,
        return_tensors="pt",
        **({"padding": "max_length", "max_length": 64} if fixed else {"padding": True}),
    )
    if fixed:
        told = {"input_ids": told["input_ids"]}
    with torch.no_grad():
        return pair(**told, pixel_values=pixels).logits_per_image.softmax(1).numpy()


# -- what it begins with ---------------------------------------------------------------------------
@pytest.mark.parametrize("make", tiny_models.ZERO_SHOT)
def test_a_start_answers_what_the_library_answers_zero_shot(hub, kitchen, make):
    start = find_start(Config(start=NAMES[make]), kitchen, "food", CLASSES)
    assert start.zero_shot and start.name == NAMES[make] and start.revision
    assert checkpoint.labels(start.path) == CLASSES
    network, seen = open_network(start.path)
    # The square in the middle, where it was trained on that.
    assert (seen.size, seen.crop) == (32, 1.0 if make is tiny_models.clip else 0.0)
    test = load("", "sample").test
    pixels = torch.from_numpy(np.stack([seen.frame(test.read_one(i)) for i in range(len(test))]))
    pixels = seen.normalise(pixels.permute(0, 3, 1, 2))
    due = answer_zero_shot(hub.root / NAMES[make], pixels)
    found = predict(network, Store(test, seen), seen)
    assert (found.argmax(1) == due.argmax(1)).mean() > 0.98  # bf16 apart, where there is that
    assert np.abs(found - due).max() < 0.05  # all are taken to be as long
    assert len(set(due.argmax(1).tolist())) > 1


def test_pictures_are_framed_as_the_start_has_it(hub, kitchen):
    start = find_start(Config(start="tiny/clip"), kitchen, "food", CLASSES)
    seen = open_network(start.path)[1]
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 7, 3), np.uint8)).resize(
        (140, 80), Image.Resampling.BICUBIC
    )
    ours = torch.from_numpy(seen.frame(photo).copy()).permute(2, 0, 1)[None]
    theirs = AutoImageProcessor.from_pretrained(hub.root / "tiny/clip")(photo, return_tensors="pt")
    assert (seen.normalise(ours) - theirs["pixel_values"]).abs().mean() < 0.05


def test_the_sentence_and_the_classes_are_the_persons(hub, kitchen):
    def head(**settings):
        found = find_start(Config(start="tiny/clip", **settings), kitchen, "food", ["a", "b"])
        return found.path, weights_of(found)["timm_model.head.weight"]

    usual, first = head()
    again, same = head()
    other, second = head(template="the letter {}")
    assert usual == again and torch.equal(first, same)  # made once
    assert usual != other and not torch.allclose(first, second)
    with pytest.raises(SettingsError, match="template must hold {} once"):
        Config(template="a photo").check(True)


def weights_of(start: Start):
    return AutoModelForImageClassification.from_pretrained(start.path).state_dict()


# -- each method -----------------------------------------------------------------------------------
@pytest.mark.parametrize("make", tiny_models.ZERO_SHOT)
@pytest.mark.parametrize("method", ["full", "frozen", "lora"])
def test_two_steps_of_each_method_publish_what_the_library_loads(hub, kitchen, make, method):
    run = train(kitchen, start=NAMES[make], method=method)
    assert len(losses(run)) == (1 if method == "frozen" else 2)
    start = find_start(Config(start=NAMES[make]), kitchen, "food", CLASSES)
    before, after = weights_of(start), weights(run)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    own = {name for name in changed if not name.startswith("timm_model.head.")}
    assert bool(own) == (method != "frozen") and changed
    # Loaded again it has the answers that were scored.
    test = load("", "sample").test
    network, seen = open_network(run.checkpoint)
    right = predict(network, Store(test, seen), seen).argmax(1) == test.strata
    assert right.mean() == pytest.approx(run.metrics["after"]["accuracy"], abs=1e-5)
    network, seen = open_network(start.path)
    right = predict(network, Store(test, seen), seen).argmax(1) == test.strata
    assert right.mean() == pytest.approx(run.metrics["before"]["accuracy"], abs=1e-5)
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    assert open_known(run.checkpoint) is not None


def test_before_is_called_zero_shot_wherever_it_is_told(hub, kitchen, capsys):
    run = train(kitchen, start="tiny/clip", method="frozen")
    assert run.metrics["before_is"] == "zero-shot" and run.settings["base"] == "tiny/clip"
    log = run.log_file.read_text()
    assert 'such as "a photo of' in log and "before (zero-shot)" in log
    assert "cross-validated accuracy by beginning: class names" in log
    card = (run.checkpoint / "README.md").read_text()
    assert "| before (zero-shot) | after |" in card and "- tiny/clip\n" in card
    assert "Before is what tiny/clip answered zero-shot: by class names alone." in card
    assert "Before: clip, its start, zero-shot" in run_views.report(run)
    # What goes on from it is no longer that.
    again = train(kitchen, start=run.id)
    assert "before_is" not in again.metrics
    assert again.metrics["before"]["accuracy"] == run.metrics["after"]["accuracy"]


def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(hub, kitchen):
    settings = dict(TWO_STEPS, start="tiny/clip", epochs=2, augmentation="strong")
    goes_on_exactly(kitchen, "food", settings, weights)


def test_what_is_kept_of_the_start_is_mixed_in(hub, kitchen):
    """WiSE-FT: half of the way back to what answers zero-shot."""
    run = train(kitchen, start="tiny/clip", keep=0.9, learning_rate=1e-2)
    before = weights_of(find_start(Config(start="tiny/clip"), kitchen, "food", CLASSES))
    after = weights(run)
    tower = [name for name in after if ".head." not in name]
    plain = weights(train(kitchen, start="tiny/clip", learning_rate=1e-2))
    for name in tower:
        mixed = torch.lerp(plain[name], before[name], 0.9)
        assert torch.allclose(after[name], mixed, atol=1e-5), name


# -- where it goes ---------------------------------------------------------------------------------
def test_a_checkpoint_answers_in_the_tab_and_outside(hub, runs, tmp_path):
    data = colours(tmp_path / "data", classes=3, each=12)
    settings = {"source": "folder", "folder": str(data), "limit": 0, "batch_size": 8}
    run = train(runs, start="tiny/clip", swap="always", **settings)
    slot = app.open_lab(runs).slots["food"]
    photo = tmp_path / "photo.png"
    Image.new("RGB", (120, 90), (200, 90, 30)).save(photo)
    slot.swap(run.id)
    found = food.classify(slot, Image.open(photo))
    assert found.checkpoint == run.id and len(found.confidences) == 3
    agree(runs, "food", run.id, photo, tmp_path)


@pytest.mark.parametrize("make", tiny_models.ZERO_SHOT)
def test_it_tells_where_it_looked_as_the_network_that_it_began_with(hub, runs, make):
    start = find_start(Config(start=NAMES[make]), runs, "food", CLASSES)
    network = open_network(start.path)[0].eval().requires_grad_(False)
    pair = AutoModel.from_pretrained(hub.root / NAMES[make], attn_implementation="eager").eval()
    width = 16 if make is tiny_models.clip else 32
    before = zero_shot.ZeroShotNetwork(pair, torch.eye(width)).requires_grad_(False)
    x = torch.randn(1, 3, 32, 32)
    found = where_it_looked(network, x)
    assert found.shape == (4, 4) and found.max() == pytest.approx(1)
    if make is tiny_models.clip:  # by what was attended to, whatever the answer
        assert np.allclose(found, where_it_looked(before, x), atol=1e-3)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_model_that_was_added_in_a_tab_is_a_start_for_other_classes(hub, runs):
    lab = app.open_lab(runs)
    held = HubModels().use(lab.slots["food"], "tiny/clip", Wishes("ramen, pho"))
    start = find_start(Config(start=held.id), runs, "food", CLASSES)
    assert start.zero_shot and checkpoint.labels(start.path) == CLASSES


@pytest.mark.parametrize("method", ["frozen", "full"])
def test_the_estimate_measures_the_network_that_will_learn(hub, runs, tmp_path, method):
    bring.add(runs, "mine", [colours(tmp_path / "mine", 2, 6)])
    settings = {"source": "own", "dataset": "mine", "method": method, "start": "tiny/clip"}
    found = estimate(recipe.load("food"), settings, runs)
    assert found.seconds > 0 and found.examples == 12


# -- refusals --------------------------------------------------------------------------------------
@pytest.fixture
def odd(hub):
    folder = hub.root / "odd" / "relu"
    shutil.copytree(hub.root / "tiny/clip", folder)
    yield folder
    shutil.rmtree(folder)


def refusal(runs, **settings) -> str:
    run = job.create(runs, "food", {**TWO_STEPS, **settings})
    assert execute(run) == SETTINGS and not run.has_checkpoint
    assert is_a_sentence(run.status["reason"])
    return run.status["reason"]


def test_random_weights_keep_nothing_of_it(hub, kitchen):
    told = refusal(kitchen, start="tiny/clip", method="scratch")
    assert "tiny/clip compares pictures with texts" in told and "choose method full" in told


def test_what_cannot_be_taken_apart_is_refused_by_name(hub, kitchen, odd):
    made = tiny_models.clip()[0].config.vision_config.to_dict()
    tiny_models.change_config(odd, vision_config={**made, "hidden_act": "relu"})
    told = refusal(kitchen, start="odd/relu")
    assert "odd/relu compares pictures with texts by a kind of network (clip)" in told
    assert "choose a CLIP or a SigLIP" in told


def test_a_network_that_comes_out_otherwise_is_refused(hub, kitchen, monkeypatch):
    """Whatever a version of a library changes: it is compared with what it was made of."""
    monkeypatch.setitem(towers.ACTIVATIONS, "quick_gelu", "relu")
    assert "cannot be fine-tuned here" in refusal(kitchen, start="tiny/clip", template="{}")


def test_one_without_its_words_is_refused_by_name(hub, kitchen, odd):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (odd / name).unlink()
    assert "odd/relu does not hold its words" in refusal(kitchen, start="odd/relu")


@pytest.mark.parametrize(
    "name, start", [("captioning", "tiny/clip"), ("audio_intent", "tiny/clip")]
)
def test_other_recipes_refuse_it_by_name(hub, runs, name, start):
    run = job.create(runs, name, {"start": start, "limit": 16, "epochs": 1})
    assert execute(run) == SETTINGS
    assert "tiny/clip" in run.status["reason"] and is_a_sentence(run.status["reason"])
