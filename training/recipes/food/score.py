"""How the food recipe scores: the test part read once, by the checkpoint's own preparation of a
picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from training.data.examples import Data
from training.data.pictures import Pictures, Pixels, Store, read_pixels, write_thumbnail
from training.device import device, move
from training.judge import class_exam
from training.judge.exam import Exam
from training.learn import backbone, features
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.food.config import Config
from training.recipes.food.model import open_network
from training.runs.batches import batches
from training.runs.run import Run

STEP = 64  # pictures at a time
# On a CPU, whose caches then hold what a layer makes of them: 35 ms of its time a photo in place of
# 56 to 89 (EfficientNet-Lite0 at 224 pixels, one thread).
FEW = 8


def choose_step() -> int:
    """Pictures at a time."""
    return FEW if device() == "cpu" else STEP


def ask_by_shape(ask: Callable[[Tensor], Tensor], pictures: Pixels) -> Tensor:
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
    model: nn.Module, shown: Store, preprocessor: PicturePreprocessor, run: Run | None = None
) -> np.ndarray:
    """Probabilities, (N, labels), of pictures at the network's size. Raises Stopped when `run` is
    asked to stop."""
    model.eval()
    where = next(model.parameters()).device
    parts = []
    for at in batches(len(shown), choose_step(), run):
        some = shown[np.arange(at.start, at.stop)]
        parts.append(
            ask_by_shape(
                lambda x: preprocessor.predict_probabilities(model, x.to(where)), some
            ).cpu()
        )
    return torch.cat(parts).numpy() if parts else np.zeros((0, 1), np.float32)


# -- features --------------------------------------------------------------------------------------
def compute_features(
    model: nn.Module,
    preprocessor: PicturePreprocessor,
    pictures: Pictures,
    run: Run,
    mirrored: bool = False,
    kept: bool = True,
) -> Tensor:
    """(N, ...) what the head gets for these pictures, or for their mirror images: where it is
    `kept`, from the disk, or computed now and written there. Raises Stopped."""
    model.eval()
    move(model)

    def ask(pixels: Tensor) -> Tensor:
        pixels = pixels.to(device())
        turned = pixels.flip(3) if mirrored else pixels
        return backbone.compute_features(model, pixel_values=preprocessor.normalise(turned))

    def compute(indices: np.ndarray) -> Tensor:
        return ask_by_shape(ask, read_pixels(pictures, indices, preprocessor))

    if not kept:
        return features.compute_now(np.arange(len(pictures)), compute, run, choose_step())
    head = backbone.find_name(model, backbone.find_head(model))
    weights = {name: t for name, t in model.state_dict().items() if not name.startswith(f"{head}.")}
    order = pictures.places.argsort()
    key = features.make_key(
        weights, pictures[order], preprocessor.fingerprint, *["mirrored"] * mirrored
    )
    return features.load_or_compute(run.path.parent, key, order, compute, run, choose_step())


def compute_views(
    model: nn.Module,
    preprocessor: PicturePreprocessor,
    pictures: Pictures,
    run: Run,
    kept: bool = True,
) -> list[Tensor]:
    """The features of all that the network is asked about: pictures, and their mirror images where
    it is. Raises Stopped."""
    views = [compute_features(model, preprocessor, pictures, run, kept=kept)]
    if preprocessor.mirrored:
        turned = compute_features(model, preprocessor, pictures, run, mirrored=True, kept=kept)
        views.append(turned)
    return views


def compute_received(
    model: nn.Module,
    preprocessor: PicturePreprocessor,
    pictures: Pictures,
    at: np.ndarray,
    run: Run,
    frozen: bool,
) -> Tensor:
    """(len(at), ...), what the head gets of some of these pictures, over all that the network is
    asked about each. With method frozen there is that of all of them already. Raises Stopped."""
    if frozen:
        views = [view[at] for view in compute_views(model, preprocessor, pictures, run)]
    else:
        views = compute_views(model, preprocessor, pictures[at], run, kept=False)
    return torch.stack(views).mean(0)


# -- the exam --------------------------------------------------------------------------------------
def make_exam(config: Config, data: Data[Image.Image]) -> Exam[np.ndarray]:
    """The test part of the config's data. A frozen run's features of it are kept too."""
    # By what is done to a picture, of which its mirror image is no part.
    stores: dict[str, Store] = {}

    def ask(path: Path, run: Run | None) -> np.ndarray:
        model, preprocessor = open_network(path)
        if config.method == "frozen" and run:
            views = compute_views(model, preprocessor, data.test, run)
            return features.predict_from(backbone.find_head(model), views)
        if preprocessor.fingerprint not in stores:
            stores[preprocessor.fingerprint] = Store(
                data.test, preprocessor, run.beat if run else int
            )
        move(model)
        return predict(model, stores[preprocessor.fingerprint], preprocessor, run)

    def show(index: int, stem: Path) -> str:
        return write_thumbnail(data.test.read_one(index), stem)

    return class_exam.make_exam(
        f"{config.data_name} ({config.source})",
        data.about,
        data.classes,
        data.test.strata,
        ask,
        show,
        data.problems,
        data.notes,
        top5=True,
        keys=data.test.keys,
        folds=data.folds,
        name=data.test.name_one,
    )
