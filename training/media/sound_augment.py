"""Augmentation of sounds, a clip at a time, each by a generator of its own: speed, band, echo,
noise, loudness.

All but the speed is done in one pass through the spectrum, which takes a few milliseconds for a
clip of ten seconds.
"""

from typing import cast

import numpy as np
import soxr
from scipy import fft

# How far each change goes: speed as a factor, band limits as octaves cut, tone as dB, noise as dB
# below the sound.
AMOUNTS = {
    "light": dict(speed=0.1, cut=0.5, tone=4.0, quietest=15.0, echo=0.0),
    "strong": dict(speed=0.22, cut=1.2, tone=10.0, quietest=5.0, echo=0.35),
}
# Hz and number of the bands that the tone changes by
LOWEST = 60.0
OCTAVES = 7
CLEAN = 0.2  # of the clips get no noise


def vary(clip: np.ndarray, rate: int, strength: str, rng: np.random.Generator) -> np.ndarray:
    """float32 (m,) of float32 (n,), within -1 to 1."""
    if strength == "none":
        return clip
    amount = AMOUNTS[strength]
    speed = np.exp(rng.uniform(-1, 1) * np.log(1 + amount["speed"]))
    # A tape that runs faster: shorter, and higher. The quality is that of a telephone's codec, the
    # quickest.
    clip = soxr.resample(clip, rate * speed, rate, quality="LQ")
    n = len(clip)
    size = cast(int, fft.next_fast_len(max(n, 2), real=True))  # scipy tells no types
    spectrum = np.asarray(fft.rfft(clip, size))
    hertz = np.fft.rfftfreq(size, 1 / rate).astype(np.float32)
    spectrum *= _tone(hertz, amount, rng)
    if rng.random() < amount["echo"]:
        spectrum *= _room(size, rate, rng)
    if rng.random() >= CLEAN:
        spectrum += _noise(spectrum, hertz, rng.uniform(amount["quietest"], 45), rng)
    out = np.asarray(fft.irfft(spectrum, size))[:n]
    return out * np.float32(10 ** rng.uniform(-1.2, -0.05) / max(float(np.abs(out).max()), 1e-6))


def _tone(hertz: np.ndarray, amount: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """A gain for each frequency: a random tone control, and the edges of a telephone's band."""
    octave = np.log2(np.maximum(hertz, 1) / LOWEST)
    tone = np.interp(
        octave, np.arange(OCTAVES + 1), rng.uniform(-1, 1, OCTAVES + 1) * amount["tone"]
    )
    low = np.log2(120 / LOWEST) + rng.uniform(-1, 1) * amount["cut"]
    high = np.log2(3600 / LOWEST)
    high -= rng.uniform(-0.3, 1) * amount["cut"]
    outside = np.maximum(0, low - octave) + np.maximum(0, octave - high)
    return (10 ** ((tone - rng.uniform(6, 24) * outside) / 20)).astype(np.float32)


def _room(size: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The spectrum of an echo that dies away in 0.1 to 0.5 seconds."""
    seconds = np.arange(min(size, rate // 2), dtype=np.float32) / rate
    response = rng.standard_normal(len(seconds), np.float32) * np.exp(
        -seconds * 6.9 / rng.uniform(0.1, 0.5)
    )
    response *= rng.uniform(0.2, 0.8) / np.linalg.norm(response)
    response[0] += 1
    return np.asarray(fft.rfft(response, size))


def _noise(
    spectrum: np.ndarray, hertz: np.ndarray, below: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise between white and brown, `below` dB under the sound."""
    noise = rng.standard_normal(2 * len(spectrum), np.float32).view(np.complex64)
    noise *= np.maximum(hertz, 30) ** np.float32(-rng.uniform(0, 1))
    return noise * np.float32(
        np.linalg.norm(spectrum) / np.linalg.norm(noise) * 10 ** (-below / 20)
    )
