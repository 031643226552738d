"""A picture book drawn by code: scenes, each with five sentences, for captioning where there is no
network.

    from training.samples.scenes import scenes

    pictures, captions = scenes(480, seed=0)  # uint8 (96, 128, 3) each, and five sentences for each

A scene is planned first: who does what, where, with what, in which weather. Picture and sentences
follow the plan, so that every sentence is true. The figures are in scenes.txt. They are drawings: a
score on these says little about photographs.
"""

from collections import namedtuple
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

# scenes, and how many times larger they are drawn
COUNT = 480
FINE = 3
SIZE = WIDE, HIGH = 128, 96
# key: seed and index
Scene = namedtuple("Scene", "key place weather kind count colour action relation other tint")
# number: of a line its width, of what is repeated how often; both: its points, and flipped
Piece = namedtuple("Piece", "shape ink number both")
COLOURS: dict[str, str] = dict(
    zip(
        "red orange yellow green blue pink purple white black brown grey".split(),
        ("d8402f ef8a2b f5c83c 4f9a48 3b74c8 ee8bb0 8553b3 f8f5ee 35343f 8c5a38 9b9ca6").split(),
        strict=True,
    )
)
HIDDEN = {
    "snow": "white",
    "street": "black|purple|blue",
    "night": "black|purple|blue|grey",
    "meadow": "green",
    "air": "white|blue|grey",
    "lake": "green",
    "beach": "yellow",
    "desert": "orange|yellow",
    "water": "blue",
}
ANY = "red|orange|yellow|green|blue|pink|purple|white"
COATS = "brown|black|white|grey"
OVER = "over tree|over house"
OPEN, LAND, EVERY = (
    f"meadow|beach|snow|lake|{last}" for last in ("desert", "street", "desert|street")
)
AHEAD = "beside tree|in front of house"
NEAR = "near tree|under tree|near house|in front of house|near ball"
CHILD = (
    "ground",
    13,
    EVERY,
    "run|stand|jump",
    ANY,
    1,
    AHEAD + "|near dog|jump over ball|ride bicycle|hold balloon" * 2,
)
# area, half the width, places (how often), what it does, colours, how many at most, how it is with
# what else
KINDS = {
    "dog": ("ground", 23, LAND, "run|sit|stand|jump", COATS, 3, NEAR + "|jump over ball"),
    "cat": ("ground", 18, LAND, "walk|sit|sleep", COATS + "|orange", 3, NEAR),
    "horse": ("ground", 28, OPEN, "run|stand", COATS, 2, AHEAD + "|near tree"),
    "boy": CHILD,
    "girl": CHILD,
    "bird": ("air", 18, EVERY, "fly", "red|orange|yellow|black", 3, OVER),
    "car": ("road", 28, "meadow|street|desert" * 2, "drive|park", ANY, 2, AHEAD),
    "house": ("ground", 24, OPEN, "stand", ANY + "|brown", 2, "beside tree|near tree"),
    "tree": ("ground", 20, LAND, "stand", "green", 3, "near house|beside bicycle"),
    "boat": ("water", 21, "beach|lake" * 3, "sail", ANY, 3, ""),
    "balloon": ("air", 11, EVERY, "float", ANY, 3, OVER),
    "ball": ("ground", 10, LAND, "lie", ANY, 2, "under tree"),
    "bicycle": ("ground", 23, LAND, "stand", ANY, 1, AHEAD),
}
DOING = {
    "run": "running",
    "sit": "sitting",
    "ride": "riding",
    "drive": "driving",
    "lie": "lying",
    "park": "parked",
}
WHERE = {
    "meadow": "in the meadow|on the grass/across the grass",
    "desert": "in the desert|on the sand/across the sand",
    "snow": "in the snow|in a snowy field/through the snow",
    "street": "in the city|on the street/down the street",
    "beach": "on the beach|on the sand|by the sea/along the beach",
    "road": "on the road/down the road",
    "lake": "by the lake|on the grass/along the lake",
    "lake water": "on the lake|on the water/across the lake",
    "beach water": "on the sea|near the beach/across the sea",
}  # after the "/": where what moves goes
WEATHERS = {
    "meadow": "sunny|cloudy|rain|rainbow|night",
    "beach": "sunny|sunset|cloudy|night",
    "desert": "sunny|sunset",
    "street": "night|rain_night|snow_night",
    "lake": "sunny|sunset|rain|night",
    "snow": "snow|sunny|night",
}
WEATHER = {
    "sunny": "under the sun|on a sunny day|while the sun shines",
    "sunset": "at sunset|while the sun sets",
    "cloudy": "under white clouds|on a cloudy day",
    "rain": "in the rain|while it rains|on a rainy day",
    "snow": "in the falling snow|while it snows|on a snowy day",
    "rainbow": "under a rainbow",
    "night": "at night|under the moon|under the stars|while the moon shines",
}
TEMPLATES = (
    "S V P|S B P|S V|S B|S G P|S V W|S V P W|S B P W|W S V P|T S L|T S L W|S V R|S B R|S G R|S B R "
    "P|S V R W|"
    "S G R W|S B R W|T S R|W S V R|S V R P W|S V R P"
).split("|")  # what the letters are: _parts


