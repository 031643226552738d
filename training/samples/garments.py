"""Fashion-MNIST's ten classes, drawn: the sample data of the digits recipe where the Hub is not at
hand.

    from training.samples.garments import LABELS, garments

    pixels, labels = garments(per_class=200, seed=0)      # uint8 (2000, 28, 28), int64 (2000,)

Each drawing is an outline with its own proportions, cloth, print and details, drawn at four times
the size and reduced to Fashion-MNIST's framing (longest edge 28, centred, light on dark, shoes
pointing left). They are drawings, not photographs: a score on these says little about a score on
real clothes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from training.samples.sheet import FINE, SIDE, Sheet, arc, frame, mirror

LABELS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
Draw = Callable[..., float]  # rng.uniform


def garments(per_class: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`per_class` drawings of each class: uint8 (10 * per_class, 28, 28) and labels, int64, class
    by class.

    Each drawing depends on (seed, class, index) alone, so a longer set holds a shorter one's
    drawings.
    """
    pixels = [
        draw_garment(label, np.random.default_rng([seed, label, index]))
        for label in range(len(LABELS))
        for index in range(per_class)
    ]
    labels = np.repeat(np.arange(len(LABELS), dtype=np.int64), per_class)
    return np.array(pixels, dtype=np.uint8).reshape(-1, SIDE, SIDE), labels


def draw_garment(label: int, rng: np.random.Generator) -> np.ndarray:
    """One drawing of class `label` (0 to 9), uint8 (28, 28)."""
    return frame(draw_large(label, rng))


def draw_large(label: int, rng: np.random.Generator, fine: int = FINE) -> Image.Image:
    """One drawing of class `label`, `fine` pixels high: mode "L", light on black, not yet
    framed."""
    sheet = Sheet(rng, PATTERNED[label], fine)
    DRAW[label](sheet, rng.uniform)
    return sheet.paint


def _upper(
    sheet: Sheet, any_: Draw, sleeve: float, width: float, spread: float, neck: float = 0.1
) -> float:
    """Body and sleeves of what is worn above; returns the half width at the hem.

    `sleeve` is how far down the sleeves reach (0: none), `width` half the shoulders, `spread` how
    far the sleeves stand off, `neck` half the neck.
    """
    chest = width - any_(0.01, 0.05)
    deep = any_(0.03, 0.11)
    hem = chest + any_(-0.03, 0.03)
    if sleeve:
        out = width + spread
        cuff = any_(0.09, 0.13)
        elbow = (width + 0.75 * spread, 0.07 + 0.5 * sleeve)
        slant = 0.05 if sleeve < 0.5 else 0.02
        arm = [
            (neck + 0.03, 0.02),
            (width, 0.07),
            elbow,
            (out, sleeve),
            (out - cuff, sleeve + slant),
        ]
        sheet.both([*arm, (chest, 0.3)])
    half = [(neck, 0), (width, 0.07), (chest, 0.3), (chest - any_(0, 0.03), 0.6), (hem, 1)]
    sheet.piece([(0, deep), (neck * 0.7, deep * 0.75), *half, *[(-x, y) for x, y in reversed(half)],
                 (-neck * 0.7, deep * 0.75)])  # fmt: skip
    if sleeve:
        for side in (-1, 1):
            seam = [
                (side * width * 0.97, 0.1),
                (side * chest, 0.3),
                (side * hem, max(0.32, sleeve)),
            ]
            sheet.line(seam, 0.4, 0.014)
    return hem


def _t_shirt(sheet: Sheet, any_: Draw) -> None:
    sleeveless = sheet.chance(0.12)
    neck = any_(0.09, 0.15)
    width = any_(0.2, 0.26) if sleeveless else any_(0.27, 0.33)
    _upper(sheet, any_, 0 if sleeveless else any_(0.27, 0.38), width, any_(0.08, 0.15), neck)
    sheet.line(mirror([(neck, 0), (neck * 0.7, 0.07)]), 0.6, 0.02)


