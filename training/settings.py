"""The settings that the recipes share: one wording and one range each, with the recipe's own
default."""

from pathlib import Path
from typing import Any, ClassVar

from training.recipe import SettingsError, setting


def epochs(default: int) -> Any:
    return setting(default, "How often each example is seen.", low=1, high=500)


def learning_rate(default: float) -> Any:
    return setting(default, "Size of the steps at their largest.", low=1e-6, high=1.0)


def usual_rate() -> Any:
    return setting(
        0.0, "Size of the steps at their largest; 0: the method's usual one.", low=0, high=1.0
    )


def start(backbone: str) -> Any:
    return setting(
        "auto",
        "The checkpoint to start from: embedded, a run's id, or a model of the Hub, such as "
        f"{backbone} (auto: that one with source hub, else embedded).",
        label="Start from",
        lasting=True,
        offers=(("auto", "auto"), (f"{backbone} (Hub)", backbone)),
    )


def batch_size(default: int) -> Any:
    return setting(default, "Examples a step, over all processes.", low=1, high=8192, lasting=True)


def name() -> Any:
    return setting("", "A name for the history; empty: described by its settings.")


def swap() -> Any:
    return setting(
        "better",
        "Swap the checkpoint in when it ends: if it scores better than the active one, always, or "
        "never.",
        choices=("better", "always", "never"),
        label="Swap in when it ends",
    )


def folder() -> Any:
    return setting(
        "", "Folder of your own examples, with --source folder.", local=True, lasting=True
    )


def schedule() -> Any:
    return setting(
        "cosine",
        "How the learning rate falls after its warm-up.",
        choices=("cosine", "linear", "constant"),
        rare=True,
    )


def warmup(default: float = 0.1) -> Any:
    return setting(
        default,
        "Share of the steps in which the learning rate rises.",
        low=0,
        high=0.9,
        rare=True,
        label="Warm-up",
    )


def weight_decay(default: float) -> Any:
    return setting(default, "Pull of the weights towards zero.", low=0, high=1, rare=True)


def label_smoothing(default: float = 0.0) -> Any:
    return setting(
        default, "Share of certainty taken from the right answer.", low=0, high=0.5, rare=True
    )


def early_stopping() -> Any:
    return setting(
        0, "Stop after so many epochs without a better score; 0: never.", low=0, high=100, rare=True
    )


def accumulate() -> Any:
    return setting(
        1,
        "Parts that a step's batch is cut into, to need less memory.",
        low=1,
        high=256,
        rare=True,
        label="Gradient accumulation",
    )


def holdout(default: float = 0.08) -> Any:
    return setting(
        default,
        "Share of the training examples held out to choose the best epoch; 0: train on all, take "
        "the last.",
        low=0,
        high=0.5,
        rare=True,
        label="Held out",
        lasting=True,
    )


def limit() -> Any:
    return setting(
        0,
        "At most so many training examples, shuffled, every class in its share; 0: all.",
        low=0,
        high=10_000_000,
        rare=True,
        label="Limit on samples",
        lasting=True,
    )


def seed() -> Any:
    return setting(
        0,
        "Two runs with one seed and settings give the same result.",
        low=0,
        high=2**31,
        rare=True,
        lasting=True,
    )


def layer_decay() -> Any:
    return setting(
        1.0, "Learning rate of a layer, as a share of the one above it.", low=0.1, high=1, rare=True
    )


def keep() -> Any:
    return setting(
        0.0,
        "Share of the start's weights in what is published. 0.5 averages both, which often knows "
        "more than either and forgets less. Method full only.",
        low=0,
        high=0.9,
        rare=True,
        label="Kept of the start",
        lasting=True,
    )


def lora_rank() -> Any:
    return setting(
        8,
        "With method lora: rank of the matrices that learn.",
        low=1,
        high=256,
        rare=True,
        label="LoRA rank",
        lasting=True,
    )


