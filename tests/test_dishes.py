"""The drawn dishes: balanced, the same every time, each its own, and learnable, yet not by their
colour alone."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from demos.examples import make_food
from training.samples.dishes import CLASSES, SIDE, dishes

Sample = tuple[np.ndarray, np.ndarray]
COUNT = 400  # 10 ms each


@pytest.fixture(scope="module")
def sample() -> Sample:
    return dishes(COUNT)


def score(model: object, features: np.ndarray, labels: np.ndarray, train: int) -> float:
    """The share that `model`, fitted to the first `train` pictures, gets right of the others."""
    return model.fit(features[:train], labels[:train]).score(features[train:], labels[train:])


def test_the_classes_are_food_101s_names_in_order() -> None:
    assert CLASSES == [
        "donuts",
        "french_fries",
        "hamburger",
        "hot_dog",
        "ice_cream",
        "macarons",
        "pizza",
        "sushi",
    ]


def test_pictures_are_small_and_coloured_and_the_classes_balanced(sample: Sample) -> None:
    pixels, labels = sample
    assert pixels.shape == (COUNT, SIDE, SIDE, 3) == (400, 64, 64, 3) and pixels.dtype == np.uint8
    assert labels.dtype == np.int64 and (labels == np.arange(COUNT) % 8).all()


def test_a_longer_set_begins_with_the_shorter_ones_pictures(sample: Sample) -> None:
    few, many = dishes(16), dishes(32)
    assert (few[0] == many[0][:16]).all() and (few[1] == many[1][:16]).all()
    assert (many[0] == sample[0][:32]).all()


def test_the_same_seed_draws_the_same_and_another_draws_every_picture_anew() -> None:
    one, again, other = dishes(8, seed=7)[0], dishes(8, seed=7)[0], dishes(8, seed=8)[0]
    assert (one == again).all()
    assert (one != other).any(axis=(1, 2, 3)).all()


def test_none_is_none() -> None:
    pixels, labels = dishes(0)
    assert pixels.shape == (0, 64, 64, 3) and labels.shape == (0,)


def test_480_pictures_of_seed_0_are_drawn_unless_told_otherwise() -> None:
    assert [each.default for each in inspect.signature(dishes).parameters.values()] == [480, 0]


def test_no_picture_occurs_twice_not_even_nearly(sample: Sample) -> None:
    flat = sample[0][:, ::4, ::4].reshape(COUNT, -1).astype(np.float32)
    squares = (flat**2).sum(1)
    apart = (squares[:, None] + squares - 2 * flat @ flat.T) / flat.shape[1]
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 20**2  # grey levels, while the grain alone is 4 at most


def test_every_picture_shows_something_and_keeps_within_its_range(sample: Sample) -> None:
    for picture in sample[0]:
        grey = picture.mean(-1)
        assert grey.std() > 10
        assert ((picture == 0) | (picture == 255)).mean() < 0.4


def test_the_mean_colour_says_little_about_the_class(sample: Sample) -> None:
    pixels, labels = sample
    colours = pixels.reshape(COUNT, -1, 3).mean(1)
    assert (
        score(NearestCentroid(), colours, labels, train=160) < 0.4
    )  # on 240 pictures; chance is 0.125


def test_a_linear_model_on_a_sixteenth_of_the_pixels_learns_the_classes(sample: Sample) -> None:
    pixels, labels = sample
    small = pixels.reshape(COUNT, 16, 4, 16, 4, 3).mean((2, 4))
    edges = np.hypot(*np.gradient(small.mean(-1), axis=(1, 2)))
    features = np.concatenate([small.reshape(COUNT, -1), edges.reshape(COUNT, -1)], 1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    right = score(model, features, labels, train=280)
    assert (
        0.5 < right < 0.95
    )  # of 120 pictures; chance is 0.125, and drawings all alike would reach 1


def test_the_food_tab_s_examples_are_what_their_script_draws(tmp_path, monkeypatch) -> None:
    kept = make_food.HERE
    monkeypatch.setattr(make_food, "HERE", tmp_path)
    make_food.main()
    for path in tmp_path.iterdir():
        with Image.open(path) as new, Image.open(kept / path.name) as old:
            apart = np.abs(np.asarray(new, int) - np.asarray(old, int))
        assert apart.mean() < 1, path.name  # versions of Pillow may round differently
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in kept.iterdir()}
