"""Eight of Food-101's dishes, drawn: a sample set of small colour pictures where there is no
network.

    from training.samples.dishes import CLASSES, dishes

    pixels, labels = dishes(480, seed=0)      # uint8 (480, 64, 64, 3), int64 (480,)

A dish is painted as flat outlines, three times as large, while a second picture keeps how high each
stands; light over those heights gives roundness and shadows. Points are complex numbers, y
downwards. They are drawings, not photographs: a score on these says little about a score on real
food.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
CLASSES = [
    "donuts",
    "french_fries",
    "hamburger",
    "hot_dog",
    "ice_cream",
    "macarons",
    "pizza",
    "sushi",
]
LARGE = 3 * SIDE
FINE = 4  # grey levels to a pixel of height: the tallest dish then stays below 256
# Tables and plates are shared by all classes, so that the background says little about the dish.
TABLES = (
    "7a5233 b98a5a d9bd94 4a3a33 8fa3ad 3f5f6b e3ded3 b8b4ac 6f8a63 9c4a3e d9a441 35353b c7d3d6"
).split()
PLATES = "f4f1ea ffffff dfe6ea e8dcc4 3d4148 8fb0bd c98f6b 7d8c77".split()
CREAMS = "f6e7c1 f2a9b8 6b4228 b7dcb4 f3d27a c9a5d8 d98c5f e0526a 8cc5dd".split()
TURN = 2 * np.pi
ROUND = np.exp(1j * np.linspace(0, TURN, 32, endpoint=False))


def dishes(count: int = 480, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures, uint8 (count, 64, 64, 3), and labels into CLASSES, int64 (count,), in turn.

    Picture i depends on (seed, i) alone, so a longer set begins with a shorter one's pictures.
    """
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    pictures = [
        Table(np.random.default_rng([seed, i]), int(label)).render()
        for i, label in enumerate(labels)
    ]
    return np.array(pictures, dtype=np.uint8).reshape(-1, SIDE, SIDE, 3), labels


def oval(
    at: complex, wide: float, high: float = 0, turn: float = 0, power: float = 2
) -> np.ndarray:
    """A circle, an ellipse (with `high`) or a box with round corners (power 6) about a point:
    complex (32,)."""
    axes = (np.real(ROUND), np.imag(ROUND))
    x, y = (np.sign(part) * np.abs(part) ** (2 / power) for part in axes)
    return (x * wide + 1j * y * (high or wide)) * np.exp(1j * turn) + at


