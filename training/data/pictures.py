"""Coloured pictures to learn from: read, framed for a network, and kept.

They stay as they are stored (files, or what a data set holds) until they are framed, by
`PicturePreprocessor.frame`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from training.data.examples import Examples, Kind
from training.device import cores, device
from training.media.picture_preprocessor import PicturePreprocessor
from training.media.pictures import PictureError, is_picture, load_picture

TINY = 32  # side of the thumbnail that tells a picture's content
SHOWN = 224  # of a picture in a report
# training pictures are kept so much larger than the network sees, so that crops stay sharp
MARGIN = 1.15


Pictures: TypeAlias = Examples[Image.Image]
# uint8: (n, 3, size, size), or for pictures in their own shape n of (3, h, w).
Pixels: TypeAlias = np.ndarray | list[np.ndarray]


def read_pixels(
    pictures: Pictures,
    indices: np.ndarray,
    preprocessor: PicturePreprocessor,
    beat: Callable[[], object] = int,
    aspects: np.ndarray | None = None,
) -> Pixels:
    """These pictures. Width over height of each is written into `aspects`, (N,). Decoding lets
    Python's lock go, so threads help."""
    count = len(indices)
    size = preprocessor.size
    if preprocessor.longest:
        out = [np.empty(0, np.uint8)] * count
    else:
        out = np.empty((count, 3, size, size), np.uint8)

    def fill(row: int) -> None:
        picture = pictures.read_one(indices[row])
        out[row] = preprocessor.frame(picture).transpose(2, 0, 1)
        if aspects is not None:
            aspects[indices[row]] = picture.width / picture.height

    with ThreadPoolExecutor(cores()) as pool:
        for i, _ in enumerate(pool.map(fill, range(count), chunksize=64)):
            if i % 256 == 0:
                beat()
    return out


def measure_usual_side(pictures: Pictures) -> int:
    """The usual short side of the pictures, in pixels."""
    some = np.linspace(0, len(pictures) - 1, min(50, len(pictures))).astype(int)
    return int(np.median([min(pictures.read_one(i).size) for i in some]))


KIND = Kind(
    "pictures",
    is_picture,
    "Image",
    lambda source, _: load_picture(source),
    lambda picture: PicturePreprocessor(TINY).frame(picture).tobytes(),
    PictureError,
)


def write_thumbnail(picture: Image.Image, stem: Path) -> str:
    """Writes a small one for a report; its name."""
    picture = picture.convert("RGB")
    picture.thumbnail((SHOWN, SHOWN))
    picture.save(stem.with_suffix(".jpg"), quality=88)
    return stem.name + ".jpg"


class Store:
    """Pictures as uint8, (N, 3, size, size) or each in its own shape: in memory where they fit into
    a third of it, else decoded when asked."""

    def __init__(
        self,
        pictures: Pictures,
        preprocessor: PicturePreprocessor,
        beat: Callable[[], object] = int,
    ):
        self.pictures = pictures
        self.preprocessor = preprocessor
        self.packed: Pixels | None = None
        # Width over height, once a picture was read.
        self.aspects = np.ones(len(pictures), np.float32)
        largest = preprocessor.size * max(preprocessor.size, preprocessor.longest)
        if 3 * largest * len(pictures) * 3 < psutil.virtual_memory().available:
            self.packed = read_pixels(
                pictures, np.arange(len(pictures)), preprocessor, beat, self.aspects
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, indices: np.ndarray) -> Pixels:
        if self.packed is None:
            return read_pixels(self.pictures, indices, self.preprocessor, aspects=self.aspects)
        if isinstance(self.packed, list):
            return [self.packed[i] for i in indices]
        return self.packed[indices]

    def batch(self, indices: Tensor) -> Tensor:
        """(n, 3, size, size) uint8, of pictures pressed into squares, where a GPU can fetch them
        itself: from other memory a copy waits until it has done all that it was asked for."""
        pixels = torch.from_numpy(np.asarray(self[indices.numpy()]))
        return pixels.pin_memory() if device() == "cuda" else pixels
