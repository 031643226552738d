"""Few examples, judged honestly: each is judged once, by a network made alike that has seen neither
it nor what shows the same (k-fold cross-validation), while what is published learns from all.

    data = pool(data, config)           every example is in train and in test, where they are few
    answers = ask_probes(...)           method frozen: a probe for each fold, on the same features
    ask_refits(...)                     other methods: a whole training for each fold

The answers are kept beside the checkpoint (training/judge/learned.py), and an exam takes them for
its own: a fifth of 80 clips would leave 16 to judge by, and an interval of 40 points.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from training.data.checks.labels import rank_labels, rank_outliers
from training.data.examples import Data, Examples, Thing
from training.judge import calibration, learned
from training.judge.learned import Learned
from training.judge.records import ACCURACY, Report, Table
from training.learn import probe
from training.learn.probe import Choice, Probe
from training.runs.batches import Stopped
from training.runs.run import Rehearsal, Run

USUAL = 5
SMALL = 300  # examples: so many are few, and fewer
FEW = 30  # likewise, of a class
MOST = 4000  # examples, from which a fifth of them says enough of the rare classes too
SHARES = (0.25, 0.5)  # of what a fold learns from: the learning curve's points before all of it
SUSPECTS = 100  # labels that are told to look wrong, at most
ALIKE = 0.95  # correlation of features, from which two examples show the same

Beat = Callable[[], object]  # called now and then; raises Stopped


class FoldsConfig(Protocol):
    @property
    def folds(self) -> int: ...
    @property
    def resolved_method(self) -> str: ...


# -- whether, and what -----------------------------------------------------------------------------
def pool(data: Data[Thing], config: FoldsConfig) -> Data[Thing]:
    """The same data; or where folds judge it, because that was asked for or examples are few, all
    of it to be learned from and to be judged. A test part that a person or a data set made is kept:
    there folds come only where they are asked for, and leave it out."""
    folds = config.folds
    if folds == 1 or not folds and (data.parted or config.resolved_method != "frozen"):
        return data
    parts = [data.train] if data.parted else [data.train, data.test]
    if data.validation is not None:
        parts.append(data.validation)
    every = _join(parts)
    if not folds and not _are_few(every):
        return data
    folds = folds or USUAL
    return dataclasses.replace(
        data,
        train=every,
        test=every,
        validation=None,
        folds=folds,
        about=f"all {len(every):,} {data.things} of {data.name}, each by a model that had not "
        f"seen it ({folds} folds)",
    )


def _join(parts: list[Examples[Thing]]) -> Examples[Thing]:
    """Parts of one data set, in its order."""
    first = parts[0]
    assert all(part.read is first.read for part in parts)
    places = np.concatenate([part.places for part in parts])
    labels = np.concatenate([part.strata for part in parts])
    keys = np.concatenate([part.keys for part in parts])
    order = places.argsort()
    return Examples(first.read, places[order], labels[order], keys[order], first.texts, first.names)


def _are_few(every: Examples) -> bool:
    counts = np.bincount(every.strata)
    return len(every) <= SMALL or (counts[counts > 0].min() < FEW and len(every) < MOST)


# -- probes ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Offers:
    """What a head can be given of examples, and what they are."""

    views: list[dict[str, Tensor]]  # of each view that is asked about: (N, width) by a kind's name
    labels: np.ndarray  # (N,)
    keys: np.ndarray  # (N,) equal where they show the same
    classes: int
    weights: np.ndarray | None  # (classes,) what an example of each counts
    # By a kind's name to what its solution is pulled; without one, to nothing.
    begun: Mapping[str, probe.Solution] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.views[0])

    def gather(self, name: str, rows: np.ndarray) -> np.ndarray:
        """(views x rows, width)"""
        at = torch.from_numpy(rows)
        return torch.cat([view[name][at] for view in self.views]).numpy()

    def ask(self, name: str, rows: np.ndarray) -> probe.Question:
        times = len(self.views)
        return probe.Question(
            np.tile(self.labels[rows], times),
            self.classes,
            self.weights,
            np.tile(self.keys[rows], times),
            self.begun.get(name),
        )

    def rank_outliers(self, name: str) -> np.ndarray:
        """Those that lie far from all others, the farthest first."""
        return rank_outliers(self.views[0][name].float().numpy())

    def group_alike(self) -> "Offers":
        """The same, with one key for all that show nearly the same: pictures that were saved
        again, cut a little or resized, and takes of one sound."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        x = self.views[0][self.names[0]].float()
        x = (x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-6)
        x = torch.nn.functional.normalize(x, dim=1)
        (one, other) = np.nonzero((x @ x.T).numpy() > ALIKE)
        count = len(self.keys)
        (_, first, inverse) = np.unique(self.keys, return_index=True, return_inverse=True)
        one = np.concatenate([one, np.arange(count)])
        other = np.concatenate([other, first[inverse]])
        links = coo_array((np.ones(len(one)), (one, other)), (count, count))
        (_, groups) = connected_components(links, directed=False)
        return dataclasses.replace(self, keys=groups)


