"""What recipes share that teach a network to tell classes apart, whatever its examples are."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.examples import Data, Examples, Thing
from training.device import device
from training.judge import calibration, learned
from training.judge.classification import score_held_out
from training.judge.exam import Exam, run_exam
from training.judge.records import ZERO_SHOT, Report
from training.learn import features, finetune, folds, probe
from training.learn.backbone import Start
from training.learn.finetune import Session, TeachConfig, compute_checksum
from training.learn.loop import Lesson, Outcome, read_state
from training.recipe import SettingsError
from training.runs.batches import Stopped
from training.runs.run import Run

LIGHT = 10**8  # multiplications of a step that one thread does in a millisecond or two


NAMED = 12  # classes that the log names


class HeadConfig(TeachConfig, Protocol):
    """What is read of a recipe's config."""

    @property
    def label_smoothing(self) -> float: ...
    @property
    def class_weights(self) -> str: ...


HeadConfigT = TypeVar("HeadConfigT", bound=HeadConfig)


def describe_examples(things: str, part: Examples, validation: Examples, data: Data) -> str:
    """What is learned from, as a line of the log."""
    seen = len(np.unique(part.strata))
    return (
        f"{len(part):,} training {things} of {seen} of {len(data.classes)} classes "
        f"({name_few(data.classes)}), {len(validation):,} for validation; test: {data.about}"
    )


def name_few(classes: list[str]) -> str:
    """The classes by their own names; of many the first ones."""
    rest = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return ", ".join(classes[:NAMED]) + rest


class Judged(TypedDict, total=False):
    """Of a Lesson with a held-out part: its fields."""

    predict: Callable[[], np.ndarray]
    judge: Callable[[], tuple[float, float]]
    judged_on: str
    score_format: str


def judge_by(
    predict: Callable[[], np.ndarray], labels: np.ndarray, class_weights: str = "none"
) -> Judged:
    """The fields of a Lesson whose held-out part has these labels, if any; `predict` gives its
    probabilities, (N, classes). An epoch is judged by what is learned: by the balanced accuracy
    where `class_weights` are balanced."""
    if not len(labels):
        return {}
    balanced = class_weights == "balanced"
    return {
        "predict": predict,
        "judge": lambda: score_held_out(predict(), labels, balanced),
        "judged_on": f"of {len(labels):,} validation examples" + ", balanced" * balanced,
        "score_format": "{:.2%}",
    }


def weigh_classes(choice: str, labels: np.ndarray, classes: int = 0) -> Tensor | None:
    """(classes,) what an example of each class counts in the loss, by the setting: with `balanced`
    all classes that there are count alike, and the mean over these (N,) labels is 1. None: 1."""
    if choice == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    weights = np.ones(len(counts), np.float32)
    held = counts > 0
    weights[held] = len(labels) / (held.sum() * counts[held])
    return torch.from_numpy(weights).to(device())


def sum_cross_entropy(
    logits: Tensor, truth: Tensor, label_smoothing: float, weights: Tensor | None
) -> Tensor:
    """The loss of a Lesson. `logits`: (N, classes); `truth`: (N,) labels or (N, classes) shares;
    `weights`: (classes,), what an example of each counts."""
    if weights is None:
        return F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="sum")
    each = F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="none")
    return each @ (truth @ weights if truth.is_floating_point() else weights[truth])


def teach_head(
    module: nn.Module,
    head: probe.Head | None,
    compute: Callable[[], tuple[list[Tensor], list[Tensor]]],
    part: Examples,
    validation: Examples,
    classes: int,
    session: Session[HeadConfigT],
    judged_in: int = 0,
) -> tuple[Lesson, Outcome]:
    """Method frozen: `module`, the top of a network, learns what the features of `part` tell;
    `compute` gives these and those of `validation`, in each view that is asked about. `head`, the
    same as the probe sees it, is solved; where there is none, or a run of an earlier version that
    took steps is continued, steps are taken. `judged_in`: folds by which all of `part` is judged.
    Raises Stopped."""
    run = session.run
    with session.accelerator.local_main_process_first():  # the others read what it computed
        given, held = compute()
    lesson = make_head_lesson(module, given[0], part, held, validation, session.config)
    saved = read_state(run)
    if head is None or saved:
        return lesson, finetune.teach_prepared(module, lesson, session, saved)
    if not run.main:  # rank 0 solves and publishes
        return lesson, Outcome(1, 1, False, None)
    weighed = session.config.class_weights
    return lesson, solve_head(head, given, part, classes, weighed, lesson, run, judged_in)


