"""What a network expects of a picture, as its checkpoint's processor says."""
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, ViTImageProcessor

from training.checkpoint import CheckpointError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of ImageNet's pictures, which most networks expect


@dataclass(frozen=True)
class Looks:
    """What a network expects of a picture: its side, and mean and deviation of its channels."""
    size: int
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @classmethod
    def of(cls, path: Path) -> "Looks":
        """As a checkpoint's processor says. Raises CheckpointError."""
        try:
            processor = AutoImageProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path.name} does not say how pictures are prepared for it "
                                  "(preprocessor_config.json is missing or damaged)") from error
        size = dict((processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size) or {})
        side = size.get("height") or size.get("shortest_edge")
        return cls(int(side), tuple(processor.image_mean or (0, 0, 0)), tuple(processor.image_std or (1, 1, 1)))

    def processor(self) -> ViTImageProcessor:
        """The same as a file that every transformers program understands: pressed into a square, normalised."""
        return ViTImageProcessor(size={"height": self.size, "width": self.size}, resample=Image.Resampling.BICUBIC,
                                 image_mean=list(self.mean), image_std=list(self.std), do_convert_rgb=True)

    @property
    def prepared(self) -> str:
        """All that is done to a picture, in words: features are kept by it."""
        return self.processor().to_json_string()

    def normalised(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S), uint8 or 0 to 255, as the network's input."""
        mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        return (pixels.float() - mean) / std
