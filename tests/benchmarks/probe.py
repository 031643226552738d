"""What a person's few examples cost and give by method frozen, beside scikit-learn on the same
features, in one run. It asks the Hub (HF_ENDPOINT) for the data.

    python tests/benchmarks/probe.py                     all of it, about ten minutes on two cores
    python tests/benchmarks/probe.py seconds accuracy    some parts: seconds, accuracy, full

seconds: from files on disk to a judged checkpoint, 300 pictures in 3 classes and 80 clips in 4, as
the command does it, the start of Python with it. accuracy: the probe and scikit-learn's
LogisticRegression, its C chosen by 5 folds, on 5 to 50 examples a class, scored on examples that
neither saw. full: an epoch of the same backbone's fine-tune, for scale.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from timing import ROOT, measure, print_machine  # first: it finds the project

from training.data.examples import Examples
from training.data.hub_examples import load_from_hub
from training.learn import backbone, probe
from training.learn.probe import Question
from training.runs.run import Run

COUNTS = (5, 10, 20, 50)  # examples of a class to learn from
HELD = 30  # of a class to be scored on
DRAWS = 3
FOOD = "ethz/food101"
GARMENTS = "zalando-datasets/fashion_mnist"
DIGITS = "ylecun/mnist"
CALLS = "PolyAI/minds14"


class Small(NamedTuple):
    """A small data set: features and labels."""

    name: str
    features: np.ndarray
    labels: np.ndarray


# -- data ------------------------------------------------------------------------------------------
def draw(examples: Examples, chosen: list[int], each: int) -> Examples:
    """At most so many of each of these classes, which are numbered anew."""
    rng = np.random.default_rng(0)
    labels = examples.strata
    places = [rng.permutation(np.flatnonzero(labels == label))[:each] for label in chosen]
    part = examples[np.concatenate(places)]
    part.labels = np.searchsorted(chosen, part.strata)
    return part


def load_pictures(name: str, chosen: list[int], each: int) -> Examples:
    from training.data.pictures import KIND

    return draw(load_from_hub(name, KIND).train, chosen, each)


def load_clips(chosen: list[int], each: int) -> Examples:
    from training.recipes.audio_intent.data import KIND

    return draw(load_from_hub(CALLS, KIND, "en-US").train, chosen, each)


def write_pictures(folder: Path) -> None:
    part = load_pictures(FOOD, [20, 40, 76], 100)
    for i, label in enumerate(part.strata):
        (folder / f"dish{label}").mkdir(exist_ok=True)
        part.read_one(i).save(folder / f"dish{label}" / f"{i:03}.jpg", quality=95)


def write_clips(folder: Path) -> None:
    import soundfile

    part = load_clips([0, 1, 2, 3], 20)
    for i, label in enumerate(part.strata):
        (folder / f"intent{label}").mkdir(exist_ok=True)
        soundfile.write(folder / f"intent{label}" / f"{i:03}.wav", part.read_one(i), 16_000)


def compute_picture_features(part: Examples, runs: Path) -> np.ndarray:
    from training.recipes.food import score
    from training.recipes.food.config import BUILT_IN, Config
    from training.recipes.food.model import build_network

    config = Config(method="frozen", start=BUILT_IN)
    names = [f"class {i}" for i in range(1 + part.strata.max())]
    model, preprocessor = build_network(config, backbone.open_start(BUILT_IN, runs, "food"), names)
    run = Run.create(runs, "food", {})
    return score.compute_features(model, preprocessor, part, run).flatten(1).numpy()


def compute_clip_features(part: Examples, runs: Path) -> np.ndarray:
    """Of the last layer, as the probe chooses it for calls."""
    from training.recipes.audio_intent import data, score
    from training.recipes.audio_intent import model as networks
    from training.recipes.audio_intent.config import BUILT_IN, Config

    config = Config(method="frozen", start=BUILT_IN)
    names = [f"class {i}" for i in range(1 + part.strata.max())]
    start = backbone.open_start(BUILT_IN, runs, "audio")
    model, preprocessor = networks.build_network(config, start, names)
    heard = data.Heard(part, 0.0)
    heard.cut(data.choose_limit(heard.whole))
    preprocessor = networks.fit_window(model, preprocessor, heard.seconds)
    run = Run.create(runs, "audio_intent", {})
    return score.compute_features(model, preprocessor, heard, run)[:, -1].numpy()


def make_sets(runs: Path) -> Iterator[Small]:
    each = max(COUNTS) + HELD
    for name, source, chosen in (
        ("3 dishes", FOOD, [20, 40, 76]),
        ("5 dishes", FOOD, [5, 25, 55, 60, 93]),
        ("4 garments", GARMENTS, [0, 2, 4, 6]),
        ("5 digits", DIGITS, [1, 3, 5, 7, 8]),
    ):
        part = load_pictures(source, chosen, each)
        yield Small(name, compute_picture_features(part, runs), part.strata)
    part = load_clips([0, 1, 2, 3], each)
    yield Small("4 intents", compute_clip_features(part, runs), part.strata)


# -- parts -----------------------------------------------------------------------------------------
def train(recipe: str, folder: Path, runs: Path, *more: str) -> tuple[float, str]:
    """Seconds of the command as a person gives it, and what it printed."""
    words = ["-m", "training", recipe, "--source", "folder", "--folder", str(folder)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words, "--runs", str(runs), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - began, done.stdout


def seconds(runs: Path, *more: str) -> None:
    for recipe, write in (("food", write_pictures), ("audio_intent", write_clips)):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            printed = ""
            for text in ("first", "again, features kept")[: 1 if more else 2]:
                took, printed = train(recipe, Path(folder), runs, *(more or ("--method", "frozen")))
                print(f"{recipe}, {text}: {took:.1f} s", flush=True)
            for line in io.StringIO(printed):
                if any(
                    word in line for word in ("probe solved", "after", "n ", "Took", "by layer")
                ):
                    print(f"    {line.rstrip()}", flush=True)


def full(runs: Path) -> None:
    seconds(runs, "--method", "full", "--epochs", "1")


def accuracy(runs: Path) -> None:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    print("set, examples a class: right by the probe, by scikit-learn; seconds of each")
    rows = []
    for small in make_sets(runs):
        classes = int(small.labels.max()) + 1
        most = np.bincount(small.labels).min()
        for count in (n for n in COUNTS if n <= most - 10):
            found = []
            for chance in range(DRAWS):
                rng = np.random.default_rng(chance)
                every = [rng.permutation(np.flatnonzero(small.labels == c)) for c in range(classes)]
                learned = np.concatenate([each[:count] for each in every])
                held = np.concatenate([each[count:] for each in every])
                x, y = small.features[learned], small.labels[learned]
                theirs = make_pipeline(
                    StandardScaler(),
                    LogisticRegressionCV(Cs=10, cv=5, max_iter=1000),
                )
                asked = Question(y, classes)
                solved: list[probe.Probe] = []
                ours = measure(lambda x=x, asked=asked, to=solved: to.append(probe.solve(x, asked)))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    other = measure(lambda x=x, y=y, made=theirs: made.fit(x, y))
                shown, truth = small.features[held], small.labels[held]
                right = (solved[0].solution(shown).argmax(1) == truth).mean()
                found.append((right, (theirs.predict(shown) == truth).mean(), ours, other))
            mean = np.mean(found, 0)
            rows.append(mean)
            print(f"{small.name}, {count}: " + "{:.1%}, {:.1%}; {:.2f}, {:.2f}".format(*mean))
            sys.stdout.flush()
    print("mean: " + "{:.1%}, {:.1%}; {:.2f}, {:.2f}".format(*np.mean(rows, 0)))


PARTS = {"seconds": seconds, "accuracy": accuracy, "full": full}


def main() -> None:
    parser = argparse.ArgumentParser(description="What a few examples cost and give.")
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    chosen = parser.parse_args()
    print_machine()
    for name in chosen.parts:
        with tempfile.TemporaryDirectory() as runs:
            PARTS[name](Path(runs))


if __name__ == "__main__":
    main()