@lru_cache(maxsize=4)
def scenes(count: int = COUNT, seed: int = 0) -> tuple[list[np.ndarray], list[list[str]]]:
    """`count` pictures, uint8 (96, 128, 3), and five sentences for each; scene i depends on (seed,
    i) alone."""
    plans = [plan(seed, index) for index in range(count)]
    return [Page(each).render() for each in plans], [sentences(each) for each in plans]


def plan(seed: int, index: int) -> Scene:
    """Who does what, where, in which weather and with what."""
    rng = np.random.default_rng([seed, index])
    place = _pick(rng, "|".join(WEATHERS))
    kind = _pick(rng, "".join(f"{each}|" * KINDS[each][2].count(place) for each in KINDS)[:-1])
    area, _, _, actions, colours, most, others = KINDS[kind]
    weather = _pick(rng, WEATHERS[place])
    action = _pick(rng, actions)
    count = min(most, int(_pick(rng, "1|1|1|2|3")))
    pairs = [each for each in others.split("|") if each and place in KINDS[each.split()[-1]][2]]
    pairs = [each for each in pairs if count == 1 or each.startswith(("near", "over"))]
    relation, _, other = _pick(rng, "|".join(["", *pairs])).rpartition(" ")
    if other:
        action = (
            relation.split()[0]
            if relation in ("hold", "ride", "jump over")
            else action.replace("jump", "stand")
        )
    hidden = "|".join(HIDDEN.get(each, "") for each in (place, area, weather))
    colour = _pick(rng, colours, hidden)
    tint = other and _pick(rng, KINDS[other][4], f"{hidden}|{colour}")
    return Scene((seed, index), place, weather, kind, count, colour, action, relation, other, tint)


def _pick(rng: np.random.Generator, options: str, hidden: str = "") -> str:
    left = (
        [each for each in options.split("|") if each not in hidden.split("|")]
        if hidden
        else options.split("|")
    )
    return left[rng.integers(len(left))] if left else "green"  # as trees are anywhere


def sentences(scene: Scene) -> list[str]:
    """Five different sentences, none of which says a word twice; one at least tells what else is
    there."""
    rng = np.random.default_rng([*scene.key, 1])
    found = {}
    fit = [
        each
        for each in TEMPLATES
        if "R" not in each or scene.other and not scene.relation.startswith(scene.action)
    ]
    while len(found) < 5:
        parts = _parts(scene, rng)
        template = fit[rng.integers(len(fit)) if found else -1]
        text = " ".join(parts[letter] for letter in template.split()).replace(
            "a orange", "an orange"
        )
        words = [word for word in text.split() if word not in ("a", "the", "in", "of")]
        found |= {text: None} if len(words) == len(set(words)) else {}
    return [str(each) for each in rng.permutation([*found])]


