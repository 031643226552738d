"""The digits recipe: a small network of our own on handwritten digits or garments, 28x28.

    python -m training digits --dataset fashion_mnist --start embedded --source sample --epochs 2
    torchrun --standalone --nproc-per-node 2 -m -- training digits --source sample

A plain PyTorch loop with Accelerate. Every random draw (order, augmentation, dropout) is a function
of (seed, epoch, index), so that a continued run gives the losses of an unbroken one: exactly on the
CPU. (The `--` keeps torchrun from taking --start for its own --start-method.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from training import settings
from training.recipe import SettingsError, setting

USUAL_RATE = 0.002
Framing = Literal["digit", "garment"]
FRAMING = {"mnist": "digit", "fashion_mnist": "garment"}  # of the data sets that have a name here
NAMES = {"mnist": "digits", "fashion_mnist": "garments"}


@dataclass(frozen=True)
class Config:
    own_kind: ClassVar[str] = "pictures"  # of data sets with source own
    dataset: str = setting(
        "mnist",
        "Handwritten digits (mnist), garments (fashion_mnist), or the name of your own (source "
        "own).",
        label="Data set",
        lasting=True,
        offers=(("Digits (MNIST)", "mnist"), ("Garments (Fashion-MNIST)", "fashion_mnist")),
        names="data",
    )
    source: str = setting(
        "sample",
        "sample: about 2,000 pictures that come with the app. hub: the whole data set of 70,000, "
        "downloaded once. own: pictures that you added. folder: your own pictures, one subfolder "
        "per class (command line only).",
        choices=("sample", "hub", "own", "folder"),
        lasting=True,
    )
    folder: str = settings.folder()
    framing: str = setting(
        "digit",
        "How your own pictures become 28x28. digit: dark strokes on a light ground, such as "
        "letters and signs, for the digits' tab. garment: a thing on a plain ground, for the "
        "garments'.",
        choices=("digit", "garment"),
        lasting=True,
        when=lambda config: config.source == "own",
    )
    start: str = setting(
        "embedded",
        "Checkpoint to start from: embedded (built-in, for digits), embedded-fashion, a run id, or "
        "scratch: random weights. Models of the Hub are other networks: they answer in the "
        "tab, as they are.",
        label="Start from",
        lasting=True,
        offers=(("Random weights", "scratch"),),
    )
    method: str = setting(
        "full",
        "full: train all weights. frozen: solve for the last layer alone, on features that are "
        "computed once.",
        choices=("full", "frozen"),
        lasting=True,
    )
    epochs: int = settings.epochs(3, when=settings.takes_steps)
    learning_rate: float = settings.learning_rate(USUAL_RATE, when=settings.takes_steps)
    batch_size: int = settings.batch_size(128, when=settings.takes_steps)
    name: str = settings.name()
    swap: str = settings.swap()
    arch: str = setting(
        "cnn",
        "Network to train from random weights (start scratch): a small convolutional one, or a "
        "perceptron with one hidden layer.",
        choices=("cnn", "mlp"),
        rare=True,
        label="Network",
        lasting=True,
        when=lambda config: config.start == "scratch",
    )
    schedule: str = settings.schedule(when=settings.takes_steps)
    warmup: float = settings.warmup(when=settings.takes_steps)
    weight_decay: float = settings.weight_decay(0.02, when=settings.takes_steps)
    dropout: float = setting(
        0.1,
        "Dropout before the last layer.",
        low=0,
        high=0.9,
        rare=True,
        when=settings.takes_steps,
    )
    label_smoothing: float = settings.label_smoothing(when=settings.takes_steps)
    class_weights: str = settings.class_weights()
    augmentation: str = setting(
        "light",
        "Rotation, shift and scale; for garments also mirroring.",
        choices=("none", "light", "strong"),
        rare=True,
        when=settings.takes_steps,
    )
    early_stopping: int = settings.early_stopping(when=settings.validates_steps)
    accumulate: int = settings.accumulate(when=settings.takes_steps)
    holdout: float = settings.holdout()
    folds: int = settings.folds()
    limit: int = settings.limit()
    seed: int = settings.seed()

    @property
    def resolved_method(self) -> str:
        return self.method

    @property
    def data_name(self) -> str:
        """The data in a word or two."""
        if self.source in settings.OWN:
            return Path(self.folder).name if self.source == "folder" else self.dataset
        return NAMES[self.dataset]

    @property
    def framed(self) -> Framing:
        """How the pictures are framed."""
        named = self.framing if self.source == "own" else FRAMING[self.dataset]
        return "garment" if named == "garment" else "digit"

    def check(self, local: bool) -> None:
        """Raises SettingsError."""
        settings.check_folder(self, local)
        settings.check_own(self)
        if self.source != "own" and self.dataset not in FRAMING:
            raise SettingsError(
                f"dataset must be one of {', '.join(FRAMING)}; or with source own, the name of a "
                "data set that you added."
            )
        if self.start == "scratch" and self.method == "frozen":
            raise SettingsError(
                "method 'frozen' needs a trained start: choose start 'embedded' (built-in), or "
                "method 'full' to train random weights."
            )
