"""The sections of a report on captions: the figures that are usual, and the best and the worst."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from training.judge.records import Gallery, Item, Score, Table

FIGURES = [  # of captions, beside CIDEr-D: key, name, how it is written
    *((f"bleu{n}", f"BLEU-{n}", "{:.1f}") for n in (1, 2, 3, 4)),
    ("rouge_l", "ROUGE-L", "{:.3f}"),
    ("distinct", "Distinct captions", "{:,}"),
    ("length", "Words per caption", "{:.1f}"),
]


class Caption(TypedDict):
    """A caption of a test picture, as metrics.json holds it."""

    picture: str  # a file of the report
    said: str
    references: list[str]
    score: float  # CIDEr-D of this one
    file: NotRequired[str]  # the picture's own, where it is one


def make_table(before: Score | None, after: Score) -> Table:
    """The other scores that are usual for captions."""

    def cell(score: Score | None, key: str, form: str) -> str | None:
        return form.format(score.more[key]) if score and key in score.more else None

    return Table(
        "Other metrics",
        ["Metric", "Before", "After"],
        [[name, cell(before, key, form), cell(after, key, form)] for key, name, form in FIGURES],
    )


def make_galleries(captions: Mapping[str, list[Caption]]) -> list[Gallery]:
    """The best and the worst, each with the references that it was scored against."""
    return [
        Gallery(f"{kind.capitalize()} captions, by CIDEr-D", [_item(one) for one in captions[kind]])
        for kind in ("best", "worst")
    ]


def _item(caption: Caption) -> Item:
    said = caption["said"] or "(no words)"
    text = f"**{said}**, {caption['score']:.2f}"
    return Item(caption["picture"], "", text, "References", caption["references"])
