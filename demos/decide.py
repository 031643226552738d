"""Items of an own data set that should be looked at: a gallery, the one that was picked, seen large
or heard, and what a person can say of it. The data's own page shows suspects so, and a report the
mistakes of its run."""

import functools
import html
from collections.abc import Callable
from typing import TypeAlias

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.events import Dependency
from PIL import Image

from demos import clock, own_view, page
from demos.own_data import OwnData
from demos.own_view import Suspect
from training.data.own.corrections import correct_captions
from training.data.own.data_set import DataSet, Item
from training.wording import in_words

LARGE = 480  # pixels of a side
THUMB = 160  # likewise, in the gallery
DECISIONS = {
    "label": ("Say so", "say"),
    "leave out": ("Leave out", "leave"),
    "right": ("It is right", "right"),
}
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}

# What a key (a data set's name, a run's id) has to be looked at; None where it is gone.
Find: TypeAlias = Callable[[str], tuple[DataSet, list[Suspect]] | None]


class Decide:
    """Laid out where it is made; `prefix`: of its elements' ids."""

    def __init__(self, own: OwnData, prefix: str, title: str):
        self.own = own
        self.item = clock.make_hidden()
        with gr.Column(visible=False, elem_id=f"{prefix}-problems") as self.whole:
            self.gallery = gr.Gallery(
                label=title,
                columns=6,
                height="auto",
                object_fit="contain",
                allow_preview=False,
                elem_id=f"{prefix}-gallery",
            )
            self.looked = gr.HTML(elem_id=f"{prefix}-looked")
            with gr.Row():
                self.is_now = gr.Dropdown(
                    label="It is",
                    allow_custom_value=True,
                    interactive=True,
                    elem_id=f"{prefix}-is",
                    min_width=160,
                )
                self.decisions = {
                    decision: gr.Button(text, elem_id=f"{prefix}-{name}", min_width=90)
                    for decision, (text, name) in DECISIONS.items()
                }
            self.captions = gr.Textbox(
                label="Captions, a line for each",
                lines=3,
                visible=False,
                interactive=True,
                elem_id=f"{prefix}-captions",
            )
            self.save = gr.Button("Save captions", visible=False, elem_id=f"{prefix}-save")

    @property
    def outputs(self) -> list[Component | BlockContext]:
        return [
            self.whole,
            self.gallery,
            self.item,
            self.looked,
            self.is_now,
            self.captions,
            self.save,
            self.decisions["label"],
        ]

    def fill(self, found: DataSet, seen: list[Suspect]) -> list[object]:
        """Values of the outputs."""
        pictures = [_draw(found.kind, each) for each in seen]
        with_captions = found.kind == "captions"
        return [
            gr.Column(visible=bool(pictures)),
            gr.Gallery(value=pictures, selected_index=None),
            "",
            "",
            gr.Dropdown(choices=found.classes, value=None, visible=not with_captions),
            gr.Textbox(value="", visible=with_captions),
            gr.Button(visible=with_captions),
            gr.Button(visible=not with_captions),
        ]

    def clear(self) -> list[object]:
        return [
            gr.Column(visible=False),
            gr.Gallery(value=None),
            "",
            "",
            gr.Dropdown(choices=[], value=None),
            gr.Textbox(value=""),
            gr.Button(visible=False),
            gr.Button(visible=True),
        ]

    # -- what is done ------------------------------------------------------------------------------
    def wire(self, key: Component, find: Find, told: gr.HTML) -> list[Dependency]:
        """`key`: what is looked at; `told`: where it is said what was done. Returns what changed
        the data."""
        self.find = find
        self.gallery.select(
            self._pick, key, [self.item, self.looked, self.is_now, self.captions], **quiet
        )
        changed = [
            button.click(
                functools.partial(self._decide, decision),
                [key, self.item, self.is_now],
                told,
                **quiet,
            )
            for decision, button in self.decisions.items()
        ]
        return [
            *changed,
            self.save.click(self._save_captions, [key, self.item, self.captions], told, **quiet),
        ]

    def _find(self, key: str) -> tuple[DataSet, list[Suspect]]:
        found = self.find(key)
        if found is None:
            raise gr.Error("This data set is not here any more.")
        return found

    def _pick(self, key: str, event: gr.SelectData) -> tuple[object, ...]:
        found, seen = self._find(key)
        if not isinstance(event.index, int) or event.index >= len(seen):
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        each = seen[event.index]
        item = found.find_items(each["id"])[0]
        said = each["said"] or each["label"] or None
        large = _show_large(item, found.kind, each)
        return each["id"], large, gr.Dropdown(value=said), "\n".join(item.captions)

    def _decide(self, decision: str, key: str, picked: str, now: str) -> str:
        if not picked:
            raise gr.Error("Choose one of those above first.")
        found, _ = self._find(key)
        made = self.own.correct(found.name, picked, now, decision)
        return page.notice(html.escape(own_view.describe_correction(made)), "good")

    def _save_captions(self, key: str, picked: str, text: str) -> str:
        if not picked:
            raise gr.Error("Choose one of the pictures above first.")
        found, _ = self._find(key)
        made = correct_captions(found, picked, text.splitlines())
        return page.notice(html.escape(own_view.describe_correction(made)), "good")


def _draw(kind: str, each: Suspect) -> tuple[Image.Image, str]:
    words = in_words(each["label"]) or each["name"]
    if each["said"]:
        words += f" → {in_words(each['said'])}?"
    return own_view.draw_thumbnail(each["path"], kind, THUMB), words


def _show_large(item: Item, kind: str, each: Suspect) -> str:
    words = f"<b>{html.escape(item.name)}</b>"
    if each["label"]:
        words += f", labelled <b>{html.escape(in_words(each['label']))}</b>"
    if each["why"]:
        words += f": {html.escape(each['why'])}"
    return f"<p>{words}</p>{own_view.draw_large(item, kind, LARGE)}"
