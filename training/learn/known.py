"""Whether an input is like anything that a network has learned.

    known = fit(features, labels)              # of what the head receives, (N, width)
    known = set_limit(known, others, OUTSIDE)  # of what the network has not learned from
    known.measure(features)                    # (N,) above 1: like nothing that was learned

Probabilities cannot tell: a softmax shares out 100% whatever it is shown. The distance in feature
space can, to the nearest class's mean by one covariance that the classes share (Lee et al. 2018,
arXiv 1807.03888), of features that are brought to length 1 first (Mueller and Hein 2025, arXiv
2505.18032). Of the covariance the widest directions are kept, and one variance for all the others
(Tipping and Bishop 1999), so that it is small on disk and stands on few examples.

It was chosen by measurement on the networks of this project (2026-11; tests/benchmarks/known.py
measures it): relative distances (Ren et al. 2021, arXiv 2106.09022), the nearest neighbours (Sun et
al. 2022, arXiv 2204.06507), the largest logit and the energy (Hendrycks et al. 2019, arXiv
1911.11132; Liu et al. 2020, arXiv 2010.03759) and ViM (Wang et al. 2022, arXiv 2203.10807) each
lose on some network what they win on another.

A checkpoint carries it as known.safetensors and known.json. One without, or with damaged ones,
answers as ever and cannot tell.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from training.data.examples import Examples
from training.data.splits import stratify
from training.learn.probe import deal_folds
from training.runs.batches import Stopped
from training.runs.checkpoint import KNOWN
from training.runs.records import RecordError, read_record, write_json
from training.runs.run import Run

if TYPE_CHECKING:  # it imports accelerate, which who only asks does without
    from training.learn.loop import Outcome

REFUSED = 0.05  # share of what is known that may be taken for unknown
CONFIDENCE = 0.95
DIRECTIONS = 128  # of the covariance, the widest, at most
# Examples for each direction that is kept, at least. More directions would hold all that a few
# examples vary in, and leave a variance of next to nothing for the rest: of 200 in 1,280 dimensions
# the folds' limit was so wide that everything was known.
FOR_EACH = 8
SHRUNK = 0.01  # share of the mean variance in every direction's
LEARNED = 2000  # examples by which it is fitted, at most
JUDGED = 1000  # and by which the limit is set
ENOUGH = 100  # held-out examples from which the limit is set by them alone
FOLDS = 5
LARGEST = 64 * 2**20  # bytes that are read of a file
METHOD = "Mahalanobis distance of normalised features to the nearest class mean"
LITERATURE = "Lee et al. 2018, arXiv 1807.03888; Mueller and Hein 2025, arXiv 2505.18032"
OUTSIDE = "held-out examples"
FOLDED = "examples, each left out once"


class Facts(TypedDict):
    """known.json."""

    method: str
    literature: str
    limit: float  # a distance, which REFUSED of the known inputs exceed at most
    rest: float  # the variance in the directions that are not kept
    refused: float  # REFUSED, as it was
    learned: int  # examples by which it was fitted
    judged: int  # examples by which the limit was set
    judged_by: str  # OUTSIDE or FOLDED


@dataclass(frozen=True)
class Known:
    """What a network knows, as far as its head can see."""

    means: np.ndarray  # (classes, width), of the classes that there were examples of
    directions: np.ndarray  # (width, kept), orthonormal
    variances: np.ndarray  # (kept,)
    facts: Facts

    @property
    def width(self) -> int:
        return self.means.shape[1]

    @cached_property
    def inner_means(self) -> np.ndarray:
        """(classes, kept), in the directions: an answer does not wait for them each time."""
        return self.means @ self.directions

    def measure(self, features: np.ndarray) -> np.ndarray:
        """(N,) how unlike all that was learned (N, width) features are: 1 at the limit."""
        return _measure_distances(self, normalise(features)) / self.facts["limit"]

    def save(self, folder: Path) -> None:
        """Small on disk: 16 bits are more than the estimate has."""
        tensors = {
            "means": self.means.astype(np.float16),
            "directions": self.directions.astype(np.float16),
            "variances": self.variances.astype(np.float32),
        }
        save_file(tensors, folder / f"{KNOWN}.safetensors")
        write_json(folder / f"{KNOWN}.json", self.facts)


def normalise(features: np.ndarray) -> np.ndarray:
    """float64, each row of length 1."""
    rows = features.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _measure_distances(known: Known, rows: np.ndarray) -> np.ndarray:
    """(N,) Mahalanobis distances of normalised rows to the nearest mean."""
    inner = rows @ known.directions
    squares = _square_distances(rows, known.means)
    kept = _square_distances(inner, known.inner_means)
    scale = 1 / np.sqrt(known.variances)
    weighed = _square_distances(inner * scale, known.inner_means * scale)
    rest = np.maximum(squares - kept, 0) / known.facts["rest"]
    return np.sqrt((weighed + rest).min(1))


def _square_distances(rows: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(N, M)"""
    found = np.square(rows).sum(1)[:, None] + np.square(means).sum(1) - 2 * rows @ means.T
    return np.maximum(found, 0)


