"""To the Hub: a package becomes a repository of a person's own, private unless they say otherwise.

    url = push(package, "me/food-small", private=True, token=find_token(), tell=tell)

The token is what `hf auth login` left on this machine, or what a visitor signed in with; it is
handed on to huggingface_hub alone. What is said of an error is our own sentence, by its kind:
what a server answers, or a library says, may hold what was sent. One commit brings all files, so
that a line that breaks leaves nothing half.
"""

import contextlib
import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from training.data import hub
from training.data.own.data_set import Cancelled, Tell, tell_nobody
from training.publish.card import TAG
from training.publish.licence import Ask
from training.publish.pack import Package
from training.recipe import SettingsError
from training.runs.job import explain, list_causes
from training.runs.records import is_disk_full
from training.wording import quote

if TYPE_CHECKING:  # it takes a second to import, which only the Hub needs
    from huggingface_hub import HfApi

NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?/[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.A)
LONGEST = 96  # letters of each half of a name, as the Hub has it
NO_TOKEN = (
    "Nobody is signed in to the Hub on this machine: run `hf auth login` in a terminal, with a "
    "token that may write (huggingface.co/settings/tokens), and try again."
)
OFFLINE = (
    "The Hub does not answer. Check the connection, and try again; nothing was sent. (Where "
    "HF_HUB_OFFLINE is set, nobody is asked.)"
)
WATCHED = 1 << 20  # bytes from which a file's way is told; smaller ones go all at once


def find_token() -> str | None:
    """What `hf auth login` left, or HF_TOKEN: the token of whoever owns this machine's account."""
    from huggingface_hub import get_token

    return get_token()


def check_name(name: str) -> str:
    """owner/name as the Hub takes it. Raises SettingsError."""
    text = str(name or "").strip()
    halves = text.split("/")
    fits = NAME.fullmatch(text) and not re.search(r"--|\.\.", text) and not text.endswith(".git")
    if not fits or max(map(len, halves)) > LONGEST:
        what = f"{quote(text)} is no name on the Hub" if text else "It needs a name on the Hub"
        raise SettingsError(
            f"{what}: it must be owner/name, such as me/food-small, of letters, digits, - _ and "
            "single dots."
        )
    return text


def check_ready(name: str, token: str | None) -> str:
    """The name, where somebody is signed in and the Hub answers. Raises SettingsError."""
    checked = check_name(name)
    if not token:  # without one the library would take the machine's own
        raise SettingsError(NO_TOKEN)
    if not hub.is_reachable():
        raise SettingsError(OFFLINE)
    return checked


def push(
    package: Package,
    name: str,
    private: bool = True,
    token: str | None = None,
    tell: Tell = tell_nobody,
) -> str:
    """Makes the repository, or a new commit in one that this project made, and gives its address.
    Raises SettingsError, and what `tell` raises."""
    name = check_ready(name, token)
    assert token  # or it would have been refused
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    tell("asking the Hub", 0, 0)
    with _in_sentences(name, "asked"):
        _check_owner(api, name)
        there = _list_files(api, token, name, package.kind, private)
    if there is None:
        with _in_sentences(name, "made"):
            api.create_repo(name, repo_type=package.kind, private=private)
    stale = [
        place
        for place in sorted(there or ())
        if place not in package.files and _is_ours(place, package.kind)
    ]
    with _in_sentences(name, "sent"):
        _send(api, package, name, stale, tell)
    prefix = "datasets/" if package.kind == "dataset" else ""
    return f"{api.endpoint}/{prefix}{name}"


def _is_ours(place: str, kind: str) -> bool:
    """Whether a file of an earlier push goes where it is no part of this one: what was left out of
    a data set since, or weights that would be loaded too."""
    if kind == "dataset":
        return place.startswith("data/")
    return place.endswith((".safetensors", ".safetensors.index.json"))


def ask_licences(token: str | None) -> Ask:
    """Asks the Hub, where it answers, what a model of it says in its card; empty where it says
    nothing, or cannot be asked."""
    answers = functools.cache(hub.is_reachable)

    @functools.cache
    def ask(name: str) -> str:
        from huggingface_hub import HfApi

        if not answers():
            return ""
        try:
            found = HfApi(token=token or False).model_info(name).card_data
        except Exception:  # of many kinds; each means that it is not told
            return ""
        return str((found and found.get("license")) or "")

    return ask


