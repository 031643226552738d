"""`python -m training evaluate`: any checkpoint, on any data, with the report of a run."""

import json

import pytest
from conftest import execute
from meals import TWO_STEPS, colours, network, published, train
from test_command import HERE

from training import __main__ as command
from training.judge.report import FILE, parse_report, read_report
from training.recipes.food import score as food_score
from training.runs import job
from training.runs.run import Run
from training.samples.dishes import CLASSES

pytestmark = pytest.mark.usefixtures("quick_picture")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    return tmp_path_factory.mktemp("kitchen")


@pytest.fixture(scope="module")
def start(kitchen) -> Run:
    return published(kitchen, network("resnet", CLASSES))


def evaluate(kitchen, *words: str) -> int:
    return command.main(["evaluate", *words, "--runs", str(kitchen)])


def test_the_report_is_that_of_the_run_that_made_the_checkpoint(kitchen, start, tmp_path, capsys):
    run = train(kitchen, start=start.id)
    assert evaluate(kitchen, run.id, "food", "--report", str(tmp_path / "report")) == command.DONE
    mine = parse_report(json.loads((tmp_path / "report" / FILE).read_text()))
    theirs = read_report(run)
    assert mine.after.to_json() == theirs.after.to_json()
    assert [s.title for s in mine.sections] == [s.title for s in theirs.sections]
    gallery = mine.sections[-1]
    assert all((tmp_path / "report" / item.file).is_file() for item in gallery.items)
    told = capsys.readouterr().out
    assert f"Accuracy on drawn dishes (sample): {theirs.after.text(2)}" in told
    assert "Recall per class" in told and "Most confident mistakes" in told
    assert f"The report is in {tmp_path / 'report'}." in told


def test_a_folder_of_ones_own_is_data_and_a_folder_is_a_checkpoint(kitchen, tmp_path, capsys):
    own = colours(tmp_path / "own")
    known = published(kitchen, network("resnet", ["colour0", "colour1", "colour2"]))
    words = ("food", "--source", "folder", "--folder", str(own))
    assert evaluate(kitchen, str(known.checkpoint), *words) == command.DONE
    assert "Accuracy on own (folder)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, told",
    [
        (("food-20200101-000000-gone", "food"), "There is no checkpoint"),
        (("embedded", "food"), "knows 101 classes, the data has 8"),
        (("embedded", "food", "--source", "folder"), "go together"),
        (("embedded", "captioning", "--limit", "-1"), "limit (Maximum examples) is -1"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(kitchen, capsys, words, told):
    assert evaluate(kitchen, *words) == command.SETTINGS
    error = capsys.readouterr().err
    assert error.startswith("error: ") and told in error and error.count("\n") == 1


def test_it_is_told_by_the_commands_help():
    assert (HERE / "training" / "evaluate.py").is_file()
    assert "evaluate" in command.parser().format_help()


# -- an exam that fails ----------------------------------------------------------------------------
def test_an_exam_that_fails_does_not_lose_what_was_trained(kitchen, start, monkeypatch):
    def fail(*_):
        raise RuntimeError("The test pictures are gone")

    monkeypatch.setattr(food_score, "make_exam", fail)
    run = job.create(kitchen, "food", {**TWO_STEPS, "start": start.id})
    assert execute(run) == command.DONE
    assert run.state == "done" and run.has_checkpoint
    assert (run.checkpoint / "README.md").is_file()
    assert "could not be scored: The test pictures are gone" in run.status["note"]
    assert read_report(run).after is None and "Traceback" in run.log_file.read_text()


def test_a_report_that_cannot_be_written_is_one_line(kitchen, start, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    report = str(tmp_path / "file" / "report")
    assert evaluate(kitchen, start.id, "food", "--report", report) == command.FAILED
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("error: ") and "Traceback" not in "".join(told)
