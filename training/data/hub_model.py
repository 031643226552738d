"""A model of the Hub: what it is and why it would be refused, before anything of it is fetched; and
then its files, one after the other, with progress.

    found = describe("openai/clip-vit-base-patch32", (PICTURES, ZERO_SHOT))
    if not found.refusals:
        folder = fetch(found)

A description reads the Hub's word of the model and its config.json, some kilobytes, and writes
nothing. What is fetched are JSON, words and safetensors, into the Hub's cache: whole files, which
stay there when the rest does not come. What it does not know: whether the weights fit the config.
"""

import fnmatch
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.data import hub
from training.recipe import SettingsError
from training.runs import checkpoint
from training.wording import in_words, measured, quote

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

PICTURES = "image-classification"
ZERO_SHOT = "zero-shot-image-classification"
SOUNDS = "audio-classification"
CAPTIONS = "image-text-to-text"
DIGITS = "digits"  # this project's own small networks
# What a network does, by which of transformers' tables names it, and in words.
KINDS = {
    PICTURES: ("MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES", "tells pictures apart"),
    ZERO_SHOT: (
        "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES",
        "compares pictures with class names that you type",
    ),
    SOUNDS: ("MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES", "tells sounds apart"),
    CAPTIONS: ("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", "writes about pictures"),
    DIGITS: ("", "tells pictures of 28×28 pixels apart"),
}
OWN_DIGITS = "DigitsNet"
# Of these there are no features of pictures and of texts to compare, or they take more than pixels.
NOT_ZERO_SHOT = ("BlipModel", "Blip2ForImageTextRetrieval", "Siglip2Model")
SMALL = ("*.json", "*.txt", "*.jinja")  # jinja: how a chat is written down; run in a sandbox
PREPARES = ("preprocessor_config.json", "processor_config.json")
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
KNOWN = f"{checkpoint.KNOWN}.safetensors"
READ = 4 << 20  # bytes of a config.json that are read
SPARE = 500 << 20  # bytes of a disk that are left
NAMED = 5  # classes that are named
WIDTHS = {"float16": 2, "bfloat16": 2, "float64": 8}  # bytes a weight; others have 4
Tell = Callable[[int, int], object]  # (bytes so far, of how many); it may raise Cancelled


class Cancelled(Exception):
    """Whoever waited for a download wants it no more."""


@dataclass(frozen=True)
class Found:
    """A model of the Hub, as it was described."""

    typed: str  # as the person wrote it
    name: str  # owner/name
    revision: str  # its commit
    kind: str = ""  # of KINDS; empty where it does none of what is wanted
    does: str = ""  # in words
    license: str = ""
    classes: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()  # to be fetched, with their bytes
    refusals: tuple[str, ...] = ()  # sentences
    config: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files)

    @property
    def takes_prompt(self) -> bool:
        """Whether it writes by what it is told: not an encoder and a decoder joined."""
        return self.kind == CAPTIONS and self.config.get("model_type") != "vision-encoder-decoder"

    def refuse(self, why: str) -> "Found":
        """The same, with one more reason."""
        return replace(self, refusals=(*self.refusals, why))

    @property
    def page(self) -> str:
        """Where the Hub shows it."""
        return hub.name_page(self.name)


# -- describing ------------------------------------------------------------------------------------
def describe(
    typed: str, wanted: Iterable[str], find_free: Callable[[], int] | None = None
) -> Found:
    """What a model (`owner/name`, or `owner/name@revision`) is, and why it would be refused where
    what a network is wanted for is one of `wanted`; `find_free`: bytes of memory.
    Raises SettingsError where the Hub does not answer, or holds no such model."""
    typed = str(typed or "").strip()
    name, asked = hub.split_name(typed)
    hub.check_reachable(typed)
    info = _ask(typed, name, asked)
    files = {each.rfilename: each.size or 0 for each in info.siblings or []}
    refusals: list[str] = []
    if not any(fnmatch.fnmatch(file, "*.safetensors") for file in files):
        if offered := hub.find_offer(name) if not asked else "":
            info = _ask(typed, name, offered)
            files = {each.rfilename: each.size or 0 for each in info.siblings or []}
        else:
            refusals.append(
                f"{typed} holds no safetensors. Its weights are pickles, which could run code when "
                "loaded: choose another model."
                if any(file.endswith(hub.PICKLES) for file in files)
                else f"{typed} holds no weights (safetensors): choose another model."
            )
    revision = str(info.sha)
    if "config.json" not in files:
        refusals.append(_explain_lack(typed, files))
        return Found(typed, name, revision, refusals=tuple(refusals), license=_license(info))
    config = _read_config(typed, name, revision)
    kind, why = _judge(typed, config, tuple(wanted))
    if why:
        refusals.append(why)
    chosen = tuple((file, files[file]) for file in _choose_files(files))
    if not {*PREPARES} & {*files} and "pretrained_cfg" not in config and kind != DIGITS:
        what = "sounds" if kind == SOUNDS else "pictures"
        refusals.append(
            f"{typed} does not say how {what} are prepared for it (preprocessor_config.json is "
            "missing): choose another model."
        )
    found = Found(
        typed,
        name,
        revision,
        kind,
        describe_kinds(find_kinds(config)),
        _license(info),
        _list_classes(config) if kind in (PICTURES, SOUNDS, DIGITS) else (),
        chosen,
        tuple(refusals),
        config,
    )
    return _check_room(found, find_free() if find_free else 0)


