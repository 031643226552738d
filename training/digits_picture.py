"""Any picture of a digit or a garment to the 28 × 28 grey picture that the model was trained on.

    from training.digits_picture import to_28x28
    pixels = to_28x28(load_picture("seven.jpg"), "digit")      # uint8 (28, 28), light on dark

The one preprocessing function for training on own folders and for serving, so the two cannot differ.
A picture that already is 28 × 28, grey, on a plain border passes unchanged (negated if it is dark on light).

"digit" follows MNIST: ink fitted in 20 × 20, centred by its centre of mass. "garment" follows Fashion-MNIST
(Xiao et al. 2017, section 2): background trimmed, longest edge 28, centred by its box, negated.
It finds one thing: of several digits in a picture it makes one crowded picture.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from training.pictures import PictureError, flatten

Framing = Literal["digit", "garment"]
SIDE = 28
WORK = 400  # long side in pixels at which ink is looked for: a thin pen line on a 1024 photo is still seen
FINE = 160  # long side of the digit when its strokes are measured; 8 times the 20 that it will have
THIN, THICK = 2.0, 4.4  # stroke width in pixels of 28 that MNIST's own digits keep to (5th to 95th percentile)
FAINTEST = 10.0  # grey levels of 255 by which ink must differ from paper


class EmptyPicture(PictureError):
    """Nothing is drawn in the picture. The text is a sentence for the person."""

    def __init__(self, framing: Framing) -> None:
        what = "a digit, large and in one stroke" if framing == "digit" else "one garment on a plain background"
        super().__init__(f"There is nothing drawn yet: draw or upload {what}, and try again.")


def to_28x28(picture: Image.Image, framing: Framing) -> np.ndarray:
    """The picture as uint8 (28, 28), light on dark, framed as MNIST ("digit") or Fashion-MNIST ("garment").

    Raises EmptyPicture where there is nothing but background.
    """
    if framing not in ("digit", "garment"):
        raise ValueError(f"framing must be 'digit' or 'garment', not {framing!r}")
    ready = _already_framed(picture)
    if ready is not None:
        return ready
    if min(picture.size) < 2:
        raise EmptyPicture(framing)
    pixels = _digit(picture) if framing == "digit" else _garment(picture)
    if pixels is None:
        raise EmptyPicture(framing)
    return pixels


def _already_framed(picture: Image.Image) -> np.ndarray | None:
    """The pixels of a 28 × 28 grey picture on a plain black or white border, as they are; else None."""
    if picture.size != (SIDE, SIDE) or _alpha(picture) is not None:
        return None
    rgb = np.asarray(picture.convert("RGB"))
    grey = rgb[..., 0]
    if (rgb != grey[..., None]).any() or int(grey.max()) - int(grey.min()) < FAINTEST:
        return None
    border = _ring(grey, 1)
    dark, light = np.mean(border <= 4), np.mean(border >= 251)
    if max(dark, light) < 0.25:  # a garment may fill most of the border, a photo leaves no plain one
        return None
    return grey.copy() if dark >= light else 255 - grey


def _alpha(picture: Image.Image) -> np.ndarray | None:
    """Opacity, float (h, w) from 0 to 1, where some of the picture is transparent; else None."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return None
    alpha = np.asarray(picture.convert("RGBA").getchannel("A"), dtype=np.float32) / 255
    return alpha if alpha.min() < 0.5 else None


def _ring(values: np.ndarray, width: int) -> np.ndarray:
    """The outermost `width` pixels of an (h, w, ...) array, as (n, ...)."""
    inside = np.ones(values.shape[:2], dtype=bool)
    inside[width:-width, width:-width] = False
    return values[inside]