class Table:
    """A table laid with one dish. Points are measured from the middle of the dish; its plate has
    the radius 1."""

    def __init__(self, rng: np.random.Generator, label: int) -> None:
        draw, upright, low = DRAW[label]
        self.rng = rng
        self.any = rng.uniform
        self.upright = rng.random() < upright
        self.scale = rng.uniform(0.64, 1.04)
        self.unit = self.scale * LARGE / 2
        room = 0.05 + 0.5 * max(0, 1 - self.scale)
        self.turn = self.unit * np.exp(
            1j * (rng.normal(0, 0.07) if self.upright else self.any(0, TURN))
        )
        self.middle = complex(*(1 + self.any(-room, room, 2)) * LARGE / 2)
        self.paint = self._cloth()
        # heights, and what is on them
        self.body = Image.new("L", self.paint.size)
        self.trim = Image.new("L", self.paint.size)
        self.draw = ImageDraw.Draw(self.paint)
        self.raise_ = ImageDraw.Draw(self.body)
        self.stud = ImageDraw.Draw(self.trim)
        self._plate(low * 1j if self.upright else 0j)
        draw(self)

    def tint(self, *colours: str) -> tuple[int, ...]:
        """A colour near one of those given, six hexadecimal digits each."""
        which, shade, *shift = self.rng.random(5).tolist()
        parts = zip(bytes.fromhex(colours[int(which * len(colours))]), shift, strict=True)
        return tuple(
            [
                min(max(int(part * (0.9 + 0.18 * shade) + 24 * near - 12), 0), 255)
                for part, near in parts
            ]
        )

    def _cloth(self) -> Image.Image:
        """Plain, of boards or checked, and with a wall behind it if seen from the side."""
        across = np.arange(LARGE)
        wide = self.any(14, 44)
        boards = (
            self.any(0, 80, 16)[(across / wide).astype(int)]
            + self.any(0, 30, LARGE)
            + 90 * (across % wide < 3)
        )
        checks = self.any(20, 90) * (across % wide < wide / 2)
        plain = 0.0 * across
        row, column = ((plain, plain), (boards, plain), (plain, boards), (checks, checks))[
            self.rng.integers(4)
        ]
        first, second = (Image.new("RGB", (LARGE, LARGE), self.tint(*TABLES)) for _ in range(2))
        cloth = Image.composite(
            first, second, Image.fromarray((row + column[:, None]).astype(np.uint8))
        )
        if self.upright:
            cloth.paste(
                self.tint(*TABLES),
                (0, 0, LARGE, int(self.middle.imag + self.any(0.1, 0.45) * self.unit)),
            )
        return cloth

    def _plate(self, at: complex) -> None:
        """A round, oval or square plate, a board, or none."""
        kind = int(self.rng.integers(6))
        colour = self.tint(*PLATES)
        rim = self.any(0.72, 0.86)
        shape = ((1, 2), (1, 2), (0.85, 2), (0.9, 5), (0.8, 7), (1, 2))[kind]
        high, power = (0.22, min(shape[1], 3)) if self.upright else shape
        for size, up in ((1, 6), (rim, 3))[: (kind < 5) + (kind < 4)]:
            self.piece(oval(at, size, size * high, 0, power), colour, up)

    def flat(self, outline: np.ndarray | list[complex]) -> list[float]:
        """The outline's points in pixels: x, y, x, y and so on."""
        return (np.asarray(outline) * self.turn + self.middle).view(float).tolist()

    def piece(
        self, outline: np.ndarray, colour: tuple, up: float, dome: float = 0, hole: float = 0
    ) -> None:
        """A filled outline whose edge stands `up` high; its middle, or the ring about its hole,
        `dome` more."""
        self.patch(outline, colour, 0, hole)
        steps = max(1, int(dome * self.scale / 4))
        middle = (1 + hole) / 2 if hole else 0
        centre = outline.mean()
        rise = np.arange(steps) / steps
        sizes = middle + (1 - middle) * np.sqrt(1 - rise**2)  # equal steps up a ball
        if hole:
            sizes = np.append(sizes, 2 * middle - sizes[::-1])
            rise = np.append(rise, rise[::-1])
        for size, high in zip(
            sizes.tolist(), ((up + dome * rise) * self.scale).tolist(), strict=True
        ):
            self.raise_.polygon(
                self.flat((outline - centre) * size + centre), fill=int(FINE * high)
            )

    def patch(self, outline: np.ndarray, colour: tuple, thick: float = 2, hole: float = 0) -> None:
        """A filled outline that follows what it lies on, perhaps with a hole, given as a share of
        its size."""
        if hole:
            inner = (outline - outline.mean()) * hole + outline.mean()
            outline = np.concatenate([outline, outline[:1], inner[:1], inner[::-1]])
        self.draw.polygon(self.flat(outline), fill=colour)
        self.stud.polygon(self.flat(outline), fill=round(FINE * thick * self.scale))

    def line(
        self,
        points: np.ndarray | list[complex],
        colour: tuple,
        width: float = 0.05,
        thick: float = 2,
    ) -> None:
        """A line, `width` wide, which follows what it lies on."""
        for draw, fill in ((self.draw, colour), (self.stud, round(FINE * thick * self.scale))):
            draw.line(
                self.flat(points), fill=fill, width=max(1, round(width * self.unit)), joint="curve"
            )

    def bits(self, at: complex, near: float, far: float) -> None:
        """Sprinkles about a point."""
        for spot in at + self.any(near, far, 24) * np.exp(1j * self.any(0, TURN, 24)):
            self.line(
                [spot, spot + 0.07 * np.exp(1j * self.any(0, TURN))], self.tint(*CREAMS), 0.045
            )

    def uneven(self, outline: np.ndarray, amount: float) -> np.ndarray:
        """The outline, complex (32,), with random bumps around it."""
        bumps = (
            ROUND ** np.arange(2, 9)[:, None] * np.exp(1j * self.any(0, TURN, (7, 1)))
        ).real.sum(0)
        return (outline - outline.mean()) * (1 + amount * bumps) + outline.mean()

    def render(self) -> np.ndarray:
        """The picture lit from above, reduced, a little blurred and grainy: uint8 (64, 64, 3)."""
        body = np.asarray(self.body.filter(ImageFilter.GaussianBlur(2.4)))
        trim = np.asarray(self.trim.filter(ImageFilter.BoxBlur(1)))
        height = np.add(body, trim, dtype=np.float32) / FINE
        angle = self.any(-2.7, -0.4)
        strong = self.any(0.5, 0.85)
        x = float(np.cos(angle))
        y = float(np.sin(angle))
        (down, across) = np.gradient(height)
        light = ((1 - strong * (x * across + y * down)) / np.sqrt(1 + across**2 + down**2)).clip(
            0.45, 1.3
        )
        shadow = np.zeros_like(height)
        padded = np.pad(height, 12, "edge")
        for reach in (3, 7, 12):
            top = 12 + round(reach * y)
            left = 12 + round(reach * x)
            shadow += (padded[top : top + LARGE, left : left + LARGE] - height - 0.6 * reach).clip(
                0, 8
            )
        ramp = np.linspace(-1, 1, SIDE) * self.any(0.05, 0.22)
        small = Image.fromarray(light * (1 - 0.025 * shadow.clip(0, 18))).reduce(3)
        light = np.asarray(small) * (1 + x * ramp + y * ramp[:, None])
        shine = (light - 1.15).clip(0, 0.3) * self.any(50, 200)
        cast = self.any(0.95, 1.05, 3) * self.any(0.95, 1.15)
        lit = (
            (np.asarray(self.paint.reduce(3)) * (light[..., None] * cast) + shine[..., None])
            .clip(0, 255)
            .astype(np.uint8)
        )
        blurred = Image.fromarray(lit).filter(ImageFilter.GaussianBlur(self.any(0, 0.5)))
        grain = self.rng.standard_normal(lit.shape, np.float32) * self.any(1, 4)
        return (np.asarray(blurred) + grain).clip(0, 255).astype(np.uint8)


