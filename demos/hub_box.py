"""A model of the Hub, tried in a tab: looked up, downloaded, put into use, removed; by a person on
the page or by a program through the API.

Where training is off the page belongs to everybody: nobody fills its disk there, changes its
models, or has it ask the Hub.
"""

import html
from collections.abc import Callable
from typing import Any, Unpack

import gradio as gr
from gradio.components import Component
from gradio.events import api

from demos import page
from demos.serving.hub_models import HubModels, UnderWay, Wishes, tell_freed
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, Predictor, SwapError
from training.data import hub_model
from training.data.hub_choice import PROMPT
from training.data.hub_model import ZERO_SHOT, Cancelled, Found, name_some
from training.runs import published
from training.wording import TEMPLATE, measured, quote, sentence

OFF = (
    "Models of the Hub are not tried on this page, since everybody shares it: a download would "
    "fill its disk and change the model for all. Start the app for yourself "
    "(<code>python app.py</code>)."
)
NONE = ("Choose one to remove", "")
ABOUT = (
    "Choose one of the list, or write owner/name (or owner/name@revision). The Hub is not asked "
    "before."
)


class HubBox:
    """Laid out where it is made, closed; `wire` brings it to life."""

    def __init__(self, slot: ModelSlot[Predictor]):
        self.slot = slot
        offer = slot.offer
        name = slot.name
        suggestions = offer.suggestions if offer else ()
        with gr.Accordion(
            "Try a model of the Hub", open=False, visible=offer is not None, elem_id=f"hub-{name}"
        ):
            self.off = gr.HTML(page.notice(OFF), visible=False)
            with gr.Column() as self.form:
                self.model = gr.Dropdown(
                    [*suggestions],
                    value=None,
                    label="Model of the Hub",
                    info=ABOUT,
                    allow_custom_value=True,
                    interactive=True,
                    elem_id=f"hub-model-{name}",
                )
                self.look = gr.Button("Look it up", size="sm", elem_id=f"hub-look-{name}")
                self.card = gr.HTML(elem_id=f"hub-card-{name}")
                with gr.Column(visible=False) as self.zero_shot:
                    self.classes = gr.Textbox(
                        label="Class names",
                        info="Between commas; empty: those of the model in use.",
                        placeholder="ramen, pho, soup",
                        elem_id=f"hub-classes-{name}",
                    )
                    self.template = gr.Textbox(
                        TEMPLATE,
                        label="Prompt template",
                        info="{} is where the class goes.",
                        max_lines=1,
                        elem_id=f"hub-template-{name}",
                    )
                self.prompt = gr.Textbox(
                    label="Prompt",
                    info=f"Empty: “{PROMPT}” where a model is spoken to, else none.",
                    max_lines=3,
                    visible=False,
                    elem_id=f"hub-prompt-{name}",
                )
                self.use = gr.Button(
                    "Download and use",
                    variant="primary",
                    size="sm",
                    visible=False,
                    elem_id=f"hub-use-{name}",
                )
                self.progress = gr.HTML(elem_id=f"hub-progress-{name}")
                self.cancel = gr.Button(
                    "Cancel", size="sm", visible=False, elem_id=f"hub-cancel-{name}"
                )
                self.told = gr.HTML(elem_id=f"hub-told-{name}")
                with gr.Column(visible=False) as self.added:
                    self.mine = page.chooser(NONE, "Models of the Hub here", f"hub-mine-{name}")
                    self.remove = gr.Button(
                        "Remove", variant="stop", size="sm", elem_id=f"hub-remove-{name}"
                    )
        self.hub: HubModels | None = None  # until it is wired

    def wire(
        self,
        lab: Lab,
        again: Callable[..., object],
        inputs: list[Component],
        outputs: list[Component],
        **how: Unpack[page.Listening],
    ) -> None:
        """What its buttons do; with another model in the slot the question is asked again."""
        if not lab.training:
            self.off.visible = True
            self.form.visible = False
            return
        self.hub = lab.hub
        does = Handlers(lab, self.slot)
        waits: page.Listening = {"api_visibility": "private", "trigger_mode": "once"}
        at_once: page.Listening = {**waits, "show_progress": "hidden"}
        gr.on(
            [self.model.input, self.look.click],
            does.look_up,
            self.model,
            [self.card, self.zero_shot, self.prompt, self.use, self.told],
            **waits,
        )
        wishes = [self.model, self.classes, self.template, self.prompt]
        self.use.click(lambda: "", None, self.told, **at_once).then(
            does.download, wishes, self.told, **at_once
        ).then(again, inputs, outputs, **how)
        self.cancel.click(lab.hub.cancel, None, None, queue=False, api_visibility="private")
        self.remove.click(
            does.remove,
            self.mine,
            [self.told, self.mine],
            js="(id) => id && confirm('Remove ' + id.split('@')[0] + '?') ? id : null",
            **at_once,
        )

    # -- what changes by itself --------------------------------------------------------------------
    def sign(self) -> str:
        added = published.list_added(self.slot.runs, self.slot.name)
        return repr([[each.id for each in added], self._find_under_way()])

    def _find_under_way(self) -> UnderWay | None:
        """The download for this slot, whichever page began it."""
        now = self.hub.under_way if self.hub else None
        return now if now and now.slot == self.slot.name else None

    def show(self) -> list[object]:
        """The values of `outputs`."""
        added = published.list_added(self.slot.runs, self.slot.name)
        choices = [(f"{each.title}, {_size(each)}", each.id) for each in added]
        now = self._find_under_way()
        return [
            gr.update(visible=bool(added)),
            gr.update(choices=[NONE, *choices]),
            draw_progress(now) if now else "",
            gr.update(visible=bool(now and not now.loading)),
            gr.update(interactive=now is None),
        ]

    @property
    def outputs(self) -> list[Any]:
        return [self.added, self.mine, self.progress, self.cancel, self.use]


