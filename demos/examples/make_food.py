"""Draw the example inputs of the Food tab into demos/examples/food/.

    python -m demos.examples.make_food

Nothing is downloaded and nothing is random: running it again writes the same pictures. They are
drawings, enlarged; no photo of another's is kept here.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from training.samples.dishes import CLASSES, Table

HERE = Path(__file__).parent / "food"
# Places in the sample's 480 drawings. The embedded network, which learned from photos alone, names
# a third of them; of these dishes it is surest, so that a first click shows what an answer looks
# like.
CHOSEN = {
    "hot_dog": 107,
    "macarons": 229,
    "sushi": 31,
    "hamburger": 234,
    "donuts": 72,
    "french_fries": 457,
}


def main() -> None:
    """Writes a file for each dish."""
    HERE.mkdir(parents=True, exist_ok=True)
    for name, place in CHOSEN.items():
        picture = Table(np.random.default_rng([0, place]), CLASSES.index(name)).render()
        Image.fromarray(picture).resize((256, 256), Image.Resampling.LANCZOS).save(
            HERE / f"{name}.png", optimize=True
        )


if __name__ == "__main__":
    main()
