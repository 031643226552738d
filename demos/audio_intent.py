"""The Audio intent tab: say what you want of your bank, and see what was meant; or any other
classes of sounds.

The handler is plain: `classify(load_sound("call.mp3"))` needs no page and no server.
"""

import html
import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demos import page
from demos.answer import Answer
from demos.clock import Part
from demos.compare import Compare, Question
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot, SwapError
from training.media.sounds import Sound, SoundError, load_sound
from training.runs.checkpoint import labels

TITLE = "Audio intent"
RECIPE = "audio_intent"
EXAMPLES = Path(__file__).parent / "examples" / "audio_intent"
EMPTY = "Record what you would say to your bank, or bring a sound file: the intent appears here."
TOP = 5
UNSURE = 0.5
RATE = 16_000
# a recording so many times as long as what a checkpoint has learned from is heard in windows
LONG = 1.5
QUIET = 0.05  # windows whose RMS is below this share of the loudest one's are not asked
AT_ONCE = 16  # windows
WORDS = {
    "abroad": "use the card abroad",
    "address": "change the address",
    "app_error": "an error in the app",
    "atm_limit": "limit at cash machines",
    "balance": "account balance",
    "business_loan": "a business loan",
    "card_issues": "trouble with the card",
    "cash_deposit": "deposit cash",
    "direct_debit": "a direct debit",
    "freeze": "freeze the card or account",
    "high_value_payment": "a payment of a high sum",
    "joint_account": "a joint account",
    "latest_transactions": "latest transactions",
    "pay_bill": "pay a bill",
}


class AudioPredictor:
    """Any audio-classification checkpoint, ready to answer."""

    def __init__(self, path: Path):
        from transformers import AutoModelForAudioClassification

        from training.recipes.audio_intent.model import Ear

        self.model = load_checked(AutoModelForAudioClassification, path)
        self.model.requires_grad_(False)
        self.labels = labels(path)
        self.ear = Ear.of(path)
        if self.ear.rate != RATE:
            raise SwapError(f"it hears {self.ear.rate:,} samples a second, and this tab {RATE:,}")
        self.seconds = float(getattr(self.model.config, "seconds", 30.0))
        self.trained_on = getattr(self.model.config, "trained_on", "")

    def scores(self, clips: list[np.ndarray]) -> np.ndarray:
        """(N, labels) probabilities of N clips of float32, of one length."""
        import torch

        with torch.inference_mode():
            return self.model(**self.ear.inputs(clips)).logits.float().softmax(1).numpy()

    def warm_up(self) -> np.ndarray:
        return self.scores([np.random.default_rng(0).uniform(-0.1, 0.1, RATE).astype(np.float32)])[
            0
        ]


SLOTS = {"audio": ModelSlot("audio", AudioPredictor)}


def words(label: str) -> str:
    return WORDS.get(label, label.replace("_", " "))


