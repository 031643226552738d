"""The contract of a recipe: how one model is fine-tuned.

A recipe is one package, `training/recipes/<name>/`, whose `recipe.py` holds a `RECIPE`. The fields
of the config, with their types, defaults, ranges and help texts, are the command's flags and the
page's form:

    python -m training digits --help
"""

import argparse
import dataclasses
import functools
import importlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parent / "recipes"
Metrics = dict[str, Any]


class SettingsError(ValueError):
    """A setting or the data that it names cannot be used; the text says what to do instead."""


@dataclass(frozen=True)
class Recipe:
    name: str
    title: str
    config: type
    metric: str  # what the gate compares; higher is better
    slots: tuple[str, ...]  # the slots that its runs can land in
    train: Callable[
        [Any, Any], Metrics
    ]  # (config, run): writes run.staging, logs, obeys run.should_stop()
    evaluate: Callable[[Path, Any], Metrics]  # any checkpoint, on the config's held-out data
    slot: Callable[[Any], str]
    describe: Callable[[Any], str]  # one line for the history


def setting(
    default: Any,
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
) -> Any:
    """A field of a recipe's config. `rare` folds it away on the page; `local` (it names a path of
    this machine) keeps it off the page and out of the API; `lasting` cannot change when a run is
    continued; `offers`: it names a checkpoint, or with `many` several with commas between, and the
    page proposes these (words, value) beside those that there are."""
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
        ),
    )


def names() -> list[str]:
    """The recipes that there are, found without importing them."""
    return list(_names(RECIPES))


@functools.cache
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in folder.glob("*/recipe.py")))


def load(name: str) -> Recipe:
    if name not in names():
        raise SettingsError(
            f"There is no recipe named {name!r}. The recipes are: {', '.join(names())}."
        )
    return importlib.import_module(f"training.recipes.{name}.recipe").RECIPE


def of_slot(slot: str) -> Recipe:
    """The recipe whose runs land in `slot`."""
    for name in names():
        recipe = load(name)
        if slot in recipe.slots:
            return recipe
    raise SettingsError(f"There is no slot named {slot!r}.")


def parse(config: type, values: dict[str, Any], local: bool = True) -> Any:
    """A checked config from loose values (strings from flags, numbers from a form).

    `local=False` is for the page and the API: settings that name paths of this machine are refused.
    Raises SettingsError with one sentence.
    """
    fields = {f.name: f for f in dataclasses.fields(config)}
    for name, value in values.items():
        if name not in fields:
            raise SettingsError(
                f"There is no setting named {name!r}. The settings are: {', '.join(fields)}."
            )
        if not local and fields[name].metadata["local"] and value != fields[name].default:
            raise SettingsError(
                f"{name} names a path of this machine, which only the command line may do."
            )
    result = config(**{name: _check(fields[name], value) for name, value in values.items()})
    if hasattr(result, "check"):
        result.check(local)
    return result


def _check(f: dataclasses.Field, value: Any) -> Any:
    meta = f.metadata
    kind = f.type
    if kind is str:
        value = "" if value is None else str(value).strip()
    else:
        try:
            number = float(value)
            ok = (
                math.isfinite(number)
                and not isinstance(value, bool)
                and (kind is float or number == int(number))
            )
        except (TypeError, ValueError, OverflowError):
            ok = False
        if not ok:
            want = "a whole number" if kind is int else "a number"
            raise SettingsError(f"{f.name} is {value!r}: it must be {want}.")
        value = kind(number)
        low = meta["low"]
        high = meta["high"]
        if (low is not None and value < low) or (high is not None and value > high):
            raise SettingsError(
                f"{f.name} is {_plain(value)}: it must be from {_plain(low)} to {_plain(high)}."
            )
    if meta["choices"] and value not in meta["choices"]:
        raise SettingsError(
            f"{f.name} is {value!r}: it must be one of {', '.join(meta['choices'])}."
        )
    return value


def _plain(number: float) -> str:
    """A number as a person writes it: 1,000,000 rather than 1e+06."""
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def add_flags(parser: argparse.ArgumentParser, config: type) -> None:
    """One flag a setting. Values stay strings: `parse` checks them all in one place."""
    for f in dataclasses.fields(config):
        meta = f.metadata
        text = meta["help"]
        if meta["choices"]:
            text += f" ({' | '.join(meta['choices'])})"
        elif meta["low"] is not None:
            text += f" ({_plain(meta['low'])} to {_plain(meta['high'])})"
        default = "" if f.default == "" else f" [{f.default}]"
        parser.add_argument(
            "--" + f.name.replace("_", "-"),
            dest=f.name,
            default=argparse.SUPPRESS,
            metavar=f.type.__name__.upper(),
            help=(text + default).replace("%", "%%"),
        )


def to_json(config: Any) -> str:
    return json.dumps(dataclasses.asdict(config), indent=1)
