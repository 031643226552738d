"""What a tab shows of a slot: which model is in use, what the last run did to it, and the ways
back."""

from collections.abc import Callable, Sequence
from typing import Unpack

import gradio as gr
from gradio.components import Component

from demos import page
from demos.clock import Moment, Part
from demos.hub_box import HubBox
from demos.serving.model_slot import Held, ModelSlot, Predictor, SwapError
from demos.tab_words import Words

NOTHING = "nothing"  # no second checkpoint to compare with
NO_OTHER = ("Nothing", NOTHING)  # as the page offers it


class SlotView:
    """A chooser, a banner, Roll back and Back to built-in, and what is tried of the Hub, laid out
    where it is made."""

    def __init__(self, slot: ModelSlot[Predictor], title: str = "Model"):
        self.slot = slot
        self.chooser = page.chooser(("In use", "active"), title, elem_id=f"chooser-{slot.name}")
        self.banner = gr.HTML(elem_id=f"banner-{slot.name}")
        with gr.Row():
            self.back = gr.Button(
                "Roll back",
                size="sm",
                visible=False,
                elem_id=f"back-{slot.name}",
                min_width=80,
            )
            self.own = gr.Button(
                "Back to built-in",
                size="sm",
                visible=False,
                elem_id=f"own-{slot.name}",
                min_width=80,
            )
        self.hub = HubBox(slot)

    def wire(
        self,
        training: bool,
        again: Callable[..., object],
        inputs: list[Component],
        outputs: list[Component],
        **how: Unpack[page.Listening],
    ) -> None:
        """The buttons put another checkpoint in the slot, for everybody; then the question is asked
        again."""
        slot = self.slot
        for button, act in (
            (self.back, slot.roll_back),
            (self.own, lambda: slot.swap(slot.embedded_id)),
        ):
            button.click(
                _make_change(slot, act, training), None, None, api_visibility="private"
            ).then(again, inputs, outputs, **how)


def _make_change(
    slot: ModelSlot[Predictor], act: Callable[[], Held[Predictor]], training: bool
) -> Callable[[], None]:
    """What a button does that puts another checkpoint in the slot."""

    def change() -> None:
        page.refuse_unless(training)
        try:
            gr.Info(f"{slot.title} now uses {act().checkpoint.title}.")
        except SwapError as error:
            raise gr.Error(str(error)) from error

    return change


def part(
    views: list[SlotView],
    training: bool,
    others: tuple[gr.Dropdown, ...] = (),
    words: Sequence[Words] = (),
) -> Part:
    """What changes by itself of these slots; `others` are further lists of a slot's checkpoints,
    beside the first; `words`: what is said of each one's model, if anything."""
    slots = [view.slot for view in views]

    def sign(moment: Moment) -> str:
        return repr(
            [
                moment.signature,
                *((slot.active_id, slot.previous, slot.notice) for slot in slots),
                *(view.hub.sign() for view in views),
            ]
        )

    def show(_: Moment) -> list[object]:
        values: list[object] = []
        for view in views:
            slot = view.slot
            has_other = bool(slot.embedded_id) and slot.active_id != slot.embedded_id
            values += [
                gr.update(choices=page.choices(slot)),
                page.banner(slot),
                gr.update(visible=training and slot.previous is not None),
                gr.update(visible=training and has_other),
                *view.hub.show(),
            ]
        values += [gr.update(choices=[NO_OTHER, *page.choices(slots[0])[1:]]) for _ in others]
        for said, slot in zip(words, slots, strict=False):
            values += said.show(slot)
        return values

    shown = [
        component
        for view in views
        for component in (view.chooser, view.banner, view.back, view.own, *view.hub.outputs)
    ]
    said = [component for each in words for component in each.outputs]
    return Part(sign, show, [*shown, *others, *said])
