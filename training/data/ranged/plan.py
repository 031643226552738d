"""Which rows of a large table are read where only some are wanted, and reading begins at pages.

A data set's shards are often ordered by class, so that their first rows show a few of the classes:
what is wanted of each class is taken where least has to be read for it.
"""

import hashlib
import heapq
from dataclasses import dataclass

import numpy as np

CHUNK = 16  # rows by which one is read further, at most
MOST = 2.4  # rows that are read for each one wanted


@dataclass(frozen=True)
class Stretch:
    """Rows that lie in one piece, and can only be read from their first one on."""

    first: int  # of all rows
    rows: int
    group: int  # to which it belongs; reading anything of one costs something
    whole: bool  # whether it can only be read whole


def choose_rows(
    labels: np.ndarray, stretches: list[Stretch], wanted: np.ndarray, opening: float = 0.0
) -> np.ndarray:
    """The rows to take, sorted, as many as are wanted in all wherever there are as many.

    labels: (N,) int64 from 0, or -1 for rows of no use. wanted: (C,) how many rows of each. Where
    a class would cost too much, others take its place. opening: what it costs to read anything of
    a group, in rows.
    """
    planner = _Planner(labels, stretches, wanted, opening)
    planner.take_wanted()
    planner.fill(int(wanted.sum()))
    return np.sort(np.array(planner.taken, dtype=np.int64))


class _Planner:
    def __init__(
        self, labels: np.ndarray, stretches: list[Stretch], wanted: np.ndarray, opening: float
    ):
        self.labels = labels
        self.stretches = stretches
        self.need = wanted.astype(np.int64)
        total = int(wanted.sum())
        self.allowed = MOST * total
        self.chunk = max(1, min(CHUNK, -(-total // max(1, len(stretches)))))
        self.opening = opening
        groups = len({each.group for each in stretches})
        # Where that costs little beside the rows, they come from everywhere.
        self.counted = opening if opening * groups > total else 0.0
        self.opened: set[int] = set()
        self.depth = [0] * len(stretches)
        self.taken: list[int] = []
        self.spent = 0.0
        # Equally good ones in an order that does not follow that of the rows.
        self.rank = [
            hashlib.blake2b(str(each.first).encode(), digest_size=8).digest() for each in stretches
        ]

    def take_wanted(self) -> None:
        """The best stretch again and again. What one is good for only falls, so that the others
        need not be looked at again."""
        heap = [(-np.inf, self.rank[i], i) for i in range(len(self.stretches))]
        heapq.heapify(heap)
        while heap and self.need.any():
            _, rank, i = heapq.heappop(heap)
            end, gain = self._look(i)
            if not gain or self.spent + self._cost(i, end) > self.allowed:
                continue
            worth = -gain / (end - self.depth[i] + self._fee(i, self.counted))
            if heap and worth > heap[0][0]:
                heapq.heappush(heap, (worth, rank, i))
                continue
            if self.counted and self.stretches[i].group not in self.opened:
                for j, each in enumerate(self.stretches):  # they have just become cheaper
                    if each.group == self.stretches[i].group and j != i:
                        heapq.heappush(heap, (-np.inf, self.rank[j], j))
            self._read(i, end)
            heapq.heappush(heap, (worth, rank, i))

    def fill(self, count: int) -> None:
        """Up to `count`: first with what is read anyway."""
        taken = {*self.taken}
        order = sorted(range(len(self.stretches)), key=self.rank.__getitem__)
        for read in (True, False):
            for i in sorted(order, key=lambda i: self.stretches[i].group not in self.opened):
                each = self.stretches[i]
                low, high = (0, self.depth[i]) if read else (self.depth[i], each.rows)
                for row in range(each.first + low, each.first + high):
                    if len(self.taken) >= count:
                        return
                    if self.labels[row] >= 0 and row not in taken:
                        self.taken.append(row)
                        taken.add(row)

    def _look(self, i: int) -> tuple[int, int]:
        """How far into a stretch to read next, and how many wanted rows that gives."""
        each = self.stretches[i]
        at = self.depth[i]
        ahead = self.labels[each.first + at : each.first + each.rows]
        useful = np.flatnonzero((ahead >= 0) & (self.need[ahead] > 0))
        if not len(useful):
            return at, 0
        end = each.rows if each.whole else min(each.rows, at + int(useful[0]) + self.chunk)
        near = ahead[useful[useful < end - at]]
        counts = np.bincount(near, minlength=len(self.need))
        return end, int(np.minimum(counts, self.need).sum())

    def _fee(self, i: int, opening: float) -> float:
        return 0.0 if self.stretches[i].group in self.opened else opening

    def _cost(self, i: int, end: int) -> float:
        return end - self.depth[i] + self._fee(i, self.opening)

    def _read(self, i: int, end: int) -> None:
        each = self.stretches[i]
        self.spent += self._cost(i, end)
        self.opened.add(each.group)
        for row in range(each.first + self.depth[i], each.first + end):
            label = self.labels[row]
            if label >= 0 and self.need[label] > 0:
                self.need[label] -= 1
                self.taken.append(row)
        self.depth[i] = end