def _places(table: Table, count: int) -> list[tuple[complex, float]]:
    """The middle and the radius of one to six round things on a plate."""
    reach, radius = (
        (0, 0.74),
        (0.43, 0.42),
        (0.48, 0.41),
        (0.55, 0.38),
        (0.58, 0.34),
        (0.62, 0.3),
    )[count - 1]
    spots = reach * np.exp(1j * (table.any(0, TURN) + np.arange(count) * TURN / count))
    return [(at, radius * table.any(0.9, 1.03)) for at in spots]


def _donuts(table: Table) -> None:
    for at, radius in _places(table, int(table.rng.integers(1, 5))):
        hole = table.any(0.28, 0.38)
        style = table.any()
        table.piece(oval(at, radius), table.tint("cf8f4a"), 4, 34 * radius + 12, hole)
        table.patch(
            table.uneven(oval(at, radius * 0.92), 0.012),
            table.tint(*CREAMS),
            2,
            (hole + 0.07) / 0.92,
        )
        if style < 0.5:
            table.bits(at, radius * (hole + 0.16), radius * 0.8)
        elif style < 0.8:
            zag = np.exp(1j * np.linspace(0, TURN, 27)) * np.where(
                np.arange(27) % 2, 0.82, hole + 0.16
            )
            table.line(at + radius * zag, table.tint(*CREAMS), 0.09 * radius)


def _french_fries(table: Table) -> None:
    wide = table.any(0.46, 0.6)
    foot = table.any(0.34, 0.42)
    top = table.any(0, 0.15)
    bend = np.linspace(-1, 1, 13)
    colour, mark = (
        table.tint("c8322b", "f3efe6", "d9a441", "2f6f8f", "c9a77c", "3d4148") for _ in range(2)
    )
    spots = np.linspace(0.6, 0, 34) * np.exp(1j * table.any(0, TURN, 34))
    turns = table.any(0, TURN, 34)
    back = bend * wide + 1j * (top - 0.2)
    feet = [foot + 0.87j, -foot + 0.87j]
    if table.upright:
        table.piece(np.append(back, feet), colour, 8)
        x = table.rng.permutation(np.linspace(0.1 - wide, wide - 0.1, 17))
        spots = 1.08 * x + 1j * (top - table.any(0.06, 0.4, 17))
        turns = TURN / 4 + table.rng.normal(0.4 * x, 0.1)
    for at, turn in zip(spots, turns, strict=True):
        stick = oval(at, 0.5 if table.upright else table.any(0.25, 0.42), 0.065, turn, 6)
        table.piece(stick, table.tint("f2c14e", "e8ac3c", "f6d06f", "d9962f"), table.any(10, 22), 5)
    if not table.upright:  # a heap of them, and a dip
        table.piece(oval(0.5 + 0.5j, 0.27), table.tint(*PLATES), 26)
        return table.piece(oval(0.5 + 0.5j, 0.21), table.tint("b3201c", "f3efe6", "e0b02f"), 18, 6)
    table.piece(np.append(back + 0.08j + 0.2j * (1 - bend**2), feet), colour, 26)
    for x in (-0.6, 0, 0.6) if table.any() < 0.7 else ():
        table.line([x * wide * 0.88 + 1j * (top + 0.2), x * foot + 0.82j], mark, 0.09, 1)


