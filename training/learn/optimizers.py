"""Which weights learn together, how fast, and by which optimizer.

A network is cut into groups along its modules: what lies before its layers (embeddings), each
layer, what lies above them, and its heads. Nothing here goes by the names of weights, so that a
module that is renamed, or a new one, is taught as what it is.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn, optim
from torch.optim.optimizer import StateDict

from training.learn.muon import Muon

# One pass over the weights in place of ten.
AdamW = functools.partial(optim.AdamW, fused=True)

EMBEDDINGS = 0
TOP = 10_000  # above all layers: the last norm, a pooler
HEAD = TOP + 1


class OptimizerConfig(Protocol):
    """What is read of a recipe's config."""

    @property
    def optimizer(self) -> str: ...
    @property
    def layer_decay(self) -> float: ...


@dataclass(frozen=True)
class ParameterGroup:
    """Weights that are taught alike."""

    parameters: list[nn.Parameter]
    scale: float = 1.0  # of the learning rate
    decays: bool = True  # whether weight decay pulls at them
    orthogonal: bool = False  # whether Muon moves them, where Muon is the optimizer


class Optimizer:
    """One or two of torch's optimizers as one, each over groups of its own."""

    def __init__(self, *parts: tuple[optim.Optimizer, Sequence[ParameterGroup]]):
        self.parts = [optimizer for optimizer, _ in parts]
        self.groups = [group for _, groups in parts for group in groups]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """torch's own records, in the order of `groups`."""
        return [group for part in self.parts for group in part.param_groups]

    def set_rates(self, learning_rate: float, weight_decay: float) -> None:
        """For the next step."""
        for group, own in zip(self.groups, self.param_groups, strict=True):
            own["lr"] = learning_rate * group.scale
            own["weight_decay"] = weight_decay if group.decays else 0.0

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> StateDict:
        if any(isinstance(part, Muon) for part in self.parts):
            return {"parts": [part.state_dict() for part in self.parts]}
        return self.parts[0].state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Raises ValueError or KeyError where it is of other groups."""
        saved = state["parts"] if "parts" in state else [state]
        for part, each in zip(self.parts, saved, strict=True):
            part.load_state_dict(each)


# -- groups ----------------------------------------------------------------------------------------
def measure_depths(model: nn.Module, heads: Iterable[nn.Module | nn.Parameter]) -> dict[int, int]:
    """How far up each weight of a network lies, by its id: EMBEDDINGS, 1 for the first layer and so
    on (a decoder's layers after its encoder's), TOP, or HEAD. `heads`: what is new in it."""
    of_heads = {
        id(weight)
        for head in heads
        for weight in ([head] if isinstance(head, nn.Parameter) else head.parameters())
    }
    depths = {id(weight): HEAD if id(weight) in of_heads else TOP for weight in model.parameters()}
    layers = 0

    def assign(module: nn.Module, depth: int) -> None:
        for weight in module.parameters():
            if id(weight) not in of_heads:
                depths[id(weight)] = depth

    def walk(module: nn.Module) -> None:
        nonlocal layers
        for name, weight in module.named_parameters(recurse=False):
            # such as Wav2Vec2's masked_spec_embed, which stands in for a hidden input
            if "embed" in name and id(weight) not in of_heads:
                depths[id(weight)] = EMBEDDINGS
        for name, child in module.named_children():
            if type(child) is nn.ModuleList:  # transformers keeps a network's layers, or stages, so
                for layer in child:
                    layers += 1
                    assign(layer, layers)
            elif isinstance(child, nn.Embedding) or "embed" in name:
                assign(child, EMBEDDINGS)
            else:
                walk(child)

    walk(model)
    return depths


def group_parameters(
    model: nn.Module, heads: Iterable[nn.Module | nn.Parameter], layer_decay: float = 1.0
) -> list[ParameterGroup]:
    """The weights that learn. Vectors (biases, norms) do not decay; a layer learns at `layer_decay`
    of the rate of the one above it; Muon is for the matrices of layers, not for embeddings, whose
    rows are seen at different times, nor for heads, whose rows are classes."""
    depths = measure_depths(model, heads)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    distinct = sorted({depths[id(weight)] for weight in learning}, reverse=True)
    steps_down = {depth: steps for steps, depth in enumerate(distinct)}
    found: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for weight in learning:
        depth = depths[id(weight)]
        is_matrix = weight.ndim > 1 and weight.shape[1] > 1
        key = (
            layer_decay ** steps_down[depth],
            weight.ndim > 1,
            is_matrix and depth not in (EMBEDDINGS, HEAD),
        )
        found.setdefault(key, []).append(weight)
    return [ParameterGroup(weights, *key) for key, weights in found.items()]


# -- optimizers ------------------------------------------------------------------------------------
def make_adamw(groups: Sequence[ParameterGroup], learning_rate: float) -> Optimizer:
    return Optimizer((AdamW(_records(groups), lr=learning_rate), groups))


def make_optimizer(
    groups: Sequence[ParameterGroup], config: OptimizerConfig, learning_rate: float
) -> Optimizer:
    """As `config.optimizer` names it: adamw, sgd or muon."""
    if config.optimizer == "sgd":
        sgd = optim.SGD(_records(groups), lr=learning_rate, momentum=0.9, nesterov=True)
        return Optimizer((sgd, groups))
    if config.optimizer == "adamw":
        return make_adamw(groups, learning_rate)
    matrices = [group for group in groups if group.orthogonal]
    others = [group for group in groups if not group.orthogonal]
    parts: list[tuple[optim.Optimizer, Sequence[ParameterGroup]]] = []
    if matrices:
        parts.append((Muon(_records(matrices), lr=learning_rate), matrices))
    if others:
        parts.append((AdamW(_records(others), lr=learning_rate), others))
    return Optimizer(*parts)


def _records(groups: Sequence[ParameterGroup]) -> list[dict[str, list[Tensor] | float]]:
    """As torch takes them. Weight decay is set before every step."""
    return [{"params": [*group.parameters], "weight_decay": 0.0} for group in groups]
