"""The captioning recipe: two real steps of each method, exact captions, what is published, kept and
continued."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from albums import SIZE, TINY, TWO_STEPS, album, captioner, published, sentences, train, weights
from conftest import execute, left_by_a_run, slow
from learning import goes_on_exactly, losses, same_losses
from transformers import AutoConfig, AutoModelForImageClassification, VisionEncoderDecoderModel

from training import recipe
from training.__main__ import DONE, SETTINGS
from training.data.examples import Examples
from training.data.pictures import Store
from training.learn import features
from training.learn.backbone import Start, open_start
from training.learn.known import open_known
from training.learn.loop import order_by_length
from training.learn.optimizers import group_parameters, make_optimizer
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.captioning import data as caption_data
from training.recipes.captioning import metrics as caption_metrics
from training.recipes.captioning import model as caption_model
from training.recipes.captioning import score as caption_score
from training.recipes.captioning import train as caption_train
from training.recipes.captioning.config import Config
from training.recipes.captioning.model import open_network
from training.recipes.captioning.score import compute_loss, write_captions
from training.runs import job
from training.runs.run import Run


@pytest.fixture(scope="session")
def press(tmp_path_factory):
    """A folder of runs with one tiny captioner of each kind to start from."""
    return tmp_path_factory.mktemp("press")


@pytest.fixture(scope="session")
def starts(press) -> dict[str, str]:
    return {kind: published(press, kind, sentences()).id for kind in TINY}


@pytest.fixture(autouse=True, scope="module")
def few_pictures():
    """Beam search over all the sample's test pictures would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        whole = caption_data.load("", "sample")
        few = dataclasses.replace(whole, test=whole.test[np.arange(12)])
        patch.setattr(caption_data, "load_once", lambda *_: few)
        patch.setattr(caption_train, "JUDGED", 8)
        yield


# -- each method -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind, method",
    [
        *(("vit", method) for method in ("full", "frozen", "lora", "scratch")),
        *slow(("swin", "full"), ("swin", "frozen")),
    ],
)
def test_two_steps_of_each_method_publish_an_ordinary_captioner(press, starts, kind, method):
    run = train(press, start=starts[kind], method=method)
    assert len(losses(run)) == 2
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    assert open_known(run.checkpoint) is not None
    model, preprocessor = open_network(run.checkpoint)
    test = caption_data.load_once().test
    exam = caption_score.make_exam(Config(), caption_data.load_once())
    said = write_captions(model, preprocessor, Store(test, PicturePreprocessor(SIZE)))
    told = run.metrics["after"]["cider_d"]
    assert len(said) == 12 and exam.score(said).value == pytest.approx(told, abs=1e-6)
    before, after = weights(Run.find(press, starts[kind])), weights(run)
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert "decoder" in changed and ("encoder" in changed) == (method != "frozen")


def test_a_report_has_the_usual_scores_before_and_after_and_the_best_and_worst(press, starts):
    run = train(press, start=starts["vit"])
    before, after = run.metrics["before"], run.metrics["after"]
    assert (
        set(before)
        == set(after)
        >= {"cider_d", "interval", "n", "bleu1", "bleu4", "rouge_l", "distinct", "length"}
    )
    assert after["n"] == 12 and after["interval"][0] <= after["cider_d"] <= after["interval"][1]
    told = run.metrics["captions"]["worst"][0]
    assert (run.report / told["picture"]).stat().st_size > 500 and len(told["references"]) == 5
    assert (
        "CIDEr-D on" in run.log_file.read_text()
        and "bootstrap" in (run.checkpoint / "README.md").read_text()
    )
    assert "480 scenes" in run.metrics["held_out"]


def test_the_page_shows_the_scores_the_captions_and_their_references(press, starts):
    from demos import run_views

    run = train(press, start=starts["vit"])
    shown = run_views.report(run)
    assert (
        "CIDEr-D on" in shown
        and "BLEU-4" in shown
        and "Best captions" in shown
        and "Worst captions" in shown
    )
    told = run.metrics["captions"]["best"][0]
    assert told["references"][2] in shown and shown.count("data:image/jpeg") == 24
    assert run_views.score_title(run) == "Validation score" and "References" in shown
    assert "%" not in run_views.find_report(run).after.text()


