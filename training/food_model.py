"""The networks of the food recipe: opened from a checkpoint or the Hub, or small ones made anew."""
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, CLIPImageProcessor

from training.checkpoint import Checkpoint, CheckpointError
from training.food import Config
from training.recipe import SettingsError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of ImageNet's pictures, which most networks expect
# Small networks for method scratch: at most 6 million weights, so that half precision is under 12 MB.
ARCHS: dict[str, dict[str, Any]] = {
    "resnet": dict(model_type="resnet", layer_type="basic", embedding_size=32, hidden_sizes=[32, 96, 256, 480],
                   depths=[1, 2, 2, 1]),
    "regnet": dict(model_type="regnet", layer_type="y", embedding_size=32, hidden_sizes=[64, 128, 256, 512],
                   depths=[1, 2, 4, 2], groups_width=32, downsample_in_first_stage=False),
    "convnext": dict(model_type="convnext", patch_size=4, hidden_sizes=[64, 128, 256, 384], depths=[2, 2, 6, 2]),
    "vit": dict(model_type="vit", patch_size=8, hidden_size=256, intermediate_size=768, num_hidden_layers=7,
                num_attention_heads=4),
}
SIZE = 64  # of the small networks, where no image size is asked for


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

    def processor(self) -> CLIPImageProcessor:
        """The same as a file that every transformers program understands: shortest edge, centre, normalised."""
        return CLIPImageProcessor(size={"shortest_edge": self.size}, image_mean=list(self.mean),
                                  crop_size={"height": self.size, "width": self.size}, image_std=list(self.std))

    def normalised(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S), uint8 or 0 to 255, as the network's input."""
        mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        return (pixels.float() - mean) / std


def build(config: Config, base: Checkpoint | None, classes: list[str]) -> tuple[nn.Module, Looks]:
    """The network to train, float32. A head for as many classes is kept, another one is new."""
    torch.manual_seed(config.seed)
    labels = {"id2label": dict(enumerate(classes)), "label2id": {c: i for i, c in enumerate(classes)}}
    if base is None:
        looks = Looks(config.image_size or SIZE)
        made = AutoConfig.for_model(**ARCHS[config.arch], image_size=looks.size, **labels)
    else:
        looks = Looks.of(base.path)
        made = AutoConfig.from_pretrained(base.path, local_files_only=True, **labels)
        if config.image_size and config.image_size != looks.size:
            if config.method != "scratch" and _bound_to_its_size(made):
                raise SettingsError(f"{base.name} sees pictures of {looks.size} pixels and no others: leave image_size "
                                    "at 0.")
            looks = Looks(config.image_size, looks.mean, looks.std)
    if config.progressive == "on" and _bound_to_its_size(made):
        raise SettingsError(f"A {made.model_type} sees pictures of one size: leave progressive off.")
    if hasattr(made, "image_size") and config.method == "scratch":
        made.image_size = looks.size
    try:
        if config.method == "scratch":
            return AutoModelForImageClassification.from_config(made, dtype=torch.float32), looks
        level = transformers.utils.logging.get_verbosity()
        transformers.utils.logging.set_verbosity_error()  # a new head is no news: we say so ourselves
        model = AutoModelForImageClassification.from_pretrained(
            base.path, config=made, use_safetensors=True, local_files_only=True, dtype=torch.float32,
            ignore_mismatched_sizes=True)
        transformers.utils.logging.set_verbosity(level)
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"{base.name if base else config.arch} cannot be used to tell pictures apart: "
                            f"{str(error).splitlines()[0][:200]}") from error
    return model, looks


def _bound_to_its_size(made: Any) -> bool:
    """Whether the network has a weight for each place of the picture."""
    return made.model_type in ("vit", "deit", "beit", "data2vec-vision", "vit_msn", "swin", "swinv2", "siglip", "clip")
