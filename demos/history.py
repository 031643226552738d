"""The history, on the Train tab: choose a run, find it again, name it, compare several, delete one
and take that back, and fill the form with what one was trained with.

The browser asks for the list anew when the page's clock says that something changed, with the
filters and the page of the list that it shows: what a person chose stays, and what they type is
written over by nobody. What is drawn is in demos/history_view.py and demos/run_comparison.py.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from demos import clock, history_view, page, run_comparison, run_views
from demos.actions import Actions
from demos.clock import Moment, Part
from demos.form import fill_form
from demos.history_view import IN_USE, STATES, Wish
from training import recipe
from training.recipe import SettingsError
from training.runs import aside, checkpoint
from training.runs.about import LONGEST_NAME, LONGEST_NOTES
from training.runs.run import OVER, Run

HERE = Path(__file__).parent
MANY = 100  # ticked runs that are looked for
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}
# While one is under way, of those that come only the last matters.
latest: page.Listening = {**quiet, "trigger_mode": "always_last", "queue": False}
TO_FORM = "() => document.querySelector('#recipe')?.scrollIntoView({behavior: 'smooth'})"
TO_COMPARISON = """() => setTimeout(() => document.querySelector('#compared')
  ?.scrollIntoView({behavior: 'smooth', block: 'nearest'}), 300)"""
UNTICK = "() => document.querySelector('#history [data-do=untick]')?.click()"
Forms = Mapping[str, Mapping[str, Component]]  # of the recipes, by their settings


@dataclass(frozen=True)
class Layout:
    """The components, by what they are for."""

    changed: gr.Textbox  # says when the list is to be drawn anew
    filters: list[gr.Dropdown]  # recipe, state, data
    rows: gr.HTML
    turned: gr.Textbox  # the page that a person turned to, and the filters it was of
    comparison: list[Any]  # what holds it, the plots, the text
    about: gr.HTML
    buttons: dict[str, gr.Button]
    editor: gr.Group
    edited: gr.Textbox  # the id of the run that is being named
    name: gr.Textbox
    notes: gr.Textbox
    save: gr.Button
    cancel: gr.Button


def build(actions: Actions, selected: gr.Textbox, chooser: gr.Dropdown, forms: Forms) -> list[Part]:
    """Lays it out. `selected` holds the id of the run that is looked at, `chooser` the recipe of
    the form. Returns what changes by itself."""
    layout = _lay_out(actions, list(forms))
    handlers = Handlers(actions, forms)
    _wire_list(layout, handlers, selected)
    _wire_chosen(layout, handlers, selected, chooser, forms)
    return [
        Part(
            lambda moment: sign(moment, actions),
            lambda moment: [sign(moment, actions)],
            [layout.changed],
        )
    ]


def sign(moment: Moment, actions: Actions) -> str:
    """Changes when the list would."""
    active = [slot.active_id for slot in actions.lab.slots.values()]
    gone = [each.path.name for each in aside.list_aside(actions.lab.runs)]
    known = repr([moment.run and moment.run.id, moment.signature, active, gone])
    return hashlib.blake2b(known.encode(), digest_size=6).hexdigest()


# -- layout ----------------------------------------------------------------------------------------
def _lay_out(actions: Actions, names: list[str]) -> Layout:
    gr.Markdown("### History")
    states = [(words, state) for state, (words, _) in STATES.items()]
    with gr.Row(elem_id="history-filters"):
        filters = [
            _make_filter("Model", [(recipe.load(name).title, name) for name in names], "model"),
            _make_filter("State", [*states, ("In use", IN_USE)], "state"),
            _make_filter("Data", [], "data"),
        ]
    rows = gr.HTML(
        css_template=(HERE / "history.css").read_text("utf-8"),
        js_on_load=(HERE / "history.js").read_text("utf-8"),
        apply_default_css=False,
        elem_id="history",
    )
    with gr.Column(visible=False, elem_id="compared") as comparison:
        with gr.Row(elem_classes="beside"):
            gr.Markdown("### Compared")
            close = gr.Button("Close", size="sm", min_width=80, elem_id="close-compared")
            close.click(None, None, None, js=UNTICK, api_visibility="private")
        with gr.Row():
            plots = [_make_plot("loss", "Training loss"), _make_plot("score", "Validation score")]
        told = gr.HTML(elem_id="compared-text")
    with gr.Column(visible=actions.lab.training, elem_id="about-run"):
        about = gr.HTML(elem_id="chosen-run")
        with gr.Row(elem_classes="beside"):
            buttons = {
                "edit": _make_button("Rename, or write notes", "edit-run"),
                "again": _make_button("Run again with these settings", "run-again"),
                "delete": _make_button("Delete", "delete", variant="stop"),
            }
        with gr.Group(visible=False, elem_id="editor") as editor:
            name = gr.Textbox(
                label="Name",
                info="Empty: as its settings describe it.",
                max_length=LONGEST_NAME,
                max_lines=1,
                elem_id="run-name",
            )
            notes = gr.Textbox(
                label="Notes",
                lines=3,
                max_lines=8,
                max_length=LONGEST_NOTES,
                elem_id="run-notes",
            )
            with gr.Row():
                save = gr.Button("Save", variant="primary", size="sm", elem_id="save-run")
                cancel = gr.Button("Cancel", size="sm", elem_id="leave-run")
    return Layout(
        clock.make_hidden(),
        filters,
        rows,
        clock.make_hidden(),
        [comparison, *plots, told],
        about,
        buttons,
        editor,
        clock.make_hidden(),
        name,
        notes,
        save,
        cancel,
    )


def _make_filter(label: str, choices: list[tuple[str, str]], what: str) -> gr.Dropdown:
    """What there is to choose of data, the disk knows: as `page.Chooser` does, it takes all."""
    every = [(f"Any {label.lower()}", ""), *choices]
    return page.Chooser(
        every,
        value="",
        label=label,
        interactive=True,
        min_width=120,
        elem_id=f"history-{what}",
    )


def _make_plot(y: str, title: str) -> gr.LinePlot:
    return gr.LinePlot(
        x="step",
        y=y,
        color="run",
        x_title="Step",
        y_title=y.capitalize(),
        color_title="Run",
        title=title,
        height=260,
        min_width=280,
        visible=False,
        elem_id=f"compared-{y}",
    )


def _make_button(text: str, elem_id: str, **more: Any) -> gr.Button:
    return gr.Button(text, size="sm", min_width=120, interactive=False, elem_id=elem_id, **more)


# -- what happens ----------------------------------------------------------------------------------
class Handlers:
    """What the history's controls do; what comes from a browser may be anything."""

    def __init__(self, actions: Actions, forms: Forms):
        self.actions = actions
        self.lab = actions.lab
        self.forms = forms

    def draw_list(
        self, selected: str | None, model: object, state: object, data: object, turned: str | None
    ) -> list[object]:
        """The list, the data sets to choose from, the chosen run, and its buttons."""
        wish = Wish(str(model or ""), str(state or ""), str(data or ""))
        run = run_views.current(self.lab.runs, selected)
        number = read_turn(turned, wish)
        shown = history_view.draw(self.lab, wish, number, run.id if run else None)
        sets = [("Any data", ""), *((name, name) for name in history_view.list_data(self.lab.runs))]
        can = {
            "edit": run is not None,
            "again": run is not None and run.recipe in self.forms and run.state != "damaged",
            "delete": run is not None and run.state in OVER,
        }
        return [
            shown,
            gr.update(choices=sets),
            history_view.draw_chosen(run, self.lab.training),
            *(gr.update(interactive=can[name] and self.lab.training) for name in can),
        ]

    def turn(self, event: gr.EventData, *wish: object) -> str:
        """Kept in the browser, with the filters: other filters begin on the first page."""
        return json.dumps([*(str(each or "") for each in wish), _read(event, "page")])

    def choose(self, event: gr.EventData) -> str:
        return str(_read(event, "run") or "")

    def compare(self, event: gr.EventData) -> list[object]:
        """The plots and the text, as the runs are now; hidden where fewer than two are ticked."""
        sent = _read(event, "runs")
        ids = map(str, sent[:MANY] if isinstance(sent, list) else [])
        runs = [run for run_id in ids if (run := Run.find(self.lab.runs, run_id))]
        if len(runs) < 2:  # without those deleted since
            hidden = gr.update(visible=False)
            return [hidden, hidden, hidden, ""]
        shown = run_comparison.compare(runs)
        return [
            gr.update(visible=True),
            _fill_plot(shown.loss, shown.colours),
            _fill_plot(shown.score, shown.colours, title=shown.score_title),
            shown.text,
        ]

    def delete(self, selected: str | None) -> str:
        """The next one is shown in its place."""
        run = self._current(selected)
        title = checkpoint.of_run(run).title
        if not self.actions.delete(run.id):
            gr.Info(f"{title} was removed for good at once, since the disk is full.")
        return ""

    def undo(self, event: gr.EventData) -> str:
        return self.actions.bring_back(str(_read(event, "run") or ""))

    def free(self) -> None:
        self.actions.free()

    def edit(self, selected: str | None) -> list[object]:
        """Opens the editor on the run that is shown now, and stays with it whichever is shown
        later: what a person types is theirs."""
        page.refuse_unless(self.lab.training)
        run = self._current(selected)
        about = run.about
        name = about.get("name") or str(run.config.get("name") or "")
        label = f"Name of {checkpoint.of_run(run).title}"
        shown = gr.update(value=name, label=label)
        return [gr.update(visible=True), run.id, shown, about.get("notes", "")]

    def save(self, edited: str, name: str, notes: str) -> dict[str, Any]:
        self.actions.rename(edited, name, notes)
        return gr.update(visible=False)

    def fill(self, selected: str | None) -> list[object]:
        """The chooser, and the components of all forms: of the run's recipe with its settings."""
        page.refuse_unless(self.lab.training)
        run = self._current(selected)
        title = checkpoint.of_run(run).title
        if run.state == "damaged" or run.recipe not in self.forms:
            raise gr.Error(f"The settings of {title} cannot be read by this version.")
        try:
            made = recipe.load(run.recipe)
        except SettingsError as error:
            raise gr.Error(str(error)) from error
        filled, told = fill_form(made, self.forms[run.recipe], run.config)
        if origin := run.settings.get("continues"):
            told.append(f"It went on from {origin}; a new run begins anew.")
        gr.Info(f"The form above holds the settings of {title}: look them over, then press Start.")
        if told:
            gr.Warning(" ".join(told), duration=None)
        updates: list[object] = [run.recipe]
        for name, inputs in self.forms.items():
            updates += filled if name == run.recipe else [gr.skip()] * len(inputs)
        return updates

    def _current(self, selected: str | None) -> Run:
        """The run that the page shows, also where nobody chose one."""
        run = run_views.current(self.lab.runs, selected)
        if run is None:
            raise gr.Error("There is no run yet.")
        return run


