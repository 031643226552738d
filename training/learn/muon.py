"""Muon: each matrix of weights moves by its momentum, made orthogonal, so that no direction is left
behind.

After K. Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/), scaled as in J. Liu et al.
2025 (arXiv 2502.16982), so that AdamW's learning rates serve. A convolution is taken as a matrix of
(out, in x high x wide), which torch.optim.Muon refuses. What is no such matrix (biases, norms, the
head, depthwise filters) takes AdamW's steps.
"""

from typing import Any

import torch
from torch import Tensor, optim
from torch import distributed as dist
from torch.optim.optimizer import ParamsT

from training.device import has_bf16

# Of the Newton-Schulz polynomial, chosen by Jordan for a steep start.
CONSTANTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """(m, n) with the same directions, and singular values all near 1."""
    a, b, c = CONSTANTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def share_out(costs: list[int], world: int) -> list[int]:
    """Which process takes each piece of work, so that all have about as much."""
    loads = [0] * world
    taken = [0] * len(costs)
    for place in sorted(range(len(costs)), key=lambda i: -costs[i]):
        taken[place] = loads.index(min(loads))
        loads[taken[place]] += costs[place]
    return taken


class Muon(optim.Optimizer):
    """For matrices alone. Of several processes each makes a share of them orthogonal, and tells the
    others."""

    def __init__(self, params: ParamsT, lr: float, momentum: float = 0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=0.0))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # the loop has no closure
        moving = [
            (group, p) for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        matrices = [self._update_momentum(group, p, p.grad) for group, p in moving]
        for (group, p), move in zip(moving, self._compute_moves(matrices), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(move.view(p.shape), alpha=-group["lr"] * 0.2 * max(move.shape) ** 0.5)

    def _update_momentum(self, group: dict[str, Any], p: Tensor, gradient: Tensor) -> Tensor:
        """(out, all else), Nesterov's."""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        mean = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(mean, group["momentum"]).flatten(1)

    def _compute_moves(self, matrices: list[Tensor]) -> list[Tensor]:
        # Half precision is enough: the values end near 1, not at it.
        exact = torch.bfloat16 if has_bf16() else torch.float32
        world = dist.get_world_size() if dist.is_initialized() else 1
        if world == 1:
            return [orthogonalise(matrix.to(exact)).to(matrix.dtype) for matrix in matrices]
        owners = share_out([matrix.numel() * min(matrix.shape) for matrix in matrices], world)
        sizes = [matrix.numel() for matrix in matrices]
        out = torch.zeros(sum(sizes), device=matrices[0].device)
        moves = [
            piece.view_as(matrix) for piece, matrix in zip(out.split(sizes), matrices, strict=True)
        ]
        for move, matrix, owner in zip(moves, matrices, owners, strict=True):
            if owner == dist.get_rank():
                move.copy_(orthogonalise(matrix.to(exact)))
        dist.all_reduce(out)
        return moves
