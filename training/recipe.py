"""The contract of a recipe: how one model is fine-tuned.

A recipe is one package, `training/recipes/<name>/`, whose `recipe.py` holds a `RECIPE`. The fields
of the config, with their types, defaults, ranges and help texts, are the command's flags and the
page's form:

    python -m training digits --help
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from training.wording import fold, quote, shorten

RECIPES = Path(__file__).parent / "recipes"
LONGEST = 200  # characters of a text
LONGEST_LIST = 4000  # likewise, of one that names several checkpoints, or a path
NAMED = {"checkpoint": "a run", "data": "a data set of yours"}  # by what a setting names
METAVARS = {str: "TEXT", int: "N", float: "X"}  # of a setting's type, in the command's help
Default = TypeVar("Default", str, int, float)


class IsDataclass(Protocol):
    """What a config is: a frozen dataclass whose fields are made by `setting`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


# This module is the ground and knows neither runs nor reports: a recipe names its own types. Of one
# that is found by its name they are not known (`Any`).
ConfigT = TypeVar("ConfigT", bound=IsDataclass)
RunT = TypeVar("RunT")
ReportT = TypeVar("ReportT")


class SettingsError(ValueError):
    """A setting or the data that it names cannot be used; the text says what to do instead."""


@dataclass(frozen=True)
class Metric:
    """What a recipe is judged by, and how it is written. Higher is better."""

    key: str  # in a stored score
    title: str
    share: bool = True  # of 1, written in percent; else a plain number
    interval: str = "Wilson"  # how its 95% interval is made

    def text(self, value: float, places: int = 1) -> str:
        return f"{value:.{places}%}" if self.share else f"{value:.{places + 2}f}"

    def difference(self, value: float) -> str:
        """Without its sign."""
        return f"{abs(value) * 100:.1f} points" if self.share else f"{abs(value):.3f}"


@dataclass(frozen=True)
class Recipe(Generic[ConfigT, RunT, ReportT]):
    name: str
    title: str
    config: type[ConfigT]
    metric: Metric  # what the gate compares
    slots: tuple[str, ...]  # the slots that its runs can land in
    train: Callable[[ConfigT, RunT], ReportT]  # writes run.staging, logs, obeys run.should_stop()
    # (any checkpoint, config, where to write what the report shows): on the held-out data.
    evaluate: Callable[[Path, ConfigT, Path], ReportT]
    slot: Callable[[ConfigT], str]
    describe: Callable[[ConfigT], str]  # one line for the history
    # (config, runs, files, classes): what an example costs here, before there is a run, where that
    # can be measured (training/learn/cost.py).
    measure: Callable[[ConfigT, Path, list[Path], list[str]], Any] | None = None
    # How a checkpoint's folder is used without this project: a `training.publish.records.Usage`.
    use: Callable[[Path], Any] | None = None
    # A checkpoint's folder and the held-out examples of a config, for the export to ONNX: a
    # `training.publish.records.Portable`.
    port: Callable[[Path, ConfigT], Any] | None = None
    # What comes with the app, of source sample: a `training.data.examples.Data`.
    sample: Callable[[ConfigT], Any] | None = None


def setting(
    default: Default,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    rare: bool = False,
    local: bool = False,
    lasting: bool = False,
    label: str = "",
    offers: tuple[tuple[str, str], ...] | None = None,
    many: bool = False,
    when: Callable[[Any], bool] | None = None,
    word: tuple[str, float] | None = None,
    names: str = "checkpoint",
) -> Default:
    """A field of a recipe's config. `rare` folds it away on the page; `local` (it names a path of
    this machine) keeps it off the page and out of the API; `lasting` cannot change when a run is
    continued; `offers`: it names a checkpoint, or with `many` several with commas between (where
    `names` is data, a data set), and the page proposes these (words, value) beside those that there
    are; `when`: of a config, whether the setting does anything beside the others of it (None:
    always); `word`: what may be said in
    place of a number, and the number outside of the range that stands for it. It is typed as what a
    config holds, as `dataclasses.field` is."""
    return field(
        default=default,
        metadata=dict(
            help=help,
            low=low,
            high=high,
            choices=choices,
            rare=rare,
            local=local,
            lasting=lasting,
            label=label,
            offers=offers,
            many=many,
            when=when,
            word=word,
            names=names,
        ),
    )


