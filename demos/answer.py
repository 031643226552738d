"""What a classifier's tab answers, and which checkpoint said it; the same for every tab."""

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from demos.serving.model_slot import Held


@dataclass(frozen=True)
class Answer:
    confidences: dict[str, float]  # words to share, the surest first
    label: str  # the data set's own name
    checkpoint: str
    name: str
    trained_on: str
    milliseconds: float  # preprocessing and prediction
    seen: Any  # what the model was given, after preprocessing

    @classmethod
    def of(
        cls,
        held: Held,
        scores: np.ndarray,
        took: float,
        seen: Any,
        words: Any,
        top: int | None = None,
    ) -> "Answer":
        """From (labels,) probabilities; `words` turns a label into what a person reads, `took` is
        in seconds."""
        order = np.argsort(-scores)[:top]
        names = held.predictor.labels
        return cls(
            {words(names[i]): float(scores[i]) for i in order},
            names[order[0]],
            held.id,
            held.name,
            held.predictor.trained_on,
            took * 1000,
            seen,
        )

    @property
    def json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "checkpoint": self.checkpoint,
            "milliseconds": round(self.milliseconds, 2),
        }

    def caption(self, what: str) -> str:
        """HTML beside a picture of what was seen: who answered, in which time, trained on what."""
        about = f"<br>trained on {html.escape(self.trained_on)}" if self.trained_on else ""
        return (
            f"<div>{what}<br><b>{html.escape(self.name)}</b>, {self.milliseconds:.0f} "
            f"ms{about}</div>"
        )
