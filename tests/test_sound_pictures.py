"""The pictures of a sound: the right size, the loud part where it is, and nothing else on the
page."""

from __future__ import annotations

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram

from training.media.sound_pictures import log_mel, spectrogram_picture, waveform_picture
from training.samples.calls import load_calls
from training.samples.speech import RATE

DRAW = (waveform_picture, spectrogram_picture)


def tone(seconds: float, hertz: float, rate: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(
        np.float32
    )


@pytest.mark.parametrize("rate", [1_000, 8_000, 16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 90.0])
def test_any_length_and_rate_fills_the_same_frame(rate: int, seconds: float) -> None:
    sound = tone(seconds, 200, rate)
    assert waveform_picture(sound, rate).size == (640, 120)
    assert spectrogram_picture(sound, rate).size == (640, 160)
    assert (
        spectrogram_picture(sound, rate, (200, 90)).size
        == waveform_picture(sound, rate, (200, 90)).size
    )


@pytest.mark.parametrize("draw", DRAW)
def test_what_is_silent_is_left_to_the_page(draw) -> None:
    sound = np.concatenate([tone(1, 500), np.zeros(16_000, np.float32)])
    alpha = np.asarray(draw(sound, 16_000))[..., 3]
    assert alpha[:, :300].max() == 255 and (alpha[:, 340:] > 0).mean() < 0.04


@pytest.mark.parametrize("draw", DRAW)
def test_its_strong_colours_stand_out_from_white_and_from_black(draw) -> None:
    pixels = np.asarray(draw(tone(1, 500), 16_000)).reshape(-1, 4)
    strong = pixels[pixels[:, 3] > 200, :3] @ (0.2126, 0.7152, 0.0722)
    assert len(strong) and 60 < strong.min() and strong.max() < 190


@pytest.mark.parametrize("draw", DRAW)
def test_silence_itself_can_be_drawn(draw) -> None:
    draw(np.zeros(16_000, np.float32), 16_000)


def test_the_loudest_sample_fills_the_height_however_quiet_it_is() -> None:
    for loud in (1.0, 0.001):
        rows = np.flatnonzero(
            (np.asarray(waveform_picture(loud * tone(1, 500), 16_000))[..., 3] > 0).any(1)
        )
        assert rows[0] <= 3 and rows[-1] >= 116


def test_a_waveform_that_leans_to_one_side_is_drawn_there() -> None:
    alpha = np.asarray(waveform_picture(np.abs(tone(1, 500)), 16_000))[..., 3]
    assert (alpha[:58] > 0).any() and not (alpha[63:] > 0).any()


def test_higher_tones_are_higher_up() -> None:
    rows = [int(np.asarray(spectrogram_picture(tone(1, hertz), 16_000))[:, 320, 3].argmax())
            for hertz in (150, 500, 1500, 4000, 7500)]  # fmt: skip
    assert rows == sorted(rows, reverse=True) and rows[0] > 140 and rows[-1] < 15


def test_every_band_sees_something_at_telephone_rate_too() -> None:
    for rate in (8_000, 16_000):
        noise = np.random.default_rng(0).normal(0, 0.1, 2 * rate)
        assert log_mel(noise, rate, 100).min() > -60


def test_no_band_is_empty_at_any_rate() -> None:
    for rate in (1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 11_025, 48_000, 192_000):
        noise = np.random.default_rng(0).normal(0, 0.1, 2 * rate)
        assert log_mel(noise, rate, 100).min() > -70


def test_the_decibels_are_those_of_transformers() -> None:
    columns, step, rate = 200, 160, RATE
    for clip in load_calls("test", 1)[:4]:
        sound = np.resize(clip.samples, columns * step).astype(np.float32) / 32768
        window = np.hanning(256)
        filters = mel_filter_bank(257, 80, 50, rate / 2, rate)
        level = spectrogram(
            # Its windows stand at the beginning of each step, ours in its middle.
            np.pad(sound, 128)[step // 2 :],
            window,
            frame_length=256,
            hop_length=step,
            fft_length=512,
            power=2.0,
            center=False,
            mel_filters=filters / filters.sum(0),
            log_mel="dB",
        )
        assert np.abs(log_mel(sound, rate, columns) - level[:, :columns]).max() < 0.01


def test_time_runs_from_left_to_right_over_minutes_too() -> None:
    sound = np.concatenate([tone(30, 300), tone(30, 3000)])
    level = log_mel(sound, 16_000, 640)
    low, high = level[:30].max(0), level[50:].max(0)
    assert (low[:318] > high[:318]).all() and (high[322:] > low[322:]).all()