# -- may it, and where -----------------------------------------------------------------------------
def _check_owner(api: "HfApi", name: str) -> None:
    """Raises SettingsError where the token cannot write to that owner's place."""
    found = api.whoami()
    role = (found.get("auth", {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise SettingsError(
            "Your token for the Hub may only read. Make one that may write at "
            "huggingface.co/settings/tokens, run `hf auth login` with it, and try again."
        )
    owners = [found["name"], *(each["name"] for each in found.get("orgs", []))]
    owner = name.split("/")[0]
    if owner not in owners:
        raise SettingsError(
            f"You are signed in to the Hub as {found['name']}, and {quote(owner)} is neither you "
            f"nor an organization of yours. Choose a name that begins with one of: "
            f"{', '.join(f'{each}/' for each in owners[:20])}."
        )


def _list_files(api: "HfApi", token: str, name: str, kind: str, private: bool) -> set[str] | None:
    """What a repository holds that is there already; None where there is none. Raises SettingsError
    where it is something else's, or others could see what was meant to be private."""
    from huggingface_hub import RepoCard
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    try:
        found = api.dataset_info(name) if kind == "dataset" else api.model_info(name)
    except RepositoryNotFoundError:
        return None
    files = {each.rfilename for each in found.siblings or []} - {".gitattributes"}
    tags: object = None
    if files:
        with contextlib.suppress(EntryNotFoundError, ValueError):
            card = RepoCard.load(name, repo_type=kind, token=token, ignore_metadata_errors=True)
            tags = card.data.get("tags")
        if not isinstance(tags, list) or TAG not in tags:
            raise SettingsError(
                f"{name} is there already, and holds something that was not pushed from here. "
                "Choose another name."
            )
    if private and not found.private:
        raise SettingsError(
            f"{name} is there already, and everybody can see it. Push it as public, or choose "
            "another name."
        )
    if found.private and not private:
        raise SettingsError(
            f"{name} is there already, and is private. Push it as private (who may see it is "
            "changed in its settings on the Hub), or choose another name."
        )
    return files


# -- sending ---------------------------------------------------------------------------------------
class _Watched(io.BufferedReader):
    """A file whose reading is told. It may be read again from its start, when the line failed."""

    def __init__(self, path: Path, moved: "_Moved"):
        super().__init__(io.FileIO(path))
        self.name_shown = path.name
        self.moved = moved

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(-1 if size is None else size)
        self.moved.tell(self.name_shown, self.tell())
        return found


class _Moved:
    """How many bytes were read of all that are watched, twice each: they are hashed, then sent."""

    def __init__(self, total: int, told: Tell):
        self.total = total
        self.told = told
        self.sending = False
        self.places: dict[str, int] = {}

    def tell(self, name: str, place: int) -> None:
        self.sending = self.sending or place < self.places.get(name, 0)
        self.places[name] = place
        done = sum(self.places.values())
        self.told("sending (MB)" if self.sending else "reading (MB)", done >> 20, self.total >> 20)


def _send(api: "HfApi", package: Package, name: str, stale: list[str], tell: Tell) -> None:
    """One commit: all files of the package, and without those that are `stale`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    large = {
        place: content
        for place, content in package.files.items()
        if isinstance(content, Path) and content.stat().st_size >= WATCHED
    }
    moved = _Moved(sum(path.stat().st_size for path in large.values()), tell)
    with _quiet_hub(), contextlib.ExitStack() as opened:
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(
                place,
                opened.enter_context(_Watched(content, moved))
                if place in large and isinstance(content, Path)
                else content,
            )
            for place, content in package.files.items()
        ]
        operations += [CommitOperationDelete(place) for place in stale]
        tell("sending", 0, 0)
        api.create_commit(
            name,
            operations,
            commit_message=f"Push {package.name} from Transfer Lab",
            repo_type=package.kind,
        )


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Its bars are ours to draw, and that it sends what is open by plain HTTP is no news."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    level = logging.get_verbosity()
    shown = not are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            enable_progress_bars()


# -- what went wrong -------------------------------------------------------------------------------
@contextlib.contextmanager
def _in_sentences(name: str, doing: str) -> Iterator[None]:
    """Errors of the Hub and of the line as SettingsError; without their own text, which may hold
    what was sent."""
    try:
        yield
    except (SettingsError, Cancelled):
        raise
    except Exception as error:  # of many kinds, of the library and of what it sends with
        if cancelled := next((e for e in list_causes(error) if isinstance(e, Cancelled)), None):
            raise cancelled from None
        raise SettingsError(_explain(error, name, doing)) from None


def _explain(error: BaseException, name: str, doing: str) -> str:
    causes = list(list_causes(error))
    if full := next((each for each in causes if is_disk_full(each)), None):
        return explain(full)
    statuses = [
        response.status_code
        for each in causes
        if (response := getattr(each, "response", None)) is not None
    ]
    status = statuses[0] if statuses else 0
    if status == 401:
        return (
            "The Hub does not know your token: it may have ended or been revoked. Run "
            "`hf auth login` again (on a Space: sign out and in), and try again."
        )
    if status == 403:
        return (
            f"Your token may not write to {name}: it needs the right to write to repositories "
            f"of {name.split('/')[0]}. Make such a token at huggingface.co/settings/tokens, or "
            "choose another owner."
        )
    if status == 409:
        return f"{name} is there already. Choose another name."
    if status == 429:
        return "The Hub takes no more for now, since too much was asked of it: try again later."
    if status == 413 or status == 402:
        return f"The Hub has no room for this in {name.split('/')[0]}'s account."
    left = _tell_left(name, doing)
    if status:
        return f"The Hub refused {name} (error {status}). {left}"
    if any(isinstance(each, OSError) or _is_of_the_line(each) for each in causes):
        return f"The line to the Hub broke. {left}"
    return f"The Hub answered what cannot be understood ({type(error).__name__}). {left}"


def _is_of_the_line(error: BaseException) -> bool:
    """Whether it is of the library that sends; which one that is, changes with huggingface_hub."""
    return type(error).__module__.startswith(("http", "requests", "urllib3", "hf_xet"))


def _tell_left(name: str, doing: str) -> str:
    """What is there now."""
    if doing != "sent":
        return "Nothing was sent: try again."
    return (
        f"Nothing half is to be seen there: {name} is as it was, or still empty. Push again; what "
        "had arrived whole is not sent twice."
    )
