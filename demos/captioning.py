"""The Captioning tab: a photo in, a sentence out, and where each word came from.

The handlers are plain and need no page and no server:

    caption(lab.slots["captions"], load_picture("beach.jpg"))
"""

import copy
import html
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gradio as gr
import numpy as np
from PIL import Image

from demos import page, teach
from demos.clock import Part
from demos.compare import Compare, Question
from demos.heat_map import fit, veil
from demos.serving.alarm import Alarm
from demos.serving.checks import check_scores
from demos.serving.lab import Lab
from demos.serving.loading import load_checked
from demos.serving.model_slot import Held, ModelSlot, SwapError
from demos.serving.offers import Offer
from demos.serving.writers import Writer, WritingPredictor
from demos.slot_view import NOTHING
from demos.tab_words import Words
from training.data.hub_model import CAPTIONS
from training.media.pictures import PictureError, load_picture
from training.recipes.captioning.config import BEAMS
from training.runs import checkpoint, published

if TYPE_CHECKING:  # the page starts without torch
    from torch import Tensor

TITLE = "Captioning"
RECIPE = "captioning"
EXAMPLES = Path(__file__).parent / "examples" / "captioning"
EMPTY = (
    "Add a photo: upload it, paste it, or use the webcam. Its caption appears here, word by word."
)
ALTERNATIVES = BEAMS
LONGEST = 60  # tokens that may be asked for
JOINED = "vision-encoder-decoder"  # transformers' family of an encoder and a decoder


