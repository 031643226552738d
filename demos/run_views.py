"""Runs as a person sees them: state and progress, curves, history, report. Plain functions from a
Run."""

import base64
import html
import time
from pathlib import Path
from typing import Any

import pandas as pd

from demos import page
from training import recipe
from training.judge import scores
from training.runs import checkpoint, job
from training.runs.run import ENDED, Run
from training.wording import duration

COLUMNS = ["Run", "State", "Before", "After", "In its slot", "Disk", "Started", "id"]
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".mp3": "audio/mpeg"}
MANY = 12  # classes, beyond which the rest is folded away
FIGURES = [
    *((f"bleu{n}", f"BLEU-{n}", "{:.1f}") for n in (1, 2, 3, 4)),
    ("rouge_l", "ROUGE-L", "{:.3f}"),
    ("distinct", "Different captions", "{:,}"),
    ("length", "Words a caption", "{:.1f}"),
]
SMOOTH = 0.8  # of the loss curve: share of the value before


def share(part: dict[str, Any] | None) -> str:
    return scores.text(part) if part else "–"


def _scale(run: Run | None) -> scores.Scale:
    known = (
        run is not None and run.recipe in recipe.names()
    )  # another version's recipe may be another one
    return (
        scores.SCALES.get(recipe.load(run.recipe).metric, scores.ACCURACY)
        if known
        else scores.ACCURACY
    )


def score_title(run: Run | None) -> str:
    return "Held-out score" + ", %" * _scale(run).share


def status(run: Run | None) -> str:
    """State, progress bar, step, time left, and the reason when it ended early."""
    if run is None:
        return page.notice(
            "No run yet. Choose the settings and press Start: the sample data needs no network and "
            "takes about a minute on a CPU."
        )
    state = run.state
    now = run.status
    step = now.get("step", 0)
    total = now.get("total", 0)
    done = 1.0 if state == "done" else step / total if total else 0.0
    facts = [
        f"step {step:,} of {total:,}" if total else "",
        f"epoch {now['epoch']} of {run.config.get('epochs', '?')}" if now.get("epoch") else "",
        page.progress(run) if state in ("running", "stopping") else "",
        f"took {duration(now['seconds'])}" if now.get("seconds") else "",
        {"SIGTERM": "asked again (SIGTERM)", "SIGKILL": "ended by force (SIGKILL)"}.get(
            run.escalation, ""
        ),
        f"continues {run.settings['continues']}" if run.settings.get("continues") else "",
    ]
    told = now.get("reason") or (now.get("note", "") if state not in ENDED else "")
    reason = page.notice(html.escape(told), "bad" if state in ("failed", "lost") else "note")
    return (
        f'<div class="run"><h3>{html.escape(checkpoint.of_run(run).name)}</h3><span class="state '
        f'{state}">{state}'
        f'</span><div class="bar" role="progressbar" aria-valuenow="{done:.0%}"><i '
        f'style="width:{done:.1%}"></i>'
        "</div><div "
        f'class="facts">{"".join(f"<span>{f}</span>" for f in facts if f)}</div>{reason}</div>'
    )


def queue(waiting: list[Run]) -> str:
    if not waiting:
        return ""
    rows = "".join(f"<li>{html.escape(checkpoint.of_run(r).name)}</li>" for r in waiting)
    return f"<b>Queued, next first</b><ol class='queue'>{rows}</ol>"


