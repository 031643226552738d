"""What a classifier's tab answers, and which checkpoint said it; the same for every tab."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

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

    @classmethod
    def of(
        cls,
        held: Held[Classifier],
        scores: np.ndarray,
        seconds: float,
        seen: Seen,
        words: Mapping[str, str] | None = None,
        top: int | None = None,
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
        )

    @property
    def json(self) -> dict[str, str | float]:
        return {
            "label": self.label,
            "checkpoint": self.checkpoint,
            "milliseconds": round(self.milliseconds, 2),
        }

    @property
    def doubt(self) -> str:
        """HTML, for where the model is not sure: what it may be."""
        first = [
            f"<b>{html.escape(name)}</b> ({share:.0%})"
            for name, share in list(self.confidences.items())[:2]
        ]
        return f"Not sure. Perhaps {' or '.join(first)}."

    def caption(self, what: str) -> str:
        """HTML beside a picture of what was seen: who answered, in which time, trained on what."""
        about = f"<br>Trained on {html.escape(self.trained_on)}" if self.trained_on else ""
        return (
            f"<div>{what}<br><b>{html.escape(self.name)}</b>, {self.milliseconds:.0f} "
            f"ms{about}</div>"
        )
