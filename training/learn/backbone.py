"""A network of the Hub or of a run as something to teach: its head, its features, LoRA beside its
weights, and how fast each part learns. The same for pictures and for sounds.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from training.data import hub
from training.device import has_amx
from training.learn import small_maps
from training.learn.muon import AdamW, Muon
from training.media.looks import Looks
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint

HEAD = 1000  # depth of the head, above all layers
DECODER = 500  # depth of a decoder's layers, above its encoder's


def find(config: Any, runs: Path, slot: str) -> tuple[Checkpoint | None, str]:
    """The checkpoint to start from, and the revision of one of the Hub. Raises SettingsError,
    CheckpointError."""
    if config.method == "scratch" and config.arch != "start":
        return None, ""
    return named(config.resolved_start, runs, slot)


def named(name: str, runs: Path, slot: str) -> tuple[Checkpoint, str]:
    """A checkpoint by its id, or a model of the Hub by its name and with its revision. Raises
    SettingsError, CheckpointError."""
    if "/" not in name:
        return checkpoint.usable(checkpoint.find(runs, name, slot)), ""
    path, revision = hub.model(name)
    return checkpoint.usable(Checkpoint(name, name, path, "hub")), revision


def naming(classes: list[str]) -> dict[str, Any]:
    """The classes as a network's config has them."""
    return {"id2label": dict(enumerate(classes)), "label2id": {c: i for i, c in enumerate(classes)}}


def bound_to_its_size(made: Any) -> bool:
    """Whether a network of this config, once it is made, sees pictures of one size."""
    return made.model_type in (
        "vit",
        "deit",
        "beit",
        "data2vec-vision",
        "vit_msn",
        "swin",
        "swinv2",
        "siglip",
        "clip",
    )


def resized(made: Any, looks: Looks, config: Any, name: str) -> Looks:
    """How the network `name` sees pictures of the size asked for, for which its config `made` is
    changed; a network that was trained must be able to. A Swin that knows of places within its
    windows alone can, from windows of the usual size on. Raises SettingsError."""
    size = config.image_size
    scratch = config.method == "scratch"
    if size in (0, looks.size):
        return looks
    windows = made.model_type == "swin" and not made.use_absolute_embeddings
    if bound_to_its_size(made) and not scratch:
        if not windows:
            raise SettingsError(
                f"{name} sees pictures of {looks.size} pixels and no others: leave image_size at 0."
            )
        least = made.window_size * made.patch_size * 2 ** (len(made.depths) - 1)
        if size < least:
            raise SettingsError(
                f"{name} sees pictures of {least} pixels or more: choose a larger image_size."
            )
    if hasattr(made, "image_size") and (scratch or windows):
        made.image_size = size
    return Looks(size, looks.mean, looks.std)


def network(auto: Any, made: Any, config: Any, base: Checkpoint | None, things: str) -> nn.Module:
    """A network of the config `made`, float32: with random weights for method scratch, else with
    those of `base`, where a head for as many classes is kept and another one is new. Raises
    SettingsError."""
    try:
        if config.method == "scratch":
            return auto.from_config(made, dtype=torch.float32)
        with quiet():
            return auto.from_pretrained(
                base.path,
                config=made,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"{base.name if base else config.arch} cannot be used to tell {things} apart: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A new head is no news: we say so ourselves."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def usual_rate(config: Any, model: nn.Module) -> float:
    """The learning rate asked for; where it is 0, the one that the method usually takes."""
    if config.learning_rate:
        return config.learning_rate
    attends = any(hasattr(model.config, name) for name in ("num_attention_heads", "num_heads"))
    rate = {"frozen": 5e-3, "lora": 1e-3, "scratch": 1e-3, "full": 1e-4 if attends else 5e-4}[
        config.method
    ]
    return 100 * rate if config.optimizer == "sgd" else rate


def head(model: nn.Module) -> nn.Module:
    """The part after the features: what `frozen` trains. Raises SettingsError."""
    found = getattr(model, "classifier", None)
    if not isinstance(found, nn.Module) or not any(p.requires_grad for p in found.parameters()):
        raise SettingsError(
            f"method 'frozen' does not know the head of {type(model).__name__}: choose full or "
            "lora."
        )
    return found


@torch.no_grad()
def features(model: nn.Module, **inputs: Tensor) -> Tensor:
    """(N, ...) what the head receives."""
    caught: list[Tensor] = []
    hook = head(model).register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0].detach())
    )
    try:
        model(**inputs)
    finally:
        hook.remove()
    return caught[0]


