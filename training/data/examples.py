"""Examples of any kind, from the Hub or from a folder: what the recipes share of their data.

An example stays as it is stored (a file, or the bytes that a data set holds) until it is read.
Which part it belongs to depends on its content alone (training/data/splits.py).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from training.data.folders import Folder, keep_usable, list_class_folders, name_file
from training.data.problems import Problem, count_problems
from training.data.splits import bucket, split
from training.device import cores

LEAST = 5  # examples of a class in a person's own folder

PLURAL = {"holds": "hold", "shows": "show"}  # what examples do with their content

Thing = TypeVar("Thing")  # a picture, a sound, a row of numbers ...


@dataclass
class Examples(Generic[Thing]):
    """Some of a data set's examples. What is kept by place is kept for the whole data set, so that
    a part of it shares the rest."""

    read: Callable[[int], Thing]  # by place
    places: np.ndarray  # (N,) int64
    labels: np.ndarray | None  # (N,) int64; None where they have no classes
    keys: np.ndarray  # (N,) float64 in [0, 1): a hash of the content
    # By place: what is said in it, where that is known; or a picture's captions.
    texts: Sequence[str] | Sequence[list[str]] | None = None
    names: Sequence[str] | None = None  # by place: of the files that a person brought

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: np.ndarray) -> "Examples[Thing]":
        labels = None if self.labels is None else self.labels[index]
        places, keys = self.places[index], self.keys[index]
        return Examples(self.read, places, labels, keys, self.texts, self.names)

    def read_one(self, index: int) -> Thing:
        return self.read(int(self.places[index]))

    def name_one(self, index: int) -> str:
        """Of its file, where it is one."""
        return self.names[int(self.places[index])] if self.names else ""

    @property
    def strata(self) -> np.ndarray:
        """(N,) int64, what splits are balanced over: the labels, or one class for all."""
        return np.zeros(len(self), np.int64) if self.labels is None else self.labels


@dataclass
class Data(Generic[Thing]):
    """What a recipe trains on and is tested on."""

    train: Examples[Thing]
    test: Examples[Thing]
    classes: list[str]  # empty where examples have none
    name: str  # "Food-101", in a few words
    about: str  # what the test examples are
    revision: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how it was understood, in sentences
    validation: Examples[Thing] | None = None  # where a person parted it off
    synthetic: bool = False  # drawn or spoken by code: a score on it says little of real ones
    parted: bool = True  # whether the test part is the data's own; else chance parted it off
    folds: int = 0  # in which all is judged that is learned from: `test` is `train` then
    things: str = "examples"  # what they are: "pictures"


@dataclass
class Kind(Generic[Thing]):
    """What a recipe's examples are, and how they are found in folders and data sets."""

    name: str  # "pictures", in sentences
    recognise: Callable[[Path], bool]  # whether a file in a folder is meant to be one
    feature: str  # of data sets: the kind of column that holds them
    decode: Callable[[bytes | Path, str], Thing]  # (content or path, its name); raises `refusal`
    # Of an example: equal where it shows the same, though saved otherwise.
    content: Callable[[Thing], bytes]
    refusal: type[Exception]
    text: str = ""  # of data sets: the column that tells what is said


# -- parts -----------------------------------------------------------------------------------------
def hold_out(
    examples: Examples[Thing], share: float, buckets: np.ndarray | None = None
) -> tuple[Examples[Thing], Examples[Thing]]:
    """What is trained on, and what is held out of it: the same examples in every run, by their
    content. `buckets`, (N,) in [0, 1): a hash of it to go by in place of the keys."""
    if not share:
        return examples, examples[np.zeros(0, int)]
    if buckets is None:
        buckets = (examples.keys * 1009) % 1  # not the order by which the test part was chosen
    chosen = split(buckets, examples.strata, 0, share, at_least_one=True)
    return examples[~chosen], examples[chosen]


def keep_splits(
    data: Data[Thing], parts: Sequence[str], kind_name: str, problems: list[Problem]
) -> Data[Thing]:
    """Data whose `train` holds all of a person's examples, parted as they are: `parts` tells the
    split of each, or is empty for all of them; then a fifth of each class is the test part."""
    part = np.array(parts, dtype=str)
    told = count_problems(problems)
    every = data.train
    notes = [*data.notes]
    if not (part == "test").any() and (part == "validation").any():
        part[part == "validation"] = "test"
        notes.append(
            "There is no test folder, so the score is measured on the validation one, and the best "
            "epoch is chosen on a part of train."
        )
    if not (part == "test").any():
        made = split_off_test(every, data.classes, kind_name, data.name, data.revision, told)
        return replace(made, notes=notes)
    test = every[part == "test"]
    held = every[part == "validation"]
    return replace(
        data,
        train=every[part == "train"],
        test=test,
        validation=held if len(held) else None,
        about=f"the {len(test):,} test {kind_name} of {data.name}",
        problems=told,
        notes=notes,
        things=kind_name,
    )


