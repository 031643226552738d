"""Rows of a data set of the Hub, whole or as many as a short fine-tune needs.

    found = load(dataset, config, Choice(limit=2000), Sought("Image", "pictures with ..."))
    found.train.table, found.train.labels, found.classes

Without a limit a data set is downloaded whole, by the Hub's library. With one, where it is stored
in Parquet files, the rows that are needed are read out of them by ranges
(training/data/ranged/table.py), of every class its share; they are kept, and read again from the
disk.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa

from training.data import hub
from training.data.hub_columns import Read, code_labels, find_content, find_label, list_classes
from training.data.ranged import kept
from training.data.ranged.kept import Kept
from training.data.ranged.remote import Line, RangeError
from training.data.ranged.table import RemoteTable
from training.data.splits import stratify
from training.recipe import SettingsError
from training.runs.batches import Stopped
from training.runs.records import is_disk_full
from training.runs.run import Run
from training.wording import quote

if TYPE_CHECKING:  # a data set of the Hub brings it
    import datasets

TESTED = 1000  # test examples of a short fine-tune, at least
SMALL = 4 << 20  # bytes of a split that is taken whole to be tested on
USUAL_SHARE = 0.2  # of what has no test part of its own
LABEL = "its class"  # what is kept of an example's class; no data set has such a column
EVERY = 1.0  # seconds between two looks at the progress


@dataclass(frozen=True)
class Choice:
    """What a person chose of a data set; what is empty is found. `watch` is told how many bytes
    have come, and raises to end it."""

    column: str = ""
    label: str = ""
    train: str = ""  # a split
    test: str = ""  # a split, or a share of the one that is learned from
    limit: int = 0  # examples to learn from, at most; 0: all
    holdout: float = 0.0  # share of them that is held out
    watch: Callable[[int], None] | None = field(default=None, compare=False)


NOTHING_CHOSEN = Choice()


@dataclass(frozen=True)
class Sought:
    """What a recipe looks for in a data set."""

    feature: str  # the kind of column that holds its examples
    things: str  # "pictures with named classes"
    tests: tuple[str, ...]  # the splits that are tested on, the first of them that there is
    classed: bool = True  # whether examples have classes
    usual: str = ""  # the column of classes in the data set that is the recipe's default
    # Of the names of all columns, those that are read beside.
    pick_others: Callable[[list[str]], list[str]] = lambda _: []


@dataclass(frozen=True)
class Rows:
    """Of one split: a table of the content and of what is read beside."""

    table: pa.Table
    labels: np.ndarray | None  # (N,) int64, -1 where there is none
    total: int  # rows of the whole split


@dataclass(frozen=True)
class Found:
    train: Rows
    test: Rows | None
    tested: str  # the split that is tested on
    share: float  # of train that is to be tested on where there is no test
    column: str
    classes: list[str]
    revision: str
    notes: list[str]


class HubConfig(Protocol):
    """Of recipes that learn from a data set of the Hub."""

    @property
    def source(self) -> str: ...
    @property
    def column(self) -> str: ...
    @property
    def train_split(self) -> str: ...
    @property
    def test_split(self) -> str: ...
    @property
    def limit(self) -> int: ...
    @property
    def holdout(self) -> float: ...


def make_choice(config: HubConfig, run: Run | None = None) -> Choice:
    """Of a recipe's settings; `run` is told how far it is, and may be stopped."""
    if config.source != "hub":
        return NOTHING_CHOSEN
    return Choice(
        config.column,
        getattr(config, "label_column", ""),
        config.train_split,
        config.test_split,
        config.limit,
        config.holdout,
        _watch(run) if run else None,
    )


def _watch(run: Run) -> Callable[[int], None]:
    last = 0.0

    def watch(fetched: int) -> None:
        nonlocal last
        if run.should_stop():
            raise Stopped
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            run.beat(f"downloading what is needed ({fetched / 1e6:.1f} MB so far)")

    return watch


def load(dataset: str, config: str | None, choice: Choice, sought: Sought) -> Found:
    """Raises SettingsError, Stopped."""
    if not choice.limit:
        return _load_whole(dataset, config, choice, sought)
    # Nothing of it depends on what a run draws: the next one with another seed fetches nothing.
    request = {**asdict(replace(choice, watch=None)), "config": config, **_describe(sought)}
    files = hub.find_files(dataset, config)
    if found := kept.find(dataset, request, files.revision if files else None):
        return _unpack(found)
    if files is None or files.prepared:
        return _load_whole(dataset, config, choice, sought)
    try:
        if not files.splits:
            raise RangeError("it is not stored in Parquet files")
        with kept.make_scratch(dataset) as scratch:
            found = _Part(dataset, files, choice, sought, scratch).fetch()
            _keep(dataset, request, found)
    except RangeError as error:
        whole = _load_whole(dataset, config, choice, sought)
        why = f"{dataset} was downloaded whole and not in part: {error}."
        return replace(whole, notes=[*whole.notes, why])
    except (SettingsError, Stopped):
        raise
    except Exception as error:  # many kinds, of two libraries: a line broke, or was refused
        if is_disk_full(error):
            raise _explain_full(dataset, error) from error
        raise hub.explain_broken(dataset, error) from error
    return _unpack(kept.find(dataset, request, files.revision) or found)


