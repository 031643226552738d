"""Convolutions of small maps as matrix products: the same numbers as torch's own, to the precision
of bf16."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification

from training.learn import backbone, small_maps
from training.learn.architectures import ARCHS

CASES = [
    (3, 1, 1, (4, 4)),
    (3, 2, 1, (9, 9)),
    (3, 1, 0, (5, 6)),
    (5, 1, 2, (7, 3)),
    (3, 2, 1, (3, 8)),
    (2, 2, 0, (4, 4)),
    (3, 3, 1, (7, 7)),
]  # kernel, stride, padding, high and wide


@pytest.fixture
def products(monkeypatch):
    """How often a product was taken in place of a convolution."""
    taken, plain = [], small_maps._patches
    monkeypatch.setattr(small_maps, "_patches", lambda *args: taken.append(1) or plain(*args))
    return taken


def gradients(conv: nn.Conv2d, x: torch.Tensor, bf16: bool) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = conv(x)
    y.float().square().mean().backward()
    return [y.detach().float(), x.grad, conv.weight.grad.clone()]


@pytest.mark.parametrize(("kernel", "stride", "padding", "shape"), CASES)
def test_results_and_gradients_are_those_of_the_convolution(
    kernel, stride, padding, shape, products
):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(24, 40, kernel, stride, padding, bias=False), torch.randn(6, 24, *shape)
    exact = gradients(conv, x, bf16=False)
    small_maps.speed_up(conv)
    for found, meant in zip(gradients(conv, x, bf16=True), exact, strict=True):
        assert found.shape == meant.shape and found.dtype == meant.dtype
        assert (found - meant).norm() < 0.01 * meant.norm()
    assert len(products) == 2, "forward and backward"


def test_in_full_precision_and_on_wide_maps_it_is_the_convolution_itself(products):
    conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    x, wide = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, small_maps.WIDEST + 1)
    meant = conv(x)
    small_maps.speed_up(conv)
    assert torch.equal(conv(x), meant)
    with torch.autocast("cpu", torch.bfloat16):
        conv(wide)
    assert not products


def test_no_gradient_of_the_pictures_is_made_where_none_is_asked_for(products):
    conv, x = nn.Conv2d(8, 8, 3, padding=1, bias=False), torch.randn(2, 8, 4, 4)
    small_maps.speed_up(conv)
    with torch.autocast("cpu", torch.bfloat16):
        conv(x).float().sum().backward()
    assert conv.weight.grad.shape == conv.weight.shape and x.grad is None and products


@pytest.mark.parametrize(
    "other",
    [
        dict(groups=4),
        dict(bias=True),
        dict(dilation=2),
        dict(padding="same"),
        dict(padding_mode="reflect", padding=1),
        dict(stride=(1, 2)),
        dict(padding=(0, 1)),
    ],
)
def test_convolutions_of_other_kinds_stay_as_they_are(other):
    conv = nn.Conv2d(8, 8, 3, **{"bias": False, **other})
    small_maps.speed_up(conv)
    assert type(conv) is nn.Conv2d


def test_a_network_keeps_its_weights_names_and_answers(products):
    network = AutoModelForImageClassification.from_config(
        AutoConfig.for_model(**ARCHS["resnet"], num_labels=3)
    ).eval()
    x, names = torch.randn(2, 3, 128, 128), list(network.state_dict())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        meant = network(pixel_values=x).logits.float()
        assert not products
        small_maps.speed_up(network)
        found = network(pixel_values=x).logits.float()
    assert len(products) == 2, "both convolutions of the last stage"
    assert list(network.state_dict()) == names and torch.allclose(
        found, meant, atol=0.02 * float(meant.abs().max())
    )


@pytest.mark.parametrize("amx", [True, False])
def test_they_are_taken_where_the_processor_multiplies_in_tiles(amx, monkeypatch):
    monkeypatch.setattr(backbone, "has_amx", lambda: amx)
    network = AutoModelForImageClassification.from_config(
        AutoConfig.for_model(**ARCHS["resnet"], num_labels=3)
    )
    backbone.speed_up(network, SimpleNamespace(mixed_precision="bf16", device=torch.device("cpu")))
    assert any(type(module) is small_maps._Convolution for module in network.modules()) == amx
