"""A long recording, cut into clips that a model learns from: every so many seconds, or at its
pauses.

    cut = cut_evenly(sound.samples, sound.rate, 2.0)   # or cut_at_pauses(samples, rate)
    cut.pieces, describe_cut(cut)

Nothing is cut away unsaid: a short rest, silent pieces and mere clicks are counted.
"""

from dataclasses import dataclass

import numpy as np

from training.media.sounds import SILENCE, measure_loudest
from training.wording import counted

FRAME = 0.02  # seconds
PAUSE = 0.3  # seconds: what is quiet for so long ends a sound
MARGIN = 0.1  # seconds that are kept before and behind a sound
CLICK = 0.06  # seconds: what is shorter between two pauses is no sound
LONGEST = 10.0  # seconds of one that has no pause
# Of the loudest tenth of a second of the whole recording, so that a room's hum counts as silence
# beside a voice, and as a sound where there is nothing else.
FAINT = 0.02  # -34 dB
HUM = 3.0  # times what the quietest tenth of the frames have
MOST_HUM = 0.25


@dataclass(frozen=True)
class Cut:
    """Pieces, float32 (n,) each, in the order of time, and what was left out."""

    pieces: list[np.ndarray]
    rest: float = 0.0  # seconds at the end that made no piece
    silent: int = 0  # pieces in which nothing is to be heard
    clicks: int = 0  # sounds too short to be any


def cut_evenly(samples: np.ndarray, rate: int, seconds: float) -> Cut:
    """Every `seconds`. What is left at the end is a piece where it is half as long or more, or all
    there is."""
    length = max(1, round(seconds * rate))
    parts = [samples[at : at + length] for at in range(0, len(samples), length)]
    rest = 0.0
    if len(parts) > 1 and len(parts[-1]) < length / 2:
        rest = len(parts.pop()) / rate
    floor = max(SILENCE, FAINT * measure_loudest(samples, rate))
    pieces = [part for part in parts if measure_loudest(part, rate) >= floor]
    return Cut(pieces, rest, len(parts) - len(pieces))


def cut_at_pauses(samples: np.ndarray, rate: int) -> Cut:
    """Each sound by itself, with a little of what surrounds it; one that goes on and on is cut
    every `LONGEST` seconds."""
    frame = max(1, round(FRAME * rate))
    level = np.array(
        [samples[at : at + frame].astype(float).std() for at in range(0, len(samples), frame)]
    )
    loudest = measure_loudest(samples, rate)
    hum = min(HUM * float(np.quantile(level, 0.1)), MOST_HUM * loudest)
    loud = np.flatnonzero(level >= max(SILENCE, FAINT * loudest, hum))
    if not len(loud):
        return Cut([], silent=1)
    ends = np.flatnonzero(np.diff(loud) * FRAME > PAUSE)
    firsts = loud[[0, *(ends + 1)]]
    lasts = loud[[*ends, len(loud) - 1]]
    margin = round(MARGIN * rate)
    pieces: list[np.ndarray] = []
    rest = 0.0
    silent = clicks = 0
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        if (last + 1 - first) * FRAME < CLICK:
            clicks += 1
            continue
        part = samples[max(0, first * frame - margin) : (last + 1) * frame + margin]
        cut = cut_evenly(part, rate, LONGEST)
        pieces += cut.pieces
        rest += cut.rest
        silent += cut.silent
    return Cut(pieces, rest, silent, clicks)


def describe_cut(cut: Cut) -> list[str]:
    """What was left out, a sentence each."""
    said = []
    if cut.silent:
        verb = "is" if cut.silent == 1 else "are"
        said.append(f"{counted(cut.silent, 'piece')} {verb} silent: left out.")
    if cut.clicks:
        said.append(f"{counted(cut.clicks, 'click')}, too short to be a sound: left out.")
    if cut.rest:
        said.append(f"The last {cut.rest:.1f} s are too short for a piece: left out.")
    return said
