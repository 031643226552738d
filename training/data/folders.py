"""A person's own folder with one subfolder a class: what is in it, and which of it can be used.

The class folders may lie in the folders of splits (train, val, test), and all of it below one lone
folder, as a zip is often packed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.data.problems import Problem, explain, left_out
from training.data.splits import find_split_word, name_splits
from training.recipe import SettingsError
from training.wording import counted, fold, sentence

STRAY = {".ds_store", "thumbs.db", "desktop.ini"}
# Folders that systems and network drives put beside and into a person's own.
OF_SYSTEMS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
PARTS = ("test", "validation", "train")  # of what is in two of them, the first one keeps it


@dataclass
class Folder:
    """A folder with one subfolder a class."""

    classes: list[str]
    files: list[Path]
    labels: list[int]
    parts: list[str]  # the split that each file is in; empty where the person made none
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how it was understood, in sentences


def is_made_by_system(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is hidden, or was put there by no person."""
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") or part.lower() in OF_SYSTEMS for part in parts)


def name_file(path: Path, folder: Path) -> str:
    """A file or folder below another one, for a person: bytes that are no text are marked."""
    return str(path.relative_to(folder)).encode("utf-8", "replace").decode()


def list_files(folder: Path) -> list[Path]:
    """All that a person has put into a folder or deeper, in the order of their names."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not is_made_by_system(path, folder) and path.name.lower() not in STRAY
    )


def list_folders(folder: Path) -> list[Path]:
    """The subfolders that a person made, in the order of their names."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not is_made_by_system(path, folder)
    )


def step_in(folder: Path) -> Path:
    """The folder itself or, where one alone lies in it and holds further ones, that."""
    inner = list_folders(folder)
    while len(inner) == 1 and (deeper := list_folders(inner[0])):
        folder = inner[0]
        inner = deeper
    return folder


def list_split_folders(folder: Path) -> dict[str, list[Path]]:
    """A person's own splits, {"train": [...], "test": [...]}; empty where they made none. What is
    in no split's folder is under ""."""
    inner = list_folders(folder)
    # `seg_train` is one where it holds folders: a class may be called `train station`.
    called = [find_split_word(p.name) if list_folders(p) else p.name for p in inner]
    found: dict[str, list[Path]] = {}
    for path, split in zip(inner, name_splits(called), strict=True):
        found.setdefault(split, []).append(path)
    return found if found.keys() - {""} else {}


