"""The Train tab: settings, a live view of the run, the history, and what can be done with a run.

The page keeps nothing but which run is looked at: all it shows is read from `runs/`, so that it is the same
after a reload, on a second page, and after the app was killed and started again.
"""
import dataclasses
from typing import Any

import gradio as gr

from demos import page, run_views
from demos.model_slot import ModelSlot, SwapError
from training import checkpoint, job, recipe
from training.checkpoint import CheckpointError, runs_dir, slot_of
from training.recipe import Recipe, SettingsError
from training.run import ENDED, Run


# -- actions: what the page and the endpoints share ------------------------------------------------------
class Actions:
    """What can be done with runs; refuses in a sentence where training is off."""

    def __init__(self, slots: dict[str, ModelSlot], training: bool):
        self.slots, self.training = slots, training

    def find(self, run_id: str) -> Run:
        run = Run.find(runs_dir(), run_id or "")
        if run is None:
            raise gr.Error(f"There is no run {run_id!r}. It may have been deleted." if run_id else
                           "Choose a run in the history first.")
        return run

    def start(self, recipe_name: str, settings: dict[str, Any]) -> str:
        page.refuse_unless(self.training)
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
        return {"state": run.state, "step": status.get("step", 0), "total": status.get("total", 0),
                "metrics": run.metrics, "reason": status.get("reason", ""), "swap": run.swap}

    def delete(self, run_id: str) -> None:
        page.refuse_unless(self.training)
        run = self.find(run_id)
        if run.state not in ENDED:
            raise gr.Error(f"{run_id} is {run.state}: stop it before you delete it.")
        for slot in self.slots.values():
            if slot.active_id == run_id:
                raise gr.Error(f"This checkpoint is the one that answers in {slot.name}. Roll back, then delete it.")
        run.delete()

    def slot(self, name: str) -> ModelSlot:
        if name not in self.slots:
            raise gr.Error(f"There is no slot {name!r}. The slots are: {', '.join(self.slots)}.")
        return self.slots[name]

    def checkpoints(self, slot: str) -> list[dict[str, Any]]:
        held = self.slot(slot)
        return [{"id": c.id, "name": c.name, "active": c.id == held.active_id}
                for c in checkpoint.listing(runs_dir(), slot)]

    def swap(self, slot: str, checkpoint_id: str) -> dict[str, Any]:
        """{active, name}, and `error` where the checkpoint was refused and the old one stays."""
        page.refuse_unless(self.training)
        held = self.slot(slot)
        try:
            taken = held.swap(held.find(checkpoint_id).id)
            return {"active": taken.id, "name": taken.name}
        except SwapError as error:
            return {"active": held.active_id, "error": str(error)}

    def use(self, run_id: str) -> str:
        """Swaps a run's checkpoint into its slot; returns the slot."""
        try:
            slot = slot_of(self.find(run_id))
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


# -- the form: made from the config's fields -------------------------------------------------------------
def _field(f: dataclasses.Field, local: set[str]) -> gr.components.Component:
    meta = f.metadata
    common = dict(label=meta["label"] or f.name.replace("_", " ").capitalize(), info=meta["help"], interactive=True,
                  elem_id=f"set-{f.name}")
    if f.name == "start":
        return gr.Dropdown([f.default], value=f.default, **common)
    if meta["choices"]:
        offered = [c for c in meta["choices"] if c not in local]  # a choice of a path is the command line's
        return gr.Dropdown(offered, value=f.default, **common)
    if f.type in (int, float):
        return gr.Number(f.default, precision=0 if f.type is int else None, minimum=meta["low"], maximum=meta["high"],
                         step=1 if f.type is int else 0.0001, **common)
    return gr.Textbox(f.default, max_lines=1, **common)


def _form(made: Recipe) -> dict[str, gr.components.Component]:
    fields = [f for f in dataclasses.fields(made.config) if not f.metadata["local"]]
    local = {f.name for f in dataclasses.fields(made.config) if f.metadata["local"]}
    inputs = {f.name: _field(f, local) for f in fields if not f.metadata["rare"]}
    with gr.Accordion("More settings", open=False, elem_id=f"more-{made.name}"):
        inputs |= {f.name: _field(f, local) for f in fields if f.metadata["rare"]}
    return inputs


def starts(made: Recipe) -> list[tuple[str, str]]:
    """Every checkpoint that a run of this recipe can start from."""
    offered = [("embedded (its own)", "embedded")]
    for slot in made.slots:
        for found in checkpoint.listing(runs_dir(), slot):
            name = f"embedded {slot}" if found.id == f"embedded-{slot}" else found.name
            offered += [(name, found.id)]
    return offered + [("scratch: random weights", "scratch")]


# -- the tab ---------------------------------------------------------------------------------------------
HOW_TO = """### Training is off here
This is a shared demo. To fine-tune from the page, **duplicate this Space** (⋮ menu → *Duplicate this Space*), make the
copy private, and set the variable `TRAINING=on` in its settings; choose a GPU there if you like. Or run it on your
own machine: `pip install -r requirements.txt && python app.py`."""
BUTTONS = ("stop", "go_on", "use", "delete")


