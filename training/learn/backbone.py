"""A network of the Hub or of a run as something to fine-tune: opened, its head and features, LoRA
beside its weights. The same for pictures and for sounds.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypedDict, cast

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.pytorch_utils import Conv1D

from training.data import hub
from training.device import has_amx
from training.learn import layouts, small_maps
from training.learn.heads import find_head, find_timm_head, quiet_transformers, sort_rows
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipe import SettingsError, is_path
from training.runs import checkpoint, published
from training.runs.checkpoint import Checkpoint
from training.wording import counted

# Families whose positions are learned for one number of patches.
OF_ONE_SIZE = (
    "vit",
    "deit",
    "beit",
    "data2vec-vision",
    "vit_msn",
    "swin",
    "swinv2",
    "siglip",
    "clip",
    "blip_vision_model",
)
# Of networks that write: tied to the embeddings, which others read.
WORD_HEADS = ("lm_head", "predictions.decoder")
HEADS = ("classifier", "projector", "layer_weights")  # what transformers' classifiers call them
TIMM = "timm_wrapper"  # transformers' family for all of timm's networks


class StartConfig(Protocol):
    """What is read of a recipe's config to open its start."""

    @property
    def method(self) -> str: ...
    @property
    def arch(self) -> str: ...
    @property
    def resolved_start(self) -> str: ...


