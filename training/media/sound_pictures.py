"""Pictures of what was heard: a waveform and a spectrogram, without axes, for light and dark pages
alike.

    from training.media.sound_pictures import spectrogram_picture, waveform_picture

    waveform_picture(sound.samples, sound.rate)      # RGBA, 640 x 120
    spectrogram_picture(sound.samples, sound.rate)   # RGBA, 640 x 160

Silence is transparent, so the page shows through; no colour in them is near white or black. Time
runs from left to right over the whole width, in both alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

WAVE = (640, 120)
SPECTRUM = (640, 160)
BANDS = 80
RANGE = 65.0  # dB between the loudest spot and what is left out
WINDOW = 0.032  # seconds
# From faint to loud: their lightness stays between a white and a black page's.
INK = (99, 102, 241)
COLOURS = np.array(
    [(79, 70, 229), (147, 51, 234), (219, 39, 119), (234, 88, 12), (245, 158, 11)], np.float32
)


def waveform_picture(samples: np.ndarray, rate: int, size: tuple[int, int] = WAVE) -> Image.Image:
    """The envelope of float (n,) samples, with the RMS as its darker middle; the loudest sample
    fills the height.

    `rate` is not needed to draw it; it is there so that both pictures are called alike.
    """
    width, height = size
    edges = np.linspace(0, len(samples), width + 1).astype(int)
    starts = np.minimum(edges[:-1], len(samples) - 1)
    peak = max(float(np.abs(samples).max()), 1e-9)
    # Each column reaches to the next one's first sample.
    joint = samples[np.minimum(edges[1:], len(samples) - 1)]
    high = np.maximum(np.maximum.reduceat(samples, starts), joint) / peak
    low = np.minimum(np.minimum.reduceat(samples, starts), joint) / peak
    power = np.add.reduceat(np.square(samples, dtype=np.float32), starts)
    loud = np.sqrt(power / np.maximum(1, edges[1:] - starts)) / peak
    middle = height / 2
    reach = height / 2 - 2
    outer = _fill_between(middle - reach * high, middle - reach * low, height)
    inner = _fill_between(
        middle - reach * np.minimum(loud, high), middle + reach * np.minimum(loud, -low), height
    )
    alpha = np.maximum(0.5 * outer, inner)
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[..., :3] = INK
    pixels[..., 3] = np.rint(255 * alpha)
    return Image.fromarray(pixels)


def spectrogram_picture(
    samples: np.ndarray, rate: int, size: tuple[int, int] = SPECTRUM
) -> Image.Image:
    """The log-mel spectrogram of float (n,) samples at `rate` a second: low tones at the bottom."""
    level = log_mel(samples, rate, size[0])
    shade = np.rint(255 * np.clip(1 + (level - level.max()) / RANGE, 0, 1)).astype(np.uint8)[::-1]
    # As wide as asked for already; the bands are interpolated to the height.
    shade = np.asarray(Image.fromarray(shade).resize(size, Image.Resampling.BICUBIC))
    pixels = _palette().view(np.uint32)[:, 0][shade]  # four bytes at a time
    return Image.fromarray(pixels.view(np.uint8).reshape(*shade.shape, 4))


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    """From nothing to loud: uint8 (256, 4)."""
    steps = np.linspace(0, 1, 256)
    table = [np.interp(steps, np.linspace(0, 1, len(COLOURS)), each) for each in COLOURS.T]
    alpha = 255 * np.clip(1.35 * steps, 0, 1) ** 1.2
    return np.ascontiguousarray(np.rint(np.stack([*table, alpha], 1)).astype(np.uint8))


def log_mel(samples: np.ndarray, rate: int, columns: int, bands: int = BANDS) -> np.ndarray:
    """Decibels in mel bands from 50 Hz to half the rate, float32 (bands, columns) over the whole
    sound.

    Where a column stands for more time than a window sees, it is the mean of up to four windows in
    it. At rates up to 2,000 a second there are fewer bands: as many as a window has samples.

    `transformers.audio_utils.spectrogram` gives the same decibels, but its step is a whole number
    of samples, so that no sound fills a given width exactly, and it takes twice as long.
    """
    length = 1 << int(np.ceil(np.log2(WINDOW * rate)))
    each = int(np.clip(len(samples) // (columns * length), 1, 4))
    padded = np.concatenate([np.zeros(length // 2), samples, np.zeros(length // 2 + 1)]).astype(
        np.float32
    )
    starts = ((np.arange(columns * each) + 0.5) * len(samples) / (columns * each)).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[starts]
    # Twice the window's length, so that low bands are not narrower than a line of the spectrum.
    lines = np.fft.rfft(windows * np.hanning(length).astype(np.float32), 2 * length)
    power = np.square(lines.real) + np.square(lines.imag)
    if each > 1:
        power = power.reshape(columns, each, -1).mean(1)
    mel = _mel_filters(rate, length, min(bands, length)) @ power.T
    return (10 * np.log10(np.maximum(mel, 1e-10))).astype(np.float32)


@lru_cache(maxsize=8)
def _mel_filters(rate: int, length: int, bands: int) -> np.ndarray:
    """Triangles of equal area on the mel scale: (bands, length + 1)."""
    # Here, since it loads transformers: a second, which an answer has spent already.
    from transformers.audio_utils import mel_filter_bank

    triangles = mel_filter_bank(length + 1, bands, min(50, rate / 40), rate / 2, rate)
    return (triangles / triangles.sum(0)).T.astype(np.float32)


def _fill_between(top: np.ndarray, bottom: np.ndarray, height: int) -> np.ndarray:
    """How much of each pixel lies between `top` and `bottom` (one of each a column), at least a
    thin line."""
    thin = np.maximum(0, 1.2 - (bottom - top)) / 2
    row = np.arange(height)[:, None]
    return np.clip(np.minimum(bottom + thin, row + 1) - np.maximum(top - thin, row), 0, 1)
