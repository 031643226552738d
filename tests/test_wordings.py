"""What callers say: enough of it, in tidy sentences, and nothing of what is measured on in what is
trained on."""

from __future__ import annotations

import re

import numpy as np
import pytest

from training.samples.wordings import (
    GROUP,
    INTENTS,
    PARTS,
    SLOT,
    expansions,
    fill,
    judge_sentences,
    sentence,
    slots,
    templates,
    wordings,
)

MADE = ("train", "held_out")
RUN = 6  # words in a row that no two parts share


def runs_of_words(texts: list[str]) -> set[str]:
    found = set()
    for text in texts:
        words = re.findall(r"[\w'<>]+", text.lower())
        found |= {" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
    return found


def bodies(part: str, intent: str) -> list[str]:
    """All that an intent's own templates give, without frames; a slot is one word."""
    return [
        text
        for kind in templates(part)[intent].values()
        for each in kind
        for text in expansions(each)
    ]


@pytest.fixture(scope="module")
def words() -> dict[str, dict[str, set[str]]]:
    """Runs of words by part and intent."""
    found = {
        part: {intent: runs_of_words(bodies(part, intent)) for intent in INTENTS} for part in MADE
    }
    return found | {
        "judge": {intent: runs_of_words(judge_sentences()[intent]) for intent in INTENTS}
    }


def test_the_intents_are_minds14s_in_its_order() -> None:
    assert len(INTENTS) == 14 and list(INTENTS) == sorted(INTENTS)
    assert (
        INTENTS[0] == "abroad" and INTENTS[10] == "high_value_payment" and INTENTS[13] == "pay_bill"
    )


@pytest.mark.parametrize("part", MADE)
def test_every_intent_has_all_kinds_of_templates_and_knows_its_slots(part: str) -> None:
    assert set(templates(part)) == {"shared", *INTENTS}
    assert set(templates(part)["shared"]) == {"open", "close", "pause", "frame-do", "frame-ask"}
    for intent in INTENTS:
        assert set(templates(part)[intent]) == {"say", "do", "ask"}
    used = {name for kinds in templates(part).values() for each in kinds.values() for line in each
            for name in SLOT.findall(line)}  # fmt: skip
    assert used <= set(slots())


@pytest.mark.parametrize("part", MADE)
def test_every_template_is_whole(part: str) -> None:
    for kinds in templates(part).values():
        for lines in kinds.values():
            for line in lines:
                rest = line
                while GROUP.search(rest):
                    rest = GROUP.sub("", rest)
                assert not set(rest) & set("()[]") and line == line.strip(), line


@pytest.mark.parametrize("intent", INTENTS)
def test_there_are_many_wordings_to_train_on_and_others_to_be_measured_by(intent: str) -> None:
    assert len(set(wordings("train", intent, 400))) == 400
    assert len(set(wordings("held_out", intent, 150))) == 150
    assert len(set(wordings("judge", intent, 12))) == 12
    assert len(templates("train")[intent]["say"]) >= 10 and len(set(bodies("train", intent))) >= 450


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="no 100 wordings of freeze in the part judge, only 14"):
        wordings("judge", "freeze", 100)


def test_no_template_and_no_six_words_in_a_row_are_in_two_parts(words) -> None:
    for intent in INTENTS:
        for one, other in (("train", "held_out"), ("train", "judge"), ("held_out", "judge")):
            assert not words[one][intent] & words[other][intent], (intent, one, other)


def test_the_frames_of_the_parts_differ() -> None:
    for kind in ("frame-do", "frame-ask", "open", "close"):
        one, other = (
            {text for line in templates(part)["shared"][kind] for text in expansions(line)}
            for part in MADE
        )
        assert not one & other, kind


def test_no_sentence_is_in_two_parts_or_in_two_intents() -> None:
    seen: dict[str, tuple[str, str]] = {}
    for part in PARTS:
        for intent in INTENTS:
            for text in wordings(part, intent, 14 if part == "judge" else 150):
                assert seen.setdefault(text, (part, intent)) == (part, intent), text


@pytest.mark.parametrize("part", PARTS)
def test_sentences_are_tidy(part: str) -> None:
    for intent in INTENTS:
        for text in wordings(part, intent, 14 if part == "judge" else 150):
            assert re.fullmatch(r"[A-Z][A-Za-z' ,.?!éèç-]+[.?!]", text), text
            assert not re.search(
                r"  | [,.?!]|,,|[.?!,][.?!]|\bi\b|\ba [aeio]|\ban [b-df-hj-np-tv-z]|\{", text
            ), text
            assert 3 <= len(text.split()) <= 60, text


def test_the_same_draw_says_the_same_and_another_does_not() -> None:
    one, same, other = (
        sentence("train", "balance", np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one == same != other
    assert wordings("train", "freeze", 20) == wordings("train", "freeze", 40)[:20]
    assert wordings("train", "freeze", 20) != wordings("train", "freeze", 20, seed=1)


def test_a_template_is_filled_as_it_is_unfolded() -> None:
    template = "(a (b|c) |)d(e|f)"
    texts = set(expansions(template))
    assert texts == {"a b de", "a b df", "a c de", "a c df", "de", "df"}
    rng = np.random.default_rng(0)
    assert {fill(template, rng).strip() for _ in range(200)} == texts
    assert fill("to <place>", rng).removeprefix("to ") in slots()["place"]