class CaptionPredictor:
    """Any captioner of an encoder and a decoder, ready to write."""

    def __init__(self, path: Path):
        from training.recipes.captioning.model import (
            Captioner,
            CaptionPreprocessor,
            find_begin,
            find_class,
            get_decoder,
        )

        self.model = cast("Captioner", load_checked(find_class(path), path))
        self.model.requires_grad_(False)
        self.decoder = get_decoder(self.model)
        own = [*self.decoder.parameters(), *self.decoder.buffers()]
        # The same weights a second time: the slow kind of attention alone tells what it attended
        # to.
        self.teller = copy.deepcopy(self.decoder, {id(t): t for t in own})
        self.teller.set_attn_implementation("eager")
        self.preprocessor = CaptionPreprocessor.from_checkpoint(path)
        self.end = self.preprocessor.tokenizer.eos_token_id
        self.start = find_begin(self.model)
        self.trained_on = getattr(self.model.config, "trained_on", "")
        self.alarm = Alarm(path)

    def encode(self, picture: Image.Image) -> "Tensor":
        """(1, places, width), on the model's device: what the encoder makes of a picture."""
        import torch

        from training.recipes.captioning.model import encode

        preprocessor = self.preprocessor.pictures
        pixels = torch.from_numpy(preprocessor.frame(picture).copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return encode(self.model, preprocessor.normalise(pixels.to(self.model.device)))

    def judge(self, states: "Tensor") -> float | None:
        """How unlike all that was learned a picture is, above 1: like nothing."""
        (unlikeness,) = self.alarm.judge(states)
        return unlikeness

    @property
    def tokenizer(self) -> Any:
        return self.preprocessor.tokenizer

    def _ids(self, ids: list[int]) -> "Tensor":
        """(1, len(ids)), as the decoder takes them."""
        import torch

        return torch.tensor([ids], device=self.model.device)

    def text(self, ids: list[int]) -> str:
        from training.recipes.captioning.data import tidy

        return tidy(self.preprocessor.tokenizer.decode(ids, skip_special_tokens=True))

    def write(
        self, states: "Tensor", most: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[list[int]]:
        """The caption so far, a token more each time: the likeliest, or one sampled at a
        temperature."""
        import torch

        from training.recipes.captioning.model import bridge

        draw = torch.Generator().manual_seed(seed)
        ids: list[int] = []
        cache = None
        attended = bridge(self.model, states)
        # transformers 5.24 renamed it
        takes = signature(self.decoder.forward).parameters
        name = "cache" if "cache" in takes else "past_key_values"
        for _ in range(most):
            with torch.inference_mode():
                out = self.decoder(
                    input_ids=self._ids([ids[-1] if ids else self.start]),
                    use_cache=True,
                    encoder_hidden_states=attended,
                    **{name: cache},
                )
                cache = out[name]
                scores = out.logits[0, -1].cpu()  # a seed draws the same there, whatever the device
                best = (
                    torch.multinomial((scores / temperature).softmax(0), 1, generator=draw)
                    if temperature
                    else scores.argmax()
                )
            if int(best) == self.end:
                return
            ids.append(int(best))
            yield ids

    def search(self, states: "Tensor") -> list[tuple[list[int], float]]:
        """What beam search ends with, the best first: a caption and its mean log-likelihood a
        token."""
        import torch

        from training.recipes.captioning.model import generate

        with torch.inference_mode():
            out = generate(
                self.model,
                states,
                num_beams=ALTERNATIVES,
                do_sample=False,
                num_return_sequences=ALTERNATIVES,
                return_dict_in_generate=True,
                output_scores=True,
            )
        rows = [[i for i in row[1:] if i != self.end] for row in out.sequences.tolist()]
        return list(zip(rows, out.sequences_scores.tolist(), strict=True))

    def attend(self, states: "Tensor", ids: list[int]) -> np.ndarray | None:
        """(len(ids), h, w): what the decoder attended to for each token, the mean of its layers
        and heads; None where the encoder's places are no square."""
        import torch

        from training.recipes.captioning.model import bridge

        with torch.inference_mode():
            out = self.teller(
                input_ids=self._ids([self.start, *ids[:-1]]),
                output_attentions=True,
                encoder_hidden_states=bridge(self.model, states),
                use_cache=False,
            )
        layers = torch.stack([layer[0].mean(0) for layer in out.cross_attentions])
        found = layers.mean(0).cpu().numpy()
        side = int(found.shape[1] ** 0.5)  # a ViT has a place more, that of its class
        if found.shape[1] - side * side > 1:
            return None
        return found[:, -side * side :].reshape(len(ids), side, side)

    def check(self) -> None:
        """Scores every token of its vocabulary for a blank picture."""
        import torch

        from training.recipes.captioning.model import bridge

        size = self.preprocessor.pictures.size
        states = self.encode(Image.new("RGB", (size, size)))
        with torch.inference_mode():
            out = self.decoder(
                input_ids=self._ids([self.start]), encoder_hidden_states=bridge(self.model, states)
            )
        vocabulary = self.decoder.config.vocab_size
        check_scores(out.logits[0, -1].cpu().numpy(), vocabulary, "tokens")


def open_captioner(path: Path) -> Writer:
    """A checkpoint that writes about pictures, of whichever kind. Raises SwapError."""
    if not published.read_own(path) or checkpoint.config(path).get("model_type") == JOINED:
        return CaptionPredictor(path)
    return WritingPredictor(path)


Slot = ModelSlot[Writer]
SLOTS = {"captions": open_captioner}
HUB = {
    "captions": Offer(
        (CAPTIONS,),
        (
            "nlpconnect/vit-gpt2-image-captioning",
            "Salesforce/blip-image-captioning-base",
            "Salesforce/blip-image-captioning-large",
            "microsoft/git-base-coco",
            "HuggingFaceTB/SmolVLM-256M-Instruct",
        ),
    )
}


@dataclass(frozen=True)
class Caption:
    text: str
    # all of beam search's, the best first, with the mean likelihood of a token
    alternatives: list[tuple[str, float]]
    checkpoint: str
    milliseconds: float  # from the opened picture to the caption
    # How unlike all that it was taught, above 1: like nothing; None where it cannot tell.
    unlikeness: float | None = None


def caption(slot: Slot, picture: Image.Image, checkpoint: str | None = None) -> Caption:
    """The best caption that beam search finds. Raises SwapError with a sentence."""

    def ask(
        predictor: Writer,
    ) -> tuple[list[tuple[str, float]], float | None, float]:
        began = time.perf_counter()
        states = predictor.encode(picture)
        found = [
            (predictor.text(ids), float(np.exp(score))) for ids, score in predictor.search(states)
        ]
        unlikeness = predictor.judge(states)
        return found, unlikeness, time.perf_counter() - began

    held, (found, unlikeness, seconds) = slot.answer(ask, checkpoint)
    return Caption(found[0][0], found, held.id, 1000 * seconds, unlikeness)


def stream(slot: Slot, picture: Image.Image, checkpoint: str | None = None) -> Iterator[str]:
    """The greedy caption, as it grows; one empty text where it has no words. Raises SwapError."""

    def ask(held: Held[Writer]) -> Iterator[str]:
        predictor = held.predictor
        text = None
        for ids in predictor.write(predictor.encode(picture), LONGEST):
            text = predictor.text(ids)
            yield text
        if text is None:
            yield ""

    return slot.stream(ask, checkpoint)


# -- the page --------------------------------------------------------------------------------------
def endpoint(slot: Slot) -> Callable[..., tuple[str, dict[str, object]]]:
    """The best caption; its checkpoint, milliseconds, the alternatives, and whether the picture is
    unlike all that was learned."""

    def caption_picture(
        picture: str | None, checkpoint: str | None = None
    ) -> tuple[str, dict[str, object]]:
        opened = page.open_picture(picture)
        try:
            found = caption(slot, opened, checkpoint)
        except SwapError as error:
            raise gr.Error(str(error)) from error
        return found.text, {
            "checkpoint": found.checkpoint,
            "milliseconds": round(found.milliseconds, 2),
            "captions": [
                {"text": text, "likelihood": round(share, 4)} for text, share in found.alternatives
            ],
            **page.tell_unlikeness(found.unlikeness),
        }

    return caption_picture


def streaming_endpoint(slot: Slot) -> Callable[..., Iterator[str]]:
    """The greedy caption, as it grows."""

    def caption_words(picture: str | None, checkpoint: str | None = None) -> Iterator[str]:
        opened = page.open_picture(picture)
        try:
            yield from stream(slot, opened, checkpoint)
        except SwapError as error:
            raise gr.Error(str(error)) from error

    return caption_words


def _show_text(text: str, kind: str = "") -> str:
    return f'<p class="caption {kind}" aria-live="polite">{html.escape(text)}</p>'


def _show_attention(
    predictor: Writer,
    states: Any,
    ids: list[int],
    picture: Image.Image,
) -> str:
    """The photo, and each word of the caption with what was attended to for it, shown while it is
    pointed at."""
    if not ids:
        return _show_text("(no words)")
    heat = predictor.attend(states, ids)
    if heat is None:
        hint = "This model does not tell where in the photo it looked for a word."
        return f'{_show_text(predictor.text(ids))}<p class="hint">{hint}</p>'
    words: list[tuple[str, list[int]]] = []  # each with the places of its tokens
    told = ""
    for place in range(len(ids)):
        # By what it adds: tokenizers mark the beginning of a word, or else that it goes on.
        text = str(predictor.tokenizer.decode(ids[: place + 1]))
        part = text[len(told) :]
        told = text
        if not words or part[:1].isspace():
            words.append((part.strip(), [place]))
        else:
            word, places = words[-1]
            words[-1] = (word + part, [*places, place])
    spans = "".join(
        f'<span class="word" tabindex="0">{html.escape(word)}<img alt="" src="'
        f'{page.data_uri(veil(heat[places].mean(0)))}"></span> '
        for word, places in words
        if word
    )
    photo = fit(picture)
    return (
        f'<div class="attended" style="--wide: {photo.width}px; --shape: {photo.width} / '
        f'{photo.height}">'
        f'<img class="photo" src="{page.data_uri(photo, "JPEG")}" alt="The photo">'
        f'<p class="caption">{spans}</p><p class="hint">Point at a word, or tap it, to see where '
        "in the photo the model looked for it.</p></div>"
    )


def _write_all(
    held: Held[Writer],
    picture: Image.Image,
    sample: bool,
    temperature: float,
    most: int,
) -> Iterator[str]:
    """The greedy caption as it grows, then the best of beam search with its words, and the
    alternatives."""
    predictor = held.predictor
    began = time.perf_counter()
    states = predictor.encode(picture)
    unlikeness = predictor.judge(states)
    warning = page.notice(page.UNLIKE) if page.is_unlike(unlikeness) else ""
    greedy = ""
    for ids in predictor.write(states, LONGEST):
        greedy = predictor.text(ids)
        yield warning + _show_text(greedy, "growing")
    found = predictor.search(states)
    took = 1000 * (time.perf_counter() - began)
    sampled = ""
    if sample:
        seed = time.time_ns() % 2**31  # another caption each time
        *_, ids = ([], *predictor.write(states, int(most), temperature, seed))
        text = html.escape(predictor.text(ids))
        sampled = f"<li><i>sampled, T = {temperature:g}</i> {text}</li>"
    rest = "".join(
        f"<li><i>{np.exp(score):.0%}</i> {html.escape(predictor.text(ids))}</li>"
        for ids, score in found[1:]
    )
    best, score = found[0]
    about = ""
    if predictor.trained_on:
        about = f"<br>Trained on {html.escape(predictor.trained_on)}"
    if predictor.alarm.note:
        about += f"<br>{html.escape(predictor.alarm.note)}"
    yield (
        f'{warning}{_show_attention(predictor, states, best, picture)}<ul class="others">'
        f"<li><i>{np.exp(score):.0%}</i> <b>the caption above</b></li>{rest}"
        f"<li><i>greedy</i> {html.escape(greedy)}</li>{sampled}</ul>"
        '<div class="facts">Percentages: the mean probability of a token<br>'
        f"<b>{html.escape(held.checkpoint.title)}</b>, {took:.0f} ms{about}</div>"
    )


QUESTION = Question(EMPTY, load_picture, PictureError)


def ask_on_page(slot: Slot) -> Callable[..., Iterator[list[str]]]:
    """What the page asks with a photo's path, the checkpoints chosen, and the settings of
    sampling; the answers grow one after the other."""

    def ask(path: str | None, *rest: Any) -> Iterator[list[str]]:
        *chosen, sample, temperature, most = rest
        picture, shown = QUESTION.open(path, tuple(chosen))
        if picture is None:
            yield shown
            return

        def write(held: Held[Writer]) -> Iterator[str]:
            return _write_all(held, picture, sample, temperature, most)

        for place, chosen_id in enumerate(chosen):
            if chosen_id == NOTHING:
                continue
            try:
                for text in slot.stream(write, chosen_id):
                    shown[place] = text
                    yield [*shown]
            except SwapError as error:
                shown[place] = page.show_refusal(error)
                yield [*shown]

    return ask


ABOUT = (
    "The built-in model is small and was trained on <b>a few thousand photos</b>: it often finds "
    "the dog, the water or the snow, and often gets people, numbers and colours wrong. Do not rely "
    "on what it says about anybody."
)


def build(lab: Lab) -> tuple[gr.Button | None, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    slot = lab.slots["captions"]
    with gr.Row():
        with page.asking():
            photo = page.photo(
                label="A photo",
                elem_id="captioning-photo",
                height=320,
                sources=["upload", "clipboard", "webcam"],
            )
            gr.Examples(
                sorted(str(p) for p in EXAMPLES.glob("*.[pj]*g")),
                photo,
                label="Examples (drawings)",
            )
            with gr.Row():
                ask = gr.Button("Write it again", size="sm", elem_id="ask-captioning")
                stop = gr.Button("Stop", size="sm", elem_id="stop-captioning")
            with gr.Accordion("Sampling", open=False):
                sample = gr.Checkbox(label="Also write a caption by random sampling", value=False)
                temperature = gr.Slider(
                    0.2, 2.0, 0.8, step=0.1, label="Temperature T (higher: more varied)"
                )
                most = gr.Slider(5, LONGEST, 30, step=1, label="Maximum length (tokens)")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-captioning")
            about = page.about(ABOUT)
        shown = Compare(slot, EMPTY, ask_on_page(slot))
    words = Words(about=about, text=page.write_about(ABOUT))
    changing = shown.wire(lab, photo, ask, stop, (sample, temperature, most), words)
    teach.build(lab, [slot], [photo], "captions")
    # components of their own: what they promise, whatever the page shows
    with gr.Row(visible=False):
        sent = page.photo(label="picture")
        checkpoint = gr.Textbox(label="checkpoint")
        text = gr.Textbox()
        gr.Button().click(endpoint(slot), [sent, checkpoint], [text, gr.JSON()], api_name="caption")
        gr.Button().click(
            streaming_endpoint(slot), [sent, checkpoint], gr.Textbox(), api_name="caption_words"
        )
    return tune, changing