def write_value(f: dataclasses.Field, value: object) -> str:
    """A setting's value as a person would type it."""
    word = f.metadata.get("word")
    return word[0] if word and value == word[1] else str(value)


def names() -> list[str]:
    """The recipes that there are, found without importing them."""
    return list(_names(RECIPES))


@functools.cache
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in folder.glob("*/recipe.py")))


def load(name: str) -> Recipe[Any, Any, Any]:
    if name not in names():
        raise SettingsError(
            f"There is no recipe named {quote(name)}. The recipes are: {', '.join(names())}."
        )
    return importlib.import_module(f"training.recipes.{name}.recipe").RECIPE


def of_slot(slot: str) -> Recipe[Any, Any, Any]:
    """The recipe whose runs land in `slot`."""
    for name in names():
        recipe = load(name)
        if slot in recipe.slots:
            return recipe
    raise SettingsError(f"There is no slot named {quote(slot)}.")


def parse(config: type[ConfigT], values: Mapping[str, object], local: bool = True) -> ConfigT:
    """A checked config from loose values (strings from flags, numbers from a form).

    `local=False` is for the page and the API: settings that name paths of this machine are refused.
    Raises SettingsError with one sentence.
    """
    fields = {f.name: f for f in dataclasses.fields(config)}
    for name, value in values.items():
        if name not in fields:
            raise SettingsError(
                f"There is no setting named {quote(name)}. The settings are: {', '.join(fields)}."
            )
        if not local and fields[name].metadata["local"] and value != fields[name].default:
            raise SettingsError(
                f"{name} names a path of this machine, which only the command line may do."
            )
        names_one = fields[name].metadata["offers"] is not None
        if not local and names_one and any(map(is_path, str(value).split(","))):
            raise SettingsError(
                f"{name} names a folder of this machine, which only the command line may do: "
                f"choose {NAMED[fields[name].metadata['names']]}, or owner/name of the Hub."
            )
    result = config(**{name: _check(fields[name], value) for name, value in values.items()})
    check = getattr(result, "check", None)
    if check is not None:
        check(local)
    return result


def is_path(name: str) -> bool:
    """Whether a checkpoint is named by its folder: /..., ./..., ../..., ~ or C:\\. What is written
    as `a/b` is a model of the Hub."""
    name = name.strip()
    return name in (".", "..", "~") or bool(re.match(r"/|\.{1,2}/|~[\w/]|[A-Za-z]:|.*\\", name))


def parse_draft(config: type[ConfigT], values: Mapping[str, object]) -> ConfigT:
    """A config of a form that is still being filled in: a value that cannot be used, because it is
    half typed or out of its range, counts as its default; nothing is refused."""
    usable = {}
    for f in dataclasses.fields(config):
        if f.name in values:
            with contextlib.suppress(SettingsError):
                usable[f.name] = _check(f, values[f.name])
    return config(**usable)


# -- which settings do something -------------------------------------------------------------------
def find_used(config: IsDataclass) -> set[str]:
    """The settings that do something beside the others of this config; the page hides the rest."""
    return {
        f.name
        for f in dataclasses.fields(config)
        if f.metadata["when"] is None or f.metadata["when"](config)
    }


def explain_unused(config: IsDataclass, given: Iterable[str]) -> list[str]:
    """For each setting of `given` that does nothing beside the others, which of them is the reason:
    "--lora-rank does nothing with method full"."""
    unused = set(given) - find_used(config)
    return [
        f"{_flag(f.name)} does nothing {_explain(f, config)}"
        for f in dataclasses.fields(config)
        if f.name in unused
    ]


def _explain(f: dataclasses.Field, config: IsDataclass) -> str:
    """The setting for which `when` said no: `and` and `or` stop at the one that decides, so it is
    the last one that was read."""
    watched = _Watched(config)
    f.metadata["when"](watched)
    name = watched.last
    if not name:
        return "here"
    value = getattr(config, name)
    shown = value if isinstance(value, str) else _plain(value)
    words = name.replace("_", " ")
    return f"with {words} {shown}" if shown else f"without {words}"