# -- fitting ---------------------------------------------------------------------------------------
def fit(features: np.ndarray, labels: np.ndarray) -> Known:
    """Of (N, width) features and (N,) labels; without a limit yet (it is 1)."""
    rows = normalise(features)
    (names, inside) = np.unique(labels, return_inverse=True)
    counts = np.bincount(inside)
    means = np.zeros((len(names), rows.shape[1]))
    np.add.at(means, inside, rows)
    means /= counts[:, None]
    away = rows - means[inside]
    width = away.shape[1]
    free = max(1, len(rows) - len(names))
    total = max(float(np.square(away).sum()) / free, 1e-12)
    (variances, directions) = _find_widest(away / np.sqrt(free))
    variances = (1 - SHRUNK) * variances + SHRUNK * total / width
    left = width - len(variances)
    rest = (total - float(variances.sum())) / left if left else total / width
    facts = Facts(
        method=METHOD,
        literature=LITERATURE,
        limit=1.0,
        rest=max(rest, SHRUNK * total / width),
        refused=REFUSED,
        learned=len(rows),
        judged=0,
        judged_by="",
    )
    return Known(means, directions, variances, facts)


def _find_widest(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(kept,) variances and (width, kept) directions of rows around 0, the widest first."""
    (count, width) = rows.shape
    most = min(DIRECTIONS, max(1, count // FOR_EACH))
    if count < width:
        (values, vectors) = np.linalg.eigh(rows @ rows.T)
        held = np.flatnonzero(values > max(values[-1], 1e-30) * 1e-9)[::-1][:most]
        return values[held], rows.T @ (vectors[:, held] / np.sqrt(values[held]))
    (values, vectors) = np.linalg.eigh(rows.T @ rows)
    return np.maximum(values[::-1][:most], 0), vectors[:, ::-1][:, :most]


def set_limit(known: Known, distances: np.ndarray, judged_by: str) -> Known:
    """The same with a limit that no more than REFUSED of further such inputs exceed, for all that
    (N,) distances can tell, so with CONFIDENCE (a one-sided tolerance limit, Wilks 1941, Annals of
    Mathematical Statistics 12): of fewer than 59 it is the largest one. The limit that is right on
    average lets through more than REFUSED every other time."""
    from scipy.stats import binom

    count = len(distances)
    rank = min(count, int(binom.ppf(CONFIDENCE, count, 1 - REFUSED)) + 1)
    limit = float(np.sort(distances)[rank - 1])
    facts = known.facts.copy()
    facts.update({"limit": max(limit, 1e-9), "judged": count, "judged_by": judged_by})
    return replace(known, facts=facts)


def fit_all(
    learned: np.ndarray, labels: np.ndarray, held: np.ndarray, held_labels: np.ndarray
) -> Known:
    """Fitted to what was learned from, its limit set by what was held out of that, (N, width) each;
    where that is little, by all of it in folds, each example left out once. Raises ValueError for
    a single one."""
    if len(held) >= ENOUGH:
        known = fit(learned, labels)
        return set_limit(known, _measure_distances(known, normalise(held)), OUTSIDE)
    features = np.concatenate([learned, held]) if len(held) else learned
    both = np.concatenate([labels, held_labels])
    if len(both) < 2:
        raise ValueError("one example is too few to tell what it is like")
    fold = deal_folds(both, np.arange(len(both)), min(FOLDS, len(both)))
    distances = np.zeros(len(both))
    for number in np.unique(fold):
        out = fold == number
        inner = fit(features[~out], both[~out])
        distances[out] = _measure_distances(inner, normalise(features[out]))
    return set_limit(fit(features, both), distances, FOLDED)


# -- for a run -------------------------------------------------------------------------------------
def recognise(
    compute: Callable[[Examples, np.ndarray], Tensor],
    part: Examples,
    validation: Examples,
    outcome: "Outcome",
    run: Run,
) -> Known | None:
    """What a network knows that has learned from `part` and was judged by `validation`.
    `compute(examples, at)` gives what its head receives for those at these indices, (N, ...). None
    where there is no telling: a run that was stopped is published at once, and whatever fails here
    must not lose what was trained."""
    if outcome.stopped or not outcome.step or not run.main:
        return None
    run.beat("measuring what it knows")
    try:
        known = fit_all(*_gather(compute, part, LEARNED), *_gather(compute, validation, JUDGED))
    except Stopped:  # it is published all the same
        return None
    except Exception as error:
        run.say(traceback.format_exc(), error=True)
        run.say(f"note: the checkpoint cannot tell what it does not know: {error}")
        return None
    facts = known.facts
    run.say(
        f"it can tell what is unlike all that it learned, by {facts['learned']:,} examples; the "
        f"limit, which {facts['refused']:.0%} of what it knows exceed, by {facts['judged']:,} "
        f"{facts['judged_by']}"
    )
    return known


def save(knows: Known | None, folder: Path) -> None:
    """Beside a checkpoint's other files, before it is published."""
    if knows is not None:
        knows.save(folder)


def _gather(
    compute: Callable[[Examples, np.ndarray], Tensor], examples: Examples, most: int
) -> tuple[np.ndarray, np.ndarray]:
    at = stratify(examples.strata, most, 0)
    if not len(at):
        return np.zeros((0, 0)), np.zeros(0, np.int64)
    return pool(compute(examples, at)).float().cpu().numpy(), examples.strata[at]


def pool(features: Tensor) -> Tensor:
    """(N, width) of what a head receives: the mean over a map's places (N, width, h, w), or over a
    sequence's (N, places, width)."""
    if features.ndim == 4:
        return features.mean((2, 3))
    return features.mean(1) if features.ndim == 3 else features


# -- of a checkpoint -------------------------------------------------------------------------------
def open_known(folder: Path) -> Known | None:
    """What a checkpoint carries; None where it carries nothing. Raises RecordError where that is
    damaged."""
    facts = read_record(folder / f"{KNOWN}.json", Facts)
    if facts is None:
        return None
    file = folder / f"{KNOWN}.safetensors"
    try:
        if file.stat().st_size > LARGEST:
            raise RecordError(f"{file.name} is far too large")
        tensors = {name: value.astype(np.float64) for name, value in load_file(file).items()}
        known = Known(tensors["means"], tensors["directions"], tensors["variances"], facts)
    except (OSError, KeyError, SafetensorError, TypeError, ValueError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{file.name} is damaged or cut off") from error
    if not _is_sound(known):
        raise RecordError(f"{KNOWN}.json and {file.name} do not fit each other")
    return known


def _is_sound(known: Known) -> bool:
    tensors = (known.means, known.directions, known.variances)
    if [tensor.ndim for tensor in tensors] != [2, 2, 1] or not len(known.means):
        return False
    fits = known.directions.shape == (known.width, len(known.variances))
    positive = [known.facts["limit"], known.facts["rest"], *known.variances]
    return fits and min(positive) > 0 and all(np.isfinite(tensor).all() for tensor in tensors)
