"""The drawn scenes: always the same, pleasant to read, and every sentence true of the plan and of
the picture."""

from __future__ import annotations

import inspect
import re
from collections import Counter

import numpy as np
import pytest

from training.samples import scenes as book
from training.samples.scenes import (
    COLOURS,
    COUNT,
    KINDS,
    SIZE,
    WEATHER,
    WEATHERS,
    Page,
    Scene,
    plan,
    scenes,
    sentences,
)

Sample = tuple[list[np.ndarray], list[list[str]]]
PLANS = [plan(0, index) for index in range(COUNT)]
PLURALS = {f"{kind}s" for kind in KINDS}
# Patterns of what tells a place or a weather.
HERE = {
    "meadow": "meadow",
    "beach": "beach|sea",
    "street": "city|street",
    "lake": "lake|water",
    "desert": "desert",
    "snow": "snow|snowy",
}
SKIES = {
    "sunny": "sunny|sun shines|under the sun",
    "sunset": "sunset|sets",
    "rain": "rain|rains|rainy",
    "night": "moon|stars",
    "rainbow": "rainbow",
    "cloudy": "clouds|cloudy",
    "snow": "falling|snows",
}


@pytest.fixture(scope="module")
def sample() -> Sample:
    return scenes()


@pytest.fixture(scope="module")
def told(sample: Sample) -> list[tuple[Scene, str]]:
    """Every sentence with the plan that it follows."""
    return [
        (planned, text) for planned, five in zip(PLANS, sample[1], strict=True) for text in five
    ]


def render(one: Scene) -> np.ndarray:
    return Page(one).render().astype(np.int16)


def differing(one: np.ndarray, other: np.ndarray, by: int) -> np.ndarray:
    """Where two pictures differ by more than so many grey levels."""
    return np.abs(one - other).max(-1) > by


