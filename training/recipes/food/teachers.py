"""Checkpoints that teach: what they answer to the very pictures that a network learns from is a
part of the labels.

Whatever crop or mixture the network sees, its teacher sees the same ("consistent teaching", Beyer
et al. 2022, arXiv
2106.05237). Of several, one is drawn each time: the loss is linear in the labels, so the network
learns from the mean of all, at the cost of one.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.device import device
from training.learn import backbone
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.recipes.food import score as food_score
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint


class Teachers:
    """`names`: checkpoint ids or models of the Hub, the `revisions` of which are known then ("" for
    an id). Raises SettingsError, CheckpointError."""

    def __init__(self, names: list[str], runs: Path, slot: str, classes: list[str]):
        found = [backbone.named(name, runs, slot) for name in names]
        self.revisions = {name: revision for name, (_, revision) in zip(names, found, strict=True)}
        self.all = [_opened(teacher, classes) for teacher, _ in found]

    @torch.no_grad()
    def answers(self, pixels: Tensor, draw: int) -> Tensor:
        """(N, classes), what the one of that draw makes of (N, 3, h, w), 0 to 255."""
        model, looks, columns = self.all[draw % len(self.all)]
        if backbone.bound_to_its_size(model.config):
            pixels = F.interpolate(
                pixels, (looks.size, looks.size), mode="bilinear", antialias=True
            )
        x = looks.normalise(pixels).contiguous(memory_format=torch.channels_last)
        return model(pixel_values=x).logits[:, columns].float().softmax(1)


def _opened(found: Checkpoint, classes: list[str]) -> tuple[nn.Module, PicturePreprocessor, Tensor]:
    """A teacher, how it sees pictures, and which of its outputs are these classes."""
    known = checkpoint.labels(found.path)
    unknown = [c for c in classes if c not in known]
    if unknown:
        raise SettingsError(
            f"{found.name} cannot teach these classes: it does not know {len(unknown)} of the "
            f"{len(classes)}, {', '.join(unknown[:3])}{' and others' * (len(unknown) > 3)}."
        )
    model, looks = food_score.opened(found.path)
    model.eval().requires_grad_(False).to(device(), memory_format=torch.channels_last)
    return model, looks, torch.tensor([known.index(c) for c in classes], device=device())
