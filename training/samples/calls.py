"""The embedded sample of calls to a bank: synthesised speech, 14 intents, kept as Ogg files beside
this one.

    from training.samples.calls import load_calls

    clips = load_calls("train")  # speech.Clip: int16 samples at 8,000 a second, label, text, voice

    python -m training.samples.calls  # makes the files again; needs espeak-ng

Opus, a telephone's codec, holds it in the fewest bytes for what is lost. Each file holds one
intent's clips of one split in a row, with a little silence between them; index.jsonl says where
they are, a line each. The "test" split has other speakers and other wordings than "train". Nothing
here is pickled, and it holds no person's voice.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from training.samples.speech import RATE, Clip, clips
from training.samples.wordings import INTENTS

FOLDER = Path(__file__).with_name("calls_ogg")
# Split: whose words, whose voices, clips of each intent.
SPLITS = {"train": ("train", "train", 30), "test": ("held_out", "held_out", 10)}
SEED = 14
LONGEST = 9.0  # seconds; longer clips are left out, which is one in ten
GAP = RATE // 10  # zeros after each clip, so that none is heard in the next one's beginning
LEVEL = 0.97  # of compression: about 11 kilobits a second
PIECE = 8192  # frames written at a time: libsndfile crashes on a long piece of Vorbis


def load_calls(
    split: str = "train", per_intent: int | None = None, folder: Path = FOLDER
) -> list[Clip]:
    """The clips of a split in a fixed order, all intents in turn; the first `per_intent` of each if
    that is given."""
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["split"] == split]
    chosen = {
        intent: [row for row in rows if row["intent"] == intent][:per_intent] for intent in INTENTS
    }

    def decode(intent: str) -> np.ndarray:
        last = chosen[intent][-1] if chosen[intent] else {"start": 0, "frames": 0}
        return soundfile.read(
            folder / f"{split}-{intent}.ogg", last["start"] + last["frames"], dtype="int16"
        )[0]

    with ThreadPoolExecutor() as pool:  # the decoder lets go of the interpreter
        sounds = dict(zip(INTENTS, pool.map(decode, INTENTS), strict=True))
    most = max(map(len, chosen.values()))
    return [
        Clip(
            sounds[intent][row["start"] : row["start"] + row["frames"]],
            label,
            row["text"],
            row["voice"],
        )
        for turn in range(most)
        for label, intent in enumerate(INTENTS)
        for row in chosen[intent][turn : turn + 1]
    ]


def make(folder: Path = FOLDER, splits: dict[str, tuple[str, str, int]] = SPLITS) -> int:
    """Speak the sample and write it; returns its size in bytes. Raises SpeechError without
    espeak-ng."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, (words, voices, count) in splits.items():
        kept = _choose(words, voices, count)
        for intent, own in zip(INTENTS, kept, strict=True):
            rows += [
                dict(split=split, intent=intent, **row)
                for row in _write(folder / f"{split}-{intent}.ogg", own)
            ]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "index.jsonl").write_text("".join(lines), "utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def _choose(words: str, voices: str, count: int) -> list[list[Clip]]:
    """`count` clips of each intent that are not too long and say what no other says."""
    kept: list[list[Clip]] = [[] for _ in INTENTS]
    said = set()
    for clip in clips(4 * count * len(INTENTS), words, voices, SEED):
        fits = len(clip.samples) <= LONGEST * RATE and clip.text not in said
        if fits and len(kept[clip.label]) < count:
            said.add(clip.text)
            kept[clip.label].append(clip)
        if all(len(each) == count for each in kept):
            return kept
    raise ValueError(f"There are too few short wordings for {count} clips of each intent.")


def _write(path: Path, kept: list[Clip]) -> list[dict]:
    """Write clips in a row; returns where each is, in frames, and what it says."""
    rows = []
    start = 0
    with soundfile.SoundFile(
        path, "w", RATE, 1, "OPUS", format="OGG", compression_level=LEVEL
    ) as file:
        for clip in kept:
            sound = np.concatenate([clip.samples, np.zeros(GAP, np.int16)])
            for at in range(0, len(sound), PIECE):
                file.write(sound[at : at + PIECE])
            rows.append(
                dict(start=start, frames=len(clip.samples), voice=clip.voice, text=clip.text)
            )
            start += len(sound)
    return rows


if __name__ == "__main__":
    print(f"{make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER) / 1e6:.2f} MB")