@dataclass(frozen=True)
class Solved:
    name: str  # of the features that tell the most
    probe: Probe
    compared: dict[str, Choice]  # by name, where there are several

    def answer(self, offers: Offers, rows: np.ndarray) -> np.ndarray:
        """(rows, classes) probabilities, the mean over the views."""
        logits = self.probe.solution(offers.gather(self.name, rows))
        return _soften(logits).reshape(len(offers.views), len(rows), -1).mean(0)


def solve(offers: Offers, rows: np.ndarray, beat: Beat) -> Solved:
    """The best of the probes that the head can hold, of these examples."""
    compared = {}
    best = offers.names[0]
    if len(offers.names) > 1:
        compared = {
            name: probe.compare(offers.gather(name, rows), offers.ask(name, rows), beat)
            for name in offers.names
        }
        best = min(compared, key=lambda name: compared[name].loss)
    found = probe.solve(offers.gather(best, rows), offers.ask(best, rows), beat=beat)
    return Solved(best, found, compared)


@dataclass(frozen=True)
class Judged:
    """What folds answered."""

    answers: np.ndarray  # (N, classes) probabilities
    curve: np.ndarray  # (points, 2): examples learned from, the share that was right


def ask_probes(offers: Offers, folds: int, run: Run, beat: Beat) -> Judged:
    """Every example judged by a probe that has not seen it: what kinds of features and which
    strength are best is chosen within each fold anew. Raises Stopped."""
    offers = offers.group_alike()
    fold = probe.deal_folds(offers.labels, offers.keys, folds)
    answers = np.full((len(offers.labels), offers.classes), 1 / offers.classes)
    right = np.zeros((len(SHARES) + 1, len(offers.labels)), bool)
    counts = np.zeros((len(SHARES) + 1, folds))
    for number in range(folds):
        held = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        if not len(held) or len(np.unique(offers.labels[rest])) < 2:
            continue
        found = solve(offers, rest, beat)
        answers[held] = found.answer(offers, held)
        right[-1, held] = answers[held].argmax(1) == offers.labels[held]
        counts[-1, number] = len(rest)
        for row, share in enumerate(SHARES):
            part = _take_share(offers, rest, share)
            counts[row, number] = len(part)
            fewer = _solve_alike(offers, part, found, beat)
            right[row, held] = fewer.answer(offers, held).argmax(1) == offers.labels[held]
        judged = np.isin(fold, range(number + 1))
        score = float(right[-1, judged].mean())
        run.log(step=number + 1, total=folds, score=round(score, 6))
        run.beat(
            note=f"{score:.0%} of {judged.sum():,} right, after {number + 1} of {folds} folds",
        )
    run.beat(note="")
    return Judged(answers, np.stack([counts.mean(1), right.mean(1)], 1))


def _take_share(offers: Offers, rows: np.ndarray, share: float) -> np.ndarray:
    """A share of these examples, of every class."""
    parts = round(1 / min(SHARES))
    fold = probe.deal_folds(offers.labels[rows], offers.keys[rows], parts)
    return rows[fold < round(share * parts)]


def _solve_alike(offers: Offers, rows: np.ndarray, other: Solved, beat: Beat) -> Solved:
    """From fewer examples, in the way that was found best for more."""
    strengths = (other.probe.choice.strength,)
    asked = offers.ask(other.name, rows)
    found = probe.solve(offers.gather(other.name, rows), asked, strengths, beat)
    return Solved(other.name, found, {})


def calibrate(solved: Solved, judged: Judged, labels: np.ndarray) -> tuple[Solved, Judged]:
    """Both as sure as the answers of the folds were right, where these are enough to tell."""
    by = calibration.fit_temperature(judged.answers, labels)
    if by == 1.0:
        return solved, judged
    old = solved.probe.solution
    softer = probe.Solution(old.weights / by, old.bias / by)
    told = dataclasses.replace(solved, probe=dataclasses.replace(solved.probe, solution=softer))
    answers = _soften(np.log(np.maximum(judged.answers, 1e-30)) / by)
    return told, dataclasses.replace(judged, answers=answers)


