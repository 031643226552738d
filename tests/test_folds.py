"""Few examples are judged in folds: each once, by what has not seen it."""

import numpy as np
import pytest
import torch
from conftest import ended_well

from training.data.examples import Data, Examples, split_off_test
from training.judge import learned
from training.judge.learned import Learned
from training.learn import folds
from training.learn.folds import Offers
from training.runs.run import Rehearsal, Run


class Settings:
    def __init__(self, folds=0, method="frozen"):
        self.folds = folds
        self.resolved_method = method


def make_data(counts=(40, 60), parted=False) -> Data:
    labels = np.repeat(np.arange(len(counts)), counts)
    keys = np.random.default_rng(0).random(len(labels))
    every = Examples(lambda i: i, np.arange(len(labels)), labels, keys)
    if parted:
        return Data(every[labels == 0], every[labels == 1], ["a", "b"], "mine", "", "")
    return split_off_test(every, ["a", "b"], "pictures", "mine", "", [])


def make_offers(count=80, classes=4, apart=3.0, width=30) -> Offers:
    rng = np.random.default_rng(1)
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, width)) * apart / np.sqrt(width)
    x = torch.from_numpy(centres[labels] + rng.normal(size=(count, width))).float()
    return Offers([{"": x}], labels, rng.random(count), classes, None)


# -- whether ---------------------------------------------------------------------------------------
def test_few_examples_are_all_learned_from_and_all_judged():
    data = folds.pool(make_data(), Settings())
    assert data.folds == folds.USUAL
    assert len(data.train) == len(data.test) == 100
    assert "all 100 pictures of mine" in data.about


@pytest.mark.parametrize(
    "data, settings, found",
    [
        (make_data((200, 200)), Settings(), 0),  # enough of them
        (make_data((400, 20)), Settings(), 5),  # of one class there are few
        (make_data((4500, 20)), Settings(), 0),  # a fifth of so many says enough
        (make_data(), Settings(1), 0),  # never
        (make_data(), Settings(method="full"), 0),  # a whole training for each is asked for first
        (make_data(), Settings(3, "full"), 3),
        (make_data(parted=True), Settings(), 0),  # whose test part is a person's own
        (make_data(parted=True), Settings(4), 4),
    ],
)
def test_folds_come_where_examples_are_few_or_where_they_are_asked_for(data, settings, found):
    pooled = folds.pool(data, settings)
    assert pooled.folds == found
    if data.parted and found:  # what a person kept for the test stays unread
        assert set(pooled.train.keys) == set(data.train.keys)


# -- probes ----------------------------------------------------------------------------------------
def test_each_example_is_judged_by_a_probe_that_has_not_seen_it(tmp_path):
    """Labels without any pattern: who had seen them would know them."""
    offers = make_offers(apart=0.0, width=200)
    judged = folds.ask_probes(offers, 5, Run(tmp_path, main=False), int)
    right = (judged.answers.argmax(1) == offers.labels).mean()
    assert right < 0.5  # a probe of 200 features knows by heart all 80 that it saw
    np.testing.assert_allclose(judged.answers.sum(1), 1)


def test_what_shows_nearly_the_same_is_never_on_both_sides(tmp_path):
    """Each example there twice, labels without a pattern: the twin would tell."""
    once = make_offers(apart=0.0, width=200)
    x = once.views[0][""]
    again = torch.cat([x, x + 0.01 * torch.randn(x.shape, generator=torch.manual_seed(0))])
    rng = np.random.default_rng(2)
    twice = Offers([{"": again}], np.tile(once.labels, 2), rng.random(160), 4, None)
    grouped = twice.group_alike()
    assert (grouped.keys[:80] == grouped.keys[80:]).all()
    assert len(np.unique(grouped.keys)) == 80
    judged = folds.ask_probes(twice, 5, Run(tmp_path, main=False), int)
    assert (judged.answers.argmax(1) == twice.labels).mean() < 0.5


def test_the_learning_curve_rises_with_the_examples(tmp_path):
    judged = folds.ask_probes(make_offers(160, apart=2.5), 5, Run(tmp_path, main=False), int)
    (counts, scores) = judged.curve.T
    np.testing.assert_allclose(counts, [32, 64, 128], atol=4)
    assert scores[0] < scores[-1]


def test_confidence_is_fitted_to_the_answers_of_the_folds(tmp_path):
    offers = make_offers(400, apart=2.0)
    solved = folds.solve(offers, np.arange(400), int)
    judged = folds.ask_probes(offers, 5, Run(tmp_path, main=False), int)
    loud = folds.Judged(
        folds._soften(np.log(judged.answers) * 3), judged.curve
    )  # three times too sure
    told, softer = folds.calibrate(solved, loud, offers.labels)
    np.testing.assert_array_equal(softer.answers.argmax(1), loud.answers.argmax(1))
    assert softer.answers.max(1).mean() < loud.answers.max(1).mean()
    by = solved.probe.solution.weights / told.probe.solution.weights
    assert by.min() == pytest.approx(by.max())
    assert 2 < by.max() < 5


