"""Prints how well each embedded checkpoint tells that an input is unlike all it has learned, and
what telling costs. It asks the Hub (HF_ENDPOINT) for the data; calls need espeak-ng.

    python tests/benchmarks/known.py                  all slots, by what the checkpoints carry
    python tests/benchmarks/known.py food --fit       first measures anew what it knows, from the
                                                      data that it learned from, and writes that
                                                      into demos/checkpoints/food

For each other kind of input: AUROC (the share of pairs of a known input and one of that kind which
it tells apart), and the share that it calls unlike, where 5% of the known ones may be. All answers
are those of the tab. A run measures what it knows by itself; --fit is for checkpoints that were
made before, or by several runs.
"""

import argparse
import io
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw
from timing import measure, median, print_machine

from training.data.examples import Examples
from training.learn import finetune, known
from training.learn.known import Known
from training.learn.loop import Outcome
from training.runs import checkpoint
from training.runs.run import Run

KNOWN = 300  # known inputs that are asked about
OTHERS = 100  # of each other kind
RATE = 16_000
FOOD = "ethz/food101"
SENTENCES = (
    "the little boy plays with a yellow ball in the garden",
    "two dogs are running along the beach",
    "it will rain in the north and clear up towards the evening",
    "add two eggs and a spoon of sugar and stir until it is smooth",
    "the train to the coast leaves from platform nine",
    "she had never seen so many stars before",
    "turn left at the church and follow the river",
    "could you play some music in the kitchen",
)

Inputs: TypeAlias = "dict[str, list[Any]]"
Ended = Outcome(1, 1, False, None)  # of a training long ago


# -- inputs ----------------------------------------------------------------------------------------
def draw(examples: Examples, count: int) -> list[Any]:
    at = np.random.default_rng(0).permutation(len(examples))[:count]
    return [examples.read_one(int(i)) for i in at]


def load_greys(name: str) -> list[Image.Image]:
    from training.recipes.digits import data

    found = draw(data.load_once(name, "hub").test, KNOWN)
    return [Image.fromarray(each) for each in found]


def load_photos() -> Examples:
    from training.recipes.captioning import data

    return data.load_once("jxie/flickr8k", "hub").test


def load_dishes() -> Examples:
    from training.recipes.food import data

    return data.load_once(FOOD, "hub").test


def draw_scenes() -> list[Image.Image]:
    from training.samples.scenes import scenes

    return [Image.fromarray(image) for image in scenes(OTHERS)[0]]


def draw_scribbles() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(OTHERS):
        picture = Image.new("L", (280, 280), 255)
        places = [tuple(map(int, rng.integers(20, 260, 2))) for _ in range(rng.integers(4, 9))]
        ImageDraw.Draw(picture).line(places, fill=0, width=14)
        made.append(picture)
    return made


def make_noise() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sides = rng.choice([16, 64, 224], OTHERS)
    return [Image.fromarray(rng.integers(0, 256, (s, s, 3), dtype=np.uint8)) for s in sides]


def enlarge(greys: list[Image.Image]) -> list[Image.Image]:
    """As a person would bring them: dark on light, and no longer 28 pixels."""
    return [Image.fromarray(255 - np.asarray(grey)).resize((112, 112)) for grey in greys]


def make_tunes() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for _ in range(OTHERS):
        notes = []
        for _ in range(rng.integers(3, 10)):
            t = np.arange(int(RATE * rng.uniform(0.2, 0.6))) / RATE
            pitch = 220 * 2 ** (rng.integers(0, 24) / 12)
            overtones = range(1, int(rng.integers(2, 7)))
            tone = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in overtones)
            notes.append(0.2 * np.exp(-3 * t) * tone)
        yield np.concatenate(notes)


def make_hiss() -> Iterator[np.ndarray]:
    """White to brown noise."""
    rng = np.random.default_rng(0)
    for _ in range(OTHERS):
        count = int(RATE * rng.uniform(1, 5))
        spectrum = np.fft.rfft(rng.normal(size=count))
        steep = rng.choice([0, 0.5, 1])
        made = np.fft.irfft(spectrum / (np.arange(len(spectrum)) + 1.0) ** steep, count)
        yield 0.3 * made / np.abs(made).max()


