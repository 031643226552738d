"""Runs beside each other: their curves in one plot, the settings that differ, and their scores with
what can be concluded from them. Plain functions from runs.
"""

import dataclasses
import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import pandas as pd

from demos import run_views
from demos.history_view import name_recipe
from training import recipe
from training.judge.records import Provenance, Report, Score
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.run import Run
from training.settings import name_start
from training.wording import duration

MOST = 6  # runs: more lines are not told apart
LONGEST = 26  # characters of a name: a legend cuts off what is longer
# Each is seen on white and on slate (3 to 1 at least).
COLOURS = ["#6366f1", "#d97706", "#0d9488", "#db2777", "#65a30d", "#0284c7"]
NONE = run_views.NONE


@dataclass(frozen=True)
class Compared:
    """What is shown of several runs; empty where there are fewer than two."""

    loss: pd.DataFrame  # step, loss, run
    score: pd.DataFrame  # step, score, run
    score_title: str
    colours: dict[str, str]  # of a line, by its run's name
    text: str  # HTML: what can be concluded, the scores, the settings


def compare(runs: Sequence[Run]) -> Compared:
    """In the order given, `MOST` at most."""
    shown = list(runs)[:MOST]
    if len(shown) < 2:
        nothing = pd.DataFrame()
        return Compared(nothing, nothing, "", {}, "")
    names = {run.id: shorten_title(checkpoint.of_run(run).title) for run in shown}
    reports = {run.id: run_views.find_report(run) for run in shown}
    # One axis holds one measure.
    first = run_views.score_title(shown[0])
    alike = [run for run in shown if run_views.score_title(run) == first]
    loss = _join([(names[run.id], _draw_training(run)) for run in shown])
    score = _join([(names[run.id], run_views.curves(run)[1]) for run in alike])
    sentences = [*_tell_limits(runs, shown, alike, loss), *conclude(names, reports, shown)]
    told = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    text = told + draw_scores(names, reports, shown) + draw_differences(names, shown)
    colours = dict(zip(names.values(), COLOURS, strict=False))
    return Compared(loss, score, first, colours, f'<div class="report">{text}</div>')


def shorten_title(title: str) -> str:
    """With the letters at its end, which tell it apart."""
    name, _, letters = title.rpartition(" · ")
    longest = LONGEST - len(letters) - 3
    return title if len(title) <= LONGEST else f"{name[: longest - 1]}… · {letters}"


def _draw_training(run: Run) -> pd.DataFrame:
    """Its loss on what it was trained on."""
    loss, _ = run_views.curves(run)
    return loss.loc[loss["part"] == run_views.TRAINED].copy()


