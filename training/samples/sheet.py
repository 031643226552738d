"""The canvas on which a garment is drawn: cloth, outlines, details, and Fashion-MNIST's framing at
the end.

    from training.samples.sheet import Sheet, frame

    sheet = Sheet(np.random.default_rng(0), patterned=0.5)
    sheet.piece([(-0.3, 0), (0.3, 0), (0.3, 1), (-0.3, 1)])
    pixels = frame(sheet.paint)  # uint8 (28, 28)
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SIDE = 28
# pixels of one unit of the drawings' coordinates, unless a larger drawing is asked for
FINE = 4 * SIDE
GRAIN = 76  # the cloth's own pixels on a side
Points = list[tuple[float, float]]


def frame(large: Image.Image) -> np.ndarray:
    """Trimmed, longest edge 28, centred by its box: uint8 (28, 28). Raises ValueError where nothing
    is drawn."""
    drawn = large.getbbox()
    if drawn is None:
        raise ValueError("nothing is drawn")
    left, top, right, bottom = drawn
    scale = SIDE / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = large.resize(size, Image.Resampling.BOX, box=(left, top, right, bottom))
    out = Image.new("L", (SIDE, SIDE))
    out.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(out)


def mirror(points: Points) -> Points:
    """A half outline, from top to bottom, closed with its mirror image."""
    return points + [(-x, y) for x, y in reversed(points)]


def arc(left: float, right: float, top: float, height: float) -> Points:
    """Half an ellipse standing on y = top + height, in 13 points."""
    turn = np.linspace(np.pi, 0, 13)
    middle = (left + right) / 2
    half = (right - left) / 2
    return [(middle + half * np.cos(t), top + height * (1 - np.sin(t))) for t in turn]


class Sheet:
    """A canvas for one garment. Coordinates: x from the middle, y downwards from the top, 1 is the
    height."""

    def __init__(self, rng: np.random.Generator, patterned: float, fine: int = FINE) -> None:
        self.rng = rng
        self.fine = fine
        self.side = fine + fine // 3  # room for rotation and for what sticks out
        angle = np.deg2rad(rng.normal(0, 1.6))
        self.turn = fine * np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )
        self.level = float(rng.uniform(70, 130) if rng.random() < 0.3 else rng.uniform(130, 225))
        size = (self.side, self.side)
        self.cloth = Image.fromarray(self._cloth(patterned)).resize(size, Image.Resampling.BILINEAR)
        self.paint = Image.new("L", size)
        self.draw = ImageDraw.Draw(self.paint)

    def _cloth(self, patterned: float) -> np.ndarray:
        """Plain, striped, checked, dotted or printed cloth with folds and grain: uint8 (GRAIN,
        GRAIN)."""
        rng = self.rng
        across = np.linspace(0, 4 / 3, GRAIN, dtype=np.float32)
        down = across[:, None]
        folds = 0.07 * np.sin(
            across * rng.uniform(8, 20) + down * rng.uniform(-8, 8) + rng.uniform(0, 6)
        )
        shade = (
            1
            + folds
            + rng.uniform(-0.2, 0.2) * (across - 0.6)
            + rng.uniform(-0.25, 0.25) * (down - 0.6)
        )
        if rng.random() < patterned:
            rate = rng.uniform(30, 75)
            depth = rng.choice([-0.45, -0.3, 0.35])
            rows = np.sin(down * rate) > rng.uniform(-0.3, 0.6)
            columns = np.sin(across * rate) > 0.2
            print_ = (
                (down > 0.42) & (down < 0.62) & (np.abs(across - 0.68) < rng.uniform(0.07, 0.14))
            )
            weave = (rows, rows * 0.6 + columns * 0.6, rows & columns, print_, columns)
            shade = shade * (1 + depth * weave[rng.integers(len(weave))])
        grain = rng.standard_normal(shade.shape, dtype=np.float32) * 8
        return (self.level * shade + grain).clip(35, 255).astype(np.uint8)

    def _pixels(self, points: Points, rounded: int = 0) -> list[float]:
        spots = np.array(points)
        for _ in range(rounded):  # Chaikin's corner cutting
            after = np.roll(spots, -1, axis=0)
            spots = np.stack([0.75 * spots + 0.25 * after, 0.25 * spots + 0.75 * after], 1).reshape(
                -1, 2
            )
        spots[:, 1] -= 0.5
        return (spots @ self.turn + self.side / 2).ravel().tolist()

    def tone(self, shade: float) -> int:
        """A grey level `shade` times the cloth's, within what can be seen."""
        return int(min(max(self.level * shade, 30), 255))

    def piece(self, points: Points, rounded: int = 0, shade: float | None = None) -> None:
        """A filled outline, of the cloth, or plain with a shade."""
        if shade is not None:
            self.draw.polygon(self._pixels(points, rounded), fill=self.tone(shade))
            return
        mask = Image.new("L", self.paint.size)
        ImageDraw.Draw(mask).polygon(self._pixels(points, rounded), fill=255)
        self.paint.paste(self.cloth, mask=mask)

    def both(self, points: Points, rounded: int = 0, shade: float | None = None) -> None:
        """A piece and its mirror image."""
        self.piece(points, rounded, shade)
        self.piece([(-x, y) for x, y in points], rounded, shade)

    def line(self, points: Points, shade: float, width: float = 0.02) -> None:
        """A line through points; width in the same unit as the points."""
        thick = max(1, round(width * self.fine))
        self.draw.line(self._pixels(points), fill=self.tone(shade), width=thick, joint="curve")

    def hole(self, points: Points, rounded: int = 0) -> None:
        """An outline through which the background is seen."""
        self.draw.polygon(self._pixels(points, rounded), fill=0)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)
