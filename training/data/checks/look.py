"""What is seen of each example for the checks: whether it can be read, how large it is, and a
fingerprint by which what shows the same is found. Each is opened once; what is kept of it is small.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from training.device import cores
from training.media.pictures import PictureError, flatten, load_picture, measure_picture
from training.media.sounds import SoundError, load_sound

SIDE = 40  # of a thumbnail, in grey
BANDS = SIDE  # of a sound's picture
FLAT = 2.0  # greys: a picture that varies less is of one colour
LONGEST = 256  # pixels that a picture is decoded at
RATE = 16_000
WINDOW = 512  # samples of a sound's spectrum
HEARD = 30.0  # seconds of a sound that are looked at
QUIET = 1e-3  # of full scale: what stands before and behind a sound

Tell = Callable[[str, int, int], object]


class Listed(Protocol):
    """An item, as an own data set lists it."""

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def split(self) -> str: ...


@dataclass(frozen=True)
class Sight:
    """What was seen of an example."""

    id: str
    name: str  # as it was brought
    file: str  # as it is called now
    label: str
    split: str
    refusal: str = ""  # why it cannot be read, as a sentence
    size: float = 0.0  # short side in pixels, or seconds
    blank: bool = False
    clipped: float = 0.0  # share of the samples


@dataclass(frozen=True)
class Seen:
    """All of them."""

    kind: str  # pictures or sounds
    sights: list[Sight]
    prints: np.ndarray  # (N, SIDE, SIDE) uint8: what tells whether two show the same

    def without(self, ids: Collection[str]) -> "Seen":
        keep = [i for i, sight in enumerate(self.sights) if sight.id not in ids]
        return replace(self, sights=[self.sights[i] for i in keep], prints=self.prints[keep])


def look_at(items: Sequence[Listed], kind: str, tell: Tell = lambda *_: None) -> Seen:
    """Opens each, some at a time. Raises what `tell` does."""
    sounds = kind == "sounds"
    see = _hear if sounds else _see
    sights: list[Sight] = []
    prints = np.zeros((len(items), SIDE, SIDE), np.uint8)
    with ThreadPoolExecutor(cores()) as pool:
        waiting = iter(items)
        while some := list(islice(waiting, 64)):
            for sight, pixels in pool.map(see, some):
                prints[len(sights)] = pixels
                sights.append(sight)
            tell("looking", len(sights), len(items))
    return Seen("sounds" if sounds else "pictures", sights, prints)


def _begin(item: Listed) -> Sight:
    return Sight(item.id, item.name, item.path.name, item.label, item.split)


def _see(item: Listed) -> tuple[Sight, np.ndarray]:
    try:
        picture = flatten(load_picture(item.path, LONGEST))
    except PictureError as error:
        return _refuse(item, str(error))
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey)
    size = measure_picture(item.path) or picture.size
    # Colours that are as bright as one another are grey alike.
    blank = bool(
        np.asarray(picture.reduce(max(1, min(picture.size) // SIDE))).std((0, 1)).max() < FLAT
    )
    return replace(_begin(item), size=float(min(size)), blank=blank), pixels


def _refuse(item: Listed, refusal: str) -> tuple[Sight, np.ndarray]:
    """Under the name by which a person knows it."""
    told = refusal.replace(item.path.name, item.name)
    return replace(_begin(item), refusal=told), np.zeros((SIDE, SIDE), np.uint8)


def _hear(item: Listed) -> tuple[Sight, np.ndarray]:
    try:
        sound = load_sound(item.path, RATE, HEARD)
    except SoundError as error:
        return _refuse(item, str(error))
    clipped = next(
        (
            int(found[1]) / 100
            for note in sound.notes
            if (found := re.match(r"clipped: (\d+)%", note))
        ),
        0.0,
    )
    sight = replace(_begin(item), size=sound.seconds, clipped=clipped)
    return sight, draw_sound(sound.samples)


def draw_sound(samples: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) uint8: how loud each band is over time, of the sound without the silence around
    it, however long it is."""
    loud = np.flatnonzero(np.abs(samples) > max(QUIET, 0.02 * np.abs(samples).max()))
    part = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    part = np.pad(part, (0, max(0, 2 * WINDOW - len(part))))
    step = max(WINDOW // 4, (len(part) - WINDOW) // (4 * SIDE) or 1)
    starts = np.arange(0, len(part) - WINDOW + 1, step)
    frames = np.stack([part[at : at + WINDOW] for at in starts]) * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    # As wide as the ear hears them: about a semitone's share each.
    edges = np.unique(np.geomspace(2, WINDOW // 2, BANDS + 1).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    low, high = np.quantile(bands, [0.05, 0.999])
    scaled = ((bands.T - low) / max(1e-6, high - low)).clip(0, 1) * 255
    image = Image.fromarray(scaled.astype(np.uint8))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def iterate_blocks(count: int, step: int) -> Iterator[slice]:
    """Parts of so many at most."""
    for start in range(0, count, step):
        yield slice(start, min(count, start + step))
