"""Sounds as phones, browsers and cameras keep them: M4A, MP4 and 3GP, WebM, AMR, WMA, AAC, and
films, of which the sound is heard. PyAV decodes them with the FFmpeg libraries that it brings: no
program is needed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError

from training.media.sound_files import BLOCK, UNKNOWN, Heading

# How FFmpeg names the reader of each kind in training/media/uploads.py. It is always named: left to
# guess, FFmpeg takes a text for a list of files or addresses, which it would open.
READERS = {
    "an M4A or MP4 file": "mov",
    "a WebM or Matroska file": "matroska",
    "an AMR recording": "amr",
    "a WMA file": "asf",
    "an AAC file": "aac",
    "an AVI film": "avi",
    "a Flash film": "flv",
    "an Ogg file": "ogg",
    "a WAV file": "wav",
    "an AIFF file": "aiff",
    "a CAF file": "caf",
    "an AU file": "au",
    "an MP3 file": "mp3",
    "a FLAC file": "flac",
}
# Encoders fill up what they begin and end with, which headers count or not.
FILLING = 0.25  # seconds


class NoSound(ValueError):
    """There are pictures in the film, and no sound."""


class Container:
    """A file, or what one holds, that FFmpeg's reader `reader` knows."""

    def __init__(self, source: str | bytes, reader: str) -> None:
        self.source = source
        self.reader = reader
        self.cut = False  # whether it ended in the middle of a packet, as far as it was read

    def read_heading(self) -> Heading:
        """As its first sound has it: some headers name half the rate. Raises NoSound and, for
        damaged files, FFmpegError or ValueError."""
        with self._open() as opened:
            if not opened.streams.audio:
                raise NoSound
            stream = opened.streams.audio[0]
            first = next(self._frames(opened), None)
            if first is None:
                raise ValueError("nothing can be decoded")
            seconds = None
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            elif opened.duration and not opened.streams.video:  # of a film it is the pictures'
                seconds = opened.duration / av.time_base
            promised = UNKNOWN
            if seconds is not None:
                promised = max(1, round((seconds - FILLING) * first.sample_rate))
            channels = first.layout.nb_channels
        return Heading(first.sample_rate, channels, promised)

    def read_blocks(self, limit: int) -> Iterator[np.ndarray]:
        """The first `limit` frames, float32 (n, channels) at a time, ending where decoding
        fails."""
        parts: list[np.ndarray] = []
        held = 0
        with self._open() as opened:
            for part in self._samples(opened):
                parts.append(part[: limit - held])
                held += len(parts[-1])
                if sum(map(np.size, parts)) >= BLOCK:
                    yield np.concatenate(parts)
                    parts = []
                if held >= limit:
                    break
        if parts:
            yield np.concatenate(parts)

    @contextmanager
    def _open(self) -> Iterator[InputContainer]:
        held = self.source
        # Never by its name, which FFmpeg might take for an address.
        with io.BytesIO(held) if isinstance(held, bytes) else open(held, "rb") as file:
            with av.open(file, mode="r", format=self.reader) as opened:
                yield opened

    def _frames(self, opened: InputContainer) -> Iterator[AudioFrame]:
        """Of the first sound, from the first frame that can be decoded to the first that
        cannot."""
        begun = False
        packets = opened.demux(opened.streams.audio[0])
        while True:
            try:
                packet = next(packets, None)
                self.cut |= packet is not None and packet.is_corrupt
                frames = packet.decode() if packet is not None else []
            except (FFmpegError, ValueError):
                if begun:
                    return
                continue
            if packet is None:
                return
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    begun = True
                    yield frame

    def _samples(self, opened: InputContainer) -> Iterator[np.ndarray]:
        """float32 (n, channels), as long as rate and channels stay what they were."""
        convert = None
        first = None
        for frame in self._frames(opened):
            kind = (frame.sample_rate, frame.layout.nb_channels)
            if first is None:
                first = kind
                # Interleaved: of one plane a channel, PyAV (18.1) reads past the eighth, and the
                # whole process ends.
                convert = av.AudioResampler(format="flt")
            if kind != first or convert is None:
                return
            try:
                converted = convert.resample(frame)
            except (FFmpegError, ValueError):  # such as for more channels than it can name
                return
            for ready in converted:
                yield ready.to_ndarray().reshape(-1, kind[1])
