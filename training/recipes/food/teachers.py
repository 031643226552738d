"""Checkpoints that teach: what they answer to the very pictures that a network learns from is a
part of the labels.

Whatever crop or mixture the network sees, its teacher sees the same ("consistent teaching", Beyer
et al. 2022, arXiv 2106.05237). Of several, one is drawn each time: the loss is linear in the
labels, so the network learns from the mean of all, at the cost of one.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from training.device import device, lay_out_for_pictures, move
from training.learn import backbone
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.recipes.food.model import open_network
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class Teacher:
    model: PreTrainedModel
    preprocessor: PicturePreprocessor
    columns: Tensor  # (classes,) which of its outputs are the classes that are taught

    def predict(self, pixels: Tensor) -> Tensor:
        """(N, classes) probabilities of (N, 3, h, w), 0 to 255."""
        if backbone.is_bound_to_its_size(self.model.config):
            size = (self.preprocessor.size, self.preprocessor.size)
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        x = self.preprocessor.normalise(pixels).contiguous(memory_format=torch.channels_last)
        return self.model(pixel_values=x).logits[:, self.columns].float().softmax(1)


class Teachers:
    """`names`: checkpoint ids or models of the Hub, the `revisions` of which are known then ("" for
    an id). Raises SettingsError, CheckpointError."""

    def __init__(self, names: list[str], runs: Path, slot: str, classes: list[str]):
        found = {name: backbone.open_checkpoint(name, runs, slot) for name in names}
        self.revisions = {name: revision for name, (_, revision) in found.items()}
        self.all = [_open_teacher(found[name][0], classes) for name in names]

    @torch.no_grad()
    def predict(self, pixels: Tensor, draw: int) -> Tensor:
        """(N, classes), what the one of that draw makes of (N, 3, h, w), 0 to 255."""
        return self.all[draw % len(self.all)].predict(pixels)


def _open_teacher(start: Checkpoint, classes: list[str]) -> Teacher:
    known = checkpoint.labels(start.path)
    unknown = [c for c in classes if c not in known]
    if unknown:
        others = " and others" * (len(unknown) > 3)
        raise SettingsError(
            f"{start.name} cannot teach these classes: it does not know {len(unknown)} "
            f"of the {len(classes)}, {', '.join(unknown[:3])}{others}."
        )
    model, preprocessor = open_network(start.path)
    model.eval().requires_grad_(False)
    move(model)
    lay_out_for_pictures(model)
    columns = torch.tensor([known.index(c) for c in classes], device=device())
    return Teacher(model, preprocessor, columns)
