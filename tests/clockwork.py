"""A recipe for the tests of jobs: it counts, and misbehaves when told to. Nothing heavy to import.

The fixture `workshop` lays it into a copy of `training/`, so that real supervisors and workers
execute it.
"""

import os
import signal
import time
from dataclasses import dataclass

from training.judge.records import ACCURACY, Report, Score
from training.recipe import Recipe, setting
from training.runs.run import Run


@dataclass(frozen=True)
class Config:
    steps: int = setting(3, "How far it counts.", low=0, high=100_000)
    pause: float = setting(0.01, "Seconds a step.", low=0, high=60)
    then: str = setting(
        "end",
        "What it does after its first step.",
        choices=("end", "leave", "hang", "deaf", "fill", "forget", "load"),
    )
    shelf: str = setting("", "A folder of this machine.", local=True)


def train(config: Config, run: Run) -> Report:
    step = 0
    if config.then == "load":
        print("loading", flush=True)
        time.sleep(60)
    for step in range(1, config.steps + 1):
        if run.should_stop() and config.then != "deaf":
            break
        run.log(step=step, total=config.steps, loss=1 / step)
        misbehave(config.then, run)
        time.sleep(config.pause)
    if not step or run.stop_requested and step == 1:
        return Report(ACCURACY, stopped=True)
    run.staging.mkdir()
    (run.staging / "config.json").write_text('{"id2label": {"0": "tick"}}')
    (run.resume / "state.pt").write_text(str(step))
    if config.then == "fill":
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)
    return Report(
        ACCURACY,
        "ticks",
        "100 ticks",
        after=Score(ACCURACY, 0.5, (0.4, 0.6), 100),
        chance=0.5,
        step=step,
        total=config.steps,
        stopped=step < config.steps,
    )


def misbehave(how: str, run: Run) -> None:
    if how == "leave":
        print("loading\rthe spring broke", flush=True)
        os._exit(7)
    if how == "forget":
        os._exit(0)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    while how == "deaf" and not run.interrupted:  # only a signal wakes it
        time.sleep(0.05)


RECIPE = Recipe(
    "clockwork",
    "Clockwork",
    Config,
    ACCURACY,
    ("clock",),
    train,
    lambda path, config, folder: Report(ACCURACY),
    lambda config: "clock",
    lambda config: f"{config.steps} ticks",
)
