"""What leaves this project: a checkpoint or an own data set as files at their places, written into
a zip, or sent to the Hub (training/publish/push.py).

    package = pack_checkpoint(checkpoint.find(runs, run_id), runs)
    write_zip(package, Path("food.zip"))
"""

import contextlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.data.folders import list_files
from training.data.own.data_set import DataSet, Tell, tell_nobody
from training.publish.card import recipe_of, write_data_card, write_model_card
from training.publish.carried import ROOT, list_carried
from training.publish.licence import Ask, ask_nobody
from training.publish.records import Usage
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint
from training.runs.job import explain
from training.runs.run import Run
from training.wording import quote

CARD = "README.md"
LICENCE = "LICENSE"
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle")  # never passed on


@dataclass(frozen=True)
class Package:
    """Files by their places, each lying somewhere or given whole."""

    name: str  # of the folder in a zip
    kind: str  # model or dataset, as the Hub has it
    files: Mapping[str, Path | bytes] = field(default_factory=dict)

    @property
    def card(self) -> str:
        found = self.files[CARD]
        return found.decode() if isinstance(found, bytes) else found.read_text("utf-8")

    @property
    def bytes(self) -> int:
        return sum(
            len(each) if isinstance(each, bytes) else each.stat().st_size
            for each in self.files.values()
        )


def find_checkpoint(runs: Path, name: str) -> Checkpoint:
    """By a run's id, or `embedded-` and a slot. Raises CheckpointError with why there is none."""
    return checkpoint.check_usable(checkpoint.find(runs, name))


def describe_use(found: Checkpoint, runs: Path) -> Usage | None:
    """None of a recipe that does not say. Raises SettingsError, CheckpointError."""
    run = Run.find(runs, found.id)
    use = recipe_of(run, found.id.removeprefix("embedded-")).use
    return use(found.path) if use else None


def pack_checkpoint(found: Checkpoint, runs: Path, ask: Ask = ask_nobody) -> Package:
    """What `from_pretrained` loads, the card, the licence, and use.py. Raises SettingsError,
    CheckpointError."""
    usage = describe_use(found, runs)
    files: dict[str, Path | bytes] = {
        path.name: path
        for path in sorted(found.path.iterdir())
        if path.is_file() and path.suffix not in PICKLED and not path.name.startswith(".")
    }
    files[CARD] = write_model_card(found, runs, usage, ask).encode()
    files[LICENCE] = ROOT / LICENCE
    if usage is not None:
        files["use.py"] = usage.script.encode()
        files |= list_carried(usage.modules)
    return Package(found.id, "model", files)


def pack_data_set(found: DataSet) -> Package:
    """Its files as they were brought, and a card. Raises SettingsError."""
    files: dict[str, Path | bytes] = {
        f"data/{path.relative_to(found.data).as_posix()}": path for path in list_files(found.data)
    }
    if not files:
        raise SettingsError(f"The data set {quote(found.name)} is empty: add something first.")
    return Package(found.name, "dataset", {CARD: write_data_card(found).encode(), **files})


def write_zip(package: Package, file: Path, tell: Tell = tell_nobody) -> Path:
    """There whole or not at all. Raises SettingsError, and what `tell` raises."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        # Weights do not get smaller.
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as packed:
            for number, (place, content) in enumerate(package.files.items()):
                tell("packing", number, len(package.files))
                where = f"{package.name}/{place}"
                if isinstance(content, bytes):
                    packed.writestr(where, content)
                else:
                    packed.write(content, where)
        os.replace(partial, file)
    except OSError as error:
        raise SettingsError(f"{quote(file.name)} could not be written. {explain(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return file