def make_animals() -> Iterator[np.ndarray]:
    """Barks, birds and crowing, made up."""
    rng = np.random.default_rng(0)
    for _ in range(OTHERS):
        count = int(RATE * rng.uniform(1, 4))
        made = np.zeros(count)
        kind = rng.integers(3)
        for _ in range(rng.integers(1, 6)):
            seconds = rng.uniform(0.1, 0.5)
            t = np.arange(int(seconds * RATE)) / RATE
            arch = np.sin(np.pi * t / seconds)
            trill = np.sin(2 * np.pi * rng.uniform(5, 20) * t)
            pitch = (
                rng.uniform(300, 700) + 200 * arch,
                rng.uniform(1500, 4000) * (1 + 0.3 * trill),
                rng.uniform(400, 900) * (1 + 0.5 * arch),
            )[kind]
            phase = 2 * np.pi * np.cumsum(pitch) / RATE
            call = np.sqrt(np.maximum(arch, 0)) * sum(np.sin(h * phase) / h for h in range(1, 6))
            at = int(rng.integers(0, count - len(t)))
            made[at : at + len(t)] += call
        yield 0.2 * made / np.abs(made).max()


def speak_of_others() -> Iterator[np.ndarray]:
    """Speech, but nothing that one says to a bank."""
    import soundfile
    import soxr

    for number in range(OTHERS):
        voice = ("en-us", "en-gb", "en-gb-scotland", "en-029")[number % 4]
        words = SENTENCES[number % len(SENTENCES)]
        command = ["espeak-ng", "-v", voice, "-s", str(140 + number % 40), "--stdout", words]
        spoken = subprocess.run(command, capture_output=True, check=True).stdout
        (samples, rate) = soundfile.read(io.BytesIO(spoken), dtype="float32")
        yield soxr.resample(samples, rate, RATE)


def make_sounds(samples: Iterator[np.ndarray]) -> list[Any]:
    from training.media.sounds import Sound

    return [Sound(each.astype(np.float32), RATE, RATE, 1, []) for each in samples]


def gather_inputs(slot: str) -> Inputs:
    """By kind; the first kind is known."""
    if slot == "audio":
        from training.recipes.audio_intent import data
        from training.samples.speech import clips

        calls = data.make_clips(list(clips(KNOWN, "held_out", "held_out")))
        return {
            "calls": make_sounds(iter(draw(calls, KNOWN))),
            "tunes": make_sounds(make_tunes()),
            "noise": make_sounds(make_hiss()),
            "animals": make_sounds(make_animals()),
            "other speech": make_sounds(speak_of_others()),
        }
    digits = load_greys("mnist")
    garments = load_greys("fashion_mnist")
    dishes = draw(load_dishes(), KNOWN)
    photos = draw(load_photos(), KNOWN)
    if slot == "food":
        return {
            "dishes": dishes,
            "garments": garments[:OTHERS],
            "digits": digits[:OTHERS],
            "scenes": draw_scenes(),
            "noise": make_noise(),
            "photos": photos[:OTHERS],
        }
    if slot == "captions":
        return {
            "photos": photos,
            "dishes": dishes[:OTHERS],
            "garments": garments[:OTHERS],
            "digits": digits[:OTHERS],
            "noise": make_noise(),
        }
    own, others = ("digits", "garments") if slot == "digits" else ("garments", "digits")
    greys = {"digits": digits, "garments": garments}
    return {
        own: greys[own],
        others: enlarge(greys[others][:OTHERS]),
        "scribbles": draw_scribbles(),
        "photos": photos[:OTHERS],
        "noise": make_noise(),
    }


# -- fitting ---------------------------------------------------------------------------------------
def gather_features(slot: str, path: Path, run: Run) -> Known | None:
    """What a checkpoint knows of the data that it learned from, as its recipe would measure it."""
    if slot == "food":
        from training.recipes.food import data, score
        from training.recipes.food.config import Config
        from training.recipes.food.model import open_network

        (model, preprocessor) = open_network(path)
        config = Config(source="hub", holdout=0.05)
        split = finetune.choose_examples(data.load_once(FOOD, "hub"), config)
        return known.recognise(
            lambda some, at: score.compute_received(model, preprocessor, some, at, run, False),
            *split,
            Ended,
            run,
        )
    if slot == "captions":
        from training.recipes.captioning import data, score
        from training.recipes.captioning.config import Config
        from training.recipes.captioning.model import open_network

        (model, preprocessor) = open_network(path)
        photos = data.load_once("jxie/flickr8k", "hub")
        part, _ = finetune.choose_examples(data.add_scenes(photos, 700), Config(source="hub"))
        # The limit goes by photos: drawn scenes are all alike, and lie nearer.
        _, held = finetune.choose_examples(photos, Config(source="hub"))
        return known.recognise(
            lambda some, at: score.compute_means(model, preprocessor, some, at, run, False),
            part,
            held,
            Ended,
            run,
        )
    if slot == "audio":
        return fit_calls(path, run)
    from training.device import move
    from training.recipes.digits import data, score
    from training.recipes.digits.model import DigitsNet

    model = DigitsNet.from_pretrained(path, use_safetensors=True)
    move(model)
    train = data.load_once("mnist" if slot == "digits" else "fashion_mnist", "hub").train
    return known.recognise(
        lambda some, at: score.compute_features(model, data.stack_images(some[at]), run),
        train,
        train[np.zeros(0, int)],  # nothing was held out
        Ended,
        run,
    )


