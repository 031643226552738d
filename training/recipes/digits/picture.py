"""Any picture of a digit or a garment to the 28 × 28 grey picture that the model was trained on.

    from training.recipes.digits.picture import to_28x28

    pixels = to_28x28(load_picture("seven.jpg"), "digit")      # uint8 (28, 28), light on dark

The one preprocessing function for training on own folders and for serving, so the two cannot
differ. A picture that already is 28 × 28, grey, on a plain border passes unchanged (negated if it
is dark on light).

"digit" follows MNIST: ink fitted in 20 × 20, centred by its centre of mass. "garment" follows
Fashion-MNIST (Xiao et al. 2017, section 2): background trimmed, longest edge 28, centred by its
box, negated. It finds one thing: of several digits in a picture it makes one crowded picture.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from training.media.pictures import PictureError, flatten
from training.recipes.digits.config import Framing
from training.recipes.digits.ground import (
    FAINTEST,
    find_garment,
    find_ink,
    mark_parts,
    opacity,
    reduce,
    ring,
)

SIDE = 28
# long side in pixels at which ink is looked for: a thin pen line on a big photo is still seen
WORK = 400
FINE = 160  # long side of the digit when its strokes are measured; 8 times the 20 that it will have
# stroke width in pixels of 28; most of MNIST's own digits have 1.7 to 4.2, by _width
THIN = 2.0
THICK = 4.2
SEEN = 0.3  # of full ink: what counts as part of the drawing


WANTED = {
    "digit": "one digit alone, large and dark on plain light paper",
    "garment": "one garment alone on a plain background",
}


class EmptyPicture(PictureError):
    """Nothing is drawn in the picture, or nothing in it can be told from the rest. The text is a
    sentence for the person."""

    def __init__(self, picture: Image.Image, framing: Framing) -> None:
        if _is_blank(picture):
            text = f"There is nothing drawn yet: draw or upload {WANTED[framing]}, and try again."
        else:
            text = (
                f"No {framing} stands out in this picture. Show {WANTED[framing]}, in even light, "
                "and try again."
            )
        super().__init__(text)


def to_28x28(picture: Image.Image, framing: Framing) -> np.ndarray:
    """The picture as uint8 (28, 28), light on dark, framed as MNIST ("digit") or Fashion-MNIST
    ("garment").

    Raises EmptyPicture where there is nothing but background, or no telling what is it.
    """
    if framing not in ("digit", "garment"):
        raise ValueError(f"framing must be 'digit' or 'garment', not {framing!r}")
    ready = _pixels_if_framed(picture, framing)
    if ready is not None:
        return ready
    if min(picture.size) < 2:
        raise EmptyPicture(picture, framing)
    pixels = _digit(picture) if framing == "digit" else _garment(picture)
    if pixels is None:
        raise EmptyPicture(picture, framing)
    return pixels


def _is_blank(picture: Image.Image) -> bool:
    """Whether nearly all of it is of exactly one grey, or transparent."""
    alpha = opacity(picture)
    if alpha is not None and alpha.max() < 0.04:
        return True
    grey = np.asarray(flatten(picture).convert("L"))
    return float(np.mean(grey == np.median(grey))) > 0.995


def _pixels_if_framed(picture: Image.Image, framing: Framing) -> np.ndarray | None:
    """The pixels of a 28 × 28 grey picture on a plain black or white border, as they are; else
    None."""
    if picture.size != (SIDE, SIDE) or opacity(picture) is not None:
        return None
    rgb = np.asarray(picture.convert("RGB"))
    grey = rgb[..., 0]
    if (rgb != grey[..., None]).any() or int(grey.max()) - int(grey.min()) < FAINTEST:
        return None
    border = ring(grey, 1)
    dark = np.mean(border <= 4)
    light = np.mean(border >= 251)
    # A garment may fill the border, with no black left in it; a plain grey border is a photo's
    # background.
    filled = framing == "garment" and np.ptp(np.percentile(border, (20, 80))) > 8
    if max(dark, light) < 0.25 and not filled:
        return None
    return grey.copy() if dark >= light else 255 - grey


def _scale(values: np.ndarray, longest: int, filter_: Image.Resampling) -> np.ndarray:
    """(h, w) resized to a long side of `longest`; the short side is padded to whole pixels."""
    unit = max(values.shape) / longest
    tall, wide = (max(1, int(np.ceil(side / unit - 0.3))) for side in values.shape)
    spare = int(np.ceil(unit)) + 1
    padded = np.pad(values, spare).astype(np.float32)
    top = spare + (values.shape[0] - tall * unit) / 2
    left = spare + (values.shape[1] - wide * unit) / 2
    box = (left, top, left + wide * unit, top + tall * unit)
    return np.asarray(Image.fromarray(padded).resize((wide, tall), filter_, box=box)).clip(0)


def _digit(picture: Image.Image) -> np.ndarray | None:
    """A digit in MNIST's framing; None where there is no ink."""
    ink = find_ink(reduce(picture, WORK))
    ink = _remove_specks(ink) if ink is not None else None
    return None if ink is None else frame_digit(_even_out_strokes(_enlarge(ink)))


