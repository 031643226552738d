"""The lines of `use.py` that recipes share.

The script is written for one checkpoint, with its size, its means and what else it needs in
figures, so that a person who opens it sees all that is done to a picture or a sound.
"""

from training.media.picture_preprocessor import PicturePreprocessor

LONGEST = 1024  # pixels of a picture's long side, as load_picture has it


def write_script(
    about: str, needs: tuple[str, ...], notes: list[str], imports: list[str], body: list[str]
) -> str:
    """use.py of its parts. `about`: what it does, with the example of a command; `notes`: what a
    person should know, in sentences."""
    said = [about, "", f"Needs: pip install {' '.join(needs)}", *notes]
    lines = ['"""' + said[0], *said[1:], '"""', "", *imports, "", *body]
    return "\n".join([*lines, ""])


def write_picture_lines(seen: PicturePreprocessor) -> list[str]:
    """From a file's name to `x`, (1, 3, h, w), as this project prepares a picture."""
    lines = [
        "picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert('RGBA')",
        f"picture.thumbnail(({LONGEST}, {LONGEST}), Image.Resampling.LANCZOS, reducing_gap=3.0)",
        "white = Image.new('RGBA', picture.size, 'white')",
        "picture = Image.alpha_composite(white, picture).convert('RGB')",
        *_write_framing(seen),
        "x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255",
        f"mean, std = torch.tensor([{_list(seen.mean)}, {_list(seen.std)}]).view(2, 3, 1, 1)",
        "x = (x - mean) / std",
    ]
    if seen.mirrored:
        lines.append("x = torch.cat([x, x.flip(3)])  # and its mirror image: the mean counts")
    return [line.replace("'", '"') for line in lines]


def _write_framing(seen: PicturePreprocessor) -> list[str]:
    resize = "picture = picture.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=3.0)"
    if seen.crop:
        short = int(seen.size / seen.crop)
        return [
            f"scale = {short} / min(picture.size)",
            f"wide, high = (max({short}, int(side * scale)) for side in picture.size)",
            resize,
            f"left, upper = round((wide - {seen.size}) / 2), round((high - {seen.size}) / 2)",
            f"picture = picture.crop((left, upper, left + {seen.size}, upper + {seen.size}))",
        ]
    if seen.longest:
        return [
            "size = (picture.height, picture.width)  # it keeps its shape",
            f"high, wide = get_size_with_aspect_ratio(size, {seen.size}, {seen.longest})",
            resize,
        ]
    return [f"wide, high = {seen.size}, {seen.size}  # pressed into a square", resize]


def _list(numbers: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"


def list_picture_imports(seen: PicturePreprocessor, classes: str) -> list[str]:
    """The imports that `write_picture_lines` needs, and those of these classes of transformers."""
    lines = [
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import torch",
        "from PIL import Image, ImageOps",
        f"from transformers import {classes}",
    ]
    if seen.longest and not seen.crop:
        lines.append("from transformers.image_transforms import get_size_with_aspect_ratio")
    return lines


# How a classifier's script ends, when `scores`, (labels,), are there.
TELL_FIVE = [
    "for share, i in zip(*scores.topk(min(5, len(scores)))):",
    '    print(f"{share:.4f}\\t{model.config.id2label[int(i)]}")',
]