def windows(count: int, seconds: float) -> list[tuple[int, int]]:
    """Where a recording of `count` samples is heard: (start, end), as a whole or in halves that
    overlap."""
    size = round(seconds * RATE)
    if count <= LONG * size:
        return [(0, count)]
    starts = list(range(0, count - size, size // 2)) + [count - size]
    return [(start, start + size) for start in starts]


def classify(sound: Sound, checkpoint: str | None = None) -> Answer:
    """The five intents that it sounds like most; `seen` is (start, end) in seconds of the window
    that decided. Raises SwapError with a sentence."""
    held = SLOTS["audio"].get(checkpoint)
    began = time.perf_counter()
    places = windows(len(sound.samples), held.predictor.seconds)
    loud = [float(np.sqrt(np.mean(np.square(sound.samples[a:b])))) for a, b in places]
    places = [
        place for place, level in zip(places, loud, strict=True) if level >= QUIET * max(loud)
    ]
    scores = np.concatenate(
        [
            held.predictor.scores([sound.samples[a:b] for a, b in places[low : low + AT_ONCE]])
            for low in range(0, len(places), AT_ONCE)
        ]
    )
    best = int(scores.max(1).argmax())
    return Answer.of(
        held,
        scores[best],
        time.perf_counter() - began,
        tuple(at / RATE for at in places[best]),
        words,
        TOP,
    )


# -- the page --------------------------------------------------------------------------------------
def classify_audio(
    recording: str | None, checkpoint: str | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    """The endpoint: confidences of the five surest intents; label, checkpoint, milliseconds, the
    window that decided and what is odd about the recording."""
    if not recording:
        raise gr.Error("There is no recording: send one as a file.")
    try:
        sound = load_sound(recording, RATE)
        found = classify(sound, checkpoint)
    except (SoundError, SwapError) as error:
        raise gr.Error(str(error)) from error
    return found.confidences, {**found.json, "window": list(found.seen), "notes": sound.notes}


def _heard(answer: Answer, sound: Sound) -> str:
    from training.media.sound_pictures import spectrogram_picture, waveform_picture

    sure, first, second = next(iter(answer.confidences.values())), *list(answer.confidences)[:2]
    verdict = (
        ""
        if sure >= UNSURE
        else page.notice(
            f"Not sure. Perhaps <b>{html.escape(first)}</b> or <b>{html.escape(second)}</b>; a "
            "whole sentence that names what you want may help."
        )
    )
    start, end = answer.seen
    whole = sound.seconds
    mark = (
        ""
        if end - start >= whole - 0.01
        else (f'<i style="left:{start / whole:.2%};width:{(end - start) / whole:.2%}"></i>')
    )
    which = (
        f"decided by {start:.1f} to {end:.1f} s of {whole:.1f} s"
        if mark
        else f"{whole:.1f} s, heard as a whole"
    )
    notes = "".join(f"<br>{html.escape(note)}" for note in sound.notes)
    wave, tones = (
        page.data_uri(draw(sound.samples, RATE)) for draw in (waveform_picture, spectrogram_picture)
    )
    return (
        f'{verdict}<div class="heard"><div class="sound"><img src="{wave}" alt="Waveform of what '
        'was heard">'
        f'<img src="{tones}" alt="Spectrogram of what was heard, low tones at the '
        f'bottom">{mark}</div>'
        f"{answer.caption(which + notes)}</div>"
    )


def _answer(sound: Sound, checkpoint: str) -> tuple[dict[str, float], str]:
    answer = classify(sound, checkpoint)
    return answer.confidences, _heard(answer, sound)


QUESTION = Question(EMPTY, lambda path: load_sound(path, RATE), SoundError, _answer)
ABOUT = (
    "The embedded checkpoint was trained on <b>synthesised speech</b> alone: it knows no person's "
    "voice yet. Expect mistakes with yours, most of all with accents and noise around you; "
    "fine-tune it on people's voices."
)


def build(training: bool) -> tuple[gr.Button, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    with gr.Row():
        with page.asking():
            recording = page.recording(
                label="Ask your bank", elem_id="audio-recording", sources=["microphone", "upload"]
            )
            examples = sorted(EXAMPLES.glob("*.mp3"))
            gr.Examples(
                [str(p) for p in examples],
                recording,
                label="Examples, synthesised",
                example_labels=[WORDS[p.stem] for p in examples],
            )
            ask = gr.Button("What was meant?", variant="primary", elem_id="ask-audio")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-audio")
            page.about(ABOUT)
        shown = Compare(
            SLOTS["audio"],
            QUESTION,
            lambda name: page.verdict(
                UNSURE, label="What was meant?", num_top_classes=TOP, elem_id=name
            ),
        )
    changing = shown.wire(training, recording, ask)
    with gr.Row(
        visible=False
    ):  # components of their own: what they promise, whatever the page shows
        gr.Button().click(
            classify_audio,
            [page.recording(label="recording"), gr.Textbox(label="checkpoint")],
            [gr.Label(num_top_classes=TOP), gr.JSON()],
            api_name="classify_audio",
        )
    return tune, changing
