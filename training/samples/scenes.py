"""A picture book drawn by code: scenes, each with five sentences, for captioning where there is no
network.

    from training.samples.scenes import scenes pictures, captions = scenes(480, seed=0)      # uint8
    (96, 128, 3) each, and five sentences for each

A scene is planned first: who does what, where, with what, in which weather. Picture and sentences
follow the plan, so that every sentence is true. They are drawings: a score on these says little
about photographs.
"""

from collections import namedtuple
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

# scenes, and how many times larger they are drawn
COUNT = 480
FINE = 3
SIZE = WIDE, HIGH = 128, 96
Scene = namedtuple(
    "Scene", "key place weather kind count colour action relation other tint"
)  # key: seed and index
COLOURS = dict(
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
    return [Page(each).drawn() for each in plans], [sentences(each) for each in plans]


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
                    column = Image.fromarray(
                        np.linspace(ink, *more, low - top, dtype=np.uint8)[:, None]
                    )
                    self.paper.paste(column.resize((WIDE * FINE, low - top), 0), (0, top))
                for flat in () if more else points.view(float).tolist():
                    self.pens[len(ink) == 4].polygon(
                        flat, ink
                    )  # the second pen's ink shines through

    def drawn(self) -> np.ndarray:
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


def _figures(text: str) -> dict[str, list[tuple[str, str, float, tuple[np.ndarray, np.ndarray]]]]:
    """Figures by name. Their pieces: a letter for the shape, the ink, then numbers: x, y in half
    pixels, y upwards.

    b: blob, p: polygon, o: oval (middle, half axes), l: line (its width first), s: smooth line, r:
    ring (width first), v: an ink into another down the page, @: another figure, *: one as often as
    the first number tells, in a box.
    """
    found = {}
    for name, body in (each.split(":") for each in text.split("/")):
        found[name.strip()] = pieces = []
        for (shape, *ink), *rest in (piece.split() for piece in body.split(";")):
            numbers = [float(each) for each in rest or (0, 0)]
            wide = numbers.pop(0) if shape in "lsr*" else 0
            spots = np.array(numbers[:2] if shape in "or" else numbers).view(complex)
            if shape in "or":
                turn = np.exp(1j * np.linspace(0, 2 * np.pi, 13 if numbers[2] < 5 else 33))
                spots = spots + numbers[2] * turn.real + 1j * numbers[-1] * turn.imag
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
                side = 0.5j * wide * ahead / abs(ahead)
                ends = spots[-1] + side[-1] * end, spots[0] - side[0] * end
                spots = np.concatenate([spots + side, ends[0], (spots - side)[::-1], ends[1]])
            pieces.append((shape, "".join(ink), wide, (spots.conj(), -spots)))
    return found


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
FIGURES = _figures("""
cloud: oc 0 0 22 7;oc -8 6 11 9;oc 8 7 12 11 / star: offf6d8 0 0 1.4 / drop: le4eef890 1.4 0 0 -4
-13 / flake: offffffe8 0 0 2 / fall_rain: *drop 40 0 0 260 192 / fall_snow: *flake 42 0 0 256 192 /
sunny: v7cc3ea-e6f3ee 0 192 0 40;offe9a055 38 158 30;offd95a 38 158 19;*cloud 3 80 140 250 180 /
cloudy: v8fb9d3-e4ebe8 0 192 0 40;*cloud 8 -10 130 270 180 / sunset: v6a70b4-ee9a8c 0 192 0
116;vee9a8c-ffd79c 0 116 0 50;offe0a044 52 118 42;offf0c0 52 118 26;*cloud 3 80 140 250 180 / rain:
v74869b-bcc7ce 0 192 0 40;*cloud 7 -10 150 270 186 / snow: va3b6ca-e1e8ef 0 192 0 40;*cloud 6 -10
150 270 186 / rain_night: v262d4b-565e80 0 192 0 40;*cloud 7 -10 150 270 186 / snow_night:
v2b3460-6c76a4 0 192 0 40 / rainbow: v8abbd9-deece8 0 192 0 40;re86a5ac0 9 128 26 124;rf7d072c0 9
128 26 115;r86c57cc0 9 128 26 106;r6fa5dcc0 9 128 26 97;*cloud 2 0 150 256 176 / night:
v161e4a-4d5796 0 192 0 40;*star 24 0 90 256 190;offf3c4 38 158 18;o222b5a 47 163 15 / at_meadow:
*far_hill 3 -30 10 290 34;*hill 2 0 0 290 24;v8cc463-62a24a 0 76 0 0;*tuft 14 0 2 256 66;*daisy 10
0 4 256 64 / far_hill: oa8d19a 0 0 90 84 / hill: o94c47e 0 0 110 78 / tuft: l4f8f4090 1.6 0 0 -2
6;l4f8f4090 1.6 2 0 4 5 / daisy: offfaf0 0 0 3;of7c94a 0 0 1.2 / at_beach: v3f97bd-86d2d2 0 92 0
48;*ripple 10 0 62 240 88;*foam 5 -20 46 276 52;vf3dfae-e6c687 0 50 0 0;*wet 5 -10 44 276
50;*pebble 9 0 2 256 42 / ripple: lffffff80 1.4 0 0 16 0 / foam: ofdfaf0 0 0 50 7 / wet: of3dfae 0
0 50 8 / pebble: od3ac7090 0 0 2 1.3 / at_snow: *drift 3 -20 60 276 70;*fir 8 0 82 256
88;vf3f7fb-dde7f1 0 84 0 0;*mound 4 -20 24 276 60 / drift: oc9d8e6 0 0 80 26 / mound: ofbfdfe90 0 0
60 9 / fir: p7fa0a6 -11 0 0 20 11 0;p8fb0b4 -9 11 0 29 9 11;pffffff -4 23 0 29 4 23 0 21 /
at_street: *far 7 -16 90 250 136;*near 4 -20 84 256 128;v8d8ba6-7d7b98 0 52 0 38;v5a5b73-47485f 0
38 0 0;pa5a3ba 0 38 0 41 256 41 256 38;*dash 6 0 8 270 8 / dash: pe8e2c8 0 0 3 3 25 3 22 0 / far:
p414986 0 0 0 -120 36 -120 36 0 / near: p2a305f 0 0 0 -140 38 -140 38 0;@lamp 6 -10;@lamp 17
-10;@lamp 28 -24;@lamp 6 -38;@lamp 17 -52;@lamp 28 -52 / lamp: pffd97a 0 0 0 -8 6 -8 6 0 /
road_meadow: p8c8a94 0 4 0 40 256 40 256 4;*dash 6 0 20 270 20 / road_desert: @road_meadow /
at_lake: *peak 5 0 92 256 112;*shore 5 -20 84 276 86;v7cc0d8-3f8fb4 0 86 0 30;*ripple 9 0 46 236
80;*bank 4 -10 28 266 34;v8cbb5c-6ba04a 0 34 0 0;*tuft 12 0 2 256 30 / shore: o6a9a78 0 0 50 8 /
bank: o7fb054 0 0 60 9 / peak: p8798bd -70 -50 0 26 70 -50;pf4f6fa -14 11 0 26 14 11 5 6 0 12 -6 6
/ at_desert: *dune 3 -20 40 276 60;*low_dune 3 -40 40 296 50;*cactus 3 10 72 246 80;vf1cd91-e2ad6b
0 72 0 0;*sandy 9 0 2 256 50 / dune: oe3ae74 0 0 90 44 / low_dune: oeabf82 0 0 100 36 / sandy:
lcf985880 1.4 0 0 12 1 / cactus: l5f9a5c 6 0 0 0 26;l5f9a5c 4 0 10 -8 10 -8 18;l5f9a5c 4 0 14 8 14
8 22 / under_ground: o20284838 0 0 38 5 / under_road: @under_ground / under_water: oc 0 -3 30
3;offffff80 0 -1 38 3 / dog_head: bc -9 -8 -8 8 0 16 11 15 17 8 29 7 31 0 20 -5 8 -10;bd 0 14 -9 9
-13 -5 -7 -11 1 3;ok 29 5 3;ow 10 8 3;ok 11 8 2 / dog_body: sc 6 -25 36 -34 42 -37 54;bc -32 30 -28
42 -10 42 10 41 26 46 33 38 28 22 12 19 -10 22 -26 20;@dog_head 27 46 / dog: le 8 -15 26 -17 4;le 8
22 26 22 4;@dog_body;lc 8 -24 28 -27 16 -25 4;lc 8 16 26 15 4 / dog_run: le 8 -20 28 -36 20 -44
14;le 8 20 26 36 22 44 26;@dog_body;lc 8 -24 28 -38 24 -50 22;lc 8 18 26 30 12 40 12 / dog_jump:
@dog_run / dog_sit: sc 6 -20 5 -36 5 -42 16;le 8 4 30 4 3;bc -27 6 -26 24 -8 46 8 58 21 48 17 20 15
0 -10 0 -25 0;od -13 13 12 12;lc 8 12 32 14 3;ld 8 -14 3 -5 3;@dog_head 9 56 / cat_head: pc -14 2
-13 21 -2 12;pc 14 2 13 21 2 12;pn -11 9 -11 16 -6 12;pn 11 9 11 16 6 12;oc 0 2 15 12;pn -2 0 2 0 0
-3 / cat_eyes: @cat_head;oy -6 4 3 3;oy 6 4 3 3;ok -6 4 1.4 3;ok 6 4 1.4 3 / cat_walk: le 7 -14 20
-10 3;le 7 20 20 27 4;sc 6 -23 29 -36 34 -32 50 -40 58;bc -29 28 -24 38 0 35 20 38 28 30 24 16 0 17
-24 16;lc 7 -22 22 -28 4;lc 7 16 20 12 3;@cat_eyes 25 38 / cat: sd 7 12 4 28 3 32 14 26 22;bc -19 2
-16 22 -10 42 10 42 16 22 19 2 10 -1 -10 -1;om 0 26 7 9;ld 1.6 0 2 0 14;oc -7 3 7 4;oc 7 3 7
4;@cat_eyes 0 45 / cat_sleep: bc -32 2 -30 18 -12 27 10 25 28 18 30 2 20 -1 -20 -1;sd 7 -26 8 -20 2
4 3;@cat_head 15 12;sk 1.4 7 13 10 11 13 13;sk 1.4 17 13 20 11 23 13 / horse_body: be -33 68 -46 60
-48 34 -41 24 -37 44 -30 58;bc -38 58 -33 72 -14 73 6 69 22 74 34 66 33 48 22 42 0 43 -22 40 -36
46;bc 10 64 26 86 36 106 48 108 47 88 38 62 28 48 14 52;bc 35 100 39 112 48 110 59 97 67 86 61 79
52 82 44 90 35 94;pc 38 106 39 119 46 109;be 43 114 34 112 22 92 8 72 16 68 28 86 40 106;ow 49 101
2;ok 50 101 1.8 / horse: le 8 -20 46 -19 24 -21 4;le 8 20 48 20 24 19 4;@horse_body;lc 9 -29 48 -32
26 -29 5;lc 9 27 50 28 26 27 5 / horse_run: le 8 -24 46 -40 34 -50 20;le 8 22 48 42 44 54
32;@horse_body;lc 9 -29 46 -46 40 -60 34;lc 9 26 48 44 30 38 14 / legs: lj 9 -6 36 -6 5;lj 9 6 36 6
5;ok -7 3 6 4;ok 8 3 6 4;lc 7 -11 60 -18 44;os -19 39 4 / stand: @legs;lc 7 11 60 18 44;os 19 39 4
/ run: lj 9 -4 36 -12 20 -26 18;lj 9 4 36 18 26 16 8;ok -29 16 4 6;ok 19 5 6 4;lc 7 -11 60 -22
50;lc 7 11 60 20 48 27 56;os -24 46 4;os 29 60 4 / jump: lj 9 -5 36 -16 24 -12 10;lj 9 5 36 16 24
12 10;ok -13 7 6 4;ok 14 7 6 4;lc 7 -11 60 -23 76;lc 7 11 60 23 76;os -25 80 4;os 25 80 4 / hold:
@legs;lc 7 11 60 23 70;os 26 74 4 / ride: lj 9 -9 56 8 42 -1 22;ok 3 19 6 4;lc 7 1 82 20 60;os 25
56 4 / shirt: bc -13 64 -13 64 0 68 13 64 13 64 13 34 13 34 -13 34 -13 34 / face: os 0 78 14;ok -2
79 1.8;ok 8 79 1.8;sk 1.4 -1 73 3 70 8 73;oea9aa070 -7 74 3 / lad: @shirt;@face;bh -15 78 -14 92 -2
97 10 95 16 88 15 82 8 87 -4 87 -9 84 -10 76 / lass: bh -18 60 -19 84 -10 95 10 95 18 84 15 60 6 58
-10 57;@shirt;@face;bh -15 80 -14 92 0 97 14 92 15 82 6 86 -2 89 -9 84;bj -13 40 13 40 20 22 20 22
-20 22 -20 22 / car_drive: offffffc0 -68 10 9 7;offffffa0 -86 17 8 6;pf 58 28 130 44 130 -6 58
16;@car;os 10 41 5 / wheel: ot 0 0 12;oz 0 0 6 / car: bc -56 9 -57 26 -48 32 -32 35 -21 53 -8 54 12
54 26 50 36 35 54 31 58 20 57 9;bg -27 35 -18 50 -3 50 -3 35;bg 1 35 1 50 13 50 28 35;pd -54 10 -55
15 56 15 55 10;ld 1.6 -1 34 -1 15;@wheel -31 10;@wheel 32 10;oy 54 22 3 4 / bicycle: @spokes -25
20;@spokes 25 20;lc 5 -25 20 -4 18 16 42 -12 42 -25 20;lc 5 -4 18 -14 48;lc 5 25 20 14 52;lk 5 -21
49 -8 49;sk 4 14 52 20 56 27 52;ok -4 18 4 / spokes: lz 1 0 -16 0 16;lz 1 -16 0 16 0;rt 4 0 0 17 /
boat: lb 3 0 12 0 82;pw 3 16 3 78 34 20;pl 3 16 3 34 27 30 34 20;pm -4 20 -4 68 -26 22;pc 0 84 0 74
-14 79;pc -38 14 40 16 28 0 -27 0;pd -32 6 34 6 28 0 -27 0;lw 2 -38 13 40 15 / house: pd 18 66 18
86 30 86 30 60;pc -40 0 -40 46 0 78 40 46 40 0;pr -50 42 0 86 50 42 45 37 0 75 -45 37;pb -8 0 -8 27
8 27 8 0;@frame -34 16;@frame 14 16;ow 0 54 8;og 0 54 6 / frame: pw 0 0 0 21 20 21 20 0;pg 2 2 2 19
18 19 18 2 / tree: pb -6 0 -4 42 4 42 6 0;oc -20 50 19;oc 20 50 19;oc 0 44 18 14;oc 0 72 25;ol -8
78 12 10;ol -22 55 9 8;ol 16 56 8 7;od 2 40 12 6 / tree_snow: pb -5 0 -5 18 5 18 5 0;bd -38 12 0 52
38 12 0 8;bc -32 34 0 72 32 34 0 29;bc -24 56 0 94 24 56 0 51;bw -15 66 0 92 15 66 6 62 0 68 -7
62;bw -26 44 -14 58 -12 44 -20 40;bw 26 44 14 58 12 44 20 40 / tree_beach: sb 8 0 0 6 30 -2 74;bd
-2 76 -20 92 -40 84 -50 66 -30 76;bd -2 76 18 92 38 84 48 66 28 76;bc -2 76 -26 80 -40 60 -38 44
-24 64;bc -2 76 24 80 38 60 36 44 22 64;bl -2 76 -12 98 4 106 14 100 8 88;ob -3 72 4 / balloon: sz
1.2 0 -18 4 -30 -4 -40 0 -52;pc -5 -22 5 -22 0 -14;od 0 6 20 24;oc 1 5 17 20;om -7 15 5 7 / ball:
oc 0 16 16;bm -14 18 -4 14 4 4 2 0 10 4 14 8 4 16 -6 24 -14 24 / bird: bd 2 4 -4 34 -20 44 -8 20
-10 2;pd -18 2 -40 10 -38 -4;bc -26 0 -8 11 12 12 28 8 26 -4 12 -10 -8 -9;oc 22 9 10;pf2a33a 30 12
42 7 30 5;ow 25 11 3;ok 26 11 2;be -10 4 -24 36 -36 40 -22 8;bl 10 4 -4 38 -20 48 -14 14 -8 0;om 8
-4 10 4 / boy: @stand;@lad / boy_run: @run;@lad / boy_jump: @jump;@lad / boy_hold: @hold;@lad /
boy_ride: @ride;@lad -8 24 / girl: @stand;@lass / girl_run: @run;@lass / girl_jump: @jump;@lass /
girl_hold: @hold;@lass / girl_ride: @ride;@lass -8 24
""")
