"""Draw the six example inputs of the Digits & fashion tab into demos/examples/digits/.

    python -m demos.examples.make_digits

Nothing is downloaded and nothing is random: running it again writes the same pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from training.samples.garments import LABELS, draw_large

HERE = Path(__file__).parent / "digits"
Stroke = list[tuple[float, float]]
SEVEN: list[Stroke] = [[(0.22, 0.2), (0.5, 0.18), (0.78, 0.2)],
                       [(0.78, 0.2), (0.62, 0.5), (0.48, 0.86)]]  # fmt: skip
THREE: list[Stroke] = [[(0.27, 0.23), (0.5, 0.13), (0.7, 0.27), (0.6, 0.43), (0.44, 0.48)],
                       [(0.44, 0.48), (0.67, 0.54), (0.73, 0.72), (0.54, 0.87),
                        (0.26, 0.8)]]  # fmt: skip
FIVE: list[Stroke] = [[(0.7, 0.17), (0.5, 0.18), (0.33, 0.18)],
                      [(0.33, 0.18), (0.31, 0.3), (0.29, 0.44)],
                      [(0.29, 0.44), (0.5, 0.39), (0.7, 0.52), (0.68, 0.75), (0.48, 0.86),
                      (0.26, 0.8)],
                      ]  # fmt: skip


def main() -> None:
    """Write the six files and say how large they are."""
    HERE.mkdir(parents=True, exist_ok=True)
    seven = np.asarray(digit(SEVEN, 280, 0.075))
    Image.fromarray(255 - seven).save(HERE / "seven.png", optimize=True)
    on_paper(digit(THREE, 300, 0.03)).save(HERE / "three_on_paper.jpg", quality=82)
    chalk = np.asarray(digit(FIVE, 280, 0.06)) * 0.9 + 14
    Image.fromarray(chalk.astype(np.uint8)).save(HERE / "five_on_black.png", optimize=True)
    for name, label, seed, colour in (
        ("sneaker", "Sneaker", 7, (24, 58, 110)),
        ("dress", "Dress", 4, (120, 20, 48)),
        ("bag", "Bag", 7, (92, 52, 20)),
    ):
        product(LABELS.index(label), seed, colour).save(HERE / f"{name}.png", optimize=True)
    for path in sorted(HERE.iterdir()):
        print(f"{path.name:20} {path.stat().st_size / 1000:6.1f} kB")


def digit(strokes: list[Stroke], side: int, width: float) -> Image.Image:
    """Smooth strokes through points (units of the side), round at the ends: "L", white on black."""
    large = Image.new("L", (4 * side, 4 * side))
    draw = ImageDraw.Draw(large)
    radius = 2 * side * width
    for stroke in strokes:
        for x, y in smooth(stroke) * (4 * side):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return large.resize((side, side), Image.Resampling.BOX)


def smooth(stroke: Stroke, steps: int = 120) -> np.ndarray:
    """A Catmull-Rom curve through the points: (n, 2)."""
    points = np.array([stroke[0], *stroke, stroke[-1]])
    t = np.linspace(0, 1, steps)[:, None]
    pieces = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False)
    ]
    return np.concatenate(pieces)


def on_paper(ink: Image.Image) -> Image.Image:
    """Blue pen on ruled paper, with the light from one side, a soft shadow and a camera's noise."""
    rng = np.random.default_rng(0)
    tall = 380
    wide = 500
    page = np.full((tall, wide, 3), (243, 240, 230), dtype=np.float64)
    for top in range(30, tall, 44):
        page[top : top + 2] = (176, 200, 226)
    cover = np.zeros((tall, wide, 1))
    cover[36 : 36 + ink.height, 130 : 130 + ink.width, 0] = np.asarray(ink) / 255
    page = page * (1 - cover) + cover * np.array([38, 48, 112])
    y, x = np.mgrid[0 : 1 : tall * 1j, 0 : 1 : wide * 1j]
    shadow = Image.fromarray((255 * (x + 0.5 * y > 1.05)).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(14)
    )
    light = (1 - 0.22 * x - 0.1 * y) * (1 - 0.35 * np.asarray(shadow) / 255)
    noisy = page * light[..., None] + rng.normal(0, 3, (tall, wide, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def product(label: int, seed: int, colour: tuple[int, int, int]) -> Image.Image:
    """A garment as a shop shows it: in colour, on white, 224 pixels."""
    large = draw_large(label, np.random.default_rng(seed), fine=720)
    large = large.crop(large.getbbox())
    large.thumbnail((188, 188), Image.Resampling.LANCZOS)
    page = Image.new("L", (224, 224))
    page.paste(large, ((224 - large.width) // 2, (224 - large.height) // 2))
    return ImageOps.colorize(page, black=(255, 255, 255), white=colour)


if __name__ == "__main__":
    main()
