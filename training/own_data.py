"""Own data sets by the command.

python -m training datasets add my.zip --name pets           a zip, a folder, or files
python -m training datasets add tom.jpg --name pets --label cat
python -m training datasets list
python -m training datasets check pets                       what is wrong with it
python -m training datasets rename pets animals
python -m training datasets export animals animals.zip
python -m training datasets push animals me/animals          to the Hub, private
python -m training datasets remove animals
python -m training datasets preview ethz/food101             what one of the Hub holds
python -m training datasets remove ethz/food101              what was downloaded of it
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.data.checks import labels
from training.data.checks.findings import Finding, list_findings, name_items
from training.data.hub_preview import Preview, preview
from training.data.hub_rows import Choice
from training.data.own import data_set
from training.data.own.bring import Added, add
from training.data.own.corrections import list_confirmed, list_named
from training.data.own.data_set import DataSet, Tell, read_id
from training.data.own.inspect import look_into
from training.data.own.records import KINDS, find_home
from training.data.own.use import list_learned
from training.data.problems import name_some
from training.data.ranged import kept
from training.judge.records import ReportError
from training.judge.report import read_report
from training.publish.pack import pack_data_set
from training.publish.push import check_ready, find_token, push
from training.runs.run import Run
from training.wording import counted

EVERY = 0.2  # seconds between two lines of progress
SHOWN = 10  # problems that are named
CLASSES = 30  # that are listed of a data set of the Hub
THINGS = {"pictures": "picture", "sounds": "sound", "captions": "captioned picture"}


def add_commands(datasets: argparse.ArgumentParser, add_runs: Callable[[Any], object]) -> None:
    """The parsers of what can be done; `add_runs` adds the flag that they share."""
    kinds = datasets.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = kinds.add_parser("add", help="make a data set of files, or add them to one")
    adding.add_argument("brought", nargs="+", type=Path, metavar="PATH", help="zip, folder or file")
    adding.add_argument("--name", required=True, metavar="NAME", help="of the data set")
    adding.add_argument("--label", default="", metavar="CLASS", help="of all of these files")
    adding.add_argument(
        "--kind", default="", choices=KINDS, help="what they hold, where they leave it open"
    )
    kinds.add_parser("list", help="the data sets that there are, and what of the Hub's is kept")
    for action, text in (
        ("check", "what is wrong with a data set"),
        ("remove", "delete a data set, or (owner/name) what is kept of one of the Hub"),
        ("rename", "give a data set another name"),
        ("export", "write a data set into a zip"),
        ("push", "push a data set to the Hub"),
    ):
        made = kinds.add_parser(action, help=text)
        made.add_argument("name", metavar="NAME")
        if action == "rename":
            made.add_argument("new", metavar="NEW")
        if action == "export":
            made.add_argument("file", type=Path, metavar="FILE.zip")
        if action == "push":
            add_place(made)
    seen = kinds.add_parser("preview", help="what a data set of the Hub holds")
    seen.add_argument("name", metavar="OWNER/NAME", help="on the Hub")
    for flag, text in (("--subset", "subset (config)"), ("--label-column", "column of classes")):
        seen.add_argument(flag, default="", metavar="NAME", help=text)
    for made in kinds.choices.values():
        add_runs(made)


def add_place(made: argparse.ArgumentParser) -> None:
    """Where on the Hub, and who may see it."""
    made.add_argument("place", metavar="OWNER/NAME", help="on the Hub")
    made.add_argument("--public", action="store_true", help="for everybody to see [private]")


def run(given: dict[str, Any], runs: Path) -> None:
    """Does it, and prints what came of it. Raises SettingsError."""
    action = given["action"]
    if action == "add":
        with_progress = Progress()
        added = add(
            runs, given["name"], given["brought"], given["label"], given["kind"], tell=with_progress
        )
        with_progress.end()
        print(describe_added(added))
    elif action == "list":
        print(describe_all(runs))
        for name, size in kept.list_downloads().items():
            print(f"{name} (Hub): {size / 1e6:.1f} MB on this disk")
    elif action == "preview":
        choice = Choice(label=given["label_column"])
        print(describe_preview(preview(given["name"], given["subset"], choice)))
    elif action == "check":
        print(describe_check(data_set.find(runs, given["name"])))
    elif action == "remove" and "/" in given["name"]:
        freed = kept.remove(given["name"])
        print(f"Removed {given['name']}, which frees {freed / 1e6:.1f} MB.")
    elif action == "remove":
        data_set.remove(runs, given["name"])
        print(f"Removed {given['name']}.")
    elif action == "rename":
        print(f"It is called {data_set.rename(runs, given['name'], given['new']).name} now.")
    elif action == "push":
        progress = Progress()
        place, token = given["place"], find_token()
        check_ready(place, token)
        package = pack_data_set(data_set.find(runs, given["name"]))
        address = push(package, place, not given["public"], token, progress)
        progress.end()
        print(describe_pushed(address, given["public"]))
    else:
        progress = Progress()
        written = data_set.export(runs, given["name"], given["file"], progress)
        progress.end()
        print(f"Written to {written}.")


class Progress:
    """A line that is written again, where a person looks."""

    def __init__(self) -> None:
        self.last = 0.0
        self.shown = sys.stderr.isatty()

    def __call__(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self.shown and now - self.last > EVERY:
            self.last = now
            of = f" of {total:,}" if total else ""
            print(f"\r{doing}: {done:,}{of}   ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.last:
            print(file=sys.stderr)


# -- what a model that learned from it doubts ------------------------------------------------------
def read_facts(run: Run) -> dict[str, Any]:
    """What the report of a run holds for programs; nothing where it is damaged."""
    try:
        report = read_report(run)
    except ReportError:
        return {}
    return dict(report.facts) if report else {}


def list_doubts(found: DataSet) -> dict[str, list[dict[str, Any]]]:
    """What the newest run that doubts anything of a data set tells: its `suspects` and `outliers`,
    {file, label, ..., item}, of those that are in it yet, labelled as they were, and not decided
    about. A report is a file, and may hold anything."""
    told = (read_facts(run) for run in list_learned(found.runs, found.name))
    newest = next((facts for facts in told if isinstance(facts.get("suspects"), list)), {})
    items = {item.id: item for item in found.list_items()}
    settled = list_named(found)
    doubts: dict[str, list[dict[str, Any]]] = {}
    for fact in ("suspects", "outliers"):
        listed = newest.get(fact)
        doubts[fact] = []
        for each in listed if isinstance(listed, list) else []:
            item = items.get(read_id(str(each.get("file")))) if isinstance(each, dict) else None
            if item and item.id not in settled and item.label == each.get("label"):
                doubts[fact].append({**each, "item": item.id})
    return doubts


def find_doubted(doubts: Mapping[str, list[dict[str, Any]]]) -> list[Finding]:
    """Labels that a run's folds took for wrong, and what differs from all else."""
    taken = {
        each["item"]: each["said"]
        for each in doubts["suspects"]
        if isinstance(each.get("said"), str)
    }
    far = [each["item"] for each in doubts["outliers"]]
    return [*labels.tell_wrong_labels(taken), *labels.tell_outliers(far)]