def solve_head(
    head: probe.Head,
    given: list[Tensor],
    part: Examples,
    classes: int,
    class_weights: str,
    lesson: Lesson,
    run: Run,
    judged_in: int = 0,
) -> Outcome:
    """Chooses between the features that the head can hold, solves the probe on them and writes it
    into the head; then the lesson's held-out part is judged, or all of `part` in so many folds.
    Raises Stopped."""
    weights = weigh_classes(class_weights, part.strata, classes)
    views = [head.offer(view) for view in given]
    offers = folds.Offers(
        views,
        part.strata,
        part.keys,
        classes,
        None if weights is None else weights.cpu().double().numpy(),
        {name: begun for name in views[0] if (begun := head.begin(name)) is not None},
    )

    def beat() -> None:
        run.beat()
        if run.should_stop():
            raise Stopped

    run.beat("solving the probe")
    began = time.perf_counter()
    solved = folds.solve(offers, np.arange(len(part)), beat)
    if any(found.folds for found in solved.compared.values()):
        run.say(_describe_offers(solved, head.kind))
    run.say(_describe_probe(solved.probe.choice, time.perf_counter() - began))
    if solved.probe.choice.folds:
        run.log(step=1, total=1, loss=round(solved.probe.choice.loss, 6))
    if judged_in:
        run.beat("judging each example by folds")
        judged = folds.ask_probes(offers, judged_in, run, beat)
        solved, judged = folds.calibrate(solved, judged, part.strata)
        folds.keep(judged, part.keys, run)
        learned.write_far(run, part.keys[offers.rank_outliers(solved.name)])
    head.write(solved.name, solved.probe.solution)
    if lesson.judge is None:
        return Outcome(1, 1, False, None)
    (score, loss) = lesson.judge()
    run.log(step=1, total=1, score=round(score, 6), score_loss=round(loss, 6))
    run.say(f"{lesson.score_format.format(score)} {lesson.judged_on}")
    return Outcome(1, 1, False, score)


def _describe_offers(solved: folds.Solved, kind: str) -> str:
    told = ", ".join(f"{name} {found.accuracy:.1%}" for name, found in solved.compared.items())
    return f"cross-validated accuracy by {kind}: {told}; taken: {solved.name}"


def _describe_probe(choice: probe.Choice, seconds: float) -> str:
    about = f"probe solved in {seconds:.1f} s: penalty's inverse {choice.strength:.3g}"
    if not choice.folds:
        return f"{about}, the usual one, since too few examples can be left out to choose it"
    return (
        f"{about}, by {choice.folds} folds of {choice.count:,} examples; cross-validated accuracy "
        f"{choice.accuracy:.1%}"
    )


def make_head_lesson(
    head: nn.Module,
    given: Tensor,
    part: Examples,
    held: list[Tensor],
    validation: Examples,
    config: HeadConfig,
) -> Lesson:
    """A lesson of features that were computed before, so that an epoch takes seconds: `given` are
    those of `part`, `held` those of `validation` in each view that is asked about."""
    where = device()
    given = given.to(where)
    labels = torch.from_numpy(part.strata).to(where)
    weights = weigh_classes(config.class_weights, part.strata)

    def fetch(indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        at = indices.to(where)
        return given[at], labels[at]

    def compute_loss(model: nn.Module, batch: tuple[Tensor, Tensor], piece: slice) -> Tensor:
        shown, truth = (column[piece] for column in batch)
        return sum_cross_entropy(model(shown).float(), truth, config.label_smoothing, weights)

    work = config.batch_size * sum(p.numel() for p in head.parameters())
    return Lesson(
        len(part),
        compute_checksum(part),
        fetch,
        compute_loss,
        **judge_by(
            lambda: features.predict_from(head, held), validation.strata, config.class_weights
        ),
        one_thread=work < LIGHT,
    )


def fit_confidence(
    find_head: Callable[[], nn.Module],
    lesson: Lesson,
    outcome: Outcome,
    labels: np.ndarray,
    run: Run,
) -> None:
    """Divides the logits by a temperature that is fitted to the held-out part, where it is large
    enough. A head that is not known stays as sure as it is."""
    if lesson.predict is None or outcome.stopped or not run.main:
        return
    try:
        temperature = calibration.fit_temperature(lesson.predict(), labels)
    except Stopped:  # it is published all the same
        return
    if temperature == 1.0:
        return
    try:
        fitted = calibration.divide_logits(find_head(), temperature)
    except SettingsError:
        return
    if fitted:
        run.say(
            f"confidence calibrated on the {len(labels):,} validation examples: logits divided by "
            f"{temperature:.2f}"
        )


def examine(
    exam: Exam[np.ndarray],
    run: Run,
    start: Start,
    data: Data[Thing],
    part: Examples[Thing],
    refit: Callable[[Examples[Thing], Examples[Thing], Run], np.ndarray],
) -> Report:
    """The exam of a run whose checkpoint is published. Where folds judge it and nothing has
    answered yet, `refit` trains a network for each, see `folds.ask_refits`. Raises Stopped."""
    if data.folds and not len(learned.read_of(run).judged):
        before = learned.read(start.path) if start.path else learned.Learned()
        folds.ask_refits(part, data.folds, refit, run, before)
    report = folds.add_curve(run_exam(exam, run, start.checkpoint), run)
    if start.zero_shot and report.before:
        told = f"Before is what {start.name} answered {ZERO_SHOT}: by class names alone."
        report = replace(report, answered=ZERO_SHOT, notes=[*report.notes, told])
    return folds.add_suspects(report, part, data.classes, run) if data.folds else report


def warn_if_no_better_than_base(report: Report, run: Run) -> None:
    if report.after is None or report.base is None:
        return
    low = report.after.interval[0]
    base = f"the base, {report.metric.text(report.base.value)} ({report.base.rule})"
    if report.after.value <= report.base.value:
        note = f"The score is not better than {base}. Try more examples, another start or method."
    elif low <= report.base.value:
        note = (
            f"The score lies above {base}, but its 95% interval begins at "
            f"{report.metric.text(low)}: the test examples are too few to tell."
        )
    else:
        return
    run.say(f"note: {note}")
    run.beat(note=note)
