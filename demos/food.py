"""The Food tab: a photo in, a dish out; where the network looked, and what a second checkpoint
says.

The handler is plain: `classify(load_picture("lunch.jpg"))` needs no page and no server.
"""

import html
import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demos import page
from demos.answer import Answer
from demos.clock import Part
from demos.compare import Compare, Question
from demos.heat_map import overlay, where_it_looked
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot, SwapError
from training.media.pictures import PictureError, load_picture
from training.runs.checkpoint import labels

TITLE = "Food"
RECIPE = "food"
EXAMPLES = Path(__file__).parent / "examples" / "food"
EMPTY = "Bring a photo of a dish: upload it, paste it, or use the webcam."
TOP = 5
# below this share for the first answer three in four are wrong (480 of 639; 3,010 pictures held
# out)
UNSURE = 0.3


class FoodPredictor:
    """Any image-classification checkpoint, ready to answer."""

    def __init__(self, path: Path):
        import torch
        from transformers import AutoModelForImageClassification

        from training.media.picture_preprocessor import PicturePreprocessor

        self.model = load_checked(AutoModelForImageClassification, path)
        if hasattr(self.model.config, "num_attention_heads"):
            self.model.set_attn_implementation(
                "eager"
            )  # the others do not tell what they attended to
        self.model.requires_grad_(False).to(memory_format=torch.channels_last)  # as `input` is
        self.labels = labels(path)
        self.looks = PicturePreprocessor.from_checkpoint(path)
        self.trained_on = getattr(self.model.config, "trained_on", "")

    def input(self, pixels: np.ndarray) -> Any:
        """(1, 3, h, w) of (h, w, 3) uint8, as the network takes it."""
        return self.looks.normalise(self._batch(pixels))

    def _batch(self, pixels: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """(labels,) probabilities of (h, w, 3) uint8."""
        import torch

        with torch.inference_mode():
            return self.looks.predict_probabilities(self.model, self._batch(pixels))[0].numpy()

    def warm_up(self) -> np.ndarray:
        return self.scores(np.zeros((self.looks.size, self.looks.size, 3), np.uint8))


SLOTS = {"food": ModelSlot("food", FoodPredictor)}


def words(label: str) -> str:
    return label.replace("_", " ")


def classify(picture: Image.Image, checkpoint: str | None = None) -> Answer:
    """The five dishes that it looks like most. Raises SwapError with a sentence."""
    held = SLOTS["food"].get(checkpoint)
    began = time.perf_counter()
    pixels = held.predictor.looks.frame(picture)
    scores = held.predictor.scores(pixels)
    return Answer.of(held, scores, time.perf_counter() - began, pixels, words, TOP)


def heat(answer: Answer) -> np.ndarray:
    """(h, w) in 0 to 1: what counted for this answer. Raises SwapError."""
    predictor = SLOTS["food"].get(answer.checkpoint).predictor
    return where_it_looked(predictor.model, predictor.input(answer.seen))


# -- the page --------------------------------------------------------------------------------------
def classify_food(
    picture: str | None, checkpoint: str | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    """The endpoint: confidences of the five surest dishes; label, checkpoint, milliseconds."""
    opened = page.opened(picture)
    try:
        found = classify(opened, checkpoint)
    except SwapError as error:
        raise gr.Error(str(error)) from error
    return found.confidences, found.json


def _verdict(answer: Answer) -> str:
    """A sentence where the model does not know."""
    names = list(answer.confidences)
    shares = list(answer.confidences.values())
    if shares[0] >= UNSURE:
        return ""
    return page.notice(
        f"Not sure. Perhaps <b>{html.escape(names[0])}</b> ({shares[0]:.0%}) or "
        f"<b>{html.escape(names[1])}</b> ({shares[1]:.0%}); a photo with the dish alone, and "
        "large, may help."
    )


def _seen(answer: Answer, picture: Image.Image) -> str:
    laid = page.data_uri(overlay(picture, heat(answer)))
    return (
        f'{_verdict(answer)}<div class="looked"><img src="{laid}" alt="The photo, bright where the '
        'model looked">'
        f"{answer.caption('where it looked, brighter is more')}</div>"
    )


def _answer(picture: Image.Image, checkpoint: str) -> tuple[dict[str, float], str]:
    answer = classify(picture, checkpoint)
    return answer.confidences, _seen(answer, picture)


ABOUT = (
    "The embedded checkpoint knows the <b>101 dishes of Food-101</b>, from photos of 64 pixels, "
    "and its first answer is right almost six times in ten. It takes whatever you show it for one "
    "of them; teach it your pictures."
)
QUESTION = Question(EMPTY, load_picture, PictureError, _answer)


def build(training: bool) -> tuple[gr.Button, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    with gr.Row():
        with page.asking():
            photo = page.photo(
                label="A photo of a dish",
                elem_id="food-photo",
                height=320,
                sources=["upload", "clipboard", "webcam"],
            )
            gr.Examples(
                sorted(str(p) for p in EXAMPLES.glob("*.[pj]*g")), photo, label="Examples, drawn"
            )
            ask = gr.Button("What is it?", variant="primary", elem_id="ask-food")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-food")
            page.about(ABOUT)
        shown = Compare(
            SLOTS["food"],
            QUESTION,
            lambda name: page.verdict(
                UNSURE, label="Which dish?", num_top_classes=TOP, elem_id=name
            ),
        )
    changing = shown.wire(training, photo, ask)
    with gr.Row(
        visible=False
    ):  # components of their own: what they promise, whatever the page shows
        gr.Button().click(
            classify_food,
            [page.photo(label="picture"), gr.Textbox(label="checkpoint")],
            [gr.Label(num_top_classes=TOP), gr.JSON()],
            api_name="classify_food",
        )
    return tune, changing