def _soften(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def keep(judged: Judged, keys: np.ndarray, run: Run) -> None:
    """Beside the run's checkpoint, for its exam and those of later ones. What its start's backbone
    had learned from already is not judged."""
    fresh = ~np.isin(keys, learned.read_of(run).backbone)
    learned.write_answers(run, keys[fresh], judged.answers[fresh], judged.curve)


# -- whole trainings -------------------------------------------------------------------------------
def ask_refits(
    part: Examples[Thing],
    folds: int,
    refit: Callable[[Examples[Thing], Examples[Thing], Run], np.ndarray],
    run: Run,
    before: Learned,
) -> None:
    """Every example judged by a network that was trained alike on the others: `refit(part, held,
    run)` trains one and returns its probabilities of `held`, (N, classes). `before`: of the start,
    by which what that has learned from is not judged. Raises Stopped."""
    fold = probe.deal_folds(part.strata, part.keys, folds)
    answers: np.ndarray | None = None
    for number in range(folds):
        held = np.flatnonzero(fold == number)
        if not len(held):
            continue
        aside = Rehearsal(run, f"training fold {number + 1} of {folds}")
        try:
            found = refit(part[fold != number], part[held], aside)
        finally:
            aside.end()
        answers = np.zeros((len(part), found.shape[1])) if answers is None else answers
        answers[held] = found
        right = (found.argmax(1) == part.strata[held]).mean()
        run.say(f"fold {number + 1} of {folds}: {right:.1%} of {len(held):,} right")
    if answers is None:
        raise Stopped
    fresh = ~np.isin(part.keys, before.keys)
    learned.write_answers(run, part.keys[fresh], answers[fresh])


# -- what is said of it ----------------------------------------------------------------------------
def add_curve(report: Report, run: Run) -> Report:
    """The same report, with the learning curve, where there is one."""
    curve = learned.read_of(run).curve
    if not len(curve) or report.after is None:
        return report
    (counts, scores) = curve.T
    rows: list[list[str | float | None]] = [
        [f"{count:,.0f}", float(score)] for count, score in zip(counts, scores, strict=True)
    ]
    table = Table("Would more examples help?", ["Learned from", ACCURACY.title], rows, shares=[1])
    gain = float(scores[-1] - scores[-2])
    doubled = f"From {counts[-2]:,.0f} to {counts[-1]:,.0f} examples"
    # A standard error of a share of so few; a difference below it says nothing.
    noise = float(np.sqrt(max(scores[-1] * (1 - scores[-1]), 0.01) / report.after.n))
    if gain > max(noise, 0.01):
        note = f"{doubled} accuracy rose by {gain * 100:.1f} points: more would probably help."
    else:
        note = f"{doubled} accuracy hardly rose: more of the same would probably help little."
    report.sections.insert(1, table)
    report.notes.append(note)
    report.facts["learning_curve"] = [
        {"examples": round(float(count)), "accuracy": round(float(score), 5)}
        for count, score in zip(counts, scores, strict=True)
    ]
    return report


def add_suspects(report: Report, part: Examples, classes: list[str], run: Run) -> Report:
    """The same report, with the examples whose labels look wrong to networks that have not seen
    them, and those that differ from all others, by their files: see
    training/data/checks/labels.py."""
    found = learned.read_of(run)
    places = {key: row for row, key in enumerate(found.judged.tolist())}
    rows = [i for i, key in enumerate(part.keys.tolist()) if key in places]
    if not rows or part.names is None:
        return report
    answers = found.answers[[places[part.keys[i]] for i in rows]]
    labels = part.strata[rows]
    (order, taken) = rank_labels(labels, answers)
    report.facts["suspects"] = [
        {
            "file": part.name_one(rows[i]),
            "label": classes[int(labels[i])],
            "said": classes[int(taken[i])],
            "confidence": round(float(answers[i, taken[i]]), 4),
        }
        for i in order.tolist()
        if taken[i] != labels[i]
    ][:SUSPECTS]
    at = {key: i for i, key in enumerate(part.keys.tolist())}
    far = [at[key] for key in found.far.tolist() if key in at][:SUSPECTS]
    report.facts["outliers"] = [
        {"file": part.name_one(i), "label": classes[int(part.strata[i])]} for i in far
    ]
    return report
