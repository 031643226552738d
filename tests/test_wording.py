"""How names, numbers and times are written for a person."""

import pytest

from training.wording import counted, duration, in_words, sentence


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
