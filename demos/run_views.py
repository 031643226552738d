"""Runs as a person sees them: state and progress, curves, history, report. Plain functions from a
Run."""

import base64
import html
import itertools
import math
import mimetypes
import re
from pathlib import Path

import pandas as pd

from demos import page
from training import recipe
from training.judge.records import (
    ACCURACY,
    Curve,
    Gallery,
    Item,
    Matrix,
    Metric,
    Report,
    ReportError,
    Score,
    Section,
    Table,
    Text,
)
from training.judge.report import file_of, read_report
from training.runs import checkpoint
from training.runs.index import open_index
from training.runs.records import Event
from training.runs.run import ENDED, OVER, Run
from training.settings import name_start
from training.wording import duration, sentence

STATES = {
    "queued": "Queued",
    "running": "Running",
    "stopping": "Stopping",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
    "lost": "Interrupted",
    "damaged": "Damaged",
}
ESCALATIONS = {"SIGTERM": "asked again to stop", "SIGKILL": "did not stop, so it was killed"}
NONE = "–"
TRAINED, HELD_OUT = "Training", "Held out"  # the lines of the loss
SMOOTH = 0.8  # of the loss curve: share of the value before
CHAIN = 20  # runs that go on from each other, of which the curves tell
LISTED = 50  # problems of the data, at most


def score_text(score: Score | None) -> str:
    return score.text() if score else NONE


def find_report(run: Run) -> Report | None:
    """None where there is none, or one that cannot be read."""
    try:
        return read_report(run)
    except ReportError:
        return None


def _metric(run: Run | None) -> Metric:
    """What a run is judged by, also before it has a score."""
    if run is None:
        return ACCURACY
    if run.recipe in recipe.names():
        return recipe.load(run.recipe).metric
    report = find_report(run)  # of another version's recipe
    return report.metric if report else ACCURACY


def score_title(run: Run | None) -> str:
    what = "Score after each fold" if _is_folded(run) else "Validation score"
    return what + ", %" * _metric(run).share


def name_steps(run: Run | None) -> str:
    """What the curves stand over, and where in it the epochs are."""
    if run is None or _is_folded(run):
        return "Fold" if run else "Step"
    total, epochs = run.status.get("total", 0), run.config.get("epochs", 0)
    if isinstance(epochs, int) and epochs > 1 and total >= epochs:
        return f"Step (an epoch is {total / epochs:,.0f})"
    return "Step"


def _is_folded(run: Run | None) -> bool:
    """Whether its scores are those of a probe, judged fold by fold: a head too large for one learns
    by steps."""
    if run is None or run.settings.get("method") != "frozen":
        return False
    return not any("loss" in event for event in run.events())


def status(run: Run | None, training: bool = True) -> str:
    """State, progress bar, step, time left, and the reason when it ended early. `training`: whether
    the page may start runs."""
    if run is None:
        how = (
            " Choose the settings and press Start: the sample data needs no network and takes a "
            "few minutes at most on a CPU."
        )
        return page.notice("No run yet." + how * training)
    state = run.state
    now = run.status
    step = now.get("step", 0)
    total = now.get("total", 0)
    done = 1.0 if state == "done" else step / total if total else 0.0
    facts = [
        f"step {step:,} of {total:,}" if total > 1 else "",
        f"epoch {epoch} of {run.config.get('epochs', '?')}" if (epoch := now.get("epoch")) else "",
        page.progress(run) if state in ("running", "stopping") else "",
        # Counted by the browser: there is something to see from the first second on.
        f'<span data-since="{run.created:.0f}"></span>' if state not in OVER else "",
        _tell_validation(run) if state not in OVER else "",
        f"took {duration(seconds)}" if (seconds := now.get("seconds")) else "",
        ESCALATIONS.get(run.escalation, "") if state not in OVER else "",
        f"continues {origin}" if (origin := run.settings.get("continues")) else "",
    ]
    reason = sentence(now.get("reason") or (now.get("note", "") if state not in ENDED else ""))
    notice = page.notice(
        html.escape(reason), "bad" if state in ("failed", "lost", "damaged") else "note"
    )
    bar = (  # of a run that is done it would tell nothing
        '<div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{done * 100:.0f}"><i style="width:{done:.1%}"></i>'
        "</div>"
    ) * (state != "done")
    return (
        f'<div class="run"><h3>{html.escape(checkpoint.of_run(run).name)}</h3><span class="state '
        f'{state}">{STATES.get(state, state)}</span>{bar}<div '
        f'class="facts">{"".join(f"<span>{f}</span>" for f in facts if f)}</div>{notice}</div>'
    )