@pytest.mark.slow
def test_eight_pictures_are_learned_to_their_exact_captions():
    from accelerate import Accelerator

    from training.learn.loop import fit

    config = Config(
        epochs=220,
        batch_size=8,
        learning_rate=5e-3,
        augmentation="none",
        label_smoothing=0.0,
        dropout=0.0,
        warmup=0.05,
    )
    data = caption_data.load_once()
    part = data.train[np.arange(8)]
    part.texts = {place: data.train.texts[place][:1] for place in part.places}
    model, preprocessor = captioner("vit", sentences())
    caption_model.configure(model, preprocessor.tokenizer, config)
    learner, store = caption_model.Teller(model, model), Store(part, PicturePreprocessor(SIZE))

    class Quiet:
        main, resume = True, None
        should_stop = say = log = beat = staticmethod(lambda *_, **__: False)

    told = caption_train.make_lesson(
        learner, model, preprocessor, part, store, part[np.zeros(0, int)], None, config, Quiet()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.learn.loop._Fit._save", lambda *_: None)
        optimizer = make_optimizer(group_parameters(learner, []), config, 5e-3)
        fit(learner, told, optimizer, config, 5e-3, Quiet(), Accelerator(cpu=True))
    assert write_captions(model, preprocessor, store, beams=1) == [
        part.texts[place][0] for place in part.places
    ]
    assert write_captions(model, preprocessor, store) == [
        part.texts[place][0] for place in part.places
    ]


def test_a_captioner_that_does_not_say_how_long_captions_may_be_is_given_an_end(monkeypatch):
    model, preprocessor = captioner("vit", sentences())
    model.generation_config.max_new_tokens, model.generation_config.eos_token_id = (
        None,
        None,
    )  # it never ends
    monkeypatch.setattr(caption_model, "WORDS", 5)
    states = torch.zeros(1, 4, model.config.encoder.hidden_size)
    assert model.generate(**caption_model.prepare_generation(model, states), num_beams=1).shape == (
        1,
        1 + 5,
    )
    model.generation_config.max_new_tokens = 3
    assert model.generate(**caption_model.prepare_generation(model, states), num_beams=1).shape == (
        1,
        1 + 3,
    )


# -- frozen ----------------------------------------------------------------------------------------
def test_kept_encodings_give_the_loss_of_pictures(press, starts):
    data, run = caption_data.load_once(), Run.create(press, "captioning", {})
    config = Config(augmentation="none", dropout=0.0)
    part = data.train[np.arange(24)]
    model, preprocessor = captioner("vit", sentences())
    caption_model.configure(model, preprocessor.tokenizer, config)
    learner, nothing = caption_model.Teller(model, model), part[np.zeros(0, int)]
    model.eval()
    sums = []
    for given in (
        Store(part, PicturePreprocessor(SIZE)),
        caption_score.compute_encodings(model, preprocessor, part, run),
    ):
        told = caption_train.make_lesson(
            learner, model, preprocessor, part, given, nothing, None, config, run
        )
        sums.append(told.loss(learner, told.fetch(torch.arange(24), 3), slice(0, 24)).item())
    assert sums[0] == pytest.approx(sums[1], rel=1e-5) and sums[0] > 1
    mine = caption_score.compute_encodings(model, preprocessor, part, run)
    turned = caption_score.compute_encodings(model, preprocessor, part[np.arange(24)[::-1]], run)
    assert (
        torch.equal(turned, mine.flip(0))
        and run.log_file.read_text().count("computed by an earlier run") == 2
    )


def test_a_second_frozen_run_looks_at_no_picture(press, starts, monkeypatch):
    first = train(press, start=starts["swin"], method="frozen", seed=3)

    def looked(*_):
        raise AssertionError("a picture was encoded again")

    monkeypatch.setattr(caption_score, "encode", looked)
    monkeypatch.setattr("training.judge.exam._compare_with_active", lambda *_: None)
    run = job.create(
        press,
        "captioning",
        {
            **TWO_STEPS,
            "start": starts["swin"],
            "method": "frozen",
            "seed": 3,
            "learning_rate": 0.01,
        },
    )
    assert execute(run) == DONE, run.status
    assert "computed by an earlier run" in run.log_file.read_text()
    assert not same_losses(losses(first)[1:], losses(run)[1:])


def test_large_encodings_are_kept_in_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "LARGE", 1000)
    run = Run.create(tmp_path, "captioning", {})
    kept = features.load_or_compute(
        tmp_path, "a", np.arange(8), lambda at: torch.full((len(at), 64), 1 / 3), run
    )
    assert kept.dtype == torch.float16 and kept.shape == (8, 64)


