"""A run's report on disk, and as text in the terminal."""

from pathlib import Path

from training.judge.old_reports import add_sections
from training.judge.records import (
    Curve,
    Gallery,
    Matrix,
    Report,
    ReportError,
    Score,
    Section,
    Text,
)
from training.recipe import Metric
from training.runs.records import JsonValue, RecordError, read_record, write_json
from training.runs.run import Run

FILE = "metrics.json"  # in the run's report/, beside the pictures and sounds that it names


def read_report(run: Run) -> Report | None:
    """None where there is none yet. Raises ReportError where it is damaged."""
    try:
        stored = read_record(run.path / "report" / FILE, dict)
    except RecordError as error:
        raise ReportError(str(error)) from error
    return None if stored is None else parse_report(stored)


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


def describe(report: Report) -> str:
    """The whole report as text: of a checkpoint that sat an exam by itself, with no before."""
    lines = [f"{report.metric.title} on {report.data}: {_cell(report.after)}"]
    lines += [f"{name}: {after}" for name, _, after in _further_rows(report)]
    lines.append(_measure(report))
    lines += [f"note: {problem}" for problem in report.problems]
    for section in report.sections:
        if shown := _describe_section(section):
            lines += ["", section.title, "-" * len(section.title), *shown]
    return "\n".join(lines)


def _describe_section(section: Section) -> list[str]:
    """A section's lines; pictures and sounds cannot be shown here, but what is said of them can."""
    if isinstance(section, Text):
        return section.lines
    if isinstance(section, Matrix):
        return [_plain(note) for note in section.notes]
    if isinstance(section, Gallery):
        return [_plain(item.text) for item in section.items] or [section.empty]
    if isinstance(section, Curve):
        return [section.note]
    # A checkpoint that sits an exam by itself has nothing in the column of before.
    columns = [
        column
        for column in range(len(section.header))
        if any(row[column] is not None for row in section.rows)
    ]
    rows = [[section.header[column] for column in columns]]
    rows += [
        [_write(row[column], column in section.shares) for column in columns]
        for row in section.rows
    ]
    return _align(rows)


def _plain(text: str) -> str:
    return text.replace("**", "")


def _write(value: str | float | None, is_share: bool) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if is_share and not isinstance(value, str) else str(value)


def _align(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def table(report: Report) -> str:
    """The final table on the terminal and in log.txt: before and after."""
    rows = [
        (f"{report.metric.title} on", report.before_title, "after"),
        (report.data, _cell(report.before), _cell(report.after)),
    ]
    rows += _further_rows(report)
    if other := report.other:
        rows.append((other.data, _cell(other.before), _cell(other.after)))
    lines = _align([list(row) for row in rows])
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], _measure(report)])


def _measure(report: Report) -> str:
    """On what was measured, and what belongs beside the scores."""
    base = report.name_base()
    parts = [*[base] * bool(base), "95% intervals", report.held_out]
    return "\n".join(["; ".join(parts), *report.notes])


def _further_rows(report: Report) -> list[tuple[str, str, str]]:
    """The figures that stand beside the scores, before and after."""

    def show(score: Score | None, metric: Metric) -> str:
        return (score and score.beside(metric, 2)) or "-"

    return [
        (metric.title, show(report.before, metric), show(report.after, metric))
        for metric in report.beside
    ]


def _cell(score: Score | None) -> str:
    if score is None:
        return "-"
    low, high = (score.metric.text(end) for end in score.interval)
    return f"{score.text(2)} ({low} to {high}, {score.count.replace('n = ', 'n ')})"
