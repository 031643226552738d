"""What a recipe says of its checkpoints, for who takes one away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.runs.records import JsonValue

if TYPE_CHECKING:  # a recipe is described without torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Usage:
    """How a checkpoint answers outside of this project (`Recipe.use`)."""

    script: str  # use.py, which takes a file's name and writes lines of a share, a tab, an answer
    task: str  # as the Hub calls it: image-classification
    needs: tuple[str, ...]  # what `pip install` must bring for it
    modules: tuple[str, ...] = ()  # of this project, which go with it


@dataclass(frozen=True)
class Portable:
    """A classifier's network as other programs run it (`Recipe.port`)."""

    network: "nn.Module"  # inputs by their places to (N, labels) probabilities
    inputs: tuple[str, ...]
    examples: "list[tuple[Tensor, ...]]"  # held out, each as the network takes it, one at a time
    free: Mapping[str, tuple[int, ...]]  # of an input the axes whose length may change
    preparation: Mapping[str, JsonValue]  # how an input is made of a picture or a sound
    about: str  # what the examples are
