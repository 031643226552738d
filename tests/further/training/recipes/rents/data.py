"""Flats and their rents. They are drawn, so that nothing need be fetched: no city's real ones."""

import numpy as np

from training.data.examples import Data, Examples, split_off_test
from training.data.splits import bucket

COUNT = 1200


def draw_flats(seed: int = 0) -> Data[np.ndarray]:
    """A flat is a row of five numbers: size in m², rooms, floor, age in years, and the rent in
    euros a month, which is to be predicted from the other four."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(20, 140, COUNT).round()
    rooms = (size / 28 + rng.normal(0, 0.6, COUNT)).round().clip(1, 6)
    floor = rng.integers(0, 9, COUNT)
    age = rng.integers(0, 121, COUNT)
    rent = 180 + 8 * size + 35 * rooms + 7 * floor - 7 * age + 0.055 * age**2
    rent = (rent * rng.normal(1, 0.07, COUNT)).round()
    rows = np.stack([size, rooms, floor, age, rent], 1).astype(np.float32)
    # The same flats are test flats in every run: which ones hangs on their content alone.
    keys = np.array([bucket(row.tobytes()) for row in rows])
    flats = Examples(lambda place: rows[place], np.arange(COUNT), None, keys)
    return split_off_test(flats, [], "flats", f"{COUNT:,} drawn flats", f"seed {seed}", [])


def stack(flats: Examples[np.ndarray]) -> np.ndarray:
    """(N, 5) float32."""
    return np.array([flats.read_one(i) for i in range(len(flats))], np.float32).reshape(-1, 5)
