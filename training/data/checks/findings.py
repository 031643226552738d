"""What can be wrong with examples, each in a sentence: functions from what was seen of them to
findings.

    seen = look.look_at(items, "pictures")
    found = list_findings(seen, confirmed)
    found += labels.find_wrong_labels(seen, classes, probabilities)   # out-of-fold
    found += labels.tell_outliers(items)

Nothing is decided here: a person leaves out, corrects or confirms.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from training.data.checks.look import Seen, Sight
from training.data.checks.near import find_groups
from training.wording import counted, fold, quote

FEWEST = 5  # examples of a class
UNEVEN = 5  # times as many of the commonest class as of the rarest
TINY = 24  # pixels of a short side
SHORT = 0.3  # seconds
CLIPPED = 0.01  # of a clip's samples
# What can be done about a finding.
LEAVE_OUT = "leave out"
CORRECT = "correct"
MERGE = "merge"
ADD_MORE = "add more"
WEIGH = "class weights"
CONFIRM = "right"


@dataclass(frozen=True)
class Finding:
    """Something that a person should look at."""

    kind: str
    sentence: str
    count: int  # of items, or of classes where it is about those
    items: list[str] = field(default_factory=list)  # by their hashes, the likeliest first
    groups: list[list[str]] = field(default_factory=list)  # those that show the same
    classes: list[str] = field(default_factory=list)
    suggested: dict[str, str] = field(default_factory=dict)  # item -> class; setting -> value
    actions: tuple[str, ...] = ()


def list_findings(seen: Seen, confirmed: Collection[str] = ()) -> list[Finding]:
    """All that is to be known without a model. `confirmed`: items that a person called right are
    no longer suspected of anything but being unreadable."""
    asked = seen.without(confirmed)
    return [
        *find_unreadable(seen),
        *find_same(asked),
        *find_alike(seen),
        *find_few(seen),
        *find_uneven(seen),
        *find_poor(asked),
    ]


def _things(seen: Seen, count: int) -> str:
    one = "clip" if seen.kind == "sounds" else "picture"
    return counted(count, one)


# -- unreadable ------------------------------------------------------------------------------------
def find_unreadable(seen: Seen) -> list[Finding]:
    """By the kind of reason."""
    kinds: dict[str, list[Sight]] = {}
    for sight in seen.sights:
        if sight.refusal and not is_silent(sight):
            reason = re.sub(r"[\d.,]+", "", sight.refusal.replace(sight.file, ""))
            kinds.setdefault(reason, []).append(sight)
    return [
        Finding(
            "unreadable",
            f"{_things(seen, len(alike))} cannot be read. {alike[0].refusal}",
            len(alike),
            [sight.id for sight in alike],
            actions=(LEAVE_OUT,),
        )
        for alike in kinds.values()
    ]


def is_silent(sight: Sight) -> bool:
    return " is silent: " in sight.refusal


# -- the same twice --------------------------------------------------------------------------------
def find_same(seen: Seen) -> list[Finding]:
    """Copies, and what shows the same though it was saved, cropped or resized otherwise: under two
    labels, in two splits, or twice in one class."""
    sights = seen.sights
    two_labels, leaks, twice = [], [], []
    for group in find_groups(seen):
        if len({sights[i].label for i in group}) > 1:
            two_labels.append(group)
        elif len({sights[i].split for i in group}) > 1:
            leaks.append(group)
        else:
            twice.append(group)
    things = "clips" if seen.kind == "sounds" else "pictures"
    say = "sound" if seen.kind == "sounds" else "show"
    found = [
        _tell_groups(
            seen,
            "two labels",
            two_labels,
            f"{{}} {things} {say} the same under different labels: say which one is right.",
            (CORRECT, LEAVE_OUT, CONFIRM),
        ),
        _tell_groups(
            seen,
            "leak",
            leaks,
            f"{{}} {things} {say} the same in train and in what the score is measured on, which "
            "makes it too good: leave one of each out.",
            (LEAVE_OUT, CONFIRM),
        ),
        _tell_groups(
            seen,
            "twice",
            twice,
            f"{{}} {things} {say} what another one of their class does: leave all but one out.",
            (LEAVE_OUT, CONFIRM),
        ),
    ]
    return [each for each in found if each]


def _tell_groups(
    seen: Seen, kind: str, groups: list[list[int]], text: str, actions: tuple[str, ...]
) -> Finding | None:
    """`items` are those that can go: all but the best of each group, where one is."""
    if not groups:
        return None
    ordered = [sorted(group, key=lambda i: _rank(seen.sights[i])) for group in groups]
    spare = [i for group in ordered for i in (group if kind == "two labels" else group[1:])]
    ids = list(dict.fromkeys(seen.sights[i].id for i in spare))
    return Finding(
        kind,
        text.format(f"{sum(map(len, groups)):,}"),
        sum(map(len, groups)),
        ids,
        [[seen.sights[i].id for i in group] for group in ordered],
        actions=actions,
    )


def _rank(sight: Sight) -> tuple[bool, float]:
    """What is measured on stays, and the largest."""
    return sight.split == "train", -sight.size


# -- classes ---------------------------------------------------------------------------------------
def _count_classes(seen: Seen) -> Counter[str]:
    """Of what can be read."""
    counts = Counter({sight.label: 0 for sight in seen.sights if sight.label})
    counts.update(sight.label for sight in seen.sights if sight.label and not sight.refusal)
    return counts


def find_alike(seen: Seen) -> list[Finding]:
    """Classes whose names are one word to a person: `hot-dog` and `Hot Dogs`."""
    alike = list_alike(_count_classes(seen))
    if not alike:
        return []
    pairs = [" and ".join(quote(label) for label in group) for group in alike]
    more = ", ..." * (len(alike) > 5)
    return [
        Finding(
            "alike",
            f"Names of classes that read alike: {', '.join(pairs[:5])}{more}. If they mean the "
            "same, merge them.",
            sum(map(len, alike)),
            classes=[label for group in alike for label in group],
            suggested={label: group[0] for group in alike for label in group[1:]},
            actions=(MERGE,),
        )
    ]


def list_alike(counts: Mapping[str, int]) -> list[list[str]]:
    """Groups of such classes, of each the one with most examples first."""
    groups: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        groups.setdefault(_reduce_name(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


BETWEEN = re.compile(r"(?<=[^\W\d])[\s\-.'’]+(?=[^\W\d])")  # letters


def _reduce_name(label: str) -> str:
    """One word, and one of what may be several; C and C++, 1.5 and 15 stay what they are."""
    bare = BETWEEN.sub("", fold(label))
    return bare.removesuffix("s") if len(bare) > 3 else bare


def find_few(seen: Seen) -> list[Finding]:
    few = sorted(label for label, count in _count_classes(seen).items() if count < FEWEST)
    if not few:
        return []
    names = ", ".join(quote(label) for label in few[:5]) + ", ..." * (len(few) > 5)
    have = "has" if len(few) == 1 else "have"
    return [
        Finding(
            "few",
            f"{counted(len(few), 'class', 'classes')} {have} fewer than {FEWEST} that can be read, "
            f"and cannot be learned: {names}. Add more, or merge.",
            len(few),
            classes=few,
            actions=(ADD_MORE, MERGE),
        )
    ]


def find_uneven(seen: Seen) -> list[Finding]:
    counts = _count_classes(seen)
    usable = {label: count for label, count in counts.items() if count >= FEWEST}
    if len(usable) < 2 or max(usable.values()) < UNEVEN * min(usable.values()):
        return []
    most = max(usable, key=usable.__getitem__)
    least = min(usable, key=usable.__getitem__)
    return [
        Finding(
            "uneven",
            f"{quote(most)} has {usable[most]:,}, {quote(least)} only {usable[least]:,}: add to "
            "the rare ones, or train with class weights “balanced”, so that all count alike.",
            len(usable),
            classes=[most, least],
            suggested={"class_weights": "balanced"},
            actions=(WEIGH, ADD_MORE),
        )
    ]


# -- poor ones -------------------------------------------------------------------------------------
def find_poor(seen: Seen) -> list[Finding]:
    """Of which a model can learn little or nothing."""
    asked: list[tuple[str, Callable[[Sight], bool], str]] = [
        ("blank", lambda s: s.blank, "{} of one colour throughout: leave out what shows nothing."),
        (
            "tiny",
            lambda s: seen.kind != "sounds" and 0 < s.size < TINY,
            f"{{}} under {TINY} pixels on the short side: little can be seen in them.",
        ),
        ("silent", is_silent, "{} silent: record again, or leave out."),
        (
            "clipped",
            lambda s: s.clipped >= CLIPPED,
            "{} too loud, so that the tops of the waves are cut off: record them softer.",
        ),
        (
            "short",
            lambda s: seen.kind == "sounds" and 0 < s.size < SHORT,
            f"{{}} shorter than {SHORT} s: little can be heard in them.",
        ),
    ]
    found = []
    for kind, is_one, text in asked:
        poor = [sight for sight in seen.sights if is_one(sight)]
        if poor:
            verb = "is" if len(poor) == 1 else "are"
            found.append(
                Finding(
                    kind,
                    text.format(f"{_things(seen, len(poor))} {verb}"),
                    len(poor),
                    [sight.id for sight in sorted(poor, key=lambda s: s.size)],
                    actions=(LEAVE_OUT, CONFIRM),
                )
            )
    return found


def name_items(seen: Seen, ids: Sequence[str]) -> list[str]:
    """Where the items of a finding lie: class and file."""
    places = {sight.id: f"{sight.label}/{sight.file}".lstrip("/") for sight in seen.sights}
    return [places[each] for each in ids if each in places]