def _tell_validation(run: Run) -> str:
    """The last score on the held-out part: after one epoch there is no curve of it yet."""
    scores = [event["score"] for event in run.events() if "score" in event]
    return f"validation {_metric(run).text(scores[-1])}" if scores else ""


def queue(waiting: list[Run]) -> str:
    if not waiting:
        return ""
    rows = "".join(f"<li>{html.escape(checkpoint.of_run(r).name)}</li>" for r in waiting)
    return f"<b>Queued, next first</b><ol class='queue'>{rows}</ol>"


def list_events(run: Run) -> list[Event]:
    """A run's; and before them those of the runs that it goes on from, up to where it took over."""
    events = list(run.events())
    seen = {run.id}
    while len(seen) < CHAIN:
        origin = Run.find(run.path.parent, str(run.settings.get("continues") or ""))
        if origin is None or origin.id in seen:
            break
        first = min((event.get("step", 0) for event in events), default=math.inf)
        events = [event for event in origin.events() if event.get("step", 0) < first] + events
        seen.add(origin.id)
        run = origin
    return events


def curves(run: Run | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Loss (of what is trained on, smoothed, and after each epoch of what is held out), and the
    held-out score, over steps, at most some 300 points a line; a lone point is no line yet."""
    losses: list[dict[str, float]] = []
    held: list[dict[str, float]] = []
    held_losses: list[dict[str, float]] = []
    smooth = None
    unit = 100 if _metric(run).share else 1
    for event in list_events(run) if run else ():
        if "loss" in event:
            smooth = (
                event["loss"] if smooth is None else SMOOTH * smooth + (1 - SMOOTH) * event["loss"]
            )
            losses.append({"step": event["step"], "loss": round(smooth, 4)})
        elif "score" in event:
            held.append({"step": event["step"], "score": round(event["score"] * unit, 4)})
            if "score_loss" in event:
                held_losses.append({"step": event["step"], "loss": round(event["score_loss"], 4)})
    every = max(1, len(losses) // 300)
    parts = {TRAINED: losses[::-1][::every][::-1], HELD_OUT: held_losses}
    drawn = [_frame("loss", points).assign(part=part) for part, points in parts.items()]
    return pd.concat(drawn, ignore_index=True), _frame("score", held)


def _frame(name: str, points: list[dict[str, float]]) -> pd.DataFrame:
    # floats also where there are none: the plot takes what an empty table holds for words, and its
    # axis stays so
    shown = points if len(points) > 1 else []
    return pd.DataFrame(shown, columns=["step", name], dtype=float)


# -- the report ------------------------------------------------------------------------------------
def report(run: Run | None) -> str:
    """Before and after, what it means, and each section by its kind."""
    if run is None:
        return ""
    try:
        found = read_report(run)
    except ReportError as error:
        text = f"The report of this run is damaged: {html.escape(str(error))}."
        rest = " Its model can still be used." if run.has_checkpoint else ""
        return page.notice(text + rest, "bad")
    if found is None:
        return ""
    if found.after is None:
        return page.notice(_unscored(found, _metric(run)))
    sections = list(found.sections)
    if found.problems:
        sections.append(Text("Left out of the data", found.problems[:LISTED]))
    start = name_start(str(run.settings.get("base") or ""))
    parts = [_before_and_after(found, found.after, start), f"<p>{_story(found, found.after)}</p>"]
    # What is narrow stands side by side: a table and the matrix beside it are read together.
    for narrow, group in itertools.groupby(sections, lambda s: isinstance(s, Table | Matrix)):
        drawn = [draw_section(section, run) for section in group]
        if narrow and len(drawn) > 1:
            columns = "".join(f"<div>{text}</div>" for text in drawn)
            parts.append(f"<div class='cols'>{columns}</div>")
        else:
            parts += drawn
    return f'<div class="report">{"".join(parts)}</div>'


def _unscored(found: Report, metric: Metric) -> str:
    text = "This run was stopped before it was tested, so it has no test score."
    if found.held_out_score is not None:
        held_out = metric.text(found.held_out_score)
        text += f" On the validation examples it reached {held_out}."
    return text


def _before_and_after(found: Report, after: Score, start: str) -> str:
    """`start`: what the run began with, in a few letters."""
    body = [[html.escape(found.data), _scored(found.before), _scored(after)]]
    for metric in found.beside:
        shown = [(score and score.beside(metric)) or NONE for score in (found.before, after)]
        body.append([html.escape(metric.title), *shown])
    if other := found.other:
        body.append([html.escape(other.data), _scored(other.before), _scored(other.after)])
    before = f"Before: {html.escape(start)}, its start" if start else "Before"
    before += f", {html.escape(found.answered)}" * bool(found.answered)
    return draw_rows([f"{html.escape(found.metric.title)} on", before, "After: this run"], body)


def _scored(score: Score | None) -> str:
    if score is None:
        return "Not scored: its start could not do this yet"
    low, high = (score.metric.text(end) for end in score.interval)
    meter = _meter(score.value) if score.metric.share else ""
    return f"{meter}<b>{score.text()}</b> ({low} to {high}, {score.count})"


def _story(found: Report, after: Score) -> str:
    """What was gained and what was forgotten, in sentences, with what there is to beat."""
    base = sentence(html.escape(found.name_base(": ", places=1 if found.base else 0)))
    text = f"Measured on {html.escape(found.held_out)}. {f'{base}. ' * bool(base)}"
    text += "Intervals are 95%."
    if found.before:
        gain = after.value - found.before.value
        points = found.metric.difference(gain)
        change = f"rose by {points}" if gain > 0 else f"fell by {points}"
        if points == found.metric.difference(0.0):
            change = "did not change"
        text += f" {html.escape(found.metric.title)} {change}."
    text += "".join(f" {html.escape(note)}" for note in found.notes)
    other = found.other
    # Nothing can be forgotten where it was hardly better than guessing.
    if other and (found.chance is None or other.before.value > 2 * found.chance):
        lost = other.before.value - other.after.value
        what = found.metric.difference(lost) if lost > 0 else "nothing"
        text += f" On {html.escape(other.data)}, which it knew before, it forgot {what}."
    return text


# -- sections, each by its kind --------------------------------------------------------------------
def draw_section(section: Section, run: Run) -> str:
    """Its heading, and what it shows."""
    match section:
        case Table():
            body = draw_table(section)
        case Gallery():
            body = draw_gallery(section, run)
        case Matrix():
            body = draw_matrix(section, run)
        case Text():
            body = _list(section.lines)
        case Curve():
            body = draw_curve(section)
    return f"<h4>{html.escape(section.title)}</h4>{body}"


def draw_table(table: Table) -> str:
    header = [html.escape(name) for name in table.header]
    rows = [
        [_cell(cell, column in table.shares) for column, cell in enumerate(row)]
        for row in table.rows
    ]
    shown = table.folded_after or len(rows)
    text = draw_rows(header, rows[:shown])
    if folded := rows[shown:]:
        summary = f"<summary>Show {len(folded)} more</summary>"
        text += f"<details>{summary}{draw_rows(header, folded)}</details>"
    return text


def _cell(cell: str | float | None, share: bool) -> str:
    if cell is None:
        return NONE
    if isinstance(cell, str):
        return html.escape(cell)
    return f"{_meter(cell)}{cell:.0%}" if share else f"{cell:,g}"


def draw_gallery(gallery: Gallery, run: Run) -> str:
    if not gallery.items:
        return f"<p>{html.escape(gallery.empty)}</p>"
    return f"<div class='mistakes'>{''.join(_figure(item, run) for item in gallery.items)}</div>"


def _figure(item: Item, run: Run) -> str:
    caption = _bold(item.text)
    if item.more:
        summary = f"<summary>{html.escape(item.more_title)}</summary>"
        caption += f"<details>{summary}{_list(item.more)}</details>"
    shown = _inline(file_of(run, item.file), item.alt)
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def draw_matrix(matrix: Matrix, run: Run) -> str:
    picture = _inline(file_of(run, matrix.file), matrix.alt, look="confusion")
    return picture + _list(matrix.notes)


def draw_curve(curve: Curve) -> str:
    """A line over logarithmic x, with its ends and what is marked in figures."""
    if len(curve.points) < 2:
        return f"<p>{html.escape(curve.note)}</p>"
    (xs, ys) = zip(*((math.log10(x), y) for x, y in curve.points), strict=True)
    wide, high = 100 / ((max(xs) - min(xs)) or 1), 40 / ((max(ys) - min(ys)) or 1)

    def place(x: float, y: float) -> str:
        return f"{(x - min(xs)) * wide:.2f},{40 - (y - min(ys)) * high:.2f}"

    line = " ".join(place(x, y) for x, y in zip(xs, ys, strict=True))
    mark = ""
    if curve.mark:
        at = (math.log10(curve.mark) - min(xs)) * wide
        mark = f'<line class="mark" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="40"/>'
    label = html.escape(f"{curve.y_title} by {curve.x_title.lower()}. {curve.note}")
    ends = (
        f"{html.escape(curve.x_title)} {curve.points[0][0]:.0e} to {curve.points[-1][0]:.0e}, "
        f"logarithmic; {html.escape(curve.y_title.lower())} {min(ys):.3g} to {max(ys):.3g}."
    )
    return (
        f'<svg class="curve" viewBox="-1 -2 102 44" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><polyline points="{line}"/>{mark}</svg>'
        f"<p>{ends} {html.escape(curve.note)}</p>"
    )


def _inline(path: Path, alt: str, look: str = "shown") -> str:
    """A picture or a sound in the page itself: nothing is served from a path. Empty where the file
    is gone."""
    if not path.is_file():
        return ""
    kind = mimetypes.guess_type(path.name)[0]
    what = f'src="data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"'
    words = html.escape(alt)
    if kind and kind.startswith("audio/"):
        return f'<audio controls preload="none" aria-label="{words}" {what}></audio>'
    return f'<img class="{look}" alt="{words}" {what}>'


def draw_rows(header: list[str], rows: list[list[str]]) -> str:
    """Of cells that are HTML already; wide ones scroll."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    lines = "".join(f"<tr>{line}</tr>" for line in [head, *body])
    return f"<div class='wide' tabindex='0'><table>{lines}</table></div>"


def _meter(share: float) -> str:
    return f"<span class='meter'><i style='width:{min(1, max(0, share)):.1%}'></i></span>"


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{_bold(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _bold(text: str) -> str:
    """Escaped, and what stands between two pairs of stars in bold."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text))


# -- which run, and what can be done with it -------------------------------------------------------
def can(run: Run | None) -> dict[str, bool]:
    """Which buttons make sense for a run."""
    if run is None:
        return dict.fromkeys(("stop", "use", "try_it", "mistakes", "share", "go_on"), False)
    state = run.state
    report = find_report(run)
    usable = run.has_checkpoint and state in OVER and bool(run.slot)
    return {
        "stop": state in ("queued", "running", "stopping"),
        "use": usable,
        "try_it": usable,
        "mistakes": report is not None
        and any(isinstance(each, Gallery) and each.items for each in report.sections),
        "share": run.has_checkpoint and state in OVER,
        "go_on": state in ENDED and bool(run.saved),
    }


def current(runs: Path, selected: str | None) -> Run | None:
    """The run that a person chose, else the one running, else the newest."""
    found = open_index(runs)
    if selected and selected in found:
        return Run.find(runs, selected)
    entry = found.running() or next(iter(found.newest(1)), None)
    return found.open(entry) if entry else None
