"""How names, numbers and times are written for a person: one way each, on the page, in the terminal
and in model cards.
"""


def in_words(label: str) -> str:
    """A data set's own name as a person writes it: `hot_dog` is "hot dog". For the eye alone: two
    labels may read alike, so nothing is keyed by this."""
    return " ".join(label.replace("_", " ").split())


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(count: int, thing: str, plural: str = "") -> str:
    """`1 epoch`, `3 epochs`; `plural` where that takes more than an s."""
    return f"{count:,} {thing if count == 1 else plural or thing + 's'}"


def sentence(words: str) -> str:
    """What can stand by itself: its first letter is large, whatever follows stays as it is."""
    return words[:1].upper() + words[1:]


def quote(value: object) -> str:
    """What somebody sent, in a sentence about it, whatever it was."""
    return shorten(repr(value))


def shorten(text: str) -> str:
    """So that it fits in a sentence."""
    return text if len(text) <= 80 else f"{text[:77]}..."
