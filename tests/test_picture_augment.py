"""Augmentation of coloured pictures: by the table's row alone, and within range."""

import numpy as np
import pytest
import torch
from PIL import Image

from training.media.picture_augment import CHANGES, SHARPNESS, augment, draws, mix

AS_IT_IS = -SHARPNESS[0] / (
    SHARPNESS[1] - SHARPNESS[0]
)  # the draw that neither softens nor sharpens


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (40, 3, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
@pytest.mark.parametrize("size", [32, 40, 56])
def test_shape_and_range_hold(images, strength, size):
    found = augment(images, draws(40, 0, 0), (size, size), strength, 0.3)
    assert found.shape == (40, 3, size, size) and found.min() >= 0 and found.max() <= 255


def test_none_changes_nothing(images):
    assert (augment(images, draws(40, 0, 0), (40, 40), "none", 0.3) == images).all()


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (56, 56)])
@pytest.mark.parametrize("aspect", [0.75, 1.0, 16 / 9])
def test_crops_in_a_pictures_own_shape_do_not_stretch_what_they_show(shape, aspect):
    """Pictures that were `aspect` times as wide as high are kept as squares; slopes of 1 in both
    ways come back."""
    across, down = torch.linspace(0, 100 * aspect, 64), torch.linspace(0, 100, 64)
    picture = torch.stack(
        [across.expand(64, 64), down[:, None].expand(64, 64), torch.zeros(64, 64)]
    )[None]
    rows = torch.tensor(
        [[0.0, 0.5, 0.5, 0.5, 1.0, 0, 0, 0, AS_IT_IS]]
    )  # an even crop of its middle
    crop = augment(
        picture, rows, shape, "light", 0.3, torch.tensor([shape[1] / shape[0] / aspect])
    )[0]
    assert crop.shape == (3, *shape)
    to_the_right, below = crop[0].diff(dim=1), crop[1].diff(dim=0)
    assert to_the_right.mean() == pytest.approx(float(below.mean()), rel=0.02)


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_a_picture_is_varied_by_its_own_row_whoever_is_beside_it(images, strength):
    rows = draws(40, 3, 1)
    whole = augment(images, rows, (32, 32), strength, 0.3)
    some = torch.tensor([7, 0, 31])
    assert torch.allclose(
        augment(images[some], rows[some], (32, 32), strength, 0.3), whole[some], atol=1e-3
    )


def test_another_epoch_varies_otherwise_and_the_same_one_alike(images):
    one, again, other = (
        augment(images, draws(40, 3, epoch), (32, 32), "light", 0.3) for epoch in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.allclose(one, other)


def test_every_change_happens_and_changes_something(images):
    rows = draws(40, 0, 0)
    plain = augment(images, rows, (40, 40), "light", 1.0)
    for number, name in enumerate(CHANGES):
        asked = rows.clone()
        asked[:, 5], asked[:, 6] = (number + 0.5) / len(CHANGES), 0.8
        found = augment(images, asked, (40, 40), "strong", 1.0)
        same = torch.allclose(found, plain, atol=0.5)
        assert same == (name in ("identity",)) or name == "autocontrast", name


def test_a_crop_of_everything_is_the_picture_or_its_mirror_image(images):
    rows = draws(40, 0, 0)
    rows[:, 0], rows[:, 1], rows[:, 8] = 1.0, 0.5, AS_IT_IS
    found = augment(images, rows, (40, 40), "light", 1.0)
    right = torch.where((rows[:, 4] < 0.5)[:, None, None, None], images.flip(3), images)
    assert torch.allclose(found, right.float(), atol=0.5)


def test_the_draws_reach_from_softer_than_bilinear_to_sharper_than_lanczos():
    """One picture of noise, enlarged by PIL in two ways, and by every draw of sharpness."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    softest, sharpest = (
        np.asarray(small.resize((64, 64), way), np.float32).std()
        for way in (Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
    )
    rows = draws(9, 0, 0)
    rows[:, 0], rows[:, 1], rows[:, 4], rows[:, 8] = 1.0, 0.5, 0.9, torch.linspace(0, 1, 9)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].repeat(9, 1, 1, 1)
    contrast = augment(pixels, rows, (64, 64), "light", 1).std((1, 2, 3))
    assert (contrast.diff() > 0).all() and contrast[0] < softest and contrast[-1] > sharpest


# -- mixed -----------------------------------------------------------------------------------------
def test_mixup_lays_neighbours_over_each_other_and_their_labels_alike(images):
    labels = torch.arange(40) % 5
    x, shares = mix(images.float(), labels, 5, mixup=0.4, cutmix=0, seed=9)
    share = shares[torch.arange(40), labels].view(-1, 1, 1, 1)
    assert len(share.unique()) > 30, "every picture by its own draw"
    assert 0 <= share.min() and share.max() <= 1 and torch.allclose(shares.sum(1), torch.ones(40))
    assert torch.allclose(
        x, images.float() * share + images.float().roll(1, 0) * (1 - share), atol=1e-3
    )
    assert torch.equal(x, mix(images.float(), labels, 5, 0.4, 0, seed=9)[0])


def test_cutmix_lays_a_rectangle_of_the_neighbour_in_each_and_labels_go_by_its_area():
    images, labels = torch.arange(40.0).view(-1, 1, 1, 1).expand(40, 3, 24, 40), torch.arange(40)
    x, shares = mix(images, labels, 40, mixup=0, cutmix=1.0, seed=9)
    other = x == images.roll(1, 0)
    assert ((x == images) | other).all(), "every pixel is one picture's or the other's"
    assert torch.allclose(
        shares[labels, labels.roll(1)], other[:, 0].float().mean((1, 2)), atol=1e-6
    )
    for inside in other[:, 0]:
        rows, columns = inside.any(1), inside.any(0)
        assert (
            torch.equal(inside, rows[:, None] & columns) and (rows.float().diff() == 1).sum() <= 1
        )
    assert other.float().mean((1, 2, 3)).std() > 0.1, "small ones and large ones"


def test_where_both_are_asked_for_each_picture_gets_one_of_them():
    images, labels = torch.arange(400.0).view(-1, 1, 1, 1).expand(400, 3, 16, 16), torch.arange(400)
    x, _ = mix(images, labels, 400, mixup=1.0, cutmix=3.0, seed=1)
    whole = ((x == images) | (x == images.roll(1, 0))).all(-1).all(-1).all(-1)
    assert 0.68 < whole.float().mean() < 0.82, "three in four are cut"
    assert torch.equal(mix(images, labels, 400, 0, 0, 1)[0], images)


def test_the_weakest_mixing_is_still_a_number():
    images, labels = torch.ones(2000, 3, 2, 2), torch.zeros(2000, dtype=torch.long)
    _, shares = mix(images, labels, 2, mixup=0.01, cutmix=0.01, seed=0)
    assert shares.isfinite().all() and torch.allclose(shares[:, 0], torch.ones(2000))
