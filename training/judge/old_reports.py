"""The sections of reports that were written before there were sections.

A run of those days says `per_class`, `confused`, `mistakes` or `captions` in its metrics.json, and
nothing of how they are shown.
"""

from typing import Any

from training.judge import captions, classification
from training.judge.records import Report, ReportError, Score, Section


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
    facts: dict[str, Any] = report.facts  # what is not in their form raises below
    if "captions" in facts:
        table = captions.make_table(report.before, after)
        return [table, *captions.make_galleries(facts["captions"])]
    if "per_class" in after.more:
        confused = facts.get("confused", [])
        mistakes = facts.get("mistakes", [])
        return classification.make_sections(report.before, after, confused, mistakes)
    return []
