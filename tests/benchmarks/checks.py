"""What the checks of own data find, and what they cost. It asks the Hub (HF_ENDPOINT) for Food-101.

    python tests/benchmarks/checks.py                 all of it, some minutes on two cores
    python tests/benchmarks/checks.py labels near     some parts: labels, near, size

labels: of 20 dishes x 50 photos with 5% of the labels flipped, how many of these are among the
first 10% of suspects, by out-of-fold probabilities of the probe on the built-in backbone's
features. near: of 1,000 photos 200 more, cropped by 5%, resized and saved as JPEG: how many are
found, and how many others are called the same. size: seconds and memory of importing and checking
5,000 and 20,000 small pictures, each in a process of its own.
"""

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from probe import compute_picture_features, load_pictures
from threadpoolctl import threadpool_limits
from timing import ROOT, measure, print_machine  # first: it finds the project

from training.data.checks import near
from training.data.checks.labels import rank_labels
from training.data.own import bring
from training.data.own.inspect import check_data_set, look_into
from training.learn import probe as solver

FOOD = "ethz/food101"
CLASSES = 20
EACH = 50
FLIPPED = 0.05
DRAWS = 3
STRENGTH = 3.0  # a little weaker a penalty than the probe's own folds choose, which ranks better
CHANGED = 200
COUNTS = (5_000, 20_000)


# -- labels ----------------------------------------------------------------------------------------
def predict_out_of_fold(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, classes) by probes that have not seen the example."""
    fold = solver.deal_folds(labels, np.arange(len(labels)), 5)
    found = np.zeros((len(labels), labels.max() + 1))
    rows = solver._make_rows(features, solver.Question(labels, found.shape[1]))[0]
    for number in range(5):
        held = fold == number
        with threadpool_limits(1):
            solved = solver.minimise(rows[~held], STRENGTH, flat=solver.FLAT_ENOUGH)
        logits = solved(rows.x[held])
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        found[held] = shifted / shifted.sum(1, keepdims=True)
    return found


def tell_labels(runs: Path) -> None:
    chosen = sorted(int(c) for c in np.random.default_rng(0).choice(101, CLASSES, replace=False))
    part = load_pictures(FOOD, chosen, EACH)
    features = compute_picture_features(part, runs)
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        truth = part.strata
        given = truth.copy()
        flipped = rng.choice(len(truth), round(FLIPPED * len(truth)), replace=False)
        given[flipped] = (given[flipped] + rng.integers(1, CLASSES, len(flipped))) % CLASSES
        probabilities = predict_out_of_fold(features, given)
        order, taken = rank_labels(given, probabilities)
        first = order[: len(order) // 10]
        right = np.isin(flipped, first).mean()
        named = (taken[flipped] == truth[flipped]).mean()
        accuracy = (probabilities.argmax(1) == truth).mean()
        suspects = int((taken != given).sum())
        print(
            f"labels, draw {draw}: {right:.0%} of {len(flipped)} flipped are among the first 10% "
            f"of {len(order):,}; {suspects} suspects; {named:.0%} would be named rightly; "
            f"out-of-fold accuracy {accuracy:.1%}",
            flush=True,
        )


# -- near duplicates -------------------------------------------------------------------------------
def change(picture: Image.Image, rng: np.random.Generator) -> bytes:
    """Cropped by 5% of its sides, resized to half to twice, and saved as JPEG."""
    width, height = picture.size
    left, top = rng.uniform(0, 0.05, 2) * picture.size
    cropped = picture.crop(
        (round(left), round(top), round(left + 0.95 * width), round(top + 0.95 * height))
    )
    scale = rng.uniform(0.5, 2)
    size = (round(cropped.width * scale), round(cropped.height * scale))
    buffer = io.BytesIO()
    cropped.resize(size, Image.Resampling.LANCZOS).save(
        buffer, "JPEG", quality=int(rng.integers(40, 90))
    )
    return buffer.getvalue()


def tell_near(runs: Path) -> None:
    chosen = sorted(int(c) for c in np.random.default_rng(1).choice(101, CLASSES, replace=False))
    part = load_pictures(FOOD, chosen, EACH)
    rng = np.random.default_rng(0)
    folder = runs / "photos"
    for i, label in enumerate(part.strata):
        (folder / f"dish{label}").mkdir(parents=True, exist_ok=True)
        part.read_one(i).convert("RGB").save(folder / f"dish{label}" / f"{i}.png")
    for i in rng.choice(len(part), CHANGED, replace=False):
        path = folder / f"dish{part.strata[i]}" / f"{i}.jpg"
        path.write_bytes(change(part.read_one(i).convert("RGB"), rng))
    seen = look_into(bring.add(runs, "photos", [folder]).data_set)
    groups = near.find_groups(seen)
    stems = [[Path(seen.sights[i].name).stem for i in group] for group in groups]
    found = {stem for group in stems for stem in group if group.count(stem) == 2}
    false = sum(len(group) - 1 for group in map(set, stems) if len(group) > 1)
    print(
        f"near: {len(found) / CHANGED:.1%} of {CHANGED} found; {false} of {len(part):,} others "
        f"called the same ({false / len(part):.1%})",
        flush=True,
    )


# -- size ------------------------------------------------------------------------------------------
def write_zip(path: Path, count: int) -> None:
    """Pictures of 64 pixels in ten classes, no two alike."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for i in range(count):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG")
            packed.writestr(f"class{i % 10}/{i:05}.jpg", buffer.getvalue())


def peak() -> float:
    """MB of this process, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tell_size_of(count: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        runs = Path(made)
        write_zip(runs / "my.zip", count)
        before = peak()
        began = time.perf_counter()
        own = bring.add(runs, "many", [runs / "my.zip"], most_files=count).data_set
        imported = time.perf_counter() - began
        middle = peak()
        found = []
        checked = measure(lambda: found.extend(check_data_set(own)))
        print(
            f"size, {count:,} pictures: import {imported / count * 1000:.2f} s a thousand, peak "
            f"{middle:.0f} MB ({before:.0f} before); check {checked / count * 1000:.2f} s a "
            f"thousand, peak {peak():.0f} MB; {len(found)} findings",
            flush=True,
        )


def tell_size(runs: Path) -> None:
    for count in COUNTS:
        subprocess.run([sys.executable, __file__, "--count", str(count)], cwd=ROOT, check=True)


PARTS = {"labels": tell_labels, "near": tell_near, "size": tell_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count:
        tell_size_of(given.count)
        return
    print_machine()
    for name in given.parts or PARTS:
        with tempfile.TemporaryDirectory() as runs:
            PARTS[name](Path(runs))


if __name__ == "__main__":
    main()
