"""Fine-tuning in steps: what a recipe's `train` calls, from its data to its published checkpoint.

A recipe's `train` reads from top to bottom: open the data, build the network, teach it, finish
(publish, then examine). Nothing here assumes classes; learn/classification.py has what recipes
share that tell classes apart.
"""

import time
import traceback
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypedDict, TypeVar, Unpack

import numpy as np
import psutil
import torch
import transformers
from accelerate import Accelerator
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from training.data.examples import Data, Examples, Thing, hold_out
from training.data.splits import stratify
from training.device import device, has_bf16
from training.judge import learned
from training.judge.records import Curve, Provenance, Report
from training.judge.report import write_report
from training.learn import backbone, layouts
from training.learn.backbone import Start
from training.learn.loop import Lesson, LoopConfig, Outcome, SavedState, fit, read_state
from training.learn.optimizers import (
    Optimizer,
    OptimizerConfig,
    group_parameters,
    make_optimizer,
)
from training.learn.rate_finder import Found
from training.recipe import Metric, SettingsError
from training.runs.batches import Stopped
from training.runs.checkpoint import Checkpoint
from training.runs.run import Run
from training.settings import FIND
from training.wording import duration

BOLDEST = 5  # times the recommended learning rate: what a test may find at most
LONG = 3600  # seconds on a CPU from which a faster method is proposed


