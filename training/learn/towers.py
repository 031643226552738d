"""A network that compares pictures with texts (CLIP, SigLIP and their kin) as something to
fine-tune: an ordinary classifier, which begins with the answers that it gives zero-shot.

    start = settle(start, classes, "a photo of {}.", runs)

Its tower for pictures stands under a linear head, whose rows are the features of a sentence for
each class. All of that learns by cross-entropy over the run's classes: WiSE-FT (Wortsman et al.
2022, arXiv 2109.01903), whose averaging with the start is the setting `keep`. FLYP (Goyal et al.
2023, arXiv 2212.00638) goes on with both towers and the contrastive loss, and scores higher in its
paper; but its classes stay sentences, which no classifier that others load can hold.

A picture's features have length 1 before they are compared. Dividing by a length changes no order
of classes, so a linear head without it has the very same answer; how sure it is differs a little,
since all pictures are taken to have features as long as those of PICTURES.

What is made is a network of timm, the one way by which AutoModelForImageClassification loads such
a tower whole. (CLIPForImageClassification and SiglipForImageClassification of transformers take the
mean of the patches, which no text was ever compared with: a head of sentences guesses there.)
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from timm import is_model
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForZeroShotImageClassification,
    PretrainedConfig,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
)

from training.data.hub_model import ZERO_SHOT, find_kinds
from training.learn import backbone, layouts, zero_shot
from training.learn.backbone import Start
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError
from training.runs import checkpoint
from training.wording import in_words

PICTURES = 8  # of noise: by them a usual length is measured, and the network that is made checked
ALIKE = 1e-3  # by how much a cosine of the two may differ
SIZES = {384: "small", 768: "base", 1024: "large", 1152: "so400m", 1280: "huge"}  # timm's, by width
PLAIN = {"clip": "vit_base_patch32_clip_224", "siglip": "vit_base_patch16_siglip_224"}
TOWER = "vision_model."  # the weights' names on the Hub begin so
LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
# Of the weights their names on the Hub and in timm: of a layer, and of the rest.
IN_LAYER = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.out_proj": "attn.proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
OUTSIDE = {
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding.weight": "pos_embed",
    "embeddings.patch_embedding.weight": "patch_embed.proj.weight",
    "embeddings.patch_embedding.bias": "patch_embed.proj.bias",
    "pre_layrnorm.weight": "norm_pre.weight",  # so called
    "pre_layrnorm.bias": "norm_pre.bias",
    "post_layernorm.weight": "norm.weight",
    "post_layernorm.bias": "norm.bias",
    "head.probe": "attn_pool.latent",
    "head.attention.out_proj.weight": "attn_pool.proj.weight",
    "head.attention.out_proj.bias": "attn_pool.proj.bias",
    "head.layernorm.weight": "attn_pool.norm.weight",
    "head.layernorm.bias": "attn_pool.norm.bias",
    "head.mlp.fc1.weight": "attn_pool.mlp.fc1.weight",
    "head.mlp.fc1.bias": "attn_pool.mlp.fc1.bias",
    "head.mlp.fc2.weight": "attn_pool.mlp.fc2.weight",
    "head.mlp.fc2.bias": "attn_pool.mlp.fc2.bias",
}
ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}


def compares(path: Path) -> bool:
    """Whether a checkpoint compares pictures with texts. Raises CheckpointError."""
    return ZERO_SHOT in find_kinds(cast(dict[str, Any], checkpoint.config(path)))


def settle(start: Start, classes: Sequence[str], template: str, runs: Path) -> Start:
    """A start that compares pictures with texts as a classifier of these classes, which is kept;
    `template`: of a class's sentence, with {} for the class. Raises SettingsError, CheckpointError.
    """
    assert start.checkpoint is not None
    found = start.checkpoint
    made = layouts.keep(
        runs,
        found.path,
        found.name,
        lambda folder: _make(found.path, folder, found.name, [*classes], template),
        (*classes, template),
    )
    return replace(start, checkpoint=replace(found, path=made), zero_shot=True)


def _make(path: Path, folder: Path, name: str, classes: list[str], template: str) -> None:
    """Saves the classifier. Raises SettingsError, CheckpointError."""
    pair = _open_pair(path, name)
    sentences = [template.replace("{}", in_words(each)) for each in classes]
    texts = zero_shot.compute_texts(pair, path, sentences, name)
    seen = _read_preprocessor(path)
    noise = _draw_noise(seen.size)
    with torch.no_grad():
        features = zero_shot.get_pooled(cast(Any, pair).get_image_features(pixel_values=noise))
    # A cosine with each text, times the scale, for features of the usual length.
    head = texts * (zero_shot.read_scale(pair) / features.norm(dim=1).mean())
    refusal = SettingsError(
        f"{name} compares pictures with texts by a kind of network ({pair.config.model_type}) that "
        "cannot be fine-tuned here: choose a CLIP or a SigLIP, such as "
        "openai/clip-vit-base-patch32."
    )
    try:
        network = _build(pair.config, seen, classes)
        _fill(network, path, head)
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        raise refusal from error
    with torch.no_grad():
        answers = network.eval()(pixel_values=noise).logits
    if (answers - features @ head.T).abs().max() > ALIKE * zero_shot.read_scale(pair):
        raise refusal
    network.save_pretrained(folder)
    layouts.write_notes(
        folder,
        [
            *layouts.read_notes(path),
            f"{name} begins with what it answers zero-shot, by a sentence for each class such as "
            f'"{sentences[0]}"; of its two parts the one for pictures learns.',
        ],
    )


def _open_pair(path: Path, name: str) -> PreTrainedModel:
    """Both towers, float32. Raises SettingsError."""
    try:
        made = AutoConfig.from_pretrained(path, local_files_only=True)
        auto = AutoModelForZeroShotImageClassification
        return backbone.load_weights(auto, path, made, name, lambda *_: False).eval()
    except SettingsError:  # a sentence already, though a ValueError too
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise SettingsError(f"{name} cannot be opened ({reason}): choose another start.") from error


def _read_preprocessor(path: Path) -> PicturePreprocessor:
    """As it was trained: of the square in the middle, where that was all it saw. Raises
    CheckpointError."""
    seen = PicturePreprocessor.from_checkpoint(path)
    processor: Any = AutoImageProcessor.from_pretrained(path, local_files_only=True)
    short: Any = (getattr(processor, "size", None) or {}).get("shortest_edge")
    middle = getattr(processor, "do_center_crop", False) and short
    return replace(seen, crop=seen.size / short if middle else 0.0, longest=0, mirrored=False)


def _draw_noise(side: int) -> Tensor:
    """(PICTURES, 3, side, side), coarse and fine, the same each time."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randn(PICTURES, 3, 4, 4, generator=draw)
    fine = torch.randn(PICTURES, 3, side, side, generator=draw)
    return F.interpolate(coarse, (side, side), mode="bilinear") + 0.3 * fine


