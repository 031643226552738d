"""What can be done with runs and checkpoints, by a person on the page or by a program through the
API.

Every refusal is a gr.Error with a sentence; whatever changes something for everybody asks first
whether training is on.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.events import api

from demos import page
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, Predictor, SwapError
from training import recipe
from training.data.own import data_set, use
from training.estimate import Estimate, ask_aside
from training.recipe import SettingsError
from training.runs import about, aside, checkpoint, job
from training.runs.aside import put_aside
from training.runs.checkpoint import CheckpointError
from training.runs.index import Entry, open_index
from training.runs.run import OVER, Run, lock
from training.wording import quote

KEPT = 32  # estimates
SAME = ("epochs", "name", "swap", "seed", "early_stopping")  # of which no pass takes another time


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """`what` could not be done, in a sentence, where the disk or the settings are the reason."""
    try:
        yield
    except SettingsError as error:
        raise gr.Error(str(error)) from error
    except OSError as error:
        raise gr.Error(f"{what} {job.explain(error)}") from error


class Actions:
    """What can be done with runs; refuses in a sentence where training is off."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._estimates: dict[str, Estimate] = {}  # by what was asked

    def find(self, run_id: str) -> Run:
        run = Run.find(self.lab.runs, str(run_id or ""))
        if run is None:
            raise gr.Error(
                f"There is no run {quote(run_id)}. It may have been deleted."
                if run_id
                else "Choose a run in the history first."
            )
        return run

    def start(self, recipe_name: str, settings: Mapping[str, object]) -> str:
        page.refuse_unless(self.lab.training)
        if not isinstance(settings, dict):
            raise gr.Error('The settings must be a JSON object, such as {"epochs": 2}.')
        settings = dict(settings)
        try:
            if origin := settings.pop("continue", None):
                run = use.continue_run(self.lab.runs, str(origin), settings, local=False)
            else:
                run = use.create_run(self.lab.runs, recipe_name, settings, local=False)
            job.pump(self.lab.runs)
        except SettingsError as error:
            raise gr.Error(str(error)) from error
        except OSError as error:
            raise gr.Error(f"The run could not be started. {job.explain(error)}") from error
        return run.id

    def estimate(self, recipe_name: str, settings: Mapping[str, object]) -> Estimate:
        """About how long a run on own data or the sample would take; measured once for the same
        data, however many epochs."""
        page.refuse_unless(self.lab.training)
        if not isinstance(settings, dict):
            raise gr.Error('The settings must be a JSON object, such as {"epochs": 2}.')
        try:
            config = recipe.parse(recipe.load(recipe_name).config, settings, local=False)
            revision = ""
            if getattr(config, "source", "") == "own":
                named = data_set.find(self.lab.runs, getattr(config, "dataset", ""))
                revision = named.revision
            epochs = getattr(config, "epochs", 0)
            asked = {name: value for name, value in settings.items() if name not in SAME}
            key = repr((recipe_name, sorted(asked.items()), revision))
            if key not in self._estimates:
                while len(self._estimates) >= KEPT:
                    self._estimates.pop(next(iter(self._estimates)), None)
                self._estimates[key] = ask_aside(recipe_name, settings, self.lab.runs)
            return self._estimates[key].with_epochs(epochs)
        except SettingsError as error:
            raise gr.Error(str(error)) from error

    def stop(self, run_id: str) -> dict[str, str]:
        page.refuse_unless(self.lab.training)
        return {"state": job.stop(self.find(run_id))}

    def status(self, run_id: str) -> dict[str, object]:
        run = self.find(run_id)
        status = run.status
        return {
            "state": run.state,
            "step": status.get("step", 0),
            "total": status.get("total", 0),
            "metrics": run.metrics,
            "reason": status.get("reason", ""),
            "swap": run.swap,
        }

    def delete(self, run_id: str) -> bool:
        """Whether it can be brought back for a while: not where the disk was full."""
        page.refuse_unless(self.lab.training)
        run = self.find(run_id)
        with lock(self.lab.runs), _explained(f"{run_id} could not be deleted."):
            if run.state not in OVER:
                raise gr.Error(f"{run_id} is {run.state}: stop it before you delete it.")
            for slot in self.lab.slots.values():
                # On disk too: another app on the same runs may have chosen it a moment ago.
                if run_id in (slot.active_id, *checkpoint.active(self.lab.runs, slot.name)[-1:]):
                    raise gr.Error(f"{slot.title} uses this model now. Roll back, then delete it.")
            if user := self._find_user(run_id):
                raise gr.Error(
                    f"{user.title} is {user.state} and starts from this model, or learns from it: "
                    "stop it, or wait until it has ended."
                )
            return put_aside(run)

    def _find_user(self, run_id: str) -> Entry | None:
        """A run at work that names this one in its settings."""
        found = open_index(self.lab.runs)
        for entry in found.at_work():
            for value in found.open(entry).config.values():
                if run_id in map(str.strip, str(value).split(",")):
                    return entry
        return None

    def bring_back(self, run_id: str) -> str:
        """Takes a deletion back; returns the run's id."""
        page.refuse_unless(self.lab.training)
        with _explained("The run could not be brought back."):
            return aside.bring_back(self.lab.runs, str(run_id)).id

    def free(self) -> None:
        """Removes for good what was deleted."""
        page.refuse_unless(self.lab.training)
        with _explained("What was deleted could not be removed."):
            aside.sweep(self.lab.runs, kept=0.0)

    def rename(self, run_id: str, name: object, notes: object = None) -> dict[str, str]:
        """Gives a run a name, or takes it away, and notes; None leaves the notes as they are.
        Returns {id, name, title, notes}."""
        page.refuse_unless(self.lab.training)
        run = self.find(run_id)
        with lock(self.lab.runs), _explained("The name could not be kept."):
            kept = run.about.get("notes", "") if notes is None else about.check_notes(notes)
            run.set_about(about.check_name(name), kept)
        title = checkpoint.of_run(run).title
        return {"id": run.id, "name": run.about.get("name", ""), "title": title, "notes": kept}

    def slot(self, name: str) -> ModelSlot[Predictor]:
        slots = self.lab.slots
        if str(name) not in slots:
            raise gr.Error(f"There is no slot {quote(name)}. The slots are: {', '.join(slots)}.")
        return slots[name]

    def checkpoints(self, slot: str) -> list[dict[str, str | bool]]:
        found = self.slot(slot)
        active_id = found.active_id
        return [
            {"id": each.id, "name": each.name, "active": each.id == active_id}
            for each in found.list_checkpoints()
        ]

    def swap(self, slot: str, checkpoint_id: str) -> dict[str, str]:
        """{active, name}, and `error` where the checkpoint was refused and the old one stays."""
        page.refuse_unless(self.lab.training)
        found = self.slot(slot)
        try:
            held = found.swap(found.find(str(checkpoint_id or "")).id)
            return {"active": held.id, "name": held.name}
        except SwapError as error:
            return {"active": found.active_id, "error": str(error)}

    def roll_back(self, slot: str) -> str:
        """Returns the title of the checkpoint that is used again."""
        page.refuse_unless(self.lab.training)
        try:
            return self.slot(slot).roll_back().checkpoint.title
        except SwapError as error:
            raise gr.Error(str(error)) from error

    def use(self, run_id: str) -> str:
        """Swaps a run's checkpoint into its slot; returns the slot."""
        try:
            slot = self.find(run_id).slot
        except (SettingsError, CheckpointError) as error:
            raise gr.Error(str(error)) from error
        outcome = self.swap(slot, run_id)
        if "error" in outcome:
            raise gr.Error(outcome["error"])
        return slot


