"""How a checkpoint of the digits recipe is used without this project: its network and the framing
of a picture are this project's own, and go with it."""

from pathlib import Path

from training.publish import scripts
from training.publish.records import Usage

NEEDS = ("torch", "transformers", "pillow", "pillow-heif", "scipy")
MODULES = (
    "training.media.pictures",
    "training.recipes.digits.model",
    "training.recipes.digits.picture",
)


def describe_use(path: Path) -> Usage:
    """Of a checkpoint's folder."""
    script = scripts.write_script(
        "What is drawn in a picture: python use.py drawing.png",
        NEEDS,
        ["The folder training, beside this, holds the network and what brings a picture to 28x28."],
        [
            "import sys",
            "from pathlib import Path",
            "",
            "import torch",
            "from training.media.pictures import load_picture",
            "from training.recipes.digits.model import DigitsNet",
            "from training.recipes.digits.picture import to_28x28",
        ],
        [
            "model = DigitsNet.from_pretrained(Path(__file__).parent, dtype=torch.float32).eval()",
            "pixels = to_28x28(load_picture(sys.argv[1]), model.config.framing)",
            "x = torch.from_numpy(pixels.copy())[None, None].float() / 255",
            "with torch.inference_mode():",
            "    scores = model(pixel_values=x).logits.softmax(1)[0]",
            *scripts.TELL_FIVE,
        ],
    )
    return Usage(script, "image-classification", NEEDS, MODULES)
