"""The data of the digits recipe: 28x28 greys, light on dark, from the Hub, from samples or from a
folder."""

import dataclasses
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from training.data.examples import (
    Data,
    Examples,
    Kind,
    load_from_folder,
    split_off_test,
)
from training.data.hub_examples import load_from_hub
from training.data.own.load import load_own
from training.data.splits import bucket
from training.media.pictures import PictureError, is_picture, load_picture

if TYPE_CHECKING:  # it imports scipy, which only own pictures and the sample need
    from training.recipes.digits.picture import Framing

CLASSES = {
    "mnist": [str(i) for i in range(10)],
    "fashion_mnist": [
        "T - shirt / top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
}
HUB = {"mnist": "ylecun/mnist", "fashion_mnist": "zalando-datasets/fashion_mnist"}
SAMPLE = {
    "mnist": "scikit-learn's 1,797 handwritten digits, enlarged from 8x8",
    "fashion_mnist": "2,000 garments drawn by this project's code",
}

# Examples that are read as (28, 28) uint8, light on dark.
Pictures: TypeAlias = Examples[np.ndarray]


def load(
    dataset: str, source: str, folder: str = "", framing: "Framing" = "digit"
) -> Data[np.ndarray]:
    """Everything but the test part is train; `hold_out` parts it again. `framing`: of a
    person's own pictures. Raises SettingsError."""
    if source == "own":
        return load_own(Path(folder), _make_kind(framing), "shows")
    if source == "folder":
        return load_from_folder(Path(folder), _make_kind(framing), "shows")
    if source == "hub":
        found = load_from_hub(HUB[dataset], HUB_KIND)
        return dataclasses.replace(found, classes=CLASSES[dataset])
    return _load_sample(dataset)


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=4)(load)


def stack_images(pictures: Pictures) -> np.ndarray:
    """(N, 28, 28) uint8."""
    if not len(pictures):
        return np.zeros((0, 28, 28), np.uint8)
    return np.stack([pictures.read_one(i) for i in range(len(pictures))])


def hash_for_holdout(images: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1): what is held out of these (N, 28, 28) goes by it. Another hash than the test
    split's, which has used up the low end of the first."""
    return np.array([bucket(b"holdout" + image.tobytes()) for image in images])


def make_pictures(images: np.ndarray, labels: np.ndarray) -> Pictures:
    """Of (N, 28, 28) uint8 and (N,) labels."""
    keys = np.array([bucket(image.tobytes()) for image in images])
    return Pictures(lambda i: images[i], np.arange(len(labels)), labels.astype(np.int64), keys)


# -- the sample ------------------------------------------------------------------------------------
def _load_sample(dataset: str) -> Data[np.ndarray]:
    if dataset == "mnist":
        from sklearn.datasets import load_digits

        raw = load_digits()
        assert not isinstance(raw, tuple)  # as it is with return_X_y
        pictures = make_pictures(np.stack([_frame_digit(x) for x in raw.images]), raw.target)
        revision = "scikit-learn load_digits"
    else:
        from training.samples.garments import garments

        pictures = make_pictures(*garments())
        revision = "drawn, seed 0"
    name = SAMPLE[dataset]
    drawn = dataset != "mnist"
    return split_off_test(pictures, CLASSES[dataset], "pictures", name, revision, [], drawn)


def _frame_digit(grey: np.ndarray) -> np.ndarray:
    """8x8 greys of 0 to 16, which are ink already, to MNIST's framing."""
    from training.recipes.digits.picture import frame_digit

    large = Image.fromarray((grey / 16).astype(np.float32))
    large = large.resize((40, 40), Image.Resampling.BICUBIC)
    return frame_digit(np.asarray(large).clip(0, 1))


# -- the Hub and folders ---------------------------------------------------------------------------
def _decode_grey(source: bytes | Path, name: str) -> np.ndarray:
    """A picture of MNIST or Fashion-MNIST, which is framed already."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return np.asarray(Image.open(file).convert("L"))


HUB_KIND = Kind("pictures", is_picture, "Image", _decode_grey, np.ndarray.tobytes, PictureError)


def _make_kind(framing: "Framing") -> Kind[np.ndarray]:
    """A person's own pictures, whatever they are, framed as the network expects it. A folder is
    read once: what was framed is small, and is kept."""

    @functools.cache
    def frame(source: bytes | Path, name: str) -> np.ndarray:
        from training.recipes.digits.picture import to_28x28

        return to_28x28(load_picture(source), framing)

    return Kind("pictures", is_picture, "Image", frame, np.ndarray.tobytes, PictureError)
