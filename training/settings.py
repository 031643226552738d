"""The settings that the recipes share: one wording and one range each, with the recipe's own
default, and in which settings each of them counts.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from training.recipe import IsDataclass, SettingsError, find_used, setting
from training.wording import TEMPLATE, counted, is_template

# Of a recipe's config, whether a setting does anything in it. Any: it reads of a config what it
# needs, which other recipes' configs need not have.
When = Callable[[Any], bool]
OWN = ("folder", "own")  # sources of a person's own data


class Sourced(Protocol):
    """What all configs have in common."""

    @property
    def source(self) -> str: ...

    @property
    def folder(self) -> str: ...


class NamingData(Sourced, Protocol):
    """Of recipes that learn from a data set by its name, of the Hub or one's own."""

    @property
    def dataset(self) -> str: ...


class FineTuning(Protocol):
    """What configs have in common whose recipes fine-tune a network of the Hub."""

    @property
    def source(self) -> str: ...

    @property
    def dataset(self) -> str: ...

    @property
    def folder(self) -> str: ...

    @property
    def start(self) -> str: ...

    @property
    def arch(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def resolved_method(self) -> str:
        """The method that is trained by; `auto` where nobody has looked yet which one that is."""
        ...

    @property
    def epochs(self) -> int: ...

    @property
    def data_name(self) -> str: ...


class Cropping(FineTuning, Protocol):
    """Of recipes whose examples are pictures."""

    @property
    def augmentation(self) -> str: ...


class HoldingOut(Protocol):
    @property
    def holdout(self) -> float: ...


class ByMethod(Protocol):
    @property
    def resolved_method(self) -> str:
        """The method that is trained by; `auto` where nobody has looked yet which one that is."""
        ...


class ValidatingSteps(ByMethod, HoldingOut, Protocol): ...


# -- when a setting counts -------------------------------------------------------------------------
# They hang on nothing that is itself without effect: what a person left behind in a setting that is
# hidden now must not show or hide another one.
def from_hub(config: Sourced) -> bool:
    return config.source == "hub"


def names_data(config: Sourced) -> bool:
    return config.source in ("hub", "own")


def trains_backbone(config: ByMethod) -> bool:
    """Frozen trains a head on features that are computed once, from plain examples."""
    return config.resolved_method != "frozen"


# Its head is solved for, where a recipe's head can be: steps are taken by the other methods.
takes_steps = trains_backbone


def trains_fully(config: FineTuning) -> bool:
    """`auto` becomes full on a GPU."""
    return config.resolved_method in ("full", "auto")


def makes_network(config: FineTuning) -> bool:
    """Whether the network is one of the recipe's own, and not the one of a checkpoint."""
    return config.method == "scratch" and config.arch != "start"


def opens_checkpoint(config: FineTuning) -> bool:
    return not makes_network(config)


def crops_pictures(config: Cropping) -> bool:
    return trains_backbone(config) and config.augmentation != "none"


def validates(config: HoldingOut) -> bool:
    return config.holdout > 0


def validates_steps(config: ValidatingSteps) -> bool:
    return takes_steps(config) and config.holdout > 0


# -- what is trained on, and from where ------------------------------------------------------------
def hub_data(default: str, holds: str) -> str:
    return setting(
        default,
        f"Hub data set with {holds} (source hub), or the name of your own (source own).",
        label="Data set",
        lasting=True,
        offers=((f"{default} (Hub)", default),),
        names="data",
        when=names_data,
    )


def of_hub(help: str, label: str = "") -> str:
    """What of a data set of the Hub; empty: found by itself where only one fits."""
    return setting("", help, rare=True, lasting=True, label=label, when=from_hub)


def hub_subset() -> str:
    return of_hub("Subset (config) of the Hub data set. Empty: the only one, or its default.")


def hub_column(holds: str) -> str:
    return of_hub(f"Column of the Hub data set with {holds}. Empty: the only one.")


def hub_label() -> str:
    return of_hub(
        "Column of the Hub data set with the classes: named ones, texts or whole numbers. Empty: "
        "the only one."
    )


def hub_train_split() -> str:
    text = "Split of the Hub data set to learn from. Empty: train, or the only one."
    return of_hub(text, "Training split")


def hub_test_split() -> str:
    return of_hub(
        "Split of the Hub data set to be tested on, or a share of the training split, such as "
        "0.2. Empty: test or validation, else 0.2.",
        "Test split or share",
    )


def folder() -> str:
    return setting(
        "",
        "Folder with your own examples (source folder).",
        local=True,
        lasting=True,
        when=lambda config: config.source == "folder",
    )


def start(backbone: str, built_in: str = "", learned: str = "", *others: str) -> str:
    """`backbone`: of the Hub, as `others` are, which are offered too; `built_in`: the id of one
    that comes with the project, if any, and what it learned from."""
    offers = [("Automatic", "auto"), *((f"{each} (Hub)", each) for each in (backbone, *others))]
    own = ""
    if built_in:
        offers.insert(1, (f"Built-in backbone ({learned})", built_in))
        own = f" {built_in} with source folder or own,"
    return setting(
        "auto",
        f"Checkpoint to start from: embedded (built-in), a run id, or a Hub model such as "
        f"{backbone}. auto: that model with source hub,{own} else embedded.",
        label="Start from",
        lasting=True,
        offers=tuple(offers),
        when=opens_checkpoint,
    )


def folds() -> int:
    return setting(
        0,
        "Cross-validation: each example is judged by a model made of the others, in this many "
        "parts; what is saved learns from all. 0 = where examples are few and the method is "
        "frozen; 1 = never. Other methods train once for each part.",
        low=0,
        high=20,
        rare=True,
        label="Folds",
        lasting=True,
    )


def limit() -> int:
    return setting(
        0,
        "Train on at most this many examples, drawn at random; classes keep their shares. Of a Hub "
        "data set in Parquet files little more is downloaded. 0 = all.",
        low=0,
        high=10_000_000,
        rare=True,
        label="Maximum examples",
        lasting=True,
    )


def holdout(default: float = 0.08) -> float:
    return setting(
        default,
        "Share of the training examples held out for validation, which chooses the best epoch; a "
        "folder of your own with a val split has its own. 0 = none: the last epoch is kept.",
        low=0,
        high=0.5,
        rare=True,
        label="Validation share",
        lasting=True,
    )


# -- the run ---------------------------------------------------------------------------------------
def name() -> str:
    return setting("", "Name in the history. Empty: a description of the settings.", rare=True)


def swap() -> str:
    return setting(
        "better",
        "When the run ends, use the new model: only if it scores better than the one in use, "
        "always, or never.",
        choices=("better", "always", "never"),
        rare=True,
        label="Use the new model",
    )


def seed() -> int:
    return setting(
        0,
        "Runs with the same seed and settings give the same result.",
        low=0,
        high=2**31,
        rare=True,
        lasting=True,
    )


def store() -> str:
    return setting(
        "float32",
        "Precision of the saved weights. float16 takes half the disk space.",
        choices=("float32", "float16"),
        rare=True,
        label="Weights saved as",
    )


# -- the optimizer ---------------------------------------------------------------------------------
# `when=takes_steps` where method frozen solves for its head, and takes none.
def epochs(default: int, when: When | None = None) -> int:
    return setting(default, "Passes over the training data.", low=1, high=500, when=when)


FIND = ("find", -1.0)  # a learning rate that a test is to find
_FIND = "find = by a test of at most a minute or so, before training."


def learning_rate(default: float, when: When | None = None) -> float:
    return setting(
        default,
        f"Peak learning rate. {_FIND}",
        low=1e-6,
        high=1.0,
        rare=True,
        when=when,
        word=FIND,
    )


def usual_rate(when: When | None = None) -> float:
    return setting(
        0.0,
        f"Peak learning rate. 0 = recommended; {_FIND}",
        low=0,
        high=1.0,
        rare=True,
        when=when,
        word=FIND,
    )


def batch_size(default: int, when: When | None = None) -> int:
    return setting(
        default,
        "Examples per step, over all processes.",
        low=1,
        high=8192,
        rare=True,
        lasting=True,
        when=when,
    )


def accumulate(when: When | None = None) -> int:
    return setting(
        1,
        "Split each batch into this many parts to save memory.",
        low=1,
        high=256,
        rare=True,
        label="Gradient accumulation",
        when=when,
    )


def optimizer(when: When | None = None) -> str:
    return setting(
        "adamw",
        "muon makes each matrix's update orthogonal, which learns more in the first epochs from "
        "random weights.",
        choices=("adamw", "sgd", "muon"),
        rare=True,
        lasting=True,
        when=when,
    )


def schedule(when: When | None = None) -> str:
    return setting(
        "cosine",
        "Learning rate after the warm-up.",
        choices=("cosine", "linear", "constant"),
        rare=True,
        label="Schedule",
        when=when,
    )


def warmup(default: float = 0.1, when: When | None = None) -> float:
    return setting(
        default,
        "Share of the steps in which the learning rate rises to its peak.",
        low=0,
        high=0.9,
        rare=True,
        label="Warm-up",
        when=when,
    )


def weight_decay(default: float, when: When | None = None) -> float:
    return setting(
        default,
        "Each step shrinks the weights by this times the learning rate.",
        low=0,
        high=1,
        rare=True,
        when=when,
    )


def layer_decay(when: When | None = trains_backbone) -> float:
    return setting(
        1.0,
        "Learning rate of each layer as a share of the rate of the layer above. 1 = equal.",
        low=0.1,
        high=1,
        rare=True,
        label="Layer-wise decay",
        when=when,
    )


def early_stopping(when: When = validates) -> int:
    return setting(
        0,
        "Stop after this many epochs without a better validation score. 0 = never.",
        low=0,
        high=100,
        rare=True,
        when=when,
    )


def bf16(when: When | None = trains_backbone) -> str:
    return setting(
        "auto",
        "Train in bfloat16 mixed precision. auto: where the hardware supports it.",
        choices=("auto", "on", "off"),
        rare=True,
        label="Mixed precision",
        when=when,
    )


def compiled() -> str:
    return setting(
        "off",
        "Compile the network (torch.compile): about a minute's wait, then faster steps on a GPU.",
        choices=("off", "on"),
        rare=True,
        when=trains_backbone,
    )


# -- what is learned -------------------------------------------------------------------------------
def label_smoothing(default: float = 0.0, when: When | None = None) -> float:
    return setting(
        default,
        "Share of the target probability that is spread evenly over all outputs.",
        low=0,
        high=0.5,
        rare=True,
        when=when,
    )


def class_weights() -> str:
    return setting(
        "none",
        "balanced: each example counts the more in the loss, the rarer its class is, so that all "
        "classes count alike, and the best epoch is chosen by balanced accuracy.",
        choices=("none", "balanced"),
        rare=True,
    )


def keep(when: When = trains_fully) -> float:
    return setting(
        0.0,
        "Weight averaging: the start's share in the saved weights. 0.5 often scores better than "
        "either and forgets less; 0 = off.",
        low=0,
        high=0.9,
        rare=True,
        label="Share of the start's weights",
        lasting=True,
        when=when,
    )


def lora_rank() -> int:
    return setting(
        8,
        "Rank of the LoRA matrices.",
        low=1,
        high=256,
        rare=True,
        label="LoRA rank",
        lasting=True,
        when=lambda config: config.method == "lora",
    )


# -- pictures --------------------------------------------------------------------------------------
def image_size() -> int:
    return setting(
        0,
        "Side of the input pictures, in pixels. 0 = that of the start.",
        low=0,
        high=1024,
        rare=True,
        lasting=True,
    )


def augmentation_of_pictures() -> str:
    return setting(
        "light",
        "light: random crops and mirroring; strong: also rotation, shear, "
        "brightness and colour (TrivialAugment).",
        choices=("none", "light", "strong"),
        rare=True,
        when=trains_backbone,
    )


def crop(default: float) -> float:
    return setting(
        default,
        "Smallest share of the picture that a random crop keeps.",
        low=0.05,
        high=1,
        rare=True,
        label="Smallest crop",
        when=crops_pictures,
    )


# -- a config as a whole ---------------------------------------------------------------------------
def check_folder(config: Sourced, local: bool) -> None:
    """Own data: a folder, named by the command line alone. Raises SettingsError."""
    if (config.source == "folder") != bool(config.folder):
        raise SettingsError(
            "source 'folder' and --folder go together: --source folder --folder PATH."
        )
    if config.source == "folder" and not local:
        raise SettingsError(
            "source 'folder' names a path of this machine, which only the command line may do."
        )


def check_own(config: NamingData) -> None:
    """Own data that was added: it has a name, which is no address on the Hub. Raises
    SettingsError."""
    if config.source == "own" and (not config.dataset or "/" in config.dataset):
        raise SettingsError(
            "source 'own' needs the name of a data set that you added, as dataset: --source own "
            "--dataset pets."
        )


def check_fine_tuning(config: FineTuning, local: bool) -> None:
    """What holds for every recipe that fine-tunes a network of the Hub. Raises SettingsError."""
    check_folder(config, local)
    check_own(config)
    if config.method != "scratch" and config.arch != "start":
        raise SettingsError(
            "arch names a network with random weights: it goes with method 'scratch'."
        )
    if config.start == "scratch":
        raise SettingsError("start names a checkpoint; for random weights choose method 'scratch'.")


def check_template(text: str) -> None:
    """Raises SettingsError."""
    if not is_template(text):
        raise SettingsError(f"template must hold {{}} once, where the class goes: {TEMPLATE}")


def resolve_start(config: FineTuning, backbone: str, built_in: str = "") -> str:
    """`auto` in words that do not depend on anything else: `backbone` for the Hub's data, the one
    that is `built_in`, if any, for a person's own."""
    if config.start != "auto":
        return config.start
    if config.source in OWN and built_in and config.method != "scratch":
        return built_in
    return backbone if from_hub(config) and opens_checkpoint(config) else "embedded"


def name_data(config: FineTuning, sample: str) -> str:
    """The data in a few words; `sample`: what the recipe's own sample holds."""
    if config.source == "folder":
        return Path(config.folder).name
    return config.dataset if names_data(config) else sample


def name_start(start: str) -> str:
    """A start in a few letters: a run by the four that end its id and its title in the history, a
    model of the Hub without its owner."""
    run = re.fullmatch(r"[a-z_]+-\d{8}-\d{6}-([a-z]{4})", start)
    if run:
        return run[1]
    return start.removeprefix("embedded-").split("/")[-1]


def describe(config: FineTuning) -> str:
    """A run in a few words, by its settings."""
    start = "" if config.start in ("auto", "embedded") else f" from {name_start(config.start)}"
    what = config.method if config.arch == "start" else f"{config.arch} from scratch"
    epochs = (
        f", {counted(config.epochs, 'epoch')}"
        if "epochs" in find_used(cast(IsDataclass, config))
        else ""
    )
    return f"{config.data_name}, {what}{start}{epochs}"