def _pullover(sheet: Sheet, any_: Draw) -> None:
    width = any_(0.29, 0.35)
    spread = any_(0.06, 0.14)
    sleeve = any_(0.82, 0.97)
    hem = _upper(sheet, any_, sleeve, width, spread)
    rib = any_(0.65, 0.85)
    sheet.line([(-hem, 0.96), (hem, 0.96)], rib, 0.05)
    cuff = width + spread
    end = [
        (cuff, sleeve - 0.06),
        (cuff, sleeve),
        (cuff - 0.11, sleeve + 0.02),
        (cuff - 0.11, sleeve - 0.04),
    ]
    sheet.both(end, shade=rib)
    if sheet.chance(0.35):  # a roll neck or hood
        sheet.piece(mirror([(0.09, -0.06), (0.12, 0.05), (0.05, 0.09)]), shade=rib)
    else:
        sheet.line([(-0.1, 0.01), (-0.06, 0.08), (0, 0.1), (0.06, 0.08), (0.1, 0.01)], rib, 0.035)


def _coat(sheet: Sheet, any_: Draw) -> None:
    width = any_(0.29, 0.36)
    spread = any_(0.07, 0.15)
    sleeve = any_(0.8, 1.02)
    hem = _upper(sheet, any_, sleeve, width, spread)
    shift = any_(-0.03, 0.03)
    sheet.line([(shift, 0.1), (shift, 1)], 0.25, any_(0.015, 0.03))
    if sheet.chance(0.75):  # lapels, or a hood
        drop = any_(0.2, 0.4)
        sheet.both(
            [(0.1, -0.02), (0.15, 0.08), (0.02 + shift, drop), (0.02, 0.12)], shade=any_(0.65, 0.8)
        )
        sheet.piece([(-0.05, 0), (0.05, 0), (shift, drop * 0.6)], shade=0.35)
    else:
        sheet.piece(mirror([(0.09, -0.09), (0.14, 0.03), (0.06, 0.1)]), 2, shade=0.75)
    for y in np.arange(0.4, 0.9, any_(0.12, 0.2)):
        sheet.line([(shift + 0.05, y), (shift + 0.075, y)], 1.5, 0.025)
    pocket = any_(0.6, 0.7)
    for side in (-1, 1):
        sheet.line([(side * 0.09, pocket), (side * (hem - 0.05), pocket + 0.03)], 0.45, 0.018)
    if sheet.chance(0.3):
        sheet.line([(-hem, 0.52), (hem, 0.52)], 0.5, 0.03)


def _shirt(sheet: Sheet, any_: Draw) -> None:
    long = sheet.chance(0.6)
    width = any_(0.24, 0.3)
    _upper(
        sheet, any_, any_(0.75, 0.95) if long else any_(0.3, 0.42), width, any_(0.05, 0.11), 0.09
    )
    sheet.line([(0, 0.1), (0, 0.99)], any_(1.2, 1.35), 0.035)
    for y in np.arange(0.16, 0.95, 0.115):
        sheet.line([(-0.005, y), (0.012, y)], 0.25, 0.022)
    sheet.piece([(-0.07, -0.01), (0.07, -0.01), (0, 0.1)], shade=0.35)
    sheet.both([(0.07, -0.03), (0.12, 0.04), (0.055, 0.13), (0, 0.08)], shade=any_(1.15, 1.4))
    if sheet.chance(0.5):
        sheet.line([(0.08, 0.3), (0.18, 0.3), (0.18, 0.42), (0.08, 0.42), (0.08, 0.3)], 0.65, 0.014)


