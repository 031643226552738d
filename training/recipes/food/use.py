"""How a checkpoint of the food recipe is used without this project."""

from pathlib import Path

from training.media.picture_preprocessor import PicturePreprocessor
from training.publish import scripts
from training.publish.records import Usage
from training.runs import checkpoint

AUTO = "AutoModelForImageClassification"


def describe_use(path: Path) -> Usage:
    """Of a checkpoint's folder. Raises CheckpointError."""
    seen = PicturePreprocessor.from_checkpoint(path)
    is_timm = checkpoint.config(path).get("model_type") == "timm_wrapper"
    needs = ("torch", "torchvision", "transformers", "pillow", *["timm"] * is_timm)
    script = scripts.write_script(
        "What is in a picture: python use.py photo.jpg",
        needs,
        ["It names the nearest of its classes, also of a picture of something else."],
        scripts.list_picture_imports(seen, AUTO),
        [
            "folder = Path(__file__).parent",
            f"model = {AUTO}.from_pretrained(folder, dtype=torch.float32).eval()",
            *scripts.write_picture_lines(seen),
            "with torch.inference_mode():",
            "    scores = model(pixel_values=x).logits.softmax(1).mean(0)",
            *scripts.TELL_FIVE,
        ],
    )
    return Usage(script, "image-classification", needs)