def says(pattern: str, text: str) -> bool:
    return bool(re.search(rf"\b(?:{pattern})\b", text))


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Which pixels are close to a colour by its name."""
    return ~differing(picture, np.array([*bytes.fromhex(COLOURS[colour])], np.int16), 29)


def scene(**told: object) -> Scene:
    """A brown dog that stands in a sunny meadow, or something else as told."""
    plain = Scene((0, 5), "meadow", "sunny", "dog", 1, "brown", "stand", "", "", "")
    return plain._replace(**told)


# -- the set ---------------------------------------------------------------------------------------
def test_480_scenes_of_seed_0_are_drawn_unless_told_otherwise(sample):
    defaults = [each.default for each in inspect.signature(scenes.__wrapped__).parameters.values()]
    assert defaults == [COUNT, 0] == [480, 0] and len(sample[0]) == len(sample[1]) == 480


def test_pictures_are_of_one_size_and_coloured(sample):
    assert SIZE == (128, 96)
    for picture in sample[0]:
        assert (
            picture.shape == (96, 128, 3) and picture.dtype == np.uint8 and picture.flags.writeable
        )
        few = picture[::4, ::4]
        assert few.mean(-1).std() > 8 and np.ptp(few, axis=-1).max() > 30


def test_a_longer_set_begins_with_the_shorter_ones_scenes(sample):
    pictures, captions = scenes(12)
    assert all((one == other).all() for one, other in zip(pictures, sample[0][:12], strict=True))
    assert captions == sample[1][:12]


def test_the_same_seed_draws_the_same_and_another_draws_anew(sample):
    again, other = scenes.__wrapped__(8), scenes(8, seed=7)
    assert all((one == two).all() for one, two in zip(again[0], sample[0][:8], strict=True))
    assert again[1] == sample[1][:8]
    assert (
        all((one != two).any() for one, two in zip(other[0], sample[0][:8], strict=True))
        and other[1] != again[1]
    )


def test_a_set_is_drawn_once():
    assert scenes(12) is scenes(12)


def test_none_is_none():
    assert scenes(0) == ([], [])


def test_no_picture_occurs_twice_not_even_nearly(sample):
    flat = np.stack([picture[::4, ::4].ravel() for picture in sample[0]]).astype(np.float32)
    squares = (flat**2).sum(1)
    apart = (squares[:, None] + squares - 2 * flat @ flat.T) / flat.shape[1]
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 10**2  # grey levels


def test_every_place_kind_weather_action_and_relation_occurs_often_enough():
    places, kinds, weathers = (
        Counter(parts)
        for parts in zip(
            *((each.place, each.kind, each.weather.split("_")[0]) for each in PLANS), strict=True
        )
    )
    assert set(places) == set(WEATHERS) and min(places.values()) > 40
    assert set(kinds) == set(KINDS) and min(kinds.values()) > 15
    assert set(weathers) == set(WEATHER) and min(weathers.values()) > 10
    assert {each.action for each in PLANS} == {"hold", "ride"} | {
        action for kind in KINDS.values() for action in kind[3].split("|")
    }
    assert {each.relation for each in PLANS} == {
        "",
        "near",
        "beside",
        "under",
        "over",
        "in front of",
        "hold",
        "ride",
        "jump over",
    }
    assert {each.count for each in PLANS} == {1, 2, 3}


def test_what_is_together_makes_sense():
    for each in (plan(1, index) for index in range(COUNT)):
        assert each.place in KINDS[each.kind][2] and each.weather in WEATHERS[each.place]
        assert each.kind != "boat" or each.place in ("beach", "lake")
        assert each.kind != "car" or each.place not in ("beach", "lake", "snow")
        assert not each.other or each.place in KINDS[each.other][2] and each.other != each.kind
        assert each.kind in ("boy", "girl") or each.action not in ("hold", "ride")
        assert each.tint != each.colour or each.colour in ("", "green")


# -- the sentences ---------------------------------------------------------------------------------
def test_every_picture_has_five_different_sentences_of_lower_case_words(sample):
    for five in sample[1]:
        assert len(five) == len(set(five)) == 5
        assert all(type(text) is str and re.fullmatch(r"[a-z]+( [a-z]+)+", text) for text in five)
        assert all(3 <= len(text.split()) <= 24 for text in five)


def test_there_are_many_sentences_of_few_words(told):
    assert len({text for _, text in told}) > 1200
    assert 100 < len({word for _, text in told for word in text.split()}) <= 150
    lengths = np.array([len(text.split()) for _, text in told])
    assert (lengths < 6).sum() > 100 and (lengths > 11).sum() > 100


def test_a_or_an_and_the_number_agree_with_their_noun(told):
    for _, text in told:
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text
        for number, noun in re.findall(
            rf"\b(an?|two|three) (?:(?:{'|'.join(COLOURS)}) )?(\w+)", text
        ):
            assert (noun in PLURALS) == (number in ("two", "three")), text


def test_the_verb_agrees_with_its_subject(told):
    many = set("run walk jump sit stand sleep fly float sail drive lie are".split())
    one = set(
        "runs walks jumps sits stands holds sleeps flies floats sails drives lies rides is".split()
    )
    for planned, text in told:
        words = set(re.sub(r"while .*?(sets|shines|rains|snows)", "", text).split())
        assert not words & (many if planned.count == 1 else one), text


def test_no_sentence_says_a_word_twice(told):
    for _, text in told:
        words = [word for word in text.split() if word not in ("a", "the", "in", "of")]
        assert len(words) == len(set(words)), text


def test_the_sentences_tell_what_was_planned_and_nothing_else(told):
    for planned, text in told:
        weather, words = (
            planned.weather.split("_")[0],
            set(text.replace("white clouds", "clouds").split()),
        )
        kinds = {kind for kind in KINDS if {kind, f"{kind}s"} & words}
        assert kinds <= {planned.kind, planned.other} and (
            planned.kind in kinds or "child" in words
        ), text
        assert words & set(COLOURS) <= {planned.colour, planned.tint}, text
        assert ("two" in words) == (planned.count == 2) and ("three" in words) == (
            planned.count == 3
        ), text
        for place, pattern in HERE.items():
            assert not says(pattern, text) or place in (planned.place, weather), text
        for sky, pattern in SKIES.items():
            assert not says(pattern, text) or weather == sky, text
        assert "night" not in words or planned.weather.endswith("night"), text


def test_the_other_thing_is_told_by_one_of_the_five_at_least(sample):
    for planned, five in zip(PLANS, sample[1], strict=True):
        assert not planned.other or any(says(planned.other, text) for text in five), planned


def test_a_girl_rides_a_bicycle_and_a_car_is_parked():
    rides = scene(
        kind="girl", colour="red", action="ride", relation="ride", other="bicycle", tint="blue"
    )
    lines = {text for index in range(60) for text in sentences(rides._replace(key=(0, index)))}
    assert "a girl in a red shirt rides a blue bicycle" in lines
    assert any(text.endswith("rides a bicycle across the grass") for text in lines)
    assert not any(says("bicycle", text) and not says("rides|riding", text) for text in lines)
    parked = sentences(scene(kind="car", colour="red", action="park", count=2))
    assert all(
        says("two (red )?cars", text) and not says("driv.*|parking|parks", text) for text in parked
    )


# -- the pictures ----------------------------------------------------------------------------------
def test_the_colours_that_are_named_are_in_the_picture(sample):
    checked = 0
    for picture, five in zip(sample[0], sample[1], strict=True):
        few, words = (
            picture[:, ::2].astype(np.int16),
            " ".join(five).replace("white clouds", "clouds").split(),
        )
        for colour in set(words) & set(COLOURS):
            assert near(few, colour).sum() >= 20, (colour, five)
            checked += 1
    assert checked > 500


@pytest.mark.parametrize("colour", ["red", "yellow", "blue", "pink", "purple", "orange"])
def test_a_things_colour_is_drawn_where_it_stands_and_nowhere_else(colour):
    here, other = (render(scene(kind="house", colour=each)) for each in (colour, "brown"))
    rows, columns = np.nonzero(differing(here, other, 0))
    assert near(here, colour).sum() > near(other, colour).sum() + 300
    assert rows.min() > 25 and columns.min() > 30 and columns.max() < 98, (
        "only the house in the middle differs"
    )


def test_different_subjects_look_different_where_they_are_drawn_and_their_surroundings_alike():
    actions = {"cat": "sit", "ball": "lie", "car": "park"}
    pictures = {
        kind: render(
            scene(kind=kind, action=actions.get(kind, "stand"), place="street", weather="night")
        )
        for kind in KINDS
        if KINDS[kind][0] in ("ground", "road")
    }
    for kind, one in pictures.items():
        for other in (pictures[name] for name in pictures if name != kind):
            assert (
                not differing(one, other, 0)[:18].any()
                and not differing(one, other, 0)[:, :15].any()
            )
            assert differing(one, other, 30)[30:, 20:108].sum() > 60, kind


@pytest.mark.parametrize(
    "kind, one, other",
    [
        ("dog", "run", "sit"),
        ("dog", "jump", "stand"),
        ("cat", "sleep", "walk"),
        ("horse", "run", "stand"),
        ("boy", "jump", "run"),
        ("girl", "stand", "run"),
        ("car", "drive", "park"),
    ],
)
def test_what_it_does_can_be_seen(kind, one, other):
    assert (
        differing(
            render(scene(kind=kind, action=one)), render(scene(kind=kind, action=other)), 30
        ).sum()
        > 60
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_are_seen_as_are_told_of(count):
    across = near(render(scene(kind="ball", colour="red", action="lie", count=count)), "red").any(0)
    assert (np.diff(across.astype(int), prepend=0) == 1).sum() == count


@pytest.mark.parametrize(
    "kind, action, relation, other",
    [
        ("balloon", "float", "over", "house"),
        ("boy", "jump", "jump over", "ball"),
        ("girl", "ride", "ride", "bicycle"),
    ],
)
def test_what_is_over_something_is_drawn_above_it(kind, action, relation, other):
    picture = render(
        scene(
            kind=kind, action=action, relation=relation, other=other, colour="purple", tint="orange"
        )
    )
    upper, lower = (np.nonzero(near(picture, colour))[0].mean() for colour in ("purple", "orange"))
    assert upper < lower - 10


def test_night_and_rain_are_darker_than_the_sun_and_every_weather_shows():
    pictures = {weather: render(scene(weather=weather)) for weather in WEATHER}
    assert max(pictures["night"].mean(), pictures["rain"].mean()) < pictures["sunny"].mean() - 10
    for one in pictures:
        assert all(
            one == other or differing(pictures[one], pictures[other], 20).sum() > 300
            for other in pictures
        )


def test_every_place_looks_its_own():
    pictures = {place: render(scene(place=place))[50:] for place in WEATHERS}
    for one in pictures:
        assert all(
            one == other or differing(pictures[one], pictures[other], 20).mean() > 0.4
            for other in pictures
        )


def test_every_figure_that_is_asked_for_is_there():
    for kind, (area, *_, others) in KINDS.items():
        assert kind in book.FIGURES and (area == "air" or f"under_{area}" in book.FIGURES)
        assert all(pair.split()[-1] in KINDS for pair in others.split("|") if pair)
    names = {f"at_{place}" for place in WEATHERS} | {
        each for some in WEATHERS.values() for each in some.split("|")
    }
    names |= {ink for pieces in book.FIGURES.values() for shape, ink, *_ in pieces if shape in "@*"}
    assert names <= set(book.FIGURES)
