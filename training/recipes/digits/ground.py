"""Telling what is drawn from what it is drawn on: ink from paper, a garment from its background.

    from training.recipes.digits.ground import find_garment, find_ink

    ink = find_ink(picture)  # float (h, w), 0 is paper, 1 is ink; None: there is no ink
    light = find_garment(picture)  # float (h, w), 0 to 255: how far from the background; or None

It knows nothing of digits or of 28 pixels; training/recipes/digits/picture.py frames what is found
here. It trusts contrast alone: a busy background is taken for a drawing.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image
from scipy import ndimage

from training.media.pictures import flatten

FAINTEST = 10.0  # grey levels of 255 by which a drawing must differ from its background
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def reduce(picture: Image.Image, longest: int) -> Image.Image:
    """The picture with a long side of at most `longest` pixels, by area, so that noise averages
    out."""
    scale = min(1.0, longest / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return (
        picture
        if size == picture.size
        else picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    )


def opacity(picture: Image.Image) -> np.ndarray | None:
    """Opacity, float (h, w) from 0 to 1, where some of the picture is transparent; else None."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return None
    alpha = np.asarray(picture.convert("RGBA").getchannel("A"), dtype=np.float32) / 255
    return alpha if alpha.min() < 0.5 else None


def ring(values: np.ndarray, width: int) -> np.ndarray:
    """The outermost `width` pixels of an (h, w, ...) array, as (n, ...)."""
    inside = np.ones(values.shape[:2], dtype=bool)
    inside[width:-width, width:-width] = False
    return values[inside]


def find_ink(picture: Image.Image) -> np.ndarray | None:
    """How much ink is at each pixel, float (h, w) from 0 to 1; None where there is no ink.

    Where the picture is transparent, ink is what is opaque, of any colour; else what differs from
    the paper.
    """
    ink = _opaque_ink(picture)
    return _paper_ink(flatten(picture)) if ink is None else ink


def find_garment(picture: Image.Image) -> np.ndarray | None:
    """How far each pixel of the garment is from the background, float (h, w), 0 to 255; None if
    none.

    A garment darker than its background comes out negated, as in Fashion-MNIST; a lighter one as it
    is.
    """
    alpha = opacity(picture)
    colour = np.asarray(flatten(picture), dtype=np.float32)
    if alpha is None:
        shape, back = _find_thing(colour)
    else:
        shape = alpha > max(0.5 * float(alpha.max()), 0.02)
        back = np.full(alpha.shape, 255, dtype=np.float32)
    if shape is None or not shape.any():
        return None
    grey = colour @ GREY
    lighter = float(np.mean(grey[shape] - back[shape])) > 0
    light = np.where(shape, grey - back if lighter else back - grey, 0).clip(0)
    if light.max() < FAINTEST:
        # White on a transparent canvas: its own light is what there is to see.
        light = np.where(shape, grey, 0)
    return light


def _opaque_ink(picture: Image.Image) -> np.ndarray | None:
    """Ink from opacity, (h, w) from 0 to 1; None where opacity does not tell ink from paper."""
    alpha = opacity(picture)
    if alpha is None or alpha.max() < 0.04:
        return None
    solid = alpha > 0.5 * alpha.max()
    rows = np.flatnonzero(solid.any(1))
    columns = np.flatnonzero(solid.any(0))
    box = solid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grey = np.asarray(picture.convert("RGBA").convert("L"), dtype=np.float32)[solid]
    # A sheet with round corners or a cut-out photo: mostly opaque, with light and dark within it.
    filled = box.mean() > 0.7 and min(box.shape) > 0.3 * max(solid.shape)
    sheet = filled and np.ptp(np.percentile(grey, (2, 98))) > 40
    return None if sheet else alpha / alpha.max()


