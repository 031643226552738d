"""What people keep a model in, as a folder that `from_pretrained` loads: a training's output with
checkpoint-N folders, an adapter (PEFT) beside its base, weights without what prepares their input.

    folder, notes = settle(folder, "owner/name", runs, open_base)

What has to be made for that is kept in `runs/.starts/`, by what it was made of. The folder is
capped: what was not used for the longest time goes first.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, PreTrainedModel

from training.data.hub_model import PREPARES
from training.learn.heads import quiet_transformers
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError
from training.runs.records import is_disk_full, read_json, write_json

ADAPTER = "adapter_config.json"
ADAPTED = "adapter_model.safetensors"
NOTES = "notes.json"  # in a folder that was made: sentences about it
STARTS = ".starts"  # in the folder of runs
CAP = 4 * 2**30  # bytes of it
OpenBase = Callable[[str], Path]  # the folder of a base by its name; raises SettingsError


def read_notes(path: Path | None) -> list[str]:
    """What a person should know of a start's folder."""
    found = read_json(path / NOTES, []) if path else []
    return [str(each) for each in found] if isinstance(found, list) else []


def write_notes(path: Path, notes: list[str]) -> None:
    """Into a folder that is made."""
    write_json(path / NOTES, notes)


def find_newest(folder: Path) -> Path:
    """Of a training's output the newest checkpoint-N, where the folder itself holds no model."""
    if (folder / "config.json").exists() or (folder / ADAPTER).exists():
        return folder
    numbered = [
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := re.fullmatch(r"checkpoint-(\d+)", path.name)) and path.is_dir()
    ]
    return max(numbered)[1] if numbered else folder


def settle(folder: Path, name: str, runs: Path, open_base: OpenBase) -> Path:
    """The folder to load in place of this one of the model `name`. Raises SettingsError,
    CheckpointError."""
    inner = find_newest(folder)
    notes = [f"{name}: its {inner.name} is used, the newest."] if inner != folder else []
    if (inner / ADAPTER).exists() and not (inner / "config.json").exists():
        return keep(runs, inner, name, lambda made: _join(inner, made, name, open_base, notes))
    if not notes and _is_prepared(inner):
        return inner
    return keep(runs, inner, name, lambda made: _complete(inner, folder, made, name, notes))


def _sweep(folder: Path, needed: set[Path]) -> None:
    """Holds it to CAP. Another job that begins at this moment makes its own again."""
    made = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    sizes = {each: sum(p.stat().st_size for p in each.rglob("*") if p.is_file()) for each in made}
    size = sum(sizes.values())
    for old in made:
        if size <= CAP:
            return
        if old not in needed and not old.name.startswith("."):  # one that is being made
            size -= sizes[old]
            shutil.rmtree(old, ignore_errors=True)


def _is_prepared(folder: Path) -> bool:
    """Whether what prepares its input is there, or nothing is known of such a thing."""
    config = checkpoint.config(folder) if (folder / "config.json").exists() else {}
    return (
        any((folder / each).exists() for each in PREPARES)
        or "pretrained_cfg" in config  # of timm, whose config says it
        or not config
        or config.get("model_type") in ("gpt2", "transfer_lab_digits")
        or "vocab_size" in config
    )


def keep(
    runs: Path,
    source: Path,
    name: str,
    make: Callable[[Path], None],
    wishes: tuple[str, ...] = (),
) -> Path:
    """The folder that `make` fills, made once of what `source` holds and of what else it depends
    on. Raises SettingsError."""
    marks = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(source.iterdir())]
    parts = (name, str(source.resolve()), marks, *wishes)
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
    kept = runs / STARTS / digest
    if kept.exists():
        os.utime(kept)
        return kept
    half = kept.with_name(f".{digest}.{os.getpid()}")
    try:
        half.mkdir(parents=True, exist_ok=True)
        make(half)
        half.rename(kept)
        _sweep(kept.parent, {kept, source})
    except OSError as error:
        if kept.exists():  # another job was quicker
            return kept
        why = "the disk is full" if is_disk_full(error) else error.strerror or type(error).__name__
        raise SettingsError(f"{name} could not be made ready ({why}): make room.") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return kept


def _link_all(source: Path, target: Path) -> None:
    """Its files, without copies of the weights; pickles stay behind."""
    for file in source.iterdir():
        if not file.is_file() or file.suffix not in (".json", ".safetensors", ".txt"):
            continue
        if file.suffix == ".safetensors":
            os.symlink(file.resolve(), target / file.name)
        else:
            shutil.copyfile(file, target / file.name)


# -- what prepares the input -----------------------------------------------------------------------
def _complete(inner: Path, folder: Path, made: Path, name: str, notes: list[str]) -> None:
    """A checkpoint's files with what prepares its input: its own, that of the folder around it, or
    what is usual for its family."""
    _link_all(inner, made)
    write_notes(made, notes)
    if any((made / each).exists() for each in PREPARES):
        return
    for each in PREPARES:
        if (folder / each).exists():
            shutil.copyfile(folder / each, made / each)
            return
    notes.append(_make_usual(made, name))
    write_notes(made, notes)


