"""Muon's steps are orthogonal, AdamW takes what is no matrix, and a continued run goes on as if
unbroken."""

import copy

import pytest
import torch
from torch import nn

from training.learn import muon
from training.learn.muon import Muon, orthogonalise, share_out
from training.learn.optimizers import ParameterGroup, group_parameters, make_optimizer
from training.recipes.food.config import Config


@pytest.mark.parametrize("shape", [(40, 40), (20, 90), (90, 20), (8, 3)])
def test_a_step_keeps_the_directions_of_its_momentum_and_makes_them_equally_long(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    left, lengths, right = torch.linalg.svd(matrix, full_matrices=False)
    assert lengths.max() / lengths.min() > 1.5
    inside = left.T @ orthogonalise(matrix) @ right.T
    assert inside.diagonal().min() > 0.3 and inside.diagonal().max() < 1.3
    assert (inside - inside.diag().diag()).abs().max() < 1e-4


def test_a_matrix_of_rank_one_or_none_stays_finite():
    assert torch.isfinite(orthogonalise(torch.ones(6, 4))).all()
    assert torch.equal(orthogonalise(torch.zeros(6, 4)), torch.zeros(6, 4))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Conv2d(3, 8, 3)
        self.layers = nn.ModuleList(
            [nn.ModuleDict({"wide": nn.Conv2d(8, 8, 3), "deep": nn.Conv2d(8, 8, 3, groups=8)})]
        )
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        x = self.embedder(x).relu()
        for layer in self.layers:
            x = layer["deep"](layer["wide"](x).relu())
        return self.classifier(x.mean((2, 3)))


def optimizer(model, name="muon"):
    groups = group_parameters(model, [model.classifier])
    made = make_optimizer(groups, Config(optimizer=name), 0.01)
    made.set_rates(0.01, 0.02)
    return made


def steps(model, made, count, begin=0):
    losses = []
    for number in range(begin, begin + count):
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(16, 3, 9, 9, generator=generator)
        loss = nn.functional.cross_entropy(model(x), (x[:, 0].mean((1, 2)) > 0).long())
        loss.backward()
        made.step()
        model.zero_grad()
        losses.append(loss.item())
    return losses


def small():
    torch.manual_seed(0)
    return Small()


def test_only_ordinary_matrices_below_the_head_take_its_steps():
    ours, adamw = small(), small()
    steps(ours, optimizer(ours), 1)
    steps(adamw, optimizer(adamw, "adamw"), 1)
    same = {
        name
        for (name, a), b in zip(ours.named_parameters(), adamw.parameters(), strict=True)
        if torch.equal(a, b)
    }
    assert {name for name, _ in ours.named_parameters()} - same == {"layers.0.wide.weight"}


def test_what_was_saved_goes_on_with_the_losses_of_an_unbroken_run():
    model = small()
    made = optimizer(model)
    steps(model, made, 3)
    saved = copy.deepcopy((model.state_dict(), made.state_dict()))
    unbroken = steps(model, made, 3, begin=3)
    again = Small()
    again.load_state_dict(saved[0])
    other = optimizer(again)
    other.load_state_dict(saved[1])
    assert steps(again, other, 3, begin=3) == unbroken


def test_processes_share_the_work_and_all_reach_the_step_of_one(monkeypatch):
    matrices = [torch.randn(8, 27), torch.randn(16, 8), torch.randn(8, 8), torch.randn(4, 30)]
    alone = Muon([nn.Parameter(torch.ones(1))], lr=0.1)._compute_moves(matrices)
    told = []
    monkeypatch.setattr(muon.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(muon.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(muon.dist, "all_reduce", told.append)
    for rank in (0, 1):
        monkeypatch.setattr(muon.dist, "get_rank", lambda rank=rank: rank)
        Muon([nn.Parameter(torch.ones(1))], lr=0.1)._compute_moves(matrices)
    assert torch.equal(sum(told), torch.cat([move.flatten() for move in alone]))
    assert (
        all(0 < (part != 0).sum() < part.numel() for part in told)
        and not ((told[0] != 0) & (told[1] != 0)).any()
    )


def test_shares_are_about_as_large():
    assert share_out([1, 9, 1, 4, 4], 2) == [1, 0, 0, 1, 1] and share_out([3, 2], 1) == [0, 0]


def test_a_network_of_no_matrices_is_adamw_alone():
    groups = [ParameterGroup([nn.Parameter(torch.ones(3))])]
    made = make_optimizer(groups, Config(optimizer="muon"), 0.1)
    assert [type(part).__name__ for part in made.parts] == ["AdamW"] and len(made.param_groups) == 1