def _paper_ink(picture: Image.Image) -> np.ndarray | None:
    """Ink of an opaque picture, (h, w) from 0 to 1, whatever its colour and the light; None if
    none."""
    grey = _one_channel(np.asarray(picture, dtype=np.float32))
    sheet = _sheet(grey)
    grey = grey if sheet is None else grey[sheet]
    noise = _noise(grey)
    if noise > 2.5 and min(grey.shape) > 60:
        blur = min(2.0, 0.4 + noise / 15)
        grey = ndimage.gaussian_filter(grey, blur)
        noise = max(_noise(grey), noise / (3.5 * blur))
    contrast, even = _contrast(grey)
    level = float(np.percentile(contrast, 99.95))
    if level < max(FAINTEST, 5 * noise):
        return None
    if not even or noise > 1:
        middle = float(np.median(contrast))
        spread = 1.48 * float(np.median(np.abs(contrast - middle)))
        if level - middle < 6 * spread:  # grain and blotches reach as far
            return None
    strong = contrast[contrast > level / 2]
    full = float(strong.max()) if even and noise <= 1 else float(np.median(strong))
    # Uneven light leaves something behind; on an even canvas the soft edge of a stroke is worth
    # keeping.
    low = max((0.04 if even else 0.35) * full, min(4 * noise, 0.45 * full))
    return np.clip((contrast - low) / (full - low), 0, 1)


def mark_parts(mask: np.ndarray, corners: bool = False) -> tuple[np.ndarray, int]:
    """What hangs together in a mask, (h, w), as int (h, w): 0 outside, else the part's number, from
    1 on; and how many parts there are. `corners`: whether parts hang together by a corner too."""
    structure = np.ones((3, 3)) if corners else None
    return cast(tuple[np.ndarray, int], ndimage.label(mask, structure=structure))


