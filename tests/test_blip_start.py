"""A BLIP as a captioner to fine-tune: two real steps of each method, what is published, what
answers in the tab. The Hub is a small server of this process, with tiny models."""

import pytest
import tiny_models
import torch
from albums import TWO_STEPS, album, train
from conftest import execute
from learning import goes_on_exactly, losses
from PIL import Image
from serving import is_a_sentence
from test_caption_recipe import few_pictures
from test_take_away import agree
from torch.nn import functional as F
from transformers import AutoModelForImageTextToText, AutoProcessor, BlipForConditionalGeneration

import app
from demos import captioning
from training import recipe
from training.__main__ import SETTINGS
from training.data.own import bring
from training.data.pictures import Store
from training.estimate import estimate
from training.learn.known import open_known
from training.recipes.captioning import data as caption_data
from training.recipes.captioning import model as caption_model
from training.recipes.captioning import score as caption_score
from training.recipes.captioning.config import Config
from training.recipes.captioning.model import Teller, build_network, find_start, open_network
from training.recipes.captioning.score import write_captions
from training.runs import job
from training.runs.run import Run

BLIP = "tiny/blip"
__all__ = ["few_pictures"]


@pytest.fixture(scope="module")
def press(tmp_path_factory):
    return tmp_path_factory.mktemp("press")


def weights(run: Run) -> dict[str, torch.Tensor]:
    return BlipForConditionalGeneration.from_pretrained(run.checkpoint).state_dict()


def build(runs, **settings):
    config = Config(start=BLIP, **settings)
    return build_network(config, find_start(config, runs, "captions"), [], runs)[:2]


# -- each method -----------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["full", "frozen", "lora", "scratch"])
def test_two_steps_of_each_method_publish_what_the_library_loads(hub, press, method):
    run = train(press, start=BLIP, method=method)
    assert len(losses(run)) == 2 and run.settings["base"] == BLIP
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    assert open_known(run.checkpoint) is not None
    assert run.metrics["before"]["n"] == run.metrics["after"]["n"] == 12
    model, preprocessor = open_network(run.checkpoint)
    store = Store(caption_data.load_once().test, preprocessor.pictures)
    exam = caption_score.make_exam(Config(), caption_data.load_once())
    told = exam.score(write_captions(model, preprocessor, store)).value
    assert told == pytest.approx(run.metrics["after"]["cider_d"], abs=1e-6)
    before = BlipForConditionalGeneration.from_pretrained(hub.root / BLIP).state_dict()
    after = weights(run)
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert "text_decoder" in changed and ("vision_model" in changed) == (method != "frozen")
    words = after["text_decoder.bert.embeddings.word_embeddings.weight"]
    assert torch.equal(words, after["text_decoder.cls.predictions.decoder.weight"])  # still one


def test_the_loss_is_the_librarys(hub, press):
    """Its own text decoder is taught, word by word, from what stands before a first word."""
    model, preprocessor = build(press)
    model.eval()
    captions = ["a red square", "two dogs"]
    rows = preprocessor.tokenize(captions, 40)
    text = model.config.text_config
    read, write, real = caption_model.pad(rows, caption_model.find_begin(model), 0)
    pixels = torch.randn(2, 3, tiny_models.SIDE, tiny_models.SIDE)
    with torch.no_grad():
        logits, _ = Teller(model, model)(pixels, read, real, 1, False)
        ours = F.cross_entropy(logits, write[real])
        whole = torch.cat([read, write[:, -1:]], 1)
        whole[:, 1:] = torch.where(real, write, torch.tensor(text.pad_token_id))
        labels = whole.clone()
        labels[:, 1:][~real] = -100
        model.text_decoder.label_smoothing = 0.0  # which a BLIP has of its own
        theirs = model(
            pixel_values=pixels,
            input_ids=whole,
            attention_mask=(labels != -100).long(),
            labels=labels,
        )
    assert rows[0][-1] == text.sep_token_id and float(ours) == pytest.approx(float(theirs.loss))


