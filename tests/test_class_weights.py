"""Classes of very different sizes: what there is to beat, what stands beside accuracy, and a loss
in which every class counts alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ended_well
from learning import bars, folder_of, losses, own
from meals import SIZE, colours, network, published
from torch.nn import functional as F
from voices import tones

from training.judge import classification as judged
from training.judge.exam import Findings
from training.judge.records import ACCURACY, BALANCED, Base, Report
from training.judge.report import describe, parse_report, table
from training.learn.classification import sum_cross_entropy, weigh_classes
from training.runs.run import Run

pytestmark = pytest.mark.usefixtures("quick_picture")


# -- what is reported ------------------------------------------------------------------------------
LABELS = np.array([0] * 36 + [1] * 4)
ALWAYS = np.tile([0.9, 0.1], (40, 1))


def test_always_naming_the_commonest_class_is_no_better_than_the_base():
    score = judged.score_answers(ALWAYS, LABELS, ["common", "rare_one"])
    base = judged.find_base(LABELS, ["common", "rare_one"])
    assert score.value == base.value == 0.9 and base.rule == 'always "common"'
    assert score.more["balanced_accuracy"] == 0.5 and score.beside(BALANCED) == "50.0%"


def test_balanced_accuracy_is_over_the_classes_that_there_are():
    score = judged.score_answers(ALWAYS, np.zeros(40, int), ["common", "rare_one"])
    assert score.more["balanced_accuracy"] == 1.0


def test_an_epoch_can_be_judged_with_every_class_alike():
    accuracy, loss = judged.score_held_out(ALWAYS, LABELS)
    balanced, even = judged.score_held_out(ALWAYS, LABELS, balanced=True)
    assert accuracy == 0.9 and balanced == pytest.approx(0.5) and even > loss


def whole() -> Report:
    after = judged.score_answers(ALWAYS, LABELS, ["common", "rare"])
    found = Findings(base=judged.find_base(LABELS, ["common", "rare"]), beside=[BALANCED])
    return Report(
        ACCURACY, "own", "40", after=after, chance=0.5, base=found.base, beside=found.beside
    )


def test_the_terminal_shows_balanced_accuracy_and_the_base_and_a_report_keeps_them():
    report = whole()
    lines = table(report).splitlines()
    assert lines[2].split()[:3] == ["own", "-", "90.00%"]
    assert lines[3].split() == ["Balanced", "accuracy", "-", "50.00%"]
    assert lines[4] == 'base to beat 90.0% (always "common"); 95% intervals; 40'
    assert "Balanced accuracy: 50.00%" in describe(report)
    again = parse_report(report.to_json())
    assert again.base == Base(0.9, 'always "common"') and again.beside == [BALANCED]
    assert table(again) == table(report)


# -- the loss --------------------------------------------------------------------------------------
def test_weights_make_all_classes_count_alike_and_an_example_one_on_average():
    labels = np.array([0] * 8 + [1] * 2 + [3] * 2)
    weights = weigh_classes("balanced", labels, 5).cpu()
    assert weights.tolist() == [0.5, 2.0, 1.0, 2.0, 1.0]  # 2 and 4 have no examples
    assert weights[labels].mean() == 1 and weigh_classes("none", labels, 5) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_examples_loss_is_multiplied_by_the_weight_of_its_class(smoothing):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([0, 0, 0, 1, 2, 2])
    each = F.cross_entropy(logits, truth, label_smoothing=smoothing, reduction="none")
    weights = torch.tensor([0.5, 3.0, 1.0])
    wanted = float(0.5 * each[:3].sum() + 3 * each[3] + each[4:].sum())
    shares = F.one_hot(truth, 3).float()
    for told in (truth, shares):
        assert float(sum_cross_entropy(logits, told, smoothing, weights)) == pytest.approx(wanted)
        plain = float(sum_cross_entropy(logits, told, smoothing, None))
        assert plain == pytest.approx(float(each.sum()))


# -- every method ----------------------------------------------------------------------------------
def unequal(folder: Path) -> Path:
    """Leaves a third of the first class."""
    first = sorted(folder.iterdir())[0]
    for path in sorted(first.iterdir())[6:]:
        path.unlink()
    return folder


def both(runs: Path, recipe: str, settings: dict) -> list[Run]:
    return [
        ended_well(runs, recipe, {**settings, "class_weights": choice})
        for choice in ("none", "balanced")
    ]


@pytest.mark.parametrize("method", ["full", "frozen", "lora", "scratch"])
def test_weights_change_what_each_method_of_food_learns(method, runs, tmp_path):
    folder = unequal(colours(tmp_path / "own", each=18))
    start = published(runs, network("resnet", ["colour0", "colour1", "colour2"]), SIZE).id
    settings = own(folder) | dict(start=start, method=method, batch_size=12, holdout=0.1, folds=1)
    plain, even = both(runs, "food", settings)
    assert losses(plain) != losses(even)
    assert ", balanced" in even.log_file.read_text()
    assert ", balanced" not in plain.log_file.read_text()
    assert "base to beat" in even.log_tail() and "Balanced accuracy" in even.log_tail()
    card = (even.checkpoint / "README.md").read_text("utf-8")
    assert "| Balanced accuracy | " in card and "Base to beat: " in card
    assert "--class-weights balanced" in card


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_weights_change_what_audio_and_digits_learn(method, runs, tmp_path):
    folder = unequal(folder_of(bars(3, 18), tmp_path / "bars"))
    plain, even = both(runs, "digits", own(folder) | dict(method=method))
    assert losses(plain) != losses(even)
    shutil.rmtree(folder)
    sounds = unequal(tones(tmp_path / "tones"))
    plain, even = both(runs, "audio_intent", own(sounds) | dict(method=method, batch_size=8))
    assert losses(plain) != losses(even)
