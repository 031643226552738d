"""What a classifier's tab answers, and which checkpoint said it; the same for every tab."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from demos.serving.model_slot import Held, Predictor


class Classifier(Predictor, Protocol):
    """A predictor that names one of its labels."""

    @property
    def labels(self) -> list[str]:
        """The data set's own names, in the order of its scores."""
        ...

    @property
    def trained_on(self) -> str: ...


Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Answer(Generic[Seen]):
    confidences: dict[str, float]  # words to share, the surest first
    label: str  # the data set's own name
    checkpoint: str  # its id
    name: str  # the checkpoint's, as a person reads it
    trained_on: str
    milliseconds: float  # preprocessing and prediction
    seen: Seen  # what the model was given, after preprocessing

    @classmethod
    def of(
        cls,
        held: Held[Classifier],
        scores: np.ndarray,
        seconds: float,
        seen: Seen,
        words: Callable[[str], str],
        top: int | None = None,
    ) -> "Answer[Seen]":
        """From (labels,) probabilities of a `Classifier`; `words` turns a label into what a person
        reads, `seconds` is what preprocessing and prediction took."""
        classifier = held.predictor
        order = np.argsort(-scores)[:top]
        return cls(
            confidences={words(classifier.labels[i]): float(scores[i]) for i in order},
            label=classifier.labels[order[0]],
            checkpoint=held.id,
            name=held.checkpoint.title,
            trained_on=classifier.trained_on,
            milliseconds=seconds * 1000,
            seen=seen,
        )

    @property
    def json(self) -> dict[str, str | float]:
        return {
            "label": self.label,
            "checkpoint": self.checkpoint,
            "milliseconds": round(self.milliseconds, 2),
        }

    def caption(self, what: str) -> str:
        """HTML beside a picture of what was seen: who answered, in which time, trained on what."""
        about = f"<br>Trained on {html.escape(self.trained_on)}" if self.trained_on else ""
        return (
            f"<div>{what}<br><b>{html.escape(self.name)}</b>, {self.milliseconds:.0f} "
            f"ms{about}</div>"
        )
