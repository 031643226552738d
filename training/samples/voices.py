"""Who speaks: the speakers that espeak-ng and flite come with, and speakers made up at random for
espeak-ng.

A made-up speaker is the text of a "voice variant" as espeak-ng documents it (docs/voices.md there):
how high its resonances lie, how strong and wide they are, its pitch, its breath, and how long it
stays on its vowels.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# varied: half of them made up, and more of them American
SPEAKERS = ("train", "held_out", "flite", "varied")
_ACCENTS = "en en-us en-gb-scotland en-gb-x-rp en-gb-x-gbcwmd en-029".split()
ACCENTS = {"train": _ACCENTS, "varied": [*_ACCENTS, "en-us", "en-us"],
           "held_out": [*_ACCENTS, "en-gb-x-gbclan", "en-us-nyc"]}  # fmt: skip
# espeak-ng's own names for its speakers. Left out: whispers, croaks, robots, and all but one of
# speakers that are alike (their mean log-mel spectra differ by less than 0.6 dB), so that no
# held-out speaker has a double in training.
_TIMBRES = (
    "m1 m2 m3 m5 m6 m7 f1 f2 f3 f5 klatt2 klatt3 klatt4 Alex Alicia Andy Annie Denis Diogo Gene "
    "Henrique Hugo Jacky Lee Marco Mario Michael Nguyen RicishayMax3 adam antonio aunty belinda "
    "david ed edward gustave iven iven3 john linda max michel miguel norbert paul pedro quincy "
    "robert sandro shelby travis victor"
).split()
TIMBRES = {"train": _TIMBRES, "varied": _TIMBRES,
           "held_out": ("m4 m8 f4 klatt Andrea anika Mike boris grandma marcelo pablo "
                        "steph").split()}  # fmt: skip
FLITE = {"kal16": 95, "awb": 130, "rms": 105, "slt": 170}  # voice: its usual pitch in Hz
# of espeak-ng's data, to speak English
NEEDED = "phondata phonindex phontab intonations en_dict lang".split()


def make_up_speaker(rng: np.random.Generator) -> str:
    """The text of a speaker's variant file. Small heads have high resonances and, mostly, high
    voices."""
    head = rng.uniform(0.88, 1.25)
    base = float(np.clip(100 * head**2.6 * np.exp(rng.normal(0, 0.22)), 65, 260))
    lines = ["language variant", f"pitch {base:.0f} {base * rng.uniform(1.2, 1.7):.0f}"]
    for number in range(9):
        high = 100 * head * rng.uniform(0.92, 1.08)
        lines.append(
            f"formant {number} {high:.0f} {rng.uniform(55, 140):.0f} {rng.uniform(80, 180):.0f}"
        )
    longer = rng.uniform(-30, 60, 8)
    louder = rng.uniform(15, 23, 8)
    lines += [f"stressAdd {_numbers(longer)}", f"stressAmp {_numbers(louder)}"]
    lines += [
        f"consonants {_numbers(rng.uniform(50, 150, 2))}",
        f"voicing {rng.uniform(60, 120):.0f}",
    ]
    lines += [
        f"flutter {rng.integers(9)}",
        f"roughness {rng.integers(4)}",
        f"intonation {rng.integers(1, 5)}",
    ]
    if rng.random() < 0.4:
        lines.append(f"breath {_numbers(rng.uniform(0, 6, 8))}")
    if rng.random() < 0.15:
        lines.append(f"klatt {rng.integers(2, 5)}")  # another way to make sound of resonances
    return "\n".join(lines) + "\n"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def timbre(text: str) -> str:
    """A made-up speaker's name."""
    return "made-" + hashlib.sha256(text.encode()).hexdigest()[:12]


@contextlib.contextmanager
def make_known(name: str, text: str) -> Iterator[list[str]]:
    """Arguments by which espeak-ng knows a made-up speaker: another data folder, since it reads
    variants from no other place, that links to its own for all the rest."""
    with tempfile.TemporaryDirectory(prefix="voices-") as folder:
        data = Path(folder, "espeak-ng-data")
        variants = data / "voices" / "!v"
        variants.mkdir(parents=True)
        for path in map(_data().joinpath, NEEDED):
            (data / path.name).symlink_to(path)
        (variants / name).write_text(text)
        yield [f"--path={folder}"]


@functools.cache
def _data() -> Path:
    said = subprocess.run(
        ["espeak-ng", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return Path(said.split("Data at: ")[1].strip())
