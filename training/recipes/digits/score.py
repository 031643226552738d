"""How the digits recipe scores: the test part read once, before and after, and what is active in
the slot."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch

from training.device import device
from training.judge.exam import ClassExam, asked, sit
from training.recipe import Metrics, SettingsError
from training.recipes.digits import data as digits_data
from training.recipes.digits.config import Config
from training.recipes.digits.data import Data
from training.recipes.digits.model import DigitsNet
from training.runs import checkpoint
from training.runs.batches import batches
from training.runs.run import Run

NAMES = {"mnist": "digits", "fashion_mnist": "garments"}
STEP = 1000  # pictures at a time
load = functools.lru_cache(maxsize=4)(digits_data.load)


@torch.inference_mode()
def predict(model: DigitsNet, images: np.ndarray, run: Run | None = None) -> np.ndarray:
    """Probabilities, (N, labels), of (N, 28, 28) uint8. Raises Stopped when `run` is asked to
    stop."""
    model.eval()
    parts = []
    for at in batches(len(images), STEP, run):
        pixels = torch.from_numpy(images[at])[:, None].to(model.device).float() / 255
        parts.append(model(pixels).logits.float().softmax(1).cpu())
    return torch.cat(parts).numpy() if parts else np.zeros((0, model.config.num_labels), np.float32)


def exam(config: Config, data: Data) -> ClassExam:
    """The test part of the config's data."""

    def answers(path: Path, run: Run | None = None) -> np.ndarray:
        model = DigitsNet.from_pretrained(path, use_safetensors=True, dtype=torch.float32).to(
            device()
        )
        return predict(model, data.test.images, run)

    def show(index: int, stem: Path) -> str:
        from PIL import Image

        picture = Image.fromarray(data.test.images[index]).resize(
            (112, 112), Image.Resampling.NEAREST
        )
        picture.save(stem.with_suffix(".png"))
        return stem.name + ".png"

    name = NAMES[config.dataset] if config.source != "folder" else Path(config.folder).name
    return ClassExam(
        f"{name} ({config.source})",
        data.about,
        data.classes,
        data.test.labels,
        answers,
        show,
        data.problems,
    )


def evaluate(path: Path, config: Config) -> Metrics:
    """Scores of a checkpoint on the config's test pictures. Raises SettingsError on other
    classes."""
    return asked(exam(config, load(config.dataset, config.source, config.folder)), path)


def write_report(
    config: Config, run: Run, data: Data, base: checkpoint.Checkpoint | None
) -> Metrics:
    """Before and after on the test part, and on the data set that was not trained on."""
    metrics = sit(exam(config, data), run, base, run.slot)
    if metrics["before"] and config.source != "folder":
        metrics["other"] = _forgotten(config, run, base)
    return metrics


def _forgotten(config: Config, run: Run, base: checkpoint.Checkpoint) -> Metrics | None:
    """Before and after on the data set that was not trained on. It alone must not cost a run its
    end."""
    other = dataclasses.replace(config, dataset=next(d for d in NAMES if d != config.dataset))
    try:
        asked = exam(other, load(other.dataset, other.source))
    except SettingsError as error:
        run.say(
            f"note: what it forgot of the {NAMES[other.dataset]} could not be measured. {error}"
        )
        return None
    before, after = (asked.score(path, run) for path in (base.path, run.staging))
    return {"data": asked.data, "before": before, "after": after}