def _dress(sheet: Sheet, any_: Draw) -> None:
    chest = any_(0.12, 0.18)
    waist = any_(0.09, 0.14)
    hem = any_(0.13, 0.32)
    neck = any_(0.06, 0.1)
    at = any_(0.33, 0.45)
    if sheet.chance(0.35):
        reach = any_(0.2, 0.6)
        sheet.both([(neck, 0.01), (chest + 0.02, 0.06), (chest + 0.1, reach),
            (chest + 0.03, reach + 0.02),
                    (chest, 0.22)])  # fmt: skip
    hip = (waist + 0.55 * (hem - waist) + any_(0, 0.03), at + 0.3)
    half = [
        (neck, 0),
        (chest - 0.02, 0.04),
        (chest - 0.02, 0.14),
        (chest, 0.2),
        (waist, at),
        hip,
        (hem, 1),
    ]
    sheet.piece(mirror(half), sheet.chance(0.5))
    sheet.hole(mirror([(neck * 0.8, -0.01), (neck * 0.5, any_(0.06, 0.12))]))
    if sheet.chance(0.5):
        sheet.line([(-waist, at), (waist, at)], 0.5, 0.03)
    for x in np.linspace(-0.6, 0.6, 4):
        sheet.line([(x * waist, at + 0.06), (x * hem, 0.98)], 0.8, 0.012)


def _trouser(sheet: Sheet, any_: Draw) -> None:
    waist = any_(0.12, 0.17)
    hip = any_(0.15, 0.2)
    crotch = any_(0.28, 0.36)
    outer = any_(0.13, 0.21)
    inner = any_(0.015, 0.06)
    if outer - inner < 0.09:
        outer = inner + 0.1
    knee = any_(0.13, 0.18)
    sheet.piece(
        mirror([(waist, 0), (hip, 0.22), (knee, 0.55), (outer, 1), (inner, 1), (0.006, crotch)])
    )
    sheet.line([(-waist, 0.02), (waist, 0.02)], any_(0.55, 1.3), 0.035)
    sheet.line([(0, 0.03), (0, crotch)], 0.45, 0.014)
    for side in (-1, 1):
        sheet.line([(side * waist * 0.6, 0.05), (side * waist * 1.05, 0.14)], 0.55, 0.012)
        if sheet.chance(0.5):
            sheet.line([(side * 0.08, crotch), (side * (outer + inner) / 2, 0.98)], 1.2, 0.014)


def _sneaker(sheet: Sheet, any_: Draw) -> None:
    high = any_(0.32, 0.48)
    toe = any_(0.13, 0.2)
    thick = any_(0.05, 0.08)
    ankle = any_(0.02, 0.1)
    sheet.piece([(-0.49, high), (-0.48, high - toe), (-0.3, high - toe - 0.03),
        (-0.05, ankle + 0.05),
                 (0.1, ankle), (0.2, 0.1), (0.34, 0.08), (0.46, 0), (0.48, high * 0.5),
                 (0.49, high)],
                1)  # fmt: skip
    sheet.piece([(-0.5, high - thick), (0.5, high - thick), (0.49, high + 0.02),
        (-0.48, high + 0.02)],
                shade=any_(1.2, 1.6) if sheet.chance(0.75) else 0.4)  # fmt: skip
    for t in np.linspace(0, 1, 4):
        x = -0.24 + 0.26 * t
        y = high - toe - 0.01 + (ankle + 0.09 - high + toe) * t
        sheet.line([(x, y), (x + 0.06, y + 0.05)], 1.5, 0.02)
    for x in np.arange(0.05, 0.05 + 0.07 * sheet.rng.integers(1, 4), 0.07):
        sheet.line([(x, high - thick), (x + 0.08, 0.14)], any_(0.3, 0.5), 0.025)
    sheet.line([(-0.3, high - thick), (-0.33, high - toe - 0.01)], 0.55, 0.018)


def _boot(sheet: Sheet, any_: Draw) -> None:
    high = any_(0.68, 0.92)
    toe = any_(0.16, 0.24)
    shaft = any_(-0.06, 0.06)
    heel = any_(0.04, 0.2)
    sole = 0.05
    ground = high - heel
    sheet.piece([(-0.49, high - sole), (-0.48, high - toe), (-0.28, high - toe - 0.08),
        (shaft, ground - 0.3),
                 (shaft, 0), (0.46, any_(0, 0.04)), (0.45, ground - 0.25), (0.49, ground),
                 (0.15, ground),
                 (-0.12, high - sole)], 1)  # fmt: skip
    inner = 0.27 + any_(0, 0.1)
    sheet.piece(
        [(0.22, ground - 0.04), (0.49, ground - 0.04), (0.47, high), (inner, high)], shade=0.5
    )
    sheet.line(
        [(-0.49, high - 0.02), (-0.14, high - 0.02), (0.15, ground), (0.47, ground)], 0.5, sole
    )
    if sheet.chance(0.5):
        for y in np.arange(0.1, ground - 0.3, 0.09):
            sheet.line([(shaft + 0.01, y), (shaft + 0.13, y + 0.03)], 1.45, 0.02)
    else:
        sheet.line([(0.26, 0.03), (0.22, ground - 0.1)], 0.4, any_(0.02, 0.08))
    sheet.line([(shaft, 0.02), (0.45, 0.02)], any_(0.5, 1.4), 0.04)


