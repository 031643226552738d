"""Which columns of a data set of the Hub are learned from: found by themselves where only one fits,
else named in a sentence; and labels of any kind as numbers.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from training.recipe import SettingsError
from training.wording import quote

if TYPE_CHECKING:  # it takes a second to import, which only the Hub's data needs
    import datasets

Read = Callable[[str], pa.ChunkedArray]  # a column, whole, by its name

EACH = 2  # rows of a class, on average, without which a column holds no classes
NAMED = 10  # candidates that a sentence names


def find_content(
    name: str, features: "datasets.Features", feature: str, wanted: str, things: str
) -> str:
    """The column of pictures or sounds. Raises SettingsError."""
    import datasets

    kind = getattr(datasets, feature)
    fit = [column for column, each in features.items() if isinstance(each, kind)]
    return _choose(name, fit, wanted, "column", things, list(features), strict=True)


def find_label(
    name: str, features: "datasets.Features", read: Read, wanted: str, usual: str, things: str
) -> str:
    """The column of classes: named ones before texts and whole numbers. `usual`: that of a data
    set that the recipe knows. Raises SettingsError."""
    import datasets

    columns = list(features)
    named = [column for column in columns if isinstance(features[column], datasets.ClassLabel)]
    others = [c for c in columns if c not in named and _may_be_label(features[c])]
    if wanted or usual in columns:
        fit = [*named, *others]
        return _choose(name, fit, wanted or usual, "label_column", things, columns)
    if len(named) > 1:
        several = [column for column in named if len(read(column).unique()) > 1]
        return _choose(name, several or named[:1], "", "label_column", things, columns)
    fit = named or [column for column in others if _tells_apart(read(column))]
    return _choose(name, fit, "", "label_column", things, columns)


def _choose(
    name: str,
    fit: list[str],
    wanted: str,
    setting: str,
    things: str,
    columns: list[str],
    strict: bool = False,
) -> str:
    if wanted in fit or (len(fit) == 1 and not wanted):
        return wanted or fit[0]
    if wanted:
        known = wanted in columns
        said = "is none of the kind" if known else "is no column of it"
        raise SettingsError(
            f"{setting} is {quote(wanted)}, which {said}: {name} has {', '.join(columns[:30])}."
        )
    if not fit:
        raise SettingsError(
            f"{name} holds no {things}; its columns are {', '.join(columns[:30])}."
            + " If one of them holds the classes, name it as label_column." * (not strict)
        )
    flag = setting.replace("_", "-")
    raise SettingsError(
        f"{name} has several columns that may be meant: {', '.join(fit[:NAMED])}. Choose one as "
        f"{setting}, such as --{flag} {fit[0]}."
    )


def _may_be_label(feature: Any) -> bool:
    """Texts and whole numbers."""
    kind = str(getattr(feature, "dtype", ""))
    return kind in ("string", "large_string", "bool") or kind.startswith(("int", "uint"))


def _tells_apart(column: pa.ChunkedArray) -> bool:
    """Whether there are several values, and several rows of most of them."""
    distinct = len(column.drop_null().unique())
    return 1 < distinct <= len(column) / EACH


def list_classes(feature: Any, column: pa.ChunkedArray) -> list[str]:
    """Their names, or, where nobody gave any, the values in order."""
    if names := getattr(feature, "names", None):
        return list(names)
    values = sorted(column.drop_null().unique().to_pylist())
    return [name for name in dict.fromkeys(map(_name, values)) if name]


def code_labels(feature: Any, column: pa.ChunkedArray, classes: list[str]) -> np.ndarray:
    """(N,) int64: which of the classes each row is of, -1 where it is of none of them."""
    if getattr(feature, "names", None):
        return column.fill_null(-1).to_numpy().astype(np.int64)
    numbers = {name: number for number, name in enumerate(classes)}
    coded = column.combine_chunks().dictionary_encode()
    table = np.array([numbers.get(_name(v), -1) for v in coded.dictionary.to_pylist()] + [-1])
    return table[coded.indices.fill_null(len(table) - 1).to_numpy().astype(np.int64)]


def _name(value: Any) -> str:
    return str(value).strip() if isinstance(value, str) else str(value)
