"""What a clip costs the audio recipe on this machine."""

from pathlib import Path

import numpy as np
from torch import Tensor

from training.device import device, move
from training.learn import backbone
from training.learn.cost import (
    MEASURED,
    READ,
    Cost,
    count_weights,
    time_asking,
    time_learning,
    time_reading,
)
from training.media.sounds import load_sound, measure_sound
from training.recipes.audio_intent import model as networks
from training.recipes.audio_intent.config import Config
from training.recipes.audio_intent.data import RATE, choose_limit
from training.recipes.audio_intent.model import build_network, fit_window


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> Cost:
    """Raises SettingsError, CheckpointError."""
    start = backbone.find_start(config, runs, "audio")
    model, preprocessor = build_network(config, start, classes)
    some = files[:: max(1, len(files) // (8 * READ))]
    whole = np.array([(measure_sound(path) or 1.0) * RATE for path in some])
    seconds = config.seconds or choose_limit(whole)
    preprocessor = fit_window(model, preprocessor, seconds)
    lora = config.resolved_method == "lora"
    learner = backbone.add_lora(model, config.lora_rank) if lora else model
    move(learner)
    usual = max(1, int(min(seconds * RATE, np.median(whole))))
    noise = np.random.default_rng(0).normal(0, 0.1, (MEASURED, usual)).astype(np.float32)
    given = preprocessor.prepare(list(noise))
    given = {name: tensor.to(device()) for name, tensor in given.items()}
    frozen = config.resolved_method == "frozen"

    def ask() -> Tensor:
        if frozen and networks.has_layer_weights(model):
            return networks.average_layers(model, given)
        return learner(**given).logits

    def prepare(path: Path) -> object:
        return preprocessor.prepare([load_sound(path).samples[: len(noise[0])]])

    one = time_asking(learner, ask)
    return Cost(
        read=time_reading(prepare, files),
        ask=one,
        learn=0.0 if frozen else time_learning(learner, ask),
        examine=0.0 if frozen else one,  # of method frozen the features are there
        kept=4 * usual,
        weights=count_weights(learner),
    )
