"""The Digits & fashion tab: draw or photograph something, and two small networks say what they see.

The handler is plain and needs no page and no server:

    classify(lab.slots["digits"], load_picture("seven.png"))
"""

import html
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from PIL import Image

from demos import clock, page, slot_view, teach
from demos.answer import Answer
from demos.clock import Part
from demos.serving.alarm import Alarm
from demos.serving.checks import check_scores
from demos.serving.lab import Lab
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot, SwapError
from demos.serving.offers import Offer
from demos.serving.pictures import open_classifier
from demos.serving.uploads import claim_folder
from demos.slot_view import SlotView
from demos.tab_words import Words
from training.data.hub_model import DIGITS, PICTURES
from training.media.pictures import PictureError, load_picture
from training.runs import published
from training.runs.checkpoint import embedded, labels

if TYPE_CHECKING:  # the page starts without torch
    from training.recipes.digits.picture import Framing

TITLE = "Digits & fashion"
RECIPE = "digits"
EXAMPLES = Path(__file__).parent / "examples" / "digits"
WORDS = {"T - shirt / top": "T-shirt or top"}  # data sets' own names that a person would not write
EMPTY = "Draw a digit or a garment, or add a photo: the answers appear as you draw."
ABOUT = (
    "One built-in model knows <b>the ten digits</b>, the other <b>ten kinds of garments</b>. Each "
    "expects one thing alone in the picture; of anything else it names the nearest that it knows, "
    "and mostly says that it knows nothing like it. Fine-tune the digits model on garments, and "
    "see what it forgets."
)


class DigitsPredictor:
    """A digits checkpoint, ready to answer; or a classifier of the Hub of the same classes."""

    def __init__(self, path: Path, framing: "Framing" = "digit"):
        """`framing`: of a slot, for checkpoints that name none."""
        self.processor = None
        self.framing: Framing
        hub = published.read_own(path)
        if hub is None or hub["kind"] == DIGITS:
            from training.recipes.digits.model import DigitsNet

            self.model = load_checked(DigitsNet, path)
            self.framing = self.model.config.framing
        else:
            self.model, self.processor = open_classifier(path)
            self.framing = framing
        self.labels = labels(path)
        self.trained_on = getattr(self.model.config, "trained_on", "")
        if self.framing not in ("digit", "garment"):
            raise SwapError(
                f"its framing is {self.framing!r}, and only 'digit' and 'garment' are known"
            )
        self.alarm = Alarm(path, lambda: self.model.head)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """(labels,) probabilities of (28, 28) uint8, light on dark."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(pixels)[None, None].to(self.model.device)
            if self.processor is None:
                return self.model(x.float() / 255).logits[0].softmax(0).cpu().numpy()
            found = self.processor.predict_probabilities(self.model, x.expand(-1, 3, -1, -1))
            return found[0].cpu().numpy()

    def check(self) -> None:
        check_scores(self.scores(np.zeros((28, 28), np.uint8)), len(self.labels))


Slot = ModelSlot[DigitsPredictor]
SLOTS = {"digits": DigitsPredictor, "fashion": partial(DigitsPredictor, framing="garment")}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAMELESS = re.compile(r"label\d+")  # what transformers calls classes that nobody named


def is_called_like(slot: str, names: Sequence[str]) -> bool:
    """Whether classes are those of a slot's built-in model: most of them by their names, however
    these are written (3, three, 3 - three; T-shirt/top), or none of them has one."""
    known = labels(embedded(slot).path)
    found = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    if len(found) != len(known):
        return False
    ways = [{re.sub(r"[^a-z0-9]", "", name.lower())} for name in known]
    if slot == "digits":
        ways = [{f"{i}", word, f"{i}{word}", f"digit{i}"} for i, word in enumerate(NUMBERS)]
    meant = sum(bool(way & {*found}) for way in ways)
    return 2 * meant > len(known) or all(NAMELESS.fullmatch(name) for name in found)


HUB = {
    "digits": Offer(
        (DIGITS, PICTURES),
        ("farleyknight/mnist-digit-classification-2022-09-04",),
        "the ten digits",
        partial(is_called_like, "digits"),
    ),
    "fashion": Offer(
        (DIGITS, PICTURES), (), "the ten garments", partial(is_called_like, "fashion")
    ),
}
Framed = Answer[np.ndarray]


def classify(slot: Slot, picture: Image.Image, checkpoint: str | None = None) -> Framed:
    """What the slot's checkpoint (or another one) sees. Raises PictureError and SwapError with a
    sentence."""
    from training.recipes.digits.picture import to_28x28

    def ask(predictor: DigitsPredictor) -> tuple[np.ndarray, np.ndarray, float | None, float]:
        began = time.perf_counter()
        pixels = to_28x28(picture, predictor.framing)
        scores = predictor.scores(pixels)
        (unlikeness,) = predictor.alarm.measure()
        return pixels, scores, unlikeness, time.perf_counter() - began

    held, (pixels, scores, unlikeness, seconds) = slot.answer(ask, checkpoint)
    return Answer.of(held, scores, seconds, pixels, WORDS, unlikeness=unlikeness)


# -- the page --------------------------------------------------------------------------------------
def endpoint(slot: Slot) -> Callable[..., tuple[dict[str, float], dict[str, str | float]]]:
    """Confidences of all labels; label, checkpoint, milliseconds, and whether it is unlike all that
    was learned."""

    def answer(
        picture: str | None, checkpoint: str | None = None
    ) -> tuple[dict[str, float], dict[str, str | float]]:
        opened = page.open_picture(picture)
        try:
            found = classify(slot, opened, checkpoint)
        except (PictureError, SwapError) as error:
            raise gr.Error(str(error)) from error
        return found.confidences, found.json

    return answer


def _seen(answer: Framed) -> str:
    picture = page.data_uri(Image.fromarray(answer.seen))
    return (
        f'{answer.warn(0.0, "")}<div class="seen">'
        f'<img src="{picture}" alt="The 28 by 28 grey picture that the model sees">'
        f"{answer.caption('Model input, 28×28 pixels')}</div>"
    )


def ask_both(lab: Lab, picture: Image.Image | None, chosen: tuple[str, ...]) -> list[object]:
    """For each slot a Label value and what the model saw; a sentence in its place where there is
    none."""
    shown: list[object] = []
    for name, checkpoint in zip(SLOTS, chosen, strict=True):
        try:
            if picture is None:
                raise PictureError(EMPTY)
            answer = classify(lab.slots[name], picture, checkpoint)
            shown += [answer.bars, _seen(answer)]
        except (PictureError, SwapError) as error:
            shown += [None, page.notice(html.escape(str(error)))]
    return shown


def ask_canvas(lab: Lab, drawn: page.Drawn | None, *chosen: str) -> list[object]:
    return ask_photo(lab, drawn["composite"] if drawn else None, *chosen)


def ask_photo(lab: Lab, source: str | bytes | None, *chosen: str) -> list[object]:
    """`source`: a picture's file, or what one holds."""
    try:
        picture = load_picture(source) if source else None
    except PictureError as error:
        return [None, page.show_refusal(error)] * len(SLOTS)
    return ask_both(lab, picture, chosen)


