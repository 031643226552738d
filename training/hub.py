"""The Hub, asked only when a person chooses it. When it does not answer, that is said within seconds.

huggingface_hub retries for minutes without a network, also with `local_files_only`; so one HEAD of two seconds
decides, and after a failure the libraries are set offline, where what is cached still loads at once.
"""
import contextlib
import threading
from typing import Any

from training.recipe import SettingsError


def reachable(seconds: float = 2.0) -> bool:
    """Whether the Hub (HF_ENDPOINT) answers; sets the libraries on- or offline accordingly."""
    import datasets
    import huggingface_hub.constants as hub
    import requests
    answers = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            answers.append(requests.head(hub.ENDPOINT, timeout=seconds))

    # In a thread, since the timeout of requests covers neither the name's resolution nor its second address.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    hub.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not answers
    return bool(answers)


def dataset(name: str, split: str, config: str | None = None) -> tuple[Any, str]:
    """A split of a data set and its revision ("cached" when the Hub does not answer). Raises SettingsError."""
    online = reachable()
    import datasets
    from huggingface_hub import HfApi
    datasets.disable_progress_bars()
    try:
        revision = HfApi().dataset_info(name).sha if online else None
        loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # many kinds, of three libraries; every one means: not loaded
        if not online:
            raise SettingsError(f"The Hub does not answer and {name} is not in this machine's cache. Check the "
                                "connection, or choose the source 'sample', which needs none.") from error
        raise SettingsError(f"{name} could not be loaded from the Hub: {str(error).splitlines()[0][:200]}") from error
    return loaded, revision or "cached"
