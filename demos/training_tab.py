"""The Train tab: settings, a live view of the run, the history, and what can be done with a run.

The page keeps nothing but which run is looked at: all it shows is read from `runs/`, so that it is
the same after a reload, on a second page, and after the app was killed and started again.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
from gradio.components import Component

from demos import hub_preview, own_tab, page, run_views, take_away
from demos.actions import Actions
from demos.clock import Moment, Part
from demos.form import list_hideable, list_naming, make_form, propose, read_form, show_used
from demos.mistakes import Mistakes
from demos.own_data import OwnData
from training import recipe
from training.data.own import data_set
from training.recipe import Recipe
from training.runs import job
from training.runs.index import open_index
from training.settings import FIND
from training.wording import counted

# A recipe's: what holds it, and its components by their settings.
Form = tuple[gr.Column, dict[str, Component]]


# -- the tab ---------------------------------------------------------------------------------------
def how_to_train(why_not: str, on_space: bool) -> str:
    """What the tab says in place of the form: why training is off, and how to get it."""
    if on_space:
        return f"""### {why_not}
To fine-tune from the page, **duplicate this Space** (⋮ menu → *Duplicate this Space*), make the
copy private, and set the variable `TRAINING=on` in its settings; choose a GPU there if you like. Or
run it on your own machine: `pip install -r requirements.txt && python app.py`."""
    return f"""### {why_not}
