"""A checkpoint that leaves: as a zip, as ONNX, or to the Hub.

python -m training export RUN --to zip               RUN.zip: from_pretrained's folder, and use.py
python -m training export RUN --to onnx --file my.zip    for browsers and phones; classifiers alone
python -m training push RUN owner/name [--public]    to the Hub, private unless you say otherwise

RUN is a run's id, or `embedded-food` for a checkpoint that comes with this project.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.own_data import Progress, add_place, describe_pushed
from training.publish.pack import find_checkpoint, pack_checkpoint, write_zip
from training.publish.push import ask_licences, check_ready, find_token, push
from training.recipe import SettingsError
from training.wording import quote

EXPORT = "export"
PUSH = "push"
KINDS = ("zip", "onnx")
HELP = "a run's id, or embedded-food (digits, fashion, audio, captions)"


def add_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_runs: Callable[[Any], object],
) -> None:
    """The parsers of both; `add_runs` adds the flag that commands share."""
    text = "Writes a checkpoint into a zip: as from_pretrained loads it, with use.py; or as ONNX."
    made = commands.add_parser(EXPORT, help="a checkpoint as a zip, or as ONNX", description=text)
    made.add_argument("checkpoint", metavar="RUN", help=HELP)
    made.add_argument("--to", choices=KINDS, default="zip", help="what it becomes [zip]")
    made.add_argument("--file", type=Path, metavar="FILE.zip", help="what is written [RUN.zip]")
    add_runs(made)
    text = "Pushes a checkpoint to the Hub, with its card; private unless you say otherwise."
    made = commands.add_parser(PUSH, help="push a checkpoint to the Hub", description=text)
    made.add_argument("checkpoint", metavar="RUN", help=HELP)
    add_place(made)
    add_runs(made)


def export(given: dict[str, Any], runs: Path) -> None:
    """Writes the zip, and tells where. Raises SettingsError, CheckpointError."""
    found = find_checkpoint(runs, given["checkpoint"])
    to = given["to"]
    file = given["file"] or Path(f"{found.id}{'-onnx' * (to == 'onnx')}.zip")
    if not file.parent.is_dir():
        raise SettingsError(f"There is no folder {quote(str(file.parent))} to write it into.")
    progress = Progress()
    if to == "zip":
        write_zip(pack_checkpoint(found, runs), file, progress)
        told = ""
    else:
        from training.publish.onnx import pack_onnx

        with tempfile.TemporaryDirectory() as folder:
            package, compared = pack_onnx(found, runs, Path(folder), progress)
            write_zip(package, file, progress)
        told = f"{compared.sentence}\n"
    progress.end()
    print(f"{told}Written to {file}.")


def push_checkpoint(given: dict[str, Any], runs: Path) -> None:
    """Pushes it, and tells where it is. Raises SettingsError, CheckpointError."""
    found = find_checkpoint(runs, given["checkpoint"])
    place, token = given["place"], find_token()
    check_ready(place, token)
    progress = Progress()
    package = pack_checkpoint(found, runs, ask_licences(token))
    address = push(package, place, not given["public"], token, progress)
    progress.end()
    print(describe_pushed(address, given["public"]))
