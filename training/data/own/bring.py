"""How files become a data set, or a part of one: staged beside it, published by one rename.

    added = add(runs, "pets", [Path("pets.zip")])
    added = add(runs, "pets", [Path("tom.jpg")], label="cat")
    added = add(runs, "pets", [(Path("upload-1"), "pets/cat/tom.jpg")])  # where a browser had it
    added = add(runs, "pets", [Path("1.jpg")], label="cat", collected="webcam")

How folders and lists are laid out is read by what training from a folder reads it with
(training/data/folders.py, captions.py).
"""

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.data.captions import read_captions
from training.data.folders import list_class_folders, list_files
from training.data.own.archive import NO_ROOM, Intake, take_path
from training.data.own.data_set import (
    HASHED,
    RECORD,
    DataSet,
    Item,
    Tell,
    compute_revision,
    find,
    hash_file,
    lock,
    make_stage,
    measure_bytes,
    read_list,
    refuse_taken,
    tell_nobody,
    write_list,
)
from training.data.own.records import (
    BYTES,
    FILES,
    KINDS,
    Record,
    check_label,
    check_name,
    find_home,
    spell_as_known,
)
from training.data.problems import Problem, count_problems, explain
from training.media.pictures import is_picture, name_ending
from training.media.sounds import is_sound, name_sound_ending
from training.recipe import SettingsError
from training.runs.records import is_disk_full, write_json
from training.wording import counted, quote, sentence, shorten

# Of what was brought, the share that must have captions for it to be pictures with captions.
CAPTIONED = 0.5
Brought = Path | tuple[Path, str]  # a file, and what it was called where it comes from
STEM = 120  # bytes of a file's name that are kept


@dataclass(frozen=True)
class Added:
    """What became of what was brought."""

    data_set: DataSet
    count: int  # items that were added
    classes: dict[str, int]  # of those
    new: bool  # whether the data set is
    problems: list[str] = field(default_factory=list)  # what was left out, counted by kind
    notes: list[str] = field(default_factory=list)  # how it was understood
    items: list[str] = field(default_factory=list)  # those that were added, by their hashes


