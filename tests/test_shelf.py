"""Loaded checkpoints stay within a budget of bytes: what was not used for longest goes first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from demos.serving import shelf as module
from demos.serving.model_slot import ModelSlot
from demos.serving.shelf import SHARE, Shelf, free_bytes, size_of


@dataclass(frozen=True)
class Weight:
    id: str
    bytes: int


class Block:
    """A predictor whose network weighs 4 bytes a number."""

    def __init__(self, path: Path):
        self.model = torch.nn.Linear(250, 1, bias=False)

    def check(self) -> None:
        pass


def kept(shelf: Shelf, *ids: str) -> list[str]:
    """Which of these are on it; asking takes them off."""
    return [id for id in ids if shelf.take(id)]


def test_what_was_not_used_for_longest_makes_room():
    shelf = Shelf(100)
    for id, size in (("a", 40), ("b", 40), ("c", 40)):
        shelf.keep(Weight(id, size))
    assert kept(shelf, "a", "b", "c") == ["b", "c"]


def test_what_is_used_again_counts_as_new():
    shelf = Shelf(100)
    shelf.keep(Weight("a", 40))
    shelf.keep(Weight("b", 40))
    shelf.keep(shelf.take("a"))
    shelf.keep(Weight("c", 40))
    assert kept(shelf, "a", "b", "c") == ["a", "c"]


def test_it_counts_bytes_and_no_pieces():
    shelf = Shelf(100)
    for id in "abcdefghij":
        shelf.keep(Weight(id, 10))
    shelf.keep(Weight("large", 75))
    assert kept(shelf, *"abcdefghij", "large") == ["i", "j", "large"]


def test_what_is_larger_than_all_the_room_is_not_kept_and_drops_nothing():
    shelf = Shelf(100)
    shelf.keep(Weight("a", 40))
    shelf.keep(Weight("large", 101))
    assert kept(shelf, "a", "large") == ["a"]


def test_what_is_kept_twice_takes_its_room_once():
    shelf = Shelf(100)
    for id in ("a", "b", "b", "b"):
        shelf.keep(Weight(id, 50))
    assert kept(shelf, "a", "b") == ["a", "b"]


def test_a_network_weighs_what_its_parameters_and_buffers_do():
    net = torch.nn.BatchNorm1d(10)  # weight, bias, mean and variance, and a count of 8 bytes
    assert size_of(net) == 4 * 10 * 4 + 8
    shared = torch.nn.Sequential(layer := torch.nn.Linear(10, 10, bias=False), layer)
    assert size_of(shared) == 400


def test_without_a_budget_it_is_a_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda: 1000)
    shelf = Shelf()
    room = int(SHARE * 1000)
    shelf.keep(Weight("a", room))
    assert kept(shelf, "a") == ["a"]
    shelf.keep(Weight("a", room + 1))
    assert kept(shelf, "a") == []


@pytest.mark.parametrize(
    "limit, least", [("max\n", lambda free: free), ("1000000\n", lambda free: 1_000_000)]
)
def test_what_is_free_is_no_more_than_a_container_may_have(
    tmp_path, monkeypatch, limit: str, least: Callable[[int], int]
):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(module, "CONTAINER", tmp_path / "memory.max")
    monkeypatch.setattr(module, "device", lambda: "cpu")
    free = psutil.virtual_memory().available
    assert free_bytes() == pytest.approx(least(free), rel=0.5)


def test_slots_share_the_room_and_those_in_use_are_never_dropped(runs, ended):
    shelf = Shelf(2000)  # two blocks
    digits = ModelSlot("digits", Block, runs, shelf=shelf)
    fashion = ModelSlot("fashion", Block, runs, shelf=shelf)
    in_use = {slot.name: slot.get() for slot in (digits, fashion)}
    first, second = ended(seed=1), ended(seed=2)
    shoes = ended(seed=3, slot="fashion")
    old = digits.get(first.id)
    recent = digits.get(second.id)
    fashion.get(shoes.id)  # a third: there is no room for the first one any more
    assert digits.get(second.id) is recent and digits.get(first.id) is not old
    assert digits.get() is in_use["digits"] and fashion.get() is in_use["fashion"]