# -- the network of timm ---------------------------------------------------------------------------
def _build(
    config: PretrainedConfig, seen: PicturePreprocessor, classes: list[str]
) -> TimmWrapperForImageClassification:
    """With random weights. Raises KeyError, AttributeError, where it is of another kind."""
    tower = config.vision_config
    width = tower.hidden_size
    activation = ACTIVATIONS[tower.hidden_act]
    kind = "siglip" if hasattr(tower, "vision_use_head") else "clip"
    named = (
        f"vit_{SIZES.get(width, 'base')}_patch{tower.patch_size}_{kind}"
        f"{'_quickgelu' * (activation == 'quick_gelu')}_{tower.image_size}"
    )
    # Any: its checks hide from who reads the types what it takes.
    made = cast(Any, TimmWrapperConfig)(
        architecture=named if is_model(named) else PLAIN[kind],
        num_labels=len(classes),
        model_args={
            "img_size": tower.image_size,
            "patch_size": tower.patch_size,
            "embed_dim": width,
            "depth": tower.num_hidden_layers,
            "num_heads": tower.num_attention_heads,
            # Rounded down to the width of the layer within.
            "mlp_ratio": (tower.intermediate_size + 0.5) / width,
            "act_layer": activation,
        },
        pretrained_cfg={**seen.describe_for_timm(), "fixed_input_size": True},
        **backbone.name_labels(classes),
    )
    made.label_names = classes
    return TimmWrapperForImageClassification(made)


def _fill(network: TimmWrapperForImageClassification, path: Path, head: Tensor) -> None:
    """Gives it the weights of the tower at `path`, and a head, (classes, width), for the features
    behind it. Raises KeyError, RuntimeError, where that has others."""
    given: dict[str, Tensor] = {}
    for file in checkpoint.list_weights(path):
        given |= {key: value.float() for key, value in load_file(file).items()}
    if "visual_projection.weight" in given:
        head = head @ given["visual_projection.weight"]
    found = {"head.weight": head, "head.bias": torch.zeros(len(head))}
    for key, value in given.items():
        if not key.startswith(TOWER):
            continue
        own = key.removeprefix(TOWER)
        if layer := LAYER.fullmatch(own):
            place, part, what = layer.groups()
            if part in IN_LAYER:
                found[f"blocks.{place}.{IN_LAYER[part]}.{what}"] = value
            elif part == "self_attn.q_proj":
                three = [given[key.replace(".q_proj.", f".{each}_proj.")] for each in "qkv"]
                found[f"blocks.{place}.attn.qkv.{what}"] = torch.cat(three)
        elif joined := own.partition("head.attention.in_proj_")[2]:
            found[f"attn_pool.q.{joined}"] = value[: len(value) // 3]
            found[f"attn_pool.kv.{joined}"] = value[len(value) // 3 :]
        elif own in OUTSIDE:
            name = OUTSIDE[own]
            due = network.timm_model.get_parameter(name)
            found[name] = value.view_as(due)
    network.timm_model.load_state_dict(found)
