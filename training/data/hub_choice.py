"""Makes a fetched model of the Hub one of a slot's choices, and takes it away again.

Its folder (training/runs/published.py) loads like a run's checkpoint: the config tells its classes,
whichever way the model's own one does, or does not.
"""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from training.data import hub_model
from training.data.hub_model import PICTURES, SOUNDS, ZERO_SHOT, Found
from training.recipe import SettingsError
from training.runs import published
from training.runs.published import RECORD, Added, Choice, Record
from training.runs.records import is_disk_full, write_json
from training.wording import TEMPLATE, fold, is_template

CLASSES = 1_000  # of a zero-shot model
LONGEST = 100  # characters of a class's name
PROMPT = "Describe this picture in one short sentence."
LONGEST_PROMPT = 300


# -- what a person chooses of a model --------------------------------------------------------------
def read_classes(text: str) -> list[str]:
    """`ramen, pho, soup`, or a line for each. Raises SettingsError."""
    names = [" ".join(part.split()) for part in text.replace("\n", ",").split(",")]
    first: dict[str, str] = {}
    for name in filter(None, names):
        first.setdefault(fold(name), name)
    names = list(first.values())
    if len(names) == 1:
        raise SettingsError("One class leaves nothing to choose from: name two or more.")
    if len(names) > CLASSES or any(len(name) > LONGEST for name in names):
        raise SettingsError(
            f"Name {CLASSES:,} classes at most, each of {LONGEST} characters at most."
        )
    return names


def make_choice(kind: str, classes: Iterable[str], template: str, prompt: str) -> Choice:
    """What counts of these for a model of a kind. Raises SettingsError."""
    if kind == ZERO_SHOT:
        template = template.strip() or TEMPLATE
        if not is_template(template):
            raise SettingsError(
                f"The prompt template must hold {{}} once, where the class goes: {TEMPLATE}"
            )
        return {"classes": [*classes], "template": template}
    if kind == hub_model.CAPTIONS and prompt.strip():
        if len(prompt) > LONGEST_PROMPT:
            raise SettingsError(f"The prompt may have {LONGEST_PROMPT} characters at most.")
        return {"prompt": prompt.strip()}
    return {}


# -- the folder ------------------------------------------------------------------------------------
def add(
    runs: Path, found: Found, fetched_folder: Path, slot: str, choice: Choice, fetched: bool
) -> Added:
    """The model as one of the slot's choices; `fetched`: whether its files came for this. Raises
    SettingsError; then nothing is left."""
    record: Record = {
        "name": found.name,
        "revision": found.revision,
        "slot": slot,
        "kind": found.kind,
        "choice": choice,
        "license": found.license,
        "bytes": found.bytes,
        "fetched": fetched,
        "added": time.time(),
    }
    folder = published.find_folder(runs, record)
    half = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        half.mkdir(parents=True)
        for file, _ in found.files:
            _take(fetched_folder / file, half / file)
        config = _complete(found, fetched_folder, choice)
        write_json(half / "config.json", config)
        write_json(half / RECORD, record)
        if folder.exists():  # of another version, or damaged
            shutil.rmtree(folder)
        half.rename(folder)
    except OSError as error:
        what = "the disk is full" if is_disk_full(error) else f"{error.strerror}"
        raise SettingsError(
            f"{found.typed} could not be added ({what}): make room in the folder of runs, and try "
            "again."
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return Added(folder, record)


def _take(source: Path, target: Path) -> None:
    """Small files are copied, weights linked; where the system allows no links, copied too."""
    source = source.resolve()  # of the cache's own links
    if target.suffix != ".safetensors":
        shutil.copyfile(source, target)
        return
    for link in (os.symlink, os.link):
        try:
            link(source, target)
            return
        except OSError:
            continue
    shutil.copyfile(source, target)


def _complete(found: Found, folder: Path, choice: Choice) -> dict[str, Any]:
    """Its config.json, with its classes where those who read it look for them. Raises
    SettingsError."""
    config: dict[str, Any] = {**found.config}
    if found.kind == ZERO_SHOT:
        return config | {"id2label": {str(i): c for i, c in enumerate(choice.get("classes", []))}}
    if found.kind not in (PICTURES, SOUNDS):
        return config
    from transformers import AutoConfig

    try:
        made = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{found.typed} cannot be used: its config.json cannot be read "
            f"({str(error).splitlines()[0][:120]}). Choose another model."
        ) from error
    labels = cast(dict[int, str], made.id2label or {})
    names = [str(labels[key]) for key in sorted(labels)]
    if "pretrained_cfg" in config:  # of timm
        config["label_names"] = names
        # Told there too, it is one time too many for transformers.
        own = {k: v for k, v in (config.get("model_args") or {}).items() if k != "num_classes"}
        config["model_args"] = own or None
        return config
    return config | {"id2label": {str(i): name for i, name in enumerate(names)}}


def remove(runs: Path, added: Added) -> int:
    """Takes a model away, and its files, where these came for it and no other choice needs them.
    The bytes that this freed on the disk."""
    record = added.record
    published.discard(added)
    for other in published.list_added(runs):
        if (other.record["name"], other.record["revision"]) == (
            record["name"],
            record["revision"],
        ):
            return 0
    return hub_model.free_cache(record["name"], record["revision"]) if record.get("fetched") else 0
