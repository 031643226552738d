"""The Audio intent tab: say what you want of your bank, and see what was meant; or any other
classes of sounds.

The handler is plain and needs no page and no server:

    classify(lab.slots["audio"], load_sound("call.mp3", RATE))
"""

import html
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np

from demos import page, teach
from demos.answer import Answer
from demos.clock import Part
from demos.compare import Compare, Question, ask_each
from demos.serving.alarm import Alarm
from demos.serving.checks import check_scores
from demos.serving.lab import Lab
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot, SwapError
from demos.serving.offers import Offer
from demos.tab_words import Words
from training.data.hub_model import SOUNDS
from training.media.sounds import Sound, SoundError, load_sound
from training.runs.checkpoint import labels
from training.wording import sentence

TITLE = "Audio intent"
RECIPE = "audio_intent"
EXAMPLES = Path(__file__).parent / "examples" / "audio_intent"
EMPTY = "Record what you would say to your bank, or add a sound file: the intent appears here."
TOP = 5
UNSURE = 0.5
RATE = 16_000
# a recording so many times as long as what a checkpoint has learned from is heard in windows
LONG = 1.5
QUIET = 0.05  # windows whose RMS is below this share of the loudest one's are not asked
AT_ONCE = 16  # windows
# Of MInDS-14 and the sample, all of them: another data set's class of such a name is its own.
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

        from training.learn.heads import find_head
        from training.recipes.audio_intent.model import SoundPreprocessor

        self.model = load_checked(AutoModelForAudioClassification, path)
        self.model.requires_grad_(False)
        self.labels = labels(path)
        self.preprocessor = SoundPreprocessor.from_checkpoint(path)
        self.seconds = float(getattr(self.model.config, "seconds", self.preprocessor.window))
        self.trained_on = getattr(self.model.config, "trained_on", "")
        self.alarm = Alarm(path, lambda: find_head(self.model))

    def scores(self, clips: list[np.ndarray]) -> np.ndarray:
        """(N, labels) probabilities of N clips of float32, of one length, RATE samples a second."""
        import soxr
        import torch

        rate = self.preprocessor.rate
        if rate != RATE:
            clips = [soxr.resample(clip, RATE, rate) for clip in clips]
        with torch.inference_mode():
            inputs = self.preprocessor.prepare(clips)
            inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
            return self.model(**inputs).logits.float().softmax(1).cpu().numpy()

    def check(self) -> None:
        # noise, since some networks divide by how loud a clip is, and nothing is silent
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, RATE).astype(np.float32)
        check_scores(self.scores([noise])[0], len(self.labels))


Slot = ModelSlot[AudioPredictor]
SLOTS = {"audio": AudioPredictor}
HUB = {
    "audio": Offer(
        (SOUNDS,),
        (
            "anton-l/xtreme_s_xlsr_300m_minds14",
            "MIT/ast-finetuned-audioset-10-10-0.4593",
            "superb/wav2vec2-base-superb-ks",
            "superb/hubert-base-superb-er",
            "sanchit-gandhi/whisper-medium-fleurs-lang-id",
        ),
    )
}
Heard = Answer[tuple[float, float]]


