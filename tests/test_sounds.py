"""Any user's sound: what is heard of it, what is said of it, and in which words it is refused."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voice_files import KINDS, film

from training.media.sound_containers import Container
from training.media.sounds import Sound, SoundError, from_bytes, load_sound

SILENT = "is silent: nothing in it is louder than -60 dB.*microphone"


def tone(
    seconds: float = 1.0, rate: int = 16_000, hertz: float = 440, loud: float = 0.3
) -> np.ndarray:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def packed(
    samples: np.ndarray, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """A sound file's content. Written in small pieces: libsndfile crashes on a long piece of
    Vorbis."""
    file = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(file, "w", rate, channels, subtype, format=kind) as out:
        for at in range(0, len(samples), 8192):
            out.write(samples[at : at + 8192])
    return file.getvalue()


def heard(
    samples: np.ndarray, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None
) -> Sound:
    return from_bytes(packed(samples, rate, kind, subtype))


def loudest_hertz(sound: Sound) -> float:
    spectrum = np.abs(np.fft.rfft(sound.samples * np.hanning(len(sound.samples))))
    return float(spectrum.argmax() / sound.seconds)


def changed(content: bytes, at: int, layout: str, value: int) -> bytes:
    """The content with one number of its header replaced."""
    new = struct.pack(layout, value)
    return content[:at] + new + content[at + len(new) :]


# -- what is read ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "subtype", "within"),
    [("WAV", "PCM_U8", 0.01), ("WAV", "PCM_16", 1e-4), ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
     ("WAV", "FLOAT", 1e-6), ("WAV", "DOUBLE", 1e-6), ("WAV", "ULAW", 0.02),
     ("WAVEX", "PCM_16", 1e-4),
     ("RF64", "PCM_16", 1e-4), ("AIFF", "PCM_16", 1e-4), ("AU", "PCM_16", 1e-4),
     ("CAF", "PCM_16", 1e-4),
     ("FLAC", "PCM_16", 1e-4), ("FLAC", "PCM_24", 1e-6), ("OGG", "VORBIS", 0.06),
     ("OGG", "OPUS", 0.2),
     ("MP3", "MPEG_LAYER_III", 0.06)],
)  # fmt: skip
def test_every_common_format_is_read(
    tmp_path: Path, kind: str, subtype: str, within: float
) -> None:
    path = tmp_path / f"tone.{kind.lower()}"
    path.write_bytes(packed(tone(), 16_000, kind, subtype))
    for sound in (
        load_sound(path),
        load_sound(str(path)),
        from_bytes(path.read_bytes(), path.name),
    ):
        assert (
            sound.samples.dtype == np.float32
            and sound.samples.shape == (16_000,)
            and sound.notes == []
        )
        assert (sound.rate, sound.original_rate, sound.channels, sound.seconds) == (
            16_000,
            16_000,
            1,
            1.0,
        )
        # Lossy codecs swing in at a hard start; the middle is what counts.
        assert np.abs(sound.samples - tone())[2000:-2000].max() <= within


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("wanted", [16_000, 8_000])
def test_any_rate_becomes_the_one_asked_for(rate: int, wanted: int) -> None:
    sound = from_bytes(packed(tone(1.0, rate, 300), rate), rate=wanted)
    assert (
        sound.rate == wanted
        and sound.original_rate == rate
        and abs(len(sound.samples) - wanted) <= 1
    )
    assert abs(loudest_hertz(sound) - 300) < 2 and 0.28 < np.abs(sound.samples).max() < 0.34


def test_what_a_lower_rate_cannot_hold_does_not_fold_back() -> None:
    above = tone(1.0, 96_000, 30_000) + tone(1.0, 96_000, 500, 0.1)
    sound = heard(above, 96_000)
    assert abs(loudest_hertz(sound) - 500) < 2 and np.abs(sound.samples[500:-500]).max() < 0.11


def test_blocks_join_without_a_seam() -> None:
    long = tone(20, 44_100, 200)  # several blocks, resampled as one stream
    middle = heard(long, 44_100).samples[1000:-1000]
    assert np.abs(np.diff(middle, 2)).max() < 1.1 * np.abs(np.diff(tone(1, 16_000, 200), 2)).max()


def test_exactly_a_tenth_of_a_second_is_enough() -> None:
    assert (
        heard(tone(0.1)).seconds == pytest.approx(0.1)
        and len(heard(tone(0.1, 8000), 8000).samples) == 1600
    )


# -- channels --------------------------------------------------------------------------------------
def test_stereo_is_mixed() -> None:
    sound = heard(np.stack([tone(), tone(hertz=1000)], 1))
    assert sound.channels == 2 and sound.notes == ["stereo: mixed to one channel"]
    assert np.abs(sound.samples - (tone() + tone(hertz=1000)) / 2).max() < 1e-4


def test_opposite_phases_are_not_mixed_away() -> None:
    sound = heard(np.stack([-0.5 * tone(), tone()], 1) * (0.9, 0.6))
    assert np.abs(sound.samples - 0.6 * tone()).max() < 1e-4
    assert sound.notes == ["mixing its 2 channels would lose the sound: only channel 2 is heard"]


def test_an_offset_of_both_channels_does_not_hide_that_they_cancel() -> None:
    sound = heard(np.stack([tone() + 0.3, -tone() + 0.3], 1))
    assert np.abs(sound.samples - tone()).max() < 1e-3 and "only channel 1" in sound.notes[0]


def test_one_voice_in_six_channels_is_heard_alone_and_six_alike_are_mixed() -> None:
    centre = np.zeros((16_000, 6), np.float32)
    centre[:, 2] = tone()
    assert "only channel 3" in heard(centre).notes[0] and np.abs(heard(centre).samples).max() > 0.29
    assert heard(np.repeat(tone()[:, None], 6, 1)).notes == ["6 channels: mixed to one channel"]


# -- what is put right and told --------------------------------------------------------------------
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "PCM_24"])
def test_a_clipped_recording_is_read_and_said_to_be(subtype: str) -> None:
    sound = heard(np.clip(tone(loud=2.0), -1, 1), subtype=subtype)
    share = sound.notes[0].removeprefix("clipped: ").removesuffix("% of samples at full scale")
    assert len(sound.notes) == 1 and 62 < float(share) < 70 and np.abs(sound.samples).max() <= 1


def test_a_recording_that_just_reaches_full_scale_is_not_clipped() -> None:
    assert heard(tone(loud=1.0, hertz=441.7)).notes == []


def test_a_clipped_recording_stays_within_bounds_when_it_is_resampled() -> None:
    sound = heard(np.clip(tone(1, 44_100, loud=3.0), -1, 1), 44_100)
    assert 0.9 < np.abs(sound.samples).max() <= 1


@pytest.mark.parametrize(("loud", "said"), [(2.0, "2"), (30_000.0, "30,000")])
def test_floats_beyond_full_scale_are_turned_down_and_not_cut(loud: float, said: str) -> None:
    sound = heard(tone(loud=loud), subtype="FLOAT")
    assert np.abs(sound.samples - tone(loud=1.0)).max() < 1e-3
    assert sound.notes == [f"up to {said} times full scale: turned down"]


def test_samples_that_are_no_numbers_are_silenced() -> None:
    samples = tone()
    samples[100:150], samples[7], samples[8] = np.nan, np.inf, 1e30
    sound = heard(samples, subtype="FLOAT")
    assert np.isfinite(sound.samples).all() and np.abs(sound.samples - tone())[200:].max() < 1e-6
    assert sound.notes == ["52 broken samples (not numbers): silenced"]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_offset_is_taken_out(rate: int) -> None:
    sound = heard(tone(1.0, rate) + 0.4, rate)
    assert abs(sound.samples.mean()) < 1e-3 and np.abs(sound.samples).max() < 0.32
    assert sound.notes == ["off centre by 40% of full scale: centred"]


# -- length ----------------------------------------------------------------------------------------
def test_of_a_long_recording_the_beginning_is_heard() -> None:
    content = packed(np.concatenate([tone(2.0), tone(2.0, hertz=2000)]))
    sound = from_bytes(content, longest=2.0)
    assert sound.seconds == 2.0 and abs(loudest_hertz(sound) - 440) < 2
    assert sound.notes == ["longer than 2 seconds: only the first 2 seconds are heard"]
    assert from_bytes(content, longest=4.0).notes == []


def test_an_hour_at_96_khz_in_stereo_takes_the_memory_of_ten_minutes(tmp_path: Path) -> None:
    resource = pytest.importorskip(
        "resource", reason="this system does not tell how much memory was used"
    )
    path, rate, frames = tmp_path / "hour.wav", 96_000, 3600 * 96_000
    form = struct.pack("<IHHIIHH", 16, 1, 2, rate, 4 * rate, 4, 16)
    head = b"RIFF" + struct.pack("<I", 36 + 4 * frames) + b"WAVEfmt " + form
    head += b"data" + struct.pack("<I", 4 * frames)
    with path.open("wb") as file:
        file.write(head + packed(np.stack([tone(1, rate)] * 2, 1), rate)[44:])
        file.truncate(44 + 4 * frames)  # the rest is a hole: 1.4 GB that take no room on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sound = load_sound(path, longest=20.0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < (1 if sys.platform != "darwin" else 1024) * 100_000  # kilobytes; bytes on a Mac
    assert sound.seconds == 20.0 and sound.notes[0].startswith("longer than 20 seconds")
    assert abs(loudest_hertz(Sound(sound.samples[:16_000], 16_000, rate, 2)) - 440) < 2


def test_hours_of_nothing_in_many_channels_are_not_read_to_their_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.media.sounds.MOST", 40_000)
    sound = heard(np.repeat(tone(2.0)[:, None], 5, 1))
    assert (
        sound.seconds == 0.5
        and sound.notes[0] == "longer than 0.5 seconds: only the first 0.5 seconds are heard"
    )


def test_ten_minutes_are_the_limit_unless_another_is_asked_for() -> None:
    content = changed(
        packed(tone(1.1)), 24, "<I", 1_000
    )  # played slowly, 17.6 seconds; forty of them 704
    long = packed(np.tile(tone(1.1), 40), 16_000)
    sound = from_bytes(changed(long, 24, "<I", 1_000), rate=1_000)
    assert sound.seconds == 600 and sound.notes == [
        "longer than 10 minutes: only the first 10 minutes are heard"
    ]
    assert from_bytes(content, rate=1_000).seconds == pytest.approx(17.6)


# -- headers that lie, files that end early --------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
     ("CAF", "PCM_16"), ("FLAC", None), ("MP3", None)],
)  # fmt: skip
def test_of_a_truncated_file_the_part_that_is_there_is_heard(
    kind: str, subtype: str | None
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    content = packed(noise, 16_000, kind, subtype)
    sound = from_bytes(content[: len(content) // 2])
    assert 0.5 < sound.seconds < 1.2
    assert sound.notes == [
        f"damaged or incomplete: only the first {sound.seconds:.1f} s could be read"
    ]


@pytest.mark.parametrize("end", [-1, -400])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_whose_end_alone_is_missing_is_said_to_be_incomplete(
    subtype: str, end: int
) -> None:
    content = packed(np.random.default_rng(0).normal(0, 0.1, 96_000), 16_000, "OGG", subtype)
    assert from_bytes(content).notes == []
    assert "incomplete: only the first" in from_bytes(content[:end]).notes[0]
    half = from_bytes(content[: len(content) // 2])
    assert "incomplete: only the first" in half.notes[0] and 0.9 < half.seconds < 3.1


def test_an_ogg_file_that_ends_with_a_whole_page_which_is_not_the_last_is_incomplete() -> None:
    content = packed(tone(3.0), 16_000, "OGG", "OPUS")
    sound = from_bytes(content[: content.rindex(b"OggS")])
    assert "incomplete: only the first" in sound.notes[0] and sound.seconds < 3


def test_a_truncated_file_that_cannot_be_opened_is_refused() -> None:
    content = packed(tone(), 16_000, "OGG")
    with pytest.raises(SoundError, match="starts like an Ogg file but is damaged, incomplete"):
        from_bytes(content[:400])


# -- phones, browsers, cameras ---------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_what_phones_and_browsers_record_is_read(tmp_path: Path, kind: str) -> None:
    content = film(kind, tone(3.0, KINDS[kind][2]))
    path = tmp_path / "voice memo"  # by its content, whatever its name
    path.write_bytes(content)
    for sound in (load_sound(path), from_bytes(content)):
        assert sound.rate == 16_000 and sound.original_rate == KINDS[kind][2]
        assert abs(sound.seconds - 3) < 0.1 and sound.notes == []
        assert abs(loudest_hertz(sound) - 440) < 5 and 0.1 < np.abs(sound.samples).max() < 0.6


def test_of_a_film_the_sound_is_heard_and_one_without_is_refused() -> None:
    sound = from_bytes(film("mp4", tone(2.0, 48_000), pictures=True))
    assert abs(sound.seconds - 2) < 0.1 and abs(loudest_hertz(sound) - 440) < 5
    with pytest.raises(SoundError, match="“a.mp4” is a film without sound"):
        from_bytes(film("mp4", np.zeros(0), pictures=True), "a.mp4")


def test_channels_of_a_voice_memo_are_mixed_and_silence_is_told() -> None:
    both = np.stack([tone(1.0, 44_100)] * 2, 1)
    sound = from_bytes(film("m4a", both))
    assert sound.channels == 2 and sound.notes == ["stereo: mixed to one channel"]
    with pytest.raises(SoundError, match=SILENT):
        from_bytes(film("m4a", np.zeros(44_100)))


@pytest.mark.parametrize("kind", ["webm", "opus", "avi", "m4a"])
def test_of_a_truncated_recording_the_part_that_is_there_is_heard(kind: str) -> None:
    more = {"movflags": "faststart"} if kind == "m4a" else {}
    content = film(kind, tone(3.0, KINDS[kind][2]), **more)
    sound = from_bytes(content[: len(content) // 2])
    assert 0.9 < sound.seconds < 1.8
    assert sound.notes == [
        f"damaged or incomplete: only the first {sound.seconds:.1f} s could be read"
    ]


def test_a_voice_memo_without_its_end_is_refused_in_a_sentence() -> None:
    content = film("m4a", tone(3.0, 44_100))  # what is where stands at its end
    with pytest.raises(SoundError, match="starts like an M4A or MP4 file but is damaged"):
        from_bytes(content[: len(content) * 9 // 10])


def test_of_a_long_voice_memo_the_beginning_is_heard() -> None:
    sound = from_bytes(film("webm", tone(3.0, 48_000)), longest=1.5)
    assert sound.seconds == 1.5
    assert sound.notes == ["longer than 1.5 seconds: only the first 1.5 seconds are heard"]


def test_many_channels_in_a_container_are_kept_apart() -> None:
    many = np.stack([tone(loud=0.02 * number) for number in range(1, 13)], 1)
    container = Container(packed(many), "wav")
    read = np.concatenate(list(container.read_blocks(16_000)))
    assert container.read_heading().channels == 12
    assert read.shape == (16_000, 12) and np.abs(read - many).max() < 1e-3


def test_a_list_of_files_or_addresses_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(packed(tone()))
    for text in ("#EXTM3U\ncall.wav\n", "ffconcat version 1.0\nfile call.wav\n"):
        (tmp_path / "list.m4a").write_text(text)
        with pytest.raises(SoundError, match="is a text, not a sound"):
            load_sound(tmp_path / "list.m4a")


def test_damage_in_the_middle_leaves_the_sound_before_it() -> None:
    content = packed(np.random.default_rng(0).normal(0, 0.1, 64_000), 16_000, "FLAC")
    middle = len(content) // 2
    sound = from_bytes(content[:middle] + b"\x55" * 400 + content[middle + 400 :])
    assert 1.0 < sound.seconds <= 4.0 and np.isfinite(sound.samples).all()


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_recording_from_a_pipe_whose_header_names_no_length_is_whole(size: int) -> None:
    sound = from_bytes(changed(changed(packed(tone()), 4, "<I", size), 40, "<I", size))
    assert len(sound.samples) == 16_000 and sound.notes == []


@pytest.mark.parametrize("keep", [0xF0, 0xFF])
def test_flac_that_names_no_length_or_a_huge_one_is_read_to_its_last_sample(keep: int) -> None:
    content = bytearray(packed(tone(), 16_000, "FLAC"))
    length = b"\0" * 4 if keep == 0xF0 else b"\xff" * 4
    content[21], content[22:26] = (content[21] & 0xF0) | (keep & 0x0F), length
    sound = from_bytes(bytes(content))
    assert np.abs(sound.samples - tone()).max() < 1e-4 and len(sound.notes) == (keep == 0xFF)


@pytest.mark.parametrize("rate", [1, 100, 999, 768_001, 2**31 - 1])
def test_absurd_rates_are_refused_before_anything_is_decoded(rate: int) -> None:
    with pytest.raises(
        SoundError, match=f"says that it has {rate:,} samples a second; 1,000 to 768,000"
    ):
        from_bytes(changed(packed(tone()), 24, "<I", rate))


@pytest.mark.parametrize("channels", [0, 1025, 65_535])
def test_absurd_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(SoundError, match="damaged, incomplete or of a rare kind"):
        from_bytes(changed(packed(tone()), 22, "<H", channels))


def test_a_thousand_channels_are_read() -> None:
    assert from_bytes(packed(np.repeat(tone(0.2)[:, None], 1000, 1))).channels == 1000


# -- what is refused -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("samples", "subtype", "words"),
    [
        (np.zeros(16_000), "PCM_16", SILENT),
        (np.zeros((16_000, 2)), "PCM_U8", SILENT),
        (np.full(16_000, 0.4), "PCM_16", SILENT),  # an offset alone is no sound
        (tone(loud=0.001), "PCM_24", SILENT),
        (np.zeros(0), "PCM_16", "holds no sound: its header says 0 samples"),
        (np.array([0.5]), "PCM_16", "too short: 0.0625 ms. At least 0.1 s"),
        (tone(0.099), "PCM_16", "too short: 99 ms"),
        (np.full(16_000, np.nan), "FLOAT", "more than half of its samples are no numbers"),
        (
            tone().astype(np.float64) * 1e300,
            "DOUBLE",
            "more than half of its samples are no numbers",
        ),
    ],
)
def test_what_holds_nothing_to_hear_is_refused(
    samples: np.ndarray, subtype: str, words: str
) -> None:
    with pytest.raises(SoundError, match=words):
        heard(samples, subtype=subtype)


def test_quiet_is_not_silent() -> None:
    sound = heard(tone(loud=0.003), subtype="PCM_24")
    assert sound.notes == [] and np.abs(sound.samples - tone(loud=0.003)).max() < 1e-5


def test_a_word_in_much_silence_is_heard() -> None:
    assert heard(
        np.concatenate([np.zeros(80_000), tone(0.2), np.zeros(80_000)])
    ).seconds == pytest.approx(10.2)


def test_of_a_long_recording_the_part_that_is_heard_is_called_silent() -> None:
    with pytest.raises(SoundError, match="^The part that is heard of “a.wav” is silent"):
        from_bytes(packed(np.concatenate([np.zeros(32_000), tone()])), "a.wav", longest=2.0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.wav", b"", "is empty"),
        (
            "notes.wav",
            b"Dear diary, this is no sound.\n" * 50,
            "is a text, not a sound",
        ),
        ("photo.m4a", b"\0\0\0\x18ftypheic" + bytes(900), "is a HEIC photo, not a sound"),
        ("page.mp3", b"<!DOCTYPE html><html>" + bytes(900), "is a web page, not a sound"),
        ("zeros.mp3", bytes(5000), "is not a sound"),
        (
            "voice.m4a",
            b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(900),
            "starts like an M4A or MP4 file.*WAV, FLAC, Ogg or MP3",
        ),
        ("voice.wav", b"\x1aE\xdf\xa3" + bytes(900), "starts like a WebM or Matroska file"),
        ("voice.aac", b"\xff\xf1\x50\x80" + bytes(900), "starts like an AAC file"),
        ("voice.amr", b"#!AMR\n" + bytes(900), "silent"),
        ("voice.wma", b"0&\xb2u\x8ef\xcf\x11" + bytes(900), "starts like a WMA file"),
        ("stub.wav", b"RIFF\x24\0\0\0WAVEfmt ", "damaged, incomplete"),
        ("stub.flac", b"fLaC" + bytes(30), "damaged, incomplete"),
        ("stub.mp3", b"ID3\x04\0\0\0\0\0\0" + bytes(200), "damaged, incomplete"),
        ("call.raw", tone().tobytes(), "is not a sound"),
        ("matrix.mat", packed(tone(), kind="MAT5"), "is not a sound"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (lambda: load_sound(path), lambda: from_bytes(content, f"some/where/{name}")):
        with pytest.raises(SoundError, match=words) as refusal:
            read()
        text = str(refusal.value)
        assert (
            f"“{name}”" in text
            and str(tmp_path) not in text
            and "some/" not in text
            and text.endswith(".")
        )


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no recording “gone.wav”"):
        load_sound(tmp_path / "gone.wav")
    with pytest.raises(SoundError, match="is a folder"):
        load_sound(tmp_path)


def test_a_name_that_no_file_can_have_is_refused_and_not_repeated_at_length(tmp_path: Path) -> None:
    with pytest.raises(SoundError) as refusal:
        load_sound(tmp_path / ("x" * 5000 + ".wav"))
    assert len(str(refusal.value)) < 200
    with pytest.raises(SoundError):
        load_sound("a\0b.wav")


def test_a_sound_without_a_name_is_called_the_recording() -> None:
    with pytest.raises(SoundError, match="^The recording is silent"):
        from_bytes(packed(np.zeros(16_000)))
    with pytest.raises(SoundError, match="^The recording is empty"):
        from_bytes(b"")


def test_the_bytes_that_data_sets_hold_may_be_any_buffer() -> None:
    assert from_bytes(memoryview(packed(tone()))).seconds == 1.0
