"""What a slot takes of the Hub, as its tab says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """Models of the Hub for a slot."""

    kinds: tuple[str, ...]  # of training.data.hub_model.KINDS
    suggestions: tuple[str, ...]  # owner/name
    classes: int = 0  # how many a classifier must know; 0: any
