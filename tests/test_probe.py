"""The probe: an optimum, chosen by what was left out, as an ordinary linear layer."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from training.learn import probe
from training.learn.probe import Question


def blobs(count: int, width: int, classes: int, apart: float = 1.0, seed: int = 0):
    """(count, width) features of odd scales and places, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    x = apart * rng.normal(size=(classes, width))[labels] + rng.normal(size=(count, width))
    return (x * rng.uniform(0.01, 50, width) + rng.normal(0, 30, width)).astype(np.float32), labels


@pytest.mark.parametrize("count, width, classes", [(60, 200, 3), (200, 20, 5), (40, 300, 2)])
def test_it_is_the_optimum_that_scikit_learn_finds(count, width, classes):
    (x, labels) = blobs(count, width, classes)
    strength = 10.0
    found = probe.solve(x, Question(labels, classes), [strength])
    plain = (x - x.mean(0)) / x.std(0)
    # Its penalty of two classes is on one row of weights, where ours is on one of each.
    least = strength / width * (2 if classes == 2 else 1)
    theirs = LogisticRegression(C=least, tol=1e-8, max_iter=5000).fit(plain, labels)
    logits = found.solution(x.astype(np.float64))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    assert np.allclose(shares, theirs.predict_proba(plain), atol=2e-3)


def test_it_is_written_into_a_linear_layer_behind_what_scales():
    (x, labels) = blobs(90, 24, 3)
    head = nn.Sequential(nn.Flatten(), nn.LayerNorm(24), nn.Dropout(0.5), nn.Linear(24, 3))
    taught = probe.find_linear(head)
    assert taught is not None
    maps = torch.from_numpy(x)[:, :, None, None]
    (offered,) = taught.offer(maps).values()
    found = probe.solve(offered.numpy(), Question(labels, 3))
    taught.write("", found.solution)
    with torch.no_grad():
        logits = head.eval()(maps)
    assert np.allclose(logits, found.solution(offered.numpy()), atol=1e-3)
    assert (logits.argmax(1).numpy() == labels).mean() > 0.9


def test_a_head_that_is_more_than_a_linear_layer_is_not_solved_for():
    assert probe.find_linear(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))) is None
    assert probe.find_linear(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))) is None
    assert probe.find_linear(nn.Flatten()) is None


def test_a_head_that_answers_already_is_begun_with():
    """As sentences for the classes answer: what a few examples tell is added to it."""
    (x, labels) = blobs(400, 60, 4, apart=0.3)
    (few, rest) = np.arange(12), np.arange(12, 400)
    answering = probe.solve(x, Question(labels, 4), [0.3]).solution  # of more than the few
    shift = np.array([3.0, 0.0, 0.0, -3.0])  # and wrong about how common they are
    begun = probe.Solution(answering.weights, answering.bias + shift)
    asked = Question(labels[few], 4, begun=begun)

    def count_right(solution) -> float:
        return float((solution(x[rest].astype(float)).argmax(1) == labels[rest]).mean())

    alone = probe.solve(x[few], Question(labels[few], 4)).solution
    both = probe.solve(x[few], asked).solution
    assert count_right(both) > max(count_right(alone), count_right(begun))
    # The strongest penalty leaves it as it is, but for how common the classes are.
    still = probe.solve(x[few], asked, [1e-9]).solution
    turned = begun.weights - begun.weights.mean(1, keepdims=True)
    assert np.allclose(still.weights, turned, atol=1e-6)
    # A class of which there is no example is never the answer, whatever is begun with.
    some = labels[few] != 2
    lacking = probe.solve(x[few][some], Question(labels[few][some], 4, begun=begun)).solution
    assert not (lacking(x.astype(float)).argmax(1) == 2).any()


def test_a_linear_head_offers_to_begin_with_what_it_answers():
    linear = nn.Linear(24, 3)
    (x, labels) = blobs(90, 24, 3)
    head = probe.find_linear(linear, begun=True)
    assert head is not None
    offered = head.offer(torch.from_numpy(x))
    assert [*offered] == [probe.AS_BEGUN, probe.AFRESH]
    begun = head.begin(probe.AS_BEGUN)
    assert begun is not None and head.begin(probe.AFRESH) is None
    with torch.no_grad():
        assert np.allclose(begun(x.astype(float)), linear(torch.from_numpy(x)), atol=1e-3)
    head.write(probe.AS_BEGUN, probe.solve(x, Question(labels, 3, begun=begun)).solution)
    assert (linear(torch.from_numpy(x)).argmax(1).numpy() == labels).mean() > 0.9
    assert not np.allclose(begun.weights.T, linear.weight.detach())  # it was read, and is kept


def test_noise_is_penalised_more_than_what_tells_the_classes_apart():
    (clear, labels) = blobs(120, 30, 3, apart=3.0)
    (noise, _) = blobs(120, 30, 3, apart=0.0)
    strong = probe.solve(noise, Question(labels, 3)).choice
    weak = probe.solve(clear, Question(labels, 3)).choice
    assert strong.strength < weak.strength
    assert weak.accuracy == 1.0 and strong.accuracy < 0.6 and weak.folds == probe.FOLDS


def test_folds_spread_every_class_and_part_no_group():
    labels = np.repeat([0, 1], [30, 12])
    groups = np.arange(42) // 2  # pairs that show the same
    fold = probe.deal_folds(labels, groups, 5)
    assert (fold[::2] == fold[1::2]).all()
    for label in (0, 1):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 2  # one pair


def test_classes_that_are_rare_or_not_there_are_no_trouble():
    (x, labels) = blobs(30, 10, 3, apart=2.0)
    kept = (labels != 2) | (np.arange(30) == 2)  # one example of the third
    found = probe.solve(x[kept], Question(labels[kept], 5))
    answers = found.solution(x.astype(np.float64)).argmax(1)
    assert set(answers) <= {0, 1, 2}
    one = probe.solve(x[labels == 1], Question(labels[labels == 1], 3))
    assert not one.choice.folds and set(one.solution(x.astype(np.float64)).argmax(1)) == {1}


def test_features_that_never_vary_tell_nothing():
    (x, labels) = blobs(30, 10, 3)
    x[:, 4] = 7.0
    found = probe.solve(x, Question(labels, 3))
    assert np.isfinite(found.solution.weights).all() and not found.solution.weights[4].any()


def test_balanced_weights_move_the_border_towards_the_common_class():
    (x, labels) = blobs(80, 2, 2, apart=0.5)
    rare = (labels == 0) | (np.arange(80) < 16)
    (x, labels) = (x[rare], labels[rare])
    weights = len(labels) / (2 * np.bincount(labels))
    plain, even = (
        (probe.solve(x, Question(labels, 2, each)).solution(x).argmax(1) == 1).sum()
        for each in (None, weights)
    )
    assert even > plain


def test_who_waits_is_asked_at_every_step():
    (x, labels) = blobs(30, 10, 3)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        probe.solve(x, Question(labels, 3), beat=stop)