def test_captions_are_what_the_library_writes(hub, press):
    model, preprocessor = build(press, words=7)
    processor = AutoProcessor.from_pretrained(hub.root / BLIP)
    pictures = caption_data.load_once().test
    said = write_captions(model.eval(), preprocessor, Store(pictures, preprocessor.pictures))
    for place in range(3):
        shown = preprocessor.pictures.frame(pictures.read_one(place))
        pixels = preprocessor.pictures.normalise(
            torch.from_numpy(shown.copy()).permute(2, 0, 1)[None]
        )
        theirs = model.generate(pixel_values=pixels, num_beams=4, max_new_tokens=7)
        text = processor.tokenizer.decode(theirs[0][1:], skip_special_tokens=True)
        assert said[place] == caption_data.tidy(text)


def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(hub, press):
    settings = dict(TWO_STEPS, start=BLIP, epochs=2, augmentation="strong")
    goes_on_exactly(press, "captioning", settings, weights)


def test_it_learns_slowly_since_it_writes_already(hub, press):
    for method, rate in ("full", 3e-5), ("frozen", 3e-5), ("lora", 2e-4):
        run = train(press, start=BLIP, method=method, limit=16)
        assert run.settings["learning_rate"] == rate, method


# -- where it goes ---------------------------------------------------------------------------------
def test_a_checkpoint_answers_in_the_tab_and_outside(hub, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(caption_data, "load_once", caption_data.load)
    folder = album(tmp_path / "album", "captions.csv")
    settings = {"source": "folder", "folder": str(folder), "limit": 0, "batch_size": 8}
    run = train(
        runs, start=BLIP, swap="always", learning_rate=5e-3, epochs=30, words=24, **settings
    )
    slot = app.open_lab(runs).slots["captions"]
    slot.swap(run.id)
    photo = folder / "00.png"
    found = captioning.caption(slot, Image.open(photo))
    assert found.checkpoint == run.id and len(found.alternatives) == 4
    assert "square" in found.text and found.unlikeness is not None
    greedy = [*captioning.stream(slot, Image.open(photo))][-1]
    assert "square" in greedy
    shown = [*captioning.ask_on_page(slot)(str(photo), run.id, False, 1.0, 10)][-1][0]
    # Each word with what was attended to for it, and not each piece of one.
    assert shown.count('class="word"') == len(found.text.split())
    agree(runs, "captions", run.id, photo, tmp_path)
    # And for the library alone it is what it was.
    processor = AutoProcessor.from_pretrained(run.checkpoint)
    alone = AutoModelForImageTextToText.from_pretrained(run.checkpoint)
    given = processor(images=Image.open(photo).convert("RGB"), return_tensors="pt")
    ids = alone.generate(**given, num_beams=4, max_new_tokens=24)
    assert "square" in processor.decode(ids[0], skip_special_tokens=True)


@pytest.mark.parametrize(
    "start, method", [*((BLIP, each) for each in ("frozen", "full", "lora")), ("embedded", "lora")]
)
def test_the_estimate_measures_the_network_that_will_learn(hub, runs, tmp_path, start, method):
    bring.add(runs, "mine", [album(tmp_path / "mine", "captions.csv")])
    settings = {"source": "own", "dataset": "mine", "method": method, "start": start}
    found = estimate(recipe.load("captioning"), settings, runs)
    assert found.seconds > 0 and found.examples == 15


# -- refusals --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, settings, told",
    [
        (
            "captioning",
            {"start": "tiny/git"},
            "tiny/git is no captioner of an encoder and a decoder",
        ),
        ("captioning", {"start": BLIP, "image_size": 64}, "leave image_size at 0"),
        (
            "food",
            {"start": BLIP},
            "tiny/blip cannot be used to tell pictures apart (blip is another kind of network)",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(hub, runs, name, settings, told):
    run = job.create(runs, name, {"limit": 16, "epochs": 1, **settings})
    assert execute(run) == SETTINGS
    assert told in run.status["reason"] and is_a_sentence(run.status["reason"])
