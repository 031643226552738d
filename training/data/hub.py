"""The Hub, asked only when a person chooses it. When it does not answer, that is said within
seconds.

    from training.data import hub

    rows, revision = hub.load_dataset("ethz/food101", "validation")
    folder, revision = hub.download_model("google/vit-base-patch16-224-in21k")

Its libraries retry for minutes without a network; so one HEAD of two seconds decides, and after a
failure they are asked for what is in this machine's cache alone, which still loads at once. A
person's HF_HUB_OFFLINE=1 is obeyed: then nobody is asked.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from training.recipe import SettingsError
from training.runs.checkpoint import list_weights
from training.runs.records import is_disk_full
from training.wording import quote

if TYPE_CHECKING:  # it takes a second to import, which only the Hub's data needs
    import datasets

CONVERTER = "SFconvertbot"  # of the Hub, which offers safetensors where there are pickles alone
FILES = ["*.json", "*.safetensors", "*.txt"]  # of a model; never its pickles or its code
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle", ".msgpack", ".h5")


def is_reachable(seconds: float = 2.0) -> bool:
    """Whether the Hub (HF_ENDPOINT) answers within `seconds`, whatever it says."""
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    replies = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            replies.append(requests.head(constants.ENDPOINT, timeout=seconds))

    # In a thread, since the timeout of requests covers neither the name's resolution nor its second
    # address.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(replies)


@contextlib.contextmanager
def _from_cache_alone(wanted: bool) -> Iterator[None]:
    """Keeps `datasets` off the network meanwhile, where that is `wanted`.

    Process-wide: `datasets` has no parameter for it, only this variable, which it reads at each
    load. It is put back at once, and the worst that a load in another thread can meet meanwhile is
    that it, too, looks in the cache alone, while the Hub does not answer anyway.
    """
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def load_dataset(
    name: str, split: str, config: str | None = None
) -> tuple["datasets.Dataset", str]:
    """A split of a data set and its revision ("cached" when the Hub does not answer). Raises
    SettingsError."""
    _check_name(name)
    online = is_reachable()
    import datasets
    from huggingface_hub import HfApi

    datasets.disable_progress_bars()  # a run's log is a file
    try:
        revision = HfApi().dataset_info(name).sha if online else None
        with _from_cache_alone(not online):
            rows = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # many kinds, of three libraries; every one means: not loaded
        raise _not_loaded(name, online, error) from error
    return rows, revision or "cached"


@dataclass(frozen=True)
class Files:
    """What a data set is stored in. `splits`: the files of each, by their paths in it, where all
    of them are Parquet; `prepared`: whether the whole of it is in this machine's cache."""

    revision: str
    splits: dict[str, list[str]]
    prepared: bool


def find_files(name: str, config: str | None = None) -> Files | None:
    """None where the Hub does not answer. Raises SettingsError."""
    _check_name(name)
    if not is_reachable():
        return None
    import datasets
    from huggingface_hub import HfApi

    try:
        revision = str(HfApi().dataset_info(name).sha)
        builder = datasets.load_dataset_builder(name, config, revision=revision)
    except Exception as error:  # many kinds, of three libraries; every one means: not loaded
        _check_config(name, config, True)
        raise _not_loaded(name, True, error) from error
    begin = f"hf://datasets/{name}@{revision}/"
    splits = {
        str(split): [str(file).removeprefix(begin) for file in files]
        for split, files in (builder.config.data_files or {}).items()
    }
    paths = [path for files in splits.values() for path in files]
    ranged = all(path.endswith(".parquet") and "://" not in path for path in paths)
    prepared = (Path(builder.cache_dir) / "dataset_info.json").exists()
    return Files(revision, splits if ranged else {}, prepared)


