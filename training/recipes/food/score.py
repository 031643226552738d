"""How the food recipe scores: the test part read once, by the checkpoint's own preparation of a
picture."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification

from training.data.examples import Data
from training.data.pictures import Pictures, Store, thumbnail
from training.device import device
from training.judge.exam import ClassExam, asked
from training.learn import backbone, features
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import Metrics
from training.recipes.food import data as food_data
from training.recipes.food.config import Config
from training.runs.batches import batches
from training.runs.run import Run

load = functools.lru_cache(maxsize=2)(food_data.load)
STEP = 64  # pictures at a time


def by_shape(ask: Callable[[Tensor], Tensor], pictures: Any) -> Tensor:
    """(n, ...), what `ask` makes of n pictures, (3, h, w) uint8 each: those of one shape
    together."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, pixels in enumerate(pictures):
        rows.setdefault(pixels.shape, []).append(row)
    parts = [
        ask(torch.from_numpy(np.stack([pictures[row] for row in some]))) for some in rows.values()
    ]
    return torch.cat(parts)[np.argsort([row for some in rows.values() for row in some])]


@torch.inference_mode()
def predict(
    model: nn.Module, shown: Store, looks: PicturePreprocessor, run: Run | None = None
) -> np.ndarray:
    """Probabilities, (N, labels), of pictures at the network's size. Raises Stopped when `run` is
    asked to stop."""
    model.eval()
    where = next(model.parameters()).device
    parts = []
    for at in batches(len(shown), STEP, run):
        parts.append(
            by_shape(
                lambda x: looks.predict_probabilities(model, x.to(where)),
                shown[np.arange(at.start, at.stop)],
            ).cpu()
        )
    return torch.cat(parts).numpy() if parts else np.zeros((0, 1), np.float32)


def frozen_features(
    model: nn.Module,
    looks: PicturePreprocessor,
    pictures: Pictures,
    run: Run,
    mirrored: bool = False,
) -> Tensor:
    """(N, ...) what the head gets for these pictures, or for their mirror images: from the disk, or
    computed now and kept. Raises Stopped."""
    own = {f"classifier.{name}" for name in backbone.head(model).state_dict()}
    weights = {name: t for name, t in model.state_dict().items() if name not in own}
    order = pictures.places.argsort()
    key = features.digest(weights, pictures[order], looks.fingerprint, *["mirrored"] * mirrored)
    model.eval().to(device())

    def compute(indices: np.ndarray) -> Tensor:
        return by_shape(
            lambda x: backbone.features(
                model, pixel_values=looks.normalise(turned(x.to(device())))
            ),
            pictures.pixels(indices, looks),
        )

    def turned(x: Tensor) -> Tensor:
        return x.flip(3) if mirrored else x

    return features.kept(run.path.parent, key, order, compute, run)


def frozen_views(
    model: nn.Module, looks: PicturePreprocessor, pictures: Pictures, run: Run
) -> list[Tensor]:
    """The features of all that the network is asked about: pictures, and their mirror images where
    it is. Raises Stopped."""
    return [
        frozen_features(model, looks, pictures, run, mirrored)
        for mirrored in {False, looks.mirrored}
    ]


def exam(config: Config, data: Data) -> ClassExam:
    """The test part of the config's data. A frozen run's features of it are kept too."""
    stores: dict[
        str, Store
    ] = {}  # by what is done to a picture, of which its mirror image is no part

    def answers(path: Path, run: Run | None = None) -> np.ndarray:
        model, looks = opened(path)
        if config.method == "frozen" and run:
            return features.answers(
                backbone.head(model), frozen_views(model, looks, data.test, run)
            )
        if looks.fingerprint not in stores:
            stores[looks.fingerprint] = Store(data.test, looks, run.beat if run else int)
        return predict(model.to(device()), stores[looks.fingerprint], looks, run)

    def show(index: int, stem: Path) -> str:
        return thumbnail(data.test.one(index), stem)

    return _FoodExam(
        f"{config.data_name} ({config.source})",
        data.about,
        data.classes,
        data.test.labels,
        answers,
        show,
        data.problems,
    )


class _FoodExam(ClassExam):
    def figures(self, probabilities: np.ndarray) -> Metrics:
        from training.judge import metrics, report

        found: dict[str, Any] = super().figures(probabilities)
        found |= metrics.classification(probabilities, self.labels)
        if "top5" in found:
            found["top5_interval"] = report.interval(found["top5"], found["n"])
        return found


def opened(path: Path) -> tuple[nn.Module, PicturePreprocessor]:
    """A checkpoint as float32, and how it sees pictures."""
    model = AutoModelForImageClassification.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return model, PicturePreprocessor.from_checkpoint(path)


def evaluate(path: Path, config: Config) -> Metrics:
    """Scores of a checkpoint on the config's test pictures. Raises SettingsError on other
    classes."""
    return asked(exam(config, load(config.dataset, config.source, config.folder)), path)
