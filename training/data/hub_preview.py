"""What a data set of the Hub holds, before anything is trained on it: its splits, columns, classes
with their counts, and five examples. A few parts of its files are fetched, and nothing is kept.

    python -m training datasets preview ethz/food101
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.data import hub
from training.data.captions import COLUMN, flatten, tidy
from training.data.hub_columns import code_labels, find_content, find_label, list_classes
from training.data.hub_rows import NOTHING_CHOSEN, Choice, choose_splits, remember
from training.data.ranged.remote import Line, RangeError
from training.data.ranged.table import RemoteTable
from training.data.splits import stratify
from training.recipe import SettingsError

SHOWN = 5  # examples
MOST = 50_000_000  # bytes that are fetched for them
TESTS = ("test", "validation", "valid", "val")
FEATURES = {"Image": "pictures", "Audio": "sounds"}


@dataclass(frozen=True)
class Sample:
    """One example: what the file holds, and what is said of it."""

    content: bytes
    said: str


@dataclass(frozen=True)
class Preview:
    name: str
    revision: str
    things: str  # "pictures"
    column: str  # that holds them
    label: str  # that holds their classes; empty where there is none, or several may be meant
    columns: list[str]
    splits: dict[str, int]  # rows
    bytes: int
    classes: dict[str, int]  # rows of the split that is learned from
    samples: list[Sample]
    notes: list[str] = field(default_factory=list)  # what has to be chosen, in sentences


def preview(name: str, subset: str = "", choice: Choice = NOTHING_CHOSEN) -> Preview:
    """Raises SettingsError."""
    files = hub.find_files(name, subset or None)
    if files is None:
        raise SettingsError(
            f"The Hub does not answer, so {name} cannot be looked at. Check the connection, and "
            "try again."
        )
    try:
        if not files.splits:
            raise RangeError("it is not stored in Parquet files")
        return _look(name, files, choice)
    except SettingsError:
        raise
    except RangeError as error:
        raise SettingsError(
            f"{name} can only be seen when it was downloaded whole: {error}."
        ) from error
    except Exception as error:  # many kinds, of two libraries: a line broke, or was refused
        raise hub.explain_broken(name, error) from error


def _look(name: str, files: hub.Files, choice: Choice) -> Preview:
    import datasets

    def watch(fetched: int) -> None:
        if fetched > MOST:
            raise RangeError("its parts are too large to be looked at")

    line = Line(watch)
    tables = {
        split: RemoteTable(line, name, files.revision, paths)
        for split, paths in files.splits.items()
    }
    notes: list[str] = []
    try:
        train, _, _ = choose_splits(name, [*tables], choice, TESTS)
    except SettingsError as error:
        notes.append(str(error))
        train = next(iter(tables))
    table = tables[train]
    read = remember(table)
    features = datasets.Features.from_arrow_schema(table.schema)
    feature = _find_feature(features)
    things = FEATURES[feature]
    column = find_content(name, features, feature, choice.column, things)
    said = [each for each in features if COLUMN.match(each) and each != column]
    label = ""
    try:
        label = find_label(name, features, read, choice.label, "", f"{things} with classes")
    except SettingsError as error:
        notes += [] if said and not choice.label else [str(error)]
    classes = list_classes(features[label], read(label)) if label else []
    labels = (
        code_labels(features[label], read(label), classes)
        if label
        else np.zeros(table.rows, np.int64)
    )
    return Preview(
        name,
        files.revision,
        things,
        column,
        label,
        list(features),
        {split: each.rows for split, each in tables.items()},
        sum(each.bytes for each in tables.values()),
        {each: int((labels == number).sum()) for number, each in enumerate(classes)},
        _take_samples(table, column, said, labels, classes),
        notes,
    )


def _find_feature(features: Any) -> str:
    import datasets

    for feature in FEATURES:
        if any(isinstance(each, getattr(datasets, feature)) for each in features.values()):
            return feature
    return next(iter(FEATURES))


def _take_samples(
    table: RemoteTable, column: str, said: list[str], labels: np.ndarray, classes: list[str]
) -> list[Sample]:
    """Of different classes, where there are any."""
    usable = np.flatnonzero(labels >= 0)
    chosen = labels[usable[stratify(labels[usable], min(SHOWN, len(usable)), 0)]]
    wanted = np.bincount(chosen, minlength=int(labels.max(initial=0)) + 1)
    taken, rows = table.read_rows(column, said, labels, wanted)
    contents = taken.column(column).combine_chunks().field("bytes").to_pylist()
    words = [
        classes[labels[row]] if classes else _join(taken, said, i) for i, row in enumerate(rows)
    ]
    return [Sample(content, word) for content, word in zip(contents, words, strict=True)]


def _join(table: Any, columns: list[str], row: int) -> str:
    """The first caption, of which there may be several, in a column or in several."""
    found = [each for name in columns for each in flatten([table.column(name)[row].as_py()])]
    return next((tidy(str(each)) for each in found if each), "")
