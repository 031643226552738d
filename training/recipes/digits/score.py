"""How the digits recipe scores: the test part read once, before and after; and what it forgets."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.data.examples import Data
from training.device import move
from training.judge import class_exam
from training.judge.exam import Exam
from training.judge.records import Comparison
from training.recipe import SettingsError
from training.recipes.digits import data as digits_data
from training.recipes.digits.config import NAMES, Config
from training.recipes.digits.data import stack_images
from training.recipes.digits.model import DigitsNet
from training.runs import published
from training.runs.batches import batches
from training.runs.checkpoint import Checkpoint, CheckpointError
from training.runs.run import Run

STEP = 1000  # pictures at a time
SHOWN = (112, 112)  # pixels of a picture in the report


@torch.inference_mode()
def predict(model: DigitsNet, images: np.ndarray, run: Run | None = None) -> np.ndarray:
    """Probabilities, (N, labels), of (N, 28, 28) uint8. Raises Stopped when `run` is asked to
    stop."""
    model.eval()
    parts = []
    for at in batches(len(images), STEP, run):
        pixels = torch.from_numpy(images[at])[:, None].to(model.device).float() / 255
        parts.append(model(pixels).logits.float().softmax(1).cpu())
    if not parts:
        return np.zeros((0, model.head.out_features), np.float32)
    return torch.cat(parts).numpy()


@torch.inference_mode()
def compute_features(model: DigitsNet, images: np.ndarray, run: Run) -> Tensor:
    """(N, width), what the head gets of (N, 28, 28) uint8: quicker made anew than read back. Raises
    Stopped."""
    model.eval()
    run.beat("computing features")
    parts = []
    for at in batches(len(images), STEP, run):
        pixels = torch.from_numpy(images[at])[:, None].to(model.device).float() / 255
        parts.append(model.compute_features(pixels).cpu())
    return torch.cat(parts)


def make_exam(config: Config, data: Data[np.ndarray]) -> Exam[np.ndarray]:
    """The test part of the config's data."""
    images = stack_images(data.test)

    def ask(path: Path, run: Run | None) -> np.ndarray:
        hub = published.read_own(path)
        if hub is not None and hub["kind"] != "digits":
            raise CheckpointError("it is a network of another kind, which sees pictures otherwise")
        model = DigitsNet.from_pretrained(path, use_safetensors=True, dtype=torch.float32)
        move(model)
        return predict(model, images, run)

    def show(index: int, stem: Path) -> str:
        picture = Image.fromarray(images[index]).resize(SHOWN, Image.Resampling.NEAREST)
        picture.save(stem.with_suffix(".png"))
        return stem.name + ".png"

    return class_exam.make_exam(
        f"{config.data_name} ({config.source})",
        data.about,
        data.classes,
        data.test.strata,
        ask,
        show,
        data.problems,
        data.notes,
        keys=data.test.keys,
        folds=data.folds,
        name=data.test.name_one,
    )


def measure_forgetting(config: Config, run: Run, start: Checkpoint) -> Comparison | None:
    """Before and after on the data set that was not trained on; None where it cannot be had, which
    must not cost a run its end. Raises Stopped."""
    other = dataclasses.replace(config, dataset=next(d for d in NAMES if d != config.dataset))
    try:
        exam = make_exam(other, digits_data.load_once(other.dataset, other.source))
    except SettingsError as error:
        run.say(
            f"note: what it forgot of the {NAMES[other.dataset]} could not be measured. {error}"
        )
        return None
    before, after = (exam.score(exam.predict(path, run)) for path in (start.path, run.checkpoint))
    return Comparison(exam.data, before, after)