def windows(count: int, seconds: float) -> list[tuple[int, int]]:
    """Where a recording of `count` samples is heard: (start, end), as a whole or in halves that
    overlap."""
    size = round(seconds * RATE)
    if count <= LONG * size:
        return [(0, count)]
    starts = list(range(0, count - size, size // 2)) + [count - size]
    return [(start, start + size) for start in starts]


def classify(slot: Slot, sound: Sound, checkpoint: str | None = None) -> Heard:
    """The five intents that it sounds like most; `seen` is (start, end) in seconds of the window
    that decided. Raises SwapError with a sentence."""

    def ask(
        predictor: AudioPredictor,
    ) -> tuple[np.ndarray, float | None, tuple[float, float], float]:
        began = time.perf_counter()
        places = _loud_windows(sound.samples, predictor.seconds)
        parts = []
        unlike: list[float | None] = []
        for low in range(0, len(places), AT_ONCE):
            some = [sound.samples[a:b] for a, b in places[low : low + AT_ONCE]]
            parts.append(predictor.scores(some))
            unlike += predictor.alarm.measure(len(some))
        scores = np.concatenate(parts)
        sure = scores.max(1)
        # A window of what it was never taught decides only where there is no other.
        sure = sure - np.array([page.is_unlike(each) for each in unlike])
        best = int(sure.argmax())
        start, end = places[best]
        seen = (start / RATE, end / RATE)
        return scores[best], unlike[best], seen, time.perf_counter() - began

    held, (scores, unlikeness, seen, seconds) = slot.answer(ask, checkpoint)
    return Answer.of(held, scores, seconds, seen, WORDS, TOP, unlikeness)


def _loud_windows(samples: np.ndarray, seconds: float) -> list[tuple[int, int]]:
    """Those that are not quiet against the loudest one: of silence a network says anything."""
    places = windows(len(samples), seconds)
    levels = [float(np.sqrt(np.mean(np.square(samples[a:b])))) for a, b in places]
    least = QUIET * max(levels)
    return [place for place, level in zip(places, levels, strict=True) if level >= least]


# -- the page --------------------------------------------------------------------------------------
def endpoint(slot: Slot) -> Callable[..., tuple[dict[str, float], dict[str, object]]]:
    """Confidences of the five surest intents; label, checkpoint, milliseconds, whether it is unlike
    all that was learned, the window that decided and what is odd about the recording."""

    def classify_audio(
        recording: str | None, checkpoint: str | None = None
    ) -> tuple[dict[str, float], dict[str, object]]:
        if not recording:
            raise gr.Error("There is no recording: send one as a file.")
        try:
            sound = load_sound(recording, RATE)
            found = classify(slot, sound, checkpoint)
        except (SoundError, SwapError) as error:
            raise gr.Error(str(error)) from error
        return found.confidences, {**found.json, "window": list(found.seen), "notes": sound.notes}

    return classify_audio


def _heard(answer: Heard, sound: Sound) -> str:
    from training.media.sound_pictures import spectrogram_picture, waveform_picture

    start, end = answer.seen
    whole = sound.seconds
    mark = ""
    which = f"{whole:.1f} s, heard as a whole"
    if end - start < whole - 0.01:
        mark = f'<i style="left:{start / whole:.2%};width:{(end - start) / whole:.2%}"></i>'
        which = f"Decided by {start:.1f} to {end:.1f} s of {whole:.1f} s"
    notes = "".join(f"<br>{html.escape(sentence(note))}" for note in sound.notes)
    wave = page.data_uri(waveform_picture(sound.samples, RATE))
    spectrogram = page.data_uri(spectrogram_picture(sound.samples, RATE))
    return (
        f'{_verdict(answer)}<div class="heard"><div class="sound">'
        f'<img src="{wave}" alt="Waveform of what was heard">'
        f'<img src="{spectrogram}" alt="Spectrogram of what was heard, low frequencies at the '
        f'bottom">{mark}</div>'
        f"{answer.caption(which + notes)}</div>"
    )


def _verdict(answer: Heard) -> str:
    """A sentence where the model does not know."""
    return answer.warn(UNSURE, "A whole sentence that names what you want may help.")


ASKED = "What was meant?"
ASKING = ("Ask your bank", "A recording")  # the built-in model's classes, and any others
QUESTION = Question(EMPTY, lambda path: load_sound(path, RATE), SoundError)
ABOUT = (
    "The built-in model was trained on <b>synthesised speech</b> alone and has never heard a "
    "person. Expect mistakes with your voice, most of all with an accent or with noise around you; "
    "fine-tune it on people's voices."
)


def ask_on_page(slot: Slot) -> Callable[..., list[object]]:
    """What the page asks with a recording's path and the checkpoints chosen."""

    def answer(sound: Sound, checkpoint: str) -> tuple[dict[str, float], str]:
        found = classify(slot, sound, checkpoint)
        return found.bars, _heard(found, sound)

    def ask(path: str | None, *chosen: str) -> list[object]:
        return ask_each(QUESTION, answer, path, *chosen)

    return ask


def build(lab: Lab) -> tuple[gr.Button | None, Part]:
    """Lays the tab out. Returns its Fine-tune button, and what changes by itself."""
    slot = lab.slots["audio"]
    with gr.Row():
        with page.asking():
            recording = page.recording(
                label=ASKING[0], elem_id="audio-recording", sources=["microphone", "upload"]
            )
            files = sorted(EXAMPLES.glob("*.mp3"))
            examples = gr.Examples(
                [str(p) for p in files],
                recording,
                label="Examples (synthesised speech)",
                example_labels=[WORDS[p.stem] for p in files],
            )
            ask = gr.Button("Ask again", size="sm", elem_id="ask-audio")
            tune = gr.Button("Fine-tune this model →", elem_id="tune-audio")
            about = page.about(ABOUT)
        shown = Compare(
            slot,
            EMPTY,
            ask_on_page(slot),
            lambda name: page.verdict(UNSURE, label=ASKED, num_top_classes=TOP, elem_id=name),
        )
    words = Words(
        shown.bars, ASKED, about, page.write_about(ABOUT), examples.dataset, recording, ASKING
    )
    changing = shown.wire(lab, recording, ask, words=words)
    teach.build(lab, [slot], [recording], "sounds")
    # components of their own: what they promise, whatever the page shows
    with gr.Row(visible=False):
        gr.Button().click(
            endpoint(slot),
            [page.recording(label="recording"), gr.Textbox(label="checkpoint")],
            [gr.Label(num_top_classes=TOP), gr.JSON()],
            api_name="classify_audio",
        )
    return tune, changing
