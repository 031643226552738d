"""Clips for training: lengths, own folders, the Hub's columns; and how they are varied."""

import numpy as np
import pytest
import soundfile
from voice_files import KINDS, film
from voices import RATE, tone, tones

from training.data import examples, hub
from training.data.problems import count_problems
from training.learn.loop import order_by_length
from training.media.sound_augment import vary
from training.recipe import SettingsError
from training.recipes.audio_intent import data as audio_data
from training.recipes.audio_intent.data import Clips, Heard, choose_limit, describe_lengths, load


def clips(*seconds: float) -> Clips:
    sounds = [tone(300, s, seed=i) for i, s in enumerate(seconds)]
    return Clips(
        lambda i: sounds[i],
        np.arange(len(sounds)),
        np.zeros(len(sounds), int),
        np.arange(len(sounds)) / 9,
    )


def test_clips_are_heard_up_to_the_limit():
    heard = Heard(clips(1, 2, 3), 2.0)
    assert heard.lengths.tolist() == [RATE, 2 * RATE, 2 * RATE] and heard.whole.tolist() == [
        RATE,
        2 * RATE,
        3 * RATE,
    ]
    assert len(heard[2]) == 2 * RATE and np.abs(heard[0] - tone(300, 1)).max() < 1e-4
    shorter = heard.cut(0.5)
    assert len(shorter[2]) == RATE // 2 and shorter.lengths.tolist() == [RATE // 2] * 3


