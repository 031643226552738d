"""The one loader for a person's sound: the audio tab, the recipe and its data sets all go through
it.

    from training.media.sounds import from_bytes, load_sound

    sound = load_sound("call.mp3")  # sound.samples: float32 (n,), one channel, 16,000 a second
    sound = from_bytes(row["bytes"], row["path"])  # as data sets hold them

libsndfile decodes WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF (sound_files.py), PyAV what
phones and browsers record and the sound of films (sound_containers.py); soxr resamples. No program
ffmpeg is needed. What is odd about a recording and could be put right is said in `notes`.

A file is decoded twice, a block at a time: once to find its channels' levels, its centre and its
faults, once to mix and resample. So memory holds the result and one block, whatever the rate, the
channels and the header say. Only the first `longest` seconds are heard: an hour costs what ten
minutes cost (at 16 kHz 38 MB).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr

from training.media.sound_containers import READERS, Container, NoSound
from training.media.sound_files import UNKNOWN, Heading, SoundFile
from training.media.uploads import SOUND, first_bytes, name_kind, quoted_name

SHORTEST = 0.1  # seconds
LONGEST = 600.0  # seconds
RATES = (1_000, 768_000)  # samples a second that a file may have
# Of files that are meant to be sounds, whatever they hold.
ENDINGS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".webm", ".amr", ".3gp", ".aac",
    ".wma", ".aif", ".aiff", ".au", ".caf",
)  # fmt: skip
SILENCE = 0.001  # -60 dB of full scale: the loudest tenth of a second must have this RMS
MOST = 1 << 29  # numbers read in all: a small file can claim 255 channels of nothing, for hours
# float files may hold 32-bit integers unscaled; beyond that a number is broken
SENSIBLE = float(1 << 32)
# The share of the full scale from which a sample counts as clipped: the highest step of the type.
FULL = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128}
FULL_OTHERWISE = 32766.5 / 32768
NAMED = {  # the usual ending of each kind
    "a WAV file": ".wav",
    "a FLAC file": ".flac",
    "an Ogg file": ".ogg",
    "an MP3 file": ".mp3",
    "an AIFF file": ".aiff",
    "an AU file": ".au",
    "a CAF file": ".caf",
    "an M4A or MP4 file": ".m4a",
    "a WebM or Matroska file": ".webm",
    "an AMR recording": ".amr",
    "an AAC file": ".aac",
    "a WMA file": ".wma",
}
FOREIGN = (  # kinds that libsndfile does not read
    "an M4A or MP4 file",
    "a WebM or Matroska file",
    "an AMR recording",
    "a WMA file",
    "an AAC file",
    "an AVI film",
    "a Flash film",
)
WHAT_TO_DO = (
    "Record or copy it again, or save it as WAV, FLAC, Ogg or MP3 in a sound program, and try that "
    "file."
)
CHOOSE = "Choose a recording: WAV, MP3, M4A, Ogg, FLAC, WebM and many others are read."


class SoundError(ValueError):
    """A sound that cannot be used. The text is a sentence for the person: what was wrong, what to
    do."""


@dataclass(frozen=True)
class Sound:
    """What was heard. `samples` is float32 (n,), one channel, within -1 to 1, `rate` a second."""

    samples: np.ndarray
    rate: int
    original_rate: int
    channels: int
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def load_sound(source: str | Path, rate: int = 16_000, longest: float = LONGEST) -> Sound:
    """Read the first `longest` seconds of a sound file as one channel, `rate` samples a second.

    Raises SoundError for what is no sound, under 0.1 s, silent (below -60 dB) or damaged from its
    start.
    """
    path = Path(source)
    return _load(
        str(path),
        quoted_name(path),
        first_bytes(path, "sound", "recording", SoundError),
        rate,
        longest,
    )


def is_sound(path: Path) -> bool:
    """Whether a file is meant to be a sound: by its name, or since it begins like one. What is
    wrong with one that cannot be read, load_sound says."""
    if path.suffix.lower() in ENDINGS:
        return True
    with contextlib.suppress(SoundError):
        return name_kind(first_bytes(path, "sound", "recording", SoundError))[0] == SOUND
    return False


def measure_sound(path: Path) -> float | None:
    """Seconds as its heading has them; None of what no reader opens, or where it does not say."""
    with contextlib.suppress(Exception):  # a damaged header can raise almost anything, by format
        head = first_bytes(path, "sound", "recording", SoundError)
        for reader in _list_readers(str(path), head):
            with contextlib.suppress(Exception):  # the next one may know it
                heading = reader.read_heading()
                if heading.promised < UNKNOWN:
                    return heading.promised / heading.rate
    return None


def name_sound_ending(path: Path) -> str:
    """The ending of what a sound holds, where its own name has none of a sound's; else empty."""
    if path.suffix.lower() in ENDINGS:
        return ""
    with contextlib.suppress(SoundError):
        kind = name_kind(first_bytes(path, "sound", "recording", SoundError))[1]
        return NAMED.get(kind, "")
    return ""