def describe_preview(seen: Preview) -> str:
    """What it holds, in lines."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in seen.splits.items())
    held = f" in {seen.column}" + f", classes in {seen.label}" * bool(seen.label)
    lines = [
        f"{seen.name} (revision {seen.revision[:8]}, {seen.bytes / 1e6:,.0f} MB): {seen.things}"
        f"{held}.",
        f"Splits: {splits}. Columns: {', '.join(seen.columns)}.",
        *seen.notes,
    ]
    if seen.classes:
        shown = [f"  {name}: {count:,}" for name, count in seen.classes.items()]
        more = [f"  and {len(shown) - CLASSES} more"] if len(shown) > CLASSES else []
        lines += [f"{counted(len(shown), 'class', 'classes')}:", *shown[:CLASSES], *more]
    lines.append("Examples:")
    lines += [
        f"  {each.said or seen.things[:-1]} ({len(each.content) / 1e3:,.0f} kB)"
        for each in seen.samples
    ]
    return "\n".join(lines)


def describe_pushed(address: str, public: bool) -> str:
    seen = "everybody can see it" if public else "it is private"
    return f"Pushed to {address} ({seen})."


# -- in words --------------------------------------------------------------------------------------
def describe_added(added: Added) -> str:
    """What became of what was brought, in lines."""
    name = added.data_set.name
    what = counted(added.count, THINGS[added.data_set.kind])
    classes = f" ({', '.join(f'{c}: {n:,}' for c, n in added.classes.items())})"
    lines = [
        f"{'Made' if added.new else 'Added to'} {name}: {what}{classes * bool(added.classes)}.",
        *added.notes,
        *added.problems[:SHOWN],
        f"Check it with `python -m training datasets check {_quoted(name)}`.",
    ]
    return "\n".join(lines)


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


def describe_all(runs: Path) -> str:
    found = data_set.list_all(runs)
    if not found:
        return "There is no data set yet. Add one with `python -m training datasets add`."
    rows = [
        f"{each.name}: {each.damage}"
        if each.damage
        else f"{each.name}: {each.count:,} {each.kind}"
        + f" of {counted(len(each.classes), 'class', 'classes')}" * bool(each.classes)
        + f", {each.bytes / 1e6:.1f} MB, revision {each.revision}"
        + f", {counted(each.corrections, 'correction')}" * bool(each.corrections)
        for each in found
    ]
    return "\n".join(rows)


def describe_check(found: data_set.DataSet, tell: Tell | None = None) -> str:
    """Counts by class, and each finding with a few examples."""
    progress = Progress()
    seen = look_into(found, tell or progress)
    progress.end()
    shown = found.preview()
    lines = [f"{found.name}: {counted(len(seen.sights), 'item')} ({found.kind})"]
    lines += [f"  {label}: {sum(counts.values()):,}" for label, counts in shown.classes.items()]
    findings = [*find_doubted(list_doubts(found)), *list_findings(seen, list_confirmed(found))]
    for each in findings:
        lines.append(f"- {each.sentence}")
        if names := name_items(seen, each.items):
            lines.append(f"  {name_some(names)}")
    if not findings:
        lines.append("Nothing is wrong with it, as far as can be seen without a model.")
    return "\n".join(lines)


def sweep(runs: Path) -> None:
    """Removes what was being made by those who were killed, where there is anything."""
    home = find_home(runs)
    if home.is_dir():
        with data_set.lock(home):
            data_set.sweep(home)
