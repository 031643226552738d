"""What every predictor checks of its first answer, before its checkpoint may take a slot."""

import numpy as np

from demos.serving.loading import SwapError


def check_scores(scores: np.ndarray, expected: int, what: str = "labels") -> None:
    """One finite score each for as many labels, or whatever else is scored. Raises SwapError."""
    if scores.shape[-1] != expected:
        raise SwapError(f"it gives {scores.shape[-1]} scores for {expected} {what}")
    check_finite(scores)


def check_finite(numbers: np.ndarray | float) -> None:
    """Raises SwapError."""
    if not np.isfinite(numbers).all():
        raise SwapError("it answers with numbers that are not finite")
