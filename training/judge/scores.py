"""What a run is judged by, by what name and how it is written: one place for the page, the card and
the terminal.

A scored part of a report is a dict that holds one of these, its 95% `interval` and the number of
examples, `n`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    key: str  # in a scored part
    title: str
    share: bool  # of 1, written in percent; else a plain number
    about: str  # how its interval was made

    def text(self, value: float, places: int = 1) -> str:
        return f"{value:.{places}%}" if self.share else f"{value:.{places + 2}f}"

    def difference(self, value: float) -> str:
        """Without its sign."""
        return f"{abs(value) * 100:.1f} points" if self.share else f"{abs(value):.3f}"


ACCURACY = Scale("accuracy", "Accuracy", True, "Wilson")
CIDER = Scale("cider_d", "CIDEr-D", False, "bootstrap")
SCALES = {scale.key: scale for scale in (ACCURACY, CIDER)}


def scale(part: dict[str, Any]) -> Scale:
    return next(each for each in SCALES.values() if each.key in part)


def value(part: dict[str, Any]) -> float:
    return part[scale(part).key]


def text(part: dict[str, Any], places: int = 1) -> str:
    return scale(part).text(value(part), places)


def confidence(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    """A sentence on how far the confidence can be believed; empty where too few examples tell."""
    if "calibration_error" not in after:
        return ""
    was = (
        f", {before['calibration_error'] * 100:.1f} before"
        if before and "calibration_error" in before
        else ""
    )
    return (
        f"Its confidence is off by {after['calibration_error'] * 100:.1f} points{was} (mean "
        "difference between confidence and the share of right answers). "
    )


def with_interval(part: dict[str, Any], places: int = 1) -> str:
    low, high = (scale(part).text(end, places) for end in part["interval"])
    return f"{text(part, places)} ({low} to {high}, n = {part['n']:,})"
