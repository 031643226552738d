"""The Rents tab: four numbers about a flat in, its rent out.

The handler is plain and needs no page and no server:

    predict_rent(lab.slots["rents"], 63, 2, 3, 40)
"""

import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demos import page, slot_view
from demos.clock import Part
from demos.serving.checks import check_finite
from demos.serving.lab import Lab
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot, SwapError
from demos.slot_view import SlotView

TITLE = "Rents"
RECIPE = "rents"


class RentsPredictor:
    def __init__(self, path: Path):
        from training.recipes.rents.model import RentsNet

        self.model = load_checked(RentsNet, path)

    def predict(self, flat: tuple[float, ...]) -> float:
        """Euros a month, of size, rooms, floor and age."""
        from training.recipes.rents.model import predict_rents

        return float(predict_rents(self.model, np.array([flat], np.float32))[0])

    def check(self) -> None:
        check_finite(self.predict((60, 2, 1, 50)))


Slot = ModelSlot[RentsPredictor]
SLOTS = {"rents": RentsPredictor}


def predict_rent(
    slot: Slot, *flat: float, checkpoint: str | None = None
) -> tuple[float, dict[str, Any]]:
    """Euros a month; checkpoint and milliseconds. Raises SwapError with a sentence."""
    began = time.perf_counter()
    held, rent = slot.answer(lambda predictor: predictor.predict(flat), checkpoint)
    took = 1000 * (time.perf_counter() - began)
    return round(rent), {"checkpoint": held.id, "milliseconds": round(took, 2)}


def build(lab: Lab) -> tuple[gr.Button | None, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    slot = lab.slots["rents"]

    def answer(
        size: float, rooms: float, floor: float, age: float, checkpoint: str | None = None
    ) -> tuple[float, dict[str, Any]]:
        """The rent in euros a month; checkpoint and milliseconds."""
        if None in (size, rooms, floor, age):
            raise gr.Error("Fill in all four numbers.")
        try:
            return predict_rent(slot, size, rooms, floor, age, checkpoint=checkpoint)
        except SwapError as error:
            raise gr.Error(str(error)) from error

    with gr.Row():
        with page.asking():
            flat = [
                gr.Number(value, label=label)
                for label, value in (
                    ("Size, m²", 60),
                    ("Rooms", 2),
                    ("Floor", 1),
                    ("Age, years", 50),
                )
            ]
            ask = gr.Button("What is the rent?", variant="primary")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-rents")
        with gr.Column(scale=3, min_width=260):
            view = SlotView(slot)
            shown = [gr.Number(label="Rent, € a month", interactive=False), gr.JSON(label="By")]
    inputs = [*flat, view.chooser]
    ask.click(answer, inputs, shown, api_name="predict_rent")
    view.wire(lab.training, answer, inputs, shown, api_visibility="private")
    return tune, slot_view.part([view], lab.training)
