"""Where a network looked: for each place of the picture, how much it counted towards the answer.

A transformer that attends to the whole picture: attention rollout (Abnar and Zuidema 2020, arXiv
2005.00928). Any other network: Grad-CAM on its last map (Selvaraju et al. 2017, arXiv 1610.02391).
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from training.media.pictures import flatten

if TYPE_CHECKING:  # the page starts without torch
    from torch import Tensor, nn

FINE = 5  # places a side that a map needs, to show anything
# From nothing through violet and orange to bright yellow: brightness rises throughout, so that it
# reads without colour.
STOPS = np.array(
    [[20, 10, 50], [110, 30, 110], [200, 60, 75], [250, 145, 35], [252, 250, 160]], np.float32
)


def where_it_looked(model: "nn.Module", x: "Tensor") -> np.ndarray | None:
    """(h, w) in 0 to 1 for one input, (1, 3, S, S), which is where the model is; None where it does
    not tell. The weights must not require gradients."""
    try:
        return _look(model, x)
    # What networks of others give in place of maps, or raise when asked for them, is of every kind.
    except (ValueError, RuntimeError, TypeError, LookupError, AttributeError):
        return None


def _look(model: "nn.Module", x: "Tensor") -> np.ndarray:
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        if blocks := _list_blocks(model):
            with _watch(blocks) as (attentions, hidden):
                logits = model(pixel_values=x).logits
        else:
            found = model(
                pixel_values=x, output_attentions=_attends(model) or None, output_hidden_states=True
            )
            attentions = [a for a in (getattr(found, "attentions", None) or ()) if a is not None]
            (logits, hidden) = (found.logits, found.hidden_states)
        if attentions and _tells_of_one_place(attentions):
            heat = _rollout(torch.cat([a.detach() for a in attentions]))
        else:
            heat = _grad_cam(logits, tuple(hidden))
    heat = heat.clamp(min=0)
    low = float(heat.min())
    high = float(heat.max())
    return ((heat - low) / max(high - low, 1e-9)).cpu().numpy()


def _list_blocks(model: "nn.Module") -> "list[Any]":
    """The layers of a transformer of timm, which does not tell what they attended to."""
    found = [*getattr(getattr(model, "timm_model", None), "blocks", ())]
    return found if all(hasattr(getattr(b, "attn", None), "attn_drop") for b in found) else []


@contextlib.contextmanager
def _watch(blocks: "list[Any]") -> "Iterator[tuple[list[Tensor], list[Tensor]]]":
    """Fills two lists with what each layer attends to and gives, of what this thread asks."""
    asking = threading.get_ident()  # others may ask the same network meanwhile
    attentions: list[Tensor] = []
    hidden: list[Tensor] = []

    def keep(kept: "list[Tensor]", value: "Tensor") -> None:
        if threading.get_ident() == asking:
            kept.append(value)

    hooks = []
    fused = [block.attn.fused_attn for block in blocks]
    for block in blocks:
        block.attn.fused_attn = False  # which computes the same without showing it
        drop = block.attn.attn_drop
        hooks.append(drop.register_forward_pre_hook(lambda _, given: keep(attentions, given[0])))
        hooks.append(block.register_forward_hook(lambda _, given, out: keep(hidden, out)))
    try:
        yield attentions, hidden
    finally:
        for hook in hooks:
            hook.remove()
        for block, before in zip(blocks, fused, strict=True):
            block.attn.fused_attn = before


def _attends(model: "nn.Module") -> bool:
    return hasattr(model.config, "num_attention_heads")


def _tells_of_one_place(attentions: "list[Tensor]") -> bool:
    """Whether all layers see the same places, a square of them and a first one that answers."""
    first = attentions[0].shape
    return all(a.shape == first for a in attentions) and int(first[-1] ** 0.5) ** 2 != first[-1]


def _rollout(attentions: "Tensor") -> "Tensor":
    """(layers, heads, T, T), the first token being the one that answers, to a square of its view of
    the others."""
    import torch

    itself = torch.eye(attentions.shape[-1], device=attentions.device)
    joined = itself
    for layer in attentions.mean(1):
        layer = layer + itself  # what passes beside the attention
        joined = layer / layer.sum(-1, keepdim=True) @ joined
    side = int((len(joined) - 1) ** 0.5)
    return joined[0, -side * side :].view(side, side)


def _grad_cam(logits: "Tensor", hidden: "tuple[Tensor, ...]") -> "Tensor":
    """The last map that tells places apart, its channels weighed by how much they would raise the
    answer."""
    import torch

    fine = [h for h in hidden if (min(h.shape[2:]) if h.ndim == 4 else h.shape[1] ** 0.5) >= FINE]
    last = (fine or hidden)[-1 if fine else 0]
    slope = torch.autograd.grad(logits[0].max(), last)[0]
    if last.ndim == 4:  # (1, C, h, w)
        return (last * slope.mean((2, 3), keepdim=True)).sum(1)[0].detach().relu()
    side = int(last.shape[1] ** 0.5)  # (1, places, C)
    return (
        (last * slope.mean(1, keepdim=True))
        .sum(2)[0, -side * side :]
        .detach()
        .relu()
        .view(side, side)
    )


def _colour(heat: np.ndarray) -> np.ndarray:
    """(h, w, 3) of (h, w) in 0 to 1."""
    at = heat * (len(STOPS) - 1)
    low = np.minimum(at.astype(int), len(STOPS) - 2)
    return STOPS[low] + (STOPS[low + 1] - STOPS[low]) * (at - low)[..., None]


def veil(heat: np.ndarray, side: int = 32) -> Image.Image:
    """The heat alone, to be laid over a picture by the browser: RGBA, small, clear where nothing
    counted."""
    low = float(heat.min())
    high = float(heat.max())
    heat = (heat - low) / max(high - low, 1e-9)
    large = np.asarray(
        Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    )
    large = large.clip(0, 1)
    alpha = 255 * (0.35 + 0.45 * large)
    return Image.fromarray(np.dstack([_colour(large), alpha]).clip(0, 255).astype(np.uint8), "RGBA")


def fit(picture: Image.Image) -> Image.Image:
    """The photo as it lies under a heat map: in its own shape, its long side 320 pixels."""
    return ImageOps.contain(flatten(picture), (320, 320))


def overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """The heat over the photo: what counted is coloured, the rest fades."""
    picture = fit(picture)
    under = np.asarray(picture, np.float32)
    large = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    strength = np.asarray(large).clip(0, 1)[..., None]
    colour = _colour(strength[..., 0])
    grey = under.mean(-1, keepdims=True)
    faded = 0.5 * under + 0.5 * grey
    share = 0.15 + 0.5 * strength
    return Image.fromarray((faded * (1 - share) + colour * share).clip(0, 255).astype(np.uint8))
