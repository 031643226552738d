"""A recipe for the tests of jobs: it counts, and misbehaves when told to. Nothing heavy to import.

The fixture `workshop` lays it into a copy of `training/`, so that real supervisors and workers
execute it.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipe import Recipe, setting


@dataclass(frozen=True)
class Config:
    steps: int = setting(3, "How far it counts.", low=0, high=100_000)
    pause: float = setting(0.01, "Seconds a step.", low=0, high=60)
    then: str = setting(
        "end",
        "What it does after its first step.",
        choices=("end", "leave", "hang", "deaf", "fill", "forget"),
    )
    shelf: str = setting("", "A folder of this machine.", local=True)


def train(config: Config, run: Any) -> dict[str, Any]:
    step = 0
    for step in range(1, config.steps + 1):
        if run.should_stop() and config.then != "deaf":
            break
        run.log(step=step, total=config.steps, loss=1 / step)
        misbehave(config.then, run)
        time.sleep(config.pause)
    if not step or run.stop_requested and step == 1:
        return {"stopped": True}
    run.staging.mkdir()
    (run.staging / "config.json").write_text('{"id2label": {"0": "tick"}}')
    (run.resume / "state.pt").write_text(str(step))
    if config.then == "fill":
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)
    score = {"accuracy": 0.5, "interval": [0.4, 0.6], "n": 100}
    return {
        "step": step,
        "total": config.steps,
        "stopped": step < config.steps,
        "data": "ticks",
        "before": None,
        "after": score,
        "chance": 0.5,
        "held_out": "100 ticks",
    }


def misbehave(how: str, run: Any) -> None:
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
    "accuracy",
    ("clock",),
    train,
    lambda path, config: {"accuracy": Path(path).exists()},
    lambda config: "clock",
    lambda config: f"{config.steps} ticks",
)
