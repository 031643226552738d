"""A recording is cut into clips: evenly, or at its pauses; what is left out is counted."""

import numpy as np
import pytest

from training.media.sound_cut import LONGEST, MARGIN, cut_at_pauses, cut_evenly, describe_cut

RATE = 16_000


def sound(*parts: tuple[float, float]) -> np.ndarray:
    """(seconds, loudness) one after the other."""
    noise = np.random.default_rng(0)
    made = [loud * noise.uniform(-1, 1, round(long * RATE)) for long, loud in parts]
    return np.concatenate(made).astype(np.float32)


def lengths(cut) -> list[float]:
    return [round(len(piece) / RATE, 2) for piece in cut.pieces]


@pytest.mark.parametrize(
    "seconds, expected, rest",
    [
        (6, [2, 2, 2], 0),
        (6.9, [2, 2, 2], 0.9),
        (7, [2, 2, 2, 1], 0),
        (1.2, [1.2], 0),
        (0.3, [0.3], 0),
    ],
)
def test_pieces_are_even_and_a_short_rest_is_left_out(seconds, expected, rest):
    cut = cut_evenly(sound((seconds, 0.5)), RATE, 2)
    assert lengths(cut) == expected and round(cut.rest, 2) == rest and not cut.silent


def test_nothing_is_lost_where_nothing_is_left_out():
    whole = sound((5, 0.5), (1, 0.2), (1.5, 0.7))
    np.testing.assert_array_equal(np.concatenate(cut_evenly(whole, RATE, 1.5).pieces), whole)


def test_silent_pieces_are_left_out_and_counted():
    cut = cut_evenly(sound((2, 0.5), (4, 0), (2, 0.5), (2, 0.0002)), RATE, 2)
    assert lengths(cut) == [2, 2] and cut.silent == 3
    assert describe_cut(cut) == ["3 pieces are silent: left out."]


def test_a_rooms_hum_is_silence_beside_a_voice_and_a_sound_by_itself():
    assert cut_evenly(sound((2, 0.5), (2, 0.005)), RATE, 2).silent == 1
    assert not cut_evenly(sound((4, 0.005)), RATE, 2).silent
    assert lengths(cut_at_pauses(sound((4, 0.005)), RATE)) == [4]


def test_each_sound_between_pauses_is_a_piece_with_a_little_around_it():
    cut = cut_at_pauses(sound((1, 0), (0.8, 0.5), (0.5, 0), (1.2, 0.3), (2, 0), (0.4, 0.6)), RATE)
    expected = [0.8 + 2 * MARGIN, 1.2 + 2 * MARGIN, 0.4 + MARGIN]
    assert lengths(cut) == pytest.approx(expected, abs=0.05) and not describe_cut(cut)


def test_a_pause_between_words_parts_no_sound():
    assert len(cut_at_pauses(sound((0.5, 0.5), (0.2, 0), (0.5, 0.5)), RATE).pieces) == 1


def test_a_click_is_no_sound():
    cut = cut_at_pauses(sound((1, 0), (0.02, 0.9), (1, 0), (1, 0.5)), RATE)
    assert len(cut.pieces) == 1 and cut.clicks == 1
    assert describe_cut(cut) == ["1 click, too short to be a sound: left out."]


def test_a_sound_that_goes_on_is_cut_all_the_same():
    cut = cut_at_pauses(sound((2 * LONGEST + 2, 0.5)), RATE)
    assert lengths(cut) == [LONGEST, LONGEST] and cut.rest == 2
    assert describe_cut(cut) == ["The last 2.0 s are too short for a piece: left out."]


def test_what_is_silent_throughout_gives_nothing():
    for cut in (cut_evenly(sound((3, 0)), RATE, 1), cut_at_pauses(sound((3, 0)), RATE)):
        assert not cut.pieces and cut.silent
