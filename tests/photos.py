"""Pictures as people bring them, for every tab that takes one: odd ones that are to be answered,
and broken ones."""

import io

import numpy as np
from PIL import Image


def photo(width: int = 90, height: int = 60, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str, **how) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(), "JPEG", exif=exif.tobytes())


GOOD = {
    "turned.jpg": turned,
    "cmyk.jpg": lambda: encoded(photo().convert("CMYK"), "JPEG"),
    "alpha.png": lambda: encoded(photo().convert("RGBA"), "PNG"),
    "deep.png": lambda: encoded(
        Image.fromarray(np.arange(3600, dtype=np.uint16).reshape(60, 60) * 18), "PNG"
    ),
    "moving.gif": lambda: encoded(photo(), "GIF", save_all=True, append_images=[photo(seed=1)]),
    "huge.jpg": lambda: encoded(photo(8200, 6100), "JPEG"),
    "dot.png": lambda: encoded(photo(1, 1), "PNG"),
    "grey.png": lambda: encoded(photo().convert("L"), "PNG"),
}
BAD = {
    "text.jpg": b"this is no picture",
    "cut.png": encoded(photo(400, 300), "PNG")[:900],
    "empty.png": b"",
}