def build(actions: Actions, demos: list[Any]) -> tuple[gr.Dropdown, Any, list[Any], Any]:
    """Lays the tab out. Returns the recipe chooser, what the clock calls, with its inputs and outputs."""
    selected, seen = gr.State(None), gr.State("")
    if not actions.training:
        gr.Markdown(HOW_TO)
    forms = {}
    with gr.Row():
        with gr.Column(scale=2, min_width=300, visible=actions.training):
            titles = [(demo.TITLE, demo.RECIPE) for demo in demos]
            chooser = gr.Dropdown(titles, value=titles[0][1], label="Recipe", interactive=True, elem_id="recipe")
            for demo in demos:
                with gr.Column(visible=demo is demos[0]) as group:
                    forms[demo.RECIPE] = (group, _form(recipe.load(demo.RECIPE)))
            start = gr.Button("Start", variant="primary", elem_id="start")
        with gr.Column(scale=3, min_width=300):
            view = _live_view(actions.training)
    gr.Markdown("### History")
    table = gr.Dataframe(headers=run_views.COLUMNS, interactive=False, wrap=True, elem_id="history", max_height=320,
                         show_label=False)
    report = gr.HTML(elem_id="report")
    _wire_form(actions, chooser, forms, start, selected)
    buttons = [view[name] for name in BUTTONS]
    _wire_buttons(actions, view, selected)
    table.select(_chosen, None, selected, api_visibility="private", show_progress="hidden")
    outputs = [seen, view["status"], view["loss"], view["score"], view["log"], view["queue"], table, report, *buttons,
               *(inputs["start"] for _, inputs in forms.values())]

    def refresh(selected: str | None, seen: str) -> list[Any]:
        return _refresh(selected, seen, list(forms), actions.training)

    return chooser, refresh, [selected, seen], outputs


def _chosen(event: gr.SelectData) -> str:
    return event.row_value[-1]


def _live_view(training: bool) -> dict[str, Any]:
    view: dict[str, Any] = {"status": gr.HTML(elem_id="status")}
    with gr.Row():
        for name, text in zip(BUTTONS, ("Stop", "Continue", "Use this checkpoint", "Delete"), strict=True):
            view[name] = gr.Button(text, size="sm", visible=training, interactive=False, min_width=80, elem_id=name,
                                   variant="stop" if name == "stop" else "secondary")
    with gr.Row():
        view["loss"] = gr.LinePlot(x="step", y="loss", title="Loss", height=200, elem_id="loss", min_width=220)
        view["score"] = gr.LinePlot(x="epoch", y="score", title="Score on held-out pictures, %", height=200,
                                    elem_id="score", min_width=220)
    view["queue"] = gr.HTML(elem_id="queue")
    with gr.Accordion("Last lines of the log", open=False):
        view["log"] = gr.Textbox(show_label=False, lines=8, max_lines=8, interactive=False, elem_id="log",
                                 autoscroll=True)
    return view


def _wire_form(actions: Actions, chooser: gr.Dropdown, forms: dict[str, Any], start: gr.Button,
               selected: gr.State) -> None:
    groups = [group for group, _ in forms.values()]
    chooser.change(lambda name: [gr.update(visible=name == n) for n in forms], chooser, groups,
                   api_visibility="private", show_progress="hidden")
    every = [(name, field, component) for name, (_, inputs) in forms.items() for field, component in inputs.items()]

    def begin(name: str, *values: Any) -> str:
        settings = {field: value for (owner, field, _), value in zip(every, values, strict=True) if owner == name}
        return actions.start(name, settings)

    start.click(begin, [chooser, *(component for _, _, component in every)], selected, api_visibility="private")


def _wire_buttons(actions: Actions, view: dict[str, Any], selected: gr.State) -> None:
    def shown(run_id: str | None) -> str:
        """The run that the page shows, also where nobody chose one."""
        run = run_views.current(run_views.listed(runs_dir()), run_id)
        if run is None:
            raise gr.Error("There is no run yet.")
        return run.id

    def use(run_id: str | None) -> str:
        run_id = shown(run_id)
        gr.Info(f"It answers now in {actions.use(run_id)}.")
        return run_id

    def stop(run_id: str | None) -> str:
        actions.stop(shown(run_id))
        return shown(run_id)

    def go_on(run_id: str | None) -> str:
        origin = shown(run_id)
        return actions.start(actions.find(origin).recipe, {"continue": origin})

    def delete(run_id: str | None) -> None:
        actions.delete(shown(run_id))

    for name, act in (("stop", stop), ("go_on", go_on), ("use", use), ("delete", delete)):
        view[name].click(act, selected, selected, api_visibility="private", show_progress="hidden")


def _refresh(selected: str | None, seen: str, names: list[str], training: bool) -> list[Any]:
    """One tick. What did not change is skipped, so that nothing flickers and an idle page costs little."""
    runs = run_views.listed(runs_dir())
    run = run_views.current(runs, selected)
    events = (run.path / "events.jsonl") if run else None
    length = events.stat().st_size if events is not None and events.exists() else 0
    listing = run_views.signature(runs)
    now = f"{run.id if run else ''}|{length}|{listing}"
    if now == seen and (run is None or run.state in ENDED):
        return [gr.skip()] * (8 + len(BUTTONS) + len(names))
    changed = not seen.endswith(listing) or seen.split("|")[0] != (run.id if run else "")
    loss, score = run_views.curves(run) if now != seen else (gr.skip(), gr.skip())
    can = run_views.can(run)
    return [now, run_views.status(run), loss, score, run.log_tail() if run else "", run_views.queue(
                job.queue(runs_dir()) if runs else []),
            run_views.history(runs) if changed else gr.skip(), run_views.report(run) if changed else gr.skip(),
            *(gr.update(interactive=can[name] and training) for name in BUTTONS),
            *(gr.update(choices=starts(recipe.load(name))) if changed else gr.skip() for name in names)]
