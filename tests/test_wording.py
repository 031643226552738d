"""How names, numbers and times are written for a person."""

import pytest

from training.wording import counted, duration, fold, in_words, name_classes, sentence


@pytest.mark.parametrize(
    "seconds, words", [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_a_time_has_one_unit(seconds, words):
    assert duration(seconds) == words


def test_what_is_counted_is_in_the_singular_or_in_the_plural():
    assert [counted(n, "epoch") for n in (0, 1, 2000)] == ["0 epochs", "1 epoch", "2,000 epochs"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


def test_a_label_is_written_in_words_and_a_sentence_begins_large():
    assert in_words("hot_dog ") == "hot dog"
    assert [sentence(text) for text in ("", "not better", "CIDEr-D fell")] == [
        "",
        "Not better",
        "CIDEr-D fell",
    ]


@pytest.mark.parametrize(
    "labels, names",
    [
        (["hot_dog", "ramen"], ["hot dog", "ramen"]),
        (["hot_dog", "hot dog", "Hot dog"], ["hot_dog", "hot dog", "Hot dog"]),
        (["a ", "a", "b"], ["a (class 1)", "a (class 2)", "b"]),
        (["x", "x"], ["x (class 1)", "x (class 2)"]),
        (["_", "__", ""], ["_", "__", ""]),
        (["2", "10"], ["2", "10"]),
    ],
)
def test_no_two_labels_have_the_same_name(labels, names):
    assert name_classes(labels) == names and len(set(names)) == len(labels)


def test_the_words_of_one_data_set_are_not_those_of_another_ones_class():
    words = {"balance": "account balance", "freeze": "freeze the card"}
    assert name_classes(["freeze", "balance"], words) == ["freeze the card", "account balance"]
    assert name_classes(["balance", "beam_work"], words) == ["balance", "beam work"]


def test_names_that_a_person_takes_for_one_are_equal_when_folded():
    assert fold("Hot_Dog ") == fold("hot  dog") != fold("hotdog")
    assert fold("cr\u00e8me") == fold("cre\u0300me")
