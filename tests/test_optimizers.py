"""Which weights learn together and how fast: by the modules of a network, never by their names."""

import pytest
import torch
from torch import nn
from voices import network as sound_network

from training.learn import backbone
from training.learn.optimizers import (
    EMBEDDINGS,
    HEAD,
    TOP,
    Muon,
    group_parameters,
    make_optimizer,
    measure_depths,
)
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.train import Speller, list_heads
from training.recipes.captioning.model import Parts
from training.samples.wordings import INTENTS


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Linear(4, 4)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.norm = nn.LayerNorm(4)
        self.anything = nn.Linear(4, 2)  # a head of a name that nobody knows


def depth_of(depths: dict[int, int], module: nn.Module) -> set[int]:
    return {depths[id(weight)] for weight in module.parameters()}


def test_depths_follow_the_modules():
    model = Network()
    depths = measure_depths(model, [model.anything])
    assert depth_of(depths, model.embeddings) == {EMBEDDINGS}
    assert [depth_of(depths, layer) for layer in model.layers] == [{1}, {2}, {3}]
    assert depth_of(depths, model.norm) == {TOP} and depth_of(depths, model.anything) == {HEAD}


def test_a_decoders_layers_lie_above_its_encoders_and_parts_are_no_layers():
    both = Parts([Network(), Network()])
    depths = measure_depths(both, [])
    assert [depth_of(depths, layer) for layer in both[0].layers] == [{1}, {2}, {3}]
    assert [depth_of(depths, layer) for layer in both[1].layers] == [{4}, {5}, {6}]
    assert depth_of(depths, both[1].embeddings) == {EMBEDDINGS}


def test_a_layer_learns_at_a_share_of_the_rate_of_the_one_above():
    model = Network()
    groups = group_parameters(model, [model.anything], layer_decay=0.5)
    scale = {id(w): group.scale for group in groups for w in group.parameters}
    order = [model.anything, model.norm, *reversed(model.layers), model.embeddings]
    assert [scale[id(part.weight)] for part in order] == [0.5**steps for steps in range(6)]


def test_what_does_not_learn_is_in_no_group():
    model = Network()
    model.layers.requires_grad_(False)
    found = {id(w) for group in group_parameters(model, []) for w in group.parameters}
    assert found == {id(w) for w in model.parameters() if w.requires_grad}


def test_the_head_that_spells_takes_the_steps_of_a_head_whatever_it_is_called():
    """It was called `letters`, and after a rename took Muon's steps, which are for layers."""
    model = sound_network("conformer", INTENTS)
    speller = Speller(model, ["say it"])
    groups = group_parameters(speller, list_heads(model, speller), layer_decay=0.5)
    own = [g for g in groups for w in g.parameters if w is speller.speller.weight]
    assert [(group.orthogonal, group.scale) for group in own] == [(False, 1.0)]
    made = make_optimizer(groups, Config(optimizer="muon"), 0.01)
    moved = [
        w
        for part in made.parts
        if isinstance(part, Muon)
        for g in part.param_groups
        for w in g["params"]
    ]
    assert moved and not any(w is speller.speller.weight for w in moved)
    assert not any(w is head for w in moved for head in model.classifier.parameters())


def test_the_head_that_frozen_trains_takes_no_steps_of_muon():
    head = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    assert not any(group.orthogonal for group in group_parameters(head, [head]))


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_rates_are_set_before_each_step(name):
    model = Network()
    groups = group_parameters(model, [model.anything], layer_decay=0.5)
    made = make_optimizer(groups, Config(optimizer=name), 0.1)
    made.set_rates(0.2, 0.03)
    for group, own in zip(made.groups, made.param_groups, strict=True):
        assert own["lr"] == pytest.approx(0.2 * group.scale)
        assert own["weight_decay"] == (0.03 if group.decays else 0.0)
        assert [id(w) for w in own["params"]] == [id(w) for w in group.parameters]


def test_heads_are_found_in_networks_with_lora_too():
    model = sound_network("conformer", INTENTS)
    adapted = backbone.add_lora(model, 4)
    groups = group_parameters(adapted, backbone.list_heads(model))
    heads = {id(w) for head in backbone.list_heads(model) for w in head.parameters()}
    assert all(not group.orthogonal for group in groups for w in group.parameters if id(w) in heads)
    assert any(isinstance(w, torch.Tensor) and id(w) in heads for g in groups for w in g.parameters)