def _keep(dataset: str, request: dict[str, Any], found: Kept) -> None:
    """Raises SettingsError."""
    try:
        kept.keep(dataset, request, found)
    except OSError as error:
        raise _explain_full(dataset, error) from error


def _explain_full(dataset: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"What was fetched of {dataset} cannot be kept: {getattr(error, 'strerror', '') or error}. "
        "Nothing of it is left; make room, or choose another place with HF_HOME."
    )


def _describe(sought: Sought) -> dict[str, Any]:
    named = ("feature", "tests", "classed", "usual")
    return {name: getattr(sought, name) for name in named}


def _unpack(found: Kept) -> Found:
    """What is kept, as it was found."""

    def unpack(name: str) -> Rows | None:
        if (table := found.tables.get(name)) is None:
            return None
        labels = None
        if LABEL in table.column_names:
            labels = table.column(LABEL).to_numpy()
            table = table.drop_columns([LABEL])
        return Rows(table, labels, found.about["totals"][name])

    about = found.about
    train = unpack("train")
    assert train is not None  # it is always kept
    return Found(
        train,
        unpack("test"),
        about["tested"],
        about["share"],
        about["column"],
        about["classes"],
        found.revision,
        about["notes"],
    )


# -- splits and columns ----------------------------------------------------------------------------
def choose_splits(
    dataset: str, parts: list[str], choice: Choice, tests: tuple[str, ...]
) -> tuple[str, str, float]:
    """The split to learn from, the one to be tested on, or, where that is empty, the share of the
    first that is parted off. Raises SettingsError."""
    train = choice.train or ("train" if "train" in parts else "")
    if not train and len(parts) == 1:
        train = parts[0]
    if train not in parts:
        said = f"no split named {quote(choice.train or 'train')}"
        raise SettingsError(
            f"{dataset} has {said}, only {', '.join(parts)}. Choose the one to learn from as "
            f"train_split, such as --train-split {parts[0]}."
        )
    if not choice.test:
        return train, next((part for part in tests if part in parts and part != train), ""), 0.2
    if choice.test in parts and choice.test != train:
        return train, choice.test, 0.0
    share = _read_share(choice.test)
    if not share:
        raise SettingsError(
            f"test_split is {quote(choice.test)}: it must be another split of {dataset} than the "
            f"one that is learned from ({', '.join(parts)}), or a share of it, such as 0.2."
        )
    return train, "", share


