"""What people say to a bank: sentences for MInDS-14's 14 intents, in our own words, made from
templates.

    from training.samples.wordings import INTENTS, sentence, wordings

    sentence("train", "pay_bill", np.random.default_rng(0))     # one, as drawn
    wordings("held_out", "pay_bill", 150)                       # as many distinct ones

Three parts that share no template: "train"; "held_out", to measure by while training; "judge",
written by hand, to be measured by once. Their texts are in wordings/*.txt, which say how they are
read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

NAMES = (
    "abroad address app_error atm_limit balance business_loan card_issues cash_deposit "
    "direct_debit freeze high_value_payment joint_account latest_transactions pay_bill"
)
INTENTS: list[str] = [*NAMES.split()]  # in the data set's own order
PARTS = ("train", "held_out", "judge")
HERE = Path(__file__).with_name("wordings")
SHAPES = (("say",), ("do",), ("ask",), ("say", "do"), ("say", "ask"))
SHARES = (0.45, 0.22, 0.15, 0.1, 0.08)  # how often each shape is drawn
GROUP = re.compile(r"\(([^()]*)\)")
SLOT = re.compile(r"<(\w+)>")
# by kind: say, do, ask, and in "shared" open, close, pause, frame-do, frame-ask
Templates = dict[str, list[str]]


def wordings(part: str, intent: str, count: int, seed: int = 0) -> list[str]:
    """`count` distinct sentences of an intent, always the same. Raises ValueError if there are not
    as many."""
    if part == "judge":
        found = dict.fromkeys(judge_sentences()[intent][:count])
    else:
        found = {}
        rng = np.random.default_rng([seed, PARTS.index(part), INTENTS.index(intent)])
        for _ in range(20 * count):
            if len(found) == count:
                break
            found[sentence(part, intent, rng)] = None
    if len(found) < count:
        raise ValueError(
            f"There are no {count} wordings of {intent} in the part {part}, only {len(found)}."
        )
    return list(found)


def sentence(part: str, intent: str, rng: np.random.Generator) -> str:
    """One sentence or two as a caller says them, drawn with `rng`, with capitals and a mark at its
    end."""
    if part == "judge":
        return _pick(judge_sentences()[intent], rng)
    shared = templates(part)["shared"]
    own = templates(part)[intent]
    said = []
    for kind in SHAPES[rng.choice(len(SHAPES), p=SHARES)]:
        body = fill(_pick(own[kind], rng), rng)
        if kind != "say":
            body = fill(_pick(shared[f"frame-{kind}"], rng), rng).replace("{}", body)
        said.append(body)
    if rng.random() < 0.2:
        said[0] = _hesitate(said[0], fill(_pick(shared["pause"], rng), rng), rng)
    text = _end(said[0]) if len(said) == 1 else f"{_end(said[0])} {_end(said[1])}"
    if rng.random() < 0.55:
        opening = fill(_pick(shared["open"], rng), rng)
        text = f"{opening} {text}" if opening.endswith("?") else f"{opening}, {text}"
    if rng.random() < 0.3:
        closing = fill(_pick(shared["close"], rng), rng)
        text = (
            f"{text[:-1]}, please{text[-1]}" if closing == "please" else f"{text} {_end(closing)}"
        )
    return _tidy(text)


@cache
def templates(part: str) -> dict[str, Templates]:
    """The templates of "train" or "held_out" by intent and kind, and those of "shared"."""
    found: dict[str, Templates] = {}
    for section, line in _lines(part):
        kind, _, template = line.partition(": ")
        found.setdefault(section, {}).setdefault(kind, []).append(template)
    return found


@cache
def judge_sentences() -> dict[str, list[str]]:
    """The hand-written sentences by intent."""
    return {
        intent: [line for section, line in _lines("judge") if section == intent]
        for intent in INTENTS
    }


@cache
def slots() -> dict[str, list[str]]:
    """What can stand for each <name>."""
    parts = (line.partition(": ") for _, line in _lines("slots"))
    return {name: text.split("|") for name, _, text in parts}


def fill(template: str, rng: np.random.Generator) -> str:
    """The template with one alternative of each choice, and one filling of each slot."""
    text = f"({template})"
    count = 1
    while count:
        text, count = GROUP.subn(lambda match: _pick(match[1].split("|"), rng), text)
    return SLOT.sub(lambda match: _pick(slots()[match[1]], rng), text)


def expansions(template: str) -> Iterator[str]:
    """Every text that a template gives, with <name> where a slot is."""
    waiting = [f"({template})"]
    while waiting:
        text = waiting.pop()
        if match := GROUP.search(text):
            waiting += [
                text[: match.start()] + choice + text[match.end() :]
                for choice in match[1].split("|")
            ]
        else:
            yield re.sub(r"\s+", " ", text).strip()


def _lines(part: str) -> Iterator[tuple[str, str]]:
    """Section and line of the part's files; an indented line continues the one before it."""
    for path in sorted(HERE.glob(f"{part}*.txt")):
        section = ""
        for line in path.read_text("utf-8").replace("\n    ", " ").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                yield section, line


def _pick(options: list[str], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]


def _hesitate(text: str, pause: str, rng: np.random.Generator) -> str:
    """The text with a pause in front of one of its words."""
    words = _close_gaps(text).split()
    at = int(rng.integers(1, max(2, len(words) - 1)))
    return " ".join([*words[: at - 1], words[at - 1].rstrip(",") + ",", f"{pause},", *words[at:]])


def _end(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith(("?", "!", ".")) else f"{text}."


def _tidy(text: str) -> str:
    """Tidy: single spaces, a or an, capitals, nothing twice."""
    text = _close_gaps(re.sub(r"\s+", " ", text.strip()))
    text = re.sub(r"\b(for me|please),? \1\b", r"\1", text)
    text = re.sub(
        r"\ban? (?=(\w+))", lambda match: "an " if _starts_with_vowel(match[1]) else "a ", text
    )
    text = re.sub(r"\bi\b", "I", text)
    return re.sub(r"(^|[.?!] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def _close_gaps(text: str) -> str:
    """No space before a mark."""
    return re.sub(r"\s+([,.?!])", r"\1", text)


def _starts_with_vowel(word: str) -> bool:
    return word[0] in "aeiouA" and not word.startswith(("use", "uni", "euro", "one"))