def find_own_folder(name: str) -> Path:
    """Where this machine keeps the files of a data set of the Hub, whichever revision."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="dataset")


def download_model(typed: str) -> tuple[Path, str]:
    """The folder of a model (owner/name, or owner/name@revision; no pickles, no code) and its
    revision ("cached" when the Hub does not answer). Raises SettingsError."""
    name, asked = split_name(typed)
    online = is_reachable()
    from huggingface_hub import HfApi, snapshot_download

    files: list[str] = []
    try:
        revision = asked or None
        if online:
            info = HfApi().model_info(name, revision=asked) if asked else HfApi().model_info(name)
            revision = info.sha
            files = [each.rfilename for each in getattr(info, "siblings", None) or []]
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=_choose_files(files) or FILES,
                local_files_only=not online,
            )
        )
    except Exception as error:  # many kinds, of two libraries
        told = _not_loaded(typed, online, error)
        if online:  # in a sentence, where the library's text is none
            told = SettingsError(
                f"{typed} could not be loaded from the Hub. {explain(typed, error)}"
            )
        raise told from error
    if not _has_weights(folder) and online and not asked:
        folder, revision = _download_converted(name) or (folder, revision)
    if not _has_weights(folder):
        pickled = not files or any(file.endswith(PICKLES) for file in files)
        why = "Its weights are pickles, which could run code when loaded"
        why = why if pickled else "It has no weights at all"
        raise SettingsError(f"{typed} holds no safetensors. {why}: choose another model.")
    return folder, revision or "cached"


def _has_weights(folder: Path) -> bool:
    """Also of a training's output, whose folder holds others with them."""
    return bool(list_weights(folder)) or any(folder.glob("checkpoint-*/*.safetensors"))


def _choose_files(files: list[str]) -> list[str]:
    """Of a model's files those that are fetched: of the top level, and where that holds no model,
    of the newest checkpoint-N."""
    top = [file for file in files if "/" not in file]
    numbers = [int(found[1]) for file in files if (found := re.match(r"checkpoint-(\d+)/", file))]
    inner: list[str] = []
    if numbers and not {"config.json", "adapter_config.json"} & {*top}:
        newest = f"checkpoint-{max(numbers)}/"
        inner = [file for file in files if file.startswith(newest) and file.count("/") == 1]
    return [file for file in (*top, *inner) if any(fnmatch(file, kind) for kind in FILES)]


def _download_converted(name: str) -> tuple[Path, str] | None:
    """The safetensors that the Hub's own robot has offered for a model of pickles, as transformers
    finds them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        offer = find_offer(name)
        if not offer:
            return None
        folder = Path(snapshot_download(name, revision=offer, allow_patterns=FILES))
    except (HfHubHTTPError, OSError):
        return None
    return folder, folder.name  # a snapshot's folder is named by its commit


def find_offer(name: str) -> str:
    """The revision in which the Hub's own robot offers safetensors for a model of pickles; empty
    where it offers none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        for offer in HfApi().get_repo_discussions(name, author=CONVERTER):
            if offer.is_pull_request and offer.git_reference and offer.author == CONVERTER:
                return offer.git_reference
    except (HfHubHTTPError, OSError):
        pass  # there is nothing to be had
    return ""


def list_splits(name: str, config: str | None = None) -> list[str]:
    """The names of a data set's splits. Raises SettingsError."""
    _check_name(name)
    online = is_reachable()
    import datasets

    try:
        with _from_cache_alone(not online):
            return datasets.get_dataset_split_names(name, config)
    except Exception as error:  # many kinds, of three libraries
        _check_config(name, config, online)
        raise _not_loaded(name, online, error) from error


def _check_config(name: str, config: str | None, online: bool) -> None:
    """Raises SettingsError where a data set has several parts and it is open which one is meant, or
    has not the one that is."""
    import datasets

    try:
        with _from_cache_alone(not online):
            parts = datasets.get_dataset_config_names(name)
    except Exception:  # many kinds, of three libraries; what is wrong then is something else
        return
    if config not in parts and (config or len(parts) > 1):
        said = f"no subset named {quote(config)}, but" if config else "several subsets:"
        raise SettingsError(
            f"{name} has {said} {', '.join(parts[:30])}. Choose one as subset, such as --subset "
            f"{parts[0]}."
        )


def list_configs(name: str) -> list[str]:
    """The names of a data set's parts. Raises SettingsError."""
    _check_name(name)
    online = is_reachable()
    import datasets

    try:
        with _from_cache_alone(not online):
            return datasets.get_dataset_config_names(name)
    except Exception as error:  # many kinds, of three libraries
        raise _not_loaded(name, online, error) from error


