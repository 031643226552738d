"""The audio recipe: two real steps of each method, what is published and kept, what continues, what
is warned of."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch
from conftest import execute, slow
from learning import goes_on_exactly, losses, same
from voices import RATE, TINY, TWO_STEPS, extractor, network, published, tone, tones, train, weights

from training import recipe
from training.__main__ import SETTINGS
from training.data.examples import Data
from training.learn import backbone, finetune, probe
from training.learn.backbone import Start
from training.learn.known import open_known
from training.recipes.audio_intent import data as audio_data
from training.recipes.audio_intent import model as audio_model
from training.recipes.audio_intent import score as audio_score
from training.recipes.audio_intent import train as audio_train
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import Heard, load
from training.recipes.audio_intent.model import SoundPreprocessor, open_network
from training.recipes.audio_intent.score import predict
from training.runs import checkpoint, job
from training.runs.run import Run
from training.samples.wordings import INTENTS

pytestmark = pytest.mark.usefixtures("quick_picture")


@pytest.fixture(scope="module", autouse=True)
def few_test_clips():
    """Every tenth of the sample's test clips, all classes: what is tested is the recipe, not its
    score."""
    whole = audio_data._load_sample

    def few() -> Data:
        data = whole()
        return dataclasses.replace(data, test=data.test[np.arange(0, len(data.test), 10)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_data, "_load_sample", few)
        audio_data.load_once.cache_clear()
        yield
    audio_data.load_once.cache_clear()


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A folder of runs with one tiny network of each kind to start from."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def starts(studio) -> dict[str, str]:
    return {kind: published(studio, kind, INTENTS).id for kind in TINY}


# -- each method -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind, method",
    [
        ("conformer", "full"),
        ("conformer", "lora"),
        ("wav2vec2", "frozen"),
        *slow(
            ("conformer", "scratch"),
            ("conformer", "frozen"),
            ("wav2vec2", "full"),
            ("wav2vec2", "lora"),
            ("group", "frozen"),
            ("hubert", "full"),
            ("whisper", "full"),
            ("whisper", "frozen"),
        ),
    ],
)
def test_two_steps_of_each_method_publish_an_ordinary_checkpoint(studio, starts, kind, method):
    run = train(studio, start=starts[kind], method=method)
    assert len(losses(run)) == (1 if method == "frozen" else 2)  # a head is solved for at once
    model, preprocessor = open_network(run.checkpoint)
    assert (
        checkpoint.labels(run.checkpoint) == INTENTS
        and model.config.seconds == 3.0
        and preprocessor.rate == RATE
    )
    test = load("", "sample", "", "en-US", 3000).test
    found = predict(model, Heard(test, 3.0), preprocessor)
    assert (found.argmax(1) == test.labels).mean() == pytest.approx(
        run.metrics["after"]["accuracy"], abs=1e-5
    )
    before, after = weights(Run.find(studio, starts[kind])), weights(run)
    changed = {
        name for name in after if name not in before or not torch.equal(before[name], after[name])
    }
    body = {name for name in changed if not name.startswith(audio_score.HEAD)}
    assert changed and bool(body) == (method != "frozen")
    assert not any("feature_extractor" in name for name in body), "the feature encoder stays"
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    assert open_known(run.checkpoint) is not None


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper", "conformer"])
@pytest.mark.parametrize("layers", [False, True])
def test_what_a_classifier_gets_is_the_same_from_kept_features_as_on_the_page(runs, kind, layers):
    """Of that it is measured what a network knows, and of that the page asks."""
    model = network(kind, INTENTS, use_weighted_layer_sum=layers)
    preprocessor = SoundPreprocessor(extractor(kind))
    clips = load("", "sample", "", "en-US", 3000).test[np.arange(4)]
    heard = Heard(clips, 3.0)
    run = Run.create(runs, "audio_intent", {})
    kept = audio_score.compute_features(model, preprocessor, heard, run)
    assert (kept.ndim == 3) == layers
    found = audio_model.pass_on(model, kept).cpu()
    received = audio_score.compute_received(model, preprocessor, heard, run)
    torch.testing.assert_close(found, received, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("arch", ["conformer", "wav2vec2"])
def test_the_small_networks_are_under_12_mb_in_half_precision_and_hear_a_batch_as_single_clips(
    arch,
):
    model, preprocessor = audio_model.build_network(
        Config(method="scratch", arch=arch), Start(arch), INTENTS
    )
    assert 2 * sum(p.numel() for p in model.parameters()) < 12e6
    clips = [tone(300, seconds, seed=i) for i, seconds in enumerate((0.6, 1.3, 2.9))]
    with torch.inference_mode():
        model.eval()
        together = model(**preprocessor.prepare(clips)).logits
        alone = torch.cat([model(**preprocessor.prepare([clip])).logits for clip in clips])
    assert torch.allclose(together, alone, atol=1e-5) and together.std() > 1e-3


def test_the_embedded_checkpoint_hears_a_batch_as_single_clips():
    model, preprocessor = open_network(checkpoint.embedded("audio").path)
    clips = [load("", "sample", "", "en-US", 3000).test.read_one(i) for i in (3, 8, 12)]
    with torch.inference_mode():
        model.eval()
        together = model(**preprocessor.prepare(clips)).logits
        alone = torch.cat([model(**preprocessor.prepare([clip])).logits for clip in clips])
    assert len({len(c) for c in clips}) == 3 and torch.allclose(together, alone, atol=1e-4)


def test_the_spectra_are_those_of_the_library_the_floor_apart(monkeypatch):
    monkeypatch.setattr(audio_model, "FLOOR", -np.inf)
    preprocessor, clips = (
        SoundPreprocessor(extractor("conformer")),
        [tone(300, 0.8), tone(500, 1.37)],
    )
    mine, theirs = (
        preprocessor.prepare(clips),
        preprocessor.extractor(clips, sampling_rate=RATE, return_tensors="pt"),
    )
    assert torch.equal(mine["attention_mask"], theirs["attention_mask"])
    assert (mine["input_features"] - theirs["input_features"]).abs().max() < 5e-3


def test_digital_silence_around_speech_weighs_no_more_than_the_last_bit_of_a_file():
    """Exact zeros are 160 dB under speech: they moved every clip's mean, and one answer in twenty
    with it."""
    preprocessor, clip = (
        SoundPreprocessor(extractor("conformer")),
        load("", "sample", "", "en-US", 3000).test.read_one(3),
    )
    clip = np.concatenate([np.zeros(8000, np.float32), clip])
    rounded = (
        np.rint(clip * 32767) / 32767 + np.tile([0, 1 / 32767], len(clip))[: len(clip)]
    ).astype(np.float32)
    exact, noisy = (preprocessor.prepare([each])["input_features"] for each in (clip, rounded))
    assert (exact - noisy).abs().mean() < 0.1


@pytest.mark.slow
def test_the_recipe_says_where_a_padded_clip_is_heard_otherwise_and_scores_it_alone(studio, starts):
    run = train(studio, start=starts["group"], method="full")
    assert "scored one at a time" in run.log_file.read_text()
    model, preprocessor = open_network(run.checkpoint)
    heard = Heard(load("", "sample", "", "en-US", 3000).test[np.arange(12)], 3.0)
    with torch.inference_mode():
        model.eval()
        alone = [
            model(**preprocessor.prepare([heard[i]])).logits.softmax(1)[0].numpy()
            for i in range(12)
        ]
    assert np.allclose(predict(model, heard, preprocessor), alone, atol=1e-6)


# -- Whisper's window ------------------------------------------------------------------------------
@pytest.mark.parametrize("seconds, window", [(0.7, 1), (1.5, 2), (3.0, 3), (4.2, 5)])
def test_a_whisper_hears_about_as_long_as_the_clips_are(seconds, window, tmp_path):
    model = network("whisper", ["a", "b"], max_source_positions=150).eval()
    before = SoundPreprocessor(extractor("whisper"))
    positions = model.encoder.embed_positions.weight.detach().clone()
    preprocessor = audio_model.fit_window(model, before, seconds)
    assert model.config.max_source_positions == 50 * window
    assert preprocessor.extractor.chunk_length == window
    now = model.encoder.embed_positions.weight
    least = min(150, 50 * window)
    assert len(now) == 50 * window and torch.equal(now[:least], positions[:least])
    model.save_pretrained(tmp_path)
    preprocessor.extractor.save_pretrained(tmp_path)
    again, same_way = open_network(tmp_path)
    inputs = same_way.prepare([tone(300, 0.6), tone(300, seconds)])
    with torch.no_grad():
        assert torch.allclose(again.eval()(**inputs).logits, model(**inputs).logits, atol=1e-5)


@pytest.mark.parametrize("method", ["frozen", *slow(("full",), ("lora",))])
def test_a_run_fits_the_window_to_its_clips(studio, starts, method):
    run = train(studio, start=starts["whisper"], method=method, seconds=2.0)
    model, preprocessor = open_network(run.checkpoint)
    assert preprocessor.extractor.chunk_length == 2 and model.config.seconds == 2.0
    if method == "frozen":
        assert "cross-validated accuracy by layer: layer 1 " in run.log_file.read_text()


# -- frozen ----------------------------------------------------------------------------------------
def test_features_are_kept_for_clips_in_any_order(studio, starts):
    model, preprocessor = open_network(Run.find(studio, starts["wav2vec2"]).checkpoint)
    run, clips = Run.create(studio, "audio_intent", {}), load("", "sample", "", "en-US", 3000).test
    first, second = (
        audio_score.compute_features(model, preprocessor, Heard(clips[at], 3.0), run)
        for at in (np.arange(8), np.arange(8)[::-1])
    )
    assert (
        torch.equal(second, first.flip(0))
        and "computed by an earlier run" in run.log_file.read_text()
    )


def test_a_second_frozen_run_computes_no_features(studio, starts, monkeypatch):
    train(studio, start=starts["wav2vec2"], method="frozen", seed=3)

    def computed(*_):
        raise AssertionError("features were computed again")

    monkeypatch.setattr(audio_model, "average_layers", computed)
    second = train(studio, start=starts["wav2vec2"], method="frozen", seed=3, swap="always")
    assert "computed by an earlier run" in second.log_file.read_text()


def test_kept_features_are_what_the_head_gets_in_the_whole_network(studio, monkeypatch):
    """One batch holds all, and nothing is dropped at random, so both methods begin with the same
    loss."""
    still = dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0
    )
    start = published(
        studio, "wav2vec2", INTENTS, use_weighted_layer_sum=True, layerdrop=0.0, **still
    )
    settings = dict(start=start.id, augmentation="none", spec_augment=0.0, batch_size=28)
    monkeypatch.setattr(audio_model, "find_solvable", lambda _: None)
    frozen = train(studio, method="frozen", **settings)
    whole = train(studio, method="full", **settings)
    assert losses(frozen) == pytest.approx(losses(whole), abs=1e-4) and losses(frozen)[0] > 1


def test_the_mean_of_every_layer_gives_the_logits_of_the_whole_network():
    for kind in ("wav2vec2", "conformer", "hubert"):
        model, preprocessor = (
            network(kind, INTENTS, use_weighted_layer_sum=True).eval(),
            SoundPreprocessor(extractor(kind)),
        )
        with torch.no_grad():
            model.layer_weights.normal_()
            inputs = preprocessor.prepare([tone(300, 0.7), tone(400, 1.2)])
            found = audio_model.LayersHead(model)(audio_model.average_layers(model, inputs))
            assert torch.allclose(found, model(**inputs).logits, atol=1e-5), kind


@pytest.mark.parametrize("classes", [3, 12, 20])
def test_a_solution_is_held_by_the_layers_the_projection_and_the_classifier(classes):
    """Also where there are as many classes as the projection is wide, or more."""
    wide = max(12, classes)
    names = [f"class {i}" for i in range(classes)]
    model = network(
        "wav2vec2", names, use_weighted_layer_sum=True, hidden_size=32, classifier_proj_size=wide
    )
    head = audio_model.LayersHead(model)
    means = torch.randn(5, len(model.layer_weights), 32)
    offered = head.offer(means)
    assert len(offered) >= 3
    rng = np.random.default_rng(0)
    for name, features in offered.items():
        solution = probe.Solution(rng.normal(size=(32, classes)), rng.normal(size=classes))
        head.write(name, solution)
        wanted = torch.from_numpy(solution(features.double().numpy()))
        with torch.no_grad():
            found = head(means)
        assert torch.allclose(found.softmax(1), wanted.softmax(1).float(), atol=1e-4)
        rank = torch.linalg.matrix_rank(model.projector.weight)
        assert rank == wide, "what the classes leave of its room is still of use"


# -- lora ------------------------------------------------------------------------------------------
def test_lora_merged_answers_as_lora_unmerged():
    adapted = backbone.add_lora(network("conformer", INTENTS), 4).eval()
    inputs = SoundPreprocessor(extractor("conformer")).prepare([tone(300, 0.7), tone(400, 1.2)])
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.05)
        apart = adapted(**inputs).logits
        together = backbone.merge_lora(adapted)
        assert torch.allclose(together(**inputs).logits, apart, atol=1e-4)
    assert not any("lora" in name for name in together.state_dict())


# -- continuing ------------------------------------------------------------------------------------
@pytest.mark.parametrize("method, kind", [("full", "conformer"), *slow(("full", "wav2vec2"))])
def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(studio, starts, method, kind):
    settings = dict(
        TWO_STEPS,
        start=starts[kind],
        method=method,
        epochs=2,
        augmentation="strong",
        spec_augment=0.2,
    )
    goes_on_exactly(studio, "audio_intent", settings, weights)


# -- what a person is told -------------------------------------------------------------------------
def test_the_method_for_this_machine_is_chosen_and_recorded(studio, starts, monkeypatch):
    monkeypatch.setattr("training.device.device", lambda: "cpu")
    run = train(studio, start=starts["conformer"], method="auto")
    assert run.settings["method"] == "frozen" and run.settings["seconds"] == 3.0
    assert "s long, half of them under" in run.settings["lengths"]
    monkeypatch.setattr("training.device.device", lambda: "cuda")
    assert Config().resolved_method == "full"


@pytest.mark.slow
def test_learning_to_spell_reads_what_is_said_and_is_not_published(studio, starts):
    plain = train(studio, start=starts["conformer"], method="full")
    run = train(studio, start=starts["conformer"], method="full", spelling=1.0, accumulate=2)
    assert losses(run)[0] > losses(plain)[0] + 1 and not any(
        "speller" in name for name in weights(run)
    )
    assert weights(run).keys() == weights(plain).keys()
    assert audio_train.plain("Ça va, 3! Здесь it's") == "ca va  здесь it's"


def test_spelling_without_texts_is_told(studio, starts, tmp_path):
    run = train(
        studio,
        start=starts["conformer"],
        method="full",
        source="folder",
        batch_size=8,
        limit=0,
        folder=str(tones(tmp_path / "own")),
        spelling=1.0,
    )
    assert "there is no transcription loss" in run.log_file.read_text()


def test_hopeless_settings_are_warned_of(studio, starts):
    run = train(studio, start=starts["conformer"], method="full", seconds=0.5)
    log = run.log_file.read_text()
    assert (
        "less than half the length of most clips" in log
        and "steps in all, which is too few to learn much" in log
    )
    assert all("the base, " in text for text in (log, run.status["note"]))


def test_mistakes_can_be_played(studio, starts):
    run = train(studio, start=starts["conformer"], method="frozen")
    shown = run.metrics["mistakes"][0]
    sound, rate = soundfile.read(run.report / shown["picture"])
    assert rate == RATE and len(sound) > RATE and shown["truth"] != shown["said"]


@pytest.mark.slow
def test_from_random_weights_it_learns_what_can_be_learned(studio, tmp_path):
    own = str(tones(tmp_path / "own", each=20))
    run = train(
        studio,
        method="scratch",
        arch="conformer",
        source="folder",
        folder=own,
        limit=0,
        batch_size=8,
        epochs=10,
        holdout=0,
        augmentation="none",
        spec_augment=0.0,
    )
    assert run.metrics["before"] is None and run.metrics["classes"] == [
        "pitch0",
        "pitch1",
        "pitch2",
    ]
    assert run.metrics["after"]["accuracy"] >= 0.8


@pytest.mark.slow
def test_half_precision_on_disk_is_what_the_report_measures(studio, starts):
    run = train(studio, start=starts["conformer"], method="frozen", store="float16")
    assert json.loads((run.checkpoint / "config.json").read_text())["dtype"] == "float16"
    model, preprocessor = open_network(run.checkpoint)
    test = load("", "sample", "", "en-US", 3000).test
    found = predict(model, Heard(test, 3.0), preprocessor)
    assert (found.argmax(1) == test.labels).mean() == pytest.approx(
        run.metrics["after"]["accuracy"], abs=1e-5
    )


@pytest.mark.parametrize(
    "settings, told",
    [
        (dict(source="folder"), "go together"),
        (dict(start="scratch"), "choose method 'scratch'"),
        (dict(arch="conformer", method="full"), "goes with method 'scratch'"),
        (dict(method="magic"), "must be one of auto, full, frozen, lora, scratch"),
        (dict(seconds=-1), "from 0 to 600"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(settings, told):
    with pytest.raises(recipe.SettingsError, match=told):
        recipe.parse(Config, settings)


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "training/samples", "a/b/c"])
def test_a_path_is_no_name_on_the_hub(studio, name):
    for settings in (dict(start=name), dict(source="hub", dataset=name, start="embedded")):
        asked = {**TWO_STEPS, **settings}
        if any(map(recipe.is_path, settings.values())):  # before there is a run
            with pytest.raises(recipe.SettingsError, match="names a folder of this machine"):
                job.create(studio, "audio_intent", asked, local=False)
            continue
        run = job.create(studio, "audio_intent", asked, local=False)
        assert execute(run) == SETTINGS and "no name on the Hub" in run.status["reason"]


def test_a_checkpoint_that_does_not_say_how_it_hears_is_refused(studio):
    run = published(studio, "conformer", INTENTS)
    (run.checkpoint / "preprocessor_config.json").unlink()
    started = job.create(studio, "audio_intent", {**TWO_STEPS, "start": run.id})
    assert (
        execute(started) == SETTINGS
        and "does not say how sounds are prepared" in started.status["reason"]
    )


def test_a_start_whose_config_is_damaged_is_refused_by_name(studio):
    run = published(studio, "conformer", INTENTS)
    (run.checkpoint / "config.json").write_text("{")
    started = job.create(studio, "audio_intent", {**TWO_STEPS, "start": run.id})
    assert execute(started) == SETTINGS
    assert f"{run.id[-4:]} cannot be used: its config.json is damaged" in started.status["reason"]


def test_evaluate_scores_any_checkpoint_and_refuses_other_classes(studio, starts, tmp_path):
    run = train(studio, start=starts["conformer"], method="frozen")
    found = recipe.load("audio_intent").evaluate(run.checkpoint, Config(**run.config), tmp_path)
    assert found.after.to_json() == run.metrics["after"]
    other = published(studio, "conformer", ["a", "b"])
    with pytest.raises(recipe.SettingsError, match="knows 2 classes"):
        recipe.load("audio_intent").evaluate(other.checkpoint, Config(), tmp_path)


@pytest.mark.slow
def test_measuring_two_steps_changes_nothing(studio, starts, monkeypatch):
    told = train(studio, start=starts["conformer"], method="full")
    monkeypatch.setattr(finetune, "estimate_time", lambda *_: None)
    assert same(weights(train(studio, start=starts["conformer"], method="full")), weights(told))