def from_bytes(
    content: bytes, name: str = "", rate: int = 16_000, longest: float = LONGEST
) -> Sound:
    """The same for a file's content; `name` is what a refusal calls it (of a path, the last
    part)."""
    name = quoted_name(Path(name)) if name else "The recording"
    if not content:
        raise SoundError(f"{name} is empty (0 bytes). Choose another recording.")
    return _load(bytes(content), name, bytes(content[:1024]), rate, longest)


def _load(source: str | bytes, name: str, head: bytes, rate: int, longest: float) -> Sound:
    survey = _survey(source, name, head, longest)
    blocks = survey.reader.read_blocks(survey.frames)
    mixed = (_clean(block)[0] @ survey.weights for block in blocks)
    gain = np.float32(1 / max(1.0, survey.peak))
    samples = _resample(
        ((block - np.float32(survey.centre)) * gain for block in mixed), survey.rate, rate
    )
    if measure_loudest(samples, rate) < SILENCE:
        which = "The part that is heard of " if survey.longer else ""
        raise SoundError(
            f"{which}{name} is silent: nothing in it is louder than -60 dB of full scale. Check "
            "that the right microphone is on and not muted, and record again."
        )
    # Resampling can overshoot what was at full scale.
    samples /= max(1.0, float(np.abs(samples).max()))
    return Sound(samples, rate, survey.rate, survey.channels, survey.notes())


@dataclass
class _Survey:
    """What the first reading finds: how to mix a recording, and what to say of it."""

    reader: SoundFile | Container
    heading: Heading
    frames: int = 0  # frames there are, within the limit
    longer: bool = False
    peak: float = 0.0
    clipped: int = 0  # numbers at full scale, of frames * channels
    broken: int = 0  # numbers that are none, or absurd
    centre: float = 0.0
    weights: np.ndarray = field(default_factory=lambda: np.ones(1, np.float32))

    @property
    def rate(self) -> int:
        return self.heading.rate

    @property
    def channels(self) -> int:
        return self.heading.channels

    def notes(self) -> list[str]:
        """What a person should know of the recording, each in a few words."""
        said = []
        share = 100 * self.clipped / (self.frames * self.channels)
        heard = self.frames / self.rate
        if self.longer:
            limit = _exact_duration(heard)
            said.append(f"longer than {limit}: only the first {limit} are heard")
        elif self.reader.cut or self.frames < self.heading.promised < UNKNOWN:
            said.append(f"damaged or incomplete: only the first {heard:.1f} s could be read")
        if self.channels > 1 and np.ptp(self.weights) == 0:
            kind = "stereo" if self.channels == 2 else f"{self.channels} channels"
            said.append(f"{kind}: mixed to one channel")
        elif self.channels > 1:
            which = int(self.weights.argmax()) + 1
            said.append(
                f"mixing its {self.channels} channels would lose the sound: only channel {which} "
                "is heard"
            )
        if self.broken:
            said.append(f"{self.broken} broken samples (not numbers): silenced")
        if self.peak > 1.01:
            said.append(f"up to {round(self.peak, 2):,.12g} times full scale: turned down")
        # A pure tone that just fits has 0.6%. Floats beyond full scale are no sign of it; lossy
        # decoders' are.
        if share >= 1 and not (self.heading.subtype in ("FLOAT", "DOUBLE") and self.peak > 1.01):
            said.append(f"clipped: {share:.0f}% of samples at full scale")
        if self.centre:
            said.append(
                f"off centre by {100 * abs(self.centre) / max(1.0, self.peak):.0f}% of full scale: "
                "centred"
            )
        return said


def _survey(source: str | bytes, name: str, head: bytes, longest: float) -> _Survey:
    """Read all that will be heard, keep nothing but its measures. Raises SoundError for what cannot
    be used."""
    found = _open_survey(source, name, head, longest)
    if not found.frames and (found.heading.promised or found.reader.cut):
        raise SoundError(
            f"{name} is damaged or incomplete: its sound cannot be decoded. {WHAT_TO_DO}"
        )
    if not found.frames:
        raise SoundError(f"{name} holds no sound: its header says 0 samples. Record it again.")
    if found.broken > found.frames * found.channels / 2:
        raise SoundError(
            f"{name} is broken: more than half of its samples are no numbers. Record it again."
        )
    if found.frames < SHORTEST * found.rate:
        there = "what can be read of it is " if found.reader.cut else ""
        raise SoundError(
            f"{name} is too short: {there}{1000 * found.frames / found.rate:.3g} ms. At least "
            f"{SHORTEST} s are needed; record a whole sentence."
        )
    return found