def _sandal(sheet: Sheet, any_: Draw) -> None:
    rise = any_(0.12, 0.5) if sheet.chance(0.6) else any_(0.0, 0.06)
    low = 0.24 + rise
    sole = [(-0.5, low), (-0.2, low), (0.12, low - 0.6 * rise), (0.46, low - rise)]
    wedge = rise > 0.06 and sheet.chance(0.4)
    if wedge:
        sheet.piece([*sole, (0.47, low + 0.03), (-0.48, low + 0.04)], shade=any_(0.6, 1.0))
    elif rise > 0.06:
        thin = any_(0.03, 0.08)
        ground = low + 0.03
        top = low - rise
        sheet.piece([(0.47 - 2 * thin, top), (0.48, top), (0.46, ground), (0.46 - thin, ground)])
    sheet.line(sole, any_(0.7, 1.2), any_(0.04, 0.07))
    feet = sheet.rng.uniform(-0.42, -0.02, int(sheet.rng.integers(1, 4)))
    for foot in sorted(feet.tolist()):
        top = low - any_(0.12, 0.2)
        strap = [
            (foot, low),
            (foot + 0.05, top),
            (foot + 0.16, top),
            (foot + 0.2, low - 0.1 * rise),
        ]
        sheet.line(strap, 1.15, 0.035)
    back = low - rise
    sheet.line([(0.44, back), (0.45, back - 0.2)], 1.1, 0.05)
    front = back - any_(0.13, 0.22)
    sheet.line([(0.45, back - 0.19), (0.3, back - 0.17), (0.16, front)], 1.1, any_(0.03, 0.05))
    sheet.line([(0.17, back - 0.17), (any_(0.05, 0.2), back + 0.25 * rise)], 0.95, 0.03)


def _bag(sheet: Sheet, any_: Draw) -> None:
    width = any_(0.38, 0.5)
    top = any_(0.2, 0.48)
    bottom = any_(0.8, 1.0)
    mouth = width * any_(0.75, 1.0)
    grip = mouth * any_(0.4, 0.95)
    thick = any_(0.025, 0.05)
    if sheet.chance(0.85):
        handle = arc(-grip, grip, any_(0.0, top - 0.12), top - 0.02)
        sheet.line([*handle, (grip, top + 0.1)], any_(0.6, 1.1), thick)
    body = mirror([(mouth, top), (width, bottom - 0.06), (width - 0.04, bottom)])
    sheet.piece(body, sheet.chance(0.5))
    if sheet.chance(0.45):
        flap = top + any_(0.15, 0.3)
        edge = mirror([(mouth, top), (mouth, flap - 0.06), (mouth - 0.1, flap)])
        sheet.piece(edge, shade=any_(0.7, 1.25))
        sheet.piece(mirror([(0.04, flap - 0.04), (0.04, flap + 0.04)]), shade=1.6)
    else:
        rim = mouth - 0.05
        sheet.line([(-rim, top + 0.04), (rim, top + 0.04)], any_(0.45, 0.7), 0.03)
        if sheet.chance(0.5):
            y = any_(top + 0.2, bottom - 0.12)
            sheet.line(mirror([(width * 0.6, y), (width * 0.6, bottom - 0.07)]), 0.6, 0.018)


DRAW = (_t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _boot)
# share of each class's drawings with a pattern
PATTERNED = (0.45, 0.1, 0.35, 0.3, 0.12, 0.0, 0.6, 0.15, 0.25, 0.1)
