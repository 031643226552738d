"""A run's report on disk, and as text in the terminal."""

import json
from pathlib import Path

from training.judge.old_reports import add_sections
from training.judge.records import Report, ReportError, Score
from training.runs.run import JsonValue, Run, write_json

FILE = "metrics.json"  # in the run's report/, beside the pictures and sounds that it names


def read_report(run: Run) -> Report | None:
    """None where there is none yet. Raises ReportError where it is damaged."""
    try:
        text = (run.path / "report" / FILE).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{FILE} is no text, or cannot be opened") from error
    try:
        return parse_report(json.loads(text))
    except json.JSONDecodeError as error:
        raise ReportError(f"{FILE} is cut off or no JSON") from error


def parse_report(stored: JsonValue) -> Report:
    """Whichever version wrote it: with its sections. Raises ReportError."""
    report = Report.from_json(stored)
    if isinstance(stored, dict) and "sections" not in stored:
        add_sections(report)
    return report


def write_report(run: Run, report: Report) -> None:
    """Atomic. Of several processes the first one writes."""
    if run.main:
        write_json(run.report / FILE, report.to_json())


def file_of(run: Run, name: str) -> Path:
    """A picture or a sound that the report names. It lies in the report, whatever the name says."""
    return run.path / "report" / Path(name).name


def table(report: Report) -> str:
    """The final table on the terminal and in log.txt: before and after."""
    rows = [
        (f"{report.metric.title} on", "before", "after"),
        (report.data, _cell(report.before), _cell(report.after)),
    ]
    if other := report.other:
        rows.append((other.data, _cell(other.before), _cell(other.after)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    chance = "" if report.chance is None else f"chance {report.chance:.1%}; "
    measured = f"{chance}95% intervals; {report.held_out}"
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], measured, *report.notes])


def _cell(score: Score | None) -> str:
    if score is None:
        return "-"
    low, high = (score.metric.text(end) for end in score.interval)
    return f"{score.text(2)} ({low} to {high}, n {score.n:,})"
