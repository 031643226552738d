"""The digits recipe: a small network of our own on handwritten digits or garments, 28x28.

    python -m training digits --dataset fashion_mnist --start embedded --source sample --epochs 2
    torchrun --standalone --nproc-per-node 2 -m -- training digits --source sample

A plain PyTorch loop with Accelerate. Every random draw (order, augmentation, dropout) is a function of
(seed, epoch, index), so that a continued run gives the losses of an unbroken one: exactly on the CPU.
(The `--` keeps torchrun from taking --start for its own --start-method.)
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipe import Metrics, Recipe, SettingsError, setting


@dataclass(frozen=True)
class Config:
    dataset: str = setting("mnist", "Which pictures: handwritten digits, or garments.",
                           choices=("mnist", "fashion_mnist"), label="Data set", lasting=True)
    source: str = setting("sample", "sample: small, comes with the app, needs no network. hub: the whole data set, "
                          "70,000 pictures, downloaded once. folder: your own pictures, one subfolder a class "
                          "(command line only).", choices=("sample", "hub", "folder"), lasting=True)
    folder: str = setting("", "Folder of your own pictures, with --source folder.", local=True, lasting=True)
    start: str = setting("embedded", "The checkpoint to start from: embedded (the digits one), embedded-fashion, "
                         "a run's id, or scratch.", label="Start from", lasting=True)
    method: str = setting("full", "full: every weight learns. frozen: only the last layer learns, on the features "
                          "that the start has.", choices=("full", "frozen"), lasting=True)
    epochs: int = setting(3, "How often each picture is seen.", low=1, high=500)
    learning_rate: float = setting(0.002, "Size of the steps at their largest.", low=1e-6, high=1.0)
    batch_size: int = setting(128, "Pictures a step, over all processes.", low=1, high=8192, lasting=True)
    name: str = setting("", "A name for the history; empty: described by its settings.")
    swap: str = setting("better", "Swap the checkpoint in when it ends: if it scores better than the active one, "
                        "always, or never.", choices=("better", "always", "never"), label="Swap in when it ends")
    arch: str = setting("cnn", "The network, when starting from scratch.", choices=("cnn", "mlp"), rare=True,
                        label="Network", lasting=True)
    schedule: str = setting("cosine", "How the learning rate falls after its warm-up.",
                            choices=("cosine", "linear", "constant"), rare=True)
    warmup: float = setting(0.1, "Share of the steps in which the learning rate rises.", low=0, high=0.9, rare=True,
                            label="Warm-up")
    weight_decay: float = setting(0.02, "Pull of the weights towards zero.", low=0, high=1, rare=True)
    dropout: float = setting(0.1, "Share of the features switched off at random before the last layer.", low=0,
                             high=0.9, rare=True)
    label_smoothing: float = setting(0.0, "Share of certainty taken from the right answer.", low=0, high=0.5,
                                     rare=True)
    augmentation: str = setting("light", "How far each picture is varied: turned, shifted, scaled; garments also "
                                "mirrored.", choices=("none", "light", "strong"), rare=True)
    early_stopping: int = setting(0, "Stop after so many epochs without a better score; 0: never.", low=0, high=100,
                                  rare=True)
    accumulate: int = setting(1, "Parts that a step's batch is cut into, to need less memory.", low=1, high=256,
                              rare=True, label="Gradient accumulation")
    holdout: float = setting(0.08, "Share of the training pictures held out to choose the best epoch; 0: train on "
                             "all, take the last.", low=0, high=0.5, rare=True, label="Held out", lasting=True)
    limit: int = setting(0, "At most so many training pictures, every class in its share; 0: all.", low=0,
                         high=1_000_000, rare=True, label="Limit on samples", lasting=True)
    seed: int = setting(0, "Two runs with one seed and settings give the same result.", low=0, high=2**31, rare=True,
                      lasting=True)

    def check(self, local: bool) -> None:
        if (self.source == "folder") != bool(self.folder):
            raise SettingsError("source 'folder' and --folder go together: --source folder --folder PATH.")
        if self.source == "folder" and not local:
            raise SettingsError("source 'folder' names a path of this machine, which only the command line may do.")
        if self.start == "scratch" and self.method == "frozen":
            raise SettingsError("method 'frozen' needs a trained start: random features learn nothing. "
                                "Choose start 'embedded', or method 'full'.")


def slot(config: Config) -> str:
    return "fashion" if config.dataset == "fashion_mnist" and config.source != "folder" else "digits"


def describe(config: Config) -> str:
    what = {"mnist": "digits", "fashion_mnist": "garments"}[config.dataset]
    if config.source == "folder":
        what = Path(config.folder).name
    start = "" if config.start == "embedded" else " from " + config.start.removeprefix("embedded-")
    return f"{what}, {config.source}, {config.method}{start}, {config.epochs} epoch{'s' * (config.epochs > 1)}"


def train(config: Config, run: Any) -> Metrics:
    from training import digits_loop
    return digits_loop.train(config, run)


def evaluate(path: Path, config: Config) -> Metrics:
    from training import digits_score
    return digits_score.evaluate(path, config)


RECIPE = Recipe("digits", "Digits & fashion", Config, "accuracy", ("digits", "fashion"), train, evaluate, slot,
                describe)
