"""The Train tab: settings, a live view of the run, the history, and what can be done with a run.

The page keeps nothing but which run is looked at: all it shows is read from `runs/`, so that it is
the same after a reload, on a second page, and after the app was killed and started again.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import gradio as gr

from demos import run_views
from demos.actions import Actions
from demos.clock import Moment, Part
from training import recipe
from training.recipe import Recipe
from training.runs import checkpoint, job
from training.runs.run import ENDED


# -- the form: made from the config's fields -------------------------------------------------------
def _field(f: dataclasses.Field, local: set[str], recipe_name: str) -> gr.components.Component:
    meta = f.metadata
    common = dict(
        label=meta["label"] or f.name.replace("_", " ").capitalize(),
        info=meta["help"],
        interactive=True,
        elem_id=f"set-{recipe_name}-{f.name}",
        min_width=180,
    )
    if meta["offers"] is not None:  # checkpoints come and go: the page's clock fills these in
        many = meta["many"]
        return gr.Dropdown(
            [] if many else [f.default],
            value=[] if many else f.default,
            multiselect=many,
            allow_custom_value=True,
            **common,
        )
    if meta["choices"]:
        offered = [
            c for c in meta["choices"] if c not in local
        ]  # a choice of a path is the command line's
        return gr.Dropdown(offered, value=f.default, **common)
    if f.type in (int, float):
        return gr.Number(
            f.default,
            precision=0 if f.type is int else None,
            minimum=meta["low"],
            maximum=meta["high"],
            step=1 if f.type is int else 0.0001,
            **common,
        )
    return gr.Textbox(f.default, max_lines=1, **common)


def _form(made: Recipe) -> dict[str, gr.components.Component]:
    fields = [f for f in dataclasses.fields(made.config) if not f.metadata["local"]]
    local = {f.name for f in dataclasses.fields(made.config) if f.metadata["local"]}
    inputs = {}
    with gr.Row():  # two a row where there is room for two
        for f in (f for f in fields if not f.metadata["rare"]):
            inputs[f.name] = _field(f, local, made.name)
    with gr.Accordion("More settings", open=False, elem_id=f"more-{made.name}"), gr.Row():
        for f in (f for f in fields if f.metadata["rare"]):
            inputs[f.name] = _field(f, local, made.name)
    return inputs


def _naming(made: Recipe) -> list[dataclasses.Field]:
    """The settings that name checkpoints."""
    return [f for f in dataclasses.fields(made.config) if f.metadata["offers"] is not None]


def _proposed(made: Recipe, runs: Path) -> list[dict[str, Any]]:
    """For each setting that names checkpoints, every one that a run of this recipe can start from
    or be taught by."""
    found = []
    for slot in made.slots:
        for one in checkpoint.listing(runs, slot):
            embedded = one.id == f"embedded-{slot}"
            own = embedded and slot == made.slots[0]  # what `embedded` alone means
            found.append(
                (f"embedded {slot}" if embedded else one.name, "embedded" if own else one.id)
            )
    return [gr.update(choices=[*found, *f.metadata["offers"]]) for f in _naming(made)]


# -- the tab ---------------------------------------------------------------------------------------
HOW_TO = """### Training is off here
This is a shared demo. To fine-tune from the page, **duplicate this Space** (⋮ menu → *Duplicate
this Space*), make the copy private, and set the variable `TRAINING=on` in its settings; choose a
GPU there if you like. Or run it on your own machine:
`pip install -r requirements.txt && python app.py`."""
BUTTONS = {
    "stop": "Stop",
    "go_on": "Continue",
    "use": "Use this checkpoint",
    "back": "Roll back",
    "delete": "Delete",
}


def build(
    actions: Actions, demos: list[Any], tabs: gr.Tabs, selected: gr.Textbox
) -> tuple[gr.Dropdown, list[Part]]:
    """Lays the tab out; `selected` holds the id of the run that is looked at. Returns the recipe
    chooser, and what changes by itself."""
    if not actions.lab.training:
        gr.Markdown(HOW_TO)
    forms = {}
    with gr.Row():
        with gr.Column(scale=2, min_width=300, visible=actions.lab.training):
            titles = [(demo.TITLE, demo.RECIPE) for demo in demos]
            chooser = gr.Dropdown(
                titles, value=titles[0][1], label="Recipe", interactive=True, elem_id="recipe"
            )
            for demo in demos:
                with gr.Column(visible=demo is demos[0]) as group:
                    forms[demo.RECIPE] = (group, _form(recipe.load(demo.RECIPE)))
            start = gr.Button("Start", variant="primary", elem_id="start")
        with gr.Column(scale=3, min_width=300):
            view = _live_view(actions.lab.training)
    gr.Markdown("### History")
    table = gr.Dataframe(
        headers=run_views.COLUMNS,
        interactive=False,
        wrap=True,
        elem_id="history",
        max_height=320,
        show_label=False,
        column_widths=[200, 90, 80, 80, 100, 90, 120, 350],
    )
    report = gr.HTML(elem_id="report")
    _wire_form(actions, chooser, forms, start, selected)
    buttons = [view[name] for name in BUTTONS]
    _wire_buttons(actions, view, selected, tabs)
    table.select(_chosen, None, selected, api_visibility="private", show_progress="hidden")
    proposing = [
        inputs[f.name] for name, (_, inputs) in forms.items() for f in _naming(recipe.load(name))
    ]
    return chooser, [
        Part(
            _progress_sign, _progress, [view[name] for name in ("status", "loss", "score", "log")]
        ),
        Part(
            lambda moment: _standing_sign(moment, actions),
            lambda moment: _standing(moment, list(forms), actions),
            [view["queue"], table, report, *buttons, *proposing],
        ),
    ]


def _chosen(event: gr.SelectData) -> str:
    return event.row_value[-1]


def _live_view(training: bool) -> dict[str, Any]:
    view: dict[str, Any] = {"status": gr.HTML(elem_id="status")}
    with gr.Row():
        for name, text in BUTTONS.items():
            view[name] = gr.Button(
                text,
                size="sm",
                visible=training,
                interactive=False,
                min_width=80,
                elem_id=name,
                variant="stop" if name == "stop" else "secondary",
            )
    with gr.Row():
        view["loss"] = gr.LinePlot(
            x="step",
            y="loss",
            title="Loss",
            height=200,
            elem_id="loss",
            min_width=220,
            visible=False,
        )
        view["score"] = gr.LinePlot(
            x="step",
            y="score",
            title="Held-out score, %",
            height=200,
            elem_id="score",
            min_width=220,
            visible=False,
        )
    view["queue"] = gr.HTML(elem_id="queue")
    with gr.Accordion("Last lines of the log", open=False):
        view["log"] = gr.Textbox(
            show_label=False,
            lines=8,
            max_lines=8,
            interactive=False,
            elem_id="log",
            autoscroll=True,
        )
    return view


def _wire_form(
    actions: Actions,
    chooser: gr.Dropdown,
    forms: dict[str, Any],
    start: gr.Button,
    selected: gr.State,
) -> None:
    groups = [group for group, _ in forms.values()]
    chooser.change(
        lambda name: [gr.update(visible=name == n) for n in forms],
        chooser,
        groups,
        api_visibility="private",
        show_progress="hidden",
    )
    for name, (_, inputs) in forms.items():
        _hide_unused(recipe.load(name), inputs)
    every = [
        (name, field, component)
        for name, (_, inputs) in forms.items()
        for field, component in inputs.items()
    ]

    def begin(name: str, *values: Any) -> str:
        settings = {
            field: ",".join(value) if isinstance(value, list) else value
            for (owner, field, _), value in zip(every, values, strict=True)
            if owner == name
        }
        return actions.start(name, settings)

    start.click(
        begin,
        [chooser, *(component for _, _, component in every)],
        selected,
        api_visibility="private",
    )


MASTERS = ("source", "method")  # settings that make others do nothing


def _hide_unused(made: Recipe, inputs: dict[str, gr.components.Component]) -> None:
    """Shows only the settings that count with the source and the method that are chosen."""
    masters = [name for name in MASTERS if name in inputs]
    if not hasattr(made.config, "unused"):
        return
    choices = [[c[1] for c in inputs[m].choices] for m in masters]
    every = {
        name
        for chosen in itertools.product(*choices)
        for name in made.config(**dict(zip(masters, chosen, strict=True))).unused()
    }
    hideable = [name for name in inputs if name in every]
    for name in made.config().unused() & set(hideable):
        inputs[name].visible = False

    def show(*chosen: str) -> list[Any]:
        unused = made.config(**dict(zip(masters, chosen, strict=True))).unused()
        return [gr.update(visible=name not in unused) for name in hideable]

    gr.on(
        [inputs[m].change for m in masters],
        show,
        [inputs[m] for m in masters],
        [inputs[n] for n in hideable],
        api_visibility="private",
        show_progress="hidden",
    )


def _wire_buttons(
    actions: Actions, view: dict[str, Any], selected: gr.State, tabs: gr.Tabs
) -> None:
    def shown(run_id: str | None) -> str:
        """The run that the page shows, also where nobody chose one."""
        run = run_views.current(run_views.listed(actions.lab.runs), run_id)
        if run is None:
            raise gr.Error("There is no run yet.")
        return run.id

    def use(run_id: str | None) -> str:
        run_id = shown(run_id)
        slot = actions.slot(actions.use(run_id))
        gr.Info(f"{slot.title} now uses this model.")
        return run_id

    def stop(run_id: str | None) -> str:
        actions.stop(shown(run_id))
        return shown(run_id)

    def go_on(run_id: str | None) -> str:
        origin = shown(run_id)
        return actions.start(actions.find(origin).recipe, {"continue": origin})

    def back(run_id: str | None) -> str:
        slot = actions.slot(actions.find(shown(run_id)).slot)
        gr.Info(f"{slot.title} uses {actions.roll_back(slot.name)} again.")
        return shown(run_id)

    def delete(run_id: str | None) -> None:
        actions.delete(shown(run_id))

    clicked = {
        name: view[name].click(
            act, selected, selected, api_visibility="private", show_progress="hidden"
        )
        for name, act in dict(stop=stop, go_on=go_on, use=use, back=back, delete=delete).items()
    }
    clicked["use"].success(
        lambda run_id: gr.Tabs(selected=actions.find(run_id).recipe),
        selected,
        tabs,
        api_visibility="private",
        show_progress="hidden",
    )


def _progress_sign(moment: Moment) -> str:
    """Changes with the run that is shown, as long as it is at work."""
    if (run := moment.run) is None:
        return "no run"
    files = [run.path / "status.json", run.path / "events.jsonl", run.log_file]
    return repr(
        (run.id, run.state, run.escalation, [f.stat().st_mtime_ns for f in files if f.exists()])
    )


def _progress(moment: Moment) -> list[Any]:
    loss, score = run_views.curves(run := moment.run)
    at_work = (
        run is not None and run.state not in ENDED
    )  # a plot without a line stays where one will come
    return [
        run_views.status(run),
        gr.LinePlot(value=loss, visible=at_work or len(loss) > 0),
        gr.LinePlot(
            value=score, title=run_views.score_title(run), visible=at_work or len(score) > 0
        ),
        run.log_tail() if run else "",
    ]


def _standing_sign(moment: Moment, actions: Actions) -> str:
    """Changes with the run that is chosen, the history and the slots."""
    active = [slot.active_id for slot in actions.lab.slots.values()]
    return repr([moment.run and moment.run.id, moment.signature, active])


def _standing(moment: Moment, names: list[str], actions: Actions) -> list[Any]:
    runs = moment.runs
    run = moment.run
    slot = actions.lab.slots.get(run.slot) if run else None
    can = run_views.can(run) | {"back": slot is not None and slot.previous is not None}
    return [
        run_views.queue(job.queue(actions.lab.runs) if runs else []),
        run_views.history(runs),
        run_views.report(run),
        *(gr.update(interactive=can[name] and actions.lab.training) for name in BUTTONS),
        *(update for name in names for update in _proposed(recipe.load(name), actions.lab.runs)),
    ]
