"""In which settings each setting counts: what the form shows, and what the command remarks on."""

import dataclasses
import random
import re

import pytest

from training import recipe, settings

FINE_TUNED = ("audio_intent", "captioning", "food")


def config_of(name: str, **values):
    """As a form has it: whatever goes together or not."""
    return recipe.parse_draft(recipe.load(name).config, values)


def count(name: str, **values) -> set[str]:
    return recipe.find_used(config_of(name, **values))


def some_values(f: dataclasses.Field) -> list:
    """A few that a setting can have, its default first."""
    meta = f.metadata
    offered = [value for _, value in meta["offers"] or ()]
    if meta["choices"]:
        return [f.default, *meta["choices"]]
    if f.type is str:
        return [f.default, "", "some/name", "embedded", *offered]
    return [f.default, meta["low"], meta["high"]]


def some_configs(name: str, many: int = 1500) -> list:
    """Configs at random, the same ones each time."""
    drawn = random.Random(0)
    made = recipe.load(name).config
    return [
        made(**{f.name: drawn.choice(some_values(f)) for f in dataclasses.fields(made)})
        for _ in range(many)
    ]


# -- of every recipe -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", recipe.names())
def test_each_setting_counts_in_some_settings_and_one_with_a_condition_not_in_all(name):
    found = [recipe.find_used(config) for config in some_configs(name)]
    for f in dataclasses.fields(recipe.load(name).config):
        counts = {f.name in used for used in found}
        assert counts == ({True, False} if f.metadata["when"] else {True}), f.name


@pytest.mark.parametrize("name", recipe.names())
def test_what_does_not_count_has_no_say_in_what_counts(name):
    for config in some_configs(name):
        used = recipe.find_used(config)
        bare = type(config)(**{each: getattr(config, each) for each in used})
        assert recipe.find_used(bare) == used, config


@pytest.mark.parametrize("name", recipe.names())
def test_what_does_not_count_is_remarked_on_with_a_setting_that_is_the_reason(name):
    made = recipe.load(name).config
    known = {f.name.replace("_", " ") for f in dataclasses.fields(made)}
    for config in some_configs(name, 200):
        unused = {f.name for f in dataclasses.fields(made)} - recipe.find_used(config)
        told = recipe.explain_unused(config, unused)
        assert len(told) == len(unused)
        for note in told:
            reason = re.fullmatch(r"--[a-z0-9-]+ does nothing (?:with|without) (.+)", note)[1]
            assert any(reason.startswith(each) for each in known), note


# -- as a person expects it ------------------------------------------------------------------------
@pytest.mark.parametrize("name", FINE_TUNED)
@pytest.mark.parametrize(
    "values, counts, not_",
    [
        (dict(method="full"), "keep bf16 augmentation crop compile start", "lora_rank arch"),
        (dict(method="lora"), "lora_rank start layer_decay augmentation", "keep arch"),
        (
            dict(method="frozen"),
            "start store class_weights",
            "keep arch lora_rank augmentation compile",
        ),
        (dict(method="scratch"), "arch start augmentation weight_decay", "keep lora_rank"),
        (dict(source="sample"), "limit holdout", "dataset folder"),
        (dict(source="hub"), "dataset", "folder"),
        (dict(source="folder", folder="mine"), "folder", "dataset"),
        (dict(holdout=0, method="full"), "holdout epochs", "early_stopping"),
        (dict(holdout=0.1, method="full"), "early_stopping", ""),
    ],
)
def test_what_the_fine_tuning_recipes_share(name, values, counts, not_):
    # `crop` is a setting of pictures alone.
    own = {f.name for f in dataclasses.fields(recipe.load(name).config)}
    found = count(name, **values)
    assert {*counts.split()} & own <= found
    assert not {*not_.split()} & found


