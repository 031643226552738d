"""The audio recipe: any network that tells sounds apart, on callers' intents or any classes of
sounds.

    python -m training audio_intent --epochs 20
    python -m training audio_intent --source hub --method frozen --start facebook/wav2vec2-base
    python -m training audio_intent --source folder --folder my-animals --method full

Four methods: `full`, every weight but the feature encoder's learns; `frozen`, the mean of every
layer is computed once and kept, and a weighted sum of the layers and the head learn, in seconds;
`lora`, small matrices beside the weights learn, and are merged in; `scratch`, random weights. What
is published is an ordinary checkpoint, which AutoModelForAudioClassification loads.
"""

import sys
from dataclasses import dataclass

from training import device, settings
from training.recipe import setting

MINDS = "PolyAI/minds14"
BACKBONE = "facebook/wav2vec2-base"


@dataclass(frozen=True)
class Config(settings.FineTuning):
    BACKBONE = BACKBONE
    SAMPLE = "synthesised calls"

    source: str = setting(
        "sample",
        "sample: synthesised calls to a bank, come with the app, need no network. espeak: as many "
        "such calls as you like, spoken now by espeak-ng, which must be installed. hub: the data "
        "set below, downloaded once. folder: your own sounds, one subfolder a class (command line "
        "only).",
        choices=("sample", "espeak", "hub", "folder"),
        lasting=True,
    )
    dataset: str = setting(
        MINDS,
        "With source hub: a data set of the Hub that holds sounds and their classes.",
        label="Data set",
        lasting=True,
    )
    language: str = setting(
        "en-US",
        "With source hub: which part of the data set, where it has several; of MInDS-14 the "
        "language, such as de-DE.",
        label="Language or part",
        lasting=True,
    )
    clips: int = setting(
        3000,
        "With source espeak: how many clips are spoken to train on.",
        low=140,
        high=100_000,
        rare=True,
        lasting=True,
    )
    folder: str = settings.folder()
    start: str = settings.start(BACKBONE)
    method: str = setting(
        "auto",
        "full: every weight learns. frozen: only the head and how much each layer counts, on "
        "features that are computed once. lora: small matrices beside the weights learn. scratch: "
        "from random weights. auto: full on a GPU, else frozen.",
        choices=("auto", "full", "frozen", "lora", "scratch"),
        lasting=True,
    )
    epochs: int = settings.epochs(30)
    learning_rate: float = settings.usual_rate()
    batch_size: int = settings.batch_size(8)
    name: str = settings.name()
    swap: str = settings.swap()
    seconds: float = setting(
        0.0,
        "What is heard of each clip, at most; 0: as long as 95 of 100 clips are, up to 30.",
        low=0,
        high=600,
        rare=True,
        label="Length limit",
        lasting=True,
    )
    arch: str = setting(
        "start",
        "With method scratch: the network. start: the one of the start; or a small one, on log-mel "
        "spectra (conformer) or on the wave itself (wav2vec2).",
        choices=("start", "conformer", "wav2vec2"),
        rare=True,
        label="Network",
        lasting=True,
    )
    augmentation: str = setting(
        "light",
        "How far each clip is varied: light: loudness, speed, noise, band; strong: farther, and "
        "with the echo of a room. Not with frozen.",
        choices=("none", "light", "strong"),
        rare=True,
    )
    spec_augment: float = setting(
        0.05,
        "Share of the time steps at which a hidden stretch begins (SpecAugment). Not with frozen.",
        low=0,
        high=0.5,
        rare=True,
        label="SpecAugment",
    )
    spelling: float = setting(
        0.0,
        "How much the network also learns to spell out what is said, where the data tells that "
        "(CTC); 0: not. By its letters, and with source espeak by its sounds. From random weights, "
        "speech is learned many times faster so. Not with frozen.",
        low=0,
        high=10,
        rare=True,
    )
    encoder: str = setting(
        "frozen",
        "Whether the convolutions that hear the wave learn too. frozen: they stay.",
        choices=("frozen", "learns"),
        rare=True,
        label="Feature encoder",
    )
    optimizer: str = settings.optimizer()
    schedule: str = settings.schedule()
    warmup: float = settings.warmup()
    weight_decay: float = settings.weight_decay(0.01)
    layer_decay: float = settings.layer_decay()
    label_smoothing: float = settings.label_smoothing(0.0)
    keep: float = settings.keep()
    lora_rank: int = settings.lora_rank()
    bf16: str = settings.bf16()
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping()
    accumulate: int = settings.accumulate()
    holdout: float = settings.holdout(0.1)
    limit: int = settings.limit()
    seed: int = settings.seed()

    @property
    def resolved_method(self) -> str:
        """`auto` as this machine has it; it stays `auto` while nothing has loaded torch."""
        if self.method != "auto" or "torch" not in sys.modules:
            return self.method
        return "frozen" if device.device() == "cpu" else "full"

    def unused(self) -> set[str]:
        return settings.unused(self, self.resolved_method, ("spec_augment", "spelling", "encoder"))

    @property
    def data_name(self) -> str:
        if self.source == "espeak":
            return f"{self.clips:,} {self.SAMPLE}"
        return (
            f"{self.dataset} {self.language}".strip() if self.source == "hub" else super().data_name
        )
