"""Synthesised calls to a bank: MInDS-14's 14 intents in our own words, spoken by espeak-ng's many
voices.

    from training.samples.speech import clips

    for clip in clips(3000): ...                                  # training words, training voices
    clips(3000, voices="varied"); clips(700, "held_out", "held_out"); clips(196, "judge", "flite")

Clip i depends on (words, voices, seed, i) alone, and its intent is i % 14. The samples are those of
a telephone: 8,000 a second, 16 bits, one channel. Needs the programs espeak-ng (1.51 made the
embedded sample) and, for the last judgement, flite: `apt-get install espeak-ng flite`. It is
synthesised speech, and must be called that.
"""

from __future__ import annotations

import html
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import soxr

from training.samples.voices import (
    ACCENTS,
    FLITE,
    SPEAKERS,
    TIMBRES,
    make_known,
    make_up_speaker,
    timbre,
)
from training.samples.wordings import INTENTS, PARTS, judge_sentences, sentence

RATE = 8_000
# marks of stress and length, which are left out of what is pronounced
STRESS = str.maketrans("", "", "ˈˌː")
MADE_UP = 0.5  # of the "varied" speakers
AT_A_TIME = 32  # clips made ahead of whoever takes them


class SpeechError(RuntimeError):
    """Speech that cannot be made; the text says what to install."""


@dataclass(frozen=True)
class Clip:
    """One call: int16 (n,) at RATE, the intent's index in INTENTS, what is said, who says it, and
    its sounds."""

    samples: np.ndarray
    label: int
    text: str
    voice: str
    # in the IPA, without stress, as this voice speaks them; "" where that is not known
    phones: str = ""


@dataclass(frozen=True)
class Order:
    """All that decides how a clip sounds."""

    label: int
    text: str
    voice: str
    pace: float  # words a minute for espeak-ng, a stretch for flite
    pitch: float  # 0 to 99 for espeak-ng, Hz for flite
    melody: int  # how far the pitch moves, percent of the usual
    gap: int  # pauses between words, in 10 ms
    size: float  # of the head: above 1 all frequencies of the voice are higher
    before: float  # seconds of silence
    after: float
    peak: float  # of full scale
    timbre: str = ""  # what espeak-ng is to know of a speaker that it does not come with


def clips(
    count: int,
    words: str = "train",
    voices: str = "train",
    seed: int = 0,
    workers: int | None = None,
) -> Iterator[Clip]:
    """`count` clips, in order, made by `workers` processes at a time (all processors if None).

    `words` is one of wordings.PARTS, `voices` one of SPEAKERS. Raises SpeechError without the
    synthesiser.
    """
    program = "flite" if voices == "flite" else "espeak-ng"
    if not shutil.which(program):
        raise SpeechError(
            f"The program {program} is not installed; `apt-get install {program}` does that."
        )
    orders = (order(index, words, voices, seed) for index in range(count))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        while batch := list(itertools.islice(orders, AT_A_TIME)):
            yield from pool.map(speak, batch)


def order(index: int, words: str, voices: str, seed: int = 0) -> Order:
    """What clip `index` is to say, and how."""
    rng = np.random.default_rng([seed, PARTS.index(words), SPEAKERS.index(voices), index])
    label = index % len(INTENTS)
    if words == "judge":  # each sentence in turn, so that 196 clips hold all of them once
        own = judge_sentences()[INTENTS[label]]
        text = own[index // len(INTENTS) % len(own)]
    else:
        text = sentence(words, INTENTS[label], rng)
    before = rng.uniform(0.05, 0.6)
    after = rng.uniform(0.05, 0.6)
    peak = 10 ** rng.uniform(-0.7, -0.05)
    room = (before, after, peak)
    if voices == "flite":
        voice = list(FLITE)[rng.integers(len(FLITE))]
        pitch = FLITE[voice] * rng.uniform(0.9, 1.12)
        return Order(label, text, voice, rng.uniform(0.85, 1.25), pitch, 100, 0, 1.0, *room)
    voice = "+".join(
        names[rng.integers(len(names))] for names in (ACCENTS[voices], TIMBRES[voices])
    )
    size = rng.uniform(0.88, 1.14)
    pace = rng.uniform(120, 210)
    gap = int(rng.choice([0, 0, 1, 2, 4]))
    own = make_up_speaker(rng) if voices == "varied" and rng.random() < MADE_UP else ""
    voice = f"{voice.split('+')[0]}+{timbre(own)}" if own else voice
    pitch = rng.uniform(20, 80)
    melody = int(rng.uniform(40, 180))
    return Order(label, text, voice, pace / size, pitch, melody, gap, size, *room, timbre=own)


def speak(what: Order) -> Clip:
    """The clip of an order. Raises SpeechError where the synthesiser gives no sound."""
    samples, rate, phones = _flite(what) if what.voice in FLITE else _espeak(what)
    # A larger or smaller head is what a tape played slower or faster sounds like; the pace has been
    # set against it.
    sound = soxr.resample(samples.astype(np.float32), rate * what.size, RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    sound *= 32767 * what.peak / np.abs(sound).max()
    silence = [np.zeros(round(seconds * RATE), np.int16) for seconds in (what.before, what.after)]
    return Clip(np.concatenate([silence[0], np.rint(sound).astype(np.int16), silence[1]]),
                what.label, what.text, what.voice, phones)  # fmt: skip


def _espeak(what: Order) -> tuple[np.ndarray, int, str]:
    text = f'<prosody range="{what.melody}%">{html.escape(what.text, quote=False)}</prosody>'
    options = {
        "-v": what.voice,
        "-s": round(what.pace),
        "-p": round(what.pitch),
        "-g": what.gap,
        "-b": 1,
    }
    arguments = [str(each) for pair in options.items() for each in pair]
    command = [
        "espeak-ng",
        "-m",
        "--stdin",
        "--stdout",
        "--ipa",
        "--phonout=/dev/stderr",
        *arguments,
    ]
    with (
        make_known(what.voice.split("+")[1], what.timbre)
        if what.timbre
        else nullcontext([]) as more
    ):
        samples, rate, phones = _wave([*command, *more], what, text.encode())
    return samples, rate, " ".join(phones.translate(STRESS).split())


def _flite(what: Order) -> tuple[np.ndarray, int, str]:
    settings = [f"duration_stretch={what.pace:.3f}", f"int_f0_target_mean={what.pitch:.1f}"]
    arguments = [each for setting in settings for each in ("--setf", setting)]
    command = ["flite", "-voice", what.voice, *arguments, "-t", what.text, "-o", "/dev/stdout"]
    samples, rate, _ = _wave(command, what, None)
    return samples, rate, ""


def _wave(command: list[str], what: Order, text: bytes | None) -> tuple[np.ndarray, int, str]:
    """Samples, int16 (n,), and rate of the WAV that a program writes into a pipe, hence with no
    true length; and what else it says."""
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    samples = np.frombuffer(done.stdout[44:][: (len(done.stdout) - 44) // 2 * 2], "<i2")
    said = done.stderr.decode(errors="replace")
    if done.returncode or not samples.any():
        why = said.strip() or "no sound came"
        raise SpeechError(f"{command[0]} could not speak as {what.voice}: {why}")
    return samples, int.from_bytes(done.stdout[24:28], "little"), said
