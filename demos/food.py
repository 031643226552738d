"""The Food tab: a photo in, a dish out; where the network looked, and what a second checkpoint
says.

The handler is plain and needs no page and no server:

    classify(lab.slots["food"], load_picture("lunch.jpg"))
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from PIL import Image

from demos import page, teach
from demos.answer import Answer
from demos.clock import Part
from demos.compare import Compare, Question, ask_each
from demos.heat_map import overlay, where_it_looked
from demos.serving.alarm import Alarm
from demos.serving.checks import check_scores
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, SwapError
from demos.serving.offers import Offer
from demos.serving.pictures import open_classifier
from demos.tab_words import Words
from training.data.hub_model import PICTURES, ZERO_SHOT
from training.device import lay_out_for_pictures
from training.media.pictures import PictureError, load_picture
from training.runs.checkpoint import labels

if TYPE_CHECKING:  # the page starts without torch
    from torch import Tensor

TITLE = "Food"
RECIPE = "food"
EXAMPLES = Path(__file__).parent / "examples" / "food"
EMPTY = "Add a photo of a dish: upload it, paste it, or use the webcam."
TOP = 5
# below this share for the first answer three in four are wrong (480 of 639; 3,010 pictures held
# out)
UNSURE = 0.3


class FoodPredictor:
    """Any image-classification checkpoint, ready to answer."""

    def __init__(self, path: Path):
        from training.learn.heads import find_head

        self.model, self.preprocessor = open_classifier(path)
        if hasattr(self.model.config, "num_attention_heads"):
            # The other implementations do not tell what they attended to; some have no such one.
            with contextlib.suppress(ValueError):
                self.model.set_attn_implementation("eager")
        self.model.requires_grad_(False)
        lay_out_for_pictures(self.model)
        self.labels = labels(path)
        self.trained_on = getattr(self.model.config, "trained_on", "")
        self.alarm = Alarm(path, lambda: find_head(self.model))

    def input(self, pixels: np.ndarray) -> "Tensor":
        """(1, 3, h, w) of (h, w, 3) uint8, as the network takes it, on its device."""
        return self.preprocessor.normalise(self._batch(pixels))

    def _batch(self, pixels: np.ndarray) -> "Tensor":
        import torch

        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(self.model.device)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """(labels,) probabilities of (h, w, 3) uint8."""
        import torch

        with torch.inference_mode():
            return (
                self.preprocessor.predict_probabilities(self.model, self._batch(pixels))[0]
                .cpu()
                .numpy()
            )

    def check(self) -> None:
        blank = np.zeros((self.preprocessor.size, self.preprocessor.size, 3), np.uint8)
        check_scores(self.scores(blank), len(self.labels))


Slot = ModelSlot[FoodPredictor]
SLOTS = {"food": FoodPredictor}
HUB = {
    "food": Offer(
        (PICTURES, ZERO_SHOT),
        (
            "nateraw/food",
            "openai/clip-vit-base-patch32",
            "google/siglip-base-patch16-224",
            "google/vit-base-patch16-224",
            "microsoft/resnet-50",
            "timm/tf_efficientnet_lite0.in1k",
        ),
    )
}
Framed = Answer[np.ndarray]


def classify(slot: Slot, picture: Image.Image, checkpoint: str | None = None) -> Framed:
    """The five dishes that it looks like most. Raises SwapError with a sentence."""

    def ask(predictor: FoodPredictor) -> tuple[np.ndarray, np.ndarray, float | None, float]:
        began = time.perf_counter()
        pixels = predictor.preprocessor.frame(picture)
        scores = predictor.scores(pixels)
        (unlikeness,) = predictor.alarm.measure()
        return pixels, scores, unlikeness, time.perf_counter() - began

    held, (pixels, scores, unlikeness, seconds) = slot.answer(ask, checkpoint)
    return Answer.of(held, scores, seconds, pixels, top=TOP, unlikeness=unlikeness)


def heat(slot: Slot, answer: Framed) -> np.ndarray | None:
    """(h, w) in 0 to 1: what counted for this answer; None where the model does not tell. Raises
    SwapError."""

    def ask(predictor: FoodPredictor) -> np.ndarray | None:
        return where_it_looked(predictor.model, predictor.input(answer.seen))

    return slot.answer(ask, answer.checkpoint)[1]


# -- the page --------------------------------------------------------------------------------------
def endpoint(slot: Slot) -> Callable[..., tuple[dict[str, float], dict[str, str | float]]]:
    """Confidences of the five surest dishes; label, checkpoint, milliseconds, and whether it is
    unlike all that was learned."""

    def classify_food(
        picture: str | None, checkpoint: str | None = None
    ) -> tuple[dict[str, float], dict[str, str | float]]:
        opened = page.open_picture(picture)
        try:
            found = classify(slot, opened, checkpoint)
        except SwapError as error:
            raise gr.Error(str(error)) from error
        return found.confidences, found.json

    return classify_food


def _verdict(answer: Framed) -> str:
    """A sentence where the model does not know."""
    return answer.warn(UNSURE, "A photo in which the dish is alone and large may help.")


def _seen(answer: Framed, picture: Image.Image, heat_map: np.ndarray | None) -> str:
    if heat_map is None:
        return (
            f'{_verdict(answer)}<div class="looked">'
            f"{answer.caption('This model does not tell where it looked.')}</div>"
        )
    laid = page.data_uri(overlay(picture, heat_map))
    return (
        f'{_verdict(answer)}<div class="looked"><img src="{laid}" alt="The photo, bright where the '
        'model looked">'
        f"{answer.caption('Where it looked: brighter is more')}</div>"
    )


ABOUT = (
    "The built-in model knows the <b>101 dishes of Food-101</b>. It was trained on photos of 64 "
    "pixels, and its first answer is right almost six times in ten. Shown anything "
    "else, it names the nearest of these dishes, and often says that it knows nothing like it; "
    "fine-tune it on your own pictures."
)
ASKED = "Which dish?"
ASKING = ("A photo of a dish", "A photo")  # the built-in model's classes, and any others
QUESTION = Question(EMPTY, load_picture, PictureError)


def ask_on_page(slot: Slot) -> Callable[..., list[object]]:
    """What the page asks with a photo's path and the checkpoints chosen."""

    def answer(picture: Image.Image, checkpoint: str) -> tuple[dict[str, float], str]:
        found = classify(slot, picture, checkpoint)
        return found.bars, _seen(found, picture, heat(slot, found))

    def ask(path: str | None, *chosen: str) -> list[object]:
        return ask_each(QUESTION, answer, path, *chosen)

    return ask


