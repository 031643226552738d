"""The sections of reports that were written before there were sections.

A run of those days says `per_class`, `confused`, `mistakes` or `captions` in its metrics.json, and
nothing of how they are shown.
"""

from collections.abc import Mapping
from typing import TypedDict

from training.judge import classification
from training.judge.records import Gallery, Item, Report, ReportError, Score, Section, Table

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


def add_sections(report: Report) -> None:
    """Gives an old report the sections and notes that a new one of its recipe would have. Raises
    ReportError."""
    if report.after is None:
        return
    try:
        report.sections = _sections(report, report.after)
        report.notes = classification.make_notes(report.before, report.after)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"what it shows beside its scores cannot be read ({error})") from error


def _sections(report: Report, after: Score) -> list[Section]:
    facts = report.facts
    if "captions" in facts:
        table = caption_figures(report.before, after)
        return [table, *caption_galleries(facts["captions"])]
    if "per_class" in after.more:
        confused = facts.get("confused", [])
        mistakes = facts.get("mistakes", [])
        return classification.make_sections(report.before, after, confused, mistakes)
    return []


def caption_figures(before: Score | None, after: Score) -> Table:
    """The other scores that are usual for captions."""

    def cell(score: Score | None, key: str, form: str) -> str | None:
        return form.format(score.more[key]) if score and key in score.more else None

    return Table(
        "Other metrics",
        ["Metric", "Before", "After"],
        [[name, cell(before, key, form), cell(after, key, form)] for key, name, form in FIGURES],
    )


def caption_galleries(captions: Mapping[str, list[Caption]]) -> list[Gallery]:
    """The best and the worst, each with the references that it was scored against."""
    return [
        Gallery(f"{kind.capitalize()} captions, by CIDEr-D", [_item(one) for one in captions[kind]])
        for kind in ("best", "worst")
    ]


def _item(caption: Caption) -> Item:
    said = caption["said"] or "(no words)"
    text = f"**{said}**, {caption['score']:.2f}"
    return Item(caption["picture"], "", text, "References", caption["references"])
