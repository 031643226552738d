"""About how long a run on own data or on the sample will take, and how much memory: before it is
started.

    python -m training estimate food --source own --dataset pets --method frozen

By passes of the very network on this machine (training/learn/cost.py). `ask_aside` does it in a
process of its own, as the page needs it.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import soundfile
from PIL import Image

from training import recipe
from training.data.examples import Data
from training.data.own import use
from training.data.own.data_set import DataSet
from training.device import device
from training.recipe import Recipe, SettingsError
from training.wording import counted, duration

TEST = 0.2  # of what was not parted by a person
SOLVING = 2.0  # seconds: the probe, its folds, the report's pictures
NOT_HERE = (
    "How long it takes is measured before Start where the data are here: of your own, or the "
    "sample. A run on other data fetches them first, and says it when it begins."
)
HEARD = 16_000  # samples a second of the sample's sounds
WRITTEN = 16  # of the sample's examples, to be opened as a person's files are
LONGEST = 300.0  # seconds that a process may measure


@dataclass(frozen=True)
class Estimate:
    """Of a whole run, from Start to its report."""

    seconds: float
    bytes: int  # of memory at most
    examples: int
    epoch_seconds: float = 0.0  # of them, one epoch's
    epochs: int = 0

    def __str__(self) -> str:
        return (
            f"About {duration(self.seconds)} and {self.bytes / 2**30:.1f} GB of memory, for "
            f"{counted(self.examples, 'example')}."
        )

    def with_epochs(self, epochs: int) -> "Estimate":
        """The same run, so many epochs long."""
        more = (epochs - self.epochs) * self.epoch_seconds
        return replace(self, seconds=self.seconds + more, epochs=epochs)


def estimate(made: Recipe, settings: Mapping[str, object], runs: Path) -> Estimate:
    """Raises SettingsError, CheckpointError."""
    config: Any = use.locate(recipe.parse(made.config, settings), runs)
    if made.measure is not None and config.source == "own":
        items = DataSet(Path(config.folder)).list_items()
        classes = sorted({item.label for item in items} - {""})
        cost = made.measure(config, runs, [item.path for item in items], classes)
        splits = [item.split for item in items]
    elif made.measure is not None and config.source == "sample" and made.sample is not None:
        data: Data = made.sample(config)
        with TemporaryDirectory() as folder:
            cost = made.measure(config, runs, _write_some(data, Path(folder)), data.classes)
        splits = ["train"] * len(data.train) + ["test"] * len(data.test)
    else:
        raise SettingsError(NOT_HERE)
    ready = time.time() - psutil.Process().create_time()
    return add_up(config, cost, splits, ready)


def _write_some(data: Data, folder: Path) -> list[Path]:
    """Pictures and sounds of the sample as files."""
    found = []
    for place in range(0, len(data.train), max(1, len(data.train) // WRITTEN)):
        thing = data.train.read_one(place)
        file = folder / f"{place}.png"
        if isinstance(thing, np.ndarray) and thing.ndim == 1:
            file = file.with_suffix(".wav")
            soundfile.write(file, thing, HEARD)
        elif isinstance(thing, np.ndarray):
            Image.fromarray(thing).save(file)
        else:
            thing.save(file)
        found.append(file)
    return found


def add_up(config: Any, cost: Any, splits: list[str], ready: float) -> Estimate:
    """`splits`: of each example; `ready`: seconds until the first of them could be asked."""
    count = len(splits)
    tested = splits.count("test") or splits.count("validation") or round(count * TEST)
    learned = count - tested
    if limit := getattr(config, "limit", 0):
        learned = min(learned, limit)
    held = round(learned * getattr(config, "holdout", 0.0))
    seconds = ready + SOLVING + 2 * count * cost.read
    if config.method == "frozen":
        seconds += count * cost.ask
    epoch = (learned - held) * cost.learn + held * cost.ask if cost.learn else 0.0
    if cost.learn:
        seconds += config.epochs * epoch
        seconds += learned * cost.ask  # what it knows, measured at the end
        if device() == "cpu":  # two steps are measured before the first one counts
            seconds += 2 * min(config.batch_size, learned) * cost.learn
    seconds += tested * cost.examine
    memory = psutil.Process().memory_info().rss + count * cost.kept
    # A gradient and the optimizer's two averages for each weight that learns.
    memory += 12 * cost.weights if cost.learn else 0
    return Estimate(seconds, memory, count, epoch, getattr(config, "epochs", 0))


# -- in a process of its own -----------------------------------------------------------------------
def ask_aside(name: str, settings: Mapping[str, object], runs: Path) -> Estimate:
    """Raises SettingsError, where it cannot be measured."""
    command = [sys.executable, "-m", "training", "estimate", name, "--json", f"--runs={runs}"]
    command += [f"--{field.replace('_', '-')}={value}" for field, value in settings.items()]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as asked:
        if os.name == "posix":
            with contextlib.suppress(psutil.Error):  # it has ended already
                psutil.Process(asked.pid).nice(10)  # the page keeps answering
        try:
            told, errors = asked.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired as error:
            asked.kill()
            raise SettingsError("Measuring took too long: this machine is busy.") from error
    lines = (told if asked.returncode == 0 else errors).strip().splitlines()
    last = lines[-1] if lines else ""
    if asked.returncode:
        raise SettingsError(last.removeprefix("error: ") or "It could not be measured.")
    return Estimate(**json.loads(last))


def tell(found: Estimate, as_json: bool) -> str:
    return json.dumps(asdict(found)) if as_json else str(found)
