"""The Captioning tab: a photo in, a sentence out, and where each word came from.

The handlers are plain: `caption(load_picture("beach.jpg"))` needs no page and no server.
"""

import copy
import html
import time
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demos import page
from demos.clock import Part
from demos.compare import Compare, Question
from demos.heat_map import fitted, veil
from demos.serving.loading import load_checked
from demos.serving.model_slot import Held, ModelSlot, SwapError
from demos.slot_view import NOTHING
from training.media.pictures import PictureError, load_picture
from training.recipes.captioning.config import BEAMS

TITLE = "Captioning"
RECIPE = "captioning"
EXAMPLES = Path(__file__).parent / "examples" / "captioning"
EMPTY = (
    "Bring a photo: upload it, paste it, or use the webcam. Its caption appears here, word by word."
)
ALTERNATIVES = BEAMS
LONGEST = 60  # words that may be asked for


class CaptionPredictor:
    """Any captioner of an encoder and a decoder, ready to write."""

    def __init__(self, path: Path):
        from transformers import VisionEncoderDecoderModel

        from training.recipes.captioning.model import Eye

        self.model = load_checked(VisionEncoderDecoderModel, path)
        self.model.requires_grad_(False)
        own = [*self.model.decoder.parameters(), *self.model.decoder.buffers()]
        # The same weights a second time: the slow kind of attention alone tells what it attended
        # to.
        self.teller = copy.deepcopy(self.model.decoder, {id(t): t for t in own})
        self.teller.set_attn_implementation("eager")
        self.eye = Eye.of(path)
        self.end = self.eye.tokenizer.eos_token_id
        self.start = self.model.config.decoder_start_token_id
        self.labels = [str(i) for i in range(self.model.decoder.config.vocab_size)]
        self.trained_on = getattr(self.model.config, "trained_on", "")

    def states(self, pixels: np.ndarray) -> Any:
        """(1, places, width): what the encoder makes of (S, S, 3) uint8."""
        import torch

        from training.recipes.captioning.model import seen

        with torch.inference_mode():
            x = self.eye.looks.normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
            return seen(self.model, x)

    def text(self, ids: list[int]) -> str:
        from training.recipes.captioning.data import tidy

        return tidy(self.eye.tokenizer.decode(ids, skip_special_tokens=True))

    def written(
        self, states: Any, most: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[list[int]]:
        """The caption so far, a word's part at a time: the likeliest each time, or drawn at a
        temperature."""
        import torch

        from training.recipes.captioning.model import bridged

        draw = torch.Generator().manual_seed(seed)
        ids = []
        cache = None
        attended = bridged(self.model, states)
        # transformers 5.24 renamed it
        name = (
            "cache"
            if "cache" in signature(self.model.decoder.forward).parameters
            else "past_key_values"
        )
        for _ in range(most):
            with torch.inference_mode():
                out = self.model.decoder(
                    input_ids=torch.tensor([[ids[-1] if ids else self.start]]),
                    use_cache=True,
                    encoder_hidden_states=attended,
                    **{name: cache},
                )
                cache = out[name]
                scores = out.logits[0, -1]
                best = (
                    torch.multinomial((scores / temperature).softmax(0), 1, generator=draw)
                    if temperature
                    else scores.argmax()
                )
            if int(best) == self.end:
                return
            ids.append(int(best))
            yield ids

    def best(self, states: Any) -> list[tuple[list[int], float]]:
        """What beam search ends with, the best first: a caption and its mean log-likelihood a
        word."""
        import torch

        from training.recipes.captioning.model import for_generate

        with torch.inference_mode():
            out = self.model.generate(
                **for_generate(self.model, states),
                num_beams=ALTERNATIVES,
                do_sample=False,
                num_return_sequences=ALTERNATIVES,
                return_dict_in_generate=True,
                output_scores=True,
            )
        rows = [[i for i in row[1:] if i != self.end] for row in out.sequences.tolist()]
        return list(zip(rows, out.sequences_scores.tolist(), strict=True))

    def attended(self, states: Any, ids: list[int]) -> np.ndarray:
        """(len(ids), h, w): what the decoder attended to for each part of a word, the mean of its
        layers and heads."""
        import torch

        from training.recipes.captioning.model import bridged

        with torch.inference_mode():
            out = self.teller(
                input_ids=torch.tensor([[self.start, *ids[:-1]]]),
                output_attentions=True,
                encoder_hidden_states=bridged(self.model, states),
                use_cache=False,
            )
        found = torch.stack([layer[0].mean(0) for layer in out.cross_attentions]).mean(0).numpy()
        side = int(found.shape[1] ** 0.5)  # a ViT has a place more, that of its class
        return found[:, -side * side :].reshape(len(ids), side, side)

    def warm_up(self) -> np.ndarray:
        import torch

        from training.recipes.captioning.model import bridged

        states = self.states(np.zeros((self.eye.looks.size, self.eye.looks.size, 3), np.uint8))
        with torch.inference_mode():
            return (
                self.model.decoder(
                    input_ids=torch.tensor([[self.start]]),
                    encoder_hidden_states=bridged(self.model, states),
                )
                .logits[0, -1]
                .numpy()
            )


SLOTS = {"captions": ModelSlot("captions", CaptionPredictor)}


@dataclass(frozen=True)
class Caption:
    text: str
    alternatives: list[
        tuple[str, float]
    ]  # all of beam search's, the best first, with the mean likelihood a word
    checkpoint: str
    milliseconds: float  # from the opened picture to the caption


def caption(picture: Image.Image, checkpoint: str | None = None) -> Caption:
    """The best caption that beam search finds. Raises SwapError with a sentence."""
    held, states, began = _looked(picture, checkpoint)
    found = [
        (held.predictor.text(ids), float(np.exp(score)))
        for ids, score in held.predictor.best(states)
    ]
    return Caption(found[0][0], found, held.id, 1000 * (time.perf_counter() - began))


def _looked(picture: Image.Image, checkpoint: str | None) -> tuple[Held, Any, float]:
    held = SLOTS["captions"].get(checkpoint)
    began = time.perf_counter()
    return held, held.predictor.states(held.predictor.eye.looks.frame(picture)), began


# -- the page --------------------------------------------------------------------------------------
def caption_picture(
    picture: str | None, checkpoint: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The endpoint: the best caption; its checkpoint, milliseconds, and the alternatives."""
    opened = page.opened(picture)
    try:
        found = caption(opened, checkpoint)
    except SwapError as error:
        raise gr.Error(str(error)) from error
    return found.text, {
        "checkpoint": found.checkpoint,
        "milliseconds": round(found.milliseconds, 2),
        "captions": [
            {"text": text, "likelihood": round(share, 4)} for text, share in found.alternatives
        ],
    }


def caption_words(picture: str | None, checkpoint: str | None = None) -> Iterator[str]:
    """The endpoint that streams: the greedy caption, as it grows."""
    opened = page.opened(picture)
    try:
        held, states, _ = _looked(opened, checkpoint)
    except SwapError as error:
        raise gr.Error(str(error)) from error
    text = None
    for ids in held.predictor.written(states, LONGEST):
        text = held.predictor.text(ids)
        yield text
    if text is None:
        yield ""


def _written(text: str, kind: str = "") -> str:
    return f'<p class="caption {kind}" aria-live="polite">{html.escape(text)}</p>'


def _attended(held: Held, states: Any, ids: list[int], picture: Image.Image) -> str:
    """The photo, and each word of the caption with what was attended to for it, shown while it is
    pointed at."""
    if not ids:
        return _written("(nothing)")
    heat = held.predictor.attended(states, ids)
    words = []
    for place, token in enumerate(ids):
        part = held.predictor.eye.tokenizer.decode([token])
        if not words or part[:1].isspace():
            words.append((part.strip(), []))
        else:
            words[-1] = (words[-1][0] + part, words[-1][1])
        words[-1][1].append(place)
    spans = "".join(
        f'<span class="word" tabindex="0">{html.escape(word)}<img alt="" src="'
        f'{page.data_uri(veil(heat[places].mean(0)))}"></span> '
        for word, places in words
        if word
    )
    photo = fitted(picture)
    return (
        f'<div class="told" style="--wide: {photo.width}px; --shape: {photo.width} / '
        f'{photo.height}">'
        f'<img class="photo" src="{page.data_uri(photo, "JPEG")}" alt="The photo">'
        f'<p class="caption">{spans}</p><p class="hint">Point at a word, or tap it, to see on the '
        "photo what was "
        "attended to for it.</p></div>"
    )


def _answer(
    picture: Image.Image, checkpoint: str, draw: bool, temperature: float, most: int
) -> Iterator[str]:
    """The greedy caption as it grows, then the best of beam search with its words, and the
    alternatives."""
    held, states, began = _looked(picture, checkpoint)
    greedy = ""
    for ids in held.predictor.written(states, LONGEST):
        greedy = held.predictor.text(ids)
        yield _written(greedy, "growing")
    found = held.predictor.best(states)
    took = 1000 * (time.perf_counter() - began)
    drawn = ""
    if draw:
        *_, ids = (
            [],
            *held.predictor.written(states, int(most), temperature, time.time_ns() % 2**31),
        )
        drawn = f"<li><i>drawn at {temperature:g}</i> {html.escape(held.predictor.text(ids))}</li>"
    rest = "".join(
        f"<li><i>{np.exp(score):.0%}</i> {html.escape(held.predictor.text(ids))}</li>"
        for ids, score in found[1:]
    )
    about = (
        f"<br>trained on {html.escape(held.predictor.trained_on)}"
        if held.predictor.trained_on
        else ""
    )
    yield (
        f"{_attended(held, states, found[0][0], picture)}<ul "
        f'class="others"><li><i>{np.exp(found[0][1]):.0%}</i> '
        f"<b>the caption above</b></li>{rest}<li><i>greedy</i> "
        f"{html.escape(greedy)}</li>{drawn}</ul>"
        f'<div class="facts">percent: how likely the model finds each word, on average<br>'
        f"<b>{html.escape(held.name)}</b>, {took:.0f} ms{about}</div>"
    )


class Telling(Question):
    """Answers that grow."""

    def answers(self, path: str | None, *rest: Any) -> Iterator[list[Any]]:
        *chosen, draw, temperature, most = rest
        picture, shown = self.opened(path, tuple(chosen))
        if picture is None:
            yield shown
            return
        for place, checkpoint in enumerate(chosen):
            if checkpoint == NOTHING:
                continue
            try:
                for text in self.answer(picture, checkpoint, draw, temperature, most):
                    shown[place] = text
                    yield [*shown]
            except SwapError as error:
                shown[place] = page.refused(error)
                yield [*shown]


QUESTION = Telling(EMPTY, load_picture, PictureError, _answer)
ABOUT = (
    "The embedded checkpoint is small and has seen <b>a few thousand photos</b>: it often finds "
    "the dog, the water or the snow, and often gets people, numbers and colours wrong. Do not rely "
    "on what it says of anybody."
)


def build(training: bool) -> tuple[gr.Button, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    with gr.Row():
        with page.asking():
            photo = page.photo(
                label="A photo",
                elem_id="captioning-photo",
                height=320,
                sources=["upload", "clipboard", "webcam"],
            )
            gr.Examples(
                sorted(str(p) for p in EXAMPLES.glob("*.[pj]*g")), photo, label="Examples, drawn"
            )
            with gr.Row():
                ask = gr.Button("Write a caption", variant="primary", elem_id="ask-captioning")
                stop = gr.Button("Stop", elem_id="stop-captioning")
            with gr.Accordion("Sampling", open=False):
                draw = gr.Checkbox(label="Also draw a caption at random", value=False)
                temperature = gr.Slider(
                    0.2, 2.0, 0.8, step=0.1, label="Temperature: higher is bolder"
                )
                most = gr.Slider(
                    5, LONGEST, 30, step=1, label="Longest, in the model's parts of words"
                )
            tune = gr.Button("Fine-tune this model →", elem_id="tune-captioning")
            page.about(ABOUT)
        shown = Compare(SLOTS["captions"], QUESTION)
    changing = shown.wire(training, photo, ask, stop, (draw, temperature, most))
    with gr.Row(
        visible=False
    ):  # components of their own: what they promise, whatever the page shows
        sent = page.photo(label="picture")
        checkpoint = gr.Textbox(label="checkpoint")
        text = gr.Textbox()
        gr.Button().click(
            caption_picture, [sent, checkpoint], [text, gr.JSON()], api_name="caption"
        )
        gr.Button().click(caption_words, [sent, checkpoint], gr.Textbox(), api_name="caption_words")
    return tune, changing