def _parts(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Subject, Verb, Being at it, Going on, There is, in Relation to the other thing, Place,
    Location, Weather."""
    area = KINDS[scene.kind][0]
    action = scene.action
    be = "is" if scene.count == 1 else "are"
    doing = DOING.get(action, f"{action}ing")
    verb = action if be == "are" else action.replace("fly", "flie") + "s"
    still, moving = (
        WHERE.get(f"{scene.place} {area}") or WHERE.get(area) or WHERE[scene.place]
    ).split("/")
    still = f"over the {scene.place}|above the {scene.place}|in the sky" if area == "air" else still
    other = f"{scene.relation} {_noun(rng, scene.other, scene.tint, 1)}" if scene.other else ""
    what = other.removeprefix(action) if other.startswith(action) else ""  # rides what
    return {
        "S": _noun(rng, scene.kind, scene.colour, scene.count),
        "T": f"there {be}",
        "G": doing + what,
        "R": other,
        "V": (f"{be} parked" if action == "park" else verb) + what,
        "B": f"{be} {doing}{what}",
        "L": _pick(rng, still),
        "P": _pick(
            rng,
            f"{still}|{moving}" if action in ("run", "walk", "drive", "ride", "sail") else still,
        ),
        "W": _pick(rng, WEATHER[scene.weather.split("_")[0]]).replace(
            "day", ("day", "night")["_" in scene.weather]
        ),
    }


def _noun(rng: np.random.Generator, kind: str, colour: str, count: int) -> str:
    colour = f"{colour} " * bool(rng.random() < 0.6)
    if kind in ("boy", "girl"):
        return f"a {_pick(rng, f'{kind}|{kind}|child')}" + f" in a {colour}shirt" * bool(colour)
    return f"{('a', 'two', 'three')[count - 1]} {colour}{kind}" + "s" * (count > 1)


class Page:
    """A page to draw a scene on, perhaps flipped."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.rng = np.random.default_rng([*scene.key, 2])
        self.air = scene.weather.split("_")[-1]
        self.flip = bool(self.rng.random() < 0.5)
        self.paper = Image.new("RGB", (WIDE * FINE, HIGH * FINE))
        self.side = 2 * self.flip - 1
        self.pens = [ImageDraw.Draw(self.paper, mode) for mode in ("RGB", "RGBA")]

    def dye(self, haze: float, colour: str, **inks: str) -> None:
        """What the inks' letters stand for from now on, and how much of the air lies over all
        colours."""
        shades = (
            ("c", NIGHT, 0),
            ("d", NIGHT, 0.18),
            ("e", NIGHT, 0.42),
            ("l", CREAM, 0.3),
            ("m", CREAM, 0.65),
        )
        self.inks = INKS | {letter: mix(colour, *shade) for letter, *shade in shades} | inks
        self.haze = AIRS.get(self.air, NIGHT), haze * (self.air in AIRS)

    def put(
        self, name: str, at: complex | np.ndarray, scale: complex | np.ndarray = FINE / 2
    ) -> None:
        """Draw a figure, perhaps often: where its origin comes to lie, how large (and turned) its
        half pixels are."""
        at = np.atleast_1d(at)
        scale = np.atleast_1d(scale)
        for shape, inks, many, both in FIGURES.get(name, ()):
            points = both[self.flip] * scale[:, None] + at[:, None]
            if shape == "@":
                self.put(inks, points[:, 0], scale)
            elif shape == "*":
                (a, b) = points[0]
                (x, y, size) = self.rng.random((3, int(many)))
                x = (np.arange(len(x)) + 0.15 + 0.7 * x) / len(x) * (b - a).real
                self.put(inks, a + x + 1j * y * (b - a).imag, scale * (0.75 + 0.5 * size))
            else:
                ink, *more = (
                    tuple(bytes.fromhex(mix(self.inks.get(i, i), *self.haze)))
                    for i in inks.split("-")
                )
                if more:  # down the page
                    top, low = points[0].imag.round().astype(int)
                    shades = np.linspace(ink, more[0], low - top, dtype=np.uint8)
                    column = Image.fromarray(shades[:, None])
                    self.paper.paste(column.resize((WIDE * FINE, low - top), 0), (0, top))
                for flat in () if more else points.view(float).tolist():
                    # The second pen's ink shines through.
                    self.pens[len(ink) == 4].polygon(flat, ink)

    def render(self) -> np.ndarray:
        """The picture, uint8 (96, 128, 3)."""
        scene = self.scene
        corner = complex(self.flip * WIDE, HIGH) * FINE
        self.dye(0, CLOUDS.get(scene.weather, "fdfdfbe0"))
        self.put(scene.weather, corner)
        self.dye({"night": 0.5, "rain": 0.3}.get(self.air, 0.2), NIGHT)
        self.put(f"at_{scene.place}", corner)
        self.put(f"{KINDS[scene.kind][0]}_{scene.place}", corner)  # a road
        self._arrange(*KINDS[scene.kind][:2])
        self.put(f"fall_{scene.weather.split('_')[0]}", corner)
        return np.array(self.paper.reduce(FINE))

    def _arrange(self, area: str, half: float) -> None:
        """The other thing, then the subjects, side by side; they look at it."""
        scene = self.scene
        any_ = self.rng.uniform
        many = self.scene.count
        x = WIDE / 2
        wide = half * (1, 0.8, 0.62)[many - 1] * any_(0.95, 1.08)
        y = {"ground": 10, "road": 9, "water": 33, "air": 67 + 4 * bool(scene.other)}[area] + any_(
            -2, 2
        )
        if scene.other:
            reach = KINDS[scene.other][1]
            near = min(1, 60 / (wide * many + reach))
            shift, far, low, large = {  # to the sides, and the other's height and size
                "in front of": (9, 6, 19, 1),
                "under": (12, 2, 19, 1),
                "over": (5, 5, 7, 0.85),
                "ride": (0, 0, y, 1),
                "hold": (0, 14, y + 53, 0.8),
                "jump over": (0, 0, y - 1, 0.8),
            }.get(scene.relation, (reach * near, wide * many * near, 14, 1))
            x += self.side * shift
            self._one(
                scene.other,
                scene.tint,
                "",
                WIDE / 2 - self.side * far,
                low,
                large * any_(0.95, 1.05),
            )
        for i in self.rng.permutation(many):
            across = (2 * i - many + 1) * 1.03 * wide
            up = any_(-1.5, 1.5) * (3 if area == "air" else many > 1)
            self._one(scene.kind, scene.colour, scene.action, x + across, y + up, wide / half)

    def _one(self, kind: str, colour: str, action: str, x: float, y: float, size: float) -> None:
        """One thing, with its shadow."""
        (area, half) = KINDS[kind][:2]
        rng = self.rng
        at = complex(x, HIGH - y) * FINE
        self.dye(
            0.08,
            COLOURS[colour],
            s=_pick(rng, SKINS),
            h=_pick(rng, HAIRS),
            j=_pick(rng, CLOTHS),
            r="6a4a52" if colour != "brown" else "4a5a78",
            f="ffe9a050" if self.air == "night" else "ffffff00",
        )
        self.put(f"under_{area}", at, FINE / 2 * size * half / 20)
        name = next(
            name
            for name in (f"{kind}_{action}", f"{kind}_{self.scene.place}", kind)
            if name in FIGURES
        )
        turn = np.exp(1j * rng.uniform(-0.2, 0.2) * (area == "air"))
        self.put(
            name, at - 1j * FINE * {"jump": 12, "run": 2}.get(action, 0), FINE / 2 * size * turn
        )


@lru_cache(maxsize=4096)
def mix(one: str, other: str, share: float) -> str:
    """A colour between two, as hexadecimal digits; the first's transparency is kept."""
    pairs = zip(bytes.fromhex(one[:6]), bytes.fromhex(other), strict=True)
    return bytes(round(a + (b - a) * share) for a, b in pairs).hex() + one[6:]


def _read_figures(path: Path) -> dict[str, list[Piece]]:
    """Figures by name; the file says how they are written."""
    found: dict[str, list[Piece]] = {}
    pieces: list[Piece] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("    "):
            pieces.append(_piece(line))
        elif line and not line.startswith("#"):
            pieces = found[line] = []
    return found


def _piece(line: str) -> Piece:
    """One piece of a figure, with its outline as points; of one that is placed, where."""
    (shape, *ink), *rest = line.split()
    numbers = [float(each) for each in rest or (0, 0)]
    wide = numbers.pop(0) if shape in "lsr*" else 0
    spots = np.array(numbers[:2] if shape in "or" else numbers).view(complex)
    if shape in "or":
        turn = np.exp(1j * np.linspace(0, 2 * np.pi, 13 if numbers[2] < 5 else 33))
        spots = spots + numbers[2] * np.real(turn) + 1j * numbers[-1] * np.imag(turn)
    for _ in range(2 if shape in "bs" else 0):  # corners cut off
        after = np.roll(spots, -1)
        cut = np.stack([0.75 * spots + 0.25 * after, 0.25 * spots + 0.75 * after], 1)
        spots = (
            cut.ravel()
            if shape == "b"
            else np.concatenate([spots[:1], cut[:-1].ravel(), spots[-1:]])
        )
    if shape in "lsr":  # its outline, with round ends
        ahead = np.gradient(spots)
        end = np.exp(1j * np.linspace(0, -np.pi, 7))
        side = 0.5j * wide * ahead / np.abs(ahead)
        ends = spots[-1] + side[-1] * end, spots[0] - side[0] * end
        spots = np.concatenate([spots + side, ends[0], (spots - side)[::-1], ends[1]])
    return Piece(shape, "".join(ink), wide, (spots.conj(), -spots))


NIGHT = "1b2350"
CREAM = "fff6e3"
AIRS = {"night": "1b2350", "rain": "7f8b99", "sunset": "f0905f"}
SKINS = "f3c9a5|d99f73|8d5a3c"
HAIRS = "4a3228|2f2a2e|c98f3f|9a4f2c"
CLOTHS = "3d4f7c|5b4a42|4a4c57"
CLOUDS = {"sunset": "ffc9a8d0", "rain": "8793a3e0", "snow": "c8d3dfc0", "rain_night": "414a6ce0"}
INKS = dict(
    zip("kwgtbnyz", "2b2a35 fffaf0 c9e6ef 34343e 8a5f3f ea9aa0 ffe08a c3c6d0".split(), strict=True)
)
FIGURES = _read_figures(Path(__file__).with_suffix(".txt"))
