"""What the Train tab draws of a run."""

import json
from pathlib import Path

import pytest
from PIL import Image

from demos import run_views
from training.judge.records import (
    Base,
    Comparison,
    Gallery,
    Item,
    Matrix,
    Metric,
    Report,
    Score,
    Table,
    Text,
)
from training.judge.report import write_report
from training.runs.run import Run

OLD = Path(__file__).parent / "old_runs"
EXPECTED = json.loads((OLD / "expected.json").read_text())
FIT = Metric("r2", "R²", share=False)


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


def test_the_curves_of_a_run_that_goes_on_begin_where_it_all_began(runs, run):
    for step in (1, 2, 3):
        run.log(step=step, total=3, loss=4.0 - step)
    again = Run.create(runs, "digits", {}, continues=run.id)
    for step in (3, 4):  # the third step was not saved
        again.log(step=step, total=6, loss=1.0)
    loss, _ = run_views.curves(again)
    assert loss["step"].tolist() == [1, 2, 3, 4]
    last = Run.create(runs, "digits", {}, continues=again.id)
    assert len(run_views.list_events(last)) == 4, "before its first step too"
    circle = Run.create(runs, "digits", {}, continues="digits-20000101-000000-aaaa")
    assert run_views.list_events(circle) == []


def test_how_long_it_is_at_work_is_counted_from_the_first_second(run):
    run.set_status("running")
    assert f'data-since="{run.created:.0f}"' in run_views.status(run)
    run.set_status("done")
    assert "data-since" not in run_views.status(run)


def test_the_last_validation_score_is_told_where_there_is_no_curve_yet(run):
    assert "validation" not in run_views.status(run)
    run.log(step=1, total=1, score=0.394)
    assert "validation 39.4%" in run_views.status(run)


def test_a_long_run_is_drawn_with_few_points_and_its_last(run):
    for step in range(1, 1001):
        run.log(step=step, total=1000, loss=1.0)
    loss, _ = run_views.curves(run)
    assert 200 < len(loss) <= 400 and loss["step"].iloc[-1] == 1000


def test_curves_without_points_are_numbers_too():
    for curve in run_views.curves(None):
        assert curve.empty and set(
            curve.drop(columns="part", errors="ignore").dtypes.astype(str)
        ) == {"float64"}


# -- reports ---------------------------------------------------------------------------------------
def fit(value: float) -> Score:
    return Score(FIT, value, (value - 0.1, value + 0.1), 50)


def draw(run: Run, *sections, **more) -> str:
    """The report, as the page shows it, of a run that tells neither classes apart nor writes
    captions."""
    report = Report(FIT, "rents", "50 flats", fit(0.2), fit(0.7), sections=list(sections), **more)
    write_report(run, report)
    return run_views.report(run)


def test_before_and_after_are_told_with_intervals_and_in_sentences(run):
    shown = draw(run, notes=["Mean error 2.5."], problems=["flat <7> has no rent"])
    assert "R² on" in shown and "<b>0.700</b> (0.600 to 0.800, n = 50)" in shown
    assert "R² rose by 0.500." in shown and "Mean error 2.5." in shown
    assert shown.count("%") == 1, "of the intervals"
    assert "Left out of the data" in shown and "flat &lt;7&gt; has no rent" in shown


def test_chance_is_written_as_the_score_is(run):
    shown = draw(run, chance=0.0)
    assert "Chance: 0.00." in shown and shown.count("%") == 1
    right = Metric("right", "Right")
    write_report(run, Report(right, after=Score(right, 0.5, (0.4, 0.6), 9), chance=0.125))
    assert "Chance: 12%." in run_views.report(run)


def test_a_figure_stands_beside_the_score_and_the_base_is_told_with_its_rule(run):
    most = Metric("most", "Most <right>")
    after = Score(FIT, 0.7, (0.6, 0.8), 50, {"most": 0.5})
    base = Base(0.25, 'always "<a>"')
    write_report(run, Report(FIT, "rents", "50", fit(0.2), after, base=base, beside=[most]))
    shown = run_views.report(run)
    assert "<td>Most &lt;right&gt;</td><td>–</td><td>50.0%</td>" in shown
    assert "Base to beat: 0.250 (always &quot;&lt;a&gt;&quot;)." in shown


@pytest.mark.parametrize(
    "before, words",
    [(0.2, "rose by 0.500."), (0.9, "fell by 0.200."), (0.7001, "R² did not change.")],
)
def test_a_gain_or_a_loss_is_told_by_its_name(run, before, words):
    write_report(run, Report(FIT, "rents", "50 flats", fit(before), fit(0.7)))
    assert words in run_views.report(run)


def test_what_was_forgotten_is_told_where_there_was_something_to_forget(run):
    other = Comparison("houses", fit(0.6), fit(0.5))
    assert "On houses, which it knew before, it forgot 0.100." in draw(run, other=other)
    assert "forgot nothing" in draw(run, other=Comparison("houses", fit(0.6), fit(0.6)))
    assert "forgot" not in draw(run, other=other, chance=0.5)


