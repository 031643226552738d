"""The Train tab: settings, a live view of the run, the history, and what can be done with a run.

The page keeps nothing but which run is looked at: all it shows is read from `runs/`, so that it is
the same after a reload, on a second page, and after the app was killed and started again.
"""

from types import ModuleType
from typing import Any, Literal

import gradio as gr

from demos import history, own_tab, page, result, run_views, take_away
from demos.actions import Actions
from demos.clock import Moment, Part
from demos.mistakes import Mistakes
from demos.own_data import OwnData
from demos.train_form import TrainForm
from training.data.own import data_set
from training.runs import job


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
    "use": "Use this model",
    "try_it": "Try it now",
    "mistakes": "See mistakes",
    "share": "Share",
    "go_on": "Continue",
    "back": "Roll back",
}
PARTS = (run_views.TRAINED, run_views.HELD_OUT)
LOOKS: dict[str, Literal["stop", "primary"]] = {"stop": "stop", "use": "primary"}
# A button leads to the first of these places that is there.
SHOW = """() => [%s].map(each => document.querySelector(each)).find(each => each?.offsetParent)
  ?.scrollIntoView({behavior: 'smooth', block: '%s'})"""
SHOW_STATUS = SHOW % ("'#status'", "nearest")
SHOW_MISTAKES = SHOW % ("'#mistake-problems', '#report .mistakes'", "start")
SHOW_SHARE = SHOW % ("'#take-away'", "center")
# The tab that has just been turned to asks its model about what is there.
ASK_AGAIN = """() => setTimeout(() => [...document.querySelectorAll('button[id^="ask"]')]
  .find(each => each.offsetParent)?.click(), 300)"""


def build(
    actions: Actions,
    own: OwnData,
    demos: list[ModuleType],
    blocks: gr.Blocks,
    opened: gr.Tab,
    tabs: gr.Tabs,
    selected: gr.Textbox,
    choosers: dict[str, gr.Dropdown],
) -> tuple[gr.Dropdown, list[Part]]:
    """Lays the tab out, which is `opened`; `selected` holds the id of the run that is looked at,
    `choosers` are the other tabs' lists of models by their slot. Returns the recipe chooser, and
    what changes by itself."""
    if not actions.lab.training:
        gr.Markdown(how_to_train(actions.lab.why_not, actions.lab.on_space))
    above = gr.Column()
    with gr.Row():
        with gr.Column(scale=2, min_width=300, visible=actions.lab.training):
            form = TrainForm(actions, demos)
        with gr.Column(scale=3, min_width=300):
            view = _live_view()
    inputs = {name: each.inputs for name, each in form.forms.items()}
    past = history.build(actions, selected, form.chooser, inputs)
    report = gr.HTML(elem_id="report")
    mistakes = Mistakes(actions, own) if actions.lab.training else None
    if mistakes:
        mistakes.wire(selected)
    taking = take_away.build(take_away.TakeAway(actions.lab), selected)
    with above:
        changing = own_tab.build(actions, own, form.chooser, selected)
    form.wire(opened, selected, SHOW_STATUS)
    form.keep(blocks)
    buttons = [view[name] for name in BUTTONS]
    _wire_buttons(actions, view, selected, tabs, choosers)
    return form.chooser, [
        *changing,
        *past,
        taking,
        Part(
            _progress_sign,
            lambda moment: _progress(moment, actions.lab.training),
            [view[name] for name in ("status", "loss", "score", "log")],
        ),
        Part(
            lambda moment: _standing_sign(moment, actions),
            lambda moment: _standing(moment, form),
            [view["queue"], view["result"], report, *buttons, *form.naming],
        ),
        *([mistakes.part] if mistakes else []),
    ]