@dataclass
class Understood:
    """What was brought, as it was read."""

    kind: str
    files: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    captions: list[list[str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def add(
    runs: Path,
    name: str,
    brought: Sequence[Brought],
    label: str = "",
    kind: str = "",
    captions: Sequence[str] = (),
    tell: Tell = tell_nobody,
    most_files: int = FILES,
    most_bytes: int = BYTES,
    collected: str = "",
) -> Added:
    """Makes the data set `name` of zips, folders and files, or adds them to it where it is there.
    `label`: the class of all of them, `captions`: what is said of the only one, where they do not
    say so themselves; `kind`: one of KINDS, where what they hold leaves that open; `collected`:
    what they were taken with just now, such as a webcam: their origin, and what is wrong with them
    is told and not kept. Nothing is kept of what fails or is cancelled. Raises SettingsError,
    Cancelled."""
    name = check_name(name)
    label = check_label(label) if label else ""
    home = find_home(runs)
    try:
        refuse_taken(home, name)
        with make_stage(home) as stage:
            intake = Intake(stage / "brought", tell, most_files, most_bytes)
            intake.folder.mkdir()
            _gather(intake, brought)
            found = _understand(intake, label, kind or _find_kind(runs, name), captions)
            if not found.files:
                told = explain(found.problems, found.notes)
                raise SettingsError(f"Nothing of it can be used. {told}".rstrip())
            ready = _lay_out(found, stage / "ready", _list_classes(runs, name), tell)
            origin = [collected] if collected else [_name_origin(each) for each in brought[:20]]
            return _publish(runs, name, ready, origin, found, most_files, not collected)
    except OSError as error:
        if is_disk_full(error):
            raise SettingsError(NO_ROOM) from error
        reason = error.strerror or type(error).__name__
        raise SettingsError(
            f"The data set could not be written ({reason}): nothing was kept. See that the folder "
            "of runs can be written to, and try again."
        ) from error


def _find_kind(runs: Path, name: str) -> str:
    """Of a data set that is added to."""
    return find(runs, name).kind if (find_home(runs) / name / RECORD).exists() else ""


def _list_classes(runs: Path, name: str) -> list[str]:
    """Likewise, of captions none."""
    return find(runs, name).classes if (find_home(runs) / name / RECORD).exists() else []


# -- reading what was brought ----------------------------------------------------------------------
def _gather(intake: Intake, brought: Sequence[Brought]) -> None:
    """Copies all of it into one folder. Raises SettingsError, OSError."""
    if not brought:
        raise SettingsError("Nothing was brought: choose a zip, a folder, or some files.")
    for each in brought:
        path, where = each if isinstance(each, tuple) else (each, each.name)
        if path.is_dir():
            for file in list_files(path):
                take_path(intake, file, f"{path.name}/{file.relative_to(path)}")
        elif not path.exists():
            raise SettingsError(f"There is no file {quote(path.name)}.")
        else:
            take_path(intake, path, where)


def _understand(intake: Intake, label: str, kind: str, captions: Sequence[str]) -> Understood:
    """What was brought, and how it is laid out. Raises SettingsError where that cannot be known."""
    try:
        found = _read(intake.folder, label, kind, captions)
    except SettingsError as error:
        if intake.problems:  # perhaps for want of what could not be unpacked
            raise SettingsError(f"{error} {explain(intake.problems, [])}") from error
        raise
    found.problems = intake.problems + found.problems
    return found


def _read(folder: Path, label: str, kind: str, captions: Sequence[str]) -> Understood:
    """What lies in `folder`. Raises SettingsError."""
    if kind not in ("", *KINDS):
        raise SettingsError(f"kind is {quote(kind)}: it must be one of {', '.join(KINDS)}.")
    files = list_files(folder)
    pictures = [path for path in files if is_picture(path)]
    if captions:
        return _understand_one(pictures, captions)
    if label:
        return _understand_class(files, label, kind)
    if kind in ("", "captions"):
        understood = _read_captions(folder, len(pictures), kind == "captions")
        if understood:
            return understood
    sounds = kind == "sounds" or (not kind and _are_sounds(files, len(pictures)))
    # One class alone is what is added to others, or the first of several.
    listed = list_class_folders(
        folder, is_sound if sounds else is_picture, least=1, fewest=1, called="what was brought"
    )
    return Understood(
        "sounds" if sounds else "pictures",
        listed.files,
        [listed.classes[label] for label in listed.labels],
        listed.parts,
        [],
        listed.problems,
        listed.notes,
    )


def _are_sounds(files: Sequence[Path], pictures: int) -> bool:
    return sum(map(is_sound, files)) > pictures


def _understand_one(pictures: Sequence[Path], captions: Sequence[str]) -> Understood:
    said = [text for text in (" ".join(str(each).split()) for each in captions) if text]
    if len(pictures) != 1 or not said:
        raise SettingsError("Captions go with one picture: bring one, with a sentence or more.")
    return Understood("captions", [*pictures], [""], [""], [said])


def _understand_class(files: Sequence[Path], label: str, kind: str) -> Understood:
    """All of one class, wherever it lies."""
    if kind == "captions":
        raise SettingsError("This data set holds captions: bring pictures with sentences.")
    pictures = [path for path in files if is_picture(path)]
    sounds = kind == "sounds" or (not kind and _are_sounds(files, len(pictures)))
    fit = [path for path in files if is_sound(path)] if sounds else pictures
    others = sorted({*files} - {*fit})
    return Understood(
        "sounds" if sounds else "pictures",
        fit,
        [label] * len(fit),
        [""] * len(fit),
        [],
        [
            Problem(
                path.name,
                "not a supported kind of file; left out",
                "files are not of a supported kind; left out",
            )
            for path in others
        ],
    )


def _read_captions(folder: Path, pictures: int, needed: bool) -> Understood | None:
    """None where there are too few captions to be what it is about. Raises SettingsError where they
    are `needed`."""
    try:
        found = read_captions(folder)
    except SettingsError as error:
        if needed:
            told = sentence(str(error).replace(str(folder.resolve()), "what was brought"))
            raise SettingsError(told) from error
        return None
    if not needed and len(found.files) < CAPTIONED * pictures:
        return None
    return Understood(
        "captions",
        found.files,
        [""] * len(found.files),
        found.parts,
        found.texts,
        found.problems,
        found.notes,
    )


# -- laying it out ---------------------------------------------------------------------------------
def _lay_out(found: Understood, ready: Path, classes: Sequence[str], tell: Tell) -> DataSet:
    """Moves the files to where they stay, and writes what is said of them; a class that reads like
    one of `classes`, which are there already, is that one. Raises OSError, Cancelled."""
    seen: set[tuple[str, str, str]] = set()
    said: dict[str, dict[str, list[str]]] = {}
    for number, path in enumerate(found.files):
        tell("checking", number, len(found.files))
        label = found.labels[number] and spell_as_known(classes, check_label(found.labels[number]))
        split = found.parts[number] or "train"
        content = hash_file(path)
        if (split, label, content) in seen:
            found.problems.append(
                Problem(
                    shorten(path.name),
                    "is the same file as another one; left out",
                    "files are the same as others of their class; left out",
                )
            )
            continue
        seen.add((split, label, content))
        target = ready / "data" / split / label / _name_file(path, content, found.kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, target)
        if found.kind == "captions":
            said.setdefault(split, {})[target.name] = found.captions[number]
    for split, captions in said.items():
        write_list(ready / "data" / split, captions)
    return DataSet(ready)


def _name_file(path: Path, content: str, kind: str) -> str:
    """Its own name with the hash in it; an ending by its content where it has none that says what
    it is, since that is what other programs go by."""
    ending = path.suffix
    own = HASHED.fullmatch(path.name)
    stem = own["stem"] if own and own["hash"] == content else path.stem
    told = name_sound_ending(path) if kind == "sounds" else name_ending(path)
    if told:
        stem += ending
        ending = told
    cut = stem.encode("utf-8", "replace")[:STEM].decode("utf-8", "ignore").strip() or "file"
    return f"{re.sub(r'^[.]+', '', cut) or 'file'}.{content}{ending}"


# -- publishing ------------------------------------------------------------------------------------
def _publish(
    runs: Path,
    name: str,
    ready: DataSet,
    origin: Sequence[str],
    found: Understood,
    most_files: int,
    keep: bool,
) -> Added:
    """By one rename. `keep`: what is wrong with it. Raises SettingsError, OSError."""
    home = find_home(runs)
    problems = count_problems(found.problems)
    record = Record(
        kind=found.kind,
        created=time.time(),
        origin=[shorten(each) for each in origin],
        problems=problems if keep else [],
        notes=found.notes,
        corrections=[],
    )
    items = _list_ready(ready, found.kind)
    with lock(home):
        refuse_taken(home, name)
        target = DataSet(home / name)
        new = not (target.path / RECORD).exists()
        if new:
            record["revision"] = compute_revision(items)
            record["counts"] = dict(Counter(item.label for item in items))
            record["bytes"] = measure_bytes(ready.path)
            write_json(ready.path / RECORD, record)
            os.rename(ready.path, target.path)
        else:
            target.settle()
            items = _leave_out_known(target, ready, found, most_files)
            problems = count_problems(found.problems)
            record["problems"] = problems if keep else []
            if items:
                write_json(ready.path / RECORD, record)
                os.rename(ready.path, target.path / "arriving")
                target.settle()
    counts = Counter(item.label for item in items)
    return Added(
        target,
        len(items),
        {label: counts[label] for label in sorted(counts) if label},
        new,
        problems,
        found.notes,
        [item.id for item in items],
    )


def _name_origin(each: Brought) -> str:
    return each[1] if isinstance(each, tuple) else each.name


def _list_ready(ready: DataSet, kind: str) -> list[Item]:
    write_json(ready.path / RECORD, Record(kind=kind, created=0.0))
    return ready.list_items()


def _leave_out_known(
    target: DataSet, ready: DataSet, found: Understood, most_files: int
) -> list[Item]:
    """What is to be added to a data set that is there: no item twice in a class. Raises
    SettingsError."""
    if target.kind != found.kind:
        raise SettingsError(
            f"{quote(target.name)} holds {target.kind}, and this is {found.kind}: add it under "
            "another name."
        )
    there = {(item.split, item.label, item.id) for item in target.list_items()}
    arriving = ready.list_items()
    known = [item for item in arriving if (item.split, item.label, item.id) in there]
    items = [item for item in arriving if (item.split, item.label, item.id) not in there]
    if len(there) + len(items) > most_files:
        raise SettingsError(
            f"{quote(target.name)} would hold {counted(len(there) + len(items), 'file')}: it may "
            f"have {most_files:,}. Add fewer, or make another data set."
        )
    for item in known:
        item.path.unlink()
        found.problems.append(
            Problem(
                shorten(item.name),
                "is in the data set already; left out",
                "files are in the data set already; left out",
            )
        )
    if found.kind == "captions":
        for folder in {item.path.parent for item in known}:
            said = read_list(folder)
            write_list(folder, {n: t for n, t in said.items() if (folder / n).exists()})
    return items
