"""The data of the food recipe: coloured pictures and their classes, from the Hub, from the sample
or from a folder.

See training/media/picture_preprocessor.py for how they are framed.
"""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.examples import Data, load_from_folder, split_off_test
from training.data.hub_examples import load_from_hub
from training.data.hub_rows import NOTHING_CHOSEN, Choice, make_choice
from training.data.own.load import load_own
from training.data.pictures import KIND, Pictures
from training.data.splits import bucket
from training.recipes.food.config import Config
from training.runs.run import Run

SAMPLE = "480 dishes drawn by this project's code"


def load(
    dataset: str, source: str, folder: str = "", subset: str = "", choice: Choice = NOTHING_CHOSEN
) -> Data[Image.Image]:
    """Everything but the test part is train; `hold_out` parts it again. `subset`, `choice`: of a
    data set of the Hub. Raises SettingsError, Stopped."""
    if source == "own":
        return load_own(Path(folder), KIND)
    if source == "folder":
        return load_from_folder(Path(folder), KIND)
    if source == "hub":
        return load_from_hub(dataset, KIND, subset or None, choice)
    return _draw_sample()


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=2)(load)


def load_for(config: Config, run: Run | None = None) -> Data[Image.Image]:
    """What a config names; `run` is told how far that is. Raises SettingsError, Stopped."""
    choice = make_choice(config, run)
    return load_once(config.dataset, config.source, config.folder, config.subset, choice)


def _draw_sample() -> Data[Image.Image]:
    from training.samples.dishes import CLASSES, dishes

    images, labels = dishes()
    keys = np.array([bucket(image.tobytes()) for image in images])
    pictures = Pictures(lambda i: Image.fromarray(images[i]), np.arange(len(labels)), labels, keys)
    return split_off_test(pictures, CLASSES, KIND.name, SAMPLE, "drawn, seed 0", [], True)