def fit_calls(path: Path, run: Run) -> Known | None:
    """By other calls of the kind that it learned from."""
    from training.recipes.audio_intent import data, score
    from training.recipes.audio_intent.data import Heard
    from training.recipes.audio_intent.model import open_network
    from training.samples.speech import clips

    (model, preprocessor) = open_network(path)
    train = data.make_clips(list(clips(known.LEARNED, voices="varied")))

    def compute(some: Examples, at: np.ndarray) -> Any:
        heard = Heard(some[at], model.config.seconds, run.beat)
        return score.compute_received(model, preprocessor, heard, run)

    return known.recognise(compute, train, train[np.zeros(0, int)], Ended, run)


def fit(slot: str) -> None:
    path = checkpoint.embedded(slot).path
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), "food", {})
        knows = gather_features(slot, path, run)
        if knows is None:
            raise SystemExit((run.path / "log.txt").read_text("utf-8"))
    knows.save(path)
    size = sum(file.stat().st_size for file in path.glob(f"{checkpoint.KNOWN}.*"))
    print(f"{slot}: written, {size / 1e3:.0f} kB")


# -- measuring -------------------------------------------------------------------------------------
def open_slot(slot: str, runs: Path) -> tuple[Any, Callable[[Any], float | None]]:
    """A tab's slot, and how unlike all it knows an input is there; raises ValueError where the tab
    answers to no such input."""
    from demos import audio_intent, captioning, digits, food
    from demos.serving.model_slot import ModelSlot

    tab = {"audio": audio_intent, "captions": captioning, "food": food}.get(slot, digits)
    made = ModelSlot(slot, tab.SLOTS[slot], runs)
    ask = captioning.caption if slot == "captions" else tab.classify
    return made, lambda thing: ask(made, thing).unlikeness


def ask_all(ask: Callable[[Any], float | None], things: list[Any]) -> np.ndarray:
    """How unlike those are that the tab answers to."""
    found = []
    for thing in things:
        try:
            unlikeness = ask(thing)
        except ValueError:  # a sentence: no garment stands out in this picture ...
            continue
        found.append(np.nan if unlikeness is None else unlikeness)
    return np.array(found)


def compute_auroc(own: np.ndarray, other: np.ndarray) -> float:
    """The share of pairs in which the other one is the more unlike; a tie counts half."""
    gap = other[:, None] - own[None]
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def print_slot(slot: str, runs: Path) -> None:
    (made, ask) = open_slot(slot, runs)
    kinds = gather_inputs(slot)
    (own, *others) = kinds
    base = ask_all(ask, kinds[own])
    facts = checkpoint.embedded(slot).path / f"{checkpoint.KNOWN}.json"
    print(f"\n{slot}: {(base > 1).mean():.1%} of {len(base)} {own} are called unlike; {facts.name}")
    for kind in others:
        found = ask_all(ask, kinds[kind])
        refused = len(kinds[kind]) - len(found)
        told = f"{refused} of {len(kinds[kind])} are answered by a sentence" if refused else ""
        if len(found):
            auroc = compute_auroc(base, found)
            about = f"AUROC {auroc:6.1%}  called unlike {(found > 1).mean():6.1%}  n {len(found)}"
        else:
            about = "none is answered to"
        print(f"  {kind:14}{about}  {told}".rstrip(), flush=True)
    print_cost(made, ask, kinds[own][:30])


def print_cost(slot: Any, ask: Callable[[Any], Any], things: list[Any]) -> None:
    """Milliseconds of an answer, with and without, turn about."""
    alarm = slot.get().predictor.alarm
    held = alarm._known
    took: dict[bool, list[float]] = {True: [], False: []}
    for thing in things:
        for tells in (True, False):
            alarm._known = held if tells else None
            took[tells].append(1000 * measure(lambda thing=thing: ask(thing)))
    alarm._known = held
    with_, without = median(took[True]), median(took[False])
    print(
        f"  an answer takes {with_:.1f} ms, and {without:.1f} ms without (medians of {len(things)})"
    )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    slots = ("digits", "fashion", "food", "audio", "captions")
    parser.add_argument("slots", nargs="*", default=slots, choices=slots)
    parser.add_argument("--fit", action="store_true")
    asked = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as runs:
        for slot in asked.slots:
            if asked.fit:
                fit(slot)
            print_slot(slot, Path(runs))


if __name__ == "__main__":
    main()
