"""The history as it is drawn: the rows of a page of it, what was deleted and can be brought back,
and what is said of the run that is looked at. Plain functions; demos/history.py lays them out.
"""

import functools
import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demos import run_views
from demos.serving.lab import Lab
from training import recipe
from training.judge.records import ACCURACY, Score
from training.recipe import SettingsError
from training.runs import about, aside, checkpoint
from training.runs.aside import Aside
from training.runs.index import Entry, Times, open_index, take_times
from training.runs.run import Run
from training.wording import counted, duration, measured

SHOWN = 10  # runs on a page
UNDOS = 3  # deleted runs that are named one by one
# What a person can ask for, in words, and the states that it means.
STATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "work": ("At work", ("queued", "running", "stopping")),
    "done": ("Done", ("done",)),
    "stopped": ("Stopped", ("stopped",)),
    "failed": ("Failed", ("failed", "lost", "damaged")),
}
IN_USE = "use"  # a state to ask for too: of the checkpoint
# What became of a run's checkpoint when it ended, unless it is in use now.
OUTCOMES = {
    "swapped": "Was in use",
    "offered": "Ready",
    "kept": "Not used",
    "refused": "Could not be loaded",
}
# The head of a column, and whether a phone shows it.
COLUMNS = [
    ("Name", True),
    ("Model", False),
    ("Data", False),
    ("Method", False),
    ("State", True),
    ("Score", True),
    ("Started", False),
    ("Took", False),
]
NONE = run_views.NONE


@dataclass(frozen=True)
class Wish:
    """Which runs a person wants to see; empty: whichever."""

    recipe: str = ""
    state: str = ""
    data: str = ""

    def fits(self, entry: Entry, in_use: set[str]) -> bool:
        if self.recipe and entry.recipe != self.recipe:
            return False
        if self.data and entry.data != self.data:
            return False
        if self.state == IN_USE:
            return entry.id in in_use
        return not self.state or entry.state in STATES.get(self.state, ("", ()))[1]


@dataclass(frozen=True)
class Listing:
    """A page of the history."""

    entries: list[Entry]
    page: int  # the first is 0
    pages: int
    fitting: int  # runs, on all pages
    all: int  # runs, whatever was asked for
    in_use: set[str]