def test_a_table_draws_shares_as_bars_and_folds_what_is_too_much(run):
    rows = [["<a>", 0.5, 2.5], ["b", None, 1000.0], ["c", 1.5, None]]
    shown = draw(run, Table("Parts", ["Part", "Share", "Error"], rows, [1], folded_after=2))
    assert "<td>&lt;a&gt;</td>" in shown and "width:50.0%" in shown and "50%</td>" in shown
    assert "<td>2.5</td>" in shown and "<td>1,000</td>" in shown and "<td>–</td>" in shown
    assert "Show 1 more" in shown and "width:100.0%" in shown, "no bar is wider than its place"
    assert shown.index("<details>") < shown.index("<td>c</td>")


def test_a_gallery_shows_pictures_and_sounds_in_the_page_itself(run):
    Image.new("RGB", (4, 4)).save(run.report / "a.png")
    (run.report / "b.mp3").write_bytes(b"sound")
    items = [
        Item("a.png", 'a "flat"', "**<near>** the *lake*", "References", ["one", "<two>"]),
        Item("b.mp3", "a voice", "said **this**"),
        Item("gone.png", "", "its file is gone"),
    ]
    shown = draw(run, Gallery("Best", items))
    assert 'alt="a &quot;flat&quot;" src="data:image/png;base64,' in shown
    assert "<audio" in shown and 'src="data:audio/mpeg;base64,c291bmQ="' in shown
    assert "<b>&lt;near&gt;</b> the *lake*" in shown
    assert "<summary>References</summary>" in shown and "<li>&lt;two&gt;</li>" in shown
    assert shown.count("<figure>") == 3 and shown.count("data:") == 2
    assert "nothing to show" in draw(run, Gallery("Best", [], "nothing to show"))


def test_no_file_outside_of_the_report_is_shown(run):
    (run.path / "secret.png").write_bytes(b"secret")
    assert "data:" not in draw(run, Gallery("Best", [Item("../secret.png", "", "")]))


def test_a_matrix_stands_beside_the_table_before_it_with_its_notes(run):
    Image.new("RGB", (4, 4)).save(run.report / "m.png")
    matrix = Matrix("Confusion matrix", "m.png", "who is who", ["3 of 4 **a** were **b**"])
    shown = draw(run, Table("Parts", ["Part"], [["a"]]), matrix, Text("Remarks", ["few flats"]))
    assert shown.count("class='cols'") == 1 and 'class="confusion" alt="who is who"' in shown
    assert "<li>3 of 4 <b>a</b> were <b>b</b></li>" in shown and "<li>few flats</li>" in shown
    assert shown.index("Remarks") > shown.index("who is who")


@pytest.mark.parametrize("name", EXPECTED)
def test_reports_of_earlier_versions_are_drawn(old_runs, name):
    shown = run_views.report(Run.find(old_runs, EXPECTED[name]["done"]))
    assert "Measured on" in shown and "data:" in shown
    words = {
        "digits": ["Recall per class", "Confusion matrix", "Calibration error 30.2%."],
        "food": ["hot dog", "Top-5 accuracy", "Most confident mistakes", "Chance: 12%."],
        "audio_intent": ["<audio", "Recall per class, weakest first", "high value payment"],
        "captioning": ["CIDEr-D on", "BLEU-4", "Best captions", "<summary>References</summary>"],
    }
    assert [word for word in words[name] if word not in shown] == []
    for label in ("hot_dog", "high_value_payment", "people said", "What it takes for what"):
        assert label not in shown
    stopped = run_views.report(Run.find(old_runs, EXPECTED[name]["stopped"]))
    assert "stopped before it was tested" in stopped and "it reached" in stopped


def test_a_score_that_is_no_share_is_written_as_it_is(old_runs):
    stopped = run_views.report(Run.find(old_runs, EXPECTED["captioning"]["stopped"]))
    assert "it reached 0.000." in stopped
    assert run_views.score_title(Run.find(old_runs, EXPECTED["captioning"]["done"])) == (
        "Validation score"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"after": {"accuracy": "<high>"}}'])
def test_a_damaged_report_is_said_so_and_keeps_no_other_run_from_being_shown(run, text):
    assert run_views.report(run) == ""
    (run.report / "metrics.json").write_text(text)
    assert "The report of this run is damaged: " in run_views.report(run)
    assert run_views.find_report(run) is None


@pytest.mark.parametrize("state, words", run_views.STATES.items())
def test_a_state_is_written_in_words(run, state, words):
    run.set_status("running" if state == "stopping" else state, seconds=5400)
    if state == "stopping":
        run.request_stop()
    assert f'class="state {state}">{words}</span>' in run_views.status(run)
    assert "took 1.5 h" in run_views.status(run)


def test_of_a_damaged_run_it_is_said_and_it_can_be_deleted_and_no_more(run):
    (run.path / "config.json").write_text('{"created": 1e30, "config": [5]}')
    assert "config.json" in run_views.status(run) and "damaged" in run_views.status(run)
    can = run_views.can(run)
    assert not any(can.values())


def test_a_frozen_backbones_head_that_learns_by_steps_has_no_folds(run):
    run.record(method="frozen")
    run.log(step=1, total=5, score=0.5)
    assert run_views.name_steps(run) == "Fold"
    run.log(step=2, total=5, loss=1.0)
    assert run_views.name_steps(run).startswith("Step")