def _size(added: published.Added) -> str:
    return measured(added.record.get("bytes", 0))


class Handlers:
    """What the page does with models of the Hub for one slot."""

    def __init__(self, lab: Lab, slot: ModelSlot[Predictor]):
        self.lab = lab
        self.slot = slot

    def look_up(self, typed: str | None) -> list[object]:
        page.refuse_unless(self.lab.training)
        hidden = [gr.update(visible=False)] * 3 + [""]
        if not typed:
            text = "Name a model first: owner/name, such as those of the list."
            return [page.notice(text), *hidden]
        try:
            found = self.lab.hub.describe(self.slot, typed)
        except SwapError as error:
            return [page.show_refusal(error), *hidden]
        if found.refusals:
            return [draw_card(found), *hidden]
        return [
            draw_card(found),
            gr.update(visible=found.kind == ZERO_SHOT),
            gr.update(visible=found.takes_prompt),
            gr.update(visible=True),
            "",
        ]

    def download(self, typed: str | None, classes: str, template: str, prompt: str) -> str:
        """How far it is, the page's clock tells."""
        page.refuse_unless(self.lab.training)
        try:
            wishes = Wishes(classes, template, prompt)
            held = self.lab.hub.use(self.slot, str(typed or ""), wishes)
        except Cancelled as error:
            return page.notice(html.escape(str(error)))
        except SwapError as error:
            return page.show_refusal(error)
        title = html.escape(held.checkpoint.title)
        return page.notice(
            f"{html.escape(self.slot.title)} now uses <b>{title}</b>. Roll back is one click; "
            "“Compare with” shows it beside another model.",
            "good",
        )

    def remove(self, checkpoint_id: str | None) -> tuple[str, object]:
        page.refuse_unless(self.lab.training)
        if not checkpoint_id:  # or the person thought better of it
            return "", gr.skip()
        try:
            freed = self.lab.hub.remove(self.slot, checkpoint_id)
        except SwapError as error:
            return page.show_refusal(error), gr.skip()
        name = html.escape(str(checkpoint_id).partition("@")[0])
        return page.notice(f"{name} is removed. {tell_freed(freed)}", "good"), ""


