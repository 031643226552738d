"""Synthesised calls: the same every time, other voices and words where it is measured, and the
embedded sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.samples import speech
from training.samples.calls import FOLDER, SPLITS, load_calls, make
from training.samples.speech import RATE, SpeechError, clips, order, speak
from training.samples.voices import ACCENTS, FLITE, TIMBRES
from training.samples.wordings import INTENTS, judge_sentences

needs_espeak = pytest.mark.skipif(
    not shutil.which("espeak-ng"), reason="espeak-ng is not installed here"
)
needs_flite = pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed here")


# -- what is ordered (needs no synthesiser) --------------------------------------------------------
def test_an_order_depends_on_its_index_and_the_seed_alone() -> None:
    assert (
        order(5, "train", "train", 1)
        == order(5, "train", "train", 1)
        != order(5, "train", "train", 2)
    )
    assert len({order(index, "train", "train").text for index in range(200)}) > 190


def test_the_intents_take_turns() -> None:
    assert [order(index, "held_out", "held_out").label for index in range(30)] == [
        n % 14 for n in range(30)
    ]


def test_held_out_speakers_are_never_in_training() -> None:
    assert not set(TIMBRES["train"]) & set(TIMBRES["held_out"])
    assert len(TIMBRES["train"]) >= 40 and len(TIMBRES["held_out"]) >= 10
    assert set(ACCENTS["held_out"]) > set(ACCENTS["train"])  # and some accents are new, too
    for words in ("train", "held_out"):
        for index in range(100):
            assert order(index, words, words).voice.split("+")[1] in TIMBRES[words]


def test_varied_speakers_are_training_s_own_and_as_many_made_up() -> None:
    orders = [order(index, "train", "varied") for index in range(200)]
    made = [each for each in orders if each.timbre]
    assert 80 < len(made) < 120 and len({each.timbre for each in made}) == len(made)
    assert all(each.voice.split("+")[1] in TIMBRES["train"] for each in orders if not each.timbre)
    assert {each.voice.split("+")[0] for each in orders} == set(ACCENTS["train"])


def test_the_judge_hears_every_sentence_once_from_another_synthesiser() -> None:
    orders = [order(index, "judge", "flite") for index in range(196)]
    assert sorted(each.text for each in orders) == sorted(sum(judge_sentences().values(), []))
    assert {each.voice for each in orders} == set(FLITE)


def test_a_missing_synthesiser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech.shutil, "which", lambda _: None)
    with pytest.raises(
        SpeechError, match="espeak-ng is not installed; `apt-get install espeak-ng`"
    ):
        list(clips(1))
    with pytest.raises(SpeechError, match="flite is not installed"):
        list(clips(1, "judge", "flite"))


# -- what is spoken --------------------------------------------------------------------------------
@needs_espeak
def test_clips_are_telephone_sound_with_speech_in_them() -> None:
    spoken = list(clips(14))
    assert [clip.label for clip in spoken] == list(range(14))
    for index, clip in enumerate(spoken):
        what = order(index, "train", "train")
        assert (
            clip.samples.dtype == np.int16
            and clip.samples.ndim == 1
            and 0.5 < len(clip.samples) / RATE < 25
        )
        assert abs(int(np.abs(clip.samples.astype(int)).max()) - 32767 * what.peak) <= 1
        assert (
            not clip.samples[: round(what.before * RATE)].any()
            and clip.text
            and clip.voice == what.voice
        )


@needs_espeak
def test_the_same_order_sounds_the_same_whoever_makes_it() -> None:
    one, other = list(clips(6, seed=3, workers=1)), list(clips(9, seed=3, workers=3))
    assert all((a.samples == b.samples).all() for a, b in zip(one, other[:6], strict=True))
    assert not np.array_equal(one[0].samples, next(clips(1, seed=4)).samples)


@needs_espeak
def test_a_made_up_speaker_says_the_same_words_with_another_voice() -> None:
    one, other = [
        each for each in (order(index, "train", "varied") for index in range(20)) if each.timbre
    ][:2]
    told = speech.Order(**{**vars(one), "text": "I can't pay."})
    high = speech.Order(**{**vars(told), "timbre": other.timbre})
    first, again, changed = speak(told), speak(told), speak(high)
    assert np.array_equal(first.samples, again.samples) and not np.array_equal(
        first.samples, changed.samples
    )
    assert (
        first.phones == changed.phones and first.phones.count(" ") == 2 and first.voice == one.voice
    )


@needs_espeak
def test_every_speaker_is_known_to_this_espeak() -> None:
    some = order(0, "train", "train")
    pairs = [("en-us", timbre) for part in TIMBRES.values() for timbre in part]
    pairs += [(accent, "m4") for accent in ACCENTS["held_out"]]
    for accent, timbre in pairs:
        speech._espeak(speech.Order(**{**vars(some), "voice": f"{accent}+{timbre}", "text": "Hi."}))


@needs_espeak
def test_a_clip_says_which_sounds_it_is_made_of() -> None:
    what = speech.Order(
        **{**vars(order(0, "train", "train")), "voice": "en-gb-x-rp+m1", "text": "I <can't> pay."}
    )
    assert speak(what).phones == "aɪ kɑnt peɪ"
    american = speak(speech.Order(**{**vars(what), "voice": "en-us+m1"}))
    assert american.phones == "aɪ kænt peɪ" and len(american.samples) > RATE


@needs_espeak
def test_an_unknown_voice_is_refused() -> None:
    what = order(0, "train", "train")
    with pytest.raises(SpeechError, match="espeak-ng could not speak as xx-nowhere"):
        speak(speech.Order(**{**vars(what), "voice": "xx-nowhere"}))


@needs_flite
def test_flite_speaks_the_judges_sentences() -> None:
    spoken = list(clips(2, "judge", "flite"))
    assert all(len(clip.samples) > RATE and clip.voice in FLITE for clip in spoken)
    assert (spoken[0].samples == next(clips(1, "judge", "flite")).samples).all()


# -- the embedded sample ---------------------------------------------------------------------------
@pytest.fixture(scope="module")
def sample() -> dict[str, list[speech.Clip]]:
    return {split: load_calls(split) for split in SPLITS}


def test_the_embedded_sample_is_small_and_holds_nothing_but_sound_and_text() -> None:
    files = list(FOLDER.iterdir())
    assert sum(path.stat().st_size for path in files) <= 6_000_000
    assert {path.suffix for path in files} == {".ogg", ".jsonl"}
    info = soundfile.info(FOLDER / "train-pay_bill.ogg")
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "OPUS")


@pytest.mark.parametrize("split", SPLITS)
def test_the_embedded_sample_has_as_many_clips_of_each_intent(sample, split: str) -> None:
    assert [clip.label for clip in sample[split]] == list(range(14)) * SPLITS[split][2]
    for clip in sample[split]:
        assert clip.samples.dtype == np.int16 and 1 < len(clip.samples) / RATE <= 9
        assert np.abs(clip.samples.astype(int)).max() > 3000
        # What lies at its ends is the silence that was put there: no neighbour is heard in it.
        ends = np.concatenate([clip.samples[:300], clip.samples[-300:]])
        assert np.abs(ends.astype(int)).max() < 600


def test_the_splits_share_neither_words_nor_speakers(sample) -> None:
    train, test = sample["train"], sample["test"]
    assert not {clip.text for clip in train} & {clip.text for clip in test}
    assert not {clip.voice.split("+")[1] for clip in train} & {
        clip.voice.split("+")[1] for clip in test
    }
    assert (
        len({clip.text for clip in train}) == len(train)
        and len({clip.voice for clip in train}) > 100
    )


def test_a_few_of_each_intent_are_the_first_of_all(sample) -> None:
    few = load_calls("test", per_intent=2)
    assert len(few) == 28
    assert all(
        (a.samples == b.samples).all() for a, b in zip(few, sample["test"][:28], strict=True)
    )
    assert load_calls("test", per_intent=0) == []


@needs_espeak
def test_the_sample_can_be_made_again(tmp_path: Path) -> None:
    size = make(tmp_path / "again", {"test": ("held_out", "held_out", 1)})
    assert 10_000 < size < 400_000
    again, kept = load_calls("test", folder=tmp_path / "again"), load_calls("test", per_intent=1)
    lines = (tmp_path / "again" / "index.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 14 and json.loads(lines[13])["intent"] == INTENTS[13]
    assert [(clip.text, clip.voice) for clip in again] == [(clip.text, clip.voice) for clip in kept]
    for one, other in zip(again, kept, strict=True):
        assert np.corrcoef(one.samples, other.samples)[0, 1] > 0.99
