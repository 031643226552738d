"""What a person decides about items of an own data set: each decision is kept, and can be undone.

    correct_label(pets, item.id, "cat")
    undo(pets)

An item is named by its content's hash, and a decision is about all copies of it. Files are moved,
never changed.
"""

import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from training.data.own.data_set import LEFT_OUT, DataSet, Item
from training.data.own.records import (
    Correction,
    Pending,
    Record,
    check_label,
    spell_as_known,
)
from training.recipe import SettingsError
from training.wording import quote

LONGEST = 2000  # characters of a caption


def correct_label(found: DataSet, item: str, label: str) -> Correction:
    """It is a `label`, which may be a class that there is not yet; also of what was left out.
    Raises SettingsError."""
    _refuse_captions(found)
    with found.hold():
        found.settle()
        new = spell_as_known(found.classes, check_label(label))
        copies = found.find_items(item, left_out=True)
        moves = [
            [_below(found, each.path), f"data/{each.split}/{new}/{each.path.name}"]
            for each in copies
        ]
        made = _describe(copies, "label", copies[0].label, new, moves)
        return _decide(found, made)[0]


def leave_out(found: DataSet, item: str) -> Correction:
    """It is kept aside, and no run learns from it. Raises SettingsError."""
    with found.hold():
        found.settle()
        return _decide(found, _put_aside(found, found.find_items(item)))[0]


def leave_out_all(found: DataSet, items: Sequence[str]) -> list[Correction]:
    """Those that are there, in one go. Raises SettingsError where none is."""
    with found.hold():
        found.settle()
        copies: dict[str, list[Item]] = {}
        for each in found.list_items():
            copies.setdefault(each.id, []).append(each)
        there = [item for item in dict.fromkeys(items) if item in copies]
        if not there:
            raise SettingsError(f"None of these is in {quote(found.name)} any more.")
        return _decide(found, *(_put_aside(found, copies[item]) for item in there))


def _put_aside(found: DataSet, copies: Sequence[Item]) -> Correction:
    moves = []
    said: dict[str, list[list[str]]] = {}
    for each in copies:
        aside = each.path.relative_to(found.data)
        moves.append([_below(found, each.path), f"{LEFT_OUT}/{aside}"])
        if each.captions:  # they go with it
            said[each.path.name] = [list(each.captions)] * 2
    made = _describe(copies, "leave out", copies[0].label, "", moves)
    made["captions"] = said
    return made


def confirm(found: DataSet, item: str) -> Correction:
    """It is right as it is: checks need not ask again. Raises SettingsError."""
    with found.hold():
        found.settle()
        copies = found.find_items(item)
        label = copies[0].label
        return _decide(found, _describe(copies, "right", label, label, []))[0]


def correct_captions(found: DataSet, item: str, captions: Sequence[str]) -> Correction:
    """What is said of a picture. Raises SettingsError."""
    if found.kind != "captions":
        raise SettingsError(f"{quote(found.name)} holds {found.kind}, which have no captions.")
    new = [text for text in (" ".join(str(each).split()) for each in captions) if text]
    if not new or any(len(text) > LONGEST for text in new):
        raise SettingsError(
            f"A picture needs a sentence or more, each of {LONGEST:,} characters at most; or leave "
            "it out."
        )
    with found.hold():
        found.settle()
        copies = found.find_items(item)
        before = json.dumps(copies[0].captions, ensure_ascii=False)
        made = _describe(copies, "caption", before, json.dumps(new, ensure_ascii=False), [])
        made["captions"] = {each.path.name: [list(each.captions), new] for each in copies}
        return _decide(found, made)[0]


def merge(found: DataSet, label: str, into: str) -> Correction:
    """All of a class become another one's. Raises SettingsError."""
    with found.hold():
        found.settle()
        _refuse_unknown(found, label, into)
        if label == into:
            raise SettingsError("Choose two classes to merge.")
        return _move_class(found, label, into, "merge")


def rename_class(found: DataSet, label: str, new: str) -> Correction:
    """The class is called otherwise; where a class is called so, it is merged into that. Raises
    SettingsError."""
    with found.hold():
        found.settle()
        _refuse_unknown(found, label)
        others = [each for each in found.classes if each != label]
        wanted = check_label(new)
        into = spell_as_known(others, wanted)
        if into == label:
            raise SettingsError(f"The class is called {quote(label)} already.")
        return _move_class(found, label, into, "merge" if into in others else "rename")


def _refuse_unknown(found: DataSet, *labels: str) -> None:
    _refuse_captions(found)
    classes = found.classes
    for each in labels:
        if each not in classes:
            raise SettingsError(
                f"There is no class {quote(each)}. The classes are: {', '.join(classes)}."
            )


