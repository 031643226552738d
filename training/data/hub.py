"""The Hub, asked only when a person chooses it. When it does not answer, that is said within
seconds.

huggingface_hub retries for minutes without a network, also with `local_files_only`; so one HEAD of
two seconds decides, and after a failure the libraries are set offline, where what is cached still
loads at once.
"""

import contextlib
import re
import threading
from pathlib import Path
from typing import Any

from training.recipe import SettingsError

CONVERTER = "SFconvertbot"  # of the Hub, which offers safetensors where there are pickles alone


def reachable(seconds: float = 2.0) -> bool:
    """Whether the Hub (HF_ENDPOINT) answers; sets the libraries on- or offline accordingly."""
    import datasets
    import huggingface_hub.constants as hub
    import requests

    answers = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            answers.append(requests.head(hub.ENDPOINT, timeout=seconds))

    # In a thread, since the timeout of requests covers neither the name's resolution nor its second
    # address.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    hub.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not answers
    return bool(answers)


def dataset(name: str, split: str, config: str | None = None) -> tuple[Any, str]:
    """A split of a data set and its revision ("cached" when the Hub does not answer). Raises
    SettingsError."""
    _checked(name)
    online = reachable()
    import datasets
    from huggingface_hub import HfApi

    datasets.disable_progress_bars()
    try:
        revision = HfApi().dataset_info(name).sha if online else None
        loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # many kinds, of three libraries; every one means: not loaded
        raise _not_loaded(name, online, error) from error
    return loaded, revision or "cached"


def model(name: str) -> tuple[Path, str]:
    """The folder of a model (no pickles, no code) and its revision. Raises SettingsError."""
    _checked(name)
    online = reachable()
    from huggingface_hub import HfApi, snapshot_download

    try:
        revision = HfApi().model_info(name).sha if online else None
        found = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=["*.json", "*.safetensors"],
                local_files_only=not online,
            )
        )
    except Exception as error:  # many kinds, of two libraries
        raise _not_loaded(name, online, error) from error
    if not list(found.glob("*.safetensors")) and online:
        found, revision = _converted(name) or (found, revision)
    if not list(found.glob("*.safetensors")):
        raise SettingsError(
            f"{name} holds no safetensors. Its weights are pickles, which could run code when "
            "loaded: choose another model."
        )
    return found, revision or "cached"


def _converted(name: str) -> tuple[Path, str] | None:
    """The safetensors that the Hub's own robot has offered for a model of pickles, as transformers
    finds them."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        offers = [
            offer.git_reference
            for offer in HfApi().get_repo_discussions(name, author=CONVERTER)
            if offer.is_pull_request and offer.git_reference and offer.author == CONVERTER
        ]
        if not offers:
            return None
        found = Path(
            snapshot_download(name, revision=offers[0], allow_patterns=["*.json", "*.safetensors"])
        )
        return found, found.name  # a snapshot's folder is named by its commit
    except (HfHubHTTPError, OSError):
        return None


def splits(name: str, config: str | None = None) -> list[str]:
    """The names of a data set's splits. Raises SettingsError."""
    _checked(name)
    online = reachable()
    import datasets

    try:
        return datasets.get_dataset_split_names(name, config)
    except Exception as error:  # many kinds, of three libraries
        raise _not_loaded(name, online, error) from error


def configs(name: str) -> list[str]:
    """The names of a data set's parts. Raises SettingsError."""
    _checked(name)
    online = reachable()
    import datasets

    try:
        return datasets.get_dataset_config_names(name)
    except Exception as error:  # many kinds, of three libraries
        raise _not_loaded(name, online, error) from error


def _checked(name: str) -> str:
    """A name that can only be one of the Hub: the libraries would also take a folder of this
    machine."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) or Path(name).exists():
        raise SettingsError(
            f"{name!r} is no name on the Hub: it must be owner/name, such as ethz/food101."
        )
    return name


def _not_loaded(name: str, online: bool, error: Exception) -> SettingsError:
    if not online:
        return SettingsError(
            f"The Hub does not answer and {name} is not in this machine's cache. Check the "
            "connection, or choose the source 'sample' and start 'embedded', which need none."
        )
    return SettingsError(
        f"{name} could not be loaded from the Hub: {str(error).splitlines()[0][:200]}"
    )