def curves(run: Run | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Loss (smoothed) and held-out score, both over steps, at most some 300 points; a lone point is
    no line yet."""
    losses = []
    held = []
    smooth = None
    unit = 100 if _scale(run).share else 1
    for event in run.events() if run else ():
        if "loss" in event:
            smooth = (
                event["loss"] if smooth is None else SMOOTH * smooth + (1 - SMOOTH) * event["loss"]
            )
            losses.append({"step": event["step"], "loss": round(smooth, 4)})
        elif "score" in event:
            held.append({"step": event["step"], "score": round(event["score"] * unit, 4)})
    every = max(1, len(losses) // 300)
    # floats also where there are none: the plot takes what an empty table holds for words, and its
    # axis stays so
    return tuple(
        pd.DataFrame(points if len(points) > 1 else [], columns=["step", name], dtype=float)
        for name, points in (("loss", losses[::-1][::every][::-1]), ("score", held))
    )


def history(runs: list[Run]) -> pd.DataFrame:
    """All runs, newest first."""
    rows = []
    for run in reversed(runs):
        metrics = run.metrics
        swap = run.swap or {}
        rows.append(
            [
                checkpoint.of_run(run).name,
                run.state,
                share(metrics.get("before")),
                share(metrics.get("after")),
                swap.get("outcome", ""),
                f"{run.size() / 2**20:.1f} MB",
                time.strftime("%d %b %H:%M", time.localtime(run.settings.get("created", 0))),
                run.id,
            ]
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def report(run: Run | None) -> str:
    """Before and after; of classes each one, the confusion and the surest mistakes; of captions the
    best and worst."""
    if run is None or not (metrics := run.metrics):
        return ""
    if "after" not in metrics:
        held = metrics.get("held_out_score")
        return page.notice(
            "This run was stopped before its test examples were read, so it has no score"
            + (
                f"; on its held-out part of train it reached {_scale(run).text(held)}."
                if held
                else "."
            )
        )
    parts = [_before_and_after(metrics)]
    if "captions" in metrics:
        parts += [_figures(metrics), _captions(run, metrics)]
    else:
        parts += [_classes(run, metrics), _mistakes(run, metrics)]
    if metrics.get("problems"):
        listed = "".join(f"<li>{html.escape(p)}</li>" for p in metrics["problems"][:50])
        parts.append(f"<h4>Left out of the data</h4><ul>{listed}</ul>")
    return f'<div class="report">{"".join(parts)}</div>'


def _inline(path: Path) -> str:
    """A file of a report, in the page itself: nothing is served from a path."""
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _classes(run: Run, metrics: dict[str, Any]) -> str:
    confusion = run.report / "confusion.png"
    shown = ""
    if confusion.exists():
        shown = (
            '<h4>What it takes for what</h4><img class="confusion" alt="Confusion of the classes" '
            f'src="{_inline(confusion)}"><ul>{_confused(metrics)}</ul>'
        )
    return f"<div class='cols'><div>{_per_class(metrics)}</div><div>{shown}</div></div>"


def _figures(metrics: dict[str, Any]) -> str:
    """Of captions, the other scores that are usual, before and after."""
    before = metrics.get("before") or {}
    after = metrics["after"]

    def cell(part: dict[str, Any], key: str, shown: str) -> str:
        return shown.format(part[key]) if key in part else "–"

    rows = "".join(
        f"<tr><td>{name}</td><td>{cell(before, key, shown)}</td>"
        f"<td>{cell(after, key, shown)}</td></tr>"
        for key, name, shown in FIGURES
    )
    head = "<tr><th>Also</th><th>Before</th><th>After</th></tr>"
    return f"<div class='wide'><table>{head}{rows}</table></div>"


def _captions(run: Run, metrics: dict[str, Any]) -> str:
    parts = []
    for kind, title in (("best", "Its best captions"), ("worst", "Its worst captions")):
        figures = []
        for told in metrics["captions"][kind]:
            path = run.report / told["picture"]
            if path.exists():
                people = "".join(f"<li>{html.escape(text)}</li>" for text in told["references"])
                figures.append(
                    '<figure><img alt="" '
                    f'src="{_inline(path)}"><figcaption><b>{html.escape(told["said"])}'
                    f"</b>, {told['score']:.2f}<details><summary>people "
                    f"said</summary><ul>{people}</ul>"
                    "</details></figcaption></figure>"
                )
        parts.append(f"<h4>{title}, by CIDEr-D</h4><div class='mistakes'>{''.join(figures)}</div>")
    return "".join(parts)


def _scored(part: dict[str, Any] | None) -> str:
    if not part:
        return "none: it did not know these classes"
    scale = scores.scale(part)
    low, high = (scale.text(end) for end in part["interval"])
    return (
        f'<span class="meter"><i style="width:{min(1, scores.value(part)):.1%}"></i></span>'
        f"<b>{scores.text(part)}</b> ({low} to {high})"
        + (f"; top 5 {part['top5']:.1%}" if "top5" in part else "")
    )


def _before_and_after(metrics: dict[str, Any]) -> str:
    rows = [(metrics["data"], metrics.get("before"), metrics["after"])]
    if other := metrics.get("other"):
        rows.append((other["data"], other["before"], other["after"]))
    body = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{_scored(before)}</td><td>{_scored(after)}</td></tr>"
        for name, before, after in rows
    )
    title = scores.scale(metrics["after"]).title
    return (
        f"<div class='wide'><table><tr><th>{title} "
        f"on</th><th>Before</th><th>After</th></tr>{body}</table></div>"
        f"<p>{_story(metrics)}</p>"
    )


def _story(metrics: dict[str, Any]) -> str:
    """What was gained and what was forgotten, in a sentence, with what chance would give."""
    after = metrics["after"]
    before = metrics.get("before")
    other = metrics.get("other")
    chance = f"chance is {metrics['chance']:.0%}, " if "chance" in metrics else ""
    text = f"Measured on {html.escape(metrics['held_out'])}; {chance}intervals are 95%. "
    if before:
        gain = scores.value(after) - scores.value(before)
        text += f"It {'gained' if gain >= 0 else 'lost'} {scores.scale(after).difference(gain)}. "
    text += scores.confidence(before, after)
    if other and other["before"]["accuracy"] > 2 * metrics["chance"]:
        lost = other["before"]["accuracy"] - other["after"]["accuracy"]
        text += (
            f"On {html.escape(other['data'])}, which it knew before, it forgot {lost * 100:.1f} "
            "points."
            if lost > 0
            else f"On {html.escape(other['data'])}, which it knew before, it forgot nothing."
        )
    return text


def _per_class(metrics: dict[str, Any]) -> str:
    """Each class; of many, the weakest first and the rest folded away."""
    before = (metrics.get("before") or {}).get("per_class", {})
    shares = metrics["after"]["per_class"]
    crowd = len(shares) > MANY
    names = sorted(shares, key=lambda name: shares[name] or 0) if crowd else list(shares)
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{_percent(before.get(name))}</td><td><span "
        "class='meter'>"
        f"<i style='width:{(shares[name] or 0):.1%}'></i></span>{_percent(shares[name])}</td></tr>"
        for name in names
    ]
    head = "<tr><th>Class</th><th>Before</th><th>After</th></tr>"
    shown = f"<div class='wide'><table>{head}{''.join(rows[:MANY])}</table></div>"
    if crowd:
        shown += (
            f"<details><summary>the other {len(rows) - MANY}</summary><div "
            f"class='wide'><table>{head}"
            f"{''.join(rows[MANY:])}</table></div></details>"
        )
    return f"<h4>Each class: share found{', the weakest first' if crowd else ''}</h4>{shown}"


def _confused(metrics: dict[str, Any]) -> str:
    """The pairs that are taken for each other most, where the picture cannot show all classes."""
    pairs = metrics.get("confused", []) if len(metrics["classes"]) > MANY else []
    return "".join(
        f"<li>{p['count']} of {p['of']} <b>{html.escape(p['truth'])}</b> were taken for "
        f"<b>{html.escape(p['said'])}</b></li>"
        for p in pairs[:6]
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _mistakes(run: Run, metrics: dict[str, Any]) -> str:
    figures = []
    for mistake in metrics.get("mistakes", []):
        path = run.report / mistake["picture"]
        if path.exists():
            what = f'src="{_inline(path)}"'
            truth = html.escape(mistake["truth"])
            shown = (
                f'<audio controls preload="none" aria-label="{truth}" {what}></audio>'
                if path.suffix == ".mp3"
                else f'<img alt="{truth}" {what}>'
            )
            figures.append(
                f"<figure>{shown}<figcaption>"
                f"said <b>{html.escape(mistake['said'])}</b>, {mistake['confidence']:.0%} sure; it "
                "is "
                f"<b>{truth}</b></figcaption></figure>"
            )
    if not figures:
        return "<h4>Mistakes</h4><p>None on the test examples.</p>"
    return f"<h4>Its surest mistakes</h4><div class='mistakes'>{''.join(figures)}</div>"


def can(run: Run | None) -> dict[str, bool]:
    """Which buttons make sense for a run."""
    if run is None:
        return dict.fromkeys(("stop", "go_on", "use", "delete"), False)
    state = run.state
    return {
        "stop": state in ("queued", "running"),
        "delete": state in ENDED,
        "go_on": state in ENDED and bool(run.saved),
        "use": run.has_checkpoint and state in ENDED,
    }


def signature(runs: list[Run]) -> str:
    """Changes when the history or a report would: states, sizes apart."""
    return repr([(r.id, r.state, (r.swap or {}).get("outcome")) for r in runs])


def listed(runs_path: Any) -> list[Run]:
    return Run.all(runs_path) if runs_path.exists() else []


def current(runs: list[Run], selected: str | None) -> Run | None:
    """The run that a person chose, else the one running, else the next queued, else the newest."""
    by_id = {r.id: r for r in runs}
    if selected in by_id:
        return by_id[selected]
    if not runs:
        return None
    return job.running(runs[0].path.parent) or runs[-1]
