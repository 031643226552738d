"""Two answers side by side to one question: the slot's checkpoint and, where a person wants it,
another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos import page, slot_view
from demos.clock import Part
from demos.serving.model_slot import ModelSlot, SwapError
from demos.slot_view import NOTHING, SlotView


@dataclass(frozen=True)
class Question:
    """How a tab asks: `read(path)` opens what a person brought, `refusal` is what it raises, with a
    sentence; `answer(thing, checkpoint)` returns a gr.Label's value and HTML, and may raise
    SwapError."""

    empty: str
    read: Callable[[str], Any]
    refusal: type[Exception]
    answer: Callable[[Any, str], tuple[Any, str]]

    def opened(self, path: str | None, chosen: tuple[str, ...]) -> tuple[Any, list[str]]:
        """What a person brought, None where there is nothing to answer to; and what each checkpoint
        shows till then."""
        try:
            thing = self.read(path) if path else None
        except self.refusal as error:
            return None, [page.refused(error)] * len(chosen)
        return thing, [
            page.notice(self.empty) if checkpoint != NOTHING else "" for checkpoint in chosen
        ]

    def answers(self, path: str | None, *chosen: str) -> list[Any]:
        """For each checkpoint asked a Label value and what it saw or heard; a sentence where there
        is none."""
        thing, texts = self.opened(path, chosen)
        shown: list[Any] = []
        for checkpoint, text in zip(chosen, texts, strict=True):
            label = None
            if thing is not None and checkpoint != NOTHING:
                try:
                    label, text = self.answer(thing, checkpoint)
                except SwapError as error:
                    text = page.refused(error)
            shown += [label, text]
        return shown


class Compare:
    """Lays out two columns in the row where it is made, each with a slot's answer: bars, where
    `bars` makes them, and what was seen or heard."""

    def __init__(
        self, slot: ModelSlot, question: Question, bars: Callable[[str], gr.Label] | None = None
    ):
        self.slot = slot
        self.question = question
        name = slot.name
        with gr.Column(scale=3, min_width=260):
            self.view = SlotView(slot)
            own = [bars(f"label-{name}")] if bars else []
            own.append(gr.HTML(page.notice(question.empty), elem_id=f"seen-{name}"))
        with gr.Column(scale=3, min_width=260):
            self.other = page.chooser(NOTHING, "Compare with", elem_id=f"compare-{name}")
            with gr.Column(visible=False) as self.beside:
                beside = [bars(f"label-compare-{name}")] if bars else []
                beside.append(gr.HTML(elem_id=f"seen-compare-{name}"))
        self.outputs = own + beside

    def wire(
        self,
        training: bool,
        source: Any,
        ask: gr.Button,
        stop: gr.Button | None = None,
        more: tuple[Any, ...] = (),
    ) -> Part:
        """Asks when `source` changes, on the button, and when another checkpoint is chosen; `stop`
        ends an answer in its midst, `more` are further inputs. Returns what changes by itself."""
        live = dict(api_visibility="private", show_progress="hidden", trigger_mode="always_last")
        inputs = [source, self.view.chooser, self.other, *more]
        outputs = self.outputs
        asked = [source.change, ask.click, self.view.chooser.input, self.other.input]
        answering = gr.on(asked, self.question.answers, inputs, outputs, **live)
        if stop is not None:
            stop.click(None, cancels=[answering], api_visibility="private")
        self.other.input(
            lambda chosen: gr.update(visible=chosen != NOTHING),
            self.other,
            self.beside,
            api_visibility="private",
            show_progress="hidden",
        )
        self.view.wire(training, self.question.answers, inputs, outputs, **live)
        return slot_view.part([self.view], training, (self.other,))