def _read_share(text: str) -> float:
    """0 where it is none."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return 0.0
    return share if 0 < share < 1 else 0.0


@dataclass(frozen=True)
class _Columns:
    content: str
    label: str
    others: list[str]
    feature: Any  # of the label
    classes: list[str]


def _find_columns(
    dataset: str, features: "datasets.Features", read: Read, choice: Choice, sought: Sought
) -> _Columns:
    names = list(features)
    content = find_content(dataset, features, sought.feature, choice.column, sought.things)
    others = [name for name in sought.pick_others(names) if name != content]
    if not sought.classed:
        if not others:
            raise SettingsError(
                f"{dataset} holds no {sought.things}; its columns are {', '.join(names)}."
            )
        return _Columns(content, "", others, None, [])
    label = find_label(dataset, features, read, choice.label, sought.usual, sought.things)
    classes = list_classes(features[label], read(label))
    if len(classes) < 2:
        raise SettingsError(f"{dataset} has one class in {label}: there is nothing to tell apart.")
    return _Columns(content, label, others, features[label], classes)


# -- whole -----------------------------------------------------------------------------------------
def _load_whole(dataset: str, config: str | None, choice: Choice, sought: Sought) -> Found:
    parts = hub.list_splits(dataset, config)
    train, held, share = choose_splits(dataset, parts, choice, sought.tests)
    rows, revision = hub.load_dataset(dataset, train, config)
    table = read_table(rows)
    columns = _find_columns(dataset, rows.features, table.column, choice, sought)

    def make(table: pa.Table) -> Rows:
        labels = None
        if columns.label:
            labels = code_labels(columns.feature, table.column(columns.label), columns.classes)
        return Rows(table.select([columns.content, *columns.others]), labels, len(table))

    test = make(read_table(hub.load_dataset(dataset, held, config)[0])) if held else None
    return Found(make(table), test, held, share, columns.content, columns.classes, revision, [])


def read_table(rows: "datasets.Dataset") -> pa.Table:
    """All of a data set."""
    return cast("pa.Table", rows.with_format("arrow")[:])


# -- in part ---------------------------------------------------------------------------------------
class _Part:
    """What a short fine-tune needs of a data set."""

    def __init__(
        self, dataset: str, files: hub.Files, choice: Choice, sought: Sought, scratch: Path
    ):
        """`scratch`: a folder in which what was fetched lies until it is kept."""
        self.dataset = dataset
        self.scratch = scratch
        self.files = files
        self.choice = choice
        self.sought = sought
        self.line = Line(choice.watch)
        self.train, self.held, self.share = choose_splits(
            dataset, list(files.splits), choice, sought.tests
        )

    def fetch(self) -> Kept:
        """Raises SettingsError, RangeError, Stopped, and what the Hub's library raises."""
        import datasets

        table = self._open(self.train)
        read = remember(table)
        features = datasets.Features.from_arrow_schema(table.schema)
        columns = _find_columns(self.dataset, features, read, self.choice, self.sought)
        labels = self._code(columns, read, table.rows)
        test, about = self._fetch_test(columns)
        count = self._count(len(np.unique(labels[labels >= 0])), test is not None)
        if count > 0.9 * (labels >= 0).sum():
            raise RangeError("nearly all of it is needed")
        tables = {"train": self._take(table, columns, labels, count, "train")}
        totals = {"train": table.rows}
        if test is not None:
            tables["test"], totals["test"] = test, about[0]
        size = table.bytes + about[1]
        few = len(tables["train"]) + (len(test) if test is not None else 0)
        every = sum(totals.values())
        note = (
            f"Of the {every:,} examples of {self.dataset} {few:,} were downloaded "
            f"({self.line.fetched / 1e6:,.1f} MB of {size / 1e6:,.0f} MB)"
        )
        found = {
            "totals": totals,
            "tested": self.held if test is not None else "",
            "share": self.share or USUAL_SHARE,
            "column": columns.content,
            "classes": columns.classes,
            "notes": [note],
        }
        return Kept(self.files.revision, tables, found)

    def _open(self, split: str) -> RemoteTable:
        return RemoteTable(self.line, self.dataset, self.files.revision, self.files.splits[split])

    def _code(self, columns: _Columns, read: Read, rows: int) -> np.ndarray:
        """(rows,) int64, one class where there are none."""
        if not columns.label:
            return np.zeros(rows, np.int64)
        return code_labels(columns.feature, read(columns.label), columns.classes)

    def _count(self, classes: int, tested: bool) -> int:
        """Rows of which so many as a person asked for are left to learn from, after what is held
        out of them, and parted off where there is no test part: chance decides how many these
        are, and one of each class at least."""
        count = self.choice.limit
        for share in (self.choice.holdout, 0.0 if tested else self.share or USUAL_SHARE):
            if share:
                count = count / (1 - share) + min(classes, count)
                count += 3 * math.sqrt(count * share * (1 - share))
        return math.ceil(count)

    def _fetch_test(self, columns: _Columns) -> tuple[pa.Table | None, tuple[int, int]]:
        """The test rows, of which a report tells how many they are; and the rows and bytes that
        there are. None where there are no answers to be tested by."""
        if not self.held:
            return None, (0, 0)
        table = self._open(self.held)
        labels = self._code(columns, remember(table), table.rows)
        told = (table.rows, table.bytes)
        if not (labels >= 0).any():
            return None, told
        count = max(TESTED, self.choice.limit // 4)
        if table.bytes <= SMALL or table.rows <= 1.1 * count:
            count = table.rows
        return self._take(table, columns, labels, count, "test"), told

    def _take(
        self, table: RemoteTable, columns: _Columns, labels: np.ndarray, count: int, part: str
    ) -> pa.Table:
        usable = np.flatnonzero(labels >= 0)
        chosen = labels[usable[stratify(labels[usable], min(count, len(usable)), 0)]]
        wanted = np.bincount(chosen, minlength=int(labels.max(initial=0)) + 1)
        taken, rows = table.read_rows(
            columns.content, columns.others, labels, wanted, self.scratch / part
        )
        if columns.label:
            taken = taken.append_column(LABEL, pa.array(labels[rows]))
        return taken


def remember(table: RemoteTable) -> Read:
    """A remote table's columns, each fetched once."""
    read: dict[str, pa.ChunkedArray] = {}

    def get(column: str) -> pa.ChunkedArray:
        if column not in read:
            read[column] = table.read_column(column)
        return read[column]

    return get
