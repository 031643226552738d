"""What the benchmarks share: how times are taken and told, and a training whose epochs are timed.

A benchmark imports it first: it puts the project on Python's path, which knows a script's own
folder alone, and it imports training.device, which must come before torch.
"""

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
from training import device  # noqa: E402  it is not on the path before

if TYPE_CHECKING:  # training, which brings torch, takes seconds that `digits.py start` need not pay
    from accelerate import Accelerator
    from torch import nn

    from training.learn.finetune import TeachConfig
    from training.learn.loop import Lesson
    from training.runs.run import Run


def print_machine() -> None:
    """What the figures below were measured on."""
    python = sys.version.split()[0]
    print(f"{device.describe()}, Python {python}, {time.strftime('%Y-%m-%d')}", flush=True)


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def measure(act: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


# -- training --------------------------------------------------------------------------------------
def start_accelerator(half: bool) -> "Accelerator":
    """As a run starts it, though another one ran in this process: Accelerate keeps the precision of
    the first."""
    from accelerate.state import AcceleratorState

    from training.learn import finetune

    AcceleratorState._reset_state(reset_partial_state=True)
    return finetune.start_accelerator(half)


class EpochTimer:
    """Seconds of each epoch of a run, as its log tells that they end. What is done before the first
    one, from the making of the timer on, counts with it."""

    def __init__(self, run: "Run"):
        self.stamps = [time.perf_counter()]
        self._say = run.say
        run.say = self._hear

    def _hear(self, text: str, **more: Any) -> None:
        if text.startswith("epoch"):
            self.stamps.append(time.perf_counter())
        self._say(text, **more)

    @property
    def seconds(self) -> list[float]:
        return [end - start for start, end in pairwise(self.stamps)]


def teach(
    learner: "nn.Module",
    heads: "list[nn.Module | nn.Parameter]",
    lesson: "Lesson",
    config: "TeachConfig",
    learning_rate: float,
    run: "Run",
    accelerator: "Accelerator",
) -> None:
    """The optimizer and the loop of learn/finetune.py, without what it says and saves around
    them."""
    from training.learn.loop import fit
    from training.learn.optimizers import group_parameters, make_optimizer

    groups = group_parameters(learner, heads, config.layer_decay)
    optimizer = make_optimizer(groups, config, learning_rate)
    prepared = accelerator.prepare(learner)
    fit(prepared, lesson, optimizer, config, learning_rate, run, accelerator)


def one_epoch(batch: int) -> dict[str, Any]:
    """Arguments of transformers' Trainer for one epoch in float32, of which it tells and saves
    nothing."""
    return dict(
        per_device_train_batch_size=batch,
        num_train_epochs=1,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=device.device() == "cpu",
    )
