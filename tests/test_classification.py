"""Figures of a classifier, against known values and scikit-learn, and how they are shown."""

import numpy as np
import pytest

from training.judge import classification
from training.judge.records import ACCURACY, Score


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
    found = classification.compute_interval(right, n)
    assert found == pytest.approx((low, high), abs=3e-5) and not str(found[0]).startswith("-")


@pytest.mark.parametrize("n", [1, 11, 346, 10_000])
def test_the_interval_is_that_of_the_formula(n):
    """Which reports were made by until November 2026, with 1.96 for the normal quantile."""
    for right in {0, 1, n // 3, n - 1, n}:
        share, z = right / n, 1.96
        centre = share + z * z / (2 * n)
        spread = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
        due = [(centre + sign * spread) / (1 + z * z / n) for sign in (-1, 1)]
        assert classification.compute_interval(right, n) == pytest.approx(due, abs=2e-5)


def test_the_interval_of_nothing_is_everything():
    assert classification.compute_interval(0, 0) == (0.0, 1.0)


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(6), 400)
    labels = np.where(rng.random(400) < 0.6, probabilities.argmax(1), rng.integers(0, 5, 400))
    labels[labels == 5] = 0  # the last class is in the names only, though it is often said
    return probabilities, labels


def macro_f1(said, labels) -> float:
    """By its definition, over the classes that there are."""
    each = []
    for label in np.unique(labels):
        right = ((said == label) & (labels == label)).sum()
        each.append(2 * right / ((said == label).sum() + (labels == label).sum()))
    return float(np.mean(each))


def test_figures_are_those_of_their_definitions(answers):
    probabilities, labels = answers
    said = probabilities.argmax(1)
    found = classification.score_answers(probabilities, labels, list("abcdef"), top5=True)
    assert found.value == pytest.approx((said == labels).mean(), abs=1e-5)
    table = found.more["confusion"]
    assert all(
        table[i][j] == ((labels == i) & (said == j)).sum() for i in range(6) for j in range(6)
    )
    assert found.more["macro_f1"] == pytest.approx(macro_f1(said, labels), abs=1e-5)
    first = np.argsort(-probabilities, 1)[:, :5]
    among = (first == labels[:, None]).any(1).mean()
    assert found.more["top5"] == pytest.approx(among, abs=1e-5)
    assert found.n == 400 and found.interval[0] < found.value < found.interval[1]


def test_a_class_that_the_test_part_lacks_has_no_figure(answers):
    found = classification.score_answers(*answers, list("abcdef")).more["per_class"]
    assert found["f"] is None and 0 < found["a"] <= 1


def test_the_worst_mistakes_are_the_surest_ones():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.01, 0.99], [0.3, 0.7]])
    labels = np.array([0, 1, 0, 0, 1])
    assert classification.find_worst(probabilities, labels) == [3, 2, 1]
    assert classification.find_worst(probabilities, labels, count=2) == [3, 2]


def test_the_confusion_picture_can_be_drawn_for_any_number_of_classes(tmp_path):
    from PIL import Image

    for count in (2, 30):
        path = tmp_path / f"{count}.png"
        names = [f"a very ${i}_ long_ name ${i}_" for i in range(count)]
        classification.draw_confusion(path, np.eye(count, dtype=int).tolist(), names, "all right")
        with Image.open(path) as picture:
            assert min(picture.size) > 300


def score(**more) -> Score:
    return Score(ACCURACY, 0.5, (0.4, 0.6), 300, more)


def test_a_class_is_named_in_words_and_keyed_by_its_own_name():
    found = classification.make_recall_table({"hot_dog": 0.5}, {"hot_dog": 0.75, "hot dog": None})
    assert found.title == "Recall per class"
    assert found.rows == [["hot_dog", 0.5, 0.75], ["hot dog", None, None]]  # two that look alike
    names = {"hot_dog": "hot dog", "ice_cream": "ice cream"}
    names |= {str(i): str(i) for i in range(classification.MANY)}
    pair = {"truth": "hot_dog", "said": "ice_cream", "count": 3, "of": 4}
    matrix = classification.make_matrix([pair], names)
    assert matrix.notes == ["3 of 4 **hot dog** were predicted as **ice cream**"]
    mistake = {"picture": "m.jpg", "truth": "hot_dog", "said": "ice_cream", "confidence": 0.87}
    (item,) = classification.make_gallery([mistake], names).items
    assert item.file == "m.jpg" and item.alt == "hot dog"
    assert item.text == "Predicted **ice cream** (87% confident), actual **hot dog**"


def test_few_classes_keep_their_order_and_need_no_pairs():
    found = classification.make_recall_table(None, {"b": 0.9, "a": 0.1})
    assert [row[0] for row in found.rows] == ["b", "a"] and found.folded_after == 0
    pair = {"truth": "a", "said": "b", "count": 3, "of": 4}
    assert classification.make_matrix([pair], {"a": "a", "b": "b"}).notes == []


def test_further_figures_are_told_in_sentences_where_there_are_enough_examples():
    past, now = score(calibration_error=0.0881), score(calibration_error=0.0238)
    assert classification.make_notes(past, now) == ["Calibration error 2.4% (8.8% before)."]
    assert classification.make_notes(None, now) == ["Calibration error 2.4%."]
    assert classification.make_notes(score(), score()) == []
    five = score(top5=0.75, top5_interval=[0.7, 0.8])
    assert classification.make_notes(five, five) == [
        "Top-5 accuracy 75.0% (70.0% to 80.0%), 75.0% before."
    ]
