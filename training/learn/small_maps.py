"""Convolutions of small maps as matrix products, for training in bf16 on a CPU with AMX.

AMX multiplies 16 rows at once. oneDNN (3.x, in torch 2.15) fills them along a row of the map, so
that the last stage of a convolutional network, whose rows are four to seven places wide, leaves
most of a tile empty; its gradient of the weights is slowest. Here all places of all pictures are
the rows: the same sums, in another order.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDEST = (
    7  # places in a row of the result, where products are still 1.1 times faster (2.5 times at 4)
)


def speed_up(model: nn.Module) -> None:
    """Lets the convolutions of `model` that can do it choose by the map's width. Weights and names
    stay."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _plain(module):
            module.__class__ = _Convolution


def _plain(module: nn.Conv2d) -> bool:
    return (
        module.groups == 1
        and module.bias is None
        and module.padding_mode == "zeros"
        and min(module.kernel_size) > 1
        and not isinstance(module.padding, str)
        and len({*module.kernel_size}) == len({*module.stride}) == 1
        and {*module.dilation} == {1}
        and len({*module.padding}) == 1
    )


class _Convolution(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        (kernel, _) = self.kernel_size
        (stride, _) = self.stride
        padding = int(self.padding[0])
        wide = (input.shape[-1] + 2 * padding - kernel) // stride + 1
        if wide > WIDEST or not (
            torch.is_autocast_enabled("cpu") and self.weight.device.type == "cpu"
        ):
            return super().forward(input)
        return _Product.apply(input, self.weight, stride, padding)


def _patches(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """(n, high, wide, kernel, kernel, channels): what each place of the result is made of, of (n,
    channels, h, w)."""
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, *[padding] * 4))
    return (
        x.unfold(1, kernel, stride).unfold(2, kernel, stride).permute(0, 1, 2, 4, 5, 3).contiguous()
    )


class _Product(torch.autograd.Function):
    """A convolution of (n, in, h, w) with (out, in, kernel, kernel), its maps laid out channels
    last."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.steps = stride, padding
        made_of = _patches(x, weight.shape[-1], stride, padding)
        return (made_of.flatten(3) @ weight.permute(2, 3, 1, 0).flatten(0, 2)).permute(0, 3, 1, 2)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (gradient,) = gradients
        (x, weight) = ctx.saved_tensors
        (stride, padding) = ctx.steps
        made_of = _patches(x, weight.shape[-1], stride, padding)
        count, high, wide, kernel, _, channels = made_of.shape
        rows = gradient.permute(0, 2, 3, 1).flatten(0, 2)
        of_weight = (
            (rows.T @ made_of.view(len(rows), -1))
            .view(-1, kernel, kernel, channels)
            .permute(0, 3, 1, 2)
        )
        if not ctx.needs_input_grad[0]:
            return None, of_weight, None, None
        back = (rows @ weight.permute(0, 2, 3, 1).flatten(1)).view(made_of.shape)
        padded = torch.zeros(count, x.shape[2] + 2 * padding, x.shape[3] + 2 * padding, channels)
        for down in range(kernel):
            for along in range(kernel):
                padded[
                    :, down : down + stride * high : stride, along : along + stride * wide : stride
                ] += back[:, :, :, down, along]
        inner = padded[:, padding : padding + x.shape[2], padding : padding + x.shape[3]]
        return inner.to(x.dtype).permute(0, 3, 1, 2), of_weight, None, None