def _make_usual(made: Path, name: str) -> str:
    """Saves what is usual for the family, of the size that its config names; a sentence about it.
    Raises SettingsError."""
    config = AutoConfig.from_pretrained(made, local_files_only=True)
    family = config.model_type
    lacks = f"{name} does not say how its input is prepared (preprocessor_config.json is missing)"
    for auto in (AutoImageProcessor, AutoFeatureExtractor):
        try:
            kind = _find_class(auto, config)
        except (KeyError, ValueError, ImportError):
            continue
        if kind is None:
            continue
        size = getattr(config, "image_size", None)
        more = {"size": {"height": size, "width": size}} if isinstance(size, int) else {}
        kind(**more).save_pretrained(made)
        return f"{lacks}: it is prepared as is usual for {family}, which may not be how it learned."
    raise SettingsError(f"{lacks}: choose another start.")


def _find_class(auto: Any, config: Any) -> Any:
    """The class with which an Auto class would prepare the input of a network; None where there is
    none."""
    from transformers.models.auto import feature_extraction_auto, image_processing_auto

    if auto is AutoImageProcessor:
        table = image_processing_auto.IMAGE_PROCESSOR_MAPPING
    else:
        table = feature_extraction_auto.FEATURE_EXTRACTOR_MAPPING
    found: Any = table.get(type(config), None)
    if isinstance(found, dict):  # by what computes
        found = [found[each] for each in ("torchvision", "pil") if each in found]
    offered = found if isinstance(found, list | tuple) else [found]
    return next((each for each in offered if isinstance(each, type)), None)


# -- adapters --------------------------------------------------------------------------------------
def _join(folder: Path, made: Path, name: str, open_base: OpenBase, notes: list[str]) -> None:
    """The base with the adapter merged into it, as an ordinary checkpoint. Raises SettingsError."""
    from peft import PeftModel

    about = read_json(folder / ADAPTER, {})
    base = str(about.get("base_model_name_or_path") or "") if isinstance(about, dict) else ""
    if not (folder / ADAPTED).exists():
        raise SettingsError(
            f"{name} holds its adapter as a pickle, which could run code when loaded: choose "
            "another start."
        )
    if not base:
        raise SettingsError(
            f"{name} is an adapter (PEFT) that does not name its base: choose another start."
        )
    try:
        source = open_base(base)
    except SettingsError as error:
        why = f"{name} is an adapter of {base}, which cannot be had: {error}"
        raise SettingsError(why) from error
    kind = cast(dict[str, Any], about).get("auto_mapping") or {}
    model = _open_base(source, folder, name, base, str(kind.get("base_model_class") or ""))
    try:
        joined = PeftModel.from_pretrained(cast(Any, model), str(folder), use_safetensors=True)
        whole = cast(Any, joined).merge_and_unload()
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
        raise SettingsError(
            f"{name} does not fit its base {base} ({str(error).splitlines()[0][:150]}): choose "
            "another start."
        ) from error
    whole.save_pretrained(made)
    _take_processor(folder, source, made, getattr(whole.config, "image_size", None))
    notes.append(f"{name} is an adapter: it was joined with its base, {base}.")
    write_notes(made, notes)


def _take_processor(folder: Path, source: Path, made: Path, size: object) -> None:
    """The adapter's own, or its base's where the network cannot see what that makes."""
    for place in (folder, source):
        for each in PREPARES:
            if (place / each).exists():
                shutil.copyfile(place / each, made / each)
                own = cast(dict[str, Any], read_json(place / each, {})).get("size")
                if not isinstance(own, dict) or own.get("height") in (None, size):
                    return


def _open_base(source: Path, folder: Path, name: str, base: str, kind: str) -> PreTrainedModel:
    """The network that an adapter goes on, with a head for as many classes as the adapter's. Raises
    SettingsError."""
    import transformers

    auto = getattr(transformers, kind, None)
    if not (isinstance(auto, type) and issubclass(auto, PreTrainedModel)):
        raise SettingsError(
            f"{name} is an adapter of a kind of network ({kind or 'not named'}) that the installed "
            "transformers does not know: choose another start."
        )
    count = 0
    with safe_open(folder / ADAPTED, "pt") as stored:
        for key in stored.keys():  # noqa: SIM118  (it is no dict)
            if re.search(r"\b(classifier|score)\.(\w+\.)*weight$", key):
                count = stored.get_slice(key).get_shape()[0]
    config = AutoConfig.from_pretrained(source, local_files_only=True)
    own = len(checkpoint.labels(source))
    if count and count != own:
        config.num_labels = count
    try:
        with quiet_transformers():
            return auto.from_pretrained(
                source,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{base}, the base of {name}, cannot be opened: {str(error).splitlines()[0][:150]}"
        ) from error