def test_what_does_not_fit_in_memory_is_decoded_when_asked(monkeypatch):
    packed = Heard(clips(1, 2), 0)
    monkeypatch.setattr(
        audio_data.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    lazy = Heard(clips(1, 2), 0)
    assert packed.packed is not None and lazy.packed is None
    assert all(np.array_equal(packed[i], lazy[i]) for i in range(2))


def test_the_limit_is_justified_by_the_lengths():
    whole = np.array([2.0] * 97 + [11.0, 20.0, 40.0]) * RATE
    assert (
        choose_limit(whole) == 2.0
        and choose_limit(np.array([100.0 * RATE])) == 30.0
        and choose_limit(np.array([0.2 * RATE])) == 1.0
    )
    told = describe_lengths(whole, 2.0)
    assert "2.0 to 40.0 s long" in told and "2 s of each are heard, which cuts 3 of 100" in told


def test_a_clip_that_cannot_be_read_is_told_and_silent():
    def broken(_):
        raise audio_data.SoundError("It is broken.")

    heard = Heard(Clips(broken, np.arange(2), np.zeros(2, int), np.zeros(2)), 1.0)
    assert (
        count_problems(heard.problems)
        == ["2 clips could not be read and are heard as silence: clip 0 and clip 1. It is broken."]
        and not heard[0].any()
    )


def test_a_folder_of_ones_own_lists_what_it_leaves_out(tmp_path):
    folder = tones(tmp_path / "mine")
    soundfile.write(
        folder / "pitch0" / "again.flac", soundfile.read(folder / "pitch0" / "03.wav")[0], RATE
    )
    soundfile.write(folder / "pitch1" / "silent.wav", np.zeros(RATE), RATE)
    (folder / "pitch1" / "text.wav").write_text("this is no sound")
    (folder / "pitch2" / "notes.txt").write_text("notes")
    soundfile.write(folder / "stray.wav", tone(300), RATE)
    data = load("", "folder", str(folder))
    assert data.classes == ["pitch0", "pitch1", "pitch2"] and len(data.train) + len(data.test) == 30
    told = " ".join(data.problems)
    for words in (
        "again.flac: holds what",
        "silent.wav",
        "is silent",
        "text.wav",
        "notes.txt",
        "stray.wav",
    ):
        assert words in told or "03.wav: holds what" in told, words
    assert data.revision.startswith("content ")


def test_the_sample_is_whole_and_called_synthesised():
    data = load("", "sample")
    assert len(data.train) == 420 and len(data.test) == 140 and len(data.classes) == 14
    assert (
        np.bincount(data.train.labels).tolist() == [30] * 14
        and "synthesised" in data.about
        and "synth" in data.name
    )
    clip = data.test.read_one(5)
    assert (
        clip.dtype == np.float32 and 1 < len(clip) / RATE < 10 and 0.05 < np.abs(clip).max() <= 1.01
    )


def test_spoken_calls_without_the_program_say_what_to_install(monkeypatch):
    from training.samples import speech

    monkeypatch.setattr(speech.shutil, "which", lambda _: None)
    with pytest.raises(
        SettingsError, match="apt-get install espeak-ng.*Or choose the source 'sample'"
    ):
        load("", "espeak", count=140)


def test_hub_data_is_read_without_a_decoder_of_its_own(monkeypatch, tmp_path):
    import datasets
    import pyarrow

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    own = tmp_path / "datasets--some--sounds" / "snapshots" / "1" / "a.wav"
    own.parent.mkdir(parents=True)
    soundfile.write(own, tone(300), RATE)
    content = own.read_bytes()
    sounds = [
        {"bytes": content, "path": "x.wav"},
        {"bytes": None, "path": str(own)},
    ] * 10
    features = datasets.Features(
        {"audio": datasets.Audio(decode=False), "intent": datasets.ClassLabel(names=["a", "b"])}
    )
    # As a parquet file has it: to encode sounds itself, the library would want torchcodec.
    table = pyarrow.table({"audio": sounds, "intent": [0, 1] * 10}).cast(features.arrow_schema)
    rows = datasets.Dataset(table)
    monkeypatch.setattr(hub, "list_splits", lambda *_: ["train"])
    monkeypatch.setattr(hub, "load_dataset", lambda *_: (rows, "1"))
    monkeypatch.setattr(hub, "list_configs", lambda _: ["de-DE", "en-US"])
    data = load("some/sounds", "hub", language="en-US")
    assert (
        data.classes == ["a", "b"]
        and len(data.train.read_one(0)) == len(data.train.read_one(1)) == RATE
    )
    assert data.name == "some/sounds en-US"
    with pytest.raises(SettingsError, match="no part named 'xx-XX'. Its parts are: de-DE, en-US"):
        load("some/sounds", "hub", language="xx-XX")


def test_a_data_set_of_one_part_needs_no_name(monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "list_configs", lambda _: ["default"])
    monkeypatch.setattr(audio_data, "load_from_hub", lambda *what: asked.append(what[2]))
    load("some/sounds", "hub", language="en-US")
    assert asked == [None]


def test_each_part_of_a_hold_out_is_the_same_every_time():
    some = clips(*[0.2] * 40)
    some.keys = np.random.default_rng(0).random(40)
    part, held = examples.hold_out(some, 0.2)
    turned = examples.hold_out(some[np.arange(40)[::-1]], 0.2)[1]
    assert (
        sorted(held.places) == sorted(turned.places)
        and len(part) + len(held) == 40
        and len(held) > 0
    )


# -- batches ---------------------------------------------------------------------------------------
def test_batches_hold_clips_of_like_length_and_every_clip_once():
    found = np.random.default_rng(0).integers(1000, 90_000, 203)
    order = order_by_length(found, 8, 0, 1).numpy()
    assert sorted(order) == list(range(203))
    batches = [found[order[low : low + 8]] for low in range(0, 203, 8)]
    padding = sum(b.max() * len(b) - b.sum() for b in batches) / found.sum()
    plain = sum(b.max() * len(b) - b.sum() for b in np.split(found[:200], 25)) / found.sum()
    assert padding < 0.15 < 0.4 < plain
    assert not np.array_equal(order, order_by_length(found, 8, 0, 2).numpy())


# -- variation -------------------------------------------------------------------------------------
@pytest.mark.parametrize("strength", ["light", "strong"])
def test_a_varied_clip_depends_on_its_draw_alone_and_stays_a_sound(strength):
    clip = tone(440, 2.0)
    one, again, other = (vary(clip, RATE, strength, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(one, again) and len(one) != len(other) and one.dtype == np.float32
    for seed in range(30):
        out = vary(clip, RATE, strength, np.random.default_rng(seed))
        assert np.isfinite(out).all() and 0.05 < np.abs(out).max() <= 1
        assert 0.75 < len(out) / len(clip) < 1.35


def test_nothing_is_varied_where_none_is_asked_for():
    clip = tone(440)
    assert vary(clip, RATE, "none", np.random.default_rng(0)) is clip


@pytest.mark.parametrize(
    "clip", [np.zeros(RATE, np.float32), np.ones(1, np.float32), np.ones(300, np.float32)]
)
def test_silence_and_a_single_sample_are_varied_without_harm(clip):
    for seed in range(20):
        assert np.isfinite(vary(clip, RATE, "strong", np.random.default_rng(seed))).all()


def test_the_band_of_a_telephone_is_left():
    clip = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    high = []
    for seed in range(20):
        power = np.abs(np.fft.rfft(vary(clip, RATE, "light", np.random.default_rng(seed)))) ** 2
        high.append(
            power[int(len(power) * 0.75) :].mean()
            / power[int(len(power) * 0.1) : int(len(power) * 0.2)].mean()
        )
    assert np.median(high) < 0.2


def test_what_phones_and_browsers_record_is_read_from_a_folder(tmp_path):
    for name, hertz in (("low", 200), ("high", 900)):
        (tmp_path / name).mkdir()
        for number, kind in enumerate(["m4a", "webm", "opus", "amr", "3gp"]):
            rate = KINDS[kind][2]
            times = np.arange(rate) / rate
            samples = np.sin(2 * np.pi * (hertz + 9 * number) * times).astype(np.float32) / 3
            (tmp_path / name / f"New Recording {number}.{kind}").write_bytes(film(kind, samples))
    data = load("", "folder", str(tmp_path))
    assert len(data.train) + len(data.test) == 10 and data.problems == []
