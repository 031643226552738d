"""The drawn garments: ten classes, each drawing its own, the same every time, and learnable."""

from __future__ import annotations

import numpy as np
import pytest

from training.samples.garments import LABELS, draw_large, garments


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    return garments(per_class=40)


def test_there_are_as_many_of_each_class_as_asked_for(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    pixels, labels = sample
    assert pixels.shape == (400, 28, 28) and pixels.dtype == np.uint8
    assert labels.dtype == np.int64 and np.bincount(labels).tolist() == [40] * 10


def test_the_labels_are_fashion_mnists_in_its_order() -> None:
    assert (
        LABELS[0] == "T-shirt/top"
        and LABELS[5] == "Sandal"
        and LABELS[9] == "Ankle boot"
        and len(LABELS) == 10
    )


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert (garments(3, seed=7)[0] == garments(3, seed=7)[0]).all()
    assert (garments(3, seed=7)[0] != garments(3, seed=8)[0]).any()


def test_a_longer_set_holds_the_shorter_ones_drawings() -> None:
    few, many = garments(2)[0].reshape(10, 2, 28, 28), garments(4)[0].reshape(10, 4, 28, 28)
    assert (many[:, :2] == few).all()


def test_none_of_a_class_is_none() -> None:
    pixels, labels = garments(0)
    assert pixels.shape == (0, 28, 28) and labels.shape == (0,)


def test_no_drawing_occurs_twice(sample: tuple[np.ndarray, np.ndarray]) -> None:
    assert len({drawing.tobytes() for drawing in sample[0]}) == 400


def test_every_drawing_is_light_on_dark_and_fills_its_frame(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    for drawing in sample[0]:
        rows, columns = (np.flatnonzero(drawing.any(axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 28
        assert abs(rows[0] + rows[-1] - 27) <= 1 and abs(columns[0] + columns[-1] - 27) <= 1
        assert drawing.max() > 60 and drawing.min() == 0


def test_drawings_of_a_class_differ_in_shape_and_in_shade(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    for label in range(10):
        drawings = sample[0][sample[1] == label].astype(float)
        assert drawings.mean((1, 2)).std() > 8
        assert (drawings > 0).mean((1, 2)).std() > 0.01


def test_the_classes_are_told_apart_by_their_nearest_neighbour(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    flat, labels = sample[0].reshape(400, -1) / 255.0, sample[1]
    train = np.arange(400) % 40 < 30
    apart = (
        (flat[~train] ** 2).sum(1)[:, None]
        - 2 * flat[~train] @ flat[train].T
        + (flat[train] ** 2).sum(1)
    )
    right = labels[train][apart.argmin(1)] == labels[~train]
    assert right.mean() > 0.5  # chance is 0.1


def test_a_large_drawing_is_as_large_as_asked_for() -> None:
    large = draw_large(8, np.random.default_rng(0), fine=300)
    left, top, right, bottom = large.getbbox()
    assert large.mode == "L" and 250 <= max(right - left, bottom - top) <= 340
