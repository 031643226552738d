"""Augmentation: every picture by its own draw, which hangs on (seed, epoch, index) alone."""

import pytest
import torch

from training.recipes.digits.augment import STRENGTH, augment, draws


@pytest.fixture
def images():
    return torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_draws_hang_on_seed_and_epoch_and_on_nothing_else():
    first = draws(10, 3, 4)
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(first, draws(10, 3, 4))
    assert not torch.equal(first, draws(10, 3, 5)) and not torch.equal(first, draws(10, 4, 4))
    assert 0 <= first.min() and first.max() < 1


@pytest.mark.parametrize("framing, strength", STRENGTH)
def test_a_picture_is_varied_alike_alone_and_among_others(images, framing, strength):
    rows = draws(6, 0, 0)
    together = augment(images, rows, framing, strength)
    alone = torch.cat(
        [augment(images[i : i + 1], rows[i : i + 1], framing, strength) for i in range(6)]
    )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("framing, strength", STRENGTH)
def test_shape_type_and_range_are_kept_and_something_changes(images, framing, strength):
    out = augment(images, draws(6, 0, 0), framing, strength)
    assert out.shape == images.shape and out.dtype == images.dtype
    assert out.min() >= 0 and out.max() <= 1.0001 and not torch.equal(out, images)


@pytest.mark.parametrize("framing", ["digit", "garment"])
def test_none_changes_nothing(images, framing):
    assert augment(images, draws(6, 0, 0), framing, "none") is images


def test_digits_are_never_mirrored_and_garments_half_of_the_time():
    left = torch.zeros(400, 1, 28, 28)
    left[..., 8:20, 6:10] = 1
    share = {}
    for framing in ("digit", "garment"):
        out = augment(left, draws(400, 0, 0), framing, "light")
        share[framing] = float(
            (out[..., 14:].sum((1, 2, 3)) > out[..., :14].sum((1, 2, 3))).float().mean()
        )
    assert share["digit"] == 0 and 0.4 < share["garment"] < 0.6


def test_strong_variation_of_garments_erases_a_part_of_each():
    white = torch.ones(50, 1, 28, 28)
    rows = draws(50, 0, 0)
    rows[:, :6] = 0.5  # no turn, no shift
    out = augment(white, rows, "garment", "strong")
    erased = (out == 0).sum((1, 2, 3))
    assert erased.max() <= 81 and erased.min() > 0