def _read(event: gr.EventData, name: str) -> Any:
    """What a browser sent along; None where it did not."""
    sent = event._data
    return sent.get(name) if isinstance(sent, dict) else None


def read_turn(turned: str | None, wish: Wish) -> int:
    """The page that was turned to under these filters; else the first."""
    try:
        *known, number = json.loads(turned or "[0]")
    except (ValueError, TypeError, RecursionError):
        return 0
    same = known == [wish.recipe, wish.state, wish.data]
    return number if same and isinstance(number, int) else 0


def _fill_plot(points: Any, colours: dict[str, str], **more: Any) -> gr.LinePlot:
    # Not before there is a line: a plot that is drawn empty keeps no room for its numbers.
    return gr.LinePlot(value=points, color_map=colours, visible=len(points) > 0, **more)


# -- wiring ----------------------------------------------------------------------------------------
def _wire_list(layout: Layout, handlers: Handlers, selected: gr.Textbox) -> None:
    rows = layout.rows
    # One listener for all that changes the list, so that no earlier answer comes after a later one.
    asked = [layout.changed, selected, layout.turned, *layout.filters]
    gr.on(
        [component.change for component in asked],
        handlers.draw_list,
        [selected, *layout.filters, layout.turned],
        [rows, layout.filters[-1], layout.about, *layout.buttons.values()],
        **latest,
    )
    rows.select(handlers.choose, None, selected, **latest)
    rows.apply(handlers.turn, layout.filters, layout.turned, **latest)
    rows.submit(handlers.compare, None, layout.comparison, **latest).success(
        None, None, None, js=TO_COMPARISON, api_visibility="private"
    )
    rows.undo(handlers.undo, None, selected, **quiet)
    rows.clear(handlers.free, None, None, **quiet)


def _wire_chosen(
    layout: Layout,
    handlers: Handlers,
    selected: gr.Textbox,
    chooser: gr.Dropdown,
    forms: Forms,
) -> None:
    editing = [layout.editor, layout.edited, layout.name, layout.notes]
    layout.buttons["edit"].click(handlers.edit, selected, editing, **quiet)
    gr.on(
        [layout.save.click, layout.name.submit],
        handlers.save,
        [layout.edited, layout.name, layout.notes],
        layout.editor,
        **quiet,
    )
    layout.cancel.click(lambda: gr.update(visible=False), None, layout.editor, **quiet)
    every = [component for inputs in forms.values() for component in inputs.values()]
    layout.buttons["again"].click(handlers.fill, selected, [chooser, *every], **quiet).success(
        None, None, None, js=TO_FORM, api_visibility="private"
    )
    layout.buttons["delete"].click(handlers.delete, selected, selected, **quiet)
