"""Whether one checkpoint is better than another is asked example by example."""

import numpy as np
import pytest
from scipy.stats import binomtest

from training.judge.exam import bound_difference


def differences(better: int, worse: int, same: int) -> np.ndarray:
    return np.repeat([1.0, -1.0, 0.0], [better, worse, same])


@pytest.mark.parametrize(
    "better, worse, same, sure",
    [
        (2, 0, 0, False),  # two examples leave a doubt
        (6, 0, 0, True),
        (6, 0, 94, True),
        (3, 0, 343, False),  # "3 more of 346: a tie"
        (20, 5, 75, True),
        (14, 10, 76, False),
    ],
)
def test_it_is_sure_of_what_the_exact_test_is_sure_of(better, worse, same, sure):
    low, high = bound_difference(differences(better, worse, same))
    assert (low > 0) == sure and high > 0
    # McNemar's exact test, of the pairs that differ
    assert (binomtest(better, better + worse).pvalue < 0.05) == sure
    mirrored = bound_difference(differences(worse, better, same))
    assert mirrored == pytest.approx((-high, -low))


def test_where_nothing_differs_there_is_no_difference():
    assert bound_difference(np.zeros(50)) == (0.0, 0.0)
    assert bound_difference(np.zeros(0)) == (0.0, 0.0)


def test_the_interval_holds_the_truth_nineteen_times_of_twenty():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        drawn = rng.choice([1.0, -1.0, 0.0], size=200, p=[0.15, 0.10, 0.75])
        low, high = bound_difference(drawn)
        held += low <= 0.05 <= high
    assert 930 <= held <= 970


def test_it_scales_with_what_is_measured():
    drawn = np.random.default_rng(1).normal(0.2, 1, 100)
    low, high = bound_difference(drawn)
    assert bound_difference(drawn * 10) == pytest.approx((low * 10, high * 10))
