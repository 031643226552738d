"""The data of the food recipe: coloured pictures and their classes, from the Hub, from the sample
or from a folder.

See training/media/picture_preprocessor.py for how they are framed.
"""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.examples import Data, load_from_folder, load_from_hub, split_off_test
from training.data.own.load import load_own
from training.data.pictures import KIND, Pictures
from training.data.splits import bucket

SAMPLE = "480 dishes drawn by this project's code"


def load(dataset: str, source: str, folder: str = "") -> Data[Image.Image]:
    """Everything but the test part is train; `hold_out` parts it again. Raises SettingsError."""
    if source == "own":
        return load_own(Path(folder), KIND)
    if source == "folder":
        return load_from_folder(Path(folder), KIND)
    return load_from_hub(dataset, KIND) if source == "hub" else _draw_sample()


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=2)(load)


def _draw_sample() -> Data[Image.Image]:
    from training.samples.dishes import CLASSES, dishes

    images, labels = dishes()
    keys = np.array([bucket(image.tobytes()) for image in images])
    pictures = Pictures(lambda i: Image.fromarray(images[i]), np.arange(len(labels)), labels, keys)
    return split_off_test(pictures, CLASSES, KIND.name, SAMPLE, "drawn, seed 0", [], True)
