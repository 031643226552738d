"""What a checkpoint has learned from, and how it is judged all the same.

A score on what was learned from says nothing. Parts that are held out by their content are held out
of every run; but where examples are few all of them are learned from, and each is judged by another
network, made alike of the others (training/learn/folds.py). So a run writes down from what it
learned, by keys, and what those other networks answered. An exam then asks no checkpoint about what
it, or what it started from, has learned, and takes those answers where there are any.

    runs/<run>/learned.safetensors
        keys        (N,) of all that it learned from, and its start before it
        backbone    (M,) of what its backbone learned from: with method frozen its start's alone
        judged      (J,) of the examples that were judged in folds
        answers     (J, classes) probabilities, each of a network that had not seen the example
        curve       (points, 2): of the folds, examples learned from and the share that was right
        far         (F,) of those that differ from all others, the farthest first
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from training.runs.run import Run

MOST = 20_000  # examples that are written down: more of them are held out by their content


def _none() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True)
class Learned:
    """Of one checkpoint; empty where nothing was written down."""

    keys: np.ndarray = field(default_factory=_none)
    backbone: np.ndarray = field(default_factory=_none)
    judged: np.ndarray = field(default_factory=_none)
    answers: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    curve: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    far: np.ndarray = field(default_factory=_none)

    def mask(self, answers: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """(N, classes) the checkpoint's answers to the examples of these keys, (N,): those of the
        folds where there are any, and nan for what it has learned from."""
        known = np.isin(keys, self.keys)
        if not known.any():
            return answers
        found = answers.copy()
        found[known] = np.nan
        if self.answers.shape[1:] == answers.shape[1:]:
            place = {key: row for row, key in enumerate(self.judged.tolist())}
            for row in np.flatnonzero(known):
                if (at := place.get(float(keys[row]))) is not None:
                    found[row] = self.answers[at]
        return found


def is_asked(answers: np.ndarray) -> np.ndarray:
    """(N,) whether each example of (N, classes) masked answers was asked."""
    return np.isfinite(answers.sum(1))


def read(checkpoint: Path) -> Learned:
    """Of a checkpoint that a run published. Of others nothing is known, and they are taken for
    strangers to the examples."""
    return read_of(Run(checkpoint.parent)) if checkpoint.name == "checkpoint" else Learned()


def read_of(run: Run) -> Learned:
    try:
        found = load_file(run.learned)
        return Learned(**found)
    except (OSError, SafetensorError, TypeError):
        return Learned()


def write_keys(run: Run, keys: np.ndarray, start: Path | None, frozen: bool) -> None:
    """`keys`: of all that the run learns from or chooses by, (N,)."""
    if len(keys) > MOST or not run.main:
        return
    before = read(start) if start else Learned()
    backbone = before.backbone if frozen else np.union1d(before.keys, keys)
    # What the start's head had learned is gone with it where the head is solved for anew.
    whole = np.union1d(before.backbone if frozen else before.keys, keys)
    _write(run, Learned(whole, backbone))


def write_answers(
    run: Run, judged: np.ndarray, answers: np.ndarray, curve: np.ndarray | None = None
) -> None:
    """What folds answered, (J, classes), to the examples of these keys, (J,); `curve`: their
    learning curve, if any."""
    if run.main:
        points = np.zeros((0, 2)) if curve is None else curve
        _write(run, replace(read_of(run), judged=judged, answers=answers, curve=points))


def write_far(run: Run, keys: np.ndarray) -> None:
    """The examples, by keys, that differ from all others."""
    if run.main:
        _write(run, replace(read_of(run), far=keys))


def _write(run: Run, learned: Learned) -> None:
    partial = run.learned.with_suffix(".partial")
    save_file({name: np.ascontiguousarray(value) for name, value in vars(learned).items()}, partial)
    partial.replace(run.learned)
