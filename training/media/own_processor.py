"""How a published model itself prepares pictures: its own processor, whatever that does (crops,
channels the other way round, one size or any)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from transformers import AutoImageProcessor

from training.device import has_bf16
from training.media.pictures import flatten
from training.runs.checkpoint import CheckpointError

LONGEST = 1536  # pixels of a side that are handed on: no processor's size comes near


@dataclass(frozen=True)
class OwnProcessor:
    """The same calls as PicturePreprocessor's."""

    processor: Any
    size: int = 64  # of a blank picture to check with

    @classmethod
    def from_checkpoint(cls, path: Path) -> "OwnProcessor":
        """Raises CheckpointError."""
        try:
            return cls(AutoImageProcessor.from_pretrained(path, local_files_only=True))
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise CheckpointError(
                "it does not say how pictures are prepared for it (preprocessor_config.json is "
                "missing, damaged, or of a kind that is not known here)"
            ) from error

    def frame(self, picture: Image.Image) -> np.ndarray:
        """(h, w, 3) uint8: the whole picture, flattened on white; the processor does the rest."""
        picture = flatten(picture)
        if max(picture.size) > LONGEST:
            picture = ImageOps.contain(picture, (LONGEST, LONGEST))
        return np.asarray(picture)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w), what the network takes, of (N, 3, h, w) uint8, where these are."""
        pictures = [Image.fromarray(each) for each in pixels.permute(0, 2, 3, 1).cpu().numpy()]
        found = self.processor(images=pictures, return_tensors="pt")
        return found["pixel_values"].to(pixels.device)

    def predict_probabilities(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """(N, labels), as PicturePreprocessor's."""
        where = pixels.device.type
        with torch.autocast(where, torch.bfloat16, enabled=has_bf16(where)):
            logits = model(pixel_values=self.normalise(pixels)).logits
        return logits.float().softmax(1)
