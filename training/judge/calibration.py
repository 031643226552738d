"""Confidence that can be believed: of the answers that a classifier is 80% sure of, 80% should be
right.

Label smoothing, mixup and much augmentation leave networks less sure than they may be, many epochs
surer. One number, fitted on the part held out of train, mends most of it: the logits are divided by
a temperature (Guo et al. 2017, arXiv
1706.04599). No answer changes, and the checkpoint stays an ordinary one, since its last layer's
weights are divided.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # figures are computed without torch
    from torch import nn

LEAST = 200  # examples from which a temperature, or an error, is more than noise
BINS = 15
COLDEST = 0.2
HOTTEST = 5.0


def compute_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How far confidence and the share of right answers are apart, on average over answers in 15
    bins of confidence (expected calibration error, Naeini et al. 2015)."""
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    apart = np.abs(np.bincount(bins, sure - right, BINS))
    return float(apart.sum() / max(1, len(labels)))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """What the logits are to be divided by, so that these labels are the likeliest; 1 for too few
    of them."""
    if len(labels) < LEAST:
        return 1.0
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = np.log(np.maximum(probabilities, 1e-30)).astype(np.float64)
    of_truth = logits[np.arange(len(labels)), labels]
    found = minimize_scalar(
        lambda log: float((logsumexp(logits / np.exp(log), 1) - of_truth / np.exp(log)).mean()),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def divide_logits(head: "nn.Module", by: float) -> bool:
    """Divides what the head's last layer gives by a temperature. False where that layer is none
    that this can do."""
    from torch import nn

    layers = [
        module
        for module in head.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    if not layers or not isinstance(layers[-1], nn.Linear):
        return False
    for weights in layers[-1].parameters(recurse=False):
        weights.data.div_(by)
    return True
