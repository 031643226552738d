"""The data of the audio recipe: clips and their classes, from the Hub, from the sample or from a
folder.

A clip is read as one channel, 16,000 samples a second. The first seconds of it are kept, up to the
length limit.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import psutil

from training.data import hub
from training.data.examples import Data, Examples, Kind, load_from_folder
from training.data.hub_examples import load_from_hub
from training.data.hub_rows import NOTHING_CHOSEN, Choice, make_choice
from training.data.own.load import load_own
from training.data.problems import Problem
from training.data.splits import bucket
from training.device import cores
from training.media.sounds import SoundError, from_bytes, is_sound, load_sound
from training.recipe import SettingsError
from training.recipes.audio_intent.config import Config
from training.runs.run import Run

if TYPE_CHECKING:  # it needs a program that synthesises speech, which only its source needs
    from training.samples.speech import Clip

RATE = 16_000
SAMPLE = "calls to a bank, synthesised speech"
USUAL_PART = "en-US"  # of MInDS-14, and the setting's default
INTENT = "intent_class"  # of MInDS-14, beside the language
TESTED = 700  # clips that a checkpoint of spoken calls is scored on
# the length limit: as long as this share of the clips are, in seconds at most
USUAL = 0.95
MOST = 30.0


# Examples that are read as float32 (n,), RATE a second.
Clips: TypeAlias = Examples[np.ndarray]


def _decode(source: bytes | Path, name: str) -> np.ndarray:
    sound = (
        from_bytes(source, name, RATE) if isinstance(source, bytes) else load_sound(source, RATE)
    )
    return sound.samples


KIND = Kind(
    "clips",
    is_sound,
    "Audio",
    _decode,
    lambda samples: np.rint(samples * 4095).astype("<i2").tobytes(),
    SoundError,
    "transcription",
)


class Heard:
    """The first `seconds` of each clip as int16 (n,): in memory where they fit into a third of it,
    else decoded when asked. What cannot be read is told in `problems`, and is a moment of silence.
    """

    def __init__(self, clips: Clips, seconds: float, beat: Callable[[], object] = int):
        self.clips = clips
        self.seconds = seconds  # 0: all of it
        self.lengths = np.zeros(len(clips), np.int64)  # samples that are heard
        self.whole = np.zeros(len(clips), np.int64)  # samples that there are
        self.problems: list[Problem] = []
        self.packed: list[np.ndarray] | None = []
        room = psutil.virtual_memory().available / 3
        with ThreadPoolExecutor(cores()) as pool:
            for i, samples in enumerate(pool.map(self._read, range(len(clips)))):
                self.whole[i] = len(samples)
                self.lengths[i] = min(len(samples), self.most or len(samples))
                room -= 2 * self.lengths[i]
                if self.packed is not None:
                    self.packed.append(samples[: self.lengths[i]])
                    self.packed = self.packed if room > 0 else None
                if i % 64 == 0:
                    beat()

    @property
    def most(self) -> int:
        """The limit in samples."""
        return round(self.seconds * RATE)

    def _read(self, index: int) -> np.ndarray:
        try:
            return np.rint(self.clips.read_one(index) * 32767).astype(np.int16)
        except SoundError as error:
            name = f"clip {self.clips.places[index]}"
            many = "clips could not be read and are heard as silence"
            self.problems.append(Problem(name, str(error), many, str(error)))
            return np.zeros(RATE // 10, np.int16)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> np.ndarray:
        """float32 (n,), at most as long as the limit."""
        found = self.packed[index] if self.packed is not None else self._read(index)
        return found[: self.lengths[index]].astype(np.float32) / 32767

    def cut(self, seconds: float) -> "Heard":
        """Shortens all to a new limit."""
        self.seconds = seconds
        self.lengths = np.minimum(self.whole, self.most)
        if self.packed is not None:
            self.packed = [samples[: self.most] for samples in self.packed]
        return self


def choose_limit(whole: np.ndarray) -> float:
    """Seconds that are as long as nearly all of these clips are, (N,) samples."""
    return float(min(MOST, max(1.0, np.ceil(np.quantile(whole, USUAL) / RATE * 2) / 2)))


def describe_lengths(whole: np.ndarray, seconds: float) -> str:
    """What a report says of the clips' lengths, and of the limit."""
    low, middle, usual, high = np.quantile(whole, [0, 0.5, USUAL, 1]) / RATE
    cut = int((whole > seconds * RATE).sum())
    return (
        f"clips are {low:.1f} to {high:.1f} s long, half of them under {middle:.1f} s, {USUAL:.0%} "
        f"under {usual:.1f} s; {seconds:g} s of each are heard, which cuts {cut:,} of "
        f"{len(whole):,}"
    )