To fine-tune from the page, start the app without `--training off` and for yourself alone
(`python app.py`), or with a password (`--auth USER:PASS`) where others can reach it."""


BUTTONS = {
    "stop": "Stop",
    "go_on": "Continue",
    "use": "Use this model",
    "back": "Roll back",
    "delete": "Delete",
}


def build(
    actions: Actions,
    own: OwnData,
    demos: list[ModuleType],
    tabs: gr.Tabs,
    selected: gr.Textbox,
) -> tuple[gr.Dropdown, list[Part]]:
    """Lays the tab out; `selected` holds the id of the run that is looked at. Returns the recipe
    chooser, and what changes by itself."""
    if not actions.lab.training:
        gr.Markdown(how_to_train(actions.lab.why_not, actions.lab.on_space))
    forms: dict[str, Form] = {}
    above = gr.Column()
    with gr.Row():
        with gr.Column(scale=2, min_width=300, visible=actions.lab.training):
            titles = [(demo.TITLE, demo.RECIPE) for demo in demos]
            chooser = gr.Dropdown(
                titles,
                value=titles[0][1],
                label="Model to fine-tune",
                interactive=True,
                elem_id="recipe",
            )
            for demo in demos:
                with gr.Column(visible=demo is demos[0]) as group:
                    forms[demo.RECIPE] = (group, make_form(recipe.load(demo.RECIPE)))
            start = gr.Button("Start", variant="primary", elem_id="start")
            test = gr.Button(
                "Start with a learning rate found by a test", size="sm", elem_id="start-by-test"
            )
            measure = gr.Button("How long will it take?", size="sm", elem_id="estimate")
            estimate = gr.HTML(elem_id="estimated")
            look, seen = hub_preview.lay_out()
        with gr.Column(scale=3, min_width=300):
            view = _live_view(actions.lab.training)
    table, older = _lay_out_history(actions.lab.runs, selected)
    report = gr.HTML(elem_id="report")
    mistakes = Mistakes(actions, own) if actions.lab.training else None
    if mistakes:
        mistakes.wire(selected)
    taking = take_away.build(take_away.TakeAway(actions.lab), selected)
    with above:
        changing = own_tab.build(actions, own, chooser, selected)
    _wire_form(actions, chooser, forms, start, test, selected, [(measure, estimate), (look, seen)])
    buttons = [view[name] for name in BUTTONS]
    _wire_buttons(actions, view, selected, tabs)
    proposing = [
        inputs[f.name]
        for name, (_, inputs) in forms.items()
        for f in list_naming(recipe.load(name))
    ]
    return chooser, [
        *changing,
        taking,
        Part(
            _progress_sign,
            lambda moment: _progress(moment, actions.lab.training),
            [view[name] for name in ("status", "loss", "score", "log")],
        ),
        Part(
            lambda moment: _standing_sign(moment, actions),
            lambda moment: _standing(moment, list(forms), actions),
            [view["queue"], table, older, report, *buttons, *proposing],
        ),
        *([mistakes.part] if mistakes else []),
    ]


def _lay_out_history(runs: Path, selected: gr.Textbox) -> tuple[gr.Dataframe, gr.Accordion]:
    """The newest runs, and what holds the older ones."""
    gr.Markdown("### History")
    table = _runs_table("history")
    with gr.Accordion(open=False, visible=False, elem_id="older") as older:
        number = gr.Number(1, label="Page", minimum=1, precision=0, min_width=80)
        earlier = _runs_table("older-runs")
    for shown in (table, earlier):
        shown.select(_chosen, None, selected, api_visibility="private", show_progress="hidden")
    gr.on(
        [older.expand, number.change],
        # The first page is the history itself.
        lambda number: run_views.history(runs, max(1, int(number or 1))),
        number,
        earlier,
        api_visibility="private",
        show_progress="hidden",
    )
    return table, older


def _runs_table(elem_id: str) -> gr.Dataframe:
    return gr.Dataframe(
        headers=run_views.COLUMNS,
        interactive=False,
        wrap=True,
        elem_id=elem_id,
        max_height=320,
        show_label=False,
        column_widths=[200, 90, 80, 80, 100, 90, 120, 350],
    )


def _show_older(runs: Path) -> dict[str, object]:
    """How many runs there are beside those that the history shows at once."""
    older = len(open_index(runs)) - run_views.SHOWN
    pages = -(-older // run_views.SHOWN)
    label = f"Older runs ({older:,}, on {counted(pages, 'page')})"
    return gr.update(visible=older > 0, label=label)


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
            x_title="Step",
            y_title="Loss",
            title="Training loss",
            height=200,
            elem_id="loss",
            min_width=220,
            visible=False,
        )
        view["score"] = gr.LinePlot(
            x="step",
            y="score",
            x_title="Step",
            y_title="Score",
            title="Validation score, %",
            height=200,
            elem_id="score",
            min_width=220,
            visible=False,
        )
    view["queue"] = gr.HTML(elem_id="queue")
    with gr.Accordion("Log (last lines)", open=False):
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
    forms: dict[str, Form],
    start: gr.Button,
    test: gr.Button,
    selected: gr.Textbox,
    asking: list[tuple[gr.Button, gr.HTML]],
) -> None:
    """`asking`: how long it takes, and what a data set of the Hub holds: a button, and where the
    answer stands."""
    quiet: page.Listening = {
        "api_visibility": "private",
        "show_progress": "hidden",
        "queue": False,
    }
    recipes = {name: recipe.load(name) for name in forms}
    hideable = {
        name: [inputs[field] for field in list_hideable(recipes[name])]
        for name, (_, inputs) in forms.items()
    }
    for name, (_, inputs) in forms.items():
        _show_used_when_left(recipes[name], inputs, hideable[name], asking[1])
    every = [
        (name, field, component)
        for name, (_, inputs) in forms.items()
        for field, component in inputs.items()
    ]

    def read(name: str, values: Sequence[object]) -> dict[str, object]:
        """One recipe's settings of the values of all forms."""
        own = [
            (field, value)
            for (owner, field, _), value in zip(every, values, strict=True)
            if owner == name
        ]
        return read_form(*zip(*own, strict=True))

    def choose(chosen: str, *values: object) -> list[object]:
        shown: list[object] = [gr.update(visible=name == chosen) for name in forms]
        for name, made in recipes.items():
            shown += show_used(made, read(name, values))
        return [*shown, *hub_preview.offer(chosen, read(chosen, values))]

    def read_used(name: str, values: Sequence[object]) -> dict[str, object]:
        """What is hidden was perhaps filled in before: it must neither count nor be refused."""
        settings = read(name, values)
        used = recipe.find_used(recipe.parse_draft(recipes[name].config, settings))
        return {field: settings[field] for field in settings if field in used}

    def begin(name: str, *values: object) -> str:
        return actions.start(name, read_used(name, values))

    def tell_cost(name: str, *values: object) -> str:
        return page.notice(str(actions.estimate(name, read_used(name, values))))

    def look_before_start(name: str, *values: object) -> str:
        return hub_preview.look_at_data(name, read_used(name, values), actions.lab.training)

    def begin_by_test(name: str, *values: object) -> str:
        made = recipes[name].config
        draft = recipe.parse_draft(made, read(name, values))
        if "learning_rate" not in recipe.find_used(draft):
            raise gr.Error("Method frozen solves for its head, which needs no learning rate.")
        asked = [
            FIND[0] if (owner, field) == (name, "learning_rate") else value
            for (owner, field, _), value in zip(every, values, strict=True)
        ]
        return begin(name, *asked)

    inputs = [chooser, *(component for _, _, component in every)]
    groups = [group for group, _ in forms.values()]
    changing = [*groups, *itertools.chain(*hideable.values()), *asking[1]]
    # Also when a form is opened: `auto` says more once the app has looked for a GPU.
    chooser.change(choose, inputs, changing, **quiet)
    start.click(begin, inputs, selected, api_visibility="private")
    test.click(begin_by_test, inputs, selected, api_visibility="private")
    for (button, answer), tell in zip(asking, (tell_cost, look_before_start), strict=True):
        button.click(tell, inputs, answer, api_visibility="private")