def _hamburger(table: Table) -> None:
    bun = table.tint("d08a42", "dd9f58", "bd7836")
    wide = table.any(0.68, 0.82)
    bow = table.any(0.03, 0.14)
    y = 0.28
    meat, cheese, *salad = (("5f3621", 0.13, 1.03, 0), ("f4b62e", 0.06, 1.06, 0.05),
                            ("6fae3c", 0.09, 1.14, 0.05),
                            ("cf3a2a", 0.08, 0.98, 0), ("efe4ee", 0.06, 0.94, 0))  # fmt: skip
    rest = [salad[kind] for kind in table.rng.permutation(3)[: table.rng.integers(1, 4)]]
    table.piece(oval(0.46j, wide * 0.95, 0.17, 0, 3.5), bun, 18, 14)
    for colour, high, over, wave in [meat, cheese] * table.rng.choice([1, 1, 2]) + rest:
        edge = oval(1j * y, wide * over, high, 0, 3.5)
        frill = wave * np.sin(np.arange(32) * 2.3) * (np.imag(edge) > y)
        edge += 1j * (frill - bow * np.real(edge) ** 2)
        table.piece(edge, table.tint(colour), 18, 14)
        y -= 0.6 * high + 0.03
    tall = table.any(0.36, 0.52)
    around = np.imag(ROUND).clip(-1, 0.12)
    crown = y + 0.03 + np.sign(around) * np.abs(around) ** 0.8 * np.where(around < 0, tall, 0.3)
    table.piece(np.real(ROUND) * wide * 1.03 + 1j * crown, bun, 22, 34)
    for x, rise in table.any((-0.7, 0.25), (0.7, 0.85), (table.rng.choice([0, 14, 22]), 2)):
        at = x * wide + 1j * (y - tall * rise * (1 - x * x))
        table.line([at, at + 0.03 + 0.012j], table.tint("f7e8c0"), 0.04)


def _hot_dog(table: Table) -> None:
    for y in (-0.38, 0.38) if table.any() < 0.35 else (0,):
        bun = table.tint("e0b06a", "d39a54", "ecc98f")
        bend = table.any(-0.12, 0.12)
        x = np.linspace(-0.7, 0.7, 45)
        fat = table.any(0.16, 0.2)
        meat = table.tint("b0432a", "93351f", "c4583a")
        for side, long, half, colour in (
            (0.14, 0.72, fat, bun),
            (-0.14, 0.72, fat, bun),
            (0, 0.9, 0.13, meat),
        ):
            part = oval(1j * (y + side), long, half, 0, 3.3)
            bent = part + 1j * bend * np.real(part) ** 2
            table.piece(bent, colour, 22 if colour == meat else 10, 17)
        for colour in ((), ("eec01f",), ("eec01f", "b8241c"), ("f3e3b0",))[table.rng.integers(4)]:
            wave = 0.06 * np.sin(table.any(14, 24) * x + table.any(0, 6))
            table.line(x + 1j * (y + wave + bend * x**2), table.tint(colour), 0.06, 3)