# -- what was learned from -------------------------------------------------------------------------
def test_a_checkpoint_is_not_asked_about_what_it_learned_from():
    keys = np.array([0.1, 0.2, 0.3, 0.4])
    own = np.full((4, 2), 0.5)
    seen = Learned(np.array([0.1, 0.2]), judged=np.array([0.2]), answers=np.array([[0.9, 0.1]]))
    masked = seen.mask(own, keys)
    assert np.isnan(masked[0]).all()
    np.testing.assert_array_equal(masked[1], [0.9, 0.1])
    np.testing.assert_array_equal(masked[2:], own[2:])
    np.testing.assert_array_equal(learned.is_asked(masked), [False, True, True, True])
    np.testing.assert_array_equal(Learned().mask(own, keys), own)


def test_what_the_start_had_learned_counts_too(tmp_path):
    first, second, third = (Run(tmp_path / name) for name in ("a", "b", "c"))
    for run in (first, second, third):
        run.path.mkdir()
    learned.write_keys(first, np.array([0.1, 0.2]), None, frozen=False)
    learned.write_keys(second, np.array([0.3]), first.checkpoint, frozen=False)
    learned.write_keys(third, np.array([0.4]), second.checkpoint, frozen=True)
    np.testing.assert_array_equal(learned.read_of(second).keys, [0.1, 0.2, 0.3])
    # A head that is solved for anew keeps nothing of the one before.
    np.testing.assert_array_equal(learned.read_of(third).keys, [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(learned.read_of(third).backbone, [0.1, 0.2, 0.3])
    again = Run(tmp_path / "d")
    again.path.mkdir()
    learned.write_keys(again, np.array([0.4]), None, frozen=True)
    assert not len(learned.read_of(again).backbone)


def test_a_damaged_record_is_none(tmp_path):
    run = Run(tmp_path)
    run.learned.write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    assert not len(learned.read_of(run).keys)
    assert not len(learned.read(tmp_path / "elsewhere").keys)


def test_a_rehearsal_leaves_no_trace(tmp_path):
    run = Run.create(tmp_path, "digits", {})
    before = {path.name for path in run.path.iterdir()}
    aside = Rehearsal(run, "training fold 1 of 3")
    (aside.resume / "state.pt").write_bytes(b"")
    aside.log(step=3, total=9, loss=1.0)
    aside.record(base="other")
    aside.say("a line")
    assert run.status["stage"] == "training fold 1 of 3"
    assert not list(run.events())
    run.request_stop()
    assert aside.should_stop()
    aside.end()
    assert {path.name for path in run.path.iterdir()} == before | {"stop"}


GARMENTS = {"dataset": "fashion_mnist", "start": "embedded-fashion"}


# -- runs ------------------------------------------------------------------------------------------
@pytest.fixture
def garments(tmp_path):
    """Sixteen pictures each of two classes that are easily told apart, by class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, tone in (("bright", 200), ("dark", 60)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(16):
            noise = rng.integers(-40, 40, (28, 28))
            picture = Image.fromarray(np.clip(tone + noise, 0, 255).astype(np.uint8))
            picture.save(tmp_path / "mine" / name / f"{number}.png")
    return tmp_path / "mine"


def test_a_frozen_run_on_few_examples_is_judged_by_all_of_them(runs, garments):
    own = {"source": "folder", "folder": str(garments), **GARMENTS, "method": "frozen"}
    run = ended_well(runs, "digits", own)
    after = run.metrics["after"]
    assert after["n"] == 32
    assert after["folds"] == 5
    assert run.metrics["after"]["accuracy"] > 0.8
    assert [point["examples"] for point in run.metrics["learning_curve"]] == pytest.approx(
        [6.4, 12.8, 25.6], abs=1.5
    )
    assert "cross-validated, n = 32" in (run.checkpoint / "README.md").read_text()
    assert "cross-validated, n 32)" in run.log_file.read_text()
    # A second one on the same pictures is compared with what the first one's folds answered.
    (runs / "active.json").write_text(f'{{"digits": ["{run.id}"]}}')
    again = ended_well(runs, "digits", own)
    gate = again.metrics["active"]
    assert gate["id"] == run.id
    assert gate["score"] == after["accuracy"]


def test_folds_of_a_whole_training(runs, garments):
    own = {"source": "folder", "folder": str(garments), **GARMENTS, "epochs": 2, "folds": 3}
    run = ended_well(runs, "digits", own)
    assert run.metrics["after"]["n"] == 32
    assert run.metrics["after"]["folds"] == 3
    assert not (run.path / ".rehearsal").exists()
    assert "fold 3 of 3" in run.log_file.read_text()


def test_what_learned_from_everything_cannot_be_judged_by_it(runs, garments):
    """A start that learned from all of these pictures, backbone too."""
    own = {"source": "folder", "folder": str(garments), **GARMENTS, "epochs": 1}
    start = ended_well(runs, "digits", {**own, "folds": 2})
    run = ended_well(runs, "digits", {**own, "start": start.id, "folds": 1})
    assert "after" not in run.metrics
    assert "has learned from every example" in run.status["note"]
    assert run.has_checkpoint
