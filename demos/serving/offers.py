"""What a slot takes of the Hub, as its tab says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """Models of the Hub for a slot."""

    kinds: tuple[str, ...]  # of training.data.hub_model.KINDS
    suggestions: tuple[str, ...]  # owner/name
    # What a classifier must tell apart ("the ten digits"), and whether classes of these names are
    # that; empty: anything.
    asks_for: str = ""
    fits: Callable[[Sequence[str]], bool] = lambda _: True
