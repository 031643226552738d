"""How the audio recipe scores: the test part read once, each clip heard as the checkpoint hears it
on the page."""

import functools
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from transformers import AutoModelForAudioClassification

from training.data.examples import Data
from training.device import device
from training.judge.exam import ClassExam, asked
from training.learn import backbone, features
from training.recipe import Metrics
from training.recipes.audio_intent import data as audio_data
from training.recipes.audio_intent import model as audio_model
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import MOST, RATE, Heard
from training.recipes.audio_intent.model import Ear
from training.runs.batches import batches
from training.runs.run import Run

load = functools.lru_cache(maxsize=2)(audio_data.load)
STEP = 16  # clips at a time
HEAD = ("layer_weights", "projector.", "classifier.")


def has_layers(model: nn.Module) -> bool:
    """Whether the head takes a weighted sum of all layers."""
    return hasattr(model, "layer_weights")


@torch.inference_mode()
def predict(model: nn.Module, heard: Heard, ear: Ear, run: Run | None = None) -> np.ndarray:
    """Probabilities, (N, labels). Raises Stopped when `run` is asked to stop."""
    model.eval()
    order = np.argsort(heard.lengths, kind="stable")
    parts = []
    step = 1 if ear.alone else STEP
    where = next(model.parameters()).device
    for at in batches(len(order), step, run):
        inputs = {
            name: t.to(where) for name, t in ear.inputs([heard[i] for i in order[at]]).items()
        }
        parts.append(model(**inputs).logits.float().softmax(1).cpu())
    return torch.cat(parts).numpy()[np.argsort(order)] if parts else np.zeros((0, 1), np.float32)


def frozen_features(model: nn.Module, ear: Ear, heard: Heard, run: Run) -> Tensor:
    """(N, layers, width), or (N, width) where a network has no sum of layers: from the disk, or
    computed now and kept. Raises Stopped."""
    weights = {name: t for name, t in model.state_dict().items() if not name.startswith(HEAD)}
    order = np.lexsort((heard.clips.places, heard.lengths))
    key = features.digest(
        weights,
        heard.clips[order],
        ear.extractor.to_json_string(),
        heard.most,
        has_layers(model),
        audio_model.FLOOR,
    )
    model.eval().to(device())

    def compute(indices: np.ndarray) -> Tensor:
        inputs = {
            name: t.to(device()) for name, t in ear.inputs([heard[i] for i in indices]).items()
        }
        with torch.no_grad():
            return (
                audio_model.layer_means(model, inputs)
                if has_layers(model)
                else backbone.features(model, **inputs)
            )

    return features.kept(run.path.parent, key, order, compute, run, 1 if ear.alone else STEP)


def head(model: nn.Module) -> nn.Module:
    return audio_model.LayersHead(model) if has_layers(model) else backbone.head(model)


def exam(config: Config, data: Data) -> ClassExam:
    """The test part of the config's data. A frozen run's features of it are kept too."""
    prepared: dict[float, Heard] = {}

    def answers(path: Path, run: Run | None = None) -> np.ndarray:
        model, ear = opened(path)
        seconds = float(getattr(model.config, "seconds", MOST))
        if seconds not in prepared:
            prepared[seconds] = Heard(data.test, seconds, run.beat if run else int)
        if config.method == "frozen" and run:
            found = frozen_features(model, ear, prepared[seconds], run)
            return features.answers(head(model), [found])
        return predict(model.to(device()), prepared[seconds], ear, run)

    def show(index: int, stem: Path) -> str:
        soundfile.write(stem.with_suffix(".mp3"), data.test.one(index)[: round(MOST * RATE)], RATE)
        return stem.name + ".mp3"

    return ClassExam(
        f"{config.data_name} ({config.source})",
        data.about,
        data.classes,
        data.test.labels,
        answers,
        show,
        data.problems,
    )


def opened(path: Path) -> tuple[nn.Module, Ear]:
    """A checkpoint as float32, and how it hears."""
    model = AutoModelForAudioClassification.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return model, Ear.of(path)


def evaluate(path: Path, config: Config) -> Metrics:
    """Scores of a checkpoint on the config's test clips. Raises SettingsError on other classes."""
    return asked(
        exam(
            config,
            load(config.dataset, config.source, config.folder, config.language, config.clips),
        ),
        path,
    )