def _show_used_when_left(
    made: Recipe,
    inputs: dict[str, Component],
    hideable: list[Component],
    preview: tuple[gr.Button, gr.HTML],
) -> None:
    """Shows what counts, and whether there is a `preview`, whenever a setting was changed: a choice
    at once, a number or a text when it is left, and not at every key. (A Dropdown tells of a choice
    twice by `input`.)"""

    def show(*values: object) -> list[object]:
        settings = read_form(inputs, values)
        return [*show_used(made, settings), *hub_preview.offer(made.name, settings)]

    triggers = []
    for component in inputs.values():
        if isinstance(component, gr.Dropdown):
            triggers.append(component.change)
        else:
            assert isinstance(component, gr.Number | gr.Textbox)  # as `_make_field` makes them
            triggers += [component.submit, component.blur]
    gr.on(
        triggers,
        show,
        list(inputs.values()),
        [*hideable, *preview],
        # While one is under way, of those that come only the last matters.
        trigger_mode="always_last",
        api_visibility="private",
        show_progress="hidden",
        queue=False,
    )


def _wire_buttons(
    actions: Actions, view: dict[str, Any], selected: gr.Textbox, tabs: gr.Tabs
) -> None:
    def shown(run_id: str | None) -> str:
        """The run that the page shows, also where nobody chose one."""
        run = run_views.current(actions.lab.runs, run_id)
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
        gr.Info(f"{slot.title} now uses {actions.roll_back(slot.name)} again.")
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


def _progress(moment: Moment, training: bool) -> list[object]:
    loss, score = run_views.curves(run := moment.run)
    return [
        run_views.status(run, training),
        # Not before there is a line: a plot that is drawn empty keeps no room for its numbers.
        gr.LinePlot(value=loss, visible=len(loss) > 0),
        gr.LinePlot(value=score, title=run_views.score_title(run), visible=len(score) > 0),
        run.log_tail() if run else "",
    ]


def _standing_sign(moment: Moment, actions: Actions) -> str:
    """Changes with the run that is chosen, the history and the slots."""
    active = [slot.active_id for slot in actions.lab.slots.values()]
    named = data_set.list_names(actions.lab.runs)
    return repr([moment.run and moment.run.id, moment.signature, active, named])


def _standing(moment: Moment, names: list[str], actions: Actions) -> list[object]:
    runs = actions.lab.runs
    run = moment.run
    slot = actions.lab.slots.get(run.slot) if run else None
    can = run_views.can(run) | {"back": slot is not None and slot.previous is not None}
    return [
        run_views.queue(job.queue(runs)),
        run_views.history(runs),
        _show_older(runs),
        run_views.report(run),
        *(gr.update(interactive=can[name] and actions.lab.training) for name in BUTTONS),
        *(update for name in names for update in propose(recipe.load(name), actions.lab.runs)),
    ]