def _sheet(grey: np.ndarray) -> tuple[slice, slice] | None:
    """The inside of a light sheet of paper that lies on something darker; None where there is
    none."""
    step = max(1, max(grey.shape) // 100)
    coarse = grey[::step, ::step]
    border = ring(coarse, max(1, min(coarse.shape) // 40))
    if min(coarse.shape) < 40 or np.ptp(np.percentile(border, (10, 90))) > 40:
        return None
    marks, count = mark_parts(coarse > np.median(border) + 20)
    if count == 0:
        return None
    main = int(np.argmax(np.bincount(marks.ravel())[1:]))
    rows, columns = ndimage.find_objects(marks)[main]
    box = marks[rows, columns] == main + 1
    if box.mean() < 0.72 or min(box.shape) < 0.4 * max(*box.shape, min(coarse.shape)):
        return None
    skip = max(1, round(0.06 * min(box.shape)))
    down, across = (
        slice((side.start + skip) * step, (side.stop - skip) * step) for side in (rows, columns)
    )
    inside = (down, across)
    # A sheet has something dark on it; a light disc or square does not, and is itself the drawing.
    dark, light = np.percentile(grey[inside], (1, 50))
    return inside if light - dark > 2 * FAINTEST else None


def _one_channel(colour: np.ndarray) -> np.ndarray:
    """(h, w, 3) to (h, w): grey, or the mix of channels in which coloured ink stands out the
    most."""
    grey = colour @ GREY
    red, green, blue = (colour[::2, ::2, index] for index in range(3))
    if max(np.abs(red - green).max(), np.abs(green - blue).max()) < 24:
        return grey
    planes = [grey, *np.moveaxis(colour, 2, 0)]
    spans = [np.ptp(np.percentile(plane[::2, ::2], (0.5, 99.5))) for plane in planes]
    best = int(np.argmax(spans))
    return planes[best] if spans[best] > 1.5 * spans[0] else grey


def _noise(grey: np.ndarray) -> float:
    """The standard deviation of pixel noise, from differences that edges and gradients hardly
    touch."""
    if min(grey.shape) < 48:  # a small picture is all edges
        return 0.0
    cross = grey[1:, 1:] - grey[1:, :-1] - grey[:-1, 1:] + grey[:-1, :-1]
    return float(np.median(np.abs(cross[::2, ::2])) / (2 * 0.6745))


def _is_ink_light(grey: np.ndarray) -> bool:
    """Whether ink is lighter than what surrounds it: by a plain border, else by what stands out
    locally."""
    low, high = np.percentile(grey[::2, ::2], (0.5, 99.5))
    border = ring(grey, max(1, min(grey.shape) // 40))
    middle = float(np.median(border))
    spread = float(np.median(np.abs(border - middle)))
    if spread < 0.06 * (high - low):
        return high - middle > middle - low
    coarse = grey[::4, ::4] if min(grey.shape) > 120 else grey
    apart = coarse - ndimage.gaussian_filter(coarse, max(coarse.shape) / 12)
    return float(np.mean(apart**3)) > 0


def _contrast(grey: np.ndarray) -> tuple[np.ndarray, bool]:
    """How far each pixel stands out from its background, 0 to 255, and whether that background was
    even."""
    light = _is_ink_light(grey)
    border = ring(grey, max(1, min(grey.shape) // 40))
    low, middle, high = np.percentile(border, (10, 50, 90))
    far = float(grey.max()) - middle if light else middle - float(grey.min())
    if high - low < max(4.0, 0.04 * far) or min(grey.shape) < 24:
        return (grey - middle if light else middle - grey), True
    slope = _slope(grey)
    flat = grey - slope
    # Wider than a stroke, so that strokes vanish and shadows stay.
    window = max(3, max(grey.shape) // 5)
    first = ndimage.minimum_filter
    second = ndimage.maximum_filter
    if not light:
        first, second = second, first
    # What crosses the picture's edge has no background beyond it, so the edge is continued as it
    # is.
    back = second(first(flat, window, mode="nearest"), window, mode="nearest")
    if light:
        return flat - back, False
    # By ratio: ink in a shadow is as black as ink in the light.
    return (back - flat) * (255 / np.maximum(back + slope, 40)), False


def _slope(grey: np.ndarray) -> np.ndarray:
    """The smooth part of the light, (h, w): a quadratic surface fitted to the paper, ink hardly
    counted."""
    y = np.linspace(-1, 1, grey.shape[0])[:, None]
    x = np.linspace(-1, 1, grey.shape[1])
    step = max(1, max(grey.shape) // 40)
    values = grey[::step, ::step]
    ys, xs = (np.broadcast_to(axis, values.shape).ravel() for axis in (y[::step], x[::step]))
    spots = np.stack([np.ones_like(xs), xs, ys, xs * xs, xs * ys, ys * ys], axis=-1)
    weight = np.ones(values.size)
    found = np.zeros(6)
    for _ in range(6):
        weighted = spots.T * weight
        found = np.linalg.solve(weighted @ spots + 1e-6 * np.eye(6), weighted @ values.ravel())
        off = np.abs(values.ravel() - spots @ found)
        weight = 1 / (1 + (off / (1 + np.median(off))) ** 2)
    a, b, c, d, e, f = found
    return ((a + b * x + d * x * x) + (c * y + f * y * y) + e * y * x).astype(np.float32)


def _find_thing(colour: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The mask (h, w) of what differs from the background, and the background's grey (h, w)."""
    back = _background(colour)
    apart = _distance(colour, back)
    noise = max(_noise(colour[..., index]) for index in range(3))
    if noise > 2 and min(apart.shape) > 60:
        smooth = ndimage.gaussian_filter(colour, (1.5, 1.5, 0))
        apart = _distance(smooth, back)
        noise = noise / 4
    rim = float(np.percentile(ring(apart, max(1, min(apart.shape) // 40)), 50))
    threshold = max(5.0, 5 * noise, 3 * rim)  # Fashion-MNIST's own trimming took a few per cent
    grey = back @ GREY
    if float(np.percentile(apart, 99.5)) < max(FAINTEST, 2 * threshold):
        return None, grey
    mask = apart > threshold
    marks, count = mark_parts(mask, corners=True)
    areas = np.bincount(marks.ravel())
    areas[0] = 0
    if count == 0 or areas.max() < 0.002 * mask.size:
        return None, grey
    return (areas >= 0.02 * areas.max())[marks] & (marks > 0), grey


def _background(colour: np.ndarray) -> np.ndarray:
    """The background (h, w, 3): a plane through the border's colours; what crosses the border is
    left out."""
    tall, wide = colour.shape[:2]
    y = np.linspace(-1, 1, tall)[:, None]
    x = np.linspace(-1, 1, wide)
    width = max(1, min(tall, wide) // 40)
    ys, xs = (ring(np.broadcast_to(axis, (tall, wide)), width) for axis in (y, x))
    points = np.stack([np.ones_like(xs), xs, ys], axis=1)
    values = ring(colour, width)
    off = np.abs(values - np.median(values, axis=0)).max(1)
    plane = np.zeros((3, 3))
    for _ in range(3):
        near = off <= max(2.0, 2.5 * float(np.median(off)))
        plane = np.linalg.lstsq(points[near], values[near], rcond=None)[0]
        off = np.abs(values - points @ plane).max(1)
    layers = [level + across * x + down * y for level, across, down in plane.T]
    return np.stack(layers, axis=2).clip(0, 255).astype(np.float32)


def _distance(colour: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The largest difference of any channel, (h, w)."""
    apart = np.abs(colour - back)
    return np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])