class TeachConfig(LoopConfig, OptimizerConfig, Protocol):
    """What is read of the config of a recipe that fine-tunes networks of the Hub."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def bf16(self) -> str: ...
    @property
    def compile(self) -> str: ...
    @property
    def keep(self) -> float: ...
    @property
    def store(self) -> str: ...


TeachConfigT = TypeVar("TeachConfigT", bound=TeachConfig)
Learner = TypeVar("Learner", bound=nn.Module)


class SplitConfig(Protocol):
    @property
    def holdout(self) -> float: ...
    @property
    def limit(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Resolved(TypedDict, total=False):
    """What some recipes resolve beside their start and their data: fields of Provenance."""

    learning_rate: float
    method: str
    parts: Mapping[str, str]
    teachers: Mapping[str, str]
    needs: str


class Preprocessor(Protocol):
    """What a checkpoint carries beside its network."""

    def save_pretrained(self, folder: Path, /) -> object: ...


@dataclass(frozen=True)
class Session(Generic[TeachConfigT]):
    """A training under way: what its steps need to know beside the network."""

    config: TeachConfigT
    method: str  # as it was resolved: full, frozen, lora or scratch
    learning_rate: float  # likewise
    start: Start
    run: Run
    accelerator: Accelerator


# -- before ----------------------------------------------------------------------------------------
def start_accelerator(half: bool) -> Accelerator:
    """`half`: whether to train in half precision."""
    transformers.utils.logging.disable_progress_bar()
    precision = "bf16" if half else "no"
    return Accelerator(cpu=device() == "cpu", mixed_precision=precision)


def wants_half(choice: str) -> bool:
    """Whether to train in half precision, by the setting `bf16`."""
    return has_bf16() if choice == "auto" else choice == "on"


def open_data(load: Callable[[], Data[Thing]], run: Run) -> Data[Thing]:
    """Loads, and tells how it was understood and what was left out. Raises SettingsError."""
    run.beat("loading the data")
    data = load()
    for note in [*data.notes, *data.problems[:20]]:
        run.say(f"note: {note}")
    return data


def choose_examples(
    data: Data[Thing], config: SplitConfig, buckets: np.ndarray | None = None
) -> tuple[Examples[Thing], Examples[Thing]]:
    """What is learned from, and what is held out of it to choose the best epoch, unless a person
    parted that off. `buckets`, (N,): a recipe's own hash of the content in place of the examples'
    keys."""
    if data.folds:
        part, validation = data.train, data.train[np.zeros(0, int)]
    elif data.validation is not None and config.holdout:
        part, validation = data.train, data.validation
    else:
        part, validation = hold_out(data.train, config.holdout, buckets)
    return part[stratify(part.strata, config.limit, config.seed)], validation


def compute_checksum(part: Examples) -> int:
    """Of what is learned from: a run is continued on the same examples only."""
    return zlib.crc32(part.strata.tobytes(), zlib.crc32(part.keys.tobytes()))


def record(
    run: Run,
    start: Start,
    data: Data,
    things: str,
    split: tuple[Examples, Examples],
    frozen: bool = False,
    **more: Unpack[Resolved],
) -> None:
    """Writes down what the run resolved: its model card tells it. `split`: what is learned from,
    and what is held out of it; `frozen`: whether the head alone learns, and anew."""
    part, validation = split
    counts = {"train": len(part), "held out": len(validation), "test": len(data.test)}
    if data.folds:
        counts = {"train": len(part), "judged in folds": len(part)}
    for note in layouts.read_notes(start.path):
        run.say(note)
    learned.write_keys(run, np.concatenate([part.keys, validation.keys]), start.path, frozen)
    run.record(
        slot=run.slot,
        **Provenance(
            base=start.name,
            base_revision=start.revision,
            data=data.about,
            revision=data.revision,
            things=things,
            counts=counts,
            **more,
        ).to_json(),
    )


def describe_data(network: PretrainedConfig, name: str, data: Data) -> None:
    """Writes into a network's config what it learns from; `name`: in a few words. Its checkpoint
    carries it: the page shows it, and the gate asks whether it was anything real."""
    network.trained_on = name
    network.synthetic = data.synthetic


# -- teaching --------------------------------------------------------------------------------------
def teach_features(
    learner: nn.Module,
    make_lesson: Callable[[], Lesson],
    session: Session,
    heads: list[nn.Module | nn.Parameter] | None = None,
) -> tuple[Lesson, Outcome]:
    """Method frozen, in steps: `learner`, a part of the network, learns from features that
    `make_lesson` computes or reads. All of it is a head, unless `heads` names what is. Raises
    Stopped."""
    with session.accelerator.local_main_process_first():  # the others read what it computed
        lesson = make_lesson()
    return lesson, teach_prepared(learner, lesson, session, read_state(session.run), heads)


def teach_prepared(
    learner: nn.Module,
    lesson: Lesson,
    session: Session,
    saved: SavedState | None,
    heads: list[nn.Module | nn.Parameter] | None = None,
) -> Outcome:
    """The same, of a lesson that is there already."""
    optimizer = _make_optimizer(learner, heads or [learner], session)
    session.run.beat("training")
    return _fit(learner, lesson, optimizer, session, saved)


def teach_network(
    model: PreTrainedModel,
    make_lesson: Callable[[Learner], Lesson],
    session: Session,
    add_lora: Callable[[PreTrainedModel], nn.Module],
    find_heads: Callable[[Learner], list[nn.Module | nn.Parameter]],
    wrap: Callable[[nn.Module], Learner],
    relative_cost: float = 1.0,
) -> tuple[Lesson, Outcome]:
    """Methods that train the backbone. With method lora, what was added is merged in again at the
    end, in place. `wrap` puts what learns beside the network, and is not published, around it;
    `find_heads` is asked about that. `relative_cost`: of a usual step, over one of the
    first epoch. Raises SettingsError where it cannot fit into memory."""
    config = session.config
    accelerator = session.accelerator
    compiled = config.compile == "on"
    backbone.speed_up(model, accelerator, compiled)
    adapted = add_lora(model) if session.method == "lora" else model
    learner = wrap(adapted)
    _refuse_what_cannot_fit(learner, session.method)
    learner.to(accelerator.device)
    lesson = make_lesson(learner)
    saved = read_state(session.run)
    done = saved["state"]["step"] if saved else 0
    estimate_time(learner, lesson, session, done, relative_cost)
    if compiled:
        learner.compile()
    optimizer = _make_optimizer(learner, find_heads(learner), session)
    session.run.beat("training")
    outcome = _fit(learner, lesson, optimizer, session, saved)
    if config.keep and session.start.checkpoint:
        outcome = _keep_of_start(model, session.start.checkpoint, lesson, outcome, session)
    if session.method == "lora":
        backbone.merge_lora(adapted)
    return lesson, outcome


def _make_optimizer(
    learner: nn.Module, heads: list[nn.Module | nn.Parameter], session: Session
) -> Optimizer:
    groups = group_parameters(learner, heads, session.config.layer_decay)
    return make_optimizer(groups, session.config, session.learning_rate)


def _fit(
    learner: nn.Module,
    lesson: Lesson,
    optimizer: Optimizer,
    session: Session,
    saved: SavedState | None,
) -> Outcome:
    accelerator = session.accelerator
    return fit(
        accelerator.prepare(learner),
        lesson,
        optimizer,
        session.config,
        session.learning_rate,
        session.run,
        accelerator,
        saved,
        cap=BOLDEST * session.learning_rate if session.config.learning_rate == FIND[1] else 0.0,
    )


def _keep_of_start(
    model: nn.Module, start: Checkpoint, lesson: Lesson, outcome: Outcome, session: Session
) -> Outcome:
    """Mixes the start's weights in, and scores the mixture."""
    keep = session.config.keep
    backbone.mix_in_start(model, start, keep)
    if not lesson.judge or outcome.stopped:
        return outcome
    try:
        score, _ = lesson.judge()
    except Stopped:  # it is published all the same
        return outcome
    shown = lesson.score_format.format(score)
    session.run.say(f"with {keep:.0%} of the start: {shown} {lesson.judged_on}")
    return replace(outcome, best=score)