def bf16() -> Any:
    return setting(
        "auto",
        "Half precision in the forward pass (auto: where the processor has it).",
        choices=("auto", "on", "off"),
        rare=True,
        label="Half precision",
    )


def compiled() -> Any:
    return setting(
        "off",
        "Compile the network first: a minute's wait, then faster steps, on a GPU.",
        choices=("off", "on"),
        rare=True,
    )


def store() -> Any:
    return setting(
        "float32",
        "Precision of the published weights; float16 takes half the disk.",
        choices=("float32", "float16"),
        rare=True,
        label="Weights kept as",
    )


def image_size() -> Any:
    return setting(
        0,
        "Side in pixels of what the model sees; 0: as its start does.",
        low=0,
        high=1024,
        rare=True,
        lasting=True,
    )


def augmentation_of_pictures() -> Any:
    return setting(
        "light",
        "How far each picture is varied: light: cropped and mirrored; strong: also turned, and "
        "changed in light and colour (TrivialAugment).",
        choices=("none", "light", "strong"),
        rare=True,
    )


def crop(default: float) -> Any:
    return setting(
        default,
        "Smallest share of the picture that a random crop shows.",
        low=0.05,
        high=1,
        rare=True,
    )


def optimizer() -> Any:
    return setting(
        "adamw",
        "How the weights follow their gradients. muon: by orthogonal steps, which learn more in "
        "the first epochs from random weights.",
        choices=("adamw", "sgd", "muon"),
        rare=True,
        lasting=True,
    )


def check_folder(config: Any, local: bool) -> None:
    """Own data: a folder, named by the command line alone. Raises SettingsError."""
    if (config.source == "folder") != bool(config.folder):
        raise SettingsError(
            "source 'folder' and --folder go together: --source folder --folder PATH."
        )
    if config.source == "folder" and not local:
        raise SettingsError(
            "source 'folder' names a path of this machine, which only the command line may do."
        )


class FineTuning:
    """What configs have in common whose recipes fine-tune a network of the Hub."""

    BACKBONE: ClassVar[str]
    SAMPLE: ClassVar[str]  # what its sample holds, in two words

    @property
    def data_name(self: Any) -> str:
        return {"sample": self.SAMPLE, "hub": self.dataset, "folder": Path(self.folder).name}[
            self.source
        ]

    def check(self: Any, local: bool) -> None:
        """Raises SettingsError."""
        check_folder(self, local)
        if self.method != "scratch" and self.arch != "start":
            raise SettingsError(
                "arch names a network with random weights: it goes with method 'scratch'."
            )
        if self.start == "scratch":
            raise SettingsError(
                "start names a checkpoint; for random weights choose method 'scratch'."
            )

    @property
    def resolved_start(self: Any) -> str:
        """`auto` in words that do not depend on anything else."""
        if self.start != "auto":
            return self.start
        return self.BACKBONE if self.source == "hub" and self.arch == "start" else "embedded"


LEARN = (
    "augmentation",
    "layer_decay",
    "bf16",
    "compile",
)  # what only methods that train the backbone use


def unused(config: Any, method: str, backbone_only: tuple[str, ...] = ()) -> set[str]:
    """The settings that do nothing beside this config's source and method: the page hides them."""
    found = {"dataset", "language"} if config.source != "hub" else set()
    found |= {"clips"} if config.source != "espeak" else set()
    found |= {"arch"} if method != "scratch" else set()
    found |= {"lora_rank"} if method != "lora" else set()
    found |= {"keep"} if method != "full" else set()
    return found | ({*LEARN, *backbone_only} if method == "frozen" else set())


def described(config: Any) -> str:
    """A run in a few words, by its settings."""
    start = "" if config.start in ("auto", "embedded") else " from " + config.start.split("/")[-1]
    what = config.method if config.arch == "start" else f"{config.arch} from scratch"
    return f"{config.data_name}, {what}{start}, {config.epochs} epoch{'s' * (config.epochs > 1)}"