def _live_view() -> dict[str, Any]:
    view: dict[str, Any] = {
        "status": gr.HTML(elem_id="status"),
        "result": gr.HTML(elem_id="result"),
    }
    with gr.Row():
        for name, text in BUTTONS.items():
            view[name] = gr.Button(
                text,
                size="sm",
                visible=False,
                min_width=80,
                elem_id=name,
                variant=LOOKS.get(name, "secondary"),
            )
    with gr.Row():
        view["loss"] = gr.LinePlot(
            x="step",
            y="loss",
            color="part",
            color_map=dict(zip(PARTS, ("#6366f1", "#ea580c"), strict=True)),
            x_title="Step",
            y_title="Loss",
            color_title="",
            title="Loss",
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


def _wire_buttons(
    actions: Actions,
    view: dict[str, Any],
    selected: gr.Textbox,
    tabs: gr.Tabs,
    choosers: dict[str, gr.Dropdown],
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

    def turn_to(run_id: str | None) -> list[object]:
        """The tab where the run's model answers: by itself, where it is in use, else for whoever
        asked alone."""
        run = actions.find(shown(run_id))
        slot = actions.lab.slots.get(run.slot)
        value = "active" if slot and slot.active_id == run.id else run.id
        return [
            gr.Tabs(selected=run.recipe),
            *(gr.update(value=value) if name == run.slot else gr.skip() for name in choosers),
        ]

    quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}
    clicked = {
        name: view[name].click(act, selected, selected, **quiet)
        for name, act in dict(stop=stop, go_on=go_on, use=use, back=back).items()
    }
    turned = [tabs, *choosers.values()]
    for event in (clicked["use"].success, view["try_it"].click):
        event(turn_to, selected, turned, **quiet).success(None, None, None, js=ASK_AGAIN)
    clicked["go_on"].success(None, None, None, js=SHOW_STATUS)
    view["mistakes"].click(None, None, None, js=SHOW_MISTAKES)
    view["share"].click(None, None, None, js=SHOW_SHARE)


def _progress_sign(moment: Moment) -> str:
    """Changes with the run that is shown, as long as it is at work."""
    if (run := moment.run) is None:
        return "no run"
    files = [run.path / "status.json", run.path / "events.jsonl", run.log_file]
    times = [f.stat().st_mtime_ns for f in files if f.exists()]
    return repr((run.id, run.state, run.escalation, run.about, times))


def _progress(moment: Moment, training: bool) -> list[object]:
    loss, score = run_views.curves(run := moment.run)
    return [
        run_views.status(run, training),
        # Not before there is a line: a plot that is drawn empty keeps no room for its numbers.
        gr.LinePlot(value=loss, x_title=(over := run_views.name_steps(run)), visible=len(loss) > 0),
        gr.LinePlot(
            value=score,
            title=run_views.score_title(run),
            x_title=over,
            visible=len(score) > 0,
        ),
        run.log_tail() if run else "",
    ]


def _standing_sign(moment: Moment, actions: Actions) -> str:
    """Changes with the run that is chosen, the history and the slots."""
    active = [slot.active_id for slot in actions.lab.slots.values()]
    named = data_set.list_names(actions.lab.runs)
    return repr([moment.run and moment.run.id, moment.signature, active, named])


def _standing(moment: Moment, form: TrainForm) -> list[object]:
    actions = form.actions
    runs = actions.lab.runs
    run = moment.run
    slot = actions.lab.slots.get(run.slot) if run else None
    can = run_views.can(run)
    in_use = bool(slot and run and slot.active_id == run.id)
    can |= {"use": can["use"] and not in_use}
    can |= {"back": in_use and slot is not None and slot.previous is not None}
    if not actions.lab.training:  # a look is free
        can |= dict.fromkeys(("stop", "use", "share", "go_on", "back"), False)
    return [
        run_views.queue(job.queue(runs)),
        result.draw(run, slot.active_id if slot else ""),
        run_views.report(run),
        *(gr.update(visible=can[name]) for name in BUTTONS),
        *form.propose(),
    ]