def draw_progress(now: UnderWay) -> str:
    """HTML: a bar and how much of it has come."""
    share = 1.0 if now.loading else now.done / max(now.total, 1)
    what = f"Looking up {now.name}"
    if now.loading:
        what = f"Loading and checking {now.name}"
    elif now.total:
        what = f"Downloading {now.name}: {measured(now.done)} of {measured(now.total)}"
    return (
        f'<div role="status">{html.escape(what)}</div>'
        f'<div class="bar"><i style="width:{share:.1%}"></i></div>'
    )


def draw_card(found: Found) -> str:
    """HTML: what a model is, and why it is refused where it is."""
    missing = sum(size for file, size in found.files if not hub_model.is_cached(found, file))
    there = "nothing: it is in this machine's cache"
    rows = [
        ("What it does", html.escape(found.does)),
        ("Task", html.escape(found.kind)),
        ("Classes", html.escape(name_some(found.classes)) if found.classes else ""),
        ("Download", (measured(missing) if missing else there) if found.files else ""),
        ("Licence", html.escape(found.license or "not stated")),
        ("Revision", html.escape(found.revision[:12])),
    ]
    table = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows if text)
    link = f'<a href="{html.escape(found.page)}" target="_blank" rel="noopener">'
    refused = "".join(page.notice(page.mark_up(each), "bad") for each in found.refusals)
    return (
        f'<div class="card hub"><h4>{link}{html.escape(found.typed)}</a></h4>'
        f"<table>{table}</table>{refused}</div>"
    )


# -- the API ---------------------------------------------------------------------------------------
def describe_found(found: Found) -> dict[str, Any]:
    """The same for programs."""
    return {
        "name": found.name,
        "revision": found.revision,
        "task": found.kind,
        "does": found.does,
        "bytes": found.bytes,
        "license": found.license,
        "classes": len(found.classes),
        "names": [*found.classes[:100]],
        "refusals": [*found.refusals],
        "page": found.page,
    }


def endpoints(lab: Lab) -> None:
    """The API: names and first outputs are a promise."""

    def find_slot(name: str) -> ModelSlot[Predictor]:
        page.refuse_unless(lab.training)
        if str(name) not in lab.slots:
            known = ", ".join(lab.slots)
            raise gr.Error(f"There is no slot {quote(name)}. The slots are: {known}.")
        return lab.slots[str(name)]

    def describe_hub_model(slot: str, model: str) -> dict[str, Any]:
        """What a model of the Hub is, and why a slot would refuse it; nothing is downloaded."""
        try:
            return describe_found(lab.hub.describe(find_slot(slot), model))
        except SwapError as error:
            raise gr.Error(str(error)) from error

    def use_hub_model(
        slot: str, model: str, classes: str = "", template: str = "", prompt: str = ""
    ) -> dict[str, Any]:
        """Downloads a model of the Hub and makes it the one that is used."""
        found = find_slot(slot)
        try:
            held = lab.hub.use(found, model, Wishes(classes, template, prompt))
        except (SwapError, Cancelled) as error:
            return {"active": found.active_id, "error": str(error)}
        return {"active": held.id, "name": held.name}

    def remove_hub_model(slot: str, checkpoint: str) -> dict[str, Any]:
        """Removes a model of the Hub; the bytes of disk that this freed."""
        try:
            freed = lab.hub.remove(find_slot(slot), checkpoint)
        except SwapError as error:
            raise gr.Error(str(error)) from error
        return {"freed": freed, "told": sentence(tell_freed(freed))}

    for endpoint in (describe_hub_model, use_hub_model, remove_hub_model):
        api(endpoint, api_name=endpoint.__name__)
