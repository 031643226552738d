"""The forms of the Train tab, one for each recipe, with what stands above Start and beside it:
which data that is, and how long it will take."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.events import Dependency

from demos import data_card, hub_preview, page
from demos.actions import Actions
from demos.form import (
    list_hideable,
    list_naming,
    make_form,
    propose,
    read_form,
    show_used,
    tell_changed,
)
from training import recipe
from training.recipe import Recipe
from training.runs import job
from training.settings import FIND

Shown: TypeAlias = Component | BlockContext
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
# While one is under way, of those that come only the last matters.
latest: page.Listening = {**quiet, "trigger_mode": "always_last"}
BUSY = "How long it takes is measured when no run is at work."
measuring: page.Listening = {
    "api_visibility": "private",
    "show_progress": "minimal",
    "trigger_mode": "always_last",
    "concurrency_limit": 1,  # of all visits: a measurement beside another one is wrong
    "concurrency_id": "measure",
}


@dataclass(frozen=True)
class Form:
    """A recipe's."""

    made: Recipe
    group: gr.Column  # what holds it
    inputs: dict[str, Component]  # by their settings
    advanced: gr.Accordion  # what holds the rare ones

    @property
    def follows(self) -> list[Shown]:
        """What its own settings change of it."""
        return [*(self.inputs[name] for name in list_hideable(self.made)), self.advanced]

    @property
    def triggers(self) -> list[Any]:
        """A setting was changed: a choice at once, a number or a text when it is left, and not at
        every key. (A Dropdown tells of a choice twice by `input`.)"""
        found = []
        for component in self.inputs.values():
            if isinstance(component, gr.Dropdown):
                found.append(component.change)
            else:
                assert isinstance(component, gr.Number | gr.Textbox)  # as `make_form` makes them
                found += [component.submit, component.blur]
        return found


