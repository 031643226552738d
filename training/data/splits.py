"""Splits: what every recipe does with examples before it knows what they show.

A split depends on an example's content alone, never on a run's seed or on how many others there
are: the same picture is held out in every run, so that no checkpoint is scored on what another run
trained on.
"""

import hashlib
import re

import numpy as np

# What people call the folders of splits that they made, and what each is to us.
NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
EXTRA = ("eval", "evaluation")  # beside a test split they are for validation


def find_split_word(text: str) -> str:
    """The first word of it that means a split, as in `captions_train2017`; empty without one."""
    return next((word for word in re.split(r"[^a-z]+", text.casefold()) if word in NAMES), "")


def name_splits(names: list[str]) -> list[str]:
    """Of each of these names, which stand side by side, the split that it means, in any case:
    train, validation or test. Empty where it means none, and everywhere where they are not splits:
    train and another one are needed, since a class may well be called train."""
    folded = [name.strip().casefold() for name in names]
    found = [NAMES.get(name, "") for name in folded]
    if any(
        split == "test" and name not in EXTRA for split, name in zip(found, folded, strict=True)
    ):
        found = [
            "validation" if name in EXTRA else split
            for split, name in zip(found, folded, strict=True)
        ]
    several = "train" in found and len({*found} - {""}) > 1
    return found if several else [""] * len(names)


def bucket(content: bytes) -> float:
    """A number in [0, 1) that is a function of the content."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=7).digest(), "big") / 2**56


def split(
    buckets: np.ndarray, labels: np.ndarray, low: float, high: float, at_least_one: bool = False
) -> np.ndarray:
    """True where an example's bucket lies in [low, high). With `at_least_one`, a class of which
    chance put none there gives its nearest one, and one that would give all keeps its farthest; a
    single example stays outside. Equal contents are never parted."""
    chosen = (buckets >= low) & (buckets < high)
    if at_least_one:
        for label in np.unique(labels):
            members = labels == label
            own = np.unique(buckets[members])
            distance = np.abs(own - low)
            if len(own) == 1 or chosen[members].all():
                chosen[members & (buckets == own[distance.argmax()])] = False
            elif not chosen[members].any():
                chosen[members & (buckets == own[distance.argmin()])] = True
    return chosen


def stratify(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """At most `limit` indices, shuffled, every class in its share (largest remainder); 0: all."""
    rng = np.random.default_rng(seed)
    if not limit or limit >= len(labels):
        return rng.permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * limit / len(labels)
    take = np.floor(exact).astype(int)
    take[np.argsort(take - exact, kind="stable")[: limit - take.sum()]] += 1
    picked = [
        rng.permutation(np.flatnonzero(labels == c))[:n] for c, n in zip(classes, take, strict=True)
    ]
    return rng.permutation(np.concatenate(picked))