def load(
    dataset: str,
    source: str,
    folder: str = "",
    language: str = "",
    count: int = 0,
    choice: Choice = NOTHING_CHOSEN,
) -> Data:
    """Everything but the test part is train; `hold_out` parts it again. `language`, `choice`: of a
    data set of the Hub. Raises SettingsError, Stopped."""
    if source == "own":
        return load_own(Path(folder), KIND)
    if source == "folder":
        return load_from_folder(Path(folder), KIND)
    if source == "hub":
        return load_from_hub(dataset, KIND, _choose_part(dataset, language), choice, INTENT)
    return _speak(count) if source == "espeak" else _load_sample()


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=2)(load)


def load_for(config: Config, run: Run | None = None) -> Data:
    """What a config names; `run` is told how far that is. Raises SettingsError, Stopped."""
    choice = make_choice(config, run)
    named = (config.dataset, config.source, config.folder, config.language, config.clips)
    return load_once(*named, choice)


def _choose_part(dataset: str, language: str) -> str | None:
    """The part of a data set that has several. Raises SettingsError."""
    parts = hub.list_configs(dataset)
    if language in parts:
        return language
    if len(parts) == 1 and language in ("", USUAL_PART):  # what nobody chose need not be there
        return None
    raise SettingsError(
        f"{dataset} has no part named {language!r}. Its parts are: {', '.join(parts[:30])}."
    )


def list_texts(clips: Clips) -> Sequence[str]:
    """By place: what is said in each clip of the whole data set. Empty where it does not tell."""
    return cast(Sequence[str], clips.texts or ())


def make_clips(calls: "list[Clip]") -> Clips:
    """Clips of the synthesised calls, from a telephone's rate."""
    import soxr

    from training.samples.speech import RATE as TELEPHONE

    def read(index: int) -> np.ndarray:
        return soxr.resample(
            calls[index].samples.astype(np.float32) / 32768, TELEPHONE, RATE, quality="MQ"
        )

    return Clips(
        read,
        np.arange(len(calls)),
        np.array([call.label for call in calls]),
        np.array([bucket(call.samples.tobytes()) for call in calls]),
        [call.phones or call.text for call in calls],
    )


def _load_sample() -> Data:
    from training.samples.calls import load_calls
    from training.samples.wordings import INTENTS

    test = make_clips(load_calls("test"))
    about = (
        f"the {len(test)} test clips of the sample, synthesised speech of other voices and wordings"
    )
    return Data(
        make_clips(load_calls("train")),
        test,
        INTENTS,
        SAMPLE,
        about,
        "espeak-ng 1.51, seed 14",
        synthetic=True,
    )


def _speak(count: int) -> Data:
    from training.samples.speech import SpeechError, clips
    from training.samples.wordings import INTENTS

    try:
        train = make_clips(list(clips(count, voices="varied")))
        test = make_clips(list(clips(TESTED, "held_out", "held_out")))
    except SpeechError as error:
        raise SettingsError(
            f"{error} Or choose the source 'sample', which needs no program."
        ) from error
    about = f"{TESTED} clips of synthesised speech, of other voices and wordings"
    name = f"{count:,} {SAMPLE}"
    return Data(train, test, INTENTS, name, about, "espeak-ng, seed 0", synthetic=True)
