"""What a run is called, and what a person wrote about it.

A run describes itself by its settings, until a person gives it a name. Both stand in its directory:
who copies that takes them along.
"""

import unicodedata
from dataclasses import dataclass

from training import recipe
from training.recipe import SettingsError
from training.runs.run import Contents
from training.wording import counted

LONGEST = 200  # characters of a title, as the page shows it
LONGEST_NAME = 80  # characters of a name that a person gives
LONGEST_NOTES = 2000  # likewise, of notes


def check_name(given: object) -> str:
    """A name as it is kept; empty takes it away. Raises SettingsError."""
    return _check("name", " ".join(_read(given).split()), LONGEST_NAME)


def check_notes(given: object) -> str:
    """Notes as they are kept, of several lines if they like. Raises SettingsError."""
    return _check("notes", _read(given).strip(), LONGEST_NOTES)


def _read(given: object) -> str:
    if not isinstance(given, str | None):
        raise SettingsError("A run's name and its notes are texts.")
    return unicodedata.normalize("NFC", given or "").replace("\r\n", "\n")


def _check(what: str, text: str, most: int) -> str:
    if len(text) > most:
        raise SettingsError(
            f"The {what} of a run may have {counted(most, 'character')}: this has {len(text):,}."
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter != "\n" for letter in text):
        raise SettingsError(f"The {what} holds a character that cannot be shown: leave it out.")
    return text


@dataclass(frozen=True)
class Words:
    """A run in words."""

    title: str  # tells it apart from all others: its name, and the letters that end its id
    data: str  # what it learned from


def describe(run_id: str, found: Contents) -> Words:
    """By what a person wrote, or else by its settings."""
    settings = found.settings
    config = settings.get("config", {})
    data = str(config.get("dataset") or "")
    name = found.about.get("name") or str(config.get("name") or "")
    own = settings.get("recipe", run_id.split("-")[0])
    try:
        made = recipe.load(own)
        if found.status["state"] != "damaged":  # of which nothing is known
            parsed = recipe.parse(made.config, config)
            data = str(getattr(parsed, "data_name", data))
            name = name or made.describe(parsed)
    except SettingsError:  # made by another version, whose recipes or settings were others
        pass
    return Words(f"{(name or own)[:LONGEST]} · {run_id[-4:]}", data)
