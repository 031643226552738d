"""A person's own folder with one subfolder a class: what is in it, and which of it can be used."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.recipe import SettingsError
from training.wording import counted

STRAY = {".ds_store", "thumbs.db", "desktop.ini"}


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


@dataclass
class Folder:
    """A folder with one subfolder a class."""

    classes: list[str]
    files: list[Path]
    labels: list[int]
    problems: list[str] = field(default_factory=list)


def list_class_folders(folder: Path, recognise: Callable[[Path], bool], least: int = 5) -> Folder:
    """Lists a person's own examples; what cannot be used is a problem that is told, not an error.
    `recognise`: whether a file is meant to be one, by its content or its name.

    Raises SettingsError when there are not two classes with `least` files each."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder. Give one that holds one subfolder for each class."
        )
    classes = []
    files = []
    labels = []
    problems = []
    for sub in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        if not sub.is_dir():
            if sub.name.lower() not in STRAY:
                problems.append(f"{sub.name}: is not in a class's subfolder; left out")
            continue
        found = []
        for path in sorted(p for p in sub.rglob("*") if p.is_file() and not _is_hidden(p, sub)):
            if recognise(path):
                found.append(path)
            elif path.name.lower() not in STRAY:
                problems.append(
                    f"{path.relative_to(folder)}: not a supported kind of file; left out"
                )
        if len(found) < least:
            problems.append(
                f"{sub.name}: {len(found)} usable files, at least {least} are needed; left out"
            )
            continue
        files += found
        labels += [len(classes)] * len(found)
        classes.append(sub.name)
    if len(classes) < 2:
        raise SettingsError(
            f"{folder} holds {counted(len(classes), 'usable class', 'usable classes')}: at least "
            f"2 subfolders with {least} files each are needed. " + " ".join(problems[:3])
        )
    return Folder(classes, files, labels, problems)


def keep_usable(
    folder: Path, found: Folder, labels: np.ndarray, least: int = 5
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of examples that could be read, with their labels in `found`: the classes that have enough,
    which examples are theirs, and the labels of those, numbered anew. Raises SettingsError."""
    counts = np.bincount(labels, minlength=len(found.classes))
    keep = np.flatnonzero(counts >= least)
    found.problems += [
        f"{found.classes[c]}: {counts[c]} different ones could be read, at least {least} are "
        "needed; left out"
        for c in np.flatnonzero(counts < least)
    ]
    if len(keep) < 2:
        raise SettingsError(
            f"{folder} holds {counted(len(keep), 'class', 'classes')} with at least {least} "
            "different examples that can be read; 2 such classes are needed. "
            + " ".join(found.problems[:3])
        )
    chosen = np.isin(labels, keep)
    return (
        [found.classes[c] for c in keep],
        chosen,
        np.searchsorted(keep, labels[chosen]).astype(np.int64),
    )
