"""The learning rate by a test: found, bounded, and without a trace in the weights."""

import math

import pytest
import torch
from conftest import TWO_STEPS, ending, execute, train
from torch import nn

from training import recipe
from training.judge.records import Curve
from training.judge.report import read_report
from training.learn.optimizers import ParameterGroup, make_adamw
from training.learn.rate_finder import SHARE, find_rate
from training.recipe import SettingsError
from training.recipes.digits.config import USUAL_RATE, Config
from training.runs import job
from training.settings import FIND


def make_learner():
    """A network of one batch norm and one layer, its optimizer, and a step of it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))
    optimizer = make_adamw([ParameterGroup(list(model.parameters()))], 0.1)
    x = torch.randn(64, 8)
    y = x[:, :3].argmax(1)

    def take_step(rate: float) -> float:
        optimizer.set_rates(rate, 0.0)
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        model.zero_grad()
        return loss.item()

    return model, optimizer, take_step


def test_it_leaves_model_and_optimizer_as_they_were():
    model, optimizer, take_step = make_learner()
    model.eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    found = find_rate(model, optimizer, take_step, cap=1.0)
    assert len(found.curve) > 20
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert not optimizer.state_dict()["state"]
    assert not model.training


def test_weights_are_restored_where_the_test_is_broken_off():
    model, optimizer, take_step = make_learner()
    weights = model[1].weight.detach().clone()

    def break_off(rate: float) -> float:
        take_step(rate)
        if rate > 1e-3:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        find_rate(model, optimizer, break_off, cap=1.0)
    assert torch.equal(model[1].weight, weights)


def make_valley(best: float):
    """A loss that is least at a rate, and runs away above it."""
    return lambda rate: 1 + (math.log10(rate / best)) ** 2 * (30 if rate > best else 0.2)


def test_a_tenth_of_the_best_is_proposed_and_a_cap_is_kept():
    model, optimizer, _ = make_learner()
    found = find_rate(model, optimizer, make_valley(1e-2), cap=1.0)
    assert 1e-3 < found.least < 3e-2
    assert found.rate == pytest.approx(SHARE * found.least, rel=0.06)
    assert not found.capped
    assert found.curve[-1][0] < 1.0  # it stopped where the loss ran away
    bounded = find_rate(model, optimizer, make_valley(1e-2), cap=1e-4)
    assert bounded.rate == 1e-4
    assert bounded.capped


def test_a_loss_that_is_no_number_ends_it():
    model, optimizer, _ = make_learner()
    found = find_rate(model, optimizer, lambda rate: math.nan, cap=0.01)
    assert found.curve == []
    assert found.rate == pytest.approx(0.001)


def test_the_word_stands_for_a_number():
    assert recipe.parse(Config, {"learning_rate": "find"}).learning_rate == FIND[1]
    assert recipe.parse(Config, {"learning_rate": FIND[1]}).learning_rate == FIND[1]  # as stored
    with pytest.raises(SettingsError, match='or "find"'):
        recipe.parse(Config, {"learning_rate": "search"})
    with pytest.raises(SettingsError, match="learning_rate is -2"):
        recipe.parse(Config, {"learning_rate": -2})


def test_a_run_finds_its_rate_and_shows_how(runs):
    run = train(runs, learning_rate="find")
    rate = run.settings["learning_rate"]
    assert 0 < rate <= 5 * USUAL_RATE
    report = read_report(run)
    assert report is not None
    curve = next(section for section in report.sections if isinstance(section, Curve))
    assert curve.mark == rate
    assert len(curve.points) > 10
    card = (run.checkpoint / "README.md").read_text()
    assert "--learning-rate find" in card


def test_steps_after_the_test_are_those_of_a_run_with_that_rate(runs):
    """It leaves no trace: not in the weights, nor in what is drawn."""
    found = train(runs, learning_rate="find")
    again = train(runs, learning_rate=found.settings["learning_rate"])
    losses = [[e["loss"] for e in run.events() if "loss" in e] for run in (found, again)]
    assert losses[0] == losses[1]


def test_a_continued_run_keeps_the_rate_that_was_found(runs):
    first = ending(runs, "digits", 1, {**TWO_STEPS, "learning_rate": "find"})
    execute(first)
    rate = first.settings["learning_rate"]
    more = job.continue_run(runs, first.id, {})
    execute(more)
    assert more.status["state"] == "done"
    assert "learning rate by a test" not in more.log_file.read_text()
    assert rate > 0