@pytest.mark.parametrize(
    "name, values, counts, not_",
    [
        ("food", dict(method="frozen"), "mirror shape image_size", "mixup cutmix crop bf16"),
        ("food", dict(method="frozen"), "seed", "train_size progressive teacher layer_decay"),
        ("food", dict(augmentation="none"), "mixup cutmix train_size", "crop"),
        ("food", dict(teacher=""), "teacher", "teacher_share"),
        ("food", dict(teacher=" , "), "teacher", "teacher_share"),
        ("food", dict(teacher="embedded"), "teacher teacher_share", ""),
        ("food", dict(method="scratch", arch="vit"), "arch", "start"),
        ("food", dict(method="full", arch="vit"), "start", "arch"),
        ("captioning", dict(), "keep scenes", "encoder decoder"),
        ("captioning", dict(source="hub"), "encoder decoder scenes", "keep"),
        ("captioning", dict(start="parts"), "encoder decoder", "keep"),
        ("captioning", dict(source="hub", start="embedded"), "keep scenes", "encoder decoder"),
        ("captioning", dict(start="parts", method="scratch"), "encoder decoder arch", ""),
        (
            "captioning",
            dict(start="parts", method="scratch", arch="small"),
            "arch",
            "encoder start",
        ),
        ("captioning", dict(source="hub", arch="small"), "encoder decoder", "arch"),
        ("captioning", dict(method="frozen"), "bf16 layer_decay dropout each", "naming crop"),
        ("captioning", dict(method="frozen"), "epochs learning_rate batch_size optimizer", ""),
        ("food", dict(method="frozen"), "class_weights", "epochs learning_rate batch_size warmup"),
        ("food", dict(method="frozen"), "limit", "optimizer schedule weight_decay early_stopping"),
        ("audio_intent", dict(method="frozen"), "class_weights", "epochs label_smoothing"),
        ("captioning", dict(holdout=0), "words", "best early_stopping"),
        ("audio_intent", dict(source="espeak"), "clips", "dataset language"),
        ("audio_intent", dict(source="hub"), "dataset language", "clips"),
        ("audio_intent", dict(method="full"), "encoder spelling spec_augment", ""),
        ("audio_intent", dict(method="lora"), "spelling spec_augment", "encoder"),
        ("audio_intent", dict(method="scratch"), "spelling spec_augment", "encoder"),
        ("audio_intent", dict(method="frozen"), "seconds", "encoder spelling spec_augment bf16"),
        ("digits", dict(start="scratch"), "arch", ""),
        ("digits", dict(start="embedded"), "start method dropout", "arch folder"),
        ("digits", dict(method="frozen"), "class_weights", "arch augmentation dropout epochs"),
        ("digits", dict(holdout=0), "augmentation", "early_stopping"),
    ],
)
def test_what_a_recipe_has_of_its_own(name, values, counts, not_):
    found = count(name, **values)
    assert {*counts.split()} <= found
    assert not {*not_.split()} & found


@pytest.mark.parametrize("where, method", [("cpu", "frozen"), ("cuda", "full")])
def test_auto_counts_as_the_method_that_it_is_on_this_machine(monkeypatch, where, method):
    import torch  # noqa: F401  it is known only where torch is loaded

    monkeypatch.setattr("training.device.device", lambda: where)
    assert count("audio_intent", method="auto") == count("audio_intent", method=method)


@pytest.mark.parametrize(
    "name, values, given, note",
    [
        ("food", {}, "lora_rank", "--lora-rank does nothing with method full"),
        ("food", dict(method="frozen"), "crop", "--crop does nothing with method frozen"),
        ("food", dict(augmentation="none"), "crop", "--crop does nothing with augmentation none"),
        ("food", {}, "teacher_share", "--teacher-share does nothing without teacher"),
        ("food", dict(holdout=0), "early_stopping", "--early-stopping does nothing with holdout 0"),
        ("captioning", {}, "encoder", "--encoder does nothing with source sample"),
        (
            "captioning",
            dict(start="embedded", source="hub"),
            "decoder",
            "--decoder does nothing with start embedded",
        ),
        ("digits", {}, "arch", "--arch does nothing with start embedded"),
    ],
)
def test_the_reason_is_the_setting_that_decides(name, values, given, note):
    assert recipe.explain_unused(config_of(name, **values), [given, "limit"]) == [note]


# -- a config as a whole ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, values, start, data",
    [
        ("food", {}, "embedded", "drawn dishes"),
        ("food", dict(source="hub"), "google/vit-base-patch16-224-in21k", "ethz/food101"),
        ("food", dict(source="hub", method="scratch", arch="vit"), "embedded", "ethz/food101"),
        ("food", dict(source="folder", folder="a/mine"), "embedded-backbone-pictures", "mine"),
        ("food", dict(source="folder", folder="a/mine", start="embedded"), "embedded", "mine"),
        ("audio_intent", dict(source="folder", folder="a/b"), "embedded-backbone-sounds", "b"),
        ("captioning", dict(source="hub"), "parts", "jxie/flickr8k"),
        ("captioning", dict(start="parts"), "parts", "drawn scenes"),
        ("audio_intent", dict(source="hub"), "facebook/wav2vec2-base", "PolyAI/minds14 en-US"),
        ("audio_intent", dict(source="espeak"), "embedded", "3,000 synthesised calls"),
    ],
)
def test_the_start_and_the_data_are_resolved_from_the_settings(name, values, start, data):
    config = config_of(name, **values)
    assert (config.resolved_start, config.data_name) == (start, data)


def test_a_run_is_described_by_its_settings():
    made = config_of("food", method="scratch", arch="vit", epochs=1)
    assert settings.describe(made) == "drawn dishes, vit from scratch, 1 epoch"
    made = config_of("audio_intent", start="facebook/wav2vec2-base", method="lora", epochs=2)
    assert settings.describe(made) == "synthesised calls, lora from wav2vec2-base, 2 epochs"
    made = config_of("audio_intent", method="frozen", epochs=2)
    assert settings.describe(made) == "synthesised calls, frozen"
    made = config_of("food", start="food-20261127-101500-kqzt", epochs=2)
    assert settings.describe(made) == "drawn dishes, full from kqzt, 2 epochs"
