"""What was read of the Hub's data sets, kept beside its libraries' own caches: listed with its
disk, and removed.

    HF_HOME/training-parts/OWNER--NAME/REVISION/REQUEST/      train.arrow, test.arrow, about.json
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from training.recipe import SettingsError

ABOUT = "about.json"
HIDDEN = "."  # begins what is being written


@dataclass(frozen=True)
class Kept:
    """Of one request: tables by their names, and what was found out."""

    revision: str
    tables: dict[str, pa.Table]
    about: dict[str, Any]


def find_home() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "training-parts"


def _name_request(request: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]


def find(name: str, request: Mapping[str, object], revision: str | None) -> Kept | None:
    """Of this revision, or, where nobody can be asked which one is the newest, the one that was
    read last."""
    home = find_home() / name.replace("/", "--")
    pattern = f"{revision or '*'}/{_name_request(request)}/{ABOUT}"
    found = sorted(home.glob(pattern), key=lambda path: path.stat().st_mtime)
    for about in reversed(found):
        try:
            tables = {
                path.stem: pa.ipc.open_file(pa.memory_map(str(path))).read_all()
                for path in about.parent.glob("*.arrow")
            }
            return Kept(about.parent.parent.name, tables, json.loads(about.read_text("utf-8")))
        except (OSError, ValueError, pa.ArrowException):
            shutil.rmtree(about.parent, ignore_errors=True)  # damaged: it is fetched again
    return None


@contextlib.contextmanager
def make_scratch(name: str) -> Iterator[Path]:
    """A folder for what is being fetched of a data set, gone afterwards. Raises OSError."""
    home = find_home() / name.replace("/", "--")
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=home) as made:
        yield Path(made)


def keep(name: str, request: Mapping[str, object], kept: Kept) -> None:
    """Whole or not at all. Raises OSError where the disk is full."""
    folder = find_home() / name.replace("/", "--") / kept.revision / _name_request(request)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=folder.parent) as made:
        part = Path(made) / folder.name
        part.mkdir()
        for title, table in kept.tables.items():
            with pa.ipc.new_file(str(part / f"{title}.arrow"), table.schema) as file:
                file.write_table(table)
        (part / ABOUT).write_text(json.dumps(kept.about), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)


# -- what of the Hub's data sets lies on this disk -------------------------------------------------
def list_downloads() -> dict[str, int]:
    """Bytes by the data sets' names, of the libraries' caches and of parts."""
    sizes: dict[str, int] = {}
    for name, folder in _list_folders():
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        sizes[name] = sizes.get(name, 0) + sum(path.stat().st_size for path in files)
    return dict(sorted(sizes.items()))


def remove(name: str) -> int:
    """Deletes all that was downloaded of a data set, and tells how many bytes that frees. Raises
    SettingsError."""
    freed = list_downloads().get(name)
    if freed is None:
        raise SettingsError(
            f"Nothing of {name} is on this disk. `python -m training datasets list` tells what is."
        )
    for found, folder in _list_folders():
        if found == name:
            shutil.rmtree(folder)
    return freed


def _list_folders() -> Iterator[tuple[str, Path]]:
    """A data set's name and a folder that holds something of it."""
    from datasets import config
    from huggingface_hub import constants

    places = (
        (Path(constants.HF_HUB_CACHE), "datasets--", "--"),
        (Path(config.HF_DATASETS_CACHE), "", "___"),
        (find_home(), "", "--"),
    )
    for home, before, divider in places:
        for folder in sorted(home.glob(f"{before}*{divider}*")):
            name = folder.name.removeprefix(before)
            if folder.is_dir() and name.count(divider) == 1:
                yield name.replace(divider, "/"), folder
