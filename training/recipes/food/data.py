"""The data of the food recipe: coloured pictures and their classes, from the Hub, from the sample
or from a folder.

See training/media/picture_preprocessor.py for how they are framed.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from training.data.examples import Data, of_folder, of_hub, parted
from training.data.pictures import KIND, Pictures
from training.data.splits import bucket

SAMPLE = "480 dishes drawn by this project's code"


def load(dataset: str, source: str, folder: str = "") -> Data:
    """Everything but the test part is train; `holdout` parts it again. Raises SettingsError."""
    if source == "folder":
        return of_folder(Path(folder), KIND)
    return of_hub(dataset, KIND) if source == "hub" else _sample()


def _sample() -> Data:
    from training.samples.dishes import CLASSES, dishes

    images, labels = dishes()
    keys = np.array([bucket(image.tobytes()) for image in images])
    pictures = Pictures(lambda i: Image.fromarray(images[i]), np.arange(len(labels)), labels, keys)
    return parted(pictures, CLASSES, KIND, SAMPLE, "drawn, seed 0", [])
