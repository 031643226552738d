"""Held-out examples of a recipe's data, some of them, for who checks an exported network."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from training.data.examples import Data, Examples

SOME = 64  # examples that an exported network answers about
Thing = TypeVar("Thing")


def choose_held_out(data: Data[Thing]) -> Examples[Thing]:
    """Some of the test part, from all over it; of the training part where there is no other."""
    part = data.test if len(data.test) else data.train
    return part[np.linspace(0, len(part) - 1, min(SOME, len(part))).astype(int)]


class Probabilities(nn.Module):
    """A classifier as a program runs it that knows nothing of transformers: its inputs by their
    places to (N, labels) probabilities; where it is asked about mirror images too, the mean of
    both."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...], mirrored: bool = False):
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.mirrored = mirrored
        self.eval()

    def forward(self, *given: Tensor) -> Tensor:
        scores = self._ask(*given)
        if self.mirrored:
            (pixels,) = given
            scores = (scores + self._ask(pixels.flip(3))) / 2
        return scores

    def _ask(self, *given: Tensor) -> Tensor:
        named = dict(zip(self.inputs, given, strict=True))
        return torch.softmax(self.model(**named).logits.float(), 1)
