"""What a tab shows of a slot: which checkpoint answers, what the last run did to it, and the ways back."""
from collections.abc import Callable
from typing import Any

import gradio as gr

from demos import page
from demos.clock import Part
from demos.model_slot import ModelSlot, SwapError

NOTHING = "nothing"   # no second checkpoint to compare with


class SlotView:
    """A chooser, a banner, Roll back and Back to embedded, laid out where it is made."""

    def __init__(self, slot: ModelSlot):
        self.slot = slot
        self.chooser = page.chooser("active", "Answered by", elem_id=f"chooser-{slot.name}")
        self.banner = gr.HTML(elem_id=f"banner-{slot.name}")
        with gr.Row():
            self.back = gr.Button("Roll back", size="sm", visible=False, elem_id=f"back-{slot.name}")
            self.own = gr.Button("Back to embedded", size="sm", visible=False, elem_id=f"own-{slot.name}")

    def wire(self, training: bool, again: Callable[..., Any], inputs: list[Any], outputs: list[Any],
             **how: Any) -> None:
        """The buttons put another checkpoint in the slot, for everybody; then the question is asked again."""
        slot = self.slot
        for button, act in ((self.back, slot.roll_back), (self.own, lambda: slot.swap(f"embedded-{slot.name}"))):
            button.click(_change(slot, act, training), None, None, api_visibility="private").then(
                again, inputs, outputs, **how)


def _change(slot: ModelSlot, act: Any, training: bool) -> Any:
    def change() -> None:
        page.refuse_unless(training)
        try:
            gr.Info(f"{slot.name}: {act().name} answers now.")
        except SwapError as error:
            raise gr.Error(str(error)) from error
    return change


def part(views: list[SlotView], training: bool, others: tuple[gr.Dropdown, ...] = ()) -> Part:
    """What changes by itself of these slots; `others` are further lists of a slot's checkpoints, beside the first."""
    def state() -> list[tuple[list[tuple[str, str]], str, bool, bool]]:
        """Choices, banner, whether it can roll back, and go back to the embedded one."""
        return [(page.choices(s), page.banner(s), s.previous is not None, s.active_id != f"embedded-{s.name}")
                for s in (view.slot for view in views)]

    def show(_: str | None) -> list[Any]:
        values: list[Any] = []
        for choices, banner, earlier, other in (now := state()):
            values += [gr.update(choices=choices), banner, gr.update(visible=training and earlier),
                       gr.update(visible=training and other)]
        return values + [gr.update(choices=[(NOTHING, NOTHING), *now[0][0][1:]]) for _ in others]

    shown = [c for view in views for c in (view.chooser, view.banner, view.back, view.own)]
    return Part(lambda _: repr(state()), show, [*shown, *others])