def _reduced(picture: Image.Image) -> Image.Image:
    """The picture with a long side of at most WORK pixels, by area, so that noise averages out."""
    scale = min(1.0, WORK / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


# -- digits ------------------------------------------------------------------------------------------------


def _digit(picture: Image.Image) -> np.ndarray | None:
    picture = _reduced(picture)
    ink = _drawn_ink(picture)
    if ink is None:
        ink = _paper_ink(flatten(picture))
    ink = _without_specks(ink) if ink is not None else None
    return None if ink is None else _framed(_even_strokes(_enlarged(ink)))


def _drawn_ink(picture: Image.Image) -> np.ndarray | None:
    """Ink from opacity, (h, w) from 0 to 1; None where opacity does not tell ink from paper."""
    alpha = _alpha(picture)
    if alpha is None or alpha.max() < 0.04:
        return None
    solid = alpha > 0.5 * alpha.max()
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    box = solid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grey = np.asarray(picture.convert("RGBA").convert("L"), dtype=np.float32)[solid]
    # A sheet with round corners or a cut-out photo: mostly opaque, with light and dark within it.
    sheet = box.mean() > 0.7 and min(box.shape) > 0.3 * max(solid.shape) and np.ptp(np.percentile(grey, (2, 98))) > 40
    return None if sheet else alpha / alpha.max()


def _paper_ink(picture: Image.Image) -> np.ndarray | None:
    """Ink of an opaque picture, (h, w) from 0 to 1, whatever its colour and the light; None if there is none."""
    grey = _one_channel(np.asarray(picture, dtype=np.float32))
    noise = _noise(grey)
    if noise > 3 and min(grey.shape) > 60:
        blur = min(2.0, 0.4 + noise / 15)
        grey = ndimage.gaussian_filter(grey, blur)
        noise = max(_noise(grey), noise / (3.5 * blur))
    if not _ink_is_light(grey):
        grey = 255 - grey
    contrast = _flattened(grey)
    level = float(np.percentile(contrast, 99.8))
    if level < max(FAINTEST, 5 * noise):
        return None
    strong = contrast[contrast > level / 2]
    full = float(np.median(strong)) if noise > 1 else float(strong.max())
    low = max(0.04 * full, min(4 * noise, 0.45 * full))
    return np.clip((contrast - low) / (full - low), 0, 1)


def _one_channel(colour: np.ndarray) -> np.ndarray:
    """(h, w, 3) to (h, w): grey, or the mix of channels in which coloured ink stands out the most."""
    grey = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    if np.abs(colour[..., 0] - colour[..., 1]).max() < 24 and np.abs(colour[..., 1] - colour[..., 2]).max() < 24:
        return grey
    planes = [grey, *np.moveaxis(colour, 2, 0)]
    spans = [np.ptp(np.percentile(plane[::2, ::2], (0.5, 99.5))) for plane in planes]
    best = int(np.argmax(spans))
    return planes[best] if spans[best] > 1.5 * spans[0] else grey


def _noise(grey: np.ndarray) -> float:
    """The standard deviation of pixel noise, from differences that edges and gradients hardly touch."""
    if min(grey.shape) < 8:
        return 0.0
    cross = grey[1:, 1:] - grey[1:, :-1] - grey[:-1, 1:] + grey[:-1, :-1]
    return float(np.median(np.abs(cross[::2, ::2])) / (2 * 0.6745))


def _ink_is_light(grey: np.ndarray) -> bool:
    """Whether ink is lighter than what surrounds it: by a plain border, else by what stands out locally."""
    low, high = np.percentile(grey, (0.5, 99.5))
    border = _ring(grey, max(1, min(grey.shape) // 40))
    middle = float(np.median(border))
    spread = float(np.median(np.abs(border - middle)))
    if spread < 0.06 * (high - low):
        return high - middle > middle - low
    apart = grey - ndimage.gaussian_filter(grey, max(grey.shape) / 12)
    return float(np.mean(apart**3)) > 0


def _flattened(grey: np.ndarray) -> np.ndarray:
    """How much lighter each pixel is than the background around it, in grey levels; uneven light taken out."""
    border = _ring(grey, max(1, min(grey.shape) // 40))
    low, middle, high = np.percentile(border, (10, 50, 90))
    if high - low < max(4.0, 0.04 * (float(grey.max()) - middle)) or min(grey.shape) < 24:
        return grey - middle
    step = max(1, max(grey.shape) // 80)
    tall, wide = (side // step * step for side in grey.shape)
    blocks = grey[:tall, :wide].reshape(tall // step, step, wide // step, step)
    coarse = blocks.min(axis=(1, 3))
    window = max(3, max(coarse.shape) // 3)
    under = ndimage.maximum_filter(ndimage.minimum_filter(coarse, window), window)
    under = ndimage.gaussian_filter(np.minimum(under, coarse), 2.0)
    whole = Image.fromarray(under).resize(grey.shape[::-1], Image.Resampling.BILINEAR)
    return grey - np.asarray(whole)


def _without_specks(ink: np.ndarray) -> np.ndarray | None:
    """The ink cropped to the digit: specks, and lines that run out of the picture, left out."""
    marks, count = ndimage.label(ink > 0.4, structure=np.ones((3, 3)))
    if count == 0:
        return None
    boxes = ndimage.find_objects(marks)
    areas = np.bincount(marks.ravel())[1:].astype(float)
    tall, wide = ink.shape
    for index, (rows, columns) in enumerate(boxes):
        edges = (rows.start == 0) + (columns.start == 0) + (rows.stop == tall) + (columns.stop == wide)
        if edges and areas.max() > areas[index] or edges > 1:
            areas[index] *= 0.25  # more likely the edge of the sheet, or a ruled line
    spans = np.array([max(r.stop - r.start, c.stop - c.start) for r, c in boxes])
    main = int(np.argmax(areas))
    if min(ink.shape) > 28 and spans[main] < 0.03 * max(ink.shape):
        return None
    keep = (areas >= 0.04 * areas[main]) & (spans >= 0.12 * spans[main])
    mask = ndimage.binary_dilation(np.r_[False, keep][marks], iterations=2)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return _trimmed(np.where(mask, ink, 0)[box])


def _trimmed(ink: np.ndarray) -> np.ndarray:
    """The smallest box that holds all ink of some strength."""
    seen = ink > 0.1
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _enlarged(ink: np.ndarray) -> np.ndarray:
    """The same ink with a long side of FINE pixels; thin lines are widened first so that none fades."""
    long = max(ink.shape)
    factor = long // FINE
    if factor >= 2 and _width(ink) < 2 * factor:
        ink = ndimage.maximum_filter(ink, factor)
    scale = FINE / long
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    return np.asarray(Image.fromarray(ink.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)


def _width(ink: np.ndarray) -> float:
    """Mean stroke width in pixels: twice the area over the length of the outline."""
    down, across = np.gradient(np.pad(ink, 2))
    return float(2 * ink.sum() / max(np.hypot(down, across).sum(), 1e-6))


def _even_strokes(ink: np.ndarray) -> np.ndarray:
    """Strokes brought to between THIN and THICK, measured where the long side becomes 20 pixels."""
    width = _width(ink)
    unit = FINE / 20
    wanted = float(np.clip(width, THIN * unit, THICK * unit))
    if abs(wanted - width) < 0.1 * unit:
        return ink
    # The box grows with the strokes and is then fitted to 20 again: solved for the growth r on each side.
    share = wanted / FINE
    grow = (share * FINE - width) / (2 - 2 * share)
    if grow > 0:
        ink = np.pad(ink, int(np.ceil(grow)) + 1)
        far = ndimage.distance_transform_edt(ink < 0.5)
        return np.maximum(ink, np.clip(grow + 0.5 - far, 0, 1))
    deep = ndimage.distance_transform_edt(np.pad(ink, 1) >= 0.5)[1:-1, 1:-1]
    grow = max(grow, -0.6 * float(deep.max()))  # never to nothing
    return np.clip(deep + grow + 0.5, 0, 1)


def _framed(ink: np.ndarray) -> np.ndarray:
    """Ink (h, w) from 0 to 1 to MNIST's framing: long side 20, centre of mass in the middle, peak 255."""
    ink = _trimmed(ink)
    unit = max(ink.shape) / 20
    reach = round(1.5 * max(ink.shape))
    canvas = np.pad(ink, reach).astype(np.float32)
    y, x = (middle + 0.5 for middle in ndimage.center_of_mass(canvas))
    half = SIDE / 2 * unit
    box = (x - half, y - half, x + half, y + half)
    out = np.asarray(Image.fromarray(canvas).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    return np.rint(np.clip(out / max(float(out.max()), 1e-6), 0, 1) * 255).astype(np.uint8)


# -- garments ----------------------------------------------------------------------------------------------


def _garment(picture: Image.Image) -> np.ndarray | None:
    picture = _reduced(picture)
    alpha = _alpha(picture)
    colour = np.asarray(flatten(picture), dtype=np.float32)
    if alpha is not None and alpha.max() > 0.04:
        shape, back = alpha > 0.5 * alpha.max(), np.float32(255)
    else:
        shape, back = _standing_out(colour)
    if shape is None or not shape.any():
        return None
    grey = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    back = np.broadcast_to(back, grey.shape)
    lighter = float(np.mean(grey[shape] - back[shape])) > 0
    light = np.where(shape, (grey - back) * (1 if lighter else -1), 0).clip(0)
    if light.max() < FAINTEST:  # white on a transparent canvas: its own light is what there is to see
        light = np.where(shape, grey, 0)
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    return _boxed(light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _standing_out(colour: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The mask (h, w) of what differs from the background, holes filled, and the background's grey (h, w)."""
    back = _background(colour)
    apart = np.abs(colour - back).max(2)
    noise = max(_noise(colour[..., index]) for index in range(3))
    if noise > 2 and min(apart.shape) > 60:
        smooth = ndimage.gaussian_filter(colour, (1.5, 1.5, 0))
        apart, noise = np.abs(smooth - back).max(2), noise / 4
    rim = float(np.percentile(_ring(apart, max(1, min(apart.shape) // 40)), 50))
    threshold = max(5.0, 5 * noise, 3 * rim)  # Fashion-MNIST's own trimming took a few per cent
    grey = back @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    if float(np.percentile(apart, 99.5)) < max(FAINTEST, 2 * threshold):
        return None, grey
    mask = ndimage.binary_fill_holes(apart > threshold)
    marks, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(marks.ravel())
    areas[0] = 0
    if count == 0 or areas.max() < 0.002 * mask.size:
        return None, grey
    return (areas >= 0.02 * areas.max())[marks] & (marks > 0), grey


def _background(colour: np.ndarray) -> np.ndarray:
    """The background (h, w, 3): a plane through the border's colours, whatever crosses the border left out."""
    tall, wide = colour.shape[:2]
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) / max(tall, wide)
    terms = np.stack([np.ones_like(x), x, y], axis=2)
    width = max(1, min(tall, wide) // 40)
    points, values = _ring(terms, width), _ring(colour, width)
    off = np.abs(values - np.median(values, axis=0)).max(1)
    for _ in range(3):
        near = off <= max(2.0, 2.5 * float(np.median(off)))
        plane = np.linalg.lstsq(points[near], values[near], rcond=None)[0]
        off = np.abs(values - points @ plane).max(1)
    return (terms @ plane).clip(0, 255)


def _boxed(light: np.ndarray) -> np.ndarray:
    """A trimmed garment, light on 0, to Fashion-MNIST's framing: longest edge 28, centred, brightest 255."""
    scale = SIDE / max(light.shape)
    size = (max(1, round(light.shape[1] * scale)), max(1, round(light.shape[0] * scale)))
    small = np.asarray(Image.fromarray(light.astype(np.float32)).resize(size, Image.Resampling.LANCZOS)).clip(0)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    out = np.zeros((SIDE, SIDE), dtype=np.float32)
    out[top : top + size[1], left : left + size[0]] = small
    return np.rint(out * (255 / max(float(out.max()), 1e-6))).astype(np.uint8)
