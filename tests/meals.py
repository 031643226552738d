"""What the tests of the food recipe share: tiny networks to start from, own pictures, and what a
run learned."""

from pathlib import Path

import numpy as np
import torch
from conftest import ended_well, left_by_a_run
from PIL import Image
from transformers import AutoConfig, AutoModelForImageClassification

from training.media.picture_preprocessor import PicturePreprocessor
from training.runs.run import Run

SIZE = 32
TINY = {
    "vit": dict(
        model_type="vit",
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=SIZE,
    ),
    "resnet": dict(
        model_type="resnet",
        layer_type="basic",
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 24],
        depths=[1, 1, 1, 1],
    ),
    "convnext": dict(
        model_type="convnext", hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1], image_size=SIZE
    ),
    "swin": dict(
        model_type="swin",
        embed_dim=8,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
        patch_size=4,
        image_size=SIZE,
    ),
}
# Two optimizer steps; one batch is two batches of the features.
TWO_STEPS = dict(source="sample", epochs=1, batch_size=64, limit=128, label_smoothing=0.0)


def network(kind: str, classes: list[str], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        **TINY[kind],
        id2label=dict(enumerate(classes)),
        label2id={c: i for i, c in enumerate(classes)},
    )
    return AutoModelForImageClassification.from_config(config)


def published(runs: Path, model: torch.nn.Module, size: int = SIZE, longest: int = 0) -> Run:
    """A run that ended and left this network, to start from or to answer."""
    return left_by_a_run(
        runs, "food", "food", model, PicturePreprocessor(size, longest=longest).processor()
    )


def one_of_each_kind(runs: Path, classes: list[str], seed: int = 0) -> dict[str, str]:
    """Run ids of tiny networks that know these classes, by kind."""
    return {kind: published(runs, network(kind, classes, seed)).id for kind in TINY}


def train(runs: Path, **settings) -> Run:
    """A food run that ended well, executed in this process."""
    return ended_well(runs, "food", {**TWO_STEPS, **settings})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return AutoModelForImageClassification.from_pretrained(run.checkpoint).state_dict()


def colours(
    path: Path, classes: int = 3, each: int = 12, seed: int = 0, shape: tuple[int, int] = (40, 48)
) -> Path:
    """A folder of one's own: noise around a colour that tells the class, no two alike."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        sub = path / f"colour{label}"
        sub.mkdir(parents=True, exist_ok=True)
        for i in range(each):
            pixels = rng.normal(70, 40, (*shape, 3))
            pixels[..., label % 3] += 110
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(sub / f"{i:02}.png")
    return path
