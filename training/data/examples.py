"""Labelled examples of any kind, from the Hub or from a folder: what the recipes of pictures and
sounds share.

An example stays as it is stored (a file, or the bytes that a data set holds) until it is read.
Which part it belongs to depends on its content alone (training/data/splits.py).
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from training.data.folders import class_folders, usable
from training.data.splits import bucket, split
from training.device import cores
from training.recipe import SettingsError

LEAST = 5  # examples of a class in a person's own folder
TESTS = ("test", "validation", "valid", "val")


@dataclass
class Examples:
    read: Callable[[int], Any]  # by place; places are those of the whole data set
    places: np.ndarray  # (N,) int64
    labels: np.ndarray  # (N,) int64
    keys: np.ndarray  # (N,) float64 in [0, 1): a hash of the content
    texts: list[Any] | None = (
        None  # by place: what is said, where that is known; or a picture's captions
    )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray) -> Self:
        return type(self)(
            self.read, self.places[index], self.labels[index], self.keys[index], self.texts
        )

    def one(self, index: int) -> Any:
        return self.read(int(self.places[index]))


@dataclass
class Kind:
    """What a recipe's examples are."""

    name: str  # "pictures", in sentences
    examples: type[Examples]
    endings: tuple[str, ...]  # of files in a folder
    feature: str  # of data sets: the kind of column that holds them
    decode: Callable[[Any, str], Any]  # (content or path, its name) -> an example; raises `refusal`
    content: Callable[
        [Any], bytes
    ]  # of an example: equal where it shows the same, though saved otherwise
    refusal: type[Exception]
    text: str = ""  # of data sets: the column that tells what is said


@dataclass
class Data:
    train: Any  # Examples of the recipe's kind
    test: Any
    classes: list[str]
    name: str  # "Food-101", in a few words
    about: str  # what the test examples are
    revision: str
    problems: list[str] = field(default_factory=list)


def holdout(examples: Any, share: float) -> tuple[Any, Any]:
    """Train and validation: the same examples in every run, by their content."""
    if not share:
        return examples, examples[np.zeros(0, int)]
    chosen = split(
        (examples.keys * 1009) % 1, examples.labels, 0, share, at_least_one=True
    )  # not the test's order
    return examples[~chosen], examples[chosen]


def parted(
    examples: Any, classes: list[str], kind: Kind, name: str, revision: str, problems: list[str]
) -> Data:
    """A fifth of each class is the test part."""
    test = split(examples.keys, examples.labels, 0, 0.2, at_least_one=True)
    return Data(
        examples[~test],
        examples[test],
        classes,
        name,
        f"{test.sum():,} held-out {kind.name} of {name}",
        revision,
        problems,
    )


# -- the Hub ---------------------------------------------------------------------------------------
def of_hub(dataset: str, kind: Kind, config: str | None = None) -> Data:
    """The train split and the first of `TESTS`; without one, a part of train. Raises
    SettingsError."""
    from training.data import hub

    parts = hub.list_splits(dataset, config)
    if "train" not in parts:
        raise SettingsError(
            f"{dataset} has no split named train, only {', '.join(parts)}: it cannot be trained on."
        )
    train, classes, revision = _rows(dataset, "train", kind, config)
    name = f"{dataset} {config}" if config else dataset
    held = next((part for part in TESTS if part in parts), None)
    if held:
        test, _, _ = _rows(dataset, held, kind, config)
        if (
            len(test) and (test.labels >= 0).all()
        ):  # some data sets keep the answers of their test part to themselves
            return Data(
                train,
                test,
                classes,
                name,
                f"the {len(test):,} {held} {kind.name} of {name}",
                revision,
            )
    return parted(train, classes, kind, name, revision, [])


def _rows(dataset: str, part: str, kind: Kind, config: str | None) -> tuple[Any, list[str], str]:
    import datasets

    from training.data import hub

    rows, revision = hub.load_dataset(dataset, part, config)
    column = next(
        (n for n, f in rows.features.items() if isinstance(f, getattr(datasets, kind.feature))),
        None,
    )
    label = next((n for n, f in rows.features.items() if isinstance(f, datasets.ClassLabel)), None)
    if column is None or label is None:
        raise SettingsError(
            f"{dataset} holds no {kind.name} with named classes; its columns are "
            f"{', '.join(rows.column_names)}."
        )
    table = rows.with_format("arrow")[:]
    labels = table.column(label).to_numpy().astype(np.int64)
    content, keys = stored(table, column)
    texts = (
        [text or "" for text in table.column(kind.text).to_pylist()]
        if kind.text in table.column_names
        else None
    )
    return (
        kind.examples(
            lambda i: kind.decode(content(i), ""), np.arange(len(labels)), labels, keys, texts
        ),
        list(rows.features[label].names),
        revision,
    )


def stored(table: Any, column: str) -> tuple[Callable[[int], bytes], np.ndarray]:
    """What an arrow table's column of pictures or sounds holds in a row, and each row's key."""
    encoded, paths = (
        table.column(column).combine_chunks().field(name) for name in ("bytes", "path")
    )

    def content(i: int) -> bytes:  # some data sets keep files beside their tables
        return encoded[i].as_py() or Path(paths[i].as_py()).read_bytes()

    return content, np.array(
        [
            bucket(encoded[i].as_buffer() if encoded[i].is_valid else content(i))
            for i in range(len(encoded))
        ]
    )


# -- a folder of one's own -------------------------------------------------------------------------
def of_folder(folder: Path, kind: Kind) -> Data:
    """One subfolder a class; what cannot be read or is there twice is told. Raises
    SettingsError."""
    found = class_folders(folder, kind.endings, LEAST)
    good, keys, told = distinct(folder, found.files, kind, "holds")
    found.problems += told
    classes, chosen, labels = usable(
        folder, found, np.array(found.labels, dtype=np.int64)[good], LEAST
    )
    examples = kind.examples(
        lambda i: kind.decode(found.files[i], found.files[i].name),
        np.array(good)[chosen],
        labels,
        keys[chosen],
    )
    return parted(
        examples,
        classes,
        kind,
        f"the folder {folder.name}",
        revision(examples.keys),
        found.problems,
    )


def distinct(
    folder: Path, files: list[Path], kind: Kind, verb: str
) -> tuple[list[int], np.ndarray, list[str]]:
    """Which of a person's files can be read and show what no earlier one does, their keys, and what
    is wrong with the others. `verb`: what an example does with its content."""

    def content(path: Path) -> bytes | str:
        try:
            return kind.content(kind.decode(path, path.name))
        except kind.refusal as error:
            return str(error)

    good = []
    keys = []
    problems = []
    seen = {}
    with ThreadPoolExecutor(cores()) as pool:
        contents = list(pool.map(content, files))
    for i, (path, what) in enumerate(zip(files, contents, strict=True)):
        name = path.relative_to(folder)
        if isinstance(what, str):
            problems.append(f"{name}: {what}")
        elif what in seen:
            problems.append(f"{name}: {verb} what {seen[what]} {verb}; left out")
        else:
            seen[what] = name
            good.append(i)
            keys.append(bucket(what))
    return good, np.array(keys), problems


def revision(keys: np.ndarray) -> str:
    """The content is the revision: a folder has no other, and changes without a word."""
    return f"content {hashlib.blake2b(keys.tobytes(), digest_size=6).hexdigest()}"
