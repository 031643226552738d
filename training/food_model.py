"""The networks of the food recipe: opened from a checkpoint or the Hub, or small ones made anew."""
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification

from training import backbone, checkpoint
from training.checkpoint import Checkpoint
from training.food import Config
from training.looks import Looks
from training.recipe import SettingsError

# Networks for method scratch. Small ones: at most 7 million weights, 13 MB in half precision. The large one, of 49
# million, is for a GPU: it takes eight times the work, and can teach a small one.
ARCHS: dict[str, dict[str, Any]] = {
    "resnet": dict(model_type="resnet", layer_type="basic", embedding_size=32, hidden_sizes=[32, 96, 256, 480],
                   depths=[1, 2, 2, 1]),
    "resnet-large": dict(model_type="resnet", layer_type="basic", embedding_size=64, hidden_sizes=[64, 192, 512, 960],
                         depths=[2, 3, 4, 2]),
    "regnet": dict(model_type="regnet", layer_type="y", embedding_size=32, hidden_sizes=[64, 128, 256, 512],
                   depths=[1, 2, 4, 2], groups_width=32, downsample_in_first_stage=False),
    "convnext": dict(model_type="convnext", patch_size=4, hidden_sizes=[64, 128, 256, 384], depths=[2, 2, 6, 2]),
    "vit": dict(model_type="vit", patch_size=8, hidden_size=256, intermediate_size=768, num_hidden_layers=7,
                num_attention_heads=4),
    "swin": dict(model_type="swin", embed_dim=64, depths=[2, 2, 6], num_heads=[2, 4, 8], window_size=4, patch_size=4,
                 mlp_ratio=3.0, drop_path_rate=0.05),   # the captioning recipe's encoder, to be taught beforehand
}
SIZE = 64  # of these networks, where no image size is asked for


def build(config: Config, base: Checkpoint | None, classes: list[str]) -> tuple[nn.Module, Looks]:
    """The network to train, float32. A head for as many classes is kept, another one is new."""
    torch.manual_seed(config.seed)
    labels = backbone.naming(classes)
    if base is None:
        start = looks = Looks(config.image_size or SIZE)
        made = AutoConfig.for_model(**ARCHS[config.arch], image_size=looks.size, **labels)
    else:
        start = looks = Looks.of(base.path)
        made = AutoConfig.from_pretrained(base.path, local_files_only=True, **labels)
        looks = backbone.resized(made, looks, config, base.name)
    if backbone.bound_to_its_size(made):
        if config.progressive == "on":
            raise SettingsError(f"A {made.model_type} sees pictures of one size: leave progressive off.")
        if config.train_size not in (0, looks.size):
            raise SettingsError(f"A {made.model_type} sees pictures of one size: leave train_size at 0.")
        if config.shape == "own":
            raise SettingsError(f"A {made.model_type} sees square pictures: leave shape at start.")
    own = bool(start.longest) if config.shape == "start" else config.shape == "own"
    if own != bool(looks.longest):
        looks = looks.in_own_shape(own)
    same = base is not None and checkpoint.labels(base.path) == classes   # others may differ by left and right
    looks = replace(looks, mirrored=config.mirror == "on" or config.mirror == "start" and same and start.mirrored)
    return backbone.network(AutoModelForImageClassification, made, config, base, "pictures"), looks
