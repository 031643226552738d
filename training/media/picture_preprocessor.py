"""What a network expects of a picture, as its checkpoint says."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoImageProcessor, ViTImageProcessor
from transformers.image_transforms import get_size_with_aspect_ratio

from training.device import has_bf16
from training.media.pictures import flatten
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError

# of ImageNet's pictures, which most networks expect
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def long_side(size: int) -> int:
    """Of pictures in their own shape, for a network that sees squares of `size`: a tenth more, in
    whole steps of 16 pixels, which is what a network's strides divide best. At 4:3 that is nine
    tenths of the square's area."""
    return max(size, round(1.1 * size / 16) * 16)


def _resize(picture: Image.Image, wide: int, high: int) -> Image.Image:
    return picture.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _is_mirrored(path: Path) -> bool:
    """Whether a checkpoint's config says so."""
    return bool(checkpoint.config(path).get("mirrored"))


@dataclass(frozen=True)
class PicturePreprocessor:
    """What a network expects of a picture: its side, mean and deviation of its channels, for one
    that takes pictures in their own shape how long the long side may be, and whether it is asked
    about the mirror image too."""

    size: int
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    longest: int = 0  # 0: pressed into a square
    mirrored: bool = False
    # The share of the short side that the square in the middle has which is all that is seen, as
    # networks of timm are used to it; 0: the whole picture is.
    crop: float = 0.0

    @classmethod
    def from_checkpoint(cls, path: Path) -> "PicturePreprocessor":
        """As a checkpoint's processor says, and its config of mirror images. Raises
        CheckpointError."""
        try:
            processor = AutoImageProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{checkpoint.call(path)} does not say how pictures are prepared for it "
                "(preprocessor_config.json is missing or damaged): choose another one."
            ) from error
        if of_timm := getattr(processor, "data_config", None):
            return cls._from_timm(of_timm, mirrored=_is_mirrored(path))
        cropped = getattr(processor, "do_center_crop", False)
        size: dict[str, int] = dict((processor.crop_size if cropped else processor.size) or {})
        side = size.get("height") or size["shortest_edge"]
        longest = size.get("longest_edge") if size.get("shortest_edge") else 0
        return cls(
            int(side),
            tuple(processor.image_mean or (0, 0, 0)),
            tuple(processor.image_std or (1, 1, 1)),
            int(longest or 0),
            _is_mirrored(path),
        )

    @classmethod
    def _from_timm(cls, made: dict[str, Any], mirrored: bool) -> "PicturePreprocessor":
        """Of what timm resolved of a network's config."""
        crop = float(made["crop_pct"]) if made["crop_mode"] == "center" else 0.0
        side = int(made["input_size"][-1])
        return cls(side, tuple(made["mean"]), tuple(made["std"]), 0, mirrored, crop)

    def describe_for_timm(self) -> dict[str, Any]:
        """The same as timm has it in a network's config."""
        return {
            "input_size": [3, self.size, self.size],
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": "bicubic",
            "crop_pct": self.crop or 1.0,
            "crop_mode": "center" if self.crop else "squash",
        }

    def with_own_shape(self, own: bool) -> "PicturePreprocessor":
        """The same for pictures in their own shape, or pressed into a square."""
        return replace(self, longest=long_side(self.size) if own else 0)

    def shape(self, width: int, height: int) -> tuple[int, int]:
        """(height, width) at which a picture of this width and height is seen."""
        if not self.longest:
            return self.size, self.size
        high, wide = get_size_with_aspect_ratio((height, width), self.size, self.longest)
        return max(high, 1), max(wide, 1)

    def frame(self, picture: Image.Image) -> np.ndarray:
        """(h, w, 3) uint8: the whole picture, flattened on white, in its own shape or pressed into
        a square, as ViT's own processor does. It is one function, for training, scoring and serving
        alike.

        The square in its middle alone costs more: of Food-101's pictures cut to 4:3 a small ResNet
        named 46.0% so and 50.0% pressed, of those cut to 16:9 31.3% and 41.1% (n 1,003, held out of
        train). Networks of timm are asked as they were trained all the same, unless a run says
        otherwise.
        """
        picture = flatten(picture)
        if self.crop:
            return np.asarray(self._frame_middle(picture))
        (high, wide) = self.shape(*picture.size)
        return np.asarray(_resize(picture, wide, high))

    def _frame_middle(self, picture: Image.Image) -> Image.Image:
        """The short side as long as timm's transforms make it, then the square in the middle."""
        short = int(self.size / self.crop)
        (wide, high) = picture.size
        scale = short / min(wide, high)
        wide = max(short, int(wide * scale))
        high = max(short, int(high * scale))
        small = _resize(picture, wide, high)
        left = round((wide - self.size) / 2)
        upper = round((high - self.size) / 2)
        return small.crop((left, upper, left + self.size, upper + self.size))

    def processor(self) -> ViTImageProcessor:
        """The same as a file that every transformers program understands."""
        size = {"height": self.size, "width": self.size}
        if self.longest:
            size = {"shortest_edge": self.size, "longest_edge": self.longest}
        return ViTImageProcessor(
            size=size,
            resample=Image.Resampling.BICUBIC,
            image_mean=list(self.mean),
            image_std=list(self.std),
            do_convert_rgb=True,
        )

    @property
    def fingerprint(self) -> str:
        """All that is done to a picture, as text: kept features are told apart by it."""
        cut = f"middle {self.crop:g}" if self.crop else ""
        return self.processor().to_json_string() + cut

    def normalise(self, pixels: Tensor) -> Tensor:
        """(N, 3, h, w), uint8 or 0 to 255, as the network's input."""
        # Sent, since numbers made on a GPU would wait for all that it has to do.
        mean, std = (
            (torch.tensor(v).view(1, 3, 1, 1) * 255).to(pixels.device, non_blocking=True)
            for v in (self.mean, self.std)
        )
        return (pixels.float() - mean) / std

    def predict_probabilities(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """(N, labels) probabilities that a classifier gives to (N, 3, h, w), uint8; where mirror
        images are asked about too, the mean of both. In bf16 where that is faster, for the page and
        for reports alike."""
        x = self.normalise(pixels)
        where = pixels.device.type
        views = torch.cat([x, x.flip(3)]) if self.mirrored else x
        with torch.autocast(where, torch.bfloat16, enabled=has_bf16(where)):
            logits = model(pixel_values=views).logits
        return logits.float().softmax(1).unflatten(0, (-1, len(x))).mean(0)