def keep_asked(source: str | None, drawn: page.Drawn | None, path: str | None) -> str | None:
    """The file of what was asked about: the canvas, or the photo."""
    if source == "photo":
        return path
    shown = drawn["composite"] if drawn else None
    if not isinstance(shown, bytes):
        return shown
    return page.keep_content(shown, "drawing.png", claim_folder())


def build(lab: Lab) -> tuple[gr.Button | None, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    with gr.Row():
        with page.asking():
            with gr.Tabs():
                with gr.Tab("Draw") as drawing:
                    canvas = page.canvas("canvas")
                with gr.Tab("Photo") as showing:
                    photo = page.photo(
                        label="A photo of a digit or a garment",
                        elem_id="photo",
                        sources=["upload", "clipboard", "webcam"],
                        height=320,
                    )
                    gr.Examples(
                        sorted(str(p) for p in EXAMPLES.glob("*.[pj]*g")), photo, label="Examples"
                    )
            ask = gr.Button("Ask again", size="sm", elem_id="ask")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-digits")
            page.about(ABOUT)
        answers = []
        views = []
        words = []
        for name, question in (("digits", "Which digit?"), ("fashion", "Which garment?")):
            with gr.Column(scale=3, min_width=260):
                slot = lab.slots[name]
                views.append(SlotView(slot, f"Model: {slot.title.lower()}"))
                label = page.verdict(
                    0.0, label=question, num_top_classes=4, elem_id=f"label-{name}"
                )
                seen = gr.HTML(page.notice(EMPTY), elem_id=f"seen-{name}")
                answers += [label, seen]
                words.append(Words(label, question))
    choosers = [view.chooser for view in views]
    live: page.Listening = {
        "api_visibility": "private",
        "show_progress": "hidden",
        "trigger_mode": "always_last",
    }
    # Which input a new checkpoint is asked about: the canvas, or "photo".
    source = clock.make_hidden()

    def from_canvas(drawn: page.Drawn | None, *chosen: str) -> list[object]:
        return ask_canvas(lab, drawn, *chosen)

    def from_photo(path: str | None, *chosen: str) -> list[object]:
        return ask_photo(lab, path, *chosen)

    def again(
        source: str | None, drawn: page.Drawn | None, path: str | None, *chosen: str
    ) -> list[object]:
        return from_photo(path, *chosen) if source == "photo" else from_canvas(drawn, *chosen)

    # Also when the other input is turned to: what stands beside it is about what is seen.
    gr.on([canvas.change, drawing.select], from_canvas, [canvas, *choosers], answers, **live).then(
        None, None, source, js="() => 'canvas'", show_progress="hidden"
    )
    gr.on([photo.change, showing.select], from_photo, [photo, *choosers], answers, **live).then(
        None, None, source, js="() => 'photo'", show_progress="hidden"
    )
    gr.on(
        [ask.click, *(c.input for c in choosers)],
        again,
        [source, canvas, photo, *choosers],
        answers,
        **live,
    )
    for view in views:
        asked = [source, canvas, photo, *choosers]
        view.wire(lab.training, again, asked, answers, **live)
        view.hub.wire(lab, again, asked, answers, **live)
    slots = [lab.slots[name] for name in SLOTS]
    teach.build(lab, slots, [source, canvas, photo], "pictures", keep_asked, "my drawings")
    _add_endpoints(lab)
    return tune, slot_view.part(views, lab.training, words=words)


def _add_endpoints(lab: Lab) -> None:
    # components of their own: what they promise, whatever the page shows
    with gr.Row(visible=False):
        for name, api_name in (("digits", "classify_digit"), ("fashion", "classify_fashion")):
            gr.Button().click(
                endpoint(lab.slots[name]),
                [page.photo(label="picture"), gr.Textbox(label="checkpoint")],
                [gr.Label(num_top_classes=10), gr.JSON()],
                api_name=api_name,
            )