def _ask(typed: str, name: str, revision: str) -> "ModelInfo":
    """What the Hub says of a model. Raises SettingsError."""
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(name, revision=revision or None, files_metadata=True, timeout=10)
    except Exception as error:  # many kinds, of two libraries; every one means: not told
        raise hub.explain(typed, error) from error


def _read_config(typed: str, name: str, revision: str) -> dict[str, Any]:
    """config.json, which is not kept. Raises SettingsError."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    try:
        url = hf_hub_url(name, "config.json", revision=revision)
        reply = get_session().get(
            url, headers=build_hf_headers(), follow_redirects=True, timeout=10
        )
        hf_raise_for_status(reply)
        found = json.loads(reply.content[:READ])
    except ValueError as error:
        raise SettingsError(f"{typed} cannot be used: its config.json is damaged.") from error
    except Exception as error:  # as above
        raise hub.explain(typed, error) from error
    if not isinstance(found, dict):
        raise SettingsError(f"{typed} cannot be used: its config.json is damaged.")
    return found


def _explain_lack(typed: str, files: Iterable[str]) -> str:
    """Why there is nothing to open without a config.json."""
    files = [*files]
    if "adapter_config.json" in files:
        return (
            f"{typed} is an adapter (PEFT), which answers only joined with its base: choose it as "
            "the start of a training on the Train tab."
        )
    inner = [file for file in files if re.fullmatch(r"checkpoint-\d+/config\.json", file)]
    if inner:
        return (
            f"{typed} keeps its models in folders such as {inner[-1].split('/')[0]}, as a training "
            "leaves them: choose it as the start of a training on the Train tab."
        )
    return f"{typed} has no config.json, so what it is cannot be told: choose another model."


def _license(info: "ModelInfo") -> str:
    card = info.card_data
    told = getattr(card, "license", None) if card else None
    tags = [tag.partition(":")[2] for tag in info.tags or [] if tag.startswith("license:")]
    return str(told[0] if isinstance(told, list) and told else told or next(iter(tags), ""))


def _list_classes(config: dict[str, Any]) -> tuple[str, ...]:
    table: Any = config.get("id2label")
    if "pretrained_cfg" in config:  # of timm, which knows ImageNet's
        from transformers import TimmWrapperConfig

        table = TimmWrapperConfig.from_dict({**config}).id2label
    if not isinstance(table, dict):
        return ()
    try:
        return tuple(str(table[key]) for key in sorted(table, key=int))
    except ValueError:
        return ()


def name_some(classes: tuple[str, ...], counted: bool = True) -> str:
    """`1,000: tench, goldfish, ... `, or without their count."""
    rest = len(classes) - NAMED
    named = ", ".join(in_words(each) for each in classes[:NAMED])
    count = f"{len(classes):,}: " * counted
    return count + named + (f" and {rest:,} more" if rest > 0 else "")


# -- what it does ----------------------------------------------------------------------------------
def _names_of(table: str) -> set[str]:
    from transformers.models.auto import modeling_auto

    found: set[str] = set()
    for value in getattr(modeling_auto, table).values():
        found |= {value} if isinstance(value, str) else set(value)
    return found


def find_kinds(config: dict[str, Any]) -> list[str]:
    """What a network of this config does."""
    if "pretrained_cfg" in config:  # of timm
        return [PICTURES] if config.get("num_classes") != 0 else []
    named = {str(each) for each in config.get("architectures") or []}
    if OWN_DIGITS in named:
        return [DIGITS]
    return [
        kind
        for kind, (table, _) in KINDS.items()
        if table and (named - {*NOT_ZERO_SHOT} if kind == ZERO_SHOT else named) & _names_of(table)
    ]


def describe_kinds(kinds: Iterable[str]) -> str:
    return " and ".join(KINDS[kind][1] for kind in kinds)


def _judge(typed: str, config: dict[str, Any], wanted: tuple[str, ...]) -> tuple[str, str]:
    """(of `wanted` what it does, or empty; the sentence that says why not)."""
    from transformers import CONFIG_MAPPING

    kinds = find_kinds(config)
    for kind in kinds:
        if kind in wanted:
            return kind, ""
    needed = " or ".join(KINDS[kind][1] for kind in wanted if kind != DIGITS)
    family = str(config.get("model_type") or "")
    named = ", ".join(map(str, config.get("architectures") or [])) or family or "an unknown one"
    if kinds:
        return "", (
            f"{typed} {describe_kinds(kinds)}, and this place takes what {needed}: use it in "
            "another tab, or choose another model."
        )
    if config.get("auto_map") and family not in CONFIG_MAPPING:
        return "", (
            f"{typed} needs code of its own to run (auto_map), and code of the Hub is never run "
            "here: choose another model."
        )
    if "pretrained_cfg" not in config and family not in CONFIG_MAPPING:
        return "", (
            f"{typed} is of a kind ({quote(named)}) that the installed transformers does not know: "
            "choose another model."
        )
    return "", (
        f"{typed} is a network ({named}) that answers nothing here, where one is wanted that "
        f"{needed}: choose another model, or fine-tune this one on the Train tab."
    )


# -- files and room --------------------------------------------------------------------------------
def _choose_files(files: Iterable[str]) -> Iterator[str]:
    """What is fetched of these: of the top level the small files, the weights last, once."""
    top = sorted(file for file in files if "/" not in file)
    yield from (file for file in top if any(fnmatch.fnmatch(file, kind) for kind in SMALL))
    if KNOWN in top and WEIGHTS in top:  # of a model that was made here
        yield KNOWN
    if WEIGHTS in top:
        yield WEIGHTS
        return
    weights = [file for file in top if file.endswith(".safetensors")]
    shards = [file for file in weights if re.fullmatch(r"model-\d+-of-\d+\.safetensors", file)]
    yield from (shards if INDEX in top else weights[:1])


def _check_room(found: Found, free: int) -> Found:
    """The same, with what is refused for its size."""
    weights = sum(size for file, size in found.files if file.endswith(".safetensors"))
    needs = weights * 4 / WIDTHS.get(_find_dtype(found.config), 4)
    if free and needs > free:
        found = found.refuse(
            f"{found.typed} takes {measured(needs)} of memory, and {measured(free)} are free here: "
            "choose a smaller one."
        )
    missing = sum(size for file, size in found.files if not is_cached(found, file))
    if (room := free_disk()) - SPARE < missing:
        found = found.refuse(
            f"{found.typed} takes {measured(missing)} of disk, and {measured(room)} are free here, "
            f"of which {measured(SPARE)} stay free: make room, or choose a smaller one."
        )
    return found


def _find_dtype(config: dict[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")


def free_disk() -> int:
    """Bytes that are free where the Hub's cache is."""
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def is_cached(found: Found, file: str) -> bool:
    """Whether a file of this revision has arrived whole."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(found.name, file, revision=found.revision), str)


# -- fetching --------------------------------------------------------------------------------------
def fetch(found: Found, tell: Tell = lambda *_: None) -> Path:
    """The folder in the Hub's cache with its files. `tell` hears of the bytes, and may raise
    Cancelled. Whole files are kept whatever happens, and no others. Raises SettingsError."""
    from huggingface_hub import hf_hub_download

    done = 0
    path = Path()
    try:
        for file, size in found.files:
            tell(done, found.bytes)
            bar = _make_bar(lambda count, before=done: tell(before + count, found.bytes))
            path = Path(hf_hub_download(found.name, file, revision=found.revision, tqdm_class=bar))
            done += size
        tell(done, found.bytes)
    except Cancelled:
        raise
    except Exception as error:  # many kinds, of two libraries; every one means: not fetched
        raise hub.explain(found.typed, error) from error
    return path.parent


def _make_bar(hear: Callable[[int], object]) -> Any:
    """A class of bars that draw nothing, and tell `hear` of the bytes so far."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **more: Any):
            more.pop("name", None)
            super().__init__(*args, **more | {"disable": True})
            self.count = 0

        def update(self, n: float | None = 1) -> None:
            self.count += int(n or 0)
            hear(self.count)

    return Bar


# -- the cache -------------------------------------------------------------------------------------
def free_cache(name: str, revision: str) -> int:
    """Removes a revision from the Hub's cache; the bytes that this freed."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        held = scan_cache_dir()
    except CacheNotFound:
        return 0
    for repo in held.repos:
        if (repo.repo_type, repo.repo_id) == ("model", name):
            if revision in {each.commit_hash for each in repo.revisions}:
                plan = held.delete_revisions(revision)
                plan.execute()
                return plan.expected_freed_size
    return 0
