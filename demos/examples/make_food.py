"""Draw the example inputs of the Food tab into demos/examples/food/.

    python -m demos.examples.make_food

Nothing is downloaded and nothing is random: running it again writes the same pictures. They are drawings, enlarged;
no photo of another's is kept here.
"""
from pathlib import Path

import numpy as np
from PIL import Image

from training.samples.dishes import CLASSES, Table

HERE = Path(__file__).parent / "food"
CHOSEN = {"pizza": 6, "donuts": 2, "hamburger": 6, "sushi": 12, "ice_cream": 5, "french_fries": 5}


def main() -> None:
    """Writes a file for each dish."""
    HERE.mkdir(parents=True, exist_ok=True)
    for name, seed in CHOSEN.items():
        drawn = Table(np.random.default_rng([1, seed]), CLASSES.index(name)).lit()
        Image.fromarray(drawn).resize((256, 256), Image.Resampling.LANCZOS).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
