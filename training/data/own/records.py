"""What is kept beside an own data set: `record.json`, typed; and what may be its name."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Required, TypedDict

from training.data.folders import OF_SYSTEMS
from training.recipe import SettingsError
from training.wording import fold, quote

FILES = 20_000  # of a data set
BYTES = 4 * 2**30  # likewise, unpacked
LONGEST = 60  # characters of a name
LONGEST_LABEL = 100  # characters of a class
KINDS = ("pictures", "sounds", "captions")
DATASETS = "datasets"  # in the folder of runs


class Correction(TypedDict):
    """What a person decided about an item."""

    item: str  # its content's hash; of a whole class, empty
    name: str  # of its file, as it was brought
    did: str  # label | leave out | right | caption | merge | rename
    before: str  # the class, or the captions as JSON
    after: str
    moves: list[list[str]]  # of files: from where and to where, below the data set's folder
    captions: dict[str, list[list[str]]]  # by a file's name: what was said of it, before and after
    at: float  # seconds since 1970
    undone: float  # when it was taken back; 0: it stands


class Pending(TypedDict):
    """What is to be done to the files; whoever opens the data set next does the rest of it."""

    moves: list[list[str]]
    captions: dict[str, list[str]]  # by a file's name: what is said of it now


class Record(TypedDict, total=False):
    """record.json whole."""

    kind: Required[str]  # one of KINDS
    created: Required[float]
    origin: list[str]  # the names of the files that it was brought in
    problems: list[str]  # what was refused and why, counted by kind
    notes: list[str]  # how it was understood
    corrections: list[Correction]
    pending: Pending | None
    # As of the last change, so that a list of data sets reads nothing else:
    revision: str
    counts: dict[str, int]  # items by class; of captions by none
    bytes: int


def find_home(runs: Path) -> Path:
    """Where data sets are kept; it may not exist yet."""
    return runs / DATASETS


def check_name(name: object) -> str:
    """A data set's name, as it is kept. Raises SettingsError for what is none."""
    text = " ".join(unicodedata.normalize("NFC", str(name or "")).split())
    if not text:
        raise SettingsError("The data set needs a name, such as pets.")
    allowed = all(letter in "-_ " or unicodedata.category(letter)[0] in "LMN" for letter in text)
    if not allowed or len(text) > LONGEST or not any(letter.isalnum() for letter in text):
        raise SettingsError(
            f"{quote(text)} cannot be a data set's name: it may have letters, digits, spaces, "
            f"- and _, and {LONGEST} characters at most."
        )
    return text


def check_label(label: object) -> str:
    """A class's name, which is a folder's too. Raises SettingsError for what is none."""
    text = unicodedata.normalize("NFC", str(label or "")).strip()
    if not text:
        raise SettingsError("The class needs a name, such as cat.")
    wrong = re.search(r"[/\\]", text) or text[0] == "." or text.lower() in OF_SYSTEMS
    unseen = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
    if wrong or unseen or len(text) > LONGEST_LABEL or len(text.encode()) > 240:
        raise SettingsError(
            f"{quote(text)} cannot be a class's name: it may not begin with a dot, nor hold a / or "
            f"a line break, and may have {LONGEST_LABEL} characters at most."
        )
    return text


def spell_as_known(classes: Iterable[str], label: str) -> str:
    """A class that a person takes for one of those is that one."""
    return next((each for each in classes if fold(each) == fold(label)), label)
