"""What happens to a run when it ends: the gate decides whether its checkpoint is swapped in.

One thread of the app looks once a second: it starts what is queued, lands what has ended, and
removes what was deleted a while ago.
Everything it acts on is on disk, so it makes no difference whether the app was up when the run
ended.
"""

import logging
import threading

from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, SwapError
from training.judge.records import Report, ReportError, Score
from training.judge.report import read_report
from training.recipe import SettingsError
from training.runs import aside, checkpoint, job
from training.runs.checkpoint import CheckpointError
from training.runs.index import open_index
from training.runs.run import Run, lock
from training.settings import OWN

EVERY = 1.0
log = logging.getLogger(__name__)


def decide(run: Run, active_id: str) -> tuple[str, str]:
    """(`swap` | `kept` | `offered`, why), from the run's setting and the scores that its job
    measured."""
    wish = run.config.get("swap", "better")
    if wish == "never":
        return "offered", "“Use the new model” was set to “never”"
    if not active_id:
        return "swap", "there was no model here yet"
    if wish == "always":
        return "swap", "“Use the new model” was set to “always”"
    try:
        report = read_report(run)
    except ReportError as error:
        return "offered", f"its report is damaged ({error})"
    if report is None or report.after is None or report.active is None:
        done = run.status["state"] == "done"
        why = "it could not be scored" if done else "it was stopped before it was scored"
        return "offered", why
    gate = report.active
    if gate.id != active_id:
        return "offered", f"it was compared with {gate.id}, which is no longer in use"
    metric = report.metric
    new = report.after
    if not gate.comparable:
        return _decide_other_classes(run, report, new)
    if gate.score is None:
        return "offered", "the model in use could not be scored"
    what = f"{metric.text(new.value)} against {metric.text(gate.score)} on {report.held_out}"
    verdict = gate.judge(new)
    if verdict == "tie":
        return "offered", f"a tie: {what}, which may be chance"
    if verdict != "better":
        return "kept", f"not better: {what}"
    if _is_less_real(run, active_id):
        return "offered", (
            f"better ({what}), but it learned from synthetic examples and the model in use from "
            "real ones: try it, and use it if you like its answers"
        )
    return "swap", f"better: {what}"


def _decide_other_classes(run: Run, report: Report, new: Score) -> tuple[str, str]:
    """What a person has taught their own classes is what they came for, where it learned them."""
    if run.config.get("source") in OWN and report.base is not None:
        what = f"{new.with_interval()} on {report.held_out}, where {report.base.rule} scores "
        what += report.metric.text(report.base.value)
        if new.interval[0] > report.base.value:
            return "swap", f"it learned your own classes: {what}"
        return "offered", f"it may not have learned your classes: {what}"
    return "offered", "the model in use predicts something else, so they cannot be compared"


def _is_less_real(run: Run, active_id: str) -> bool:
    """Whether a run learned from what code drew or spoke, and what is in use from real data. A
    score on such examples says little of real ones, so it replaces nothing by itself."""
    try:
        if not checkpoint.is_synthetic(run.checkpoint):
            return False
        return not checkpoint.is_synthetic(checkpoint.find(run.path.parent, active_id).path)
    except CheckpointError:  # the swap itself says what is wrong with it
        return False


def land(run: Run, slot: ModelSlot) -> None:
    """Decides, swaps, and writes down what was done and why."""
    outcome, why = decide(run, slot.active_id)
    if outcome == "swap":
        try:
            slot.swap(run.id)
            outcome = "swapped"
        except SwapError as error:
            outcome = "refused"
            why = str(error)
    run.set_swap(outcome, why)


class Landing(threading.Thread):
    """Starts what is queued (where training is on) and lands what has ended, until the app ends."""

    def __init__(self, lab: Lab):
        super().__init__(name="landing", daemon=True)
        self.lab = lab
        self.told: set[str] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        last = ""
        while not self.ended.wait(EVERY):
            try:
                self.look()
                last = ""
            # whatever it is (a full disk, a run half deleted): the next look may succeed
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                if what != last:  # once, not once a second
                    log.exception("could not look after the runs this time")
                last = what

    def look(self) -> None:
        for slot in self.lab.slots.values():
            slot.follow()
        runs = self.lab.runs
        if not runs.exists():
            return
        if self.lab.training:
            job.pump(runs)
        else:
            with lock(runs):
                job.reconcile(runs)
        found = open_index(runs)
        for entry in found.pending():
            self._land(found.open(entry))
        aside.sweep(runs)  # last: what cannot be removed keeps nothing from landing

    def _land(self, run: Run) -> None:
        """Whatever is wrong with one run, those behind it still land."""
        try:
            slot = self.lab.slots.get(run.slot)
            if slot is None:
                run.set_swap("offered", f"this version has no place for {run.slot or 'it'}")
            else:
                land(run, slot)
        # made by another version
        except (SettingsError, KeyError) as error:
            run.set_swap(
                "offered", f"this version cannot read its settings or its scores ({error})"
            )
        # whatever it is (a full disk, a run half deleted): the next look may succeed
        except Exception as error:
            what = f"{run.id}: {type(error).__name__}: {error}"
            if what not in self.told:  # once, not once a second
                self.told.add(what)
                log.exception("could not decide what becomes of %s this time", run.id)

    def stop(self) -> None:
        self.ended.set()
        self.join()