def _ice_cream(table: Table) -> None:
    kind = table.rng.integers(3)
    pair = [(-0.24 - 0.07j, 0.28), (0.24 - 0.07j, 0.28)]
    shell = table.tint(*(["dca052", "c98a3d"] if kind == 0 else PLATES + CREAMS))
    places = [(-0.1j, 0.38)], [(-0.05j, 0.34), (-0.5j, 0.3)], pair, [*pair, (-0.46j, 0.28)]
    scoops = places[table.rng.integers(4)]
    for at, radius in scoops:
        cream = table.tint(*CREAMS)
        table.piece(
            table.uneven(oval(at + radius * 0.75j, radius * 1.1, radius * 0.35), 0.03), cream, 16, 8
        )
        table.piece(table.uneven(oval(at, radius), 0.008), cream, 18, 80 * radius)
        if table.any() < 0.3:
            table.bits(at, 0, radius * 0.75)
    if table.any() < 0.4:  # a cherry on the last one
        at, radius = scoops[-1]
        table.piece(oval(at - radius * 1j, 0.1), table.tint("b5172b"), 30, 12)
    shapes = (
        [0.36, 0.03 + 0.87j],
        [0.52, 0.38 + 0.77j],
        [0.5, 0.28 + 0.42j, 0.06 + 0.5j, 0.06 + 0.7j, 0.3 + 0.77j],
    )
    half = np.array(shapes[kind]) + 0.08j
    table.piece(np.append(half, -half[::-1].conj()), shell, 24, 7)
    dark = tuple(int(c * 0.75) for c in shell)
    for x in (-0.27, -0.14, 0, 0.14, 0.27) if kind == 0 else ():
        for lean in (-1, 1):  # a waffle's lines end at its other edge
            table.line(
                [x + 0.08j, x + 0.08j + (0.87j - 0.28 * lean) * (0.36 + lean * x) / 0.66],
                dark,
                0.025,
                0,
            )
    table.piece(oval(0.08j, half[0].real + 0.05, 0.065, 0, 5), dark if kind == 1 else shell, 28, 8)


def _macarons(table: Table) -> None:
    rows = ([1, 1, 1], [2, 1], [3, 2], [3, 2, 1], [2, 2], [1, 1])[table.rng.integers(6)]
    r = min(0.5, 0.88 / rows[0], 1 / len(rows))
    piled = [(2.06 * r * (i - (row - 1) / 2) + 1j * (0.6 - r * (0.6 + 1.3 * level)), r)
             for level, row in enumerate(rows) for i in range(row)]  # fmt: skip
    for at, r in piled if table.upright else _places(table, int(table.rng.integers(3, 7))):
        colour = table.tint(*CREAMS)
        cream = table.tint("f6e7c1", "6b4228", "f2a9b8", "ffffff")
        foot = tuple(int(c * 0.6 + 95) for c in colour)
        turn = table.any(-0.1, 0.1) * (1 if table.upright else 30)
        if not table.upright and table.any() < 0.4:
            table.piece(table.uneven(oval(at, r), 0.006), foot, 12)
            table.piece(oval(at, r * 0.93), colour, 20, 50 * r)
            continue
        for low, high, fill, dome in ((0.33, 0.3, colour, 12), (0.2, 0.1, foot, 3),
                                      (0, 0.17, cream, 3),
                                      (-0.36, 0.38, colour, 18), 
                                      (-0.15, 0.1, foot, 3)):  # fmt: skip
            edge = oval(
                at + 1j * low * r * np.exp(1j * turn), r if low else 0.93 * r, r * high, turn, 2.6
            )
            table.piece(table.uneven(edge, 0.012) if dome == 3 else edge, fill, 16, dome)


def _pizza(table: Table) -> None:
    alone = table.any() < 0.25
    wedge = TURN / table.rng.choice([6, 8])
    start = table.any(0, 6)
    if alone:  # one slice, and larger
        table.turn *= 1.55
        table.middle -= 0.52 * np.exp(1j * (start + wedge / 2)) * table.turn
    span = wedge if alone else TURN - wedge * (table.any() < 0.4)
    arc = np.append(0, np.exp(1j * (start + np.linspace(0, span, 40))))
    layers = (
        (0.93, ("d79b52", "c4843c"), 15),
        (0.79, ("b5391f",), 10),
        (0.74, ("f0c75e", "f5d98a", "e8b04a"), 10),
    )
    for size, colours, up in layers:
        table.piece(arc * size * table.any(0.985, 1.015, 41), table.tint(*colours), up)
    for kind in (0, 1, *(2 + table.rng.permutation(6)[: table.rng.integers(1, 4)])):
        (colour, long, high, power) = TOPPINGS[kind]
        count = table.rng.integers(8, 15) * (1 + 2 * alone)
        reach = 0.66 * np.sqrt((np.arange(count) + 0.5) / count) + table.any(-0.04, 0.04, count)
        turns = (kind + 2.4 * np.arange(count)) % TURN  # a sunflower's: even, yet without rows
        for spot, turn in zip(reach * np.exp(1j * (start + turns)), turns, strict=True):
            if 0.12 < turn < span - 0.12:
                table.patch(
                    oval(spot, long, high, table.any(0, TURN), power),
                    table.tint(colour),
                    min(4, 1 + kind),
                )
    for angle in np.arange(0, span, wedge) if table.any() < 0.6 else ():
        table.line([0, 0.92 * np.exp(1j * (start + angle))], table.tint("9c5a2a"), 0.02, 0)


