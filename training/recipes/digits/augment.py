"""Augmentation of 28x28 greys, a batch at a time on the device, every picture by its own draw.

The draws are a table, one row a picture, made from (seed, epoch) alone and indexed by the picture:
a continued run, and a run on two processes, see exactly the pictures that an unbroken one sees.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as v2

COLUMNS = 8
# Degrees, relative scale, shear, pixels of shift, side of the erased square, whether a mirror image
# is alike.
STRENGTH = {
    ("digit", "light"): (8, 0.08, 0.08, 1.5, 0, False),
    ("digit", "strong"): (14, 0.15, 0.2, 2.5, 0, False),
    ("garment", "light"): (0, 0.0, 0.0, 2.0, 0, True),
    ("garment", "strong"): (4, 0.08, 0.04, 2.5, 9, True),
}


def draws(count: int, seed: int, epoch: int, device: torch.device | str = "cpu") -> Tensor:
    """(count, 8) uniform in [0, 1)."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    return torch.rand(count, COLUMNS, generator=generator).to(device)


def augment(images: Tensor, rows: Tensor, framing: str, strength: str) -> Tensor:
    """`images`: (N, 1, 28, 28) in 0 to 1; `rows`: (N, 8), one draw a picture."""
    if strength == "none":
        return images
    degrees, scale, shear, shift, hole, mirror = STRENGTH[framing, strength]
    u = rows * 2 - 1
    size = images.shape[-1]
    if degrees or scale or shear or shift:
        angle = u[:, 0] * math.radians(degrees)
        grow_x = 1 + u[:, 1] * scale
        grow_y = 1 + u[:, 2] * scale
        cos = torch.cos(angle)
        sin = torch.sin(angle)
        slant = u[:, 3] * shear
        matrix = torch.stack(
            [
                torch.stack([cos * grow_x, (slant - sin) * grow_y, u[:, 4] * 2 * shift / size], 1),
                torch.stack([sin * grow_x, cos * grow_y, u[:, 5] * 2 * shift / size], 1),
            ],
            1,
        )
        grid = F.affine_grid(matrix.to(images.dtype), list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, align_corners=False)
    if mirror:
        images = torch.where(
            (rows[:, 6] < 0.5)[:, None, None, None], v2.horizontal_flip(images), images
        )
    if hole:
        # The square's centre may lie near the border, so that a part of the pictures loses less.
        at = torch.arange(size, device=images.device)
        x = (rows[:, 7] * size * 16) % size
        y = rows[:, 7] * size
        inside = ((at[None, :] - y[:, None]).abs() < hole / 2)[:, :, None] & (
            (at[None, :] - x[:, None]).abs() < hole / 2
        )[:, None, :]
        images = images.masked_fill(inside[:, None], 0.0)
    return images