def check_keep(config: TeachConfig, method: str, start: Start) -> None:
    """Raises SettingsError."""
    if config.keep and (method != "full" or start.checkpoint is None):
        raise SettingsError(
            "keep averages with the start's weights: it needs method full, and a checkpoint to "
            "start from."
        )


def estimate_time(
    learner: nn.Module, lesson: Lesson, session: Session, done: int, relative_cost: float
) -> None:
    """On a CPU, before it starts: how long it will take from step `done` on, by two measured steps,
    and what would be faster. All processes measure, so that they are in each other's way as they
    will be."""
    config = session.config
    accelerator = session.accelerator
    if accelerator.device.type != "cpu":
        return
    # Batch statistics move in a forward pass: measuring must change nothing.
    buffers = {name: value.clone() for name, value in learner.named_buffers()}
    batch = min(config.batch_size, lesson.count)
    some = torch.arange(max(1, batch // accelerator.num_processes))
    took = []
    for _ in range(2):
        began = time.perf_counter()
        lesson.set_mode(learner)
        with accelerator.autocast():
            piece = slice(0, max(1, len(some) // config.accumulate))
            loss = lesson.loss(learner, lesson.fetch(some, 0), piece)
        loss.backward()
        took.append((time.perf_counter() - began) * config.accumulate)
    learner.zero_grad()
    for name, value in learner.named_buffers():
        value.copy_(buffers[name])
    left = max(0, lesson.count / batch * config.epochs - done)
    seconds = min(took) * relative_cost * left
    note = f"About {duration(seconds)} on this CPU, by two measured steps of {min(took):.2f} s."
    if seconds > LONG and session.method != "scratch":
        # The features are computed once, forward only, which is about a third of a step.
        frozen = duration(seconds / config.epochs / 3)
        note += (
            f" Method frozen would take about {frozen}: stop this run and choose it, or train on "
            "fewer examples."
        )
    session.run.say(note)
    session.run.beat(note=note)


def _refuse_what_cannot_fit(learner: nn.Module, method: str) -> None:
    """Weights, gradients and the optimizer's two averages, in bytes, against what is free. Raises
    SettingsError."""
    need = 16 * sum(p.numel() for p in learner.parameters() if p.requires_grad)
    if device() == "cuda":
        free = torch.cuda.mem_get_info()[0]
    else:
        free = psutil.virtual_memory().available
    if need > free:
        raise SettingsError(
            f"Training {method} needs at least {need / 2**30:.1f} GB of memory, and "
            f"{free / 2**30:.1f} GB are free. Choose method frozen or lora, or a smaller start."
        )


# -- after -----------------------------------------------------------------------------------------
def save_network(
    model: PreTrainedModel, preprocessor: Preprocessor | None, folder: Path, store: str
) -> None:
    """An ordinary checkpoint; `store`: float32 or float16; without a preprocessor where the
    network's config tells of it."""
    (model.half() if store == "float16" else model).save_pretrained(folder)
    if preprocessor is not None:
        preprocessor.save_pretrained(folder)


def finish(
    run: Run,
    outcome: Outcome,
    metric: Metric,
    save: Callable[[Path], None],
    examine: Callable[[], Report],
) -> Report:
    """Publishes what was trained, then examines it. A run that was stopped is published at once,
    unscored; one that was stopped before its first step publishes nothing."""
    report = Report(
        metric,
        step=outcome.step,
        total=outcome.total,
        stopped=outcome.stopped,
        held_out_score=outcome.best,
    )
    if not run.main:
        return report
    if not outcome.step:
        return replace(report, stopped=True)
    run.beat("saving", step=outcome.step, total=outcome.total)
    save(run.staging)
    run.publish()
    if not outcome.stopped:
        report = _examine(run, examine, report)
    if outcome.found:
        report.sections.append(_draw_rates(outcome.found))
    write_report(run, report)
    return report


def _draw_rates(found: Found) -> Curve:
    return Curve(
        "Learning rate test",
        "Learning rate",
        "Loss",
        [[rate, loss] for rate, loss in found.curve],
        mark=found.rate,
        note=f"The loss was least at {found.least:.2g}. Trained at {found.rate:.2g}: "
        + ("the most that this method is known to bear." if found.capped else "a tenth of that."),
    )


def _examine(run: Run, examine: Callable[[], Report], unscored: Report) -> Report:
    """The scored report; where the exam fails, the unscored one: what was trained is published
    already and must not be lost to it."""
    try:
        scored = examine()
    except Stopped:
        return replace(unscored, stopped=True)
    except Exception as error:
        run.say(f"{traceback.format_exc()}", error=True)
        note = f"The checkpoint is published, but it could not be scored: {error}"
        run.say(f"note: {note}")
        run.beat(note=note)
        return replace(unscored, problems=[note])
    return replace(
        scored,
        step=unscored.step,
        total=unscored.total,
        stopped=unscored.stopped,
        held_out_score=unscored.held_out_score,
    )