# -- what is learned from --------------------------------------------------------------------------
def test_every_caption_has_its_turn(starts):
    part = caption_data.load_once().train[np.arange(40)]
    _, preprocessor = captioner("vit", sentences())
    for each in (1, 2, 5):
        own = caption_train.Sentences(part, preprocessor, Config(each=each))
        seen = [own.choose(7, epoch) for epoch in range(5)]
        assert {tuple(ids) for epoch in seen for ids in epoch} == {tuple(ids) for ids in own.ids[7]}
        assert all(len(epoch) == each for epoch in seen)


def test_captions_that_share_a_look_give_the_loss_of_captions_apart():
    part = caption_data.load_once().train[np.arange(6)]
    model, preprocessor = captioner("vit", sentences())
    model.eval()
    together = caption_train.Sentences(part, preprocessor, Config(each=5))
    read, write, real = together.batch(torch.arange(6), 0, model.config.decoder_start_token_id)
    x = preprocessor.pictures.normalise(
        torch.from_numpy(Store(part, PicturePreprocessor(SIZE))[np.arange(6)])
    )
    with torch.no_grad():
        logits, _ = caption_model.Teller(model, model)(
            x, read.flatten(0, 1), real.flatten(0, 1), 5, False
        )
        mine = torch.nn.functional.cross_entropy(logits, write[real], reduction="sum")
        theirs = 0.0
        for i in range(6):
            for j in range(5):
                labels = torch.where(real[i, j], write[i, j], -100)[None]
                theirs += float(
                    model(
                        pixel_values=x[i : i + 1], decoder_input_ids=read[i, j][None], labels=labels
                    ).loss
                    * real[i, j].sum()
                )
    assert float(mine) == pytest.approx(theirs, rel=1e-4)


def test_the_loss_told_of_held_out_captions_is_the_librarys():
    part = caption_data.load_once().train[np.arange(5)]
    model, preprocessor = captioner("vit", sentences())
    model.eval()
    mine = compute_loss(model, preprocessor, part, Store(part, PicturePreprocessor(SIZE)), 40)
    x = preprocessor.pictures.normalise(
        torch.from_numpy(Store(part, PicturePreprocessor(SIZE))[np.arange(5)])
    )
    rows = preprocessor.tokenize([part.texts[place][0] for place in part.places], 40)
    with torch.no_grad():
        told = [
            (float(model(pixel_values=x[i : i + 1], labels=torch.tensor([row])).loss), len(row))
            for i, row in enumerate(rows)
        ]
    assert mine == pytest.approx(sum(a * n for a, n in told) / sum(n for _, n in told), rel=1e-4)


