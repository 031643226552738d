"""Coloured pictures to learn from: framed for a network, and kept.

They stay as they are stored (files, or what a data set holds) until they are framed: upright, flattened on white, the
whole of them brought to a square. It is one function, for training, scoring and serving alike.
"""
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from training.device import cores
from training.examples import Examples, Kind
from training.pictures import PictureError, flatten, load_picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TINY = 32        # side of the thumbnail that tells a picture's content
SHOWN = 224      # of a picture in a report
MARGIN = 1.15    # training pictures are kept so much larger than the network sees, so that crops stay sharp


def framed(picture: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8: the whole picture, pressed into a square, as ViT's own processor does.

    The square in its middle alone costs more: of Food-101's pictures cut to 4:3 a small ResNet named 46.0% so and 50.0%
    pressed, of those cut to 16:9 31.3% and 41.1% (n 1,003, held out of train).
    """
    return np.asarray(flatten(picture).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


class Pictures(Examples):
    """Examples that are read as PIL pictures."""

    def pixels(self, indices: np.ndarray, size: int, beat: Callable[[], Any] = int) -> np.ndarray:
        """(n, 3, size, size) uint8. Decoding lets Python's lock go, so threads help."""
        out = np.empty((len(indices), 3, size, size), np.uint8)

        def fill(row: int) -> None:
            out[row] = framed(self.one(indices[row]), size).transpose(2, 0, 1)

        with ThreadPoolExecutor(cores()) as pool:
            for i, _ in enumerate(pool.map(fill, range(len(indices)), chunksize=64)):
                if i % 256 == 0:
                    beat()
        return out

    @property
    def natural(self) -> int:
        """The usual short side of the pictures, in pixels."""
        some = np.linspace(0, len(self) - 1, min(50, len(self))).astype(int)
        return int(np.median([min(self.one(i).size) for i in some]))


KIND = Kind("pictures", Pictures, PICTURES, "Image", lambda source, _: load_picture(source),
            lambda picture: framed(picture, TINY).tobytes(), PictureError)


def thumbnail(picture: Image.Image, stem: Path) -> str:
    """Writes a small one for a report; its name."""
    picture = picture.convert("RGB")
    picture.thumbnail((SHOWN, SHOWN))
    picture.save(stem.with_suffix(".jpg"), quality=88)
    return stem.name + ".jpg"


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
