"""What can be done with runs and checkpoints, by a person on the page or by a program through the
API.

Every refusal is a gr.Error with a sentence; whatever changes something for everybody asks first
whether training is on.
"""

from typing import Any

import gradio as gr

from demos import page
from demos.serving.model_slot import ModelSlot, SwapError
from training.recipe import SettingsError
from training.runs import checkpoint, job
from training.runs.checkpoint import CheckpointError, runs_dir
from training.runs.run import ENDED, Run, lock


class Actions:
    """What can be done with runs; refuses in a sentence where training is off."""

    def __init__(self, slots: dict[str, ModelSlot], training: bool):
        self.slots = slots
        self.training = training

    def find(self, run_id: str) -> Run:
        run = Run.find(runs_dir(), str(run_id or ""))
        if run is None:
            raise gr.Error(
                f"There is no run {run_id!r}. It may have been deleted."
                if run_id
                else "Choose a run in the history first."
            )
        return run

    def start(self, recipe_name: str, settings: dict[str, Any]) -> str:
        page.refuse_unless(self.training)
        if not isinstance(settings, dict):
            raise gr.Error('The settings must be a JSON object, such as {"epochs": 2}.')
        settings = dict(settings)
        try:
            if origin := settings.pop("continue", None):
                run = job.continued(runs_dir(), str(origin), settings, local=False)
            else:
                run = job.create(runs_dir(), recipe_name, settings, local=False)
        except SettingsError as error:
            raise gr.Error(str(error)) from error
        job.pump(runs_dir())
        return run.id

    def stop(self, run_id: str) -> dict[str, str]:
        page.refuse_unless(self.training)
        return {"state": job.stop(self.find(run_id))}

    def status(self, run_id: str) -> dict[str, Any]:
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

    def delete(self, run_id: str) -> None:
        page.refuse_unless(self.training)
        run = self.find(run_id)
        with lock(runs_dir()):
            if run.state not in ENDED:
                raise gr.Error(f"{run_id} is {run.state}: stop it before you delete it.")
            for slot in self.slots.values():
                if slot.active_id == run_id:
                    raise gr.Error(
                        f"This checkpoint answers in {slot.name} now. Roll back, then delete it."
                    )
            run.delete()

    def slot(self, name: str) -> ModelSlot:
        if str(name) not in self.slots:
            raise gr.Error(f"There is no slot {name!r}. The slots are: {', '.join(self.slots)}.")
        return self.slots[name]

    def checkpoints(self, slot: str) -> list[dict[str, Any]]:
        held = self.slot(slot)
        return [
            {"id": c.id, "name": c.name, "active": c.id == held.active_id}
            for c in checkpoint.listing(runs_dir(), slot)
        ]

    def swap(self, slot: str, checkpoint_id: str) -> dict[str, Any]:
        """{active, name}, and `error` where the checkpoint was refused and the old one stays."""
        page.refuse_unless(self.training)
        held = self.slot(slot)
        try:
            taken = held.swap(held.find(str(checkpoint_id or "")).id)
            return {"active": taken.id, "name": taken.name}
        except SwapError as error:
            return {"active": held.active_id, "error": str(error)}

    def roll_back(self, slot: str) -> str:
        """Returns the name of the checkpoint that answers again."""
        page.refuse_unless(self.training)
        try:
            return self.slot(slot).roll_back().name
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
    """The API: names and first outputs are a promise."""

    def start_run(recipe: str, settings: dict[str, Any]) -> str:
        """Starts a fine-tune and returns its run id; settings {"continue": id} continues a run."""
        return actions.start(recipe, settings)

    def run_status(run_id: str) -> dict[str, Any]:
        """State, step, total, metrics, reason."""
        return actions.status(run_id)

    def stop_run(run_id: str) -> dict[str, Any]:
        """Asks a run to stop at its next step, or takes it out of the queue."""
        return actions.stop(run_id)

    def list_checkpoints(slot: str) -> list[dict[str, Any]]:
        """The checkpoints that a slot can hold."""
        return actions.checkpoints(slot)

    def swap(slot: str, checkpoint: str) -> dict[str, Any]:
        """Makes a checkpoint the one that answers."""
        return actions.swap(slot, checkpoint)

    for endpoint in (start_run, run_status, stop_run, list_checkpoints, swap):
        gr.api(endpoint, api_name=endpoint.__name__)
