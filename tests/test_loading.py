"""A network like one in use is copied with its own weights in it: the same as from_pretrained
gives, and sooner."""

import copy
import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albums
import meals
import pytest
import torch
import voices
from learning import same
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    VisionEncoderDecoderModel,
)

from demos.serving import loading
from demos.serving.loading import SwapError, load_checked
from training.recipes.digits.model import DigitsNet, DigitsNetConfig

KINDS = [
    *(("food", kind) for kind in meals.TINY),
    *(("audio", kind) for kind in voices.TINY),
    *(("captions", kind) for kind in albums.TINY),
    ("digits", "cnn"),
    ("digits", "mlp"),
]
RENAMED = "vit", "swin"  # transformers saves these by other names than they have
OF = {
    "food": AutoModelForImageClassification,
    "audio": AutoModelForAudioClassification,
    "captions": VisionEncoderDecoderModel,
    "digits": DigitsNet,
}


def made(slot: str, kind: str, seed: int, classes: list[str]) -> torch.nn.Module:
    if slot == "captions":
        return albums.captioner(kind, ["a red dog runs", "two blue cats sit"], seed)[0]
    if slot == "digits":
        torch.manual_seed(seed)
        return DigitsNet(
            DigitsNetConfig(
                arch=kind,
                id2label=dict(enumerate(classes)),
                label2id={c: i for i, c in enumerate(classes)},
            )
        )
    return (meals if slot == "food" else voices).network(kind, classes, seed)


def saved(path: Path, model: torch.nn.Module, trained_on: str) -> Path:
    model.config.trained_on = trained_on
    model.save_pretrained(path)
    return path


def told(config: Any) -> Any:
    """A config's settings, without where its parts came from and in which precision."""
    if not isinstance(config, dict):
        return config
    return {
        name: told(value)
        for name, value in config.items()
        if name not in ("_name_or_path", "dtype")
    }


@pytest.fixture
def opened(monkeypatch) -> list[Path]:
    """What was loaded the long way."""
    paths, open_ = [], loading._open
    monkeypatch.setattr(loading, "_loaded", weakref.WeakValueDictionary())
    monkeypatch.setattr(
        loading,
        "_open",
        lambda cls, path, weights: paths.append(path) or open_(cls, path, weights),
    )
    return paths


@pytest.fixture
def pair(tmp_path) -> Callable[..., tuple[Path, Path]]:
    """Two checkpoints of one network, with weights and classes of their own."""

    def of(slot: str, kind: str, others: list[str]) -> tuple[Path, Path]:
        return (
            saved(tmp_path / "one", made(slot, kind, 1, ["a", "b", "c"]), "apples"),
            saved(tmp_path / "two", made(slot, kind, 2, others), "pears"),
        )

    return of


@pytest.mark.parametrize("slot, kind", KINDS)
def test_a_network_like_one_in_use_is_what_from_pretrained_gives(pair, opened, slot, kind):
    one, two = pair(slot, kind, ["x", "y", "z"])
    first, kept = (
        load_checked(OF[slot], one),
        copy.deepcopy(OF[slot].from_pretrained(one).state_dict()),
    )
    found, due = load_checked(OF[slot], two), OF[slot].from_pretrained(two)
    assert opened == ([one, two] if kind in RENAMED else [one]), "the second was to be copied"
    assert same(found.state_dict(), due.state_dict()) and same(first.state_dict(), kept)
    assert not found.training and all(
        p.requires_grad and p.dtype == torch.float32 for p in found.parameters()
    )
    assert told(found.config.to_dict()) == told(due.config.to_dict())
    assert found.config.trained_on == "pears" and first.config.trained_on == "apples"
    own = {p.data_ptr() for p in first.parameters()}
    assert not own & {p.data_ptr() for p in found.parameters()}, "they share memory"


def test_a_network_of_another_size_or_for_more_classes_is_loaded_by_itself(pair, opened, tmp_path):
    one, two = pair("food", "resnet", ["x", "y", "z", "w"])
    wide = saved(tmp_path / "wide", DigitsNet(DigitsNetConfig(width=8)), "")
    thin = saved(tmp_path / "thin", DigitsNet(DigitsNetConfig(width=4)), "")
    in_use = [
        load_checked(OF["food"], one),
        load_checked(OF["food"], two),
        load_checked(DigitsNet, wide),
        load_checked(DigitsNet, thin),
    ]
    assert opened == [one, two, wide, thin] and in_use[1].config.num_labels == 4


def test_what_a_checkpoint_does_not_tell_is_not_told_of_it(pair):
    one, two = pair("food", "resnet", ["x", "y", "z"])
    config = json.loads((two / "config.json").read_text())
    del config["trained_on"]
    (two / "config.json").write_text(json.dumps(config))
    first, found = load_checked(OF["food"], one), load_checked(OF["food"], two)
    assert first.config.trained_on == "apples" and not hasattr(found.config, "trained_on")


def test_half_precision_on_disk_is_copied_as_float32(pair, opened):
    one, two = pair("food", "resnet", ["x", "y", "z"])
    saved(two, made("food", "resnet", 2, ["x", "y", "z"]).half(), "")
    first, found = load_checked(OF["food"], one), load_checked(OF["food"], two)
    assert (
        opened == [one]
        and first is not found
        and {p.dtype for p in found.parameters()} == {torch.float32}
    )
    assert same(
        found.state_dict(), OF["food"].from_pretrained(two, dtype=torch.float32).state_dict()
    )


@pytest.mark.parametrize(
    "damage, words",
    [
        ("missing", "is missing"),
        ("more", "has no place in it"),
        ("shape", "instead of"),
        ("nan", "not finite numbers"),
        ("cut", "damaged or cut off"),
    ],
)
def test_what_does_not_fit_is_refused_as_the_first_one_is(pair, damage, words):
    one, two = pair("food", "resnet", ["x", "y", "z"])
    in_use, file = load_checked(OF["food"], one), two / "model.safetensors"
    tensors = load_file(file)
    name = "classifier.1.weight"
    if damage == "missing":
        del tensors[name]
    if damage == "more":
        tensors["more"] = torch.zeros(3)
    if damage == "shape":
        tensors[name] = tensors[name][:, :-1].contiguous()
    if damage == "nan":
        tensors[name][0, 0] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SwapError, match=words):
        load_checked(OF["food"], two)
    assert all(p.isfinite().all() for p in in_use.parameters())


def test_nothing_is_kept_that_nobody_uses(pair):
    model = load_checked(DigitsNet, pair("digits", "cnn", ["x", "y", "z"])[0])
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
