"""What the Train tab draws of a run."""

import pytest

from demos import run_views
from training.runs.run import Run


@pytest.fixture
def run(runs) -> Run:
    return Run.create(runs, "digits", {})


def test_a_curve_begins_with_its_second_point(run):
    assert [len(curve) for curve in run_views.curves(None)] == [0, 0]
    run.log(step=1, total=9, loss=2.0)
    run.log(step=1, total=9, score=0.5)
    assert [len(curve) for curve in run_views.curves(run)] == [0, 0], (
        "one point is no line, only odd ticks"
    )
    run.log(step=2, total=9, loss=1.0)
    run.log(step=2, total=9, score=0.625)
    loss, score = run_views.curves(run)
    assert loss["step"].tolist() == [1, 2] and 1.0 < loss["loss"][1] < loss["loss"][0] == 2.0, (
        "smoothed"
    )
    assert score.to_dict("list") == {"step": [1, 2], "score": [50, 62.5]}, "in percent"


def test_a_long_run_is_drawn_with_few_points_and_its_last(run):
    for step in range(1, 1001):
        run.log(step=step, total=1000, loss=1.0)
    loss, _ = run_views.curves(run)
    assert 200 < len(loss) <= 400 and loss["step"].iloc[-1] == 1000


def test_curves_without_points_are_numbers_too():
    for curve in run_views.curves(None):
        assert curve.empty and set(curve.dtypes.astype(str)) == {"float64"}
