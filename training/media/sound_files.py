"""Sounds as libsndfile reads them: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
BLOCK = 1 << 18  # numbers read at a time, over all channels
UNKNOWN = 1 << 40  # a length in frames that no file has: streamed FLAC says 2**63 - 1
PAGE = 1 << 16  # bytes: no page of an Ogg file is longer


@dataclass(frozen=True)
class Heading:
    """What a file says of its sound."""

    rate: int  # frames a second
    channels: int
    promised: int  # frames; UNKNOWN or more where it does not say
    subtype: str = ""  # how libsndfile names the type of its numbers


class SoundFile:
    """A file, or what one holds."""

    def __init__(self, source: str | bytes) -> None:
        self.source = source
        self.cut = False  # whether it ends in the middle of what it is made of

    def read_heading(self) -> Heading:
        """Raises LibsndfileError and, for damaged headers, almost anything else."""
        with self._open() as file:
            if file.format not in FORMATS:
                raise ValueError(f"{file.format} is a format of numbers, not of sound")
            self.cut = file.format == "OGG" and _is_cut_ogg(self.source)
            promised = _promised_frames(file)
            return Heading(file.samplerate, file.channels, promised, file.subtype)

    def read_blocks(self, limit: int) -> Iterator[np.ndarray]:
        """The first `limit` frames, float32 (n, channels) at a time, ending where decoding
        fails."""
        with self._open() as file:
            left = limit
            size = max(1, BLOCK // file.channels)
            while left > 0:
                # Marked, so that what was decoded before an error is known: streamed FLAC ends in
                # one.
                room = np.full((min(left, size), file.channels), np.nan, np.float32)
                try:
                    block = file.read(out=room)
                except soundfile.LibsndfileError:
                    block = room[: int((~np.isnan(room).all(1)).cumprod().sum())]
                    left = 0
                if not len(block):
                    return
                left -= len(block)
                yield block

    def _open(self) -> soundfile.SoundFile:
        held = self.source
        return soundfile.SoundFile(io.BytesIO(held) if isinstance(held, bytes) else held)


def _promised_frames(file: soundfile.SoundFile) -> int:
    """How many frames a header speaks of; of an incomplete WAV or AIFF, libsndfile counts those
    that there are."""
    sizes = re.search(
        r"^ ?(?:data|SSND|  Data Size) +: (\d+) \(should be (\d+)\)", file.extra_info, re.M
    )
    said, held = map(int, sizes.groups()) if sizes else (1, 1)
    # A program that writes into a pipe cannot come back to the header, and leaves a number near the
    # largest there.
    return file.frames * said // held if 0 < held < said < 0x7FF00000 else file.frames


def _is_cut_ogg(source: str | bytes) -> bool:
    """Whether the last page is not whole, or not marked as the last one. (An Ogg file tells its
    length nowhere else.)"""
    tail = source[-2 * PAGE :] if isinstance(source, bytes) else _read_tail(Path(source))
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27:
        return True
    lengths = page[27 : 27 + page[26]]
    whole = len(lengths) == page[26] and 27 + len(lengths) + sum(lengths) <= len(page)
    return not whole or not page[5] & 4


def _read_tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * PAGE))
        return file.read()
