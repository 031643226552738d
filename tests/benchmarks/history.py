"""What a long history of runs costs the page: to read it once, the first look, each tick after it,
each look of the thread that lands runs, a tick in which one run changed, the list as it is drawn
then, and its last page with all runs of a recipe.

    python tests/benchmarks/history.py [COUNT ...]
"""

import json
import sys
import tempfile
from pathlib import Path

from timing import measure, median, print_machine  # first: it finds the project

import app
from demos import history_view
from demos.history_view import Wish
from demos.serving.landing import Landing
from training.runs.index import Index
from training.runs.run import Run

TICKS = 30
COLUMNS = ["read", "first look", "tick", "thread", "one changed", "list", "last page"]


def make_runs(runs: Path, count: int) -> list[Run]:
    """Runs that ended, with a checkpoint's config and a report, as if made over months."""
    made = []
    for number in range(count):
        run = Run.create(runs, "digits", {"name": f"run {number}", "epochs": 1}, slot="digits")
        run.checkpoint.mkdir()
        (run.checkpoint / "config.json").write_text("{}")
        score = {"accuracy": 0.5 + number % 50 / 100, "interval": [0.4, 0.9], "n": 100}
        report = {"after": score, "before": score, "data": "digits", "held_out": "100 pictures"}
        (run.report / "metrics.json").write_text(json.dumps(report))
        run.set_status("done")
        run.set_swap("kept", "not better")
        made.append(run)
    return made


def main(counts: list[int]) -> None:
    print_machine()
    print("milliseconds:", *(f"{name:>11}" for name in COLUMNS))
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            runs = Path(folder) / "runs"
            runs.mkdir()
            took = measure_page(runs, make_runs(runs, count))
            print(f"{count:>7} runs:", *(f"{1000 * each:>11.1f}" for each in took), flush=True)


def measure_page(runs: Path, made: list[Run]) -> list[float]:
    """Seconds, by COLUMNS."""
    read = measure(Index(runs).refresh)
    lab = app.open_lab(runs, training=False)
    blocks = app.build(lab)
    look = next(fn.fn for fn in blocks.fns.values() if fn.api_name == "look")
    landing = Landing(lab)
    first = measure(lambda: look("", ""))
    sign = look("", "")[0]
    ticks = [measure(lambda: look("", sign)) for _ in range(TICKS)]
    thread = [measure(landing.look) for _ in range(TICKS)]
    made[len(made) // 2].set_swap("offered", "changed")
    changed = measure(lambda: look("", sign))
    listed = [measure(lambda: history_view.draw(lab, Wish(), 0, None)) for _ in range(5)]
    last = measure(lambda: history_view.draw(lab, Wish("digits", "done"), len(made), None))
    return [read, first, median(ticks), median(thread), changed, median(listed), last]


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [10, 1000, 5000])
