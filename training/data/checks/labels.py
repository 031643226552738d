"""Labels that look wrong, and what differs from all else.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in
Dataset Labels", arXiv 1911.00068), in the few lines that it takes: an example counts as one of
another class where the model is surer of that class than it is on the average of the class's own.
The probabilities must be of models that have not seen the example (out of fold): what was trained
on is believed.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from training.data.checks.findings import CONFIRM, CORRECT, LEAVE_OUT, Finding
from training.data.checks.look import Seen, iterate_blocks
from training.wording import counted

NEIGHBOURS = 5
FAR = 6.0  # times the usual spread of the distances beyond their median
ROWS = 256  # of the matrix of all with all, at a time


def rank_labels(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All N examples, the likeliest to be labelled wrong first, and what each is taken for.
    (N,) labels, (N, K) out-of-fold probabilities. Returns the order, (N,), and what each is taken
    for, (N,): its label where it is no suspect."""
    count, classes = probabilities.shape
    at = np.arange(count)
    own = probabilities[at, labels]
    # How sure the model is of each class, on the average of its own.
    thresholds = np.array(
        [own[labels == c].mean() if (labels == c).any() else np.inf for c in range(classes)]
    )
    sure = np.where(probabilities >= thresholds, probabilities, -1.0)
    taken = sure.argmax(1)
    taken[sure.max(1) < 0] = labels[sure.max(1) < 0]
    # By what is thought of the label, as a share of what is thought of its class's others: on
    # photos with flipped labels 67% of these come first, and 52% by the margin to the next class.
    order = np.argsort(own / thresholds[labels], kind="stable")
    return order, taken


def find_wrong_labels(
    seen: Seen,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    named: Collection[str] = (),
) -> list[Finding]:
    """`labels`, `probabilities`: of the sights in `seen`, in their order; `named`: items of which a
    person has said what they are."""
    order, taken = rank_labels(labels, probabilities)
    suspects = [int(i) for i in order if taken[i] != labels[i] and seen.sights[i].id not in named]
    return tell_wrong_labels({seen.sights[i].id: classes[int(taken[i])] for i in suspects})


def tell_wrong_labels(taken: Mapping[str, str]) -> list[Finding]:
    """`taken`: items, the likeliest to be labelled wrong first, and what each is taken for."""
    if not taken:
        return []
    verb = "is" if len(taken) == 1 else "are"
    return [
        Finding(
            "wrong label",
            f"{counted(len(taken), 'example')} {verb} taken for another class by models that have "
            "not seen them: see whether the label is right.",
            len(taken),
            list(taken),
            suggested=dict(taken),
            actions=(CORRECT, LEAVE_OUT, CONFIRM),
        )
    ]


def measure_distances(features: np.ndarray) -> np.ndarray:
    """(N,) the mean distance of each of (N, width) features to its nearest others."""
    x = features.astype(np.float32)
    x = (x - x.mean(0)) / np.maximum(1e-6, x.std(0))
    x /= np.maximum(1e-6, np.linalg.norm(x, axis=1, keepdims=True))
    nearest = min(NEIGHBOURS, len(x) - 1)
    parts = []
    for rows in iterate_blocks(len(x), ROWS):
        alike = x[rows] @ x.T
        alike[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = -2
        best = np.partition(alike, -nearest, axis=1)[:, -nearest:]
        parts.append(1 - best.mean(1))
    return np.concatenate(parts)


def rank_outliers(features: np.ndarray) -> np.ndarray:
    """Those of (N, width) features that lie far from all others, the farthest first."""
    if len(features) <= NEIGHBOURS:
        return np.zeros(0, int)
    distances = measure_distances(features)
    middle = np.median(distances)
    spread = np.median(np.abs(distances - middle))
    far = np.flatnonzero(distances > middle + FAR * max(1e-6, float(spread)))
    return far[np.argsort(-distances[far])]


def tell_outliers(items: Sequence[str]) -> list[Finding]:
    """`items`: that differ from all others, the farthest first."""
    if not items:
        return []
    one = len(items) == 1
    return [
        Finding(
            "outlier",
            f"{counted(len(items), 'example')} {'differs' if one else 'differ'} from all others: "
            f"see whether {'it belongs' if one else 'they belong'} here.",
            len(items),
            list(dict.fromkeys(items)),
            actions=(LEAVE_OUT, CORRECT, CONFIRM),
        )
    ]