def build(lab: Lab) -> tuple[gr.Button | None, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    slot = lab.slots["food"]
    with gr.Row():
        with page.asking():
            photo = page.photo(
                label=ASKING[0],
                elem_id="food-photo",
                height=320,
                sources=["upload", "clipboard", "webcam"],
            )
            examples = gr.Examples(
                sorted(str(p) for p in EXAMPLES.glob("*.[pj]*g")),
                photo,
                label="Examples (drawings)",
            )
            ask = gr.Button("Ask again", size="sm", elem_id="ask-food")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-food")
            about = page.about(ABOUT)
        shown = Compare(
            slot,
            EMPTY,
            ask_on_page(slot),
            lambda name: page.verdict(UNSURE, label=ASKED, num_top_classes=TOP, elem_id=name),
        )
    words = Words(
        shown.bars, ASKED, about, page.write_about(ABOUT), examples.dataset, photo, ASKING
    )
    changing = shown.wire(lab, photo, ask, words=words)
    teach.build(lab, [slot], [photo], "pictures")
    # components of their own: what they promise, whatever the page shows
    with gr.Row(visible=False):
        gr.Button().click(
            endpoint(slot),
            [page.photo(label="picture"), gr.Textbox(label="checkpoint")],
            [gr.Label(num_top_classes=TOP), gr.JSON()],
            api_name="classify_food",
        )
    return tune, changing
