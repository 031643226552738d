"""What shows the same though it was saved otherwise, resized or cropped a little.

First the likely pairs: thumbnails of 10 x 10 greys that correlate, by blocks of one matrix product,
so that memory does not grow with the pairs. Then each pair is laid over each other in windows of
one that are a few percent smaller, which undoes a crop: where the best fit correlates, they are the
same.
"""

import numpy as np

from training.data.checks.look import SIDE, Seen, iterate_blocks

COARSE = 10  # side of what likely pairs are found by
FINE = 20  # of what decides
LIKELY = 0.75  # correlation of coarse thumbnails
SAME = 0.94  # of fine ones, laid over each other as well as can be
# Where pictures are alike anyway, such as digits, the same ones are nearer by so much than most are
# to their nearest.
NEARER = 4.0
MOST = 0.25  # the share of the pictures that are taken not to be there twice
# Sounds' pictures are alike for one voice and sentence: they are to agree without being moved.
SAME_SOUND = 0.985
NEAREST = 12  # likely pairs of each that are looked at
BLOCK = 2048  # pairs at a time
ROWS = 256  # of the matrix of all with all, at a time
SHARES = (1.0, 0.96, 0.92)  # of a side that a crop kept
LEAST = 4.0  # greys: what varies less shows nothing


def find_groups(seen: Seen) -> list[list[int]]:
    """Places in `seen.sights` of those that show the same, two or more each; copies by their
    content among them."""
    count = len(seen.sights)
    groups = _Groups(count)
    first: dict[str, int] = {}
    for i, sight in enumerate(seen.sights):
        groups.join(first.setdefault(sight.id, i), i)
    # One of each content, of those that show something.
    readable = np.array([not sight.refusal for sight in seen.sights], bool)
    varied = _measure_spreads(seen.prints) > LEAST
    some = np.array([i for i in first.values() if readable[i] and varied[i]], np.int64)
    for one, other in _find_pairs(seen, some):
        groups.join(one, other)
    return groups.list_all()


def _find_pairs(seen: Seen, some: np.ndarray) -> list[tuple[int, int]]:
    if len(some) < 2:
        return []
    coarse = _normalise(_shrink(seen.prints[some], COARSE))
    pairs = _find_likely(coarse)
    sounds = seen.kind == "sounds"
    fits = np.zeros(len(pairs), np.float32)
    for block in iterate_blocks(len(pairs), BLOCK):
        part = pairs[block]
        one = seen.prints[some[part[:, 0]]]
        other = seen.prints[some[part[:, 1]]]
        fits[block] = _compare_as_they_are(one, other) if sounds else _compare(one, other)
    least = _choose_threshold(pairs, fits, len(some), SAME_SOUND if sounds else SAME)
    return [(int(some[i]), int(some[j])) for i, j in pairs[fits > least]]


def _choose_threshold(pairs: np.ndarray, fits: np.ndarray, count: int, usual: float) -> float:
    """From which fit on two are the same. (P, 2) pairs, (P,) fits."""
    nearest = np.zeros(count, np.float32)
    np.maximum.at(nearest, pairs.ravel(), np.repeat(fits, 2))
    return max(usual, 1 - (1 - float(np.quantile(nearest, MOST))) / NEARER)


def _find_likely(coarse: np.ndarray) -> np.ndarray:
    """(pairs, 2): the nearest of each, where they are near."""
    count = len(coarse)
    nearest = min(NEAREST, count - 1)
    found: list[np.ndarray] = []
    for rows in iterate_blocks(count, ROWS):
        alike = coarse[rows] @ coarse.T
        alike[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = -1
        best = np.argpartition(alike, -nearest, axis=1)[:, -nearest:]
        at = np.repeat(np.arange(rows.start, rows.stop), nearest)
        likely = np.take_along_axis(alike, best, axis=1).ravel() > LIKELY
        found.append(np.stack([at[likely], best.ravel()[likely]], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


# -- comparing -------------------------------------------------------------------------------------
def _compare(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) how well each pair fits, whichever is the crop of the other."""
    return np.maximum(_fit_crops(one, other), _fit_crops(other, one))


def _compare_as_they_are(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    pairs = (_normalise(_shrink(part, FINE)) for part in (one, other))
    a, b = pairs
    return (a * b).sum(1)


def _fit_crops(whole: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The best correlation of `crop` with windows of `whole`, (n, SIDE, SIDE) each."""
    target = _normalise(_shrink(crop, FINE))
    large = whole.astype(np.float32)
    best = np.full(len(whole), -1.0, np.float32)
    for across in _WINDOWS:
        # First the columns, then for each of these all rows.
        columns = large @ across.T
        for down in _WINDOWS:
            seen = _normalise(np.matmul(down, columns))
            np.maximum(best, np.einsum("ij,ij->i", seen, target), out=best)
    return best


def _make_window(start: float, stop: float, size: int) -> np.ndarray:
    """(size, SIDE): the mean of what of a line of SIDE pixels lies in each part of a window."""
    edges = np.linspace(start * SIDE, stop * SIDE, size + 1)
    low = np.maximum(edges[:-1, None], np.arange(SIDE))
    high = np.minimum(edges[1:, None], np.arange(1, SIDE + 1))
    held = (high - low).clip(0)
    return (held / held.sum(1, keepdims=True)).astype(np.float32)


def _list_windows() -> list[np.ndarray]:
    """Of each share of a line one at its start, its middle and its end."""
    places = {
        (round((1 - share) * at, 4), round((1 - share) * at + share, 4))
        for share in SHARES
        for at in (0.0, 0.5, 1.0)
    }
    return [_make_window(start, stop, FINE) for start, stop in sorted(places)]


_WINDOWS = _list_windows()


def _shrink(prints: np.ndarray, size: int) -> np.ndarray:
    """(n, size, size) float32."""
    window = _make_window(0.0, 1.0, size)
    parts = [
        window @ prints[rows].astype(np.float32) @ window.T
        for rows in iterate_blocks(len(prints), BLOCK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, size, size), np.float32)


def _measure_spreads(prints: np.ndarray) -> np.ndarray:
    """(n,) how much each varies, in greys."""
    spreads = np.zeros(len(prints))
    for rows in iterate_blocks(len(prints), BLOCK):
        spreads[rows] = prints[rows].std((1, 2))
    return spreads


def _normalise(images: np.ndarray) -> np.ndarray:
    """(n, numbers): without their mean, of length one, so that a product is a correlation."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(1e-6, np.linalg.norm(flat, axis=1, keepdims=True))


class _Groups:
    """Which belong together, joined pair by pair."""

    def __init__(self, count: int):
        self.parent = list(range(count))

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        self.parent[self.find(j)] = self.find(i)

    def list_all(self) -> list[list[int]]:
        """Those of two or more, in the order of their first."""
        members: dict[int, list[int]] = {}
        for i in range(len(self.parent)):
            members.setdefault(self.find(i), []).append(i)
        return sorted(group for group in members.values() if len(group) > 1)
