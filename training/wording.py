"""How names, numbers and times are written for a person: one way each, on the page, in the terminal
and in model cards.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence


def in_words(label: str) -> str:
    """A data set's own name as a person writes it: `hot_dog` is "hot dog". For the eye alone: two
    labels may read alike, so nothing is keyed by this."""
    return " ".join(label.replace("_", " ").split()) or label


def fold(label: str) -> str:
    """What is equal of two names that a person takes for one: their case, and spaces and
    underscores apart, and in whichever way their accents are stored."""
    return in_words(unicodedata.normalize("NFC", label)).casefold()


def name_classes(labels: Sequence[str], words: Mapping[str, str] | None = None) -> list[str]:
    """What a person reads for each of a classifier's labels, no two alike: answers may be keyed by
    it. `words`: how those of one data set are written, which counts where the labels are that data
    set's, so where they hold all of them: a class of another one may have the same name."""
    known = words if words and set(words) <= set(labels) else {}
    return tell_apart(labels, [known.get(label) or in_words(label) for label in labels])


def tell_apart(labels: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words, but of labels whose words are alike the labels themselves, with their place among
    all where these look alike too."""
    times = Counter(words)
    shown = [label if times[word] > 1 else word for label, word in zip(labels, words, strict=True)]
    # Spaces at an end, or two in a row, are not seen.
    seen = [" ".join(text.split()) for text in shown]
    times = Counter(seen)
    return [
        f"{text} (class {place})" if times[text] > 1 else shown[place - 1]
        for place, text in enumerate(seen, 1)
    ]


# -- sentences for classes -------------------------------------------------------------------------
TEMPLATE = "a photo of {}."  # with {} for a class: what networks that know texts compare with


def is_template(text: str) -> bool:
    """Whether a class has its place in it."""
    return text.count("{}") == 1 and len(text) <= 300


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def measured(size: float) -> str:
    """Bytes: `< 0.1 MB`, `12.3 MB` or `1.4 GB`."""
    if size < 1e5:
        return "< 0.1 MB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


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
