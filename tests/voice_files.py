"""Sounds as phones, browsers and cameras keep them, made with the encoders that PyAV brings."""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# Of each: FFmpeg's container, its encoder, and the rate that encoder takes.
KINDS = {
    "m4a": ("ipod", "aac", 44_100),
    "alac.m4a": ("ipod", "alac", 44_100),
    "mp4": ("mp4", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "opus": ("ogg", "libopus", 48_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "aac": ("adts", "aac", 44_100),
    "wma": ("asf", "wmav2", 44_100),
    "mov": ("mov", "aac", 44_100),
    "adpcm.wav": ("wav", "adpcm_ms", 16_000),
    "avi": ("avi", "pcm_s16le", 16_000),
}


def film(name: str, samples: np.ndarray, pictures: bool = False, **options: str) -> bytes:
    """`samples`: float32 (n,) or (n, channels), at the rate of the kind `name`; empty: no sound.
    `pictures`: whether it has some, as films do."""
    many = samples[:, None] if samples.ndim == 1 else samples
    # A file, since some settings make FFmpeg read what it wrote.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sound"
        _write(file, many, KINDS[name], pictures, options)
        return file.read_bytes()


def _write(
    file: Path, many: np.ndarray, kind: tuple[str, str, int], pictures: bool, options: dict
) -> None:
    container, encoder, rate = kind
    with av.open(str(file), "w", format=container, options=options) as out:
        if pictures:
            seen = out.add_stream("mpeg4" if container != "webm" else "libvpx", rate=10)
            seen.width = seen.height = 32
            seen.pix_fmt = "yuv420p"
        if len(many):
            heard = out.add_stream(encoder, rate=rate)
            heard.layout = {1: "mono", 2: "stereo", 6: "5.1"}[many.shape[1]]
            if encoder == "wmav2":
                heard.bit_rate = 64_000
            bits = "s16" if encoder in ("pcm_s16le", "adpcm_ms") else heard.format.name
            convert = av.AudioResampler(bits, heard.layout, rate, heard.codec_context.frame_size)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(many.T.astype(np.float32)), "fltp", heard.layout.name
            )
            frame.sample_rate = rate
            frame.time_base = Fraction(1, rate)
            for ready in [*convert.resample(frame), *convert.resample(None), None]:
                for packet in heard.encode(ready):
                    out.mux(packet)
        if pictures:
            for number in range(10):
                grey = np.full((32, 32, 3), 20 * number, np.uint8)
                for packet in seen.encode(av.VideoFrame.from_ndarray(grey)):
                    out.mux(packet)
            for packet in seen.encode(None):
                out.mux(packet)
