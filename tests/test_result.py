"""What came of a run, as the page tells it in one look."""

import pytest
from test_landing import scores

from demos import result
from training.judge.records import ACCURACY, Gate, Score
from training.judge.report import read_report
from training.runs.process import process_identity
from training.runs.run import Run, write_json


def finished(runs, measured, **settings) -> Run:
    run = Run.create(runs, "digits", settings)
    write_json(run.report / "metrics.json", measured)
    run.set_status("running", worker=process_identity())
    run.set_status("done")
    return run


def test_nothing_is_told_before_there_is_a_result(runs):
    run = Run.create(runs, "digits", {})
    assert result.draw(None, "") == result.draw(run, "") == ""
    assert result.draw(finished(runs, {"step": 1, "total": 1}), "") == ""


@pytest.mark.parametrize(
    "difference, verdict",
    [
        ([0.01, 0.1], "better"),
        ([-0.02, 0.03], "tie"),
        ([0.0, 0.0], "same"),
        ([-0.2, -0.1], "worse"),
    ],
)
def test_the_verdict_is_the_gates(runs, difference, verdict):
    measured = scores(0.8, 0.75)
    measured["active"]["difference"] = difference
    measured["after"]["n"] = 100
    drawn = result.draw(finished(runs, measured), "")
    assert result.VERDICTS[verdict] in drawn
    assert ("may be chance" in drawn) == (verdict == "tie")


def test_it_counts_in_examples_and_names_both_befores(runs):
    measured = scores(0.8, 0.75)
    measured["after"]["n"] = 200
    run = finished(runs, measured, base="embedded-fashion")
    run.record(base="embedded-fashion")
    run.set_swap("offered", "a tie")
    drawn = result.draw(run, "embedded-digits")
    assert "It gets 10 more of 200 right" in drawn and "It is not in use: a tie." in drawn
    report = read_report(run)
    names = [each.name for each in result.list_standings(run, report, report.after)]
    assert names[-1] == result.THIS
    assert any(name.startswith("In use then: ") for name in names)
    assert "It is in use now." in result.draw(run, run.id)


def test_what_can_be_compared_with_nothing_is_held_against_its_base(runs):
    measured = scores(0.8, same_labels=False)
    measured["base"] = {"value": 0.5, "rule": 'always "cat"'}
    measured["after"] |= {"interval": [0.7, 0.9], "n": 40}
    drawn = result.draw(finished(runs, measured, source="own", dataset="<pets>"), "")
    assert "It has learned &lt;pets&gt;" in drawn and "Base to beat: 50.0%" in drawn
    measured["after"] |= {"interval": [0.4, 0.9]}
    assert "It may not have learned" in result.draw(finished(runs, measured), "")


def test_a_gate_without_a_score_judges_nothing():
    assert Gate("embedded-food", True, None).judge(Score(ACCURACY, 0.5, (0.4, 0.6), 10)) == ""


@pytest.mark.parametrize("value, top", [(0.37, 0.5), (0.9, 1.0), (1.3, 2.0), (0.1, 0.1)])
def test_a_scale_ends_in_a_round_number(value, top):
    assert result._round_up(value) == pytest.approx(top)
