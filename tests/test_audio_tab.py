"""The Audio intent tab: the handler alone, the endpoint with every kind of sound, windows, unsure
answers."""

import gradio as gr
import numpy as np
import pytest
import soundfile
from voices import RATE, published, tone

from demos import audio_intent as tab
from demos.serving.model_slot import ModelSlot, SwapError
from demos.slot_view import NOTHING
from training.media.sounds import Sound, load_sound
from training.recipes.audio_intent.data import load
from training.samples.wordings import INTENTS


@pytest.fixture
def slot(runs):
    """The tab's slot, with runs of its own."""
    return ModelSlot("audio", tab.AudioPredictor, runs)


def sound(samples: np.ndarray) -> Sound:
    return Sound(samples, RATE, RATE, 1, [])


def call(index: int = 0) -> np.ndarray:
    return load("", "sample", "", "en-US", 3000).test.read_one(index)


def test_an_answer_names_five_intents_in_words_the_checkpoint_and_the_time(slot):
    answer = tab.classify(slot, sound(call()))
    assert len(answer.confidences) == 5 and "_" not in "".join(answer.confidences)
    assert (
        answer.checkpoint == "embedded-audio"
        and answer.milliseconds > 0
        and answer.label in INTENTS
    )
    assert answer.seen == (0.0, pytest.approx(len(call()) / RATE))


def test_the_embedded_checkpoint_understands_the_sample_far_better_than_chance(slot):
    data = load("", "sample", "", "en-US", 3000).test
    said = [tab.classify(slot, sound(data.read_one(i))).label for i in range(28)]
    assert (
        np.mean([label == INTENTS[data.labels[i]] for i, label in enumerate(said)]) > 0.3
    )  # chance: 0.07


def test_every_intent_has_words_that_a_person_reads():
    assert set(tab.WORDS) == set(INTENTS)


def test_a_long_recording_is_heard_in_windows_and_the_surest_decides(slot):
    predictor = slot.get().predictor
    quiet = (
        np.random.default_rng(0)
        .normal(0, 1e-4, round(2.5 * predictor.seconds * RATE))
        .astype(np.float32)
    )
    spoken = call(3)
    long = np.concatenate([quiet, spoken, quiet])
    answer = tab.classify(slot, sound(long))
    start, end = answer.seen
    assert end - start == pytest.approx(predictor.seconds, abs=0.01)
    assert start < (len(quiet) + len(spoken)) / RATE and end > len(quiet) / RATE, (
        "it holds some of what was said"
    )
    assert "Decided by" in tab._heard(answer, sound(long)) and "<i style" in tab._heard(
        answer, sound(long)
    )


def test_windows_cover_all_of_a_recording():
    assert tab.windows(5 * RATE, 4) == [(0, 5 * RATE)]
    places = tab.windows(21 * RATE + 7, 4)
    covered = np.zeros(21 * RATE + 7, bool)
    for start, end in places:
        assert end - start == 4 * RATE
        covered[start:end] = True
    assert covered.all() and places[-1][1] == 21 * RATE + 7


def test_another_checkpoint_is_asked_beside_the_active_one(slot, runs):
    run = published(runs, "wav2vec2", ["cat_meows", "dog"])
    one, other = tab.classify(slot, sound(call())), tab.classify(slot, sound(call()), run.id)
    assert other.checkpoint == run.id and set(other.confidences) == {"cat meows", "dog"}
    assert (
        tab.classify(slot, sound(call())).confidences == one.confidences
        and slot.active_id == "embedded-audio"
    )


def test_a_class_of_ones_own_is_not_shown_in_the_words_of_another_data_set(slot, runs):
    run = published(runs, "wav2vec2", ["balance", "freeze", "beam_work"])
    answer = tab.classify(slot, sound(call()), run.id)
    assert set(answer.confidences) == {"balance", "freeze", "beam work"}


def test_a_checkpoint_that_does_not_say_how_it_hears_is_refused(slot, runs):
    run = published(runs, "conformer", INTENTS)
    (run.checkpoint / "preprocessor_config.json").unlink()
    with pytest.raises(SwapError, match="does not say how sounds are prepared"):
        tab.classify(slot, sound(call()), run.id)