def _move_class(found: DataSet, label: str, into: str, did: str) -> Correction:
    own = [each for each in found.list_items() if each.label == label]
    moves = [
        [_below(found, each.path), f"data/{each.split}/{into}/{each.path.name}"] for each in own
    ]
    made = _describe(own, did, label, into, moves)
    made["item"] = made["name"] = ""
    return _decide(found, made)[0]


def undo(found: DataSet, item: str = "") -> Correction:
    """Takes back the last decision that stands, or the last about `item`. Raises SettingsError
    where there is none."""
    with found.hold():
        found.settle()
        record = found.record
        standing = [each for each in _list_standing(record) if not item or item == each["item"]]
        if not standing:
            raise SettingsError("There is no correction to undo.")
        _take_back(found, record, standing[-1:])
        return standing[-1]


def undo_all(found: DataSet, decisions: Collection[float]) -> list[Correction]:
    """Takes back those that were made `at` these times, the last one first; who has taken one back
    before is not asked to do so again. Raises SettingsError where none of them stands."""
    with found.hold():
        found.settle()
        record = found.record
        standing = [each for each in _list_standing(record) if each["at"] in decisions]
        if not standing:
            raise SettingsError("This has been taken back before.")
        _take_back(found, record, standing)
        return standing


def put_back(found: DataSet, items: Collection[str]) -> list[Correction]:
    """What was left out is an example again, where it was before. Raises SettingsError where none
    of them was left out."""
    with found.hold():
        found.settle()
        record = found.record
        last = {each["item"]: each for each in _list_standing(record) if each["item"] in items}
        standing = [each for each in last.values() if each["did"] == "leave out"]
        if not standing:
            raise SettingsError(f"None of these is left out of {quote(found.name)} any more.")
        _take_back(found, record, standing)
        return standing


def _take_back(found: DataSet, record: Record, decisions: Sequence[Correction]) -> None:
    """Under its lock. `decisions` are parts of the record, the oldest first."""
    now = time.time()
    moves: list[list[str]] = []
    said: dict[str, list[str]] = {}
    for each in reversed(decisions):
        each["undone"] = now
        # What was moved once more since then stays where it is.
        returned = {old for _, old in moves}
        moves += [
            [new, old]
            for old, new in reversed(each["moves"])
            if new in returned or (found.path / new).exists()
        ]
        said |= {name: texts[0] for name, texts in each["captions"].items()}
    found.write(record, Pending(moves=moves, captions=said))
    found.settle()


def list_standing(found: DataSet) -> list[Correction]:
    """The decisions that were not taken back, the oldest first."""
    return _list_standing(found.record)


def _list_standing(record: Record) -> list[Correction]:
    return [each for each in record.get("corrections", []) if not each["undone"]]


def list_confirmed(found: DataSet) -> set[str]:
    """The items of which a person last said that they are right as they are: no check asks about
    them again."""
    return _list_last(found, "right")


def list_named(found: DataSet) -> set[str]:
    """The items of which a person last said what they are, or that it is right: no model knows
    their labels better."""
    return _list_last(found, "right", "label", "caption")


def _list_last(found: DataSet, *decisions: str) -> set[str]:
    last = {each["item"]: each["did"] for each in list_standing(found)}
    return {item for item, did in last.items() if did in decisions} - {""}


# -- writing them down -----------------------------------------------------------------------------
def _decide(found: DataSet, *decisions: Correction) -> list[Correction]:
    """Writes them down, and does them. Under its lock."""
    taken: set[str] = set()
    said: dict[str, list[str]] = {}
    for made in decisions:
        moves = []
        for old, new in made["moves"]:
            if old != new:
                free = _find_free(found, new, taken)
                taken.add(free)
                moves.append([old, free])
        made["moves"] = moves
        said |= {name: texts[1] for name, texts in made["captions"].items()}
    moved = [move for made in decisions for move in made["moves"]]
    found.change(decisions, Pending(moves=moved, captions=said))
    return [*decisions]


def _find_free(found: DataSet, new: str, taken: set[str]) -> str:
    """A place where no other copy of the same name lies, or will."""
    path = Path(new)
    number = 1
    while str(path) in taken or (found.path / path).exists():
        number += 1
        path = Path(new).with_name(f"{number}-{Path(new).name}")
    return str(path)


def _describe(
    items: Sequence[Item], did: str, before: str, after: str, moves: list[list[str]]
) -> Correction:
    return Correction(
        item=items[0].id,
        name=items[0].name,
        did=did,
        before=before,
        after=after,
        moves=moves,
        captions={},
        at=time.time(),
        undone=0.0,
    )


def _below(found: DataSet, path: Path) -> str:
    return str(path.relative_to(found.path))


def _refuse_captions(found: DataSet) -> None:
    if found.kind == "captions":
        raise SettingsError(
            f"{quote(found.name)} holds captions, and no classes: correct what they say."
        )