def _remove_specks(ink: np.ndarray) -> np.ndarray | None:
    """The ink cropped to the digit: specks, and lines that run out of the picture, left out."""
    marks, count = mark_parts(ink > SEEN, corners=True)
    if count == 0:
        return None
    boxes = ndimage.find_objects(marks)
    areas = np.bincount(marks.ravel())[1:].astype(float)
    largest = areas.max()
    (tall, wide) = ink.shape
    for index, (rows, columns) in enumerate(boxes):
        edges = (
            (rows.start == 0) + (columns.start == 0) + (rows.stop == tall) + (columns.stop == wide)
        )
        if edges > 1 or (edges and areas[index] < largest):
            areas[index] *= 0.25  # more likely the edge of the sheet, or a ruled line
    spans = np.array([max(r.stop - r.start, c.stop - c.start) for r, c in boxes])
    main = int(np.argmax(areas))
    if min(ink.shape) > 28 and spans[main] < 0.03 * max(ink.shape):
        return None
    keep = (areas >= 0.04 * areas[main]) & (spans >= 0.12 * spans[main])
    kept = [box for box, good in zip(boxes, keep, strict=True) if good]
    top, left = (min(box[axis].start for box in kept) for axis in (0, 1))
    bottom, right = (max(box[axis].stop for box in kept) for axis in (0, 1))
    crop = (slice(max(0, top - 2), bottom + 2), slice(max(0, left - 2), right + 2))
    dropped = np.r_[False, ~keep][marks[crop]]
    if dropped.any():
        dropped = ndimage.binary_dilation(dropped, iterations=2) & ~np.r_[False, keep][marks[crop]]
    return _trim(np.where(dropped, 0, ink[crop]))


def _trim(ink: np.ndarray) -> np.ndarray:
    """The smallest box that holds all ink of some strength."""
    seen = ink > SEEN * ink.max()
    rows = np.flatnonzero(seen.any(1))
    columns = np.flatnonzero(seen.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _enlarge(ink: np.ndarray) -> np.ndarray:
    """The same ink with a long side of FINE pixels; thin lines are widened first so that none
    fades."""
    long = max(ink.shape)
    factor = long // FINE
    if factor >= 2 and _width(ink) < 2 * factor:
        ink = ndimage.maximum_filter(ink, factor)
    scale = FINE / long
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    large = Image.fromarray(ink.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(large).clip(0, 1)


def _width(ink: np.ndarray) -> float:
    """Mean stroke width in pixels: twice the area over the length of the outline."""
    down, across = np.gradient(np.pad(ink, 2))
    return float(2 * ink.sum() / max(np.hypot(down, across).sum(), 1e-6))


def _even_out_strokes(ink: np.ndarray) -> np.ndarray:
    """Strokes brought to between THIN and THICK, measured where the long side becomes 20 pixels."""
    width = _width(ink)
    unit = FINE / 20
    wanted = float(np.clip(width, THIN * unit, THICK * unit))
    if abs(wanted - width) < 0.1 * unit:
        return ink
    # The box grows with the strokes and is then fitted to 20 again: solved for the growth r on each
    # side.
    share = wanted / FINE
    grow = (share * FINE - width) / (2 - 2 * share)
    if grow > 0:
        ink = np.pad(ink, int(np.ceil(grow)) + 1)
        far = np.asarray(ndimage.distance_transform_edt(ink < 0.5))
        return np.maximum(ink, np.clip(grow + 0.5 - far, 0, 1))
    deep = np.asarray(ndimage.distance_transform_edt(np.pad(ink, 1) >= 0.5))[1:-1, 1:-1]
    grow = max(grow, -0.6 * float(deep.max()))  # never to nothing
    return np.clip(deep + grow + 0.5, 0, 1)


def frame_digit(ink: np.ndarray) -> np.ndarray:
    """Ink (h, w) from 0 to 1 to MNIST's framing: long side 20, centre of mass in the middle, peak
    255."""
    ink = _trim(ink)
    small = _scale(ink, 20, Image.Resampling.HAMMING)
    small = small / max(float(small.max()), 1e-6)
    # Whole pixels, as MNIST did; and never so far that ink leaves the picture.
    top, left = (
        int(np.clip(round(SIDE / 2 - float(middle)), 0, SIDE - side))
        for middle, side in zip(ndimage.center_of_mass(small), small.shape, strict=True)
    )
    out = np.zeros((SIDE, SIDE), dtype=np.uint8)
    out[top : top + small.shape[0], left : left + small.shape[1]] = np.rint(small * 255)
    return out


def _garment(picture: Image.Image) -> np.ndarray | None:
    """A garment in Fashion-MNIST's framing: long side 28, centred by its box, peak 255; None if
    none."""
    light = find_garment(reduce(picture, 8 * SIDE))
    if light is None:
        return None
    seen = light > 0.12 * light.max()  # the blurred rim that enlarging adds is not part of the box
    rows = np.flatnonzero(seen.any(1))
    columns = np.flatnonzero(seen.any(0))
    box = light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # A little sharper, as Fashion-MNIST's are, but with no bright rim.
    small = _scale(box, SIDE, Image.Resampling.LANCZOS)
    small = np.minimum(small, box.max())
    top, left = ((SIDE - side + 1) // 2 for side in small.shape)
    out = np.zeros((SIDE, SIDE), dtype=np.float32)
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.rint(out * (255 / float(out.max()))).astype(np.uint8)