class TrainForm:
    """Laid out where it is made."""

    def __init__(self, actions: Actions, demos: list[ModuleType]):
        self.actions = actions
        titles = [(demo.TITLE, demo.RECIPE) for demo in demos]
        self.chooser = gr.Dropdown(
            titles,
            value=titles[0][1],
            label="Model to fine-tune",
            interactive=True,
            elem_id="recipe",
        )
        self.forms: dict[str, Form] = {}
        for demo in demos:
            made = recipe.load(demo.RECIPE)
            with gr.Column(visible=demo is demos[0]) as group:
                self.forms[demo.RECIPE] = Form(made, group, *make_form(made))
        self.card = gr.HTML(elem_id="data-card")
        self.look, self.seen = hub_preview.lay_out()
        with gr.Row(equal_height=True):
            self.start = gr.Button("Start", variant="primary", elem_id="start", min_width=130)
            self.estimate = gr.HTML(elem_id="estimated", min_width=150)
        self.test = gr.Button(
            "Start with a learning rate found by a test", size="sm", elem_id="start-by-test"
        )
        self.every = [
            (name, field, component)
            for name, form in self.forms.items()
            for field, component in form.inputs.items()
        ]

    @property
    def naming(self) -> list[Component]:
        """The settings that name checkpoints or data sets, which the clock fills."""
        return [
            form.inputs[field.name]
            for form in self.forms.values()
            for field in list_naming(form.made)
        ]

    def propose(self) -> list[object]:
        """What `naming` offers now."""
        runs = self.actions.lab.runs
        return [update for form in self.forms.values() for update in propose(form.made, runs)]

    def wire(self, opened: gr.Tab, selected: gr.Textbox, after: str) -> None:
        """`opened`: the tab that holds it; `selected` gets the id of a run that is started; `after`
        is JavaScript that then runs."""
        inputs = [self.chooser, *(component for _, _, component in self.every)]
        beside: list[Shown] = [self.card, self.look, self.seen]
        for form in self.forms.values():
            self._follow(form, beside).then(self._tell_cost, inputs, self.estimate, **measuring)
        groups = [form.group for form in self.forms.values()]
        follows = [each for form in self.forms.values() for each in form.follows]
        # Also when a form is opened: `auto` says more once the app has looked for a GPU.
        gr.on(
            [self.chooser.change, opened.select],
            self._choose,
            inputs,
            [*groups, *follows, *beside],
            **quiet,
        ).then(self._tell_cost, inputs, self.estimate, **measuring)
        for button, act in ((self.start, self._begin), (self.test, self._begin_by_test)):
            button.click(act, inputs, selected, api_visibility="private").success(
                None, None, None, js=after
            )
        self.look.click(self._look_at_data, inputs, self.seen, api_visibility="private")

    def keep(self, blocks: gr.Blocks) -> None:
        """What is filled in is there again after a reload."""
        for name, form in self.forms.items():
            key = json.dumps([name, *form.inputs])
            page.keep(blocks, key, form.triggers, list(form.inputs.values()))
        page.keep(blocks, "recipe", [self.chooser.change], [self.chooser])

    def _follow(self, form: Form, beside: list[Shown]) -> Dependency:
        """Shows what counts whenever a setting was changed."""
        return gr.on(
            form.triggers,
            partial(self._follow_settings, form),
            list(form.inputs.values()),
            [*form.follows, *beside],
            **latest,
        )

    # -- what is read of it ------------------------------------------------------------------------
    def _read(self, name: str, values: Sequence[object]) -> dict[str, object]:
        """One recipe's settings of the values of all forms."""
        own = [
            (field, value)
            for (owner, field, _), value in zip(self.every, values, strict=True)
            if owner == name
        ]
        return read_form(*zip(*own, strict=True))

    def _read_used(self, name: str, values: Sequence[object]) -> dict[str, object]:
        """What is hidden was perhaps filled in before: it must neither count nor be refused."""
        settings = self._read(name, values)
        used = recipe.find_used(recipe.parse_draft(self.forms[name].made.config, settings))
        return {field: settings[field] for field in settings if field in used}

    # -- what it shows -----------------------------------------------------------------------------
    def _show_form(self, form: Form, settings: dict[str, object]) -> list[object]:
        """What depends on a form's settings, of it: its `follows`."""
        return [*show_used(form.made, settings), tell_changed(form.made, settings)]

    def _show_above(self, form: Form, settings: dict[str, object]) -> list[object]:
        """And above Start."""
        card = data_card.draw(form.made, settings, self.actions.lab.runs)
        return [card, *hub_preview.offer(form.made.name, settings)]

    def _follow_settings(self, form: Form, *values: object) -> list[object]:
        settings = read_form(form.inputs, values)
        return [*self._show_form(form, settings), *self._show_above(form, settings)]

    def _choose(self, chosen: str, *values: object) -> list[object]:
        shown: list[object] = [gr.update(visible=name == chosen) for name in self.forms]
        for name, form in self.forms.items():
            shown += self._show_form(form, self._read(name, values))
        return [*shown, *self._show_above(self.forms[chosen], self._read(chosen, values))]

    def _tell_cost(self, name: str, *values: object) -> str:
        if job.running(self.actions.lab.runs):
            return BUSY
        try:
            return str(self.actions.estimate(name, self._read_used(name, values)))
        except gr.Error as error:  # what is missing yet, or that it cannot be measured
            return str(error.message)

    def _look_at_data(self, name: str, *values: object) -> str:
        settings = self._read_used(name, values)
        return hub_preview.look_at_data(name, settings, self.actions.lab.training)

    # -- what it starts ----------------------------------------------------------------------------
    def _begin(self, name: str, *values: object) -> str:
        return self.actions.start(name, self._read_used(name, values))

    def _begin_by_test(self, name: str, *values: object) -> str:
        draft = recipe.parse_draft(self.forms[name].made.config, self._read(name, values))
        if "learning_rate" not in recipe.find_used(draft):
            raise gr.Error("Method frozen solves for its head, which needs no learning rate.")
        asked = [
            FIND[0] if (owner, field) == (name, "learning_rate") else value
            for (owner, field, _), value in zip(self.every, values, strict=True)
        ]
        return self._begin(name, *asked)
