"""The audio recipe: any network that tells sounds apart, on callers' intents or any classes of
sounds.

    python -m training audio_intent --epochs 20
    python -m training audio_intent --source hub --method frozen --start facebook/wav2vec2-base
    python -m training audio_intent --source folder --folder my-animals --method full

Four methods: `full`, every weight but the feature encoder's learns; `frozen`, the mean of every
layer is computed once and kept, the layer that tells most is chosen and the head solved for, in
seconds;
`lora`, small matrices beside the weights learn, and are merged in; `scratch`, random weights. What
is published is an ordinary checkpoint, which AutoModelForAudioClassification loads.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

from training import device, settings
from training.recipe import setting

SAMPLE = "synthesised calls"
MINDS = "PolyAI/minds14"
BACKBONE = "facebook/wav2vec2-base"
BUILT_IN = "embedded-backbone-sounds"


@dataclass(frozen=True)
class Config:
    own_kind: ClassVar[str] = "sounds"  # of data sets with source own
    source: str = setting(
        "sample",
        "sample: synthesised calls to a bank. espeak: any number of such, "
        "spoken by espeak-ng, which must be installed. hub: the data set below, "
        "downloaded once. own: sounds that you added. folder: your own, a subfolder a class "
        "(command line only).",
        choices=("sample", "espeak", "hub", "own", "folder"),
        lasting=True,
    )
    dataset: str = settings.hub_data(MINDS, "sounds and their classes")
    column: str = settings.hub_column("the sounds")
    label_column: str = settings.hub_label()
    train_split: str = settings.hub_train_split()
    test_split: str = settings.hub_test_split()
    language: str = setting(
        "en-US",
        "Subset of the Hub data set, where it has several (source hub); of MInDS-14 the language, "
        "such as de-DE.",
        label="Language or subset",
        lasting=True,
        when=settings.from_hub,
    )
    clips: int = setting(
        3000,
        "Number of training clips to synthesise (source espeak).",
        low=140,
        high=100_000,
        rare=True,
        label="Training clips",
        lasting=True,
        when=lambda config: config.source == "espeak",
    )
    folder: str = settings.folder()
    start: str = settings.start(BACKBONE, BUILT_IN, "speech")
    method: str = setting(
        "auto",
        "full: train all weights. frozen: choose a layer and solve for the head alone, on features "
        "that are computed once. lora: train low-rank adapters. scratch: train from "
        "random weights. auto: full on a GPU, else frozen.",
        choices=("auto", "full", "frozen", "lora", "scratch"),
        lasting=True,
    )
    epochs: int = settings.epochs(30, when=settings.takes_steps)
    learning_rate: float = settings.usual_rate(when=settings.takes_steps)
    batch_size: int = settings.batch_size(8, when=settings.takes_steps)
    name: str = settings.name()
    swap: str = settings.swap()
    seconds: float = setting(
        0.0,
        "Longer clips are cut. 0 = the length that 95% of the clips stay under, at most 30 s.",
        low=0,
        high=600,
        rare=True,
        label="Maximum length (seconds)",
        lasting=True,
    )
    arch: str = setting(
        "start",
        "Network to train from random weights (method scratch): that of the start, or a small one "
        "on log-mel spectrograms (conformer) or on the waveform (wav2vec2).",
        choices=("start", "conformer", "wav2vec2"),
        rare=True,
        label="Network",
        lasting=True,
        when=lambda config: config.method == "scratch",
    )
    augmentation: str = setting(
        "light",
        "light: loudness, speed, noise and frequency band; strong: more of each, and "
        "reverberation.",
        choices=("none", "light", "strong"),
        rare=True,
        when=settings.trains_backbone,
    )
    spec_augment: float = setting(
        0.05,
        "Share of the time steps at which a masked span begins. 0 = off.",
        low=0,
        high=0.5,
        rare=True,
        label="SpecAugment",
        when=settings.trains_backbone,
    )
    spelling: float = setting(
        0.0,
        "Weight of an auxiliary CTC loss on the transcripts, where the data has them (with source "
        "espeak: phonemes). 0 = off; from random weights it speeds training up many times.",
        low=0,
        high=10,
        rare=True,
        label="Transcription loss (CTC)",
        when=settings.trains_backbone,
    )
    # Its convolutions are frozen by the other methods anyway, and learn from random weights anyway.
    encoder: str = setting(
        "frozen",
        "Convolutional feature encoder, where the network has one: keep it frozen, or train it "
        "too.",
        choices=("frozen", "learns"),
        rare=True,
        label="Feature encoder",
        when=settings.trains_fully,
    )
    optimizer: str = settings.optimizer(when=settings.takes_steps)
    schedule: str = settings.schedule(when=settings.takes_steps)
    warmup: float = settings.warmup(when=settings.takes_steps)
    weight_decay: float = settings.weight_decay(0.01, when=settings.takes_steps)
    layer_decay: float = settings.layer_decay()
    label_smoothing: float = settings.label_smoothing(0.0, when=settings.takes_steps)
    class_weights: str = settings.class_weights()
    keep: float = settings.keep()
    lora_rank: int = settings.lora_rank()
    bf16: str = settings.bf16()
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping(when=settings.validates_steps)
    accumulate: int = settings.accumulate(when=settings.takes_steps)
    holdout: float = settings.holdout(0.1)
    folds: int = settings.folds()
    limit: int = settings.limit()
    seed: int = settings.seed()

    @property
    def resolved_start(self) -> str:
        return settings.resolve_start(self, BACKBONE, BUILT_IN)

    @property
    def resolved_method(self) -> str:
        """`auto` as this machine has it; it stays `auto` while nothing has loaded torch."""
        if self.method != "auto" or "torch" not in sys.modules:
            return self.method
        return "frozen" if device.device() == "cpu" else "full"

    @property
    def data_name(self) -> str:
        if self.source == "espeak":
            return f"{self.clips:,} {SAMPLE}"
        name = settings.name_data(self, SAMPLE)
        return f"{name} {self.language}".strip() if self.source == "hub" else name

    def check(self, local: bool) -> None:
        """Raises SettingsError."""
        settings.check_fine_tuning(self, local)
