"""Examples of a data set of the Hub: its rows, with their classes where it has any."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from training.data import hub
from training.data.examples import Data, Examples, Kind, split_off_test
from training.data.hub_rows import NOTHING_CHOSEN, Choice, Found, Rows, Sought, load
from training.data.splits import bucket
from training.recipe import SettingsError

if TYPE_CHECKING:  # a data set of the Hub brings it
    import pyarrow

TESTS = ("test", "validation", "valid", "val")

Thing = TypeVar("Thing")  # a picture, a sound, a row of numbers ...


def load_from_hub(
    dataset: str,
    kind: Kind[Thing],
    config: str | None = None,
    choice: Choice = NOTHING_CHOSEN,
    usual: str = "",
) -> Data[Thing]:
    """The train split and the first of `TESTS`; without one, a part of train; `choice`: what a
    person chose in place of that; `usual`: the column of classes in a data set that is known.
    Raises SettingsError, Stopped."""
    sought = Sought(
        kind.feature,
        f"{kind.name} with named classes",
        TESTS,
        usual=usual,
        pick_others=lambda names: [name for name in names if name == kind.text],
    )
    found = load(dataset, config, choice, sought)
    name = f"{dataset} {config}" if config else dataset

    def make(rows: Rows) -> Examples[Thing]:
        assert rows.labels is not None  # they are sought
        content, keys = read_column(rows.table, found.column, dataset)
        texts = None
        if kind.text in rows.table.column_names:
            texts = [text or "" for text in rows.table.column(kind.text).to_pylist()]
        return Examples(
            lambda i: kind.decode(content(i), ""),
            np.arange(len(rows.labels)),
            rows.labels,
            keys,
            texts,
        )

    train = make(found.train)
    train = train[np.flatnonzero(train.strata >= 0)]
    # Some data sets keep the answers of their test part to themselves.
    test = make(found.test) if found.test is not None else train[np.zeros(0, int)]
    test = test[np.flatnonzero(test.strata >= 0)]
    if len(test):
        about = describe_test(found, len(test), kind.name, name)
        return Data(
            train,
            test,
            found.classes,
            name,
            about,
            found.revision,
            notes=found.notes,
            things=kind.name,
        )
    made = split_off_test(
        train, found.classes, kind.name, name, found.revision, [], share=found.share or 0.2
    )
    return replace(made, notes=found.notes)


def describe_test(found: Found, count: int, things: str, name: str) -> str:
    """What is tested on, and of how many."""
    assert found.test is not None  # it is tested on
    of = f" of {found.test.total:,}" if found.test.total > count else ""
    return f"the {count:,}{of} {found.tested} {things} of {name}"


def read_column(
    table: "pyarrow.Table", column: str, dataset: str
) -> tuple[Callable[[int], bytes], np.ndarray]:
    """What an arrow table's column of pictures or sounds holds in a row, and each row's key. Raises
    SettingsError where a row holds nothing that is the data set's own."""
    held = table.column(column).combine_chunks()
    encoded = held.field("bytes")
    paths = held.field("path")
    folder = hub.find_own_folder(dataset).resolve()

    def content(i: int) -> bytes:
        found = encoded[i].as_py()
        return found if found is not None else _read_own(folder, paths[i].as_py(), i, dataset)

    keys = [
        bucket(encoded[i].as_buffer() if encoded[i].is_valid else content(i))
        for i in range(len(encoded))
    ]
    return content, np.array(keys)


def _read_own(folder: Path, name: str | None, row: int, dataset: str) -> bytes:
    """A file that a data set keeps beside its tables, in this folder. A table is written by a
    stranger: what it names elsewhere on this machine is not opened. Raises SettingsError."""
    cause = None
    try:
        path = (folder / (name or "")).resolve()  # as it is without links and ..
        if name and path.is_relative_to(folder) and path.is_file():
            return path.read_bytes()
    except (OSError, ValueError) as error:  # no name of a file at all
        cause = error
    raise SettingsError(
        f"{dataset} cannot be used: row {row + 1:,} holds no content, and names no file of the "
        "data set itself."
    ) from cause