def split_off_test(
    examples: Examples[Thing],
    classes: list[str],
    kind_name: str,
    name: str,
    revision: str,
    problems: list[str],
    synthetic: bool = False,
    share: float = 0.2,
) -> Data[Thing]:
    """A share of each class is the test part, a fifth where nobody chose."""
    test = split(examples.keys, examples.strata, 0, share, at_least_one=True)
    about = f"{test.sum():,} held-out {kind_name} of {name}"
    return Data(
        examples[~test],
        examples[test],
        classes,
        name,
        about,
        revision,
        problems,
        synthetic=synthetic,
        parted=False,
        things=kind_name,
    )


# -- a folder of one's own -------------------------------------------------------------------------
def load_from_folder(folder: Path, kind: Kind[Thing], verb: str = "holds") -> Data[Thing]:
    """One subfolder a class; what cannot be read or is there twice is told. `verb`: what an example
    does with its content. Raises SettingsError."""
    found = list_class_folders(folder, kind.recognise, LEAST)
    return make_data(folder, found, kind, verb, f"the folder {folder.name}")


def make_data(
    folder: Path,
    found: Folder,
    kind: Kind[Thing],
    verb: str,
    name: str,
    called: str = "",
    revision: str = "",
    find_again: Callable[[Path], Path] = lambda path: path,
) -> Data[Thing]:
    """Of a person's files below `folder` what can be read, parted. `called`: what sentences call
    the folder, if not by its path; `find_again`: where a file is now. Raises SettingsError."""
    good, keys, unread = find_distinct(folder, found.files, kind, verb)
    found.problems += unread
    labels = np.array(found.labels, dtype=np.int64)[good]
    parts = np.array(found.parts, dtype=str)[good]
    learned = (parts == "train") | (parts == "")
    classes, chosen, labels = keep_usable(called or folder, found, labels, learned, LEAST)

    def read(i: int) -> Thing:
        path = found.files[i]
        path = path if path.exists() else find_again(path)
        return kind.decode(path, path.name)

    examples = Examples(
        read,
        np.array(good)[chosen],
        labels,
        keys[chosen],
        names=[path.name for path in found.files],
    )
    parts = parts[chosen].tolist()
    data = Data(
        examples,
        examples[np.zeros(0, int)],
        classes,
        name,
        "",
        revision or compute_revision(examples.keys, parts),
        notes=found.notes,
    )
    return keep_splits(data, parts, kind.name, found.problems)


def find_distinct(
    folder: Path, files: list[Path], kind: Kind[Thing], verb: str
) -> tuple[list[int], np.ndarray, list[Problem]]:
    """Which of a person's files can be read and show what no earlier one does, their keys, and what
    is wrong with the others. `verb`: what an example does with its content."""

    def read_content(path: Path) -> bytes | str:
        try:
            return kind.content(kind.decode(path, path.name))
        except kind.refusal as error:
            return str(error)

    with ThreadPoolExecutor(cores()) as pool:
        contents = list(pool.map(read_content, files))
    good: list[int] = []
    keys: list[float] = []
    problems: list[Problem] = []
    seen: dict[bytes, str] = {}
    for i, (path, what) in enumerate(zip(files, contents, strict=True)):
        name = name_file(path, folder)
        if isinstance(what, str):
            reason = re.sub(r"[\d.,]+", "", what.replace(path.name, ""))
            problems.append(Problem(name, what, "files could not be read; left out", reason))
        elif what in seen:
            problems.append(
                Problem(
                    name,
                    f"{verb} what {seen[what]} {verb}; left out",
                    f"files {PLURAL[verb]} what another one {verb}; left out",
                )
            )
        else:
            seen[what] = name
            good.append(i)
            keys.append(bucket(what))
    return good, np.array(keys), problems


def compute_revision(keys: np.ndarray, parts: Sequence[str]) -> str:
    """The content is the revision: a folder has no other, and changes without a word. `parts`: the
    split that each is in, or empty."""
    content = keys.tobytes() + "".join(parts).encode()
    return f"content {hashlib.blake2b(content, digest_size=6).hexdigest()}"