def split_name(typed: str) -> tuple[str, str]:
    """owner/name and, where it is named behind an @, the revision. Raises SettingsError."""
    name, at, revision = typed.partition("@")
    _check_name(name)
    # As git allows them, such as refs/pr/7: they become a part of an address.
    if at and (not re.fullmatch(r"[\w-][\w./-]{0,100}", revision) or ".." in revision):
        raise SettingsError(
            f"{typed!r} names no revision of {name}: write owner/name@revision, such as "
            f"{name}@main."
        )
    return name, revision


def check_reachable(typed: str) -> None:
    """Raises SettingsError where the Hub does not answer within seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise SettingsError(
            f"The Hub is not asked here (HF_HUB_OFFLINE is set), so {typed} cannot be looked up."
        )
    if not is_reachable():
        raise SettingsError(
            f"The Hub does not answer, so {typed} cannot be looked up. Check the connection and "
            "try again; models that were added before answer without it."
        )


def _check_name(name: str) -> None:
    """Raises SettingsError unless a name can only be one of the Hub: the libraries would also take
    a folder of this machine."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) or Path(name).exists():
        raise SettingsError(
            f"{name!r} is no name on the Hub: it must be owner/name, such as ethz/food101."
        )


def _not_loaded(name: str, online: bool, error: Exception) -> SettingsError:
    """What a person is told, by whether the Hub answered."""
    if not online:
        return SettingsError(
            f"The Hub does not answer and {name} is not in this machine's cache. Check the "
            "connection, or choose the source 'sample' and start 'embedded' (built-in), which need "
            "none."
        )
    if any(map(is_disk_full, _list_causes(error))):
        return _explain_full(name)
    if _is_gated(error):
        from huggingface_hub import constants

        return SettingsError(
            f"{name} is gated: ask for access at {constants.ENDPOINT}/datasets/{name} (or, of a "
            f"model, {constants.ENDPOINT}/{name}), sign in with `hf auth login`, and try again."
        )
    return SettingsError(
        f"{name} could not be loaded from the Hub: {(str(error).splitlines() or [''])[0][:200]}"
    )


def name_page(name: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{name}"


def explain(typed: str, error: Exception) -> SettingsError:
    """What the Hub's libraries raised, as a sentence that names the model and what to do."""
    from huggingface_hub import errors

    name = typed.partition("@")[0]
    if any(map(is_disk_full, _list_causes(error))):
        return _explain_full(typed)
    if isinstance(error, errors.GatedRepoError):
        return SettingsError(
            f"{typed} is gated: ask for access at {name_page(name)}, sign in with `hf auth login`, "
            "and try again."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return SettingsError(
            f"{typed}: there is no such revision of {name}. {name_page(name)}/commits/main lists "
            "those that there are."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return SettingsError(
            f"There is no model {typed} on the Hub, or it is private: check its name, or sign in "
            "with `hf auth login`."
        )
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status == 429:
        return SettingsError(f"The Hub is asked too often: wait a minute, then try {typed} again.")
    if status:
        return SettingsError(
            f"The Hub could not tell of {typed} (its answer was {status}): try again later."
        )
    return SettingsError(
        f"The line to the Hub broke ({type(error).__name__}): check the connection, and try "
        f"{typed} again. Files that have arrived whole are kept."
    )


def explain_broken(name: str, error: Exception) -> SettingsError:
    """What a person is told where what was being fetched did not arrive."""
    if not is_reachable():
        return SettingsError(
            f"The line to the Hub broke while {name} was downloaded. Nothing of it is left; try "
            "again when the Hub answers."
        )
    return _not_loaded(name, True, error)


def _explain_full(name: str) -> SettingsError:
    return SettingsError(
        f"The disk is full, so {name} could not be fetched: make room, and try again."
    )


def _is_gated(error: BaseException) -> bool:
    """Whether it, or what it came of, is the Hub's refusal until its owner agrees."""
    from huggingface_hub.errors import GatedRepoError

    return any(isinstance(each, GatedRepoError) for each in _list_causes(error))


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """It, and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
