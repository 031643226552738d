"""A run's report: what is read is what was written, by whichever version; and as text."""

import json
from pathlib import Path

import pytest

from training.judge.classification import MANY
from training.judge.records import (
    ACCURACY,
    CIDER,
    Comparison,
    Gallery,
    Gate,
    Item,
    Matrix,
    Report,
    ReportError,
    Score,
    Table,
    Text,
)
from training.judge.report import file_of, parse_report, read_report, table, write_report
from training.recipe import Metric
from training.runs.records import write_json
from training.runs.run import Run

OLD = Path(__file__).parent / "old_runs"
EXPECTED = json.loads((OLD / "expected.json").read_text())
ERROR = Metric("r2", "R²", share=False, interval="bootstrap")  # neither classes nor captions


@pytest.fixture
def run(runs) -> Run:
    return Run.create(runs, "digits", {})


def whole() -> Report:
    """A report with something in every field."""
    before = Score(ERROR, 0.25, (0.2, 0.3), 50)
    after = Score(ERROR, 0.75, (0.7, 0.8), 50, {"mean_error": 2.5})
    return Report(
        ERROR,
        "rents (folder)",
        "the 50 flats held out",
        before,
        after,
        Comparison("other rents", before, before),
        Gate("embedded-rents", True, 0.5),
        0.0,
        [
            Table("Errors", ["Part", "After"], [["north", 0.25], ["south", None]], [1], 1),
            Gallery("Far off", [Item("a.png", "a flat", "**900** for 400", "Why", ["large"])]),
            Matrix("Where to where", "m.png", "a matrix", ["**north** for **south**"]),
            Text("Remarks", ["few flats"]),
        ],
        ["one has no rent"],
        {"unit": "euro"},
        9,
        9,
        False,
        0.5,
        ["Mean error 2.5."],
    )


def test_what_is_read_is_what_was_written(run):
    assert read_report(run) is None and not (run.path / "report").exists(), "reading makes nothing"
    write_report(run, whole())
    assert read_report(run) == whole()
    assert run.metrics["after"] == {"r2": 0.75, "interval": [0.7, 0.8], "n": 50, "mean_error": 2.5}


def test_only_the_first_of_several_processes_writes(run):
    write_report(Run(run.path, main=False), whole())
    assert read_report(run) is None


@pytest.mark.parametrize("name", EXPECTED)
def test_reports_of_earlier_versions_are_read_with_sections_and_lose_no_key(old_runs, name):
    run = Run.find(old_runs, EXPECTED[name]["done"])
    stored = run.metrics
    report = read_report(run)
    assert report.after.value == EXPECTED[name]["score"] and report.after.n > 80
    again = report.to_json()
    assert {key: again[key] for key in stored} == stored
    assert parse_report(json.loads(json.dumps(again))) == report
    titles = [section.title.split(",")[0] for section in report.sections]
    if name == "captioning":
        assert report.metric == CIDER
        assert titles == ["Other metrics", "Best captions", "Worst captions"]
        assert ["BLEU-1", "0.0", "20.8"] in report.sections[0].rows
        assert report.sections[1].items[0].more_title == "References"
    else:
        assert report.metric == ACCURACY
        assert titles == ["Recall per class", "Confusion matrix", "Most confident mistakes"]
        assert len(report.sections[0].rows) == len(stored["classes"])
    shown = [item for section in report.sections for item in getattr(section, "items", [])]
    assert shown and all(file_of(run, item.file).is_file() for item in shown)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_run_of_an_earlier_version_that_was_stopped_has_no_score(old_runs, name):
    run = Run.find(old_runs, EXPECTED[name]["stopped"])
    report = read_report(run)
    assert report.after is None and report.stopped and not report.sections
    assert (report.step, report.total) == (3, 4) and report.to_json() == run.metrics


def test_of_many_classes_the_weakest_come_first_and_in_words(old_runs):
    report = read_report(Run.find(old_runs, EXPECTED["audio_intent"]["done"]))
    recall, matrix, _ = report.sections
    assert len(recall.rows) == 14 and recall.folded_after == MANY
    shares = [row[2] for row in recall.rows]
    assert shares == sorted(shares) and "high value payment" in [row[0] for row in recall.rows]
    assert matrix.notes and "_" not in " ".join(matrix.notes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"after": 7}',
        '{"after": {"accuracy": "high"}}',
        '{"after": {"accuracy": 0.5}, "chance": []}',
        '{"after": {"accuracy": 0.5, "per_class": [1]}}',
        '{"after": {"accuracy": 0.5, "per_class": {"a": 1}}, "mistakes": [{"truth": "a"}]}',
        '{"after": {"cider_d": 0.5}, "captions": {"best": []}}',
        '{"active": {"id": "x", "same_labels": true}}',
        '{"metric": "accuracy"}',
        '{"metric": {"key": "a", "title": 5}}',
        '{"sections": [{"kind": "hologram"}]}',
        '{"sections": [{"kind": "text", "title": "T", "lines": "abc"}]}',
        '{"sections": [{"kind": "text", "title": "T", "lines": [1]}]}',
        '{"sections": [{"kind": "table", "title": "T", "header": ["a"], "rows": [[1, 2]]}]}',
        '{"sections": [{"kind": "table", "title": "T", "header": ["a"], "rows": [[{}]]}]}',
        '{"sections": [{"kind": "gallery", "title": "T", "items": [{"file": "a"}]}]}',
    ],
)
def test_a_damaged_report_is_told_apart_from_none(run, text):
    (run.report / "metrics.json").write_text(text)
    with pytest.raises(ReportError, match="."):
        read_report(run)


def test_a_file_of_a_report_lies_in_it_whatever_its_name_says(run):
    assert file_of(run, "../../config.json") == run.path / "report" / "config.json"


def test_the_final_table_holds_before_after_and_what_was_forgotten(run):
    def part(accuracy):
        return {"accuracy": accuracy, "interval": [accuracy - 0.01, accuracy + 0.01], "n": 1000}

    write_json(
        run.report / "metrics.json",
        {
            "data": "digits",
            "before": None,
            "after": part(0.9) | {"calibration_error": 0.014},
            "chance": 0.1,
            "held_out": "1,000 of x",
            "other": {"data": "garments", "before": part(0.5), "after": part(0.4)},
        },
    )
    lines = table(read_report(run)).splitlines()
    assert lines[2].split() == "digits - 90.00% (89.0% to 91.0%, n 1,000)".split()
    assert lines[3].startswith("garments") and "50.00%" in lines[3] and "40.00%" in lines[3]
    assert lines[4] == "chance 10.0%; 95% intervals; 1,000 of x"
    assert lines[5] == "Calibration error 1.4%."


def test_a_plain_number_is_written_without_percent():
    report = whole()
    report.chance = 0.25
    text = table(report)
    assert "R² on" in text and "0.7500 (0.700 to 0.800, n 50)" in text and "Mean error 2.5." in text
    assert "chance 0.250; 95% intervals" in text
