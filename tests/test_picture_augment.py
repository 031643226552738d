"""Augmentation of coloured pictures: by the table's row alone, and within range."""
import numpy as np
import pytest
import torch
from PIL import Image

from training.picture_augment import CHANGES, SHARPNESS, augment, draws, mixed

AS_IT_IS = -SHARPNESS[0] / (SHARPNESS[1] - SHARPNESS[0])   # the draw that neither softens nor sharpens


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (40, 3, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


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
    """Pictures that were `aspect` times as wide as high are kept as squares; slopes of 1 in both ways come back."""
    across, down = torch.linspace(0, 100 * aspect, 64), torch.linspace(0, 100, 64)
    picture = torch.stack([across.expand(64, 64), down[:, None].expand(64, 64), torch.zeros(64, 64)])[None]
    rows = torch.tensor([[0.0, 0.5, 0.5, 0.5, 1.0, 0, 0, 0, AS_IT_IS]])     # an even crop of its middle
    crop = augment(picture, rows, shape, "light", 0.3, torch.tensor([shape[1] / shape[0] / aspect]))[0]
    assert crop.shape == (3, *shape)
    to_the_right, below = crop[0].diff(dim=1), crop[1].diff(dim=0)
    assert to_the_right.mean() == pytest.approx(float(below.mean()), rel=0.02)


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_a_picture_is_varied_by_its_own_row_whoever_is_beside_it(images, strength):
    rows = draws(40, 3, 1)
    whole = augment(images, rows, (32, 32), strength, 0.3)
    some = torch.tensor([7, 0, 31])
    assert torch.allclose(augment(images[some], rows[some], (32, 32), strength, 0.3), whole[some], atol=1e-3)


def test_another_epoch_varies_otherwise_and_the_same_one_alike(images):
    one, again, other = (augment(images, draws(40, 3, epoch), (32, 32), "light", 0.3) for epoch in (0, 0, 1))
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
    softest, sharpest = (np.asarray(small.resize((64, 64), way), np.float32).std()
                         for way in (Image.Resampling.BILINEAR, Image.Resampling.LANCZOS))
    rows = draws(9, 0, 0)
    rows[:, 0], rows[:, 1], rows[:, 4], rows[:, 8] = 1.0, 0.5, 0.9, torch.linspace(0, 1, 9)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].repeat(9, 1, 1, 1)
    contrast = augment(pixels, rows, (64, 64), "light", 1).std((1, 2, 3))
    assert (contrast.diff() > 0).all() and contrast[0] < softest and contrast[-1] > sharpest


def test_mixup_lays_neighbours_over_each_other_and_their_labels_alike(images):
    labels = torch.arange(40) % 5
    x, shares = mixed(images.float(), labels, 5, 0.4, seed=9)
    share = float(shares[0, labels[0]])
    assert 0 <= share <= 1 and torch.allclose(shares.sum(1), torch.ones(40))
    assert torch.allclose(x[1], images[1].float() * share + images[0].float() * (1 - share), atol=1e-3)
    again = mixed(images.float(), labels, 5, 0.4, seed=9)[0]
    assert torch.equal(x, again) and torch.equal(mixed(images.float(), labels, 5, 0.0, 9)[0], images.float())
