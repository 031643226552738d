"""What a picture with its captions costs the captioning recipe on this machine."""

from pathlib import Path

import torch
from torch import Tensor

from training.device import device, move
from training.learn.cost import (
    MEASURED,
    Cost,
    count_weights,
    time_asking,
    time_each,
    time_learning,
    time_reading,
)
from training.media.pictures import load_picture
from training.recipes.captioning import score
from training.recipes.captioning.config import Config
from training.recipes.captioning.model import (
    Parts,
    Teller,
    add_lora,
    build_network,
    encode,
    find_start,
    get_encoder,
    list_learning,
)

WORDS = 12  # of a usual caption


def measure(config: Config, runs: Path, files: list[Path], classes: list[str]) -> Cost:
    """Raises SettingsError, CheckpointError."""
    start = find_start(config, runs, "captions")
    net, preprocessor, _ = build_network(config, start, ["a usual caption of a picture"], runs)
    frozen = config.method == "frozen"
    learns = add_lora(net, config) if config.method == "lora" else net
    if frozen:
        get_encoder(net).requires_grad_(False)
        learns = Parts(list_learning(net))
    learner = Teller(learns, net)
    move(net)
    side = preprocessor.pictures.size
    pixels = torch.rand(MEASURED, 3, side, side, device=device())
    ids = torch.ones(MEASURED * config.each, WORDS, dtype=torch.long, device=device())
    with torch.no_grad():
        states = encode(net, pixels)

    def teach() -> Tensor:
        logits, _ = learner(states if frozen else pixels, ids, ids == 1, config.each, frozen)
        return logits

    one = time_asking(net, lambda: encode(net, pixels))
    written = time_each(lambda: score.write_captions(net, preprocessor, states))
    return Cost(
        read=time_reading(lambda path: preprocessor.pictures.frame(load_picture(path)), files),
        ask=one,
        learn=time_learning(learner, teach),
        examine=one + written,
        kept=3 * side**2,
        weights=count_weights(learns),
    )