def _join(curves: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Those that have a line, in one table."""
    named = [curve.assign(run=name) for name, curve in curves if len(curve)]
    return pd.concat(named, ignore_index=True) if named else pd.DataFrame()


def _tell_limits(
    given: Sequence[Run], shown: list[Run], alike: list[Run], loss: pd.DataFrame
) -> list[str]:
    """What is not in the plots."""
    told = []
    if len(given) > len(shown):
        told.append(f"The first {len(shown)} of {len(given)} runs are compared.")
    if loss.empty:
        told.append("None of them was trained in several steps, so there are no curves.")
    elif len({run.recipe for run in shown}) > 1:
        told.append("The losses are of different models: their heights say nothing of each other.")
    if len(alike) < len(shown):
        told.append("Validation scores of another measure than the first run's are left out.")
    return told


# -- scores ----------------------------------------------------------------------------------------
def conclude(
    names: dict[str, str], reports: dict[str, Report | None], runs: Sequence[Run]
) -> list[str]:
    """Whose scores can be compared, in sentences."""
    scored = [run for run in runs if (report := reports[run.id]) and report.after]
    if len(scored) < 2:
        return ["Fewer than two of them have a test score, so there is none to compare."]

    def key(run: Run) -> tuple[str, ...]:
        return _name_exam(reports[run.id], run)

    groups = [list(each) for _, each in itertools.groupby(sorted(scored, key=key), key)]
    told = []
    for group in (each for each in groups if len(each) > 1):
        who = "All" if len(group) == len(runs) else join_names([names[run.id] for run in group])
        told.append(f"{who} were tested on the same examples. {_tell_overlap(group, reports)}")
    if len(groups) > 1:
        kinds = list(zip(*map(key, scored), strict=True))
        which = "These scores are" if len(groups) == len(scored) else "The other scores are"
        told.append(f"{which} not comparable: {_explain(kinds)}.")
    return told


def _name_exam(report: Report | None, run: Run) -> tuple[str, ...]:
    """What a score was measured by and on: measure, data, examples."""
    if report is None or report.after is None:
        return ("", "", "")
    examples = f"{report.held_out} {report.after.n} {run.revision}"
    return (report.metric.key, report.data, examples)


def _explain(kinds: list[tuple[str, ...]]) -> str:
    measures, data, _ = kinds
    if len(set(measures)) > 1:
        return "they are of different measures"
    if len(set(data)) > 1:
        return "they were measured on different data sets"
    return "they were measured on other held-out examples of the data set"


def _tell_overlap(group: list[Run], reports: dict[str, Report | None]) -> str:
    """Whether the best is more than chance, by the two best intervals."""
    scores = [report.after for run in group if (report := reports[run.id]) and report.after]
    best, second = sorted(scores, key=lambda score: -score.value)[:2]
    if best.interval[0] <= second.interval[1]:
        return "The intervals of the best two overlap: which is better may be chance."
    return "The interval of the best lies above those of the others."


def join_names(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def draw_scores(
    names: dict[str, str], reports: dict[str, Report | None], runs: Sequence[Run]
) -> str:
    rows = []
    for run, colour in zip(runs, COLOURS, strict=False):
        report = reports[run.id]
        after = report.after if report else None
        took = run.status.get("seconds")
        rows.append(
            [
                f'<i class="key" style="background:{colour}"></i>{html.escape(names[run.id])}',
                html.escape(name_recipe(run.recipe)),
                _draw_score(after),
                html.escape(report.held_out if report and after else NONE),
                duration(took) if took else NONE,
            ]
        )
    return "<h4>Scores</h4>" + run_views.draw_rows(["Run", "Model", "Score", "On", "Took"], rows)


def _draw_score(score: Score | None) -> str:
    if score is None:
        return NONE
    low, high = (score.metric.text(end) for end in score.interval)
    title = html.escape(score.metric.title)
    return f"<b>{score.text()}</b> ({low} to {high}, {score.count}) {title}"


# -- settings --------------------------------------------------------------------------------------
def draw_differences(names: dict[str, str], runs: Sequence[Run]) -> str:
    rows = list_differences(runs)
    if not rows:
        return "<h4>Settings that differ</h4><p>None: they were trained with the same settings.</p>"
    header = ["Setting", *(html.escape(names[run.id]) for run in runs)]
    cells = [
        [html.escape(title), *(html.escape(value) for value in values)] for title, values in rows
    ]
    return "<h4>Settings that differ</h4>" + run_views.draw_rows(header, cells)


def list_differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Each setting in which they are not all alike, and its value in each run. A dash stands where
    it does nothing; of a setting that does nothing in one of them, what is usual is no
    difference."""
    told = [_tell_settings(run) for run in runs]
    titles = dict.fromkeys(title for settings in told for title in settings)
    rows = []
    for title in titles:
        found = [settings.get(title) for settings in told]
        values = [each.value if each else NONE for each in found]
        same = len(set(values)) == 1
        usual = None in found and all(each is None or each.is_usual for each in found)
        if not same and not usual:
            rows.append((title, values))
    return rows


@dataclass(frozen=True)
class Setting:
    value: str  # in words
    is_usual: bool


def _tell_settings(run: Run) -> dict[str, Setting]:
    """By their titles: what was set, where it counts, and what came of it."""
    told = {"Model": Setting(name_recipe(run.recipe), False)}
    config: Any = run.config
    try:
        fields = dataclasses.fields(recipe.load(run.recipe).config)
        used = recipe.find_used(recipe.parse_draft(recipe.load(run.recipe).config, config))
    except SettingsError:  # of another version
        fields, used = (), set(config)
    known = {f.name: f for f in fields}
    for name, value in config.items():
        if name != "name" and name in used:
            f = known.get(name)
            title = recipe.title_setting(f) if f else recipe.title_name(name)
            told[title] = Setting(write_setting(f, value), f is not None and value == f.default)
    made = Provenance.from_json(run.settings)
    resolved = {
        "Started from": name_start(made.base),
        "Learning rate used": f"{made.learning_rate:g}" if made.learning_rate else "",
        "Revision of the data": made.revision,
        "Continues": made.continues,
    }
    return told | {title: Setting(value, False) for title, value in resolved.items() if value}


def write_setting(f: dataclasses.Field | None, value: object) -> str:
    """As a person reads it; of a folder of this machine its name alone."""
    text = recipe.write_value(f, value) if f else str(value)
    if isinstance(value, float) and text == str(value):
        return f"{value:g}"
    if f and f.metadata["local"]:
        return _name_path(text) or NONE
    parts = [part.strip() for part in text.split(",")]
    return ", ".join(_name_path(each) if recipe.is_path(each) else each for each in parts) or NONE


def _name_path(path: str) -> str:
    return PureWindowsPath(path).name if "\\" in path else Path(path).name
