"""How the audio recipe scores: the test part read once, each clip heard as the checkpoint hears it
on the page."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.data.examples import Data
from training.device import device, move
from training.judge import class_exam
from training.judge.exam import Exam
from training.learn import backbone, features
from training.recipes.audio_intent import model as networks
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import MOST, RATE, Heard
from training.recipes.audio_intent.model import SoundPreprocessor, open_network
from training.runs.batches import batches
from training.runs.run import Run

STEP = 16  # clips at a time
HEAD = ("layer_weights", "projector.", "classifier.")  # weights that are no part of the backbone


@torch.inference_mode()
def predict(
    model: nn.Module, heard: Heard, preprocessor: SoundPreprocessor, run: Run | None = None
) -> np.ndarray:
    """Probabilities, (N, labels). Raises Stopped when `run` is asked to stop."""
    model.eval()
    where = next(model.parameters()).device
    step = 1 if preprocessor.alone else STEP
    order = np.argsort(heard.lengths, kind="stable")  # clips of like length pad each other little
    parts = []
    for at in batches(len(order), step, run):
        inputs = preprocessor.prepare([heard[i] for i in order[at]])
        logits = model(**{name: t.to(where) for name, t in inputs.items()}).logits
        parts.append(logits.float().softmax(1).cpu())
    if not parts:
        return np.zeros((0, 1), np.float32)
    return torch.cat(parts).numpy()[np.argsort(order)]


def compute_features(
    model: PreTrainedModel, preprocessor: SoundPreprocessor, heard: Heard, run: Run
) -> Tensor:
    """(N, layers, width), or (N, width) where a network has no sum of layers: from the disk, or
    computed now and kept. Raises Stopped."""
    layers = networks.has_layer_weights(model)
    weights = {name: t for name, t in model.state_dict().items() if not name.startswith(HEAD)}
    order = np.lexsort((heard.clips.places, heard.lengths))
    key = features.make_key(
        weights,
        heard.clips[order],
        preprocessor.extractor.to_json_string(),
        heard.most,
        layers,
        networks.FLOOR,
    )
    model.eval()
    move(model)

    def compute(indices: np.ndarray) -> Tensor:
        inputs = preprocessor.prepare([heard[i] for i in indices])
        inputs = {name: t.to(device()) for name, t in inputs.items()}
        with torch.no_grad():
            if layers:
                return networks.average_layers(model, inputs)
            return backbone.compute_features(model, **inputs)

    step = 1 if preprocessor.alone else STEP
    return features.load_or_compute(run.path.parent, key, order, compute, run, step)


def compute_received(
    model: PreTrainedModel, preprocessor: SoundPreprocessor, heard: Heard, run: Run
) -> Tensor:
    """(N, width), what the classifier gets, whatever stands before it. Raises Stopped."""
    model.eval()
    move(model)
    order = np.argsort(heard.lengths, kind="stable")  # clips of like length pad each other little

    def compute(indices: np.ndarray) -> Tensor:
        inputs = preprocessor.prepare([heard[i] for i in indices])
        return backbone.compute_features(model, **{k: t.to(device()) for k, t in inputs.items()})

    step = 1 if preprocessor.alone else STEP
    found = features.compute_now(order, compute, run, step)
    return found[torch.from_numpy(order.argsort())]


def make_exam(config: Config, data: Data[np.ndarray]) -> Exam[np.ndarray]:
    """The test part of the config's data. A frozen run's features of it are kept too."""
    prepared: dict[float, Heard] = {}  # by the seconds that are heard

    def ask(path: Path, run: Run | None) -> np.ndarray:
        model, preprocessor = open_network(path)
        seconds = float(getattr(model.config, "seconds", MOST))
        if seconds not in prepared:
            prepared[seconds] = Heard(data.test, seconds, run.beat if run else int)
        if config.method == "frozen" and run:
            found = compute_features(model, preprocessor, prepared[seconds], run)
            return features.predict_from(networks.find_head(model), [found])
        move(model)
        return predict(model, prepared[seconds], preprocessor, run)

    def show(index: int, stem: Path) -> str:
        heard = data.test.read_one(index)[: round(MOST * RATE)]
        soundfile.write(stem.with_suffix(".mp3"), heard, RATE)
        return stem.name + ".mp3"

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