def with_lora(model: nn.Module, rank: int, heads: list[str] | None = None) -> nn.Module:
    """The network with LoRA beside every linear and ungrouped convolutional weight of its backbone,
    and the whole of its heads: parts that are new, by name."""
    from peft import LoraConfig, get_peft_model

    if heads is None:
        heads = [
            name for name in ("projector", "classifier") if hasattr(model, name)
        ]  # sounds' have both
    own = {id(m) for name in heads for m in model.get_submodule(name).modules()}
    names = [
        name
        for name, m in model.named_modules()
        if id(m) not in own
        and not name.endswith("lm_head")
        and (isinstance(m, nn.Linear | Conv1D) or isinstance(m, nn.Conv2d) and m.groups == 1)
    ]
    with (
        warnings.catch_warnings()
    ):  # GPT-2 keeps its weights the other way round, which peft sees, mends and tells
        warnings.filterwarnings("ignore", "fan_in_fan_out")
        return get_peft_model(
            model,
            LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                target_modules=names,
                lora_dropout=0.0,
                modules_to_save=heads,
            ),
        )


def merged(model: nn.Module) -> nn.Module:
    """An ordinary network again."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def quicken(model: nn.Module, accelerator: Accelerator, compiled: bool = False) -> None:
    """The same network, where it is trained in bf16 on a CPU computed in ways that are faster
    there."""
    if accelerator.mixed_precision != "bf16" or accelerator.device.type != "cpu":
        return
    # Torch's attention in one piece is 1.3 to 4 times slower than its parts there (2.15, with AMX).
    model.set_attn_implementation("eager")
    if has_amx() and not compiled:  # the compiler is given torch's own convolutions
        small_maps.quicken(model)


@torch.no_grad()
def mix(model: nn.Module, base: Checkpoint, share: float) -> None:
    """Takes the weights `share` of the way back to those of `base`, where it has the same (Wortsman
    et al. 2022, arXiv 2109.01903). Raises SettingsError where it has none."""
    own = model.state_dict()
    found = 0
    for file in base.path.glob("*.safetensors"):
        for name, start in load_file(file).items():
            if name in own and own[name].shape == start.shape and own[name].is_floating_point():
                own[name].lerp_(start.to(own[name]), share)
                found += 1
    if not found:
        raise SettingsError(f"{base.name} holds none of this network's weights: leave keep at 0.")


def optimizer(model: nn.Module, config: Any) -> Any:
    """Vectors (biases, norms) do not decay; with layer_decay, deeper layers learn more slowly."""
    depth = {name: _depth(name) for name, p in model.named_parameters() if p.requires_grad}
    rank = {d: i for i, d in enumerate(sorted(set(depth.values()), reverse=True))}  # 0: the head
    groups: dict[tuple[float, bool, bool], list[Tensor]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            matrix = p.ndim > 1 and p.shape[1] > 1 and 0 < depth[name] < HEAD
            groups.setdefault(
                (config.layer_decay ** rank[depth[name]], p.ndim > 1, matrix), []
            ).append(p)
    listed = [
        {"params": ps, "scale": scale, "decays": decays, "matrices": matrices, "weight_decay": 0.0}
        for (scale, decays, matrices), ps in groups.items()
    ]
    if config.optimizer == "muon":
        return Muon(listed, lr=config.learning_rate)
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=config.learning_rate, momentum=0.9, nesterov=True)
    return AdamW(listed, lr=config.learning_rate)


def _depth(name: str) -> int:
    """Which layer a weight belongs to: 0 for the embeddings, one more than the last layer for the
    head."""
    if re.search(r"\b(classifier|projector|layer_weights|letters|namer|enc_to_dec_proj)\b", name):
        return HEAD
    number = re.search(r"\.(?:layers?|stages|blocks|h)\.(\d+)\.", name)
    above = DECODER if re.search(r"\bdecoder\.", name) else 0
    return (
        above + int(number[1]) + 1 if number else 999 if not re.search("embed|wte|wpe", name) else 0
    )