def _open_survey(source: str | bytes, name: str, head: bytes, longest: float) -> _Survey:
    """By the first reader that finds something to hear; else by the first that opens it. Raises
    SoundError where none does."""
    surveys = []
    for reader in _list_readers(source, head):
        try:
            found = _Survey(reader, reader.read_heading())
        except NoSound as error:
            raise SoundError(f"{name} is a film without sound. {CHOOSE}") from error
        except Exception:  # noqa: S112  a damaged header can raise almost anything, by format
            continue
        if not RATES[0] <= found.rate <= RATES[1]:
            raise SoundError(
                f"{name} says that it has {found.rate:,} samples a second; {RATES[0]:,} to "
                f"{RATES[1]:,} can be read. Save it with 16,000 and try again."
            )
        limit = min(int(longest * found.rate), MOST // found.channels)
        _measure(found, reader.read_blocks(limit))
        found.longer = found.frames == limit and found.heading.promised > limit
        surveys.append(found)
        if found.frames:
            return found
    if not surveys:
        raise SoundError(_why_not(name, head))
    return surveys[0]


def _list_readers(source: str | bytes, head: bytes) -> list[SoundFile | Container]:
    """Those that may read what begins so, the likeliest first."""
    group, kind = name_kind(head)
    if group not in (SOUND, ""):
        return []
    containers: list[SoundFile | Container] = []
    if kind in READERS:
        containers = [Container(source, READERS[kind])]
    return [*containers, SoundFile(source)] if kind in FOREIGN else [SoundFile(source), *containers]


def _measure(found: _Survey, blocks: Iterator[np.ndarray]) -> None:
    """Levels, faults and centre of a recording, and with which weight each channel is heard."""
    count = found.channels
    full = FULL.get(found.heading.subtype, FULL_OTHERWISE)
    even = np.full(count, 1 / count, np.float32)
    total = np.zeros(count)
    power = np.zeros(count)
    mixed = 0.0
    for raw in blocks:
        block, broken = _clean(raw)
        size = np.abs(block)
        found.frames += len(block)
        found.broken += broken
        found.peak = max(found.peak, float(size.max()))
        found.clipped += int(np.count_nonzero(size >= full))
        total += block.sum(0, dtype=np.float64)
        power += np.einsum("ij,ij->j", block, block, dtype=np.float64)
        mixed += float(np.square(block @ even, dtype=np.float64).sum())
    middle = total / max(1, found.frames)
    # Without their means, since an offset that all channels share would hide that the sound in them
    # cancels.
    alone = power / max(1, found.frames) - middle**2
    together = mixed / max(1, found.frames) - middle.mean() ** 2
    # Opposite phases cancel, and one voice in six channels drowns: then the loudest channel is
    # heard alone.
    found.weights = (
        even if together >= 0.1 * alone.max() else np.eye(count, dtype=np.float32)[alone.argmax()]
    )
    centre = float(middle @ found.weights)
    found.centre = centre if abs(centre) > 0.01 * max(1.0, found.peak) else 0.0


def _clean(block: np.ndarray) -> tuple[np.ndarray, int]:
    """The block with 0 for what is no number or absurdly large, and how many those were."""
    good = np.abs(block) <= SENSIBLE  # false for NaN too
    broken = good.size - int(np.count_nonzero(good))
    return (np.where(good, block, np.float32(0)) if broken else block), broken


def _resample(blocks: Iterator[np.ndarray], old: int, new: int) -> np.ndarray:
    """Blocks of one channel at `old` a second as one float32 (n,) at `new` a second."""
    if old == new:
        return np.concatenate(list(blocks))
    stream = soxr.ResampleStream(old, new, 1, dtype="float32")
    parts = [stream.resample_chunk(block) for block in blocks]
    return np.concatenate([*parts, stream.resample_chunk(np.zeros(0, np.float32), last=True)])


def measure_loudest(samples: np.ndarray, rate: int) -> float:
    """The RMS of the loudest tenth of a second, about its own mean."""
    width = min(len(samples), rate // 10)
    return float(samples[: len(samples) // width * width].reshape(-1, width).std(1).max())


def _exact_duration(seconds: float) -> str:
    """`0.5 seconds`, `100 seconds` or `10 minutes`: where sound is cut off, which wording.duration
    rounds (to `0 s`, `2 min` and `10 min`)."""
    return f"{seconds / 60:.3g} minutes" if seconds >= 120 else f"{seconds:.3g} seconds"


def _why_not(name: str, head: bytes) -> str:
    """The sentence for a file that is not decoded, by its first bytes."""
    group, kind = name_kind(head)
    if group == SOUND:
        return (
            f"{name} starts like {kind} but is damaged, incomplete or of a rare kind. {WHAT_TO_DO}"
        )
    if group:
        return f"{name} is {kind}, not a sound. {CHOOSE}"
    return f"{name} is not a sound that can be read here. {CHOOSE}"
