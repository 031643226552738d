"""What a classifier's tab answers, and which checkpoint said it; the same for every tab."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from demos import page
from demos.serving.alarm import Alarm
from demos.serving.model_slot import Held, Predictor
from training.wording import name_classes


class Classifier(Predictor, Protocol):
    """A predictor that names one of its labels."""

    @property
    def labels(self) -> list[str]:
        """The data set's own names, in the order of its scores."""
        ...

    @property
    def trained_on(self) -> str: ...

    @property
    def alarm(self) -> Alarm:
        """Whether what it is asked is like anything that it was taught."""
        ...


Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Answer(Generic[Seen]):
    # Words to share, the surest first; no two labels have the same words.
    confidences: dict[str, float]
    label: str  # the data set's own name
    checkpoint: str  # its id
    name: str  # the checkpoint's, as a person reads it
    trained_on: str
    milliseconds: float  # preprocessing and prediction
    seen: Seen  # what the model was given, after preprocessing
    # How unlike all that it was taught, above 1: like nothing; None where it cannot tell.
    unlikeness: float | None = None
    note: str = ""  # why it cannot, where it should

    @classmethod
    def of(
        cls,
        held: Held[Classifier],
        scores: np.ndarray,
        seconds: float,
        seen: Seen,
        words: Mapping[str, str] | None = None,
        top: int | None = None,
        unlikeness: float | None = None,
    ) -> "Answer[Seen]":
        """From (labels,) probabilities of a `Classifier`; `words` are those of one data set's
        labels (see `name_classes`), `seconds` is what preprocessing and prediction took."""
        classifier = held.predictor
        names = name_classes(classifier.labels, words)
        order = np.argsort(-scores)[:top]
        return cls(
            confidences={names[i]: float(scores[i]) for i in order},
            label=classifier.labels[order[0]],
            checkpoint=held.id,
            name=held.checkpoint.title,
            trained_on=classifier.trained_on,
            milliseconds=seconds * 1000,
            seen=seen,
            unlikeness=unlikeness,
            note=classifier.alarm.note,
        )

    @property
    def json(self) -> dict[str, str | float]:
        about: dict[str, str | float] = {
            "label": self.label,
            "checkpoint": self.checkpoint,
            "milliseconds": round(self.milliseconds, 2),
        }
        return about | page.tell_unlikeness(self.unlikeness)

    @property
    def bars(self) -> dict[str, float]:
        """What the page's Label shows."""
        known = not page.is_unlike(self.unlikeness)
        return self.confidences if known else page.Unlike(self.confidences)

    def warn(self, unsure: float, hint: str) -> str:
        """HTML, where the model does not know: that it was never taught such a thing, or, where its
        first answer is below the share `unsure`, what it may be, and a `hint` of what would help.
        """
        if page.is_unlike(self.unlikeness):
            nearest = html.escape(next(iter(self.confidences)))
            return page.notice(f"{page.UNLIKE} The nearest of what it was taught: {nearest}.")
        if next(iter(self.confidences.values())) >= unsure:
            return ""
        first = [
            f"<b>{html.escape(name)}</b> ({share:.0%})"
            for name, share in list(self.confidences.items())[:2]
        ]
        return page.notice(f"Not sure. Perhaps {' or '.join(first)}. {hint}".strip())

    def caption(self, what: str) -> str:
        """HTML beside a picture of what was seen: who answered, in which time, trained on what."""
        about = f"<br>Trained on {html.escape(self.trained_on)}" if self.trained_on else ""
        about += f"<br>{html.escape(self.note)}" if self.note else ""
        return (
            f"<div>{what}<br><b>{html.escape(self.name)}</b>, {self.milliseconds:.0f} "
            f"ms{about}</div>"
        )
