"""The data of the food recipe: coloured pictures and their classes, from the Hub, from the sample or from a folder.

See training/picture_store.py for how they are framed.
"""
from pathlib import Path

import numpy as np
from PIL import Image

from training.data import bucket
from training.examples import Data, Kind, of_folder, of_hub, parted
from training.picture_store import PICTURES, Pictures, framed
from training.pictures import PictureError, load_picture

TINY = 32                                    # side of the thumbnail that tells a picture's content
SAMPLE = "480 dishes drawn by this project's code"


KIND = Kind("pictures", Pictures, PICTURES, "Image", lambda source, _: load_picture(source),
            lambda picture: framed(picture, TINY).tobytes(), PictureError)


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