def _sushi(table: Table) -> None:
    rows, columns = ((1, 3), (2, 3), (2, 2), (2, 4), (1, 4))[table.rng.integers(5)]
    size = min(1.6 / columns, 0.62)
    turn = TURN / 4 + table.any(-0.3, 0.3)
    black = table.tint("23291f")
    kinds = table.any(0, 1, rows)
    fishes = table.rng.integers(4, size=rows)
    r = size * 0.42
    for i, j in np.ndindex(rows, columns):
        at = (j - (columns - 1) / 2) * 1.6 / columns + 0.8j * (i - (rows - 1) / 2)
        rice = table.tint("f7f4ec")
        fish = ("f2c84b", "f0824a", "c23b3b", "f59a80")[fishes[i]]
        if kinds[i] < 0.5:
            table.piece(
                table.uneven(oval(at + 0.07j, size * 0.64, size * 0.39, turn, 3), 0.01), rice, 8, 12
            )
            table.piece(
                oval(at - 0.03j, size * 0.6, size * 0.29, turn, 2.8), table.tint(fish), 20, 14
            )
            # Egg has one belt, of seaweed.
            for shift in (-0.36, -0.12, 0.12, 0.36) if fishes[i] else (0,):
                belt = (
                    at
                    - 0.03j
                    + np.array([shift + 0.1 + 0.26j, shift - 0.1 - 0.26j])
                    * size
                    * np.exp(1j * turn)
                )
                table.line(
                    belt,
                    table.tint("fbd9c2") if fishes[i] else black,
                    0.025 if fishes[i] else 0.1,
                    0,
                )
            continue
        table.piece(oval(at + r * 0.35j, r, r * 1.2, 0, 2.6), black, 14)
        table.piece(oval(at, r), black, 26)
        table.piece(table.uneven(oval(at, r * 0.86), 0.01), rice, 24, 3)
        for colour, angle in ((fish, 0), ("7fb04a", 2.1), ("f2c84b", 4.2))[
            : table.rng.integers(1, 4)
        ]:
            table.patch(
                oval(at + r * 0.25 * np.exp(1j * (turn + angle)), r * 0.33), table.tint(colour), 3
            )
    for stick in (0.88j, 0.96j) if table.any() < 0.4 else ():
        table.line(
            [stick - 0.95, stick + 0.95 - 0.06j], table.tint("5a2e1c", "2b2a24", "c98f5b"), 0.045, 7
        )


# Colour, half length, half width, power: two cheeses, olives, salami, basil, mushroom, tomato,
# pepper.
TOPPINGS = (
    ("fae6ae", 0.09, 0.07, 2),
    ("e3a541", 0.11, 0.08, 2),
    ("2b2a24", 0.07, 0.07, 2),
    ("b8331f", 0.12, 0.12, 2),
    ("3f7d2c", 0.13, 0.06, 1.5),
    ("e9dcc4", 0.1, 0.08, 2.6),
    ("c9352b", 0.1, 0.1, 2),
    ("5fa03c", 0.1, 0.03, 4),
)
# What draws a class, how often it is seen from the side, and where the plate lies then.
DRAW = (
    (_donuts, 0, 0),
    (_french_fries, 0.6, 0.8),
    (_hamburger, 1, 0.55),
    (_hot_dog, 0, 0),
    (_ice_cream, 1, 0.85),
    (_macarons, 0.5, 0.62),
    (_pizza, 0, 0),
    (_sushi, 0, 0),
)
