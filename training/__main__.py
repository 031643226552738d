"""The command that a person types and that the page spawns.

    python -m training                              the recipes
    python -m training digits --help                a recipe's settings
    python -m training digits --epochs 2            train in this terminal; Ctrl-C stops and saves
    python -m training digits --continue RUN        continue a run that stopped or ended
    python -m training evaluate CHECKPOINT digits   score any checkpoint, on any data
    python -m training estimate food --source own --dataset pets   how long it will take
    python -m training datasets add my.zip --name pets   your own data (training/own_data.py)
    python -m training export RUN --to zip          take a checkpoint away (training/take_away.py)
    python -m training push RUN owner/name          to the Hub, private

Exit codes: 0 done, 1 failed, 2 settings, 130 stopped.
"""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from training import device, own_data, recipe, take_away
from training.data.own import use
from training.judge.card import write_card
from training.judge.records import Provenance, Report
from training.judge.report import table
from training.runs import job
from training.runs.batches import Stopped
from training.runs.checkpoint import CheckpointError
from training.runs.process import process_identity
from training.runs.records import Progress
from training.runs.run import Run
from training.wording import duration, quote

DONE = 0
FAILED = 1
SETTINGS = 2
STOPPED = 130
EVALUATE = "evaluate"  # the commands that are no recipe's name
DATASETS = "datasets"
ESTIMATE = "estimate"


def runs_dir() -> Path:
    """Where runs are kept if no flag says so: RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("RUNS") or "runs").resolve()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m training",
        description="Fine-tunes a model, scores a checkpoint, or keeps your own data.",
        epilog="RECIPE --help lists its settings. "
        "Exit codes: 0 done, 1 failed, 2 wrong settings, 130 stopped.",
    )
    commands = top.add_subparsers(dest="recipe", metavar="RECIPE")
    for name in recipe.names():
        made = recipe.load(name)
        command = commands.add_parser(
            name,
            help=f"fine-tune the model of the {made.title} tab",
            description=f"Fine-tunes the model of the {made.title} tab.",
        )
        _add_settings(command, made)
        command.add_argument(
            "--continue",
            dest="continue_",
            metavar="RUN",
            default=argparse.SUPPRESS,
            help="continue this run with its settings; the flags given here change them",
        )
        command.add_argument("--run", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    _add_evaluate(commands)
    _add_estimate(commands)
    text = "Brings, lists and checks your own data sets."
    datasets = commands.add_parser(DATASETS, help="your own data sets", description=text)
    own_data.add_commands(datasets, _add_runs)
    take_away.add_commands(commands, _add_runs)
    return top


def _add_settings(command: argparse.ArgumentParser, made: recipe.Recipe) -> None:
    recipe.add_flags(command, made.config)
    _add_runs(command)


def _add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--runs",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="where runs are kept [RUNS, or ./runs]",
    )


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    text = "Scores a checkpoint on the test examples of any data."
    evaluate = commands.add_parser(
        EVALUATE, help="score any checkpoint, on any data", description=text
    )
    evaluate.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a run's id, embedded, a model of the Hub (owner/name), or a folder",
    )
    kinds = evaluate.add_subparsers(dest="kind", metavar="RECIPE", required=True)
    for name in recipe.names():
        made = recipe.load(name)
        command = kinds.add_parser(name, help=made.title, description=text)
        _add_settings(command, made)
        command.add_argument(
            "--report",
            type=Path,
            default=argparse.SUPPRESS,
            metavar="FOLDER",
            help="write the report into this folder: metrics.json, and what it shows",
        )


def _add_estimate(commands: argparse._SubParsersAction) -> None:
    text = "Measures about how long a run on your own data will take, and how much memory."
    estimate = commands.add_parser(ESTIMATE, help="time and memory of a run", description=text)
    kinds = estimate.add_subparsers(dest="kind", metavar="RECIPE", required=True)
    for name in recipe.names():
        made = recipe.load(name)
        command = kinds.add_parser(name, help=made.title, description=text)
        _add_settings(command, made)
        command.add_argument("--json", action="store_true", help="as JSON, on one line")


def main(argv: list[str] | None = None) -> int:
    given = vars(parser().parse_args(argv))
    if given["recipe"] is None:
        parser().print_help()
        return DONE
    name = given.pop("recipe")
    if name == EVALUATE:
        return evaluate_checkpoint(given)
    if name == ESTIMATE:
        return estimate_run(given)
    if name == DATASETS:
        return keep_data(given)
    if name in (take_away.EXPORT, take_away.PUSH):
        return take(name, given)
    runs = Path(given.pop("runs", None) or runs_dir()).resolve()
    spawned = given.pop("run", None)
    continued = given.pop("continue_", None)
    rank = int(os.environ.get("RANK", 0))
    try:
        made = recipe.load(name)
        if spawned:
            run = Run.find(runs, spawned)
            if run is None:
                raise recipe.SettingsError(f"There is no run {quote(spawned)} in {runs}.")
        elif rank == 0:
            run = (
                use.continue_run(runs, continued, given)
                if continued
                else use.create_run(runs, name, given)
            )
            made = recipe.load(run.recipe)
        else:
            run = Run(Path("."), main=False)
    except recipe.SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return SETTINGS
    except OSError as error:
        print(f"error: cannot write to {runs}: {job.explain(error)}", file=sys.stderr)
        return FAILED
    _obey_signals(run, bool(spawned))
    if not spawned and run.main and not job.wait_for_turn(run):
        print(f"{job.REMOVED} Nothing was trained.")
        return STOPPED
    if spawned:
        run.set_status("running", worker=process_identity())
    return execute(made, run)


def evaluate_checkpoint(given: dict[str, Any]) -> int:
    """`python -m training evaluate`: prints the report; the exit code."""
    from training.evaluate import evaluate, print_report

    name = given.pop("checkpoint")
    made = recipe.load(given.pop("kind"))
    runs = Path(given.pop("runs", None) or runs_dir()).resolve()
    folder = given.pop("report", None)
    return _answer(lambda: print_report(evaluate(name, made, given, runs, folder), folder))


def estimate_run(given: dict[str, Any]) -> int:
    """`python -m training estimate`: prints it; the exit code."""
    from training.estimate import estimate, tell

    as_json = given.pop("json")
    made = recipe.load(given.pop("kind"))
    runs = Path(given.pop("runs", None) or runs_dir()).resolve()
    return _answer(lambda: print(tell(estimate(made, given, runs), as_json)))


def keep_data(given: dict[str, Any]) -> int:
    """`python -m training datasets`; the exit code."""
    runs = Path(given.pop("runs", None) or runs_dir()).resolve()

    def act() -> None:
        own_data.sweep(runs)
        own_data.run(given, runs)

    return _answer(act)


def take(name: str, given: dict[str, Any]) -> int:
    """`python -m training export` and `push`; the exit code."""
    runs = Path(given.pop("runs", None) or runs_dir()).resolve()
    act = take_away.export if name == take_away.EXPORT else take_away.push_checkpoint
    return _answer(lambda: act(given, runs))


def _answer(act: Callable[[], object]) -> int:
    """Does it; a refusal is one line, and nothing half is left of what is cancelled."""
    try:
        act()
    except (recipe.SettingsError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return SETTINGS
    except OSError as error:
        print(f"error: {job.explain(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Cancelled: nothing was kept.", file=sys.stderr)
        return STOPPED
    return DONE


def _obey_signals(run: Run, supervised: bool) -> None:
    """Ctrl-C and SIGTERM ask for a stop at the next step; a second Ctrl-C ends at once, and so does
    SIGTERM while the libraries are loaded, where a supervisor has the last word."""

    def ask(number: int, frame: FrameType | None) -> None:
        if run.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGTERM and supervised and not run.has_begun:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        run.interrupted = True

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)


def execute(made: recipe.Recipe, run: Run) -> int:
    """Trains, publishes, and writes the worker's own last word."""
    began = time.time()
    try:
        _share(run)
        config = recipe.parse(made.config, run.config)
        report = made.train(use.locate_for(config, run), run)
        if not run.main:
            return DONE
        if run.staging.exists():  # a recipe that does not publish by itself
            run.publish()
        if not run.has_checkpoint:
            return _end_without_a_step(run)
        seconds = time.time() - began
        text = write_card(made, config, Provenance.from_json(run.settings), report, seconds)
        (run.checkpoint / "README.md").write_text(text, "utf-8")
        return _finish(run, report, seconds)
    except Stopped:  # while the features were computed
        return _end_without_a_step(run)
    except (recipe.SettingsError, CheckpointError) as error:
        run.discard()
        run.say(f"error: {error}", error=True)
        run.set_status("failed", reason=str(error), stage="")
        return SETTINGS
    except KeyboardInterrupt:
        run.discard()
        run.set_status(
            "stopped", reason="Stopped by a second Ctrl-C before anything was saved.", stage=""
        )
        return STOPPED
    except Exception as error:
        # The last word on any failure: a reason in a sentence, the rest in the log.
        text = traceback.format_exc()
        reason = job.explain(error)
        run.discard()
        run.say(f"{text}\nfailed: {reason}", error=True)
        run.set_status("failed", reason=reason, stage="")
        return FAILED


