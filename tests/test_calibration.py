"""Confidence that can be believed: what a temperature mends, and what it must leave as it is."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torch import nn

from training.judge import calibration


def drawn(count: int, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are true: each label is drawn by them."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(classes, 0.4), count)
    return true, np.array([rng.choice(classes, p=row) for row in true])


def heated(probabilities: np.ndarray, by: float) -> np.ndarray:
    powered = probabilities ** (1 / by)
    return powered / powered.sum(1, keepdims=True)


@pytest.mark.parametrize("by", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_true_probabilities_is_found(by):
    true, labels = drawn(4000)
    spoiled = heated(true, by)
    found = calibration.fit_temperature(spoiled, labels)
    assert found == pytest.approx(1 / by, rel=0.06)
    mended = heated(spoiled, found)
    assert (mended.argmax(1) == true.argmax(1)).all(), "no answer changes"
    assert (
        calibration.compute_error(mended, labels) < calibration.compute_error(true, labels) + 0.005
    )
    assert (
        calibration.compute_error(heated(true, 3), labels)
        > calibration.compute_error(true, labels) + 0.03
    )


def test_the_error_is_the_mean_distance_of_scikit_learns_curve():
    true, labels = drawn(3000, seed=1)
    spoiled = heated(true, 1.7)
    sure, right = spoiled.max(1), spoiled.argmax(1) == labels
    share, confidence = calibration_curve(right, sure, n_bins=calibration.BINS)
    counts = np.histogram(sure, np.linspace(0, 1, calibration.BINS + 1))[0]
    assert calibration.compute_error(spoiled, labels) == pytest.approx(
        float((np.abs(share - confidence) * counts[counts > 0]).sum() / 3000), abs=1e-9
    )


def test_too_few_examples_tell_nothing():
    true, labels = drawn(calibration.LEAST - 1)
    assert calibration.fit_temperature(heated(true, 2), labels) == 1.0
    assert calibration.fit_temperature(np.zeros((0, 5)), np.zeros(0, int)) == 1.0


def test_certainty_and_nothing_but_right_answers_end_at_a_bound():
    sure = np.eye(3)[np.zeros(300, int)]
    assert np.isfinite(calibration.fit_temperature(sure, np.zeros(300, int)))
    assert calibration.fit_temperature(sure, np.ones(300, int)) == pytest.approx(
        calibration.HOTTEST, rel=0.01
    )
    assert calibration.compute_error(sure, np.zeros(300, int)) == 0.0


@pytest.mark.parametrize(
    "head",
    [
        nn.Linear(6, 4),
        nn.Sequential(nn.Flatten(), nn.LayerNorm(6), nn.Linear(6, 4)),
        nn.Linear(6, 4, bias=False),
    ],
)
def test_a_head_that_is_cooled_gives_its_logits_divided(head):
    x = torch.randn(3, 6)
    with torch.no_grad():
        before = head(x)
        assert calibration.divide_logits(head, 2.5)
        assert torch.allclose(head(x), before / 2.5, atol=1e-6)


def test_a_head_that_ends_in_something_else_is_left_alone():
    head = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4))
    before = {name: t.clone() for name, t in head.state_dict().items()}
    assert not calibration.divide_logits(head, 2.5) and not calibration.divide_logits(
        nn.Identity(), 2.5
    )
    assert all(torch.equal(t, before[name]) for name, t in head.state_dict().items())
