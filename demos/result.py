"""What came of a run, in one look where its progress was: the verdict, what it means, and the
scores on one scale, each under its name. Plain functions from a Run."""

import html
import math
from dataclasses import dataclass

from training.judge.records import ACCURACY, Report, ReportError, Score
from training.judge.report import read_report
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError
from training.runs.run import OVER, Run
from training.wording import counted, sentence

# Against what answered when it ended.
VERDICTS = {
    "better": "Better than the model in use",
    "tie": "A tie with the model in use",
    "same": "Just as good as the model in use",
    "worse": "Not as good as the model in use",
}
THIS = "This run"


@dataclass(frozen=True)
class Standing:
    """One line of the scale."""

    name: str
    value: float
    interval: tuple[float, float] | None  # None: nobody measured it
    text: str
    ours: bool = False


def draw(run: Run | None, active_id: str) -> str:
    """HTML; empty while there is nothing to tell. `active_id`: what is in the run's slot now."""
    if run is None or run.state not in OVER:
        return ""
    try:
        report = read_report(run)
    except ReportError:  # the report's own place says so
        return ""
    if report is None or report.after is None:
        return ""
    standings = list_standings(run, report, report.after)
    return (
        f'<div class="result"><h3>{html.escape(find_verdict(run, report, report.after))}</h3>'
        f"<p>{html.escape(_explain(run, report, report.after, active_id))}</p>"
        f"{draw_scale(report, standings)}</div>"
    )


# -- in words --------------------------------------------------------------------------------------
def find_verdict(run: Run, report: Report, after: Score) -> str:
    """In a few words: against the model in use where the two can be compared, else by what it had
    to beat, else against its start."""
    gate = report.active
    if gate and gate.comparable and (found := gate.judge(after)):
        return VERDICTS[found]
    what = str(run.config.get("dataset") or "") if run.config.get("source") == "own" else ""
    of = f" {what}" if what else ""
    if report.base is not None:
        learned = after.interval[0] > report.base.value
        return f"It has learned{of or ' its classes'}" if learned else "It may not have learned"
    if report.before is not None:
        return f"{after.text()}, from {report.before.text()} before"
    return after.text()


def _explain(run: Run, report: Report, after: Score, active_id: str) -> str:
    """What the verdict means, and what has become of it."""
    said = [_count_gained(report, after), _tell_outcome(run, active_id)]
    return " ".join(each for each in said if each)


def _count_gained(report: Report, after: Score) -> str:
    """In examples: "It gets 3 more of 346 right than the model in use: that may be chance."."""
    gate = report.active
    if gate is None or not gate.comparable or gate.score is None or not after.n:
        return ""
    gained = after.value - gate.score
    chance = ", and a difference so small may be chance" * (gate.judge(after) == "tie")
    if report.metric != ACCURACY:
        by, way = report.metric.difference(gained), "higher" if gained > 0 else "lower"
        return f"It scores {by} {way} on {counted(after.n, 'example')}{chance}."
    right = round(gained * after.n)
    if not right:
        return f"Both get as many of {after.n:,} right{chance}."
    more = "more" if right > 0 else "fewer"
    return f"It gets {abs(right):,} {more} of {after.n:,} right{chance}."


def _tell_outcome(run: Run, active_id: str) -> str:
    if run.id == active_id:
        return "It is in use now."
    swap = run.swap
    if swap is None:
        return ""
    if swap["outcome"] == "swapped":
        return "It was in use; another model is now."
    if swap["outcome"] == "refused":
        return sentence(swap["why"])
    return f"It is not in use: {swap['why']}."


# -- on one scale ----------------------------------------------------------------------------------
def list_standings(run: Run, report: Report, after: Score) -> list[Standing]:
    """The start, the model in use when the run ended, and the run itself."""
    start_id = str(run.settings.get("base") or "")
    start = _name(run, start_id)
    gate = report.active
    both = gate is not None and gate.id == start_id
    found = []
    if before := report.before:
        name = "Its start, and in use then" if both else "Its start"
        name += f": {start}" * bool(start) + f", {report.answered}" * bool(report.answered)
        found.append(Standing(name, before.value, before.interval, before.text()))
    if gate and gate.comparable and gate.score is not None and not (both and report.before):
        name = f"In use then: {_name(run, gate.id)}"
        found.append(Standing(name, gate.score, None, report.metric.text(gate.score)))
    return [*found, Standing(THIS, after.value, after.interval, after.text(), ours=True)]


def _name(run: Run, checkpoint_id: str) -> str:
    """A checkpoint's as a person reads it, and of what is gone its id."""
    if not checkpoint_id:
        return ""
    try:
        found = checkpoint.find(run.path.parent, checkpoint_id, run.slot)
        own = found.kind != "embedded" or found.id == f"embedded-{run.slot}"
        return found.title if own else f"{found.title} ({found.id.removeprefix('embedded-')})"
    except CheckpointError:
        return checkpoint_id


def draw_scale(report: Report, standings: list[Standing]) -> str:
    """Each as a dot with its interval, over one axis; what there is to beat as a line across."""
    metric = report.metric
    ends = [end for each in standings for end in (each.interval or (each.value, each.value))]
    base = report.base.value if report.base else report.chance
    top = 1.0 if metric.share else _round_up(max([*ends, base or 0.0, 1e-3]))
    rows = "".join(_draw_row(each, top, base) for each in standings)
    beat = report.name_base(": ")
    low, high = (metric.text(end, 0) for end in (0.0, top))
    axis = f'<div class="axis"><i></i><span><b>{low}</b><b>{high}</b></span><i></i></div>'
    mark = f'<p class="beat"><i></i>{html.escape(sentence(beat))}</p>' if beat else ""
    about = html.escape(f"{metric.title} on {report.held_out}. The bars are 95% intervals.")
    return f'<div class="scale">{rows}{axis}</div>{mark}<p class="hint">{about}</p>'


def _draw_row(each: Standing, top: float, base: float | None) -> str:
    def place(value: float) -> str:
        return f"{min(1.0, max(0.0, value / top)):.2%}"

    drawn = ""
    if base is not None:
        drawn += f'<u style="left:{place(base)}"></u>'
    told = each.text
    if each.interval:
        low, high = each.interval
        drawn += f'<s style="left:{place(low)};right:calc(100% - {place(high)})"></s>'
    drawn += f'<em style="left:{place(each.value)}"></em>'
    return (
        f'<div class="row{" ours" * each.ours}"><span>{html.escape(each.name)}</span>'
        f'<span class="track" aria-hidden="true">{drawn}</span><b>{told}</b></div>'
    )


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
