"""An exam: test examples that are read once, and how a checkpoint is asked about them.

At the end of a run its new checkpoint sits it, the one that it started from (before), and the one
now active in the slot (for the gate). `evaluate` lets any checkpoint sit it. Nothing here assumes
classes: what is asked and how it is judged is the recipe's, as functions of an `Exam`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from training.judge.records import Base, Gate, Report, Score, Section
from training.recipe import Metric, SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint
from training.runs.records import JsonValue
from training.runs.run import Run

Answers = TypeVar("Answers")
SEEN = (
    "It, or what it started from, has learned from every example that there is to be judged by. "
    "Start from the built-in model, or bring examples that are new to it."
)


@dataclass(frozen=True)
class Findings:
    """What a report shows beside scores."""

    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # sentences beside the scores
    chance: float | None = None  # the score of guessing
    base: Base | None = None
    beside: list[Metric] = field(default_factory=list)  # of the scores' further figures
    facts: dict[str, JsonValue] = field(default_factory=dict)  # further keys of metrics.json


@dataclass(frozen=True)
class Exam(Generic[Answers]):
    """Test examples, and how a checkpoint is asked about them and judged."""

    data: str  # in a few words: "digits (hub)"
    held_out: str  # "the 10,000 test pictures of ylecun/mnist"
    metric: Metric
    predict: Callable[[Path, Run | None], Answers]  # a checkpoint's answers; raises Stopped
    score: Callable[[Answers], Score]
    # Why a checkpoint cannot be asked, as a sentence; empty where it can.
    find_refusal: Callable[[Path], str]
    # Whether a checkpoint's answers mean the same, so that the better one can take its place.
    is_comparable: Callable[[Path], bool]
    # What the report shows of (answers, score before, score after); pictures and sounds are written
    # into the folder.
    find: Callable[[Answers, Score | None, Score, Path], Findings]
    problems: list[str] = field(default_factory=list)  # of the data
    notes: list[str] = field(default_factory=list)  # how the data was understood, in sentences
    # How good each answer is by itself, (N,): whether one checkpoint is better than another is
    # asked example by example. None: by their scores alone.
    merits: Callable[[Answers], np.ndarray] | None = None
    # Answers without those to examples that the checkpoint of this path has learned from.
    mask: Callable[[Answers, Path], Answers] = lambda answers, path: answers

    def ask(self, path: Path, run: Run | None) -> Answers:
        """A checkpoint's answers, to what it has not learned from. Raises Stopped."""
        return self.mask(self.predict(path, run), path)


def run_exam(exam: Exam[Answers], run: Run, start: Checkpoint | None) -> Report:
    """The report of a run whose checkpoint is published. Reads the test part once: before (where
    the start can be asked), after, and, where it decides whether to swap, what is active. Raises
    Stopped."""
    run.beat("scoring")
    answers = exam.ask(run.checkpoint, run)
    after = exam.score(answers)
    if not after.n:
        raise SettingsError(SEEN)
    earlier = before = None
    if start is not None and not exam.find_refusal(start.path):
        earlier = exam.ask(start.path, run)
        before = exam.score(earlier)
        before = before if before.n else None
    gate = None
    if run.config.get("swap", "better") == "better":
        gate = _compare_with_active(exam, run, start, earlier, answers)
    run.beat("drawing the report")
    found = exam.find(answers, before, after, run.report)
    return Report(
        exam.metric,
        exam.data,
        exam.held_out,
        before,
        after,
        active=gate,
        chance=found.chance,
        sections=found.sections,
        problems=exam.problems,
        facts=found.facts,
        notes=[*exam.notes, *found.notes],
        base=found.base,
        beside=found.beside,
    )


def examine(exam: Exam[Answers], path: Path, folder: Path) -> Report:
    """The report on any checkpoint; what it shows is written into `folder`. Raises SettingsError
    where the checkpoint cannot be asked."""
    if refusal := exam.find_refusal(path):
        raise SettingsError(refusal)
    answers = exam.ask(path, None)
    score = exam.score(answers)
    if not score.n:
        raise SettingsError(SEEN)
    found = exam.find(answers, None, score, folder)
    return Report(
        exam.metric,
        exam.data,
        exam.held_out,
        after=score,
        chance=found.chance,
        sections=found.sections,
        problems=exam.problems,
        facts=found.facts,
        notes=[*exam.notes, *found.notes],
        base=found.base,
        beside=found.beside,
    )


def _compare_with_active(
    exam: Exam[Answers],
    run: Run,
    start: Checkpoint | None,
    earlier: Answers | None,
    answers: Answers,
) -> Gate | None:
    """The active checkpoint on the same examples as the new one's `answers`; `earlier`: those of
    the start. None where the slot is empty."""
    runs = run.path.parent
    chosen = checkpoint.active(runs, run.slot)
    if not chosen:
        return None
    active_id = chosen[-1]
    try:
        found = checkpoint.find(runs, active_id, run.slot)
        if not exam.is_comparable(found.path):
            return Gate(active_id, False, None)
        if start is not None and start.id == active_id and earlier is not None:
            theirs = earlier  # it was asked a moment ago
        else:
            theirs = exam.ask(found.path, run)
        difference = None
        if exam.merits is not None:
            difference = bound_difference(exam.merits(answers) - exam.merits(theirs))
        score = exam.score(theirs)
        # What has learned from all that there is to be judged by cannot be compared with.
        return Gate(active_id, True, score.value if score.n else None, difference)
    except (checkpoint.CheckpointError, OSError) as error:
        run.say(f"{active_id}, now in the slot, could not be scored: {error}")
        return Gate(active_id, True, None)


def bound_difference(differences: np.ndarray) -> tuple[float, float]:
    """The 95% interval of the mean of paired differences, (N,).

    A pair that differs as much as any does, half of it for and half against, stands beside them
    (Agresti and Min 2005, "Simple improved confidence intervals for comparing matched
    proportions"): without it, two examples that both got better would leave no doubt.
    """
    differences = differences[~np.isnan(differences)]  # what one of both was not asked
    most = float(np.abs(differences).max(initial=0.0))
    n = len(differences) + 2
    mean = float(differences.sum()) / n
    squares = (float((differences**2).sum()) + most**2) / n
    margin = 1.96 * math.sqrt(max(0.0, squares - mean**2) / n)
    return mean - margin, mean + margin
