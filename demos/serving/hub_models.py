"""Models of the Hub that a person tries in a slot: described, downloaded, taken into use, removed.

One download at a time in an app. Nobody is asked before a person names a model, and what is there
already answers without the Hub.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demos.serving.model_slot import Held, ModelSlot, SwapError
from demos.serving.shelf import free_bytes
from training.data import hub_choice, hub_model
from training.data.hub_model import Cancelled, Found
from training.recipe import SettingsError
from training.runs import checkpoint, published
from training.runs.checkpoint import CheckpointError
from training.wording import measured, quote

Tell = Callable[[int, int], object]  # (bytes, of how many)


@dataclass(frozen=True)
class UnderWay:
    """A download, as every page shows it."""

    slot: str
    name: str  # as the person wrote it
    done: int = 0  # bytes
    total: int = 0  # 0: not known yet
    loading: bool = False  # all of it is there, and being checked


@dataclass(frozen=True)
class Wishes:
    """What a person says of a model that can be asked in many ways."""

    classes: str = ""  # `ramen, pho, soup`; empty: those of the model in use
    template: str = ""  # "a photo of {}."
    prompt: str = ""


class HubModels:
    """Those of one app. Every refusal is a SwapError with a sentence that names the model as the
    person wrote it."""

    def __init__(self) -> None:
        self.under_way: UnderWay | None = None
        self._busy = threading.Lock()
        self._cancelled = threading.Event()

    def describe(self, slot: ModelSlot[Any], typed: str) -> Found:
        """What a model is, and why it would be refused. Raises SwapError where there is none."""
        offer = slot.offer
        if offer is None:
            raise SwapError(f"{slot.title} takes no models of the Hub.")
        try:
            found = hub_model.describe(typed, offer.kinds, free_bytes)
        except SettingsError as error:
            raise SwapError(str(error)) from error
        if found.kind in (hub_model.PICTURES, hub_model.SOUNDS) and not offer.fits(found.classes):
            return found.refuse(
                f"{found.typed} knows {len(found.classes):,} classes "
                f"({hub_model.name_some(found.classes, counted=False)}), and {slot.title} asks for "
                f"{offer.asks_for}: use it in another tab, or choose another model."
            )
        return found

    def use(
        self,
        slot: ModelSlot[Any],
        typed: str,
        wishes: Wishes | None = None,
        tell: Tell = lambda *_: None,
    ) -> Held[Any]:
        """Downloads a model, checks it and puts it into the slot. Raises SwapError, Cancelled; then
        the slot is as it was, and of the model no more is left than files that arrived whole."""
        if not self._busy.acquire(blocking=False):
            other = self.under_way.name if self.under_way else "Another model"
            raise SwapError(f"{other} is being downloaded at the moment: wait, or cancel it.")
        try:
            self.under_way = UnderWay(slot.name, str(typed or "").strip())
            self._cancelled.clear()
            found = self.describe(slot, typed)
            if found.refusals:
                raise SwapError(" ".join(found.refusals))
            return self._use(slot, found, wishes or Wishes(), tell)
        except SettingsError as error:
            raise SwapError(str(error)) from error
        finally:
            self.under_way = None
            self._busy.release()

    def cancel(self) -> None:
        """Ends the download under way."""
        self._cancelled.set()

    def _use(self, slot: ModelSlot[Any], found: Found, wishes: Wishes, tell: Tell) -> Held[Any]:
        def hear(done: int, total: int) -> None:
            if self._cancelled.is_set():
                raise Cancelled
            self.under_way = UnderWay(slot.name, found.typed, done, total)
            tell(done, total)

        names = _find_classes(slot, found, wishes)
        prompt = wishes.prompt if found.takes_prompt else ""
        choice = hub_choice.make_choice(found.kind, names, wishes.template, prompt)
        there = [each for each in published.list_added(slot.runs) if _is_of(each, found)]
        weights = [file for file, _ in found.files if file.endswith(".safetensors")]
        # What lay in the cache before the first of them came is another's.
        fetched = any(each.record.get("fetched") for each in there) or not all(
            hub_model.is_cached(found, file) for file in weights
        )
        try:
            folder = hub_model.fetch(found, hear)
        except Cancelled as error:
            kept = sum(size for file, size in found.files if hub_model.is_cached(found, file))
            raise Cancelled(
                f"Cancelled. Of {found.typed}, {measured(kept)} of {measured(found.bytes)} have "
                "arrived in whole files and are kept: download it again to go on."
            ) from error
        self.under_way = UnderWay(slot.name, found.typed, loading=True)
        added = hub_choice.add(slot.runs, found, folder, slot.name, choice, fetched)
        try:
            return slot.swap(added.id)
        except SwapError as error:
            if added.path not in {each.path for each in there}:
                hub_choice.remove(slot.runs, added)
            told = str(error).replace(found.name, found.typed, 1).rstrip(".")
            raise SwapError(f"{told}. Choose another model.") from error

    def remove(self, slot: ModelSlot[Any], checkpoint_id: str) -> int:
        """Takes a model away; the bytes that this freed on the disk. Raises SwapError."""
        added = published.find(slot.runs, str(checkpoint_id or ""), slot.name)
        if added is None:
            raise SwapError(
                f"{slot.title} holds no model {quote(checkpoint_id)} of the Hub: choose one of its "
                "list."
            )
        name = added.record["name"]
        # On disk too: another app on the same runs may have chosen it a moment ago.
        if added.id in (slot.active_id, *checkpoint.active(slot.runs, slot.name)[-1:]):
            raise SwapError(
                f"{slot.title} uses {name} now: choose Roll back first, then remove it."
            )
        try:
            freed = hub_choice.remove(slot.runs, added)
        except OSError as error:
            raise SwapError(
                f"{name} could not be removed ({error.strerror}): see that the folder of runs "
                "belongs to who runs this."
            ) from error
        slot.forget(added.id)
        return freed


def _is_of(added: published.Added, found: Found) -> bool:
    return (added.record["name"], added.record["revision"]) == (found.name, found.revision)


def _find_classes(slot: ModelSlot[Any], found: Found, wishes: Wishes) -> list[str]:
    """Those typed, or those of the model in use. Raises SettingsError."""
    if found.kind != hub_model.ZERO_SHOT:
        return []
    if names := hub_choice.read_classes(str(wishes.classes or "")):
        return names
    try:
        names = checkpoint.labels(slot.find(slot.active_id).path)
    except (CheckpointError, SwapError):
        names = []
    if not names:
        raise SettingsError(
            f"Name the classes that {found.typed} is to tell apart, such as ramen, pho, soup."
        )
    return names


def tell_freed(freed: int) -> str:
    """What removing a model did to the disk, in a sentence."""
    if freed:
        return f"{measured(freed)} of disk are free again."
    return "Its files stay in the Hub's cache, since they were there before or others use them."
