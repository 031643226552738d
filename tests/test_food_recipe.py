"""The food recipe: two real steps of each method, what is published, what is kept, what
continues."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import ended_well, ending, execute, slow
from learning import goes_on_exactly, losses, same, same_losses
from meals import SIZE, TWO_STEPS, colours, network, one_of_each_kind, published, train, weights
from PIL import ImageOps
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    CLIPImageProcessor,
    pipeline,
)

from training import recipe
from training.__main__ import DONE, FAILED, SETTINGS, STOPPED
from training.data import pictures as picture_store
from training.data.examples import hold_out
from training.judge import calibration
from training.learn import backbone, finetune, probe, small_maps
from training.learn import features as store
from training.learn.architectures import ARCHS
from training.learn.backbone import Start, open_start
from training.learn.known import open_known
from training.learn.optimizers import group_parameters
from training.media import picture_preprocessor
from training.media.picture_augment import augment
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.food import model as food_model
from training.recipes.food import train as food_train
from training.recipes.food.config import Config
from training.recipes.food.data import load
from training.recipes.food.model import open_network
from training.recipes.food.score import predict
from training.runs import checkpoint, job
from training.runs.run import Run
from training.samples.dishes import CLASSES

METHODS = "full", "frozen", "lora", "scratch"
pytestmark = pytest.mark.usefixtures("quick_picture")


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory):
    """A folder of runs with one tiny network of each kind to start from."""
    return tmp_path_factory.mktemp("kitchen")


@pytest.fixture(scope="session")
def starts(kitchen) -> dict[str, str]:
    return one_of_each_kind(kitchen, CLASSES)


@pytest.mark.parametrize("arch", ARCHS)
def test_every_network_that_is_made_anew_names_the_classes(arch):
    model, preprocessor = food_model.build_network(
        Config(method="scratch", arch=arch), Start(arch), CLASSES
    )
    assert (sum(p.numel() for p in model.parameters()) < 7e6) == (arch != "resnet-large")
    with torch.no_grad():
        assert model.eval()(
            pixel_values=torch.zeros(1, 3, preprocessor.size, preprocessor.size)
        ).logits.shape == (1, len(CLASSES))


# -- each method -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind, method",
    [
        *itertools.product(("vit", "resnet"), METHODS),
        *itertools.product(("convnext", "swin"), METHODS[:1]),
        *slow(*itertools.product(("convnext", "swin"), METHODS[1:])),
    ],
)
def test_two_steps_of_each_method_publish_an_ordinary_checkpoint(kitchen, starts, kind, method):
    run = train(kitchen, start=starts[kind], method=method)
    assert len(losses(run)) == (1 if method == "frozen" else 2)  # a head is solved for at once
    model, preprocessor = open_network(run.checkpoint)
    assert preprocessor.size == SIZE and checkpoint.labels(run.checkpoint) == CLASSES
    data = load("", "sample")
    found = predict(model, picture_store.Store(data.test, PicturePreprocessor(SIZE)), preprocessor)
    assert (found.argmax(1) == data.test.labels).mean() == pytest.approx(
        run.metrics["after"]["accuracy"], abs=1e-5
    )
    before, after = weights(Run.find(kitchen, starts[kind])), weights(run)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    if method == "frozen":
        assert changed and all(name.startswith("classifier") for name in changed)
    else:
        assert any(not name.startswith("classifier") for name in changed)
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    assert open_known(run.checkpoint) is not None


def test_a_report_has_before_and_after_top_5_intervals_and_mistakes(kitchen, starts):
    run = train(kitchen, start=starts["resnet"])
    after = run.metrics["after"]
    assert run.metrics["before"]["n"] == after["n"] and 0 <= after["top5"] <= 1
    assert after["interval"][0] <= after["accuracy"] <= after["interval"][1]
    assert after["top5_interval"][0] <= after["top5"] <= after["top5_interval"][1]
    assert run.metrics["chance"] == 1 / len(CLASSES) and set(after["per_class"]) == set(CLASSES)
    shown = run.metrics["mistakes"][0]
    assert (run.report / shown["picture"]).stat().st_size > 500 and shown["truth"] != shown["said"]
    assert "8 of 8 classes" in run.log_file.read_text()


def test_other_classes_get_a_new_head_and_no_figure_from_before(kitchen, tmp_path):
    start = published(kitchen, network("resnet", ["this", "that"]))
    run = train(
        kitchen,
        start=start.id,
        source="folder",
        folder=str(colours(tmp_path / "own")),
        limit=0,
        batch_size=8,
    )
    assert run.metrics["before"] is None and run.metrics["classes"] == [
        "colour0",
        "colour1",
        "colour2",
    ]
    assert run.metrics["active"] == {"id": "embedded-food", "same_labels": False, "score": None}


def test_full_learns_what_can_be_learned(kitchen, starts, tmp_path):
    run = train(
        kitchen,
        start=starts["resnet"],
        source="folder",
        folder=str(colours(tmp_path / "own", each=20)),
        limit=0,
        batch_size=8,
        epochs=8,
        augmentation="none",
        learning_rate=0.005,
    )
    assert run.metrics["after"]["accuracy"] >= 0.8


@pytest.mark.parametrize("method", METHODS[:3])
def test_confidence_is_fitted_to_what_was_held_out_and_no_answer_changes(
    kitchen, starts, method, monkeypatch
):
    settings = dict(start=starts["resnet"], method=method, holdout=0.2)
    plain = train(kitchen, **settings)
    monkeypatch.setattr(calibration, "LEAST", 20)
    monkeypatch.setattr(
        calibration, "fit_temperature", lambda answers, labels: told.append(len(labels)) or 0.5
    )
    told: list[int] = []
    run = train(kitchen, **settings)
    assert (
        told == [run.settings["pictures"]["held out"]]
        and "logits divided by 0.50" in run.log_file.read_text()
    )
    assert "confidence calibrated" not in plain.log_file.read_text()
    x = torch.rand(4, 3, SIZE, SIZE)
    with torch.inference_mode():
        one, two = (
            open_network(each.checkpoint)[0].eval()(pixel_values=x).logits for each in (plain, run)
        )
    assert torch.allclose(two, one / 0.5, atol=1e-4)
    assert run.metrics["after"]["accuracy"] == plain.metrics["after"]["accuracy"]
    assert "Calibration error " in (run.checkpoint / "README.md").read_text()


def test_a_network_whose_head_is_not_known_is_published_as_sure_as_it_is(
    kitchen, starts, monkeypatch
):
    def unknown(model):
        raise recipe.SettingsError("no head")

    monkeypatch.setattr(calibration, "fit_temperature", lambda *_: 0.5)
    monkeypatch.setattr(backbone, "find_head", unknown)
    run = train(kitchen, start=starts["resnet"])
    assert run.has_checkpoint and "confidence calibrated" not in run.log_file.read_text()


def test_what_is_kept_of_the_start_is_mixed_in_and_judged(kitchen, starts):
    begun = weights(Run.find(kitchen, starts["resnet"]))
    alone, half = (
        weights(train(kitchen, start=starts["resnet"], keep=keep)) for keep in (0.0, 0.5)
    )
    moved = [
        name
        for name in begun
        if begun[name].is_floating_point() and not torch.equal(begun[name], alone[name])
    ]
    assert len(moved) > 10
    for name in moved:
        assert torch.allclose(half[name], (begun[name] + alone[name]) / 2, atol=1e-6)
    told = train(kitchen, start=starts["resnet"], keep=0.5).log_file.read_text()
    assert re.search(r"with 50% of the start: [\d.]+% of \d+ validation examples", told)


@pytest.mark.parametrize(
    "asked", [{"method": "frozen"}, {"method": "scratch", "arch": "resnet", "image_size": SIZE}]
)
def test_nothing_is_kept_of_a_start_by_other_methods(kitchen, starts, asked):
    run = job.create(
        kitchen, "food", {**TWO_STEPS, "start": starts["resnet"], "keep": 0.5, **asked}
    )
    assert execute(run) == SETTINGS and "it needs method full" in run.status["reason"]


# -- frozen ----------------------------------------------------------------------------------------
def test_features_serve_every_seed(kitchen, starts):
    settings = dict(start=starts["resnet"], method="frozen", limit=0, batch_size=192)
    first, second = (train(kitchen, **settings, seed=seed) for seed in (0, 1))
    assert "computed by an earlier run" in second.log_file.read_text()
    assert open_network(first.checkpoint)[1] == open_network(second.checkpoint)[1]


def test_a_second_frozen_run_computes_no_features(kitchen, starts, monkeypatch):
    train(kitchen, start=starts["vit"], method="frozen")

    def computed(*_):
        raise AssertionError("features were computed again")

    monkeypatch.setattr("training.learn.backbone.compute_features", computed)
    second = train(kitchen, start=starts["vit"], method="frozen", class_weights="balanced")
    assert "computed by an earlier run" in second.log_file.read_text()


def test_features_of_pictures_that_were_prepared_otherwise_are_computed_anew(
    kitchen, starts, monkeypatch
):
    train(kitchen, start=starts["vit"], method="frozen")
    cut = CLIPImageProcessor(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    monkeypatch.setattr(
        "training.media.picture_preprocessor.PicturePreprocessor.processor", lambda _: cut
    )
    before = set((kitchen / ".features").iterdir())
    train(kitchen, start=starts["vit"], method="frozen")
    assert len(set((kitchen / ".features").iterdir()) - before) == 3  # train, held out, test


def test_kept_features_are_what_the_head_gets_in_the_whole_network(
    kitchen, starts, tmp_path, monkeypatch
):
    """One batch holds all, so both methods begin with the same loss: this network neither drops
    anything in training nor counts batches, and the pictures are of its own size."""
    own = colours(tmp_path / "own", shape=(SIZE, SIZE))
    settings = dict(source="folder", folder=str(own), start=starts["convnext"])
    settings |= dict(augmentation="none", limit=0, batch_size=64, folds=1)
    monkeypatch.setattr(probe, "find_linear", lambda *_: None)
    frozen = train(kitchen, method="frozen", **settings)
    whole = train(kitchen, method="full", **settings)
    assert losses(frozen) == pytest.approx(losses(whole), abs=1e-5) and losses(frozen)[0] > 1


def test_what_is_kept_comes_back_in_the_order_of_whoever_asks(tmp_path):
    run, values = Run.create(tmp_path, "food", {}), np.array([[5.0], [3.0], [9.0]])
    for places in ([2, 0, 1], [0, 1, 2], [1, 2, 0]):
        mine = values[places]
        found = store.load_or_compute(
            tmp_path, "a", np.argsort(places), lambda at, mine=mine: torch.from_numpy(mine[at]), run
        )
        assert np.array_equal(found.numpy(), mine)
    assert run.log_file.read_text().count("computed by an earlier run") == 2


def test_the_store_of_features_is_capped_and_loses_the_oldest(kitchen, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CAP", 5000)
    run = Run.create(tmp_path, "food", {})
    for key in "abc":
        store.load_or_compute(
            tmp_path, key, np.arange(8), lambda at: torch.ones(len(at), 64), run
        )  # 2 KB each
    assert sorted(p.stem for p in (tmp_path / ".features").iterdir()) == ["b", "c"]


def test_features_that_cannot_be_kept_do_not_cost_the_run_its_end(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save_file", full)
    run = Run.create(tmp_path, "food", {})
    assert store.load_or_compute(
        tmp_path, "a", np.arange(3), lambda at: torch.ones(len(at), 2), run
    ).shape == (3, 2)
    assert "could not be kept" in run.log_file.read_text() and not list(
        (tmp_path / ".features").iterdir()
    )


def test_a_frozen_run_that_took_steps_goes_on_in_steps(kitchen, starts, monkeypatch):
    """As earlier versions made them, and as a head is taught that is more than a linear layer."""
    settings = dict(TWO_STEPS, start=starts["resnet"], method="frozen", epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(probe, "find_linear", lambda *_: None)
        whole = ended_well(kitchen, "food", settings)
        first = ending(kitchen, "food", 3, settings)
        assert execute(first) == STOPPED
    second = job.continue_run(kitchen, first.id, {})
    assert execute(second) == DONE and len(losses(whole)) == 4
    assert same_losses(losses(first) + losses(second), losses(whole))
    assert same(weights(second), weights(whole))


def test_a_run_that_was_solved_has_nothing_to_go_on_with(kitchen, starts):
    run = train(kitchen, start=starts["resnet"], method="frozen")
    with pytest.raises(recipe.SettingsError, match="was not trained in steps"):
        job.continue_run(kitchen, run.id, {})


def test_the_probe_tells_how_it_was_chosen_and_scores_what_was_held_out(kitchen, starts):
    run = train(kitchen, start=starts["resnet"], method="frozen", limit=0)
    log = run.log_file.read_text()
    assert re.search(r"probe solved in .* by 5 folds of \d+ examples; cross-validated acc", log)
    assert re.search(r"[\d.]+% of \d+ validation examples", log)
    (score,) = [event["score"] for event in run.events() if "score" in event]
    assert run.metrics["held_out_score"] == pytest.approx(score, abs=1e-5)


def test_mirror_images_are_learned_from_where_they_are_asked_about(kitchen, starts, monkeypatch):
    asked = []
    solve = probe.solve
    monkeypatch.setattr(
        probe, "solve", lambda x, question, **more: asked.append(question) or solve(x, question)
    )
    train(kitchen, start=starts["resnet"], method="frozen", limit=64)
    train(kitchen, start=starts["resnet"], method="frozen", limit=64, mirror="on")
    plain, both = asked
    assert len(both.labels) == 2 * len(plain.labels)
    assert (both.groups[: len(plain.labels)] == both.groups[len(plain.labels) :]).all()


def test_a_stop_is_obeyed_while_the_probe_is_solved(kitchen, starts, monkeypatch):
    minimise = probe.minimise

    def stop_then_minimise(*given, **more):
        run.request_stop()
        return minimise(*given, **more)

    monkeypatch.setattr(probe, "minimise", stop_then_minimise)
    settings = dict(TWO_STEPS, start=starts["resnet"], method="frozen", limit=64)
    run = job.create(kitchen, "food", settings)
    assert execute(run) == STOPPED and not run.has_checkpoint
    assert "Stopped before the first step" in run.status["reason"]


# -- lora ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_lora_merged_answers_as_lora_unmerged(kind):
    plain = network(kind, CLASSES)
    adapted = backbone.add_lora(plain, 4).eval()
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.05)
        x = torch.randn(3, 3, SIZE, SIZE)
        apart = adapted(pixel_values=x).logits
        together = backbone.merge_lora(adapted)
        assert torch.allclose(together(pixel_values=x).logits, apart, atol=1e-4)
    assert not any("lora" in name for name in together.state_dict())
    assert not torch.allclose(
        network(kind, CLASSES).eval()(pixel_values=x).logits, apart, atol=1e-3
    )


# -- continuing ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "method, kind",
    [("full", "resnet"), *slow(("full", "vit"), ("lora", "vit"))],
)
def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(kitchen, starts, method, kind):
    settings = dict(
        TWO_STEPS,
        start=starts[kind],
        method=method,
        epochs=2,
        augmentation="strong",
        mixup=0.2,
        accumulate=2,
    )
    goes_on_exactly(kitchen, "food", settings, weights)


# -- settings --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings, told",
    [
        (dict(source="folder"), "go together"),
        (dict(start="scratch"), "choose method 'scratch'"),
        (dict(arch="vit"), "goes with method 'scratch'"),
        (dict(method="magic"), "must be one of full, frozen, lora, scratch"),
        (dict(image_size=9999), "from 0 to 1,024"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(kitchen, settings, told):
    with pytest.raises(recipe.SettingsError, match=told):
        recipe.parse(Config, settings)


def test_the_page_may_not_name_a_folder():
    with pytest.raises(recipe.SettingsError, match="only the command line"):
        recipe.parse(Config, dict(source="folder", folder="/etc"), local=False)


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc/passwd", "training/samples", "a/b/c", "file:///etc"]
)
def test_a_path_is_no_name_on_the_hub(kitchen, name):
    for settings in (
        dict(start=name if "/" in name else "x/y"),
        dict(source="hub", dataset=name, start="embedded"),
    ):
        asked = {**TWO_STEPS, **settings}
        if any(map(recipe.is_path, settings.values())):  # before there is a run
            with pytest.raises(recipe.SettingsError, match="names a folder of this machine"):
                job.create(kitchen, "food", asked, local=False)
            continue
        run = job.create(kitchen, "food", asked, local=False)
        assert execute(run) == SETTINGS and "no name on the Hub" in run.status["reason"]


def test_a_size_that_a_transformer_was_not_made_for_is_refused(kitchen, starts):
    run = job.create(kitchen, "food", {**TWO_STEPS, "start": starts["vit"], "image_size": 64})
    assert execute(run) == SETTINGS and "leave image_size at 0" in run.status["reason"]


@pytest.mark.parametrize(
    "asked, advice",
    [
        ({"progressive": "on"}, "leave progressive off"),
        ({"train_size": 24}, "leave train_size at 0"),
        ({"shape": "own"}, "leave shape at start"),
    ],
)
def test_pictures_of_other_sizes_are_refused_for_a_transformer(kitchen, starts, asked, advice):
    run = job.create(kitchen, "food", {**TWO_STEPS, "start": starts["vit"], **asked})
    assert execute(run) == SETTINGS and advice in run.status["reason"]


def test_another_size_for_a_convolutional_network_is_published_with_it(kitchen, starts):
    run = train(kitchen, start=starts["resnet"], image_size=48, progressive="on")
    assert open_network(run.checkpoint)[1].size == 48


def test_a_swin_keeps_its_weights_at_any_size_that_its_windows_fit_in(kitchen, starts):
    base = open_start(starts["swin"], kitchen, "food")
    model, preprocessor = food_model.build_network(
        Config(start=starts["swin"], image_size=2 * SIZE), base, CLASSES
    )
    assert preprocessor.size == model.config.image_size == 2 * SIZE
    assert same(model.state_dict(), weights(Run.find(kitchen, starts["swin"])))
    assert model.eval()(pixel_values=torch.zeros(1, 3, 2 * SIZE, 2 * SIZE)).logits.isfinite().all()
    with pytest.raises(recipe.SettingsError, match=f"pictures of {SIZE} pixels or more"):
        food_model.build_network(Config(start=starts["swin"], image_size=SIZE - 8), base, CLASSES)


def test_a_network_whose_config_does_not_tell_its_size_is_refused_another_one_in_a_sentence():
    with pytest.raises(recipe.SettingsError, match="pictures of 224 pixels and no others"):
        backbone.resize_input(
            AutoConfig.for_model("clip"), PicturePreprocessor(224), Config(image_size=128), "a CLIP"
        )


def test_a_network_is_trained_at_one_size_and_asked_at_another(kitchen, starts, monkeypatch):
    seen = []
    monkeypatch.setattr(
        food_train,
        "augment",
        lambda x, rows, size, *rest: seen.append(size) or augment(x, rows, size, *rest),
    )
    run = train(kitchen, start=starts["resnet"], image_size=48, train_size=40)
    assert open_network(run.checkpoint)[1].size == 48 and set(seen) == {(40, 40)}


def test_a_side_grows_over_the_first_two_thirds():
    config = Config(progressive="on", epochs=9, train_size=128)
    assert [food_train.choose_side(config, 160, epoch) for epoch in range(9)] == [
        64,
        72,
        88,
        96,
        104,
        120,
        128,
        128,
        128,
    ]


@pytest.fixture(scope="module")
def shaped(kitchen, starts):
    """A run that learned pictures in their own shape."""
    return train(kitchen, start=starts["resnet"], image_size=64, shape="own")


def test_a_network_learns_and_sees_pictures_in_their_own_shape(
    kitchen, starts, shaped, monkeypatch
):
    assert open_network(shaped.checkpoint)[1] == PicturePreprocessor(64, longest=64)
    seen = []
    monkeypatch.setattr(
        food_train,
        "augment",
        lambda x, rows, shape, *rest: seen.append(shape) or augment(x, rows, shape, *rest),
    )
    later = train(kitchen, start=shaped.id, limit=64, epochs=4)
    assert open_network(later.checkpoint)[1] == PicturePreprocessor(64, longest=64)
    assert set(seen) == {(64, 64)}, "whole pictures keep their shape, crops are squares"
    assert open_network(train(kitchen, start=shaped.id, shape="square").checkpoint)[
        1
    ] == PicturePreprocessor(64)


def test_pictures_of_many_shapes_are_told_apart_together_as_they_are_alone(shaped):
    model, preprocessor = open_network(shaped.checkpoint)
    sizes = [(64, 64), (80, 60), (60, 80), (64, 64), (120, 40), (60, 80)]
    shown = [load("", "sample").test.read_one(i).resize(size) for i, size in enumerate(sizes)]
    pictures = picture_store.Pictures(
        lambda i: shown[i], np.arange(6), np.zeros(6, int), np.linspace(0, 1, 6)
    )
    together = predict(model, picture_store.Store(pictures, preprocessor), preprocessor)
    alone = [
        predict(model, picture_store.Store(pictures[np.array([i])], preprocessor), preprocessor)[0]
        for i in range(6)
    ]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


def test_frozen_learns_from_pictures_in_their_own_shape(kitchen, shaped):
    run = train(kitchen, start=shaped.id, method="frozen")
    assert len(losses(run)) == 1 and open_network(run.checkpoint)[1] == PicturePreprocessor(
        64, longest=64
    )


# -- mirror images ---------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["full", "frozen"])
def test_a_picture_and_its_mirror_image_are_one_question(kitchen, starts, method):
    run = train(kitchen, start=starts["resnet"], method=method, mirror="on")
    model, preprocessor = open_network(run.checkpoint)
    assert preprocessor.mirrored and model.config.mirrored
    test = load("", "sample").test
    found = predict(model, picture_store.Store(test, preprocessor), preprocessor)
    turned = picture_store.Pictures(
        lambda i: ImageOps.mirror(test.read_one(i)), np.arange(len(test)), test.labels, test.keys
    )
    assert predict(model, picture_store.Store(turned, preprocessor), preprocessor) == pytest.approx(
        found, abs=1e-5
    )
    once = dataclasses.replace(preprocessor, mirrored=False)
    views = [predict(model, picture_store.Store(part, once), once) for part in (test, turned)]
    assert np.abs(views[0] - views[1]).max() > 1e-4 and found == pytest.approx(
        sum(views) / 2, abs=1e-5
    )
    assert (found.argmax(1) == test.labels).mean() == pytest.approx(
        run.metrics["after"]["accuracy"], abs=1e-5
    )
    held = hold_out(load("", "sample").train, Config().holdout)[1]
    found = predict(model, picture_store.Store(held, preprocessor), preprocessor)
    missed = -np.log(found[np.arange(len(held)), held.labels]).mean()
    assert missed == pytest.approx(
        next(e["score_loss"] for e in run.events() if "score_loss" in e), abs=1e-4
    )


@pytest.mark.parametrize("has_it", [True, False])
def test_answers_are_in_half_precision_where_the_processor_has_it(monkeypatch, has_it):
    monkeypatch.setattr(picture_preprocessor, "has_bf16", lambda where: has_it and where == "cpu")
    model, seen = network("resnet", CLASSES).eval(), []
    model.classifier[-1].register_forward_hook(
        lambda layer, given, logits: seen.append(logits.dtype)
    )
    pixels = torch.randint(
        0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        found = PicturePreprocessor(SIZE).predict_probabilities(model, pixels)
        whole = model(pixel_values=PicturePreprocessor(SIZE).normalise(pixels)).logits.softmax(1)
    assert (
        seen == [torch.bfloat16 if has_it else torch.float32, torch.float32]
        and found.dtype == torch.float32
    )
    assert torch.allclose(found, whole, atol=0.02) and torch.equal(found, whole) != has_it


def test_a_run_asks_about_mirror_images_as_its_start_does_unless_told(kitchen, starts):
    assert not open_network(train(kitchen, start=starts["resnet"]).checkpoint)[1].mirrored
    first = train(kitchen, start=starts["resnet"], mirror="on")
    assert open_network(train(kitchen, start=first.id).checkpoint)[1].mirrored
    last = train(kitchen, start=first.id, mirror="off")
    assert not open_network(last.checkpoint)[1].mirrored
    others = published(kitchen, network("resnet", [f"other {name}" for name in CLASSES]))
    config = others.checkpoint / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"mirrored": True}))
    assert not open_network(train(kitchen, start=others.id).checkpoint)[1].mirrored, (
        "left and right may differ there"
    )
    before = train(kitchen, start=first.id, method="frozen").metrics["before"]
    assert before["accuracy"] == first.metrics["after"]["accuracy"], (
        "a start is scored as it answers"
    )


def test_half_precision_on_disk_is_what_the_report_measures(kitchen, starts):
    run = train(kitchen, start=starts["resnet"], store="float16")
    assert json.loads((run.checkpoint / "config.json").read_text())["dtype"] == "float16"
    model, preprocessor = open_network(run.checkpoint)
    data = load("", "sample")
    found = predict(model, picture_store.Store(data.test, PicturePreprocessor(SIZE)), preprocessor)
    assert next(model.parameters()).dtype == torch.float32
    assert (found.argmax(1) == data.test.labels).mean() == pytest.approx(
        run.metrics["after"]["accuracy"], abs=1e-5
    )


def test_what_cannot_fit_is_told_before_it_starts(kitchen, starts, monkeypatch):
    monkeypatch.setattr(
        finetune.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    run = job.create(kitchen, "food", {**TWO_STEPS, "start": starts["resnet"]})
    assert execute(run) == SETTINGS and "Choose method frozen or lora" in run.status["reason"]


def test_memory_that_runs_out_ends_in_a_sentence(kitchen, starts, monkeypatch):
    def out(*_):
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."
        )

    monkeypatch.setattr(food_train, "augment", out)
    run = job.create(kitchen, "food", {**TWO_STEPS, "start": starts["resnet"]})
    assert execute(run) == FAILED and run.status["reason"].startswith(
        "Out of memory. Lower the batch size"
    )


def test_a_long_training_on_a_cpu_is_foretold_and_frozen_proposed(kitchen, starts, monkeypatch):
    monkeypatch.setattr(finetune, "LONG", 0)
    monkeypatch.setattr(finetune, "device", lambda: "cpu")
    run = train(kitchen, start=starts["resnet"])
    told = run.log_file.read_text()
    assert "by two measured steps" in told and "Method frozen would take about" in told


def test_half_precision_on_a_cpu_takes_products_for_small_maps_and_learns_the_same(
    kitchen, starts, monkeypatch
):
    exact, taken, plain = losses(train(kitchen, start=starts["resnet"])), [], small_maps._patches
    monkeypatch.setattr(small_maps, "_patches", lambda *args: taken.append(1) or plain(*args))
    monkeypatch.setattr(backbone, "has_amx", lambda: True)
    try:
        AcceleratorState._reset_state(reset_partial_state=True)  # its precision is one to a process
        found = losses(train(kitchen, start=starts["resnet"], bf16="on"))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert found == pytest.approx(exact, rel=0.02) and bool(taken) == (finetune.device() == "cpu")


def test_a_head_learns_by_one_thread_and_in_full_precision_and_a_network_by_all(
    kitchen, starts, monkeypatch
):
    told, plain = [], finetune.fit

    def fit(model, lesson, *rest, **more):
        def loss(*batch):
            told.append(
                (lesson.one_thread, torch.get_num_threads(), torch.is_autocast_enabled("cpu"))
            )
            return taught(*batch)

        taught, lesson.loss = lesson.loss, loss
        return plain(model, lesson, *rest, **more)

    monkeypatch.setattr(finetune, "fit", fit)
    monkeypatch.setattr(probe, "find_linear", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(kitchen, start=starts["resnet"], method="frozen", bf16="on")
        assert (
            set(told) == {(True, 1 if finetune.device() == "cpu" else 2, False)}
            and torch.get_num_threads() == 2
        )
        told.clear()
        train(kitchen, start=starts["resnet"])
        assert set(told) == {(False, 2, False)}
    finally:
        torch.set_num_threads(before)


def test_measuring_two_steps_changes_nothing(kitchen, starts, monkeypatch):
    told = train(kitchen, start=starts["resnet"])
    monkeypatch.setattr(finetune, "estimate_time", lambda *_: None)
    assert same(weights(train(kitchen, start=starts["resnet"])), weights(told))


def test_layers_further_down_learn_more_slowly():
    model = network("vit", CLASSES)
    groups = group_parameters(model, backbone.list_heads(model), layer_decay=0.5)
    assert {group.scale for group in groups} >= {1.0, 0.5, 0.25}
    assert {group.decays for group in groups} == {True, False}


# -- what is published works elsewhere -------------------------------------------------------------
@pytest.mark.parametrize("shape", ["square", "own"])
def test_the_processor_in_the_checkpoint_prepares_pictures_as_we_do(kitchen, starts, shape):
    run = train(kitchen, start=starts["resnet"], shape=shape)
    picture, (model, preprocessor) = (
        load("", "sample").test.read_one(0),
        open_network(run.checkpoint),
    )
    for image in (picture, picture.resize((150, 90)), picture.resize((70, 200))):
        theirs = AutoImageProcessor.from_pretrained(run.checkpoint)(
            images=image, return_tensors="pt"
        )["pixel_values"]
        ours = preprocessor.normalise(
            torch.from_numpy(preprocessor.frame(image).copy()).permute(2, 0, 1)[None]
        )
        assert (
            theirs - ours
        ).abs().mean() < 0.2  # half a pixel, where the middle is rounded otherwise
    told = pipeline("image-classification", run.checkpoint)(picture)
    with torch.inference_mode():
        mine = model.eval()(
            pixel_values=preprocessor.normalise(
                torch.from_numpy(preprocessor.frame(picture).copy()).permute(2, 0, 1)[None]
            )
        ).logits.softmax(1)[0]
    assert told[0]["score"] == pytest.approx(float(mine.max()), abs=0.02)


def test_evaluate_scores_any_checkpoint_and_refuses_other_classes(kitchen, starts, tmp_path):
    made = recipe.load("food")
    config = Config(source="sample")
    run = train(kitchen, start=starts["resnet"])
    assert made.evaluate(run.checkpoint, config, tmp_path).after.to_json() == run.metrics["after"]
    other = published(kitchen, network("resnet", ["a", "b"]))
    with pytest.raises(recipe.SettingsError, match="2 classes, the data has 8"):
        made.evaluate(other.checkpoint, config, tmp_path)


def test_the_default_embedded_model_is_what_from_pretrained_loads():
    path = checkpoint.embedded("food").path
    model = AutoModelForImageClassification.from_pretrained(path)
    assert model.config.num_labels == 101 and sum(p.stat().st_size for p in path.iterdir()) < 12e6