def list_class_folders(
    folder: Path,
    recognise: Callable[[Path], bool],
    least: int = 5,
    fewest: int = 2,
    called: str = "",
) -> Folder:
    """Lists a person's own examples; what cannot be used is a problem that is told, not an error.
    `recognise`: whether a file is meant to be one, by its content or its name. `called`: what
    sentences call the folder, if not by its path.

    Raises SettingsError when there are not `fewest` classes with `least` files each."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder. Give one that holds one subfolder for each class."
        )
    listing = _Listing(folder, recognise, called)
    root = step_in(folder)
    if root != folder:
        listing.notes.append(
            f"The classes were found in {root.relative_to(folder)}, the only folder in "
            f"{called or folder.name}."
        )
    splits = list_split_folders(root)
    if splits:
        named = [path.name for split in PARTS[::-1] for path in splits.get(split, [])]
        listing.notes.append(f"{', '.join(named)} are kept as the splits that they are.")
        listing.tell_loose(root)
        listing.problems += [
            Problem(path.name, "is no split's folder; left out", "folders are no split's; left out")
            for path in splits.get("", [])
        ]
        for split in PARTS[::-1]:  # train first: its classes are the classes
            for path in splits.get(split, []):
                listing.add(step_in(path), split)
    else:
        listing.add(root, "")
    return listing.finish(least, fewest)


def list_laid_out(
    folder: Path, recognise: Callable[[Path], bool], called: str, least: int = 5
) -> Folder:
    """The same of a folder that this project laid out, with one of `train`, `validation` and `test`
    at its top: a class may be called as a split is."""
    listing = _Listing(folder, recognise, called)
    splits = [split for split in PARTS[::-1] if (folder / split).is_dir()]
    for split in splits:
        listing.add(folder / split, split if len(splits) > 1 else "")
    return listing.finish(least)


class _Listing:
    """A folder that is being read: its files by class and split."""

    def __init__(self, folder: Path, recognise: Callable[[Path], bool], called: str = ""):
        self.folder = folder
        self.called = called or str(folder)
        self.recognise = recognise
        self.files: dict[str, dict[str, list[Path]]] = {}  # by class, folded, and by split
        self.names: dict[str, list[str]] = {}  # the spellings of a class, the first one first
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def tell_loose(self, folder: Path) -> None:
        """Of the files that lie beside subfolders."""
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.lower() not in STRAY and path.name[0] != ".":
                name = name_file(path, self.folder)
                self.problems.append(
                    Problem(
                        name,
                        "is not in a class's subfolder; left out",
                        "files are not in a class's subfolder; left out",
                    )
                )

    def add(self, folder: Path, split: str) -> None:
        """The class folders in this one."""
        self.tell_loose(folder)
        for sub in list_folders(folder):
            name = name_file(sub, folder)
            key = fold(name)
            names = self.names.setdefault(key, [])
            if name not in names:
                names.append(name)
            own = self.files.setdefault(key, {}).setdefault(split, [])
            for path in list_files(sub):
                if self.recognise(path):
                    own.append(path)
                else:
                    self.problems.append(
                        Problem(
                            name_file(path, self.folder),
                            "not a supported kind of file; left out",
                            "files are not of a supported kind; left out",
                        )
                    )

    def finish(self, least: int, fewest: int = 2) -> Folder:
        """Raises SettingsError when there are not `fewest` classes with `least` files to learn
        from."""
        kept = []
        for key, parts in self.files.items():
            count = len(parts.get("train", [])) + len(parts.get("", []))
            if count < least:
                name = self.names[key][0]
                if not count and any(parts.values()):
                    problem = Problem(
                        name, "is no class of train; left out", "classes are not in train; left out"
                    )
                else:
                    problem = left_out(name, count, least)
                self.problems.append(problem)
                continue
            kept.append(key)
            if len(names := self.names[key]) > 1:
                self.notes.append(f'{" and ".join(names)} were joined as one class, "{names[0]}".')
        if len(kept) < fewest:
            needed = f"at least {fewest} subfolders with {least} files each are needed."
            if fewest == 1:
                needed = "put the files of each class into a folder of its name, or name the class."
            usable = counted(len(kept), "usable class", "usable classes")
            raise SettingsError(
                f"{sentence(self.called)} holds {usable}: "
                f"{needed} {explain(self.problems, self.notes)}".rstrip()
            )
        found = Folder([self.names[key][0] for key in kept], [], [], [], self.problems, self.notes)
        for part in (*PARTS, ""):
            for label, key in enumerate(kept):
                own = self.files[key].get(part, [])
                found.files += own
                found.labels += [label] * len(own)
                found.parts += [part] * len(own)
        return found


def keep_usable(
    called: Path | str, found: Folder, labels: np.ndarray, learned: np.ndarray, least: int = 5
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of examples that could be read, with their labels in `found`: the classes that have enough,
    which examples are theirs, and the labels of those, numbered anew. `learned`: which examples
    count for that. Raises SettingsError."""
    counts = np.bincount(labels[learned], minlength=len(found.classes))
    keep = np.flatnonzero(counts >= least)
    found.problems += [
        Problem(
            found.classes[c],
            f"{counts[c]} different ones could be read, at least {least} are needed; left out",
            f"classes have fewer than {least} different ones that could be read; left out",
        )
        for c in np.flatnonzero(counts < least)
    ]
    if len(keep) < 2:
        raise SettingsError(
            f"{called} holds {counted(len(keep), 'class', 'classes')} with at least {least} "
            "different examples that can be read; 2 such classes are needed. "
            + explain(found.problems, found.notes)
        )
    chosen = np.isin(labels, keep)
    return (
        [found.classes[c] for c in keep],
        chosen,
        np.searchsorted(keep, labels[chosen]).astype(np.int64),
    )