class SizeConfig(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def image_size(self) -> int: ...


class RateConfig(Protocol):
    @property
    def learning_rate(self) -> float: ...
    @property
    def optimizer(self) -> str: ...


# One of transformers' Auto classes, which choose a network's class by its config.
AutoClass: TypeAlias = type[_BaseAutoModelClass]


class Labels(TypedDict):
    """Classes as a network's config has them."""

    id2label: dict[int, str]
    label2id: dict[str, int]


# -- starts ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Start:
    """What a run starts from: a checkpoint, or an architecture with random weights."""

    name: str
    checkpoint: Checkpoint | None = None
    revision: str = ""  # of a model of the Hub
    zero_shot: bool = False  # a classifier that was made of sentences (training/learn/towers.py)

    @property
    def path(self) -> Path | None:
        return self.checkpoint.path if self.checkpoint else None


def find_start(config: StartConfig, runs: Path, slot: str) -> Start:
    """Raises SettingsError, CheckpointError."""
    if config.method == "scratch" and config.arch != "start":
        return Start(config.arch)
    return open_start(config.resolved_start, runs, slot)


def open_start(name: str, runs: Path, slot: str) -> Start:
    """See `open_checkpoint`."""
    found, revision = open_checkpoint(name, runs, slot)
    return Start(found.id, found, revision)


def open_checkpoint(name: str, runs: Path, slot: str) -> tuple[Checkpoint, str]:
    """A checkpoint by its id, a model of the Hub by its name, and the revision of that, or a folder
    of this machine by its path, which only the command line may name. Raises SettingsError,
    CheckpointError."""
    if is_path(name):
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise SettingsError(f"There is no folder {name}: name one that holds a model.")
        revision = ""
        called = folder.name  # where it lies is nobody's business who reads the model card
    elif added := published.find(runs, name):
        found = checkpoint.find(runs, name, added.record["slot"])
        return checkpoint.check_usable(found), added.record["revision"]
    elif "/" not in name:
        return checkpoint.check_usable(checkpoint.find(runs, name, slot)), ""
    else:
        folder, revision = hub.download_model(name)
        called = name
    path = layouts.settle(folder, name, runs, lambda base: _open_base(base, name))
    return checkpoint.check_usable(Checkpoint(called, called, path, "hub")), revision


def _open_base(base: str, name: str) -> Path:
    """The folder of an adapter's base. Raises SettingsError."""
    if is_path(base) and is_path(name):  # whoever names a folder may have named that one too
        return Path(base).expanduser()
    return hub.download_model(base)[0]


# -- networks --------------------------------------------------------------------------------------
def name_labels(classes: list[str]) -> Labels:
    """The classes as a network's config has them."""
    return {"id2label": dict(enumerate(classes)), "label2id": {c: i for i, c in enumerate(classes)}}


def open_config(path: Path, classes: list[str]) -> PretrainedConfig:
    """The config of a checkpoint's network, for other classes. Raises SettingsError."""
    try:
        made = AutoConfig.from_pretrained(
            path, local_files_only=True, num_labels=len(classes), **name_labels(classes)
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise SettingsError(f"This start cannot be used: {reason}") from error
    if is_timm(made):
        made.label_names = classes  # else those of the start are written again
        # Checkpoints that timm itself saved tell the classes' number there too, which is one time
        # too many for transformers.
        made.model_args = {
            name: value for name, value in (made.model_args or {}).items() if name != "num_classes"
        } or None
    return made


def is_timm(made: PretrainedConfig) -> bool:
    return made.model_type == TIMM


def name_family(made: PretrainedConfig) -> str:
    """What a person calls a network of this config."""
    return made.architecture if is_timm(made) else made.model_type


def is_bound_to_its_size(made: PretrainedConfig) -> bool:
    """Whether a network of this config, once it is made, sees pictures of one size."""
    if is_timm(made):
        return bool((made.pretrained_cfg or {}).get("fixed_input_size"))
    return made.model_type in OF_ONE_SIZE


def resize_input(
    made: PretrainedConfig, preprocessor: PicturePreprocessor, config: SizeConfig, name: str
) -> PicturePreprocessor:
    """How the network `name` sees pictures of the size asked for, for which its config `made` is
    changed; a network that was trained must be able to. A Swin that knows of places within its
    windows alone can, from windows of the usual size on. Raises SettingsError."""
    size = config.image_size
    scratch = config.method == "scratch"
    if size in (0, preprocessor.size):
        return preprocessor
    windows = made.model_type == "swin" and not made.use_absolute_embeddings
    if is_bound_to_its_size(made) and not scratch:
        if not windows:
            raise SettingsError(
                f"{name} sees pictures of {preprocessor.size} pixels and no others: leave "
                "image_size at 0."
            )
        least = made.window_size * made.patch_size * 2 ** (len(made.depths) - 1)
        if size < least:
            raise SettingsError(
                f"{name} sees pictures of {least} pixels or more: choose a larger image_size."
            )
    if hasattr(made, "image_size") and (scratch or windows):
        made.image_size = size
    return replace(preprocessor, size=size, longest=0, mirrored=False)


def make_network(
    auto: AutoClass, made: PretrainedConfig, method: str, start: Start, things: str
) -> PreTrainedModel:
    """A network of the config `made`, by one of transformers' Auto classes, float32: with random
    weights for method scratch, else with those of the start, where a head for as many classes is
    kept and another one is new. Raises SettingsError."""
    try:
        if method == "scratch" or start.path is None:
            return auto.from_config(made, dtype=torch.float32)
        name = start.checkpoint.name if start.checkpoint else start.name
        model = load_weights(auto, start.path, made, name, _is_above_backbone)
        classes = [str(label) for label in (made.id2label or {}).values()]
        sort_rows(model, start.path, name, classes)
        return model
    except SettingsError:  # a sentence already, though a ValueError too
        raise
    except (OSError, ValueError, KeyError) as error:
        name = start.checkpoint.name if start.checkpoint else start.name
        reason = str(error).splitlines()[0][:200]
        if "Unrecognized configuration class" in reason:
            reason = f"{made.model_type} is another kind of network"
        raise SettingsError(
            f"{name} cannot be used to tell {things} apart ({reason}): choose another start."
        ) from error


def load_weights(
    auto: AutoClass | type[PreTrainedModel],
    path: Path,
    made: PretrainedConfig,
    name: str,
    may_be_new: Callable[[PreTrainedModel, str], bool],
) -> PreTrainedModel:
    """A network of the config `made`, float32, with a checkpoint's weights; those of which
    `may_be_new` says so (of the network and a weight's name) may be missing there or have another
    shape, and are then random. Raises SettingsError where others are: transformers would make
    them random too, and a start that nothing was taken from is none."""
    with quiet_transformers():
        # Any: with the information they give two things, which transformers' types do not tell.
        model, found = cast(Any, auto).from_pretrained(
            path,
            config=made,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    mismatched = (key if isinstance(key, str) else key[0] for key in found["mismatched_keys"])
    lacking = [key for key in (*found["missing_keys"], *mismatched) if not may_be_new(model, key)]
    if lacking:
        raise SettingsError(
            f"{name} is another kind of network than this needs: it lacks "
            f"{counted(len(lacking), 'weight')}, such as {min(lacking)}, or has them in another "
            "shape. Choose another start."
        )
    return model


def _is_above_backbone(model: PreTrainedModel, key: str) -> bool:
    """Whether a weight belongs to the head, or is of use in training alone."""
    if key.startswith(_name_timm_head(model) or "\0"):
        return True
    prefix = model.base_model_prefix
    has_backbone = isinstance(getattr(model, prefix, None), nn.Module)
    own = key.startswith(f"{prefix}.") if has_backbone else not key.startswith(HEADS)
    return not own or key.endswith("masked_spec_embed")


# What networks are fine-tuned with that answer already, CLIP and BLIP: more, and they forget it
# (Wortsman et al. 2022, arXiv 2109.01903; Zanella and Ben Ayed 2024, arXiv 2405.18541).
GENTLE = {"full": 3e-5, "lora": 2e-4}


def choose_learning_rate(
    config: RateConfig, method: str, model: PreTrainedModel, answers: bool = False
) -> float:
    """The one asked for; where that is 0 or to be found, what is recommended for the method, of a
    start that answers what is asked already, by much that it has seen, or of another."""
    if config.learning_rate > 0:
        return config.learning_rate
    full = 1e-4 if _attends(model) else 5e-4
    rate = {"frozen": 5e-3, "lora": 1e-3, "scratch": 1e-3, "full": full}[method]
    if answers:
        rate = GENTLE.get(method, rate)
    return 100 * rate if config.optimizer == "sgd" else rate


def _attends(model: PreTrainedModel) -> bool:
    """Whether it is a transformer. What timm's are, their config does not say."""
    if is_timm(model.config):
        return any(name.endswith(".attn") for name, _ in model.named_modules())
    return any(hasattr(model.config, name) for name in ("num_attention_heads", "num_heads"))


# -- heads and features ----------------------------------------------------------------------------
def list_heads(model: nn.Module) -> list[nn.Module | nn.Parameter]:
    """All of a classifier that is above its backbone."""
    return [getattr(model, name) for name in HEADS if hasattr(model, name)] or [find_head(model)]


def find_name(model: nn.Module, part: nn.Module) -> str:
    """Where in a network a part of it stands."""
    return next(name for name, module in model.named_modules() if module is part)


def _name_timm_head(model: nn.Module) -> str:
    """The beginning of its weights' names; empty where there is none."""
    head = find_timm_head(model)
    return f"{find_name(model, head)}." if isinstance(head, nn.Module) else ""


@torch.no_grad()
def compute_features(model: nn.Module, **inputs: Tensor) -> Tensor:
    """(N, ...) what the head receives."""
    caught: list[Tensor] = []
    hook = find_head(model).register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0].detach())
    )
    try:
        model(**inputs)
    finally:
        hook.remove()
    return caught[0]


