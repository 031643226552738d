"""Augmentation of coloured pictures, a batch at a time on the device, every picture by its own
draw.

A random resized crop, a mirror image, a little more or less sharpness, and with `strong` one change
drawn from TrivialAugment's list (Müller and Hutter 2021, arXiv 2103.10158) at a random strength.
The draws are a table, one row a picture, made from (seed, epoch) alone and indexed by the picture,
so that a continued run sees exactly what an unbroken one sees.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

COLUMNS = 9  # area, aspect, place (2), mirror, change, strength, its sign, sharpness
# of a bilinear enlargement: at about 0.8 it is a bicubic one, at 1.1 Lanczos's
SHARPNESS = (-0.3, 1.3)
GREY = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
CHANGES = (
    "identity",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "autocontrast",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)


def draws(count: int, seed: int, epoch: int) -> Tensor:
    """(count, 9) uniform in [0, 1)."""
    return torch.rand(
        count, COLUMNS, generator=torch.Generator().manual_seed(seed * 100_003 + epoch)
    )


def augment(
    images: Tensor,
    rows: Tensor,
    shape: tuple[int, int],
    strength: str,
    least: float,
    stretch: Tensor | float = 1.0,
) -> Tensor:
    """`images`: (N, 3, S, S), 0 to 255; `rows`: (N, 9), on the CPU, so that no GPU is waited for to
    learn which picture drew what; returns (N, 3, *shape), 0 to 255, float. `least`: smallest share
    of the area that a crop shows. `stretch`: width over height of crops, in shares of the picture,
    (N,) or one for all."""
    images = images.float()
    if strength == "none":
        return (
            images
            if images.shape[2:] == shape
            else F.interpolate(images, shape, mode="bicubic", antialias=True).clamp(0, 255)
        )
    which = (
        (rows[:, 5] * len(CHANGES)).long()
        if strength == "strong"
        else torch.zeros(len(rows), dtype=torch.long)
    )
    placed = rows.to(images.device, non_blocking=True)
    images = _focus(
        _crop(
            images,
            placed,
            shape,
            least,
            _warp(rows, which).to(images.device, non_blocking=True),
            stretch,
        ),
        placed,
    )
    return _recolour(images, placed, which) if strength == "strong" else images


def _warp(rows: Tensor, which: Tensor) -> Tensor:
    """(N, 2, 3): the geometric change of each picture, a matrix beside a shift; most of them
    none."""
    amount = rows[:, 6] * torch.where(rows[:, 7] < 0.5, -1.0, 1.0)

    def amount_of(name: str, most: float) -> Tensor:
        return torch.where(which == CHANGES.index(name), amount * most, 0.0)

    angle = amount_of("rotate", math.radians(45))
    one = torch.ones_like(amount)
    cos = torch.cos(angle)
    sin = torch.sin(angle)
    return torch.stack(
        [
            torch.stack(
                [cos * one, amount_of("shear_x", 0.5) - sin, amount_of("translate_x", 0.4)], 1
            ),
            torch.stack(
                [amount_of("shear_y", 0.5) + sin, cos * one, amount_of("translate_y", 0.4)], 1
            ),
        ],
        1,
    )


def _crop(
    images: Tensor,
    rows: Tensor,
    shape: tuple[int, int],
    least: float,
    warp: Tensor,
    stretch: Tensor | float,
) -> Tensor:
    """A random rectangle of each picture, mirrored in half of them, in this shape."""
    area = least + (1 - least) * rows[:, 0]
    aspect = torch.exp((rows[:, 1] * 2 - 1) * math.log(4 / 3) / 2) * stretch**0.5
    wide = (area.sqrt() * aspect).clamp(max=1)
    high = (area.sqrt() / aspect).clamp(max=1)
    mirror = torch.where(rows[:, 4] < 0.5, -1.0, 1.0)
    left = (rows[:, 2] * 2 - 1) * (1 - wide)
    top = (rows[:, 3] * 2 - 1) * (1 - high)
    scale = torch.stack([wide * mirror, high], 1)
    shift = warp[:, :, 2] + torch.stack([left, top], 1)
    matrix = torch.cat([warp[:, :, :2] * scale[:, None, :], shift[:, :, None]], 2)
    if images.shape[-1] >= 2 * max(shape):  # large steps between samples would alias
        images = F.interpolate(images, images.shape[-1] // 2, mode="bilinear", antialias=True)
    grid = F.affine_grid(matrix, [len(images), 3, *shape], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _focus(x: Tensor, rows: Tensor) -> Tensor:
    """Each picture as soft or sharp as its draw: programs and cameras scale pictures differently,
    and a network that saw one way of it alone loses accuracy at the others."""
    least, most = SHARPNESS
    return (x + (least + (most - least) * rows[:, 8, None, None, None]) * (x - _blur(x))).clamp(
        0, 255
    )


def _blur(x: Tensor) -> Tensor:
    """The mean of every pixel and those beside it: avg_pool2d's, which takes four times as long on
    a CPU."""
    for along in (2, 3):
        size = x.shape[along]
        total = x.clone()
        total.narrow(along, 1, size - 1).add_(x.narrow(along, 0, size - 1))
        total.narrow(along, 0, size - 1).add_(x.narrow(along, 1, size - 1))
        count = torch.full((size,), 3.0, device=x.device)
        count[0] -= 1
        count[-1] -= 1
        x = total.div_(count.view(-1, *[1] * (3 - along)))
    return x


def _recolour(images: Tensor, rows: Tensor, which: Tensor) -> Tensor:
    """The changes of light and colour, each on the pictures that drew it, which `which` tells, (N,)
    on the CPU."""
    out = images.clone()
    for number, name in enumerate(CHANGES[1:8], 1):
        at = torch.nonzero(which == number)[:, 0].to(images.device, non_blocking=True)
        if len(at):
            amount = rows[at, 6, None, None, None]
            factor = 1 + amount * torch.where(rows[at, 7, None, None, None] < 0.5, -0.9, 0.9)
            out[at] = _change(name, images[at], amount, factor).clamp(0, 255)
    return out


def _change(name: str, x: Tensor, amount: Tensor, factor: Tensor) -> Tensor:
    """(n, 3, S, S) with strengths (n, 1, 1, 1): `amount` in 0 to 1, `factor` in 0.1 to 1.9."""
    if name == "brightness":
        return x * factor
    if name == "autocontrast":
        low = x.amin((2, 3), keepdim=True)
        high = x.amax((2, 3), keepdim=True)
        return (x - low) * 255 / (high - low).clamp(min=1)
    if name == "posterize":
        step = 2 ** (amount * 6).floor()
        return (x / step).floor() * step
    if name == "solarize":
        return torch.where(x >= 255 * (1 - amount), 255 - x, x)
    grey = (x * GREY.to(x.device, non_blocking=True)).sum(1, keepdim=True)
    other = {
        "contrast": lambda: grey.mean((2, 3), keepdim=True),
        "saturation": lambda: grey,
        "sharpness": lambda: _blur(x),
    }[name]()
    return other + (x - other) * factor


def mix(
    images: Tensor, labels: Tensor, classes: int, mixup: float, cutmix: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Each picture with its neighbour in the batch: laid over each other (mixup, Zhang et al. 2018,
    arXiv 1710.09412) or a rectangle of it in the other (CutMix, Yun et al. 2019, arXiv 1905.04899),
    as drawn where both are asked for. Labels as shares, (N, classes)."""
    shares = F.one_hot(labels, classes).float()
    if not (mixup or cutmix):
        return images, shares
    (count, _, high, wide) = images.shape
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.stack(
        [
            *(_beta(alpha or 1.0, count, generator) for alpha in (mixup, cutmix)),
            *torch.rand(3, count, 1, 1, generator=generator),
        ]
    )
    over, cut, x, y, which = numbers.to(images.device, non_blocking=True)
    half = (1 - cut).sqrt() / 2
    rows = _places(high, images.device)[:, None]
    columns = _places(wide, images.device)
    inside = (rows - y).abs().lt(half) & (columns - x).abs().lt(half)
    laid = torch.where(which < cutmix / (mixup + cutmix), (~inside).float(), over)
    part = laid.mean((1, 2))[:, None]  # what is left of each picture
    return torch.lerp(images.roll(1, 0), images, laid[:, None]), shares * part + shares.roll(
        1, 0
    ) * (1 - part)


def _beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """(count, 1, 1), Beta(alpha, alpha) by two gamma draws, which torch makes from a generator."""
    shapes = torch.full((2, count, 1, 1), alpha, dtype=torch.float64)
    # torch.distributions has gamma draws too, but none of a generator.
    one, two = torch._standard_gamma(shapes, generator=generator)  # pyright: ignore[reportPrivateImportUsage]
    return (one / (one + two)).float()


def _places(count: int, where: torch.device) -> Tensor:
    """The middles of pixels, in 0 to 1."""
    return (torch.arange(count, device=where) + 0.5) / count