def _end_without_a_step(run: Run) -> int:
    """Stopped before there was anything to publish."""
    if not run.main:
        return DONE
    reason = "Stopped before the first step: nothing was saved."
    run.say(reason)
    run.set_status("stopped", reason=reason, stage="")
    return STOPPED


def _share(run: Run) -> None:
    """Under torchrun, the ranks that only compute learn from rank 0 which run they work for."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        from accelerate import PartialState
        from accelerate.utils import broadcast_object_list

        PartialState(cpu=device.device() == "cpu")
        run.path = broadcast_object_list([run.path])[0]


def _finish(run: Run, report: Report, seconds: float) -> int:
    """The log's last lines, then the status: who sees that a run has ended finds its log whole."""
    if report.stopped:
        reason = f"Stopped at step {report.step:,} of {report.total:,}."
        run.say(
            f"{reason} Saved {run.checkpoint}; not scored.\n"
            f"To continue: python -m training {run.recipe} --continue {run.id}"
        )
        run.set_status("stopped", reason=reason, stage="", step=report.step, seconds=seconds)
        return STOPPED
    found = table(report) if report.after else "Saved, but it could not be scored."
    run.say(f"\n{found}\nTook {duration(seconds)}. Checkpoint: {run.checkpoint}")
    # An exam may have counted steps of its own, such as of features.
    steps: Progress = {"step": report.step, "total": report.total} if report.total else {}
    run.set_status("done", reason="", stage="", seconds=seconds, **steps)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