# -- LoRA ------------------------------------------------------------------------------------------
def add_lora(model: PreTrainedModel, rank: int, heads: list[str] | None = None) -> nn.Module:
    """The network with LoRA beside every linear and ungrouped convolutional weight of its backbone,
    and the whole of its heads: parts that are new, by name."""
    from peft import LoraConfig, get_peft_model

    if heads is None:  # networks for sounds have both
        heads = [name for name in ("projector", "classifier") if hasattr(model, name)]
        heads = heads or [find_name(model, find_head(model))]
    own = {id(m) for name in heads for m in model.get_submodule(name).modules()}
    names = [
        name
        for name, m in model.named_modules()
        if id(m) not in own
        and not name.endswith(WORD_HEADS)
        and (isinstance(m, nn.Linear | Conv1D) or isinstance(m, nn.Conv2d) and m.groups == 1)
    ]
    lora = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=names,
        lora_dropout=0.0,
        modules_to_save=heads,
    )
    with warnings.catch_warnings():
        # GPT-2 keeps its weights the other way round, which peft sees, mends and tells.
        warnings.filterwarnings("ignore", "fan_in_fan_out")
        return get_peft_model(model, lora)


def merge_lora(model: nn.Module) -> nn.Module:
    """An ordinary network again: peft takes what it put in out of the same modules."""
    from peft import PeftModel

    return model.merge_and_unload() if isinstance(model, PeftModel) else model


# -- speed and mixing ------------------------------------------------------------------------------
def speed_up(model: PreTrainedModel, accelerator: Accelerator, compiled: bool = False) -> None:
    """The same network, where it is trained in bf16 on a CPU computed in ways that are faster
    there."""
    if accelerator.mixed_precision != "bf16" or accelerator.device.type != "cpu":
        return
    # Torch's attention in one piece is 1.3 to 4 times slower than its parts there (2.15, with AMX).
    if not is_timm(model.config):  # it chooses for itself
        model.set_attn_implementation("eager")
    if has_amx() and not compiled:  # the compiler is given torch's own convolutions
        small_maps.speed_up(model)


@torch.no_grad()
def mix_in_start(model: nn.Module, start: Checkpoint, share: float) -> None:
    """Takes the weights `share` of the way back to those of the start, where it has the same
    (Wortsman et al. 2022, arXiv 2109.01903). Raises SettingsError where it has none."""
    own = model.state_dict()
    found = 0
    for file in checkpoint.list_weights(start.path):
        for name, before in load_file(file).items():
            if name in own and own[name].shape == before.shape and own[name].is_floating_point():
                own[name].lerp_(before.to(own[name]), share)
                found += 1
    if not found:
        raise SettingsError(f"{start.name} holds none of this network's weights: leave keep at 0.")