def test_captions_of_like_length_go_together_and_all_once():
    part = caption_data.load_once().train
    _, preprocessor = captioner("vit", sentences())
    lengths = caption_train.Sentences(part, preprocessor, Config()).measure_lengths(2)
    order = order_by_length(lengths, 16, 0, 2)
    assert sorted(order.tolist()) == list(range(len(part)))
    inside = np.mean([np.ptp(lengths[b.numpy()]) for b in order.split(16)])
    assert inside < 0.5 * np.mean(
        [np.ptp(lengths[b]) for b in np.array_split(np.arange(len(part)), len(part) // 16)]
    )


def test_the_encoder_learns_to_name_words_beside_and_publishes_nothing_of_it(press, starts):
    run = train(press, start=starts["vit"], naming=1.0, each=3)
    assert not any("namer" in name for name in weights(run))
    part = caption_data.load_once().train
    names = caption_train.find_names(part)
    assert {"dog", "cat"} & set(names) and "a" not in names
    told = caption_train.mark_names(part[np.arange(4)], names)
    for row, place in zip(told, part.places[:4], strict=True):
        words = set(" ".join(part.texts[place]).split())
        assert {names[i] for i in torch.nonzero(row)[:, 0]} == words & set(names)


def test_words_that_are_as_common_have_one_order_in_every_process():
    texts = [["one two three four five six"], ["six five four three two one"]] * 4
    spare = [["something else"]] * 20
    part = Examples(str, np.arange(28), None, np.arange(28) / 28, texts + spare)
    assert caption_train.find_names(part) == ["one", "two", "three", "four", "five", "six"]


# -- continuing ------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["frozen", *slow(("full",))])
def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(press, starts, method):
    settings = dict(
        TWO_STEPS,
        start=starts["vit"],
        method=method,
        epochs=2,
        augmentation="strong",
        dropout=0.3,
        accumulate=2,
        naming=0.5 if method == "full" else 0.0,
    )
    goes_on_exactly(press, "captioning", settings, weights)


# -- parts -----------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def eyes(press) -> str:
    """A run of the food recipe that left a tiny Swin, which can see for a captioner."""
    model = AutoModelForImageClassification.from_config(
        AutoConfig.for_model(**TINY["swin"], num_labels=3)
    )
    return left_by_a_run(press, "food", "food", model, PicturePreprocessor(SIZE).processor()).id


@pytest.mark.slow
def test_an_encoder_of_a_food_run_and_a_new_decoder_are_joined(press, eyes):
    run = train(press, start="parts", encoder=eyes, decoder="new", epochs=1)
    assert run.settings["base"] == f"{eyes} + new" and run.metrics["before"] is None
    model, preprocessor = open_network(run.checkpoint)
    assert model.config.encoder.model_type == "swin" and model.config.decoder.add_cross_attention
    assert (
        preprocessor.tokenizer.decode(
            preprocessor.tokenize(["a red dog"], 20)[0], skip_special_tokens=True
        ).strip()
        == "a red dog"
    )
    again = train(press, start="parts", encoder=eyes, decoder="new", method="lora", lora_rank=2)
    assert not any("lora" in name for name in weights(again))


def test_what_is_joined_is_what_the_library_runs(press, eyes):
    config = Config(start="parts", encoder=eyes, decoder="new")
    model, preprocessor, _ = caption_model.build_network(config, Start("parts"), sentences(), press)
    x = torch.randn(2, 3, SIZE, SIZE)
    ids = torch.randint(5, 50, (2, 6))
    model.eval()
    with torch.no_grad():
        theirs = model(pixel_values=x, decoder_input_ids=ids).logits
        mine, _ = caption_model.Teller(model, model)(
            x, ids, torch.ones(2, 6, dtype=torch.bool), 1, False
        )
    assert torch.allclose(theirs.flatten(0, 1), mine, atol=1e-5)


def test_a_captioner_says_of_which_parts_and_of_which_revision_it_was_joined(
    press, eyes, monkeypatch
):
    path = Run.find(press, eyes).checkpoint
    monkeypatch.setattr("training.data.hub.download_model", lambda name: (path, "c0ffee"))
    run = train(press, start="parts", encoder="somebody/eyes", decoder="new", limit=8, epochs=1)
    assert run.settings["parts"] == {"somebody/eyes": "c0ffee", "new": ""}
    card = (run.checkpoint / "README.md").read_text("utf-8")
    assert (
        "| Starts from | somebody/eyes (revision c0ffee) + new |" in card
        and "- somebody/eyes\n" in card
    )


def test_what_is_published_does_not_tell_where_its_parts_lay(press, eyes, tmp_path):
    model, _, _ = caption_model.build_network(
        Config(start="parts", encoder=eyes, decoder="new"), Start("parts"), sentences(), press
    )
    model.save_pretrained(tmp_path)
    assert press.name not in (tmp_path / "config.json").read_text("utf-8")


def test_a_network_without_places_cannot_be_an_encoder(press):
    made = AutoConfig.for_model(
        "resnet", layer_type="basic", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]
    )
    run = left_by_a_run(
        press,
        "food",
        "food",
        AutoModelForImageClassification.from_config(made),
        PicturePreprocessor(SIZE).processor(),
    )
    asked = job.create(
        press, "captioning", {**TWO_STEPS, "start": "parts", "encoder": run.id, "decoder": "new"}
    )
    assert execute(asked) == SETTINGS and "Choose a ViT, DeiT or Swin" in asked.status["reason"]


def test_a_checkpoint_of_another_kind_cannot_be_gone_on_from(press, eyes):
    with pytest.raises(recipe.SettingsError, match="a model of another kind .food."):
        job.create(press, "captioning", {**TWO_STEPS, "start": eyes})


def test_the_small_network_is_under_25_mb_in_half_precision_with_its_words(tmp_path):
    model, preprocessor, _ = caption_model.build_network(
        Config(method="scratch", arch="small"), Start("small"), sentences(), tmp_path
    )
    model.half().save_pretrained(tmp_path)
    preprocessor.save_pretrained(tmp_path)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 25e6


def test_half_precision_on_disk_is_what_the_report_measures(press, starts, tmp_path):
    run = train(press, start=starts["vit"], store="float16")
    assert json.loads((run.checkpoint / "config.json").read_text())["dtype"] == "float16"
    made = recipe.load("captioning")
    assert made.evaluate(run.checkpoint, Config(), tmp_path).after.to_json() == run.metrics["after"]


# -- settings --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings, told",
    [
        (dict(source="folder"), "go together"),
        (dict(start="scratch"), "choose method 'scratch'"),
        (dict(arch="small"), "goes with method 'scratch'"),
        (dict(start="parts", encoder="new", method="frozen"), "needs a trained encoder"),
        (dict(each=9), "from 1 to 5"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(settings, told):
    with pytest.raises(recipe.SettingsError, match=told):
        recipe.parse(Config, settings)


def test_a_size_that_a_transformer_was_not_made_for_is_refused(press, starts):
    run = job.create(press, "captioning", {**TWO_STEPS, "start": starts["vit"], "image_size": 64})
    assert execute(run) == SETTINGS and "leave image_size at 0" in run.status["reason"]
    assert "cannot be used" not in run.status["reason"], "one sentence, not one within another"


def test_a_swin_that_knows_places_by_its_windows_alone_goes_on_at_another_size(press, starts):
    base = Run.find(press, starts["swin"])
    config = Config(start=base.id, image_size=2 * SIZE)
    model, preprocessor, _ = caption_model.build_network(
        config, open_start(base.id, press, "captions"), sentences(), press
    )
    assert preprocessor.pictures.size == model.config.encoder.image_size == 2 * SIZE
    with torch.no_grad():
        assert (
            caption_model.encode(model.eval(), torch.zeros(1, 3, 2 * SIZE, 2 * SIZE)).shape[1]
            == 4
            * (
                caption_model.encode(
                    open_network(base.checkpoint)[0].eval(), torch.zeros(1, 3, SIZE, SIZE)
                ).shape[1]
            )
        )


def test_an_own_album_is_learned_and_a_checkpoint_of_classes_is_not_scored(
    press, starts, tmp_path, eyes
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_data, "load_once", caption_data.load)
        run = train(
            press,
            start=starts["vit"],
            source="folder",
            folder=str(album(tmp_path, "captions.txt")),
            limit=0,
            batch_size=4,
            scenes=8,
        )
    assert "the folder" in run.metrics["held_out"] and 1 <= run.metrics["after"]["n"] <= 6
    assert re.match(r"(1[6-9]|2[01]) training pictures", run.log_tail()), (
        "some 12 of the album's and 8 scenes"
    )
    with pytest.raises(recipe.SettingsError, match="writes no captions"):
        recipe.load("captioning").evaluate(Run.find(press, eyes).checkpoint, Config(), tmp_path)


def test_what_is_published_works_without_us(press, starts):
    run = train(press, start=starts["swin"])
    from transformers import AutoImageProcessor, AutoTokenizer

    model = VisionEncoderDecoderModel.from_pretrained(run.checkpoint).eval()
    picture = caption_data.load_once().test.read_one(0)
    pixels = AutoImageProcessor.from_pretrained(run.checkpoint)(
        images=picture, return_tensors="pt"
    )["pixel_values"]
    with torch.inference_mode():
        ids = model.generate(pixels)
    text = AutoTokenizer.from_pretrained(run.checkpoint).decode(ids[0], skip_special_tokens=True)
    assert text.strip() and caption_metrics.words(text)