def list_runs(lab: Lab, wish: Wish, number: int = 0) -> Listing:
    """Newest first; beyond the last page the last one."""
    found = open_index(lab.runs)
    entries = found.newest()
    in_use = list_in_use(lab, {entry.slot for entry in entries})
    fitting = [entry for entry in entries if wish.fits(entry, in_use)]
    pages = max(1, -(-len(fitting) // SHOWN))
    number = min(max(0, number), pages - 1)
    shown = fitting[number * SHOWN : (number + 1) * SHOWN]
    return Listing(shown, number, pages, len(fitting), len(entries), in_use)


def list_in_use(lab: Lab, slots: set[str]) -> set[str]:
    """What answers in each slot; of a slot of another version's tab what was chosen last."""
    active = {slot.active_id for slot in lab.slots.values()}
    for name in slots - lab.slots.keys():
        active.update(checkpoint.active(lab.runs, name)[-1:])
    return active


def list_data(runs: Path) -> list[str]:
    """What runs learned from, each once, in the order of the names."""
    return sorted({entry.data for entry in open_index(runs).newest()} - {""}, key=str.casefold)


# -- the list --------------------------------------------------------------------------------------
def draw(lab: Lab, wish: Wish, number: int, chosen: str | None) -> str:
    """The list whole; `chosen`: the id of the run that is looked at."""
    listing = list_runs(lab, wish, number)
    parts = [draw_deleted(aside.list_aside(lab.runs))] * lab.training
    if not listing.all:
        how = " Start one above: it is listed here from then on." * lab.training
        return "".join([*parts, f'<p class="empty nothing">No run yet.{how}</p>'])
    if not listing.entries:
        many = counted(listing.all, "run")
        text = f"None of {many} is like that: choose another model, state or data set."
        return "".join([*parts, f'<p class="empty">{text}</p>'])
    rows = "".join(
        _draw_row(entry, lab.runs, entry.id in listing.in_use, entry.id == chosen)
        for entry in listing.entries
    )
    heads = "".join(
        f'<th scope="col"{"" if phone else _DESK}>{name}</th>' for name, phone in COLUMNS
    )
    head = f'<tr><th scope="col" class="tick"><span class="unseen">Compare</span></th>{heads}</tr>'
    caption = '<caption class="unseen">Runs, the newest first</caption>'
    table = f"<table>{caption}<thead>{head}</thead><tbody>{rows}</tbody></table>"
    return "".join([*parts, _draw_head(listing), table, _draw_pages(listing)])


_DESK = ' class="desk"'


def _draw_head(listing: Listing) -> str:
    """How many there are, and what can be done with those that are ticked."""
    several = counted(listing.all, "run")
    if listing.fitting < listing.all:
        several = f"{listing.fitting:,} of {several}"
    return (
        f'<div class="head"><span>{several}</span><span class="picked" role="status"></span>'
        '<button type="button" data-do="compare" disabled>Compare</button>'
        '<button type="button" data-do="untick" hidden>Untick all</button></div>'
    )


def _draw_row(entry: Entry, runs: Path, in_use: bool, chosen: bool) -> str:
    title = html.escape(entry.title)
    run_id = html.escape(entry.id)
    notes = ' <span class="noted" title="Has notes">✎</span>' * bool(entry.notes)
    name = (
        f'<button type="button" class="open" data-do="open"{_CURRENT * chosen}>{title}</button>'
        f"{notes}"
    )
    cells = [
        name,
        html.escape(name_recipe(entry.recipe)),
        html.escape(entry.data or NONE),
        html.escape(entry.method or NONE),
        _draw_state(entry, in_use),
        _draw_score(read_score(Run(runs / entry.id))),
        html.escape(tell_date(entry.created)),
        _draw_time(entry),
    ]
    shown = "".join(
        f"<td{'' if phone else _DESK}>{cell}</td>"
        for cell, (_, phone) in zip(cells, COLUMNS, strict=True)
    )
    tick = f'<input type="checkbox" aria-label="Compare {title}">'
    return f'<tr data-run="{run_id}"{_CURRENT * chosen}><td class="tick">{tick}</td>{shown}</tr>'


_CURRENT = ' aria-current="true"'


def _draw_state(entry: Entry, in_use: bool) -> str:
    words = run_views.STATES.get(entry.state, entry.state)
    outcome = OUTCOMES.get((entry.swap or {}).get("outcome", ""), "")
    state = f'<span class="state {html.escape(entry.state)}">{html.escape(words)}</span>'
    if in_use:
        return f'{state}<small class="using">In use</small>'
    return state + f"<small>{outcome}</small>" * bool(outcome)


def _draw_score(score: Score | None) -> str:
    if score is None:
        return NONE
    low, high = (score.metric.text(end) for end in score.interval)
    metric = "" if score.metric == ACCURACY else f"{html.escape(score.metric.title)}, "
    count = f"<span{_DESK}>, {score.count}</span>"
    return f"<b>{score.text()}</b><small>{metric}{low} to {high}{count}</small>"


def _draw_time(entry: Entry) -> str:
    if entry.is_running:  # counted by the browser
        return f'<span data-since="{entry.created:.0f}"></span>'
    return duration(entry.seconds) if entry.seconds else NONE


def _draw_pages(listing: Listing) -> str:
    if listing.pages == 1:
        return ""
    last = listing.pages - 1
    turns = [
        ("Newest", 0, listing.page > 0),
        ("Newer", listing.page - 1, listing.page > 0),
        ("Older", listing.page + 1, listing.page < last),
        ("Oldest", last, listing.page < last),
    ]
    if listing.pages < 4:
        turns = turns[1:3]
    buttons = [
        f'<button type="button" data-do="turn" data-page="{number}"{" disabled" * (not there)}>'
        f"{text}</button>"
        for text, number, there in turns
    ]
    where = f"<span>Page {listing.page + 1:,} of {listing.pages:,}</span>"
    half = len(buttons) // 2
    inside = "".join([*buttons[:half], where, *buttons[half:]])
    return f'<nav class="pages" aria-label="Pages of the history">{inside}</nav>'


# -- what was deleted ------------------------------------------------------------------------------
def draw_deleted(gone: Sequence[Aside]) -> str:
    """What can be brought back, and what that costs."""
    if not gone:
        return ""
    lines = "".join(_draw_undo(each) for each in gone[:UNDOS])
    if more := gone[UNDOS:]:
        lines += f"<p>And {counted(len(more), 'more run', 'more runs')}.</p>"
    size = measured(sum(Run(each.path).size() for each in gone))
    free = f'<button type="button" data-do="free">Remove for good now ({size})</button>'
    return f'<div class="deleted" role="status">{lines}<p>{free}</p></div>'


def _draw_undo(gone: Aside) -> str:
    title = html.escape(about.describe(gone.id, Run(gone.path).read()).title)
    until = time.strftime("%H:%M", time.localtime(gone.until))
    return (
        f"<p><span><b>{title}</b> was deleted. It can be brought back until {until}.</span>"
        f'<button type="button" data-do="undo" data-run="{html.escape(gone.id)}">Undo'
        f'<span class="unseen"> the deletion of {title}</span></button></p>'
    )


# -- the run that is looked at ---------------------------------------------------------------------
def draw_chosen(run: Run | None, training: bool) -> str:
    """Its name, what it is, and what a person noted."""
    if run is None:
        return ""
    title = html.escape(checkpoint.of_run(run).title)
    facts = [
        name_recipe(run.recipe),
        f"started {tell_date(run.created)}",
        f"{measured(run.size())} on the disk",
        run.id,
    ]
    told = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    notes = run.about.get("notes", "") * training  # they are for whoever runs the app
    written = f'<p class="notes">{html.escape(notes)}</p>' * bool(notes)
    return f'<div class="run"><h3>{title}</h3><div class="facts">{told}</div>{written}</div>'


# -- words -----------------------------------------------------------------------------------------
def name_recipe(name: str) -> str:
    try:
        return recipe.load(name).title
    except SettingsError:  # of another version
        return name


def tell_date(seconds: float) -> str:
    """`27 Nov 18:25`; of another year `27 Nov 2025`."""
    try:
        then = time.localtime(seconds)
        this_year = then.tm_year == time.localtime().tm_year
        return time.strftime("%d %b %H:%M" if this_year else "%d %b %Y", then)
    except (ValueError, OverflowError, OSError):  # no year that there is
        return NONE


def read_score(run: Run) -> Score | None:
    """Of its own test; None where there is none, or where it cannot be read."""
    return _read_score(run.path, take_times(run.path / "report" / "metrics.json"))


@functools.lru_cache(maxsize=1024)  # a report takes milliseconds
def _read_score(path: Path, times: Times) -> Score | None:
    report = run_views.find_report(Run(path))
    return report.after if report else None