def test_a_model_that_does_not_know_says_so(slot, runs):
    run = published(runs, "conformer", INTENTS)  # random weights: all intents alike
    heard = sound(call())
    assert "Not sure" in tab._heard(tab.classify(slot, heard, run.id), heard)


# -- every kind of sound, through the endpoint's function ------------------------------------------
def stereo(samples: np.ndarray) -> np.ndarray:
    return np.stack([samples, 0.8 * samples], 1)


GOOD = {  # name: (samples from (n,) at 16 kHz, rate, subtype)
    "plain.wav": (lambda s: s, RATE, "PCM_16"),
    "stereo.flac": (stereo, RATE, "PCM_24"),
    "eight_bits.wav": (lambda s: s, RATE, "PCM_U8"),
    "float.wav": (lambda s: s, RATE, "FLOAT"),
    "high.wav": (lambda s: np.repeat(s, 6), 96_000, "PCM_16"),
    "phone.wav": (lambda s: s[::2], 8_000, "ULAW"),
    "opus.ogg": (lambda s: s, RATE, "OPUS"),
    "music.mp3": (lambda s: s, RATE, "MPEG_LAYER_III"),
    "clipped.wav": (lambda s: np.clip(30 * s, -1, 1), RATE, "PCM_16"),
}


@pytest.mark.parametrize("name", list(GOOD))
def test_every_kind_of_sound_is_answered(slot, tmp_path, name):
    change, rate, subtype = GOOD[name]
    soundfile.write(tmp_path / name, change(call(5)), rate, subtype=subtype)
    label, about = tab.endpoint(slot)(str(tmp_path / name))
    assert len(label) == 5 and about["checkpoint"] == "embedded-audio" and about["window"][0] == 0
    if name == "clipped.wav":
        assert "clipped" in " ".join(about["notes"])
    shown = tab.ask_on_page(slot)(str(tmp_path / name), "active", NOTHING)
    assert "Waveform" in shown[1] and "Spectrogram" in shown[1] and shown[2:] == [None, ""]


def test_an_hour_is_heard_for_ten_minutes_in_windows(slot, tmp_path):
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 8_000, 1, "PCM_U8") as file:
        file.write(tone(300, 1, 8_000) * 0.5)
        for _ in range(60):
            file.write(np.zeros(8_000 * 60, np.float32))
    _, about = tab.endpoint(slot)(str(tmp_path / "hour.wav"))
    assert about["window"][0] == 0 and "only the first 10 minutes are heard" in " ".join(
        about["notes"]
    )


BAD = {"text.wav": b"this is no sound", "empty.wav": b"", "cut.flac": b"fLaC\0\0\0\x22"}


@pytest.mark.parametrize("name", [*BAD, "silent.wav", "short.wav", "one.wav"])
def test_what_cannot_be_heard_gets_a_sentence(slot, tmp_path, name):
    if name in BAD:
        (tmp_path / name).write_bytes(BAD[name])
    else:
        length = {"silent.wav": RATE, "short.wav": RATE // 20, "one.wav": 1}[name]
        soundfile.write(
            tmp_path / name,
            np.zeros(length) if name == "silent.wav" else tone(300, 1)[:length],
            RATE,
        )
    with pytest.raises(gr.Error) as error:
        tab.endpoint(slot)(str(tmp_path / name))
    assert name in str(error.value) and str(error.value).rstrip("'\"").endswith(".")
    shown = tab.ask_on_page(slot)(str(tmp_path / name), "active", NOTHING)
    assert shown[0] is None and "notice bad" in shown[1]


def test_no_recording_gets_a_friendly_line(slot):
    assert tab.ask_on_page(slot)(None, "active", NOTHING) == [
        None,
        tab.page.notice(tab.EMPTY),
        None,
        "",
    ]
    with pytest.raises(gr.Error, match="There is no recording"):
        tab.endpoint(slot)(None)


def test_the_tab_and_the_examples_say_that_the_speech_is_synthesised():
    assert "synthesised speech" in tab.ABOUT
    examples = sorted(tab.EXAMPLES.glob("*.mp3"))
    assert len(examples) >= 3 and all(0.5 < load_sound(path).seconds < 12 for path in examples)