class _Watched:
    """A config that remembers which of its fields was the last to be read for the first time, also
    where one of its own properties read it."""

    def __init__(self, config: IsDataclass):
        self._config = config
        self._read: set[str] = set()
        self.last = ""

    def __getattr__(self, name: str) -> Any:
        found = getattr(type(self._config), name, None)
        if isinstance(found, property) and found.fget:
            return found.fget(self)
        if name in self._config.__dataclass_fields__ and name not in self._read:
            self._read.add(name)
            self.last = name
        return getattr(self._config, name)


def _check(f: dataclasses.Field, value: object) -> str | int | float:
    meta = f.metadata
    name = name_setting(f)
    kind = _kind(f)
    word = meta["word"]
    if word and value in word:
        return word[1]
    if kind is str:
        checked = _check_text(f, value)
    else:
        number = _read_number(value)
        if number is None or (kind is int and number != int(number)):
            want = "a whole number" if kind is int else "a number"
            want += f', or "{word[0]}"' if word else ""
            raise SettingsError(f"{name} is {quote(value)}: it must be {want}.")
        checked = int(number) if kind is int else number
        low = meta["low"]
        high = meta["high"]
        if (low is not None and checked < low) or (high is not None and checked > high):
            allowed = f"from {_plain(meta['low'])} to {_plain(meta['high'])}"
            raise SettingsError(f"{name} is {shorten(_plain(checked))}: it must be {allowed}.")
    if meta["choices"] and checked not in meta["choices"]:
        raise SettingsError(
            f"{name} is {quote(checked)}: it must be one of {', '.join(meta['choices'])}."
        )
    return checked


def _check_text(f: dataclasses.Field, value: object) -> str:
    """Of one line, and of a length that a page can show."""
    if not isinstance(value, str | int | float | None):
        raise SettingsError(f"{name_setting(f)} must be a text.")
    text = "" if value is None else str(value).strip()
    longest = LONGEST_LIST if f.metadata["many"] or f.metadata["local"] else LONGEST
    if len(text) > longest:
        raise SettingsError(
            f"{name_setting(f)} has {len(text):,} characters: it may have {longest:,} at most."
        )
    # Halves of a character, and those that move the cursor or end a text.
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise SettingsError(
            f"{name_setting(f)} holds a character that cannot be shown, such as a line break: "
            "leave it out."
        )
    return text


def title_setting(f: dataclasses.Field) -> str:
    """As the page calls it."""
    return f.metadata["label"] or title_name(f.name)


def title_name(name: str) -> str:
    """Of a setting that says no other: `Early stopping`."""
    return name.replace("_", " ").capitalize()


def name_setting(f: dataclasses.Field) -> str:
    """Its name as the command takes it, and where the page calls it something else, that too:
    `holdout (Validation share)`."""
    label = f.metadata["label"]
    return f"{f.name} ({label})" if label and fold(label) != fold(f.name) else f.name


def _kind(f: dataclasses.Field) -> type:
    """str, int or float: configs do not put their annotations off, which would make texts of
    them."""
    assert isinstance(f.type, type)
    return f.type


def _read_number(value: Any) -> float | None:
    """None where it is no finite number; True and False are none, though Python counts with
    them."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _plain(number: float) -> str:
    """A number as a person writes it: 1,000,000 rather than 1e+06."""
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def add_flags(parser: argparse.ArgumentParser, config: type[IsDataclass]) -> None:
    """One flag a setting. Values stay strings: `parse` checks them all in one place."""
    for f in dataclasses.fields(config):
        meta = f.metadata
        text = meta["help"]
        if meta["choices"]:
            text += f" ({' | '.join(meta['choices'])})"
        elif meta["low"] is not None:
            text += f" ({_plain(meta['low'])} to {_plain(meta['high'])}"
            text += f", or {meta['word'][0]})" if meta["word"] else ")"
        default: Any = f.default  # every setting has one
        default = default if isinstance(default, str) else _plain(default)
        parser.add_argument(
            _flag(f.name),
            dest=f.name,
            default=argparse.SUPPRESS,
            metavar="CHOICE" if meta["choices"] else METAVARS[_kind(f)],
            help=(text + f" [{default}]" * bool(default)).replace("%", "%%"),
        )
