"""Two answers side by side to one question: the slot's checkpoint and, where a person wants it,
another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import gradio as gr
from gradio.components import Component

from demos import page, slot_view
from demos.clock import Part
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, Predictor, SwapError
from demos.slot_view import NO_OTHER, NOTHING, SlotView
from demos.tab_words import Words

Brought = TypeVar("Brought")  # a picture, a sound ...


@dataclass(frozen=True)
class Question(Generic[Brought]):
    """How a tab opens what a person brings: `read(path)` opens it, `refusal` is what that raises,
    with a sentence; `empty` is said where there is nothing yet."""

    empty: str
    read: Callable[[str], Brought]
    refusal: type[Exception]

    def open(self, path: str | None, chosen: tuple[str, ...]) -> tuple[Brought | None, list[str]]:
        """What a person brought, None where there is nothing to answer to; and what is shown for
        each checkpoint until it answers."""
        try:
            brought = self.read(path) if path else None
        except self.refusal as error:
            return None, [page.show_refusal(error)] * len(chosen)
        empty = page.notice(self.empty)
        return brought, ["" if checkpoint == NOTHING else empty for checkpoint in chosen]


def ask_each(
    question: Question[Brought],
    answer: Callable[[Brought, str], tuple[dict[str, float], str]],
    path: str | None,
    *chosen: str,
) -> list[object]:
    """For each checkpoint asked a gr.Label's value, and HTML of what it saw or heard; a sentence
    where there is none. `answer(brought, checkpoint)` gives both, and may raise SwapError."""
    brought, texts = question.open(path, chosen)
    shown: list[object] = []
    for checkpoint, text in zip(chosen, texts, strict=True):
        label = None
        if brought is not None and checkpoint != NOTHING:
            try:
                label, text = answer(brought, checkpoint)
            except SwapError as error:
                text = page.show_refusal(error)
        shown += [label, text]
    return shown


class Compare:
    """Lays out, in the row where it is made, the slot's answer: bars, where `bars` makes them, and
    what was seen or heard; and beside it another checkpoint's, where a person wants one. `ask`
    takes a path and the checkpoints chosen, and gives or yields the values of both."""

    def __init__(
        self,
        slot: ModelSlot[Predictor],
        empty: str,
        ask: Callable[..., object],
        bars: Callable[[str], gr.Label] | None = None,
    ):
        self.ask = ask
        name = slot.name
        with gr.Column(scale=6, min_width=300):
            with gr.Row():
                with gr.Column(min_width=200):
                    self.view = SlotView(slot)
                with gr.Column(min_width=200):
                    self.other = page.chooser(NO_OTHER, "Compare with", elem_id=f"compare-{name}")
            with gr.Row():  # the answers stand side by side, from the same line on
                with gr.Column(min_width=200):
                    own: list[Component] = [bars(f"label-{name}")] if bars else []
                    own.append(gr.HTML(page.notice(empty), elem_id=f"seen-{name}"))
                with gr.Column(min_width=200, visible=False) as self.beside:
                    beside: list[Component] = []
                    if bars:
                        beside.append(bars(f"label-compare-{name}"))
                    beside.append(gr.HTML(elem_id=f"seen-compare-{name}"))
        self.outputs = own + beside
        self.bars = own[0]

    def wire(
        self,
        lab: Lab,
        source: gr.Image | gr.Audio,
        ask: gr.Button,
        stop: gr.Button | None = None,
        more: tuple[Component, ...] = (),
        words: Words | None = None,
    ) -> Part:
        """Asks when `source` changes, on the button, and when another checkpoint is chosen; `stop`
        ends an answer in its midst, `more` are further inputs, `words` are those of the model in
        use. Returns what changes by itself."""
        live: page.Listening = {
            "api_visibility": "private",
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        inputs = [source, self.view.chooser, self.other, *more]
        asked = [source.change, ask.click, self.view.chooser.input, self.other.input]
        answering = gr.on(asked, self.ask, inputs, self.outputs, **live)
        if stop is not None:
            stop.click(None, cancels=[answering], api_visibility="private")
        self.other.input(
            lambda chosen: gr.update(visible=chosen != NOTHING),
            self.other,
            self.beside,
            api_visibility="private",
            show_progress="hidden",
        )
        self.view.wire(lab.training, self.ask, inputs, self.outputs, **live)
        self.view.hub.wire(lab, self.ask, inputs, self.outputs, **live)
        return slot_view.part([self.view], lab.training, (self.other,), [words] if words else [])