def endpoints(actions: Actions) -> None:
    """The API: names and first outputs are a promise. Their types are what Gradio makes of JSON."""

    def start_run(recipe: str, settings: dict[str, Any]) -> str:
        """Starts a fine-tune and returns its run id; settings {"continue": id} continues a run."""
        return actions.start(recipe, settings)

    def run_status(run_id: str) -> dict[str, Any]:
        """State, step, total, metrics, reason."""
        return actions.status(run_id)

    def estimate_run(recipe: str, settings: dict[str, Any]) -> dict[str, Any]:
        """About how long a run on own data would take, and how much memory: seconds, bytes,
        examples."""
        return asdict(actions.estimate(recipe, settings))

    def stop_run(run_id: str) -> dict[str, Any]:
        """Asks a run to stop at its next step, or takes it out of the queue."""
        return actions.stop(run_id)

    def list_checkpoints(slot: str) -> list[dict[str, Any]]:
        """The checkpoints that a slot can hold, and which of them is in use."""
        return actions.checkpoints(slot)

    def swap(slot: str, checkpoint: str) -> dict[str, Any]:
        """Makes a checkpoint the one that is used."""
        return actions.swap(slot, checkpoint)

    def rename_run(run_id: str, name: str, notes: str | None = None) -> dict[str, Any]:
        """Names a run (empty: as its settings describe it); its notes too where they are given."""
        return actions.rename(run_id, name, notes)

    for endpoint in (
        start_run,
        estimate_run,
        run_status,
        stop_run,
        list_checkpoints,
        swap,
        rename_run,
    ):
        api(endpoint, api_name=endpoint.__name__)
