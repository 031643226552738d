"""Figures of a report, against known values and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from training.judge import report


@pytest.mark.parametrize(
    "right, n, low, high",
    [
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (5, 10, 0.23659, 0.76341),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_the_interval_is_wilsons(right, n, low, high):
    # The last: Newcombe 1998, Statistics in Medicine 17, table I, 81 of 263: 0.2553 to 0.3662.
    found = report.interval(right / n, n)
    assert found == pytest.approx([low, high], abs=3e-5) and not str(found[0]).startswith("-")


def test_the_interval_of_nothing_is_everything():
    assert report.interval(0.0, 0) == [0.0, 1.0]


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(6), 400)
    labels = np.where(rng.random(400) < 0.6, probabilities.argmax(1), rng.integers(0, 5, 400))
    labels[labels == 5] = 0  # the last class is in the names only, though it is often said
    return probabilities, labels


def test_figures_are_those_of_scikit_learn(answers):
    probabilities, labels = answers
    found, said = (
        report.classification(probabilities, labels, list("abcdef")),
        probabilities.argmax(1),
    )
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, said), abs=1e-5)
    assert found["confusion"] == confusion_matrix(labels, said, labels=range(6)).tolist()
    assert found["macro_f1"] == pytest.approx(
        f1_score(labels, said, average="macro", labels=range(5)), abs=1e-5
    ), "over the classes that there are"
    assert found["n"] == 400 and found["interval"][0] < found["accuracy"] < found["interval"][1]


def test_a_class_that_the_test_part_lacks_has_no_figure(answers):
    found = report.classification(*answers, list("abcdef"))
    assert found["per_class"]["f"] is None and 0 < found["per_class"]["a"] <= 1


def test_the_worst_mistakes_are_the_surest_ones():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.01, 0.99], [0.3, 0.7]])
    labels = np.array([0, 1, 0, 0, 1])
    assert report.worst(probabilities, labels) == [3, 2, 1]
    assert report.worst(probabilities, labels, count=2) == [3, 2]


def test_the_confusion_picture_can_be_drawn_for_any_number_of_classes(tmp_path):
    from PIL import Image

    for count in (2, 30):
        path = tmp_path / f"{count}.png"
        names = [f"a very long name for class {i}" for i in range(count)]
        report.confusion_picture(path, np.eye(count, dtype=int).tolist(), names, "all right")
        with Image.open(path) as picture:
            assert min(picture.size) > 300


def test_the_final_table_holds_before_after_and_what_was_forgotten():
    def part(accuracy):
        return {"accuracy": accuracy, "interval": [accuracy - 0.01, accuracy + 0.01], "n": 1000}

    text = report.table(
        {
            "data": "digits",
            "before": None,
            "after": part(0.9),
            "chance": 0.1,
            "held_out": "1,000 of x",
            "other": {"data": "garments", "before": part(0.5), "after": part(0.4)},
        }
    )
    lines = text.splitlines()
    assert lines[2].split() == "digits - 90.00% (89.0% to 91.0%, n 1,000)".split()
    assert lines[3].startswith("garments") and "50.00%" in lines[3] and "40.00%" in lines[3]
    assert lines[4] == "chance 10.0%; 95% intervals; 1,000 of x"
