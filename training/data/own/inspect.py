"""What is wrong with an own data set, as far as that is known without a model.

What was seen of an item is kept by its content: after a correction, or when a few are added, a
check opens only what is new.
"""

import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from training.data.checks.findings import Finding, list_findings
from training.data.checks.look import SIDE, Seen, Sight, look_at
from training.data.own.corrections import list_confirmed
from training.data.own.data_set import DataSet, Item, Tell, tell_nobody
from training.data.own.records import FILES

Key = tuple[str, str, str]
_kept: OrderedDict[Key, tuple[Sight, np.ndarray]] = OrderedDict()  # 2 kB each, FILES at most
_lock = threading.Lock()


def look_into(found: DataSet, tell: Tell = tell_nobody) -> Seen:
    """Opens every item once. Raises what `tell` does."""
    kind = found.kind
    items = found.list_items()
    known = _recall(items, kind)
    new = [item for item in items if _name(item, kind) not in known]
    if new:
        seen = look_at(new, kind, tell)
        looked = zip(new, seen.sights, seen.prints, strict=True)
        known |= _keep({_name(item, kind): (sight, prints) for item, sight, prints in looked})
    sights = [
        replace(
            known[_name(item, kind)][0], file=item.path.name, label=item.label, split=item.split
        )
        for item in items
    ]
    prints = np.zeros((len(items), SIDE, SIDE), np.uint8)
    for number, item in enumerate(items):
        prints[number] = known[_name(item, kind)][1]
    return Seen("sounds" if kind == "sounds" else "pictures", sights, prints)


def _name(item: Item, kind: str) -> Key:
    """What is said of one that cannot be read has its name in it."""
    return kind, item.id, item.name


def _recall(items: list[Item], kind: str) -> dict[Key, tuple[Sight, np.ndarray]]:
    with _lock:
        there = {key: _kept[key] for item in items if (key := _name(item, kind)) in _kept}
        for key in there:
            _kept.move_to_end(key)
    return there


def _keep(
    seen: dict[Key, tuple[Sight, np.ndarray]],
) -> dict[Key, tuple[Sight, np.ndarray]]:
    """The same; those that were asked for longest ago go."""
    with _lock:
        _kept.update((key, (sight, prints.copy())) for key, (sight, prints) in seen.items())
        while len(_kept) > FILES:
            _kept.popitem(last=False)
    return seen


def check_data_set(found: DataSet, tell: Tell = tell_nobody) -> list[Finding]:
    """What a person called right is not asked about again. Raises what `tell` does."""
    return list_findings(look_into(found, tell), list_confirmed(found))
