"""What every predictor checks of its first answer, before its checkpoint may take a slot."""

import numpy as np

from demos.serving.loading import SwapError


def check_scores(scores: np.ndarray, expected: int, what: str = "labels") -> None:
    """One finite score each for as many labels, or whatever else is scored. Raises SwapError."""
    if scores.shape[-1] != expected:
        raise SwapError(f"it gives {scores.shape[-1]} scores for {expected} {what}")
    if not np.isfinite(scores).all():
        raise SwapError("it answers with numbers that are not finite")
