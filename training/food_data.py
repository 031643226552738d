"""The data of the food recipe: coloured pictures and their classes, from the Hub, from the sample or from a folder.

Pictures stay as they are stored (files, or what a data set holds) until they are framed: upright, flattened on white,
the largest square in the middle, brought to the side that is asked for. It is one function, for training, scoring and
serving alike.
"""
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from training.data import bucket, class_folders, split, usable
from training.device import cores
from training.pictures import PictureError, flatten, load_picture
from training.recipe import SettingsError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LEAST = 5                                    # pictures of a class in a person's own folder
TESTS = ("test", "validation", "valid", "val")
TINY = 32                                    # side of the thumbnail that tells a file's content
SAMPLE = "480 dishes drawn by this project's code"


def framed(picture: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8: the largest square in the middle of the picture."""
    picture = flatten(picture)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0))


@dataclass
class Pictures:
    read: Callable[[int], Image.Image]       # by place; places are those of the whole data set
    places: np.ndarray                       # (N,) int64
    labels: np.ndarray                       # (N,) int64
    keys: np.ndarray                         # (N,) float64 in [0, 1): a hash of the content

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray) -> "Pictures":
        return Pictures(self.read, self.places[index], self.labels[index], self.keys[index])

    def picture(self, index: int) -> Image.Image:
        return self.read(int(self.places[index]))

    def pixels(self, indices: np.ndarray, size: int, beat: Callable[[], Any] = int) -> np.ndarray:
        """(n, 3, size, size) uint8. Decoding lets Python's lock go, so threads help."""
        out = np.empty((len(indices), 3, size, size), np.uint8)

        def fill(row: int) -> None:
            out[row] = framed(self.picture(indices[row]), size).transpose(2, 0, 1)

        with ThreadPoolExecutor(cores()) as pool:
            for i, _ in enumerate(pool.map(fill, range(len(indices)), chunksize=64)):
                if i % 256 == 0:
                    beat()
        return out

    @property
    def natural(self) -> int:
        """The usual short side of the pictures, in pixels."""
        some = np.linspace(0, len(self) - 1, min(50, len(self))).astype(int)
        return int(np.median([min(self.picture(i).size) for i in some]))


class Store:
    """Pictures as (N, 3, size, size) uint8: in memory where they fit into a third of it, else decoded when asked."""

    def __init__(self, pictures: Pictures, size: int, beat: Callable[[], Any] = int):
        self.pictures, self.size, self.packed = pictures, size, None
        if 3 * size * size * len(pictures) * 3 < psutil.virtual_memory().available:
            self.packed = pictures.pixels(np.arange(len(pictures)), size, beat)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        return self.packed[indices] if self.packed is not None else self.pictures.pixels(indices, self.size)


@dataclass
class Data:
    train: Pictures
    test: Pictures
    classes: list[str]
    name: str                                # "Food-101", in a few words
    about: str                               # what the test pictures are
    revision: str
    problems: list[str] = field(default_factory=list)


def load(dataset: str, source: str, folder: str = "") -> Data:
    """Everything but the test part is train; `holdout` parts it again. Raises SettingsError."""
    if source == "folder":
        return _folder(Path(folder))
    return _hub(dataset) if source == "hub" else _sample()


def holdout(pictures: Pictures, share: float) -> tuple[Pictures, Pictures]:
    """Train and validation: the same pictures in every run, by their content."""
    if not share:
        return pictures, pictures[np.zeros(0, int)]
    chosen = split((pictures.keys * 1009) % 1, pictures.labels, 0, share, at_least_one=True)  # not the test's order
    return pictures[~chosen], pictures[chosen]


def _parted(pictures: Pictures, classes: list[str], name: str, revision: str, problems: list[str]) -> Data:
    test = split(pictures.keys, pictures.labels, 0, 0.2, at_least_one=True)
    return Data(pictures[~test], pictures[test], classes, name, f"{test.sum():,} held-out pictures of {name}",
                revision, problems)


def _sample() -> Data:
    from training.samples.dishes import CLASSES, dishes
    images, labels = dishes()
    keys = np.array([bucket(image.tobytes()) for image in images])
    pictures = Pictures(lambda i: Image.fromarray(images[i]), np.arange(len(labels)), labels, keys)
    return _parted(pictures, CLASSES, SAMPLE, "drawn, seed 0", [])


# -- the Hub ---------------------------------------------------------------------------------------------
def _hub(dataset: str) -> Data:
    from training import hub
    parts = hub.splits(dataset)
    if "train" not in parts:
        raise SettingsError(f"{dataset} has no split named train, only {', '.join(parts)}: it cannot be trained on.")
    train, classes, revision = _rows(dataset, "train")
    held = next((name for name in TESTS if name in parts), None)
    if held:
        test, _, _ = _rows(dataset, held)
        if len(test) and (test.labels >= 0).all():  # some data sets keep the answers of their test part to themselves
            return Data(train, test, classes, dataset, f"the {len(test):,} {held} pictures of {dataset}", revision)
    return _parted(train, classes, dataset, revision, [])


def _rows(dataset: str, part: str) -> tuple[Pictures, list[str], str]:
    import datasets

    from training import hub
    rows, revision = hub.dataset(dataset, part)
    image = next((n for n, f in rows.features.items() if isinstance(f, datasets.Image)), None)
    label = next((n for n, f in rows.features.items() if isinstance(f, datasets.ClassLabel)), None)
    if image is None or label is None:
        raise SettingsError(f"{dataset} holds no pictures with named classes; its columns are "
                            f"{', '.join(rows.column_names)}.")
    encoded = rows.with_format("arrow")[:].column(image).combine_chunks().field("bytes")
    labels = np.asarray(rows.with_format("numpy")[label], dtype=np.int64)
    keys = np.array([bucket(encoded[i].as_buffer()) for i in range(len(encoded))])
    return (Pictures(lambda i: load_picture(encoded[i].as_py()), np.arange(len(labels)), labels, keys),
            list(rows.features[label].names), revision)


# -- a folder of one's own -------------------------------------------------------------------------------
def _folder(folder: Path) -> Data:
    found = class_folders(folder, PICTURES, LEAST)
    good, keys, seen = [], [], {}
    with ThreadPoolExecutor(cores()) as pool:
        contents = list(pool.map(_content, found.files))
    for i, (path, content) in enumerate(zip(found.files, contents, strict=True)):
        name = path.relative_to(folder)
        if isinstance(content, str):
            found.problems.append(f"{name}: {content}")
        elif content in seen:
            found.problems.append(f"{name}: shows what {seen[content]} shows; left out")
        else:
            seen[content] = name
            good.append(i)
            keys.append(bucket(content))
    classes, chosen, labels = usable(folder, found, np.array(found.labels, dtype=np.int64)[good], LEAST)
    pictures = Pictures(lambda i: load_picture(found.files[i]), np.array(good)[chosen], labels, np.array(keys)[chosen])
    # The content is the revision: a folder has no other, and changes without a word.
    revision = f"content {hashlib.blake2b(pictures.keys.tobytes(), digest_size=6).hexdigest()}"
    return _parted(pictures, classes, f"the folder {folder.name}", revision, found.problems)


def _content(path: Path) -> bytes | str:
    """What a file shows, small, so that the same picture saved twice is known; or why it cannot be read."""
    try:
        return framed(load_picture(path), TINY).tobytes()
    except PictureError as error:
        return str(error)
