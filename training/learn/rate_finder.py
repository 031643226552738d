"""A learning rate by a test: trial steps whose rate rises from very small to very large, until the
loss runs away (Smith 2017, "Cyclical learning rates", arXiv 1506.01186). What the steps did to the
weights is undone.

The rate at which the loss is least is too large already, and the one at which it falls fastest is
too: on a small vision transformer that was 0.19, a thousand times what it bears over an epoch. A
tenth of the first is proposed, and at most a cap by what the method is known to bear.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from training.learn.optimizers import Optimizer

STEPS = 60
LOWEST = 1e-7
HIGHEST = 1.0
SMOOTHING = 0.9  # of the loss: what the steps before count
RUNAWAY = 4  # times the least loss
SHARE = 0.1  # of the rate at which the loss is least


@dataclass(frozen=True)
class Found:
    rate: float  # what is proposed
    least: float  # the rate at which the loss was least
    curve: list[tuple[float, float]]  # rate, and loss, smoothed
    capped: bool  # whether the cap is why the rate is no larger


def find_rate(
    model: nn.Module,
    optimizer: Optimizer,
    take_step: Callable[[float], float],
    cap: float,
) -> Found:
    """`take_step(rate)` takes one on another batch and returns its mean loss. The model and the
    optimizer are afterwards what they were."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())
    modes = {module: module.training for module in model.modules()}
    try:
        curve = list(_follow(take_step))
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        for module, training in modes.items():
            module.training = training
    least = min(curve, key=lambda point: point[1])[0] if curve else cap
    rate = _round(min(SHARE * least, cap))
    return Found(rate, least, curve, SHARE * least > cap)


def _follow(take_step: Callable[[float], float]) -> Iterator[tuple[float, float]]:
    """(rate, smoothed loss) of each step."""
    mean = 0.0
    best = math.inf
    for number in itertools.count():
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
        loss = take_step(rate)
        if not math.isfinite(loss):
            return
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (number + 1))
        if number > 0 and smooth > RUNAWAY * best:
            return
        best = min(best, smooth)
        yield rate, smooth
        if number == STEPS - 1:
            return


def _round(rate: float) -> float:
    """To two digits: it is known to no more."""
    return float(f"{rate:.2g}")
