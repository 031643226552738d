"""The one loader for a person's picture: every image tab and every own-folder training go through
it.

    from training.media.pictures import flatten, load_picture

    picture = flatten(load_picture("holiday.jpg"))

Phones, scanners and drawing programs write pictures that a plain Image.open shows rotated, clipped
to white or with a black background. What comes out here is upright, 8 bits, RGB (or RGBA where
something really is transparent) and no larger than asked for. What it does not do: colour profiles
are ignored.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from math import ceil, floor, isqrt
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from training.media.picture_memory import ROOM, prepare
from training.media.uploads import LOOK, PICTURE, first_bytes, name_kind, quoted_name

MAX_PIXELS = 200_000_000
PART = 2_000_000  # pixels of a larger picture that are converted at a time
WHITE = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of 8, 10, 12, 14 and 16 bits
# Process-wide: Pillow's own check of sizes is off. Gradio opens an upload before we see it, and
# Pillow would answer there, with a warning from 89 megapixels on and an error from 179, not with
# our sentence. It asks nobody but this module variable, and filters of warnings are process-wide
# too. What it takes away: pictures that are opened elsewhere than here have no limit, so a file of
# a person's goes through load_picture, which checks the size before it decodes anything.
Image.MAX_IMAGE_PIXELS = None
# Pillow keeps pixels in blocks of 16 MB, which a C library's allocator holds back for each thread
# that decoded: after eight large pictures 1.4 GB. Blocks beyond 32 MB go back to the system.
Image.core.set_block_size(64 << 20)
# Named, because Pillow would otherwise try formats that start other programs (EPS) or hide a
# second, unchecked picture inside (ICO).
pillow_heif.register_heif_opener()
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF", "PPM", "JPEG2000")
# Of files that are meant to be pictures, whatever they hold.
ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".heif", ".bmp", ".gif",
    ".tif", ".tiff", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm",
)  # fmt: skip
NAMED = {  # the usual ending of each format
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tiff",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "PPM": ".ppm",
    "JPEG2000": ".jp2",
}
UNREAD = (  # kinds that are pictures all the same
    "a camera's raw photo",
    "a JPEG XL picture",
    "a Photoshop file",
    "a GIMP file",
    "an icon file",
    "a PostScript drawing",
    "a medical picture (DICOM)",
)
CHOOSE = "Choose a JPEG, PNG, HEIC, WebP, AVIF, GIF, BMP or TIFF file."
Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom
FloatBox: TypeAlias = tuple[float, float, float, float]


class PictureError(ValueError):
    """A picture that cannot be used. The text is a sentence for the person: what was wrong, what to
    do."""


def load_picture(source: str | Path | bytes, longest: int = 1024) -> Image.Image:
    """Read a picture file, or what one holds, upright, with its long side at most `longest` pixels.

    Returns mode "RGB", or "RGBA" where some pixel is transparent; of an animation, the first frame.
    Raises PictureError for anything that is not a whole picture of at most 200 megapixels.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), "The picture", longest)
    path = Path(source)
    name = quoted_name(path)
    first_bytes(path, "picture", "picture", PictureError)
    # Pillow (12.3) maps an uncompressed TIFF that it is given by name into memory, and scrambles it
    # if it is marked as turned. What it is given as an open file it reads right.
    with path.open("rb") as file:
        return _read(file, name, longest)


def is_picture(path: Path) -> bool:
    """Whether a file is meant to be a picture: by its name, or since a decoder takes its first
    bytes. What is wrong with one that cannot be read, load_picture says."""
    if path.suffix.lower() in ENDINGS:
        return True
    with contextlib.suppress(Exception):  # a damaged header can raise almost anything, by format
        with path.open("rb") as file, Image.open(file, formats=FORMATS):
            return True
    return False


def measure_picture(path: Path) -> tuple[int, int] | None:
    """Width and height as its heading has them; None of what no decoder opens."""
    with contextlib.suppress(Exception):  # a damaged header can raise almost anything, by format
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            return image.size
    return None


def name_ending(path: Path) -> str:
    """The ending of what a picture holds, where its own name has none of a picture's; else
    empty."""
    if path.suffix.lower() not in ENDINGS:
        with contextlib.suppress(Exception):  # as above
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                return NAMED.get(image.format or "", "")
    return ""


def _read(file: BinaryIO, name: str, longest: int) -> Image.Image:
    """The picture that a file holds; refusals call it `name`."""
    with _open(file, name) as image:
        width, height = image.size  # of the file: preparing asks for less
        pixels = width * height
        try:
            size = _within(image.size, longest)
            needed = prepare(image, size)
            most = min(MAX_PIXELS, pixels * ROOM.limit // max(1, needed))
            if pixels > most:
                raise PictureError(
                    f"{name} is too large: {width} × {height} pixels. The limit for a "
                    f"picture of its kind is {most / 1e6:.3g} megapixels; make it smaller and try "
                    "again."
                )
            with ROOM.hold(needed):
                return _decode(image, size)
        except PictureError:
            raise
        except Exception as error:  # a damaged file can raise almost anything, by format
            raise PictureError(
                f"{name} could not be read to its end: the file is damaged or incomplete. Open it "
                "in a picture program, save it again as PNG or JPEG, and try that file."
            ) from error


def _open(file: BinaryIO, name: str) -> Image.Image:
    """Opened and not decoded. Raises PictureError for what no decoder accepts."""
    try:
        return Image.open(file, formats=FORMATS)
    except Exception as error:  # a damaged header can raise almost anything, by format
        file.seek(0)
        head = file.read(LOOK)
        if head.startswith(b"\x89PNG"):
            with contextlib.suppress(Exception):
                return Image.open(_strip_png(file), formats=("PNG",))
        raise PictureError(_why_not(name, head)) from error


def _strip_png(file: BinaryIO) -> BinaryIO:
    """A PNG with nothing but what its pixels need. Pillow refuses one whose colour profile or notes
    are larger than it allows or damaged, and neither is looked at here."""
    file.seek(0)
    kept = [file.read(8)]
    while len(start := file.read(8)) == 8:
        chunk = start + file.read(int.from_bytes(start[:4], "big") + 4)
        if start[4:] in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"):
            kept.append(chunk)
    return io.BytesIO(b"".join(kept))


def flatten(
    picture: Image.Image, background: tuple[int, int, int] = (255, 255, 255)
) -> Image.Image:
    """The picture as RGB, with what is transparent laid over `background`."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    under = Image.new("RGBA", layer.size, (*background, 255))
    return Image.alpha_composite(under, layer).convert("RGB")


def _why_not(name: str, head: bytes) -> str:
    """The sentence for a file that no decoder accepts, by its first bytes."""
    group, kind = name_kind(head)
    if kind == "an SVG drawing":
        return f"{name} is {kind}, which has no pixels. Export it as PNG and try again."
    if kind in UNREAD:
        return f"{name} is {kind}, which cannot be read here. Save it as JPEG or PNG and try again."
    if group == PICTURE:
        return (
            f"{name} starts like {kind} but is damaged or incomplete. Copy it again, or save it "
            "as JPEG or PNG, and try that file."
        )
    if group:
        return f"{name} is {kind}, not a picture. {CHOOSE}"
    return f"{name} is not a picture that can be read here. {CHOOSE}"


def _decode(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Decode, bring to RGB or RGBA and to this size, turn upright."""
    image.load()
    picture = _shrink(image, size)
    if picture.mode != "RGBA" or picture.getchannel("A").getextrema()[0] == 255:
        picture = picture.convert("RGB")
    _turn_upright(picture)
    return picture


def _shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """8 bits a channel, at this size. A large picture is brought to 8 bits and resized a part at a
    time, since a second one of its size may not fit beside it."""
    scale = _grey_scale(image)
    if image.width * image.height <= PART:
        picture = _eight_bits(image, scale)
        if picture.size == size:
            return picture
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    shrunk = None
    for target, seen in _parts(image.size, size):
        # As far around as the filter reaches.
        across, down = (3 * old / new + 1 for old, new in zip(image.size, size, strict=True))
        left, top = max(0, floor(seen[0] - across)), max(0, floor(seen[1] - down))
        right, bottom = ceil(seen[2] + across), ceil(seen[3] + down)
        box = left, top, min(image.width, right), min(image.height, bottom)
        part = _eight_bits(image.crop(box), scale)
        # Colours under what is transparent do not count. (For RGBA, Pillow does so by itself, but
        # slowly.)
        part = part.convert("RGBa") if part.mode == "RGBA" else part
        part = part.resize(
            (target[2] - target[0], target[3] - target[1]),
            Image.Resampling.LANCZOS,
            box=(seen[0] - left, seen[1] - top, seen[2] - left, seen[3] - top),
            reducing_gap=3.0,
        )
        shrunk = shrunk or Image.new(part.mode, size)
        shrunk.paste(part, target)
    assert shrunk is not None  # there are no pictures without pixels
    shrunk.info.update(image.info)  # the camera's mark is in it
    return shrunk.convert("RGBA") if shrunk.mode == "RGBa" else shrunk


def _parts(old: tuple[int, int], new: tuple[int, int]) -> Iterator[tuple[Box, FloatBox]]:
    """Boxes that cover a picture of size `new`, and where they come from in its larger original, of
    size `old`: each from about PART pixels."""
    across, down = old[0] / new[0], old[1] / new[1]
    side = max(1, isqrt(int(PART / (across * down))) - 6)  # the filter reaches 3 to each side
    for top in range(0, new[1], side):
        for left in range(0, new[0], side):
            right, bottom = min(left + side, new[0]), min(top + side, new[1])
            seen = left * across, top * down, right * across, bottom * down
            yield (left, top, right, bottom), seen


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height with the long side at most `longest`, never below one pixel."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _turn_upright(picture: Image.Image) -> None:
    """Turn a picture in place as its camera's mark says; as stored where it says nothing sensible.

    Last, when the picture is small: turned whole, a PNG of 48 megapixels takes 370 MB, not 250.
    (Pillow turns a TIFF by itself, when it is read.)
    """
    # A broken EXIF block says nothing about the pixels, which are good.
    with contextlib.suppress(SyntaxError, ValueError, KeyError, TypeError, OSError, struct.error):
        ImageOps.exif_transpose(picture, in_place=True)


def _eight_bits(image: Image.Image, scale: tuple[float, float] | None) -> Image.Image:
    """8 bits a channel, in a mode that can be resized; deep greys are scaled, not clipped."""
    if scale is not None:
        grey = Image.fromarray(_scale_grey(np.asarray(image), *scale))
        grey.info.update(image.info)  # the camera's mark is in it
        return grey
    if image.mode in ("LA", "PA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "1":
        # A third of the memory that RGB takes, which counts in a large plan.
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _grey_scale(image: Image.Image) -> tuple[float, float] | None:
    """Black and white of a picture in deep greys, of 16 or 32 bits or float; None for others."""
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    low = high = 0.0
    rows = max(1, PART // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        values = np.nan_to_num(np.asarray(part), posinf=0, neginf=0)
        low = min(low, float(values.min()))
        high = max(high, float(values.max()))
    # Cameras and scanners give 8 to 16 bits, whatever holds them, and floats have no agreed white:
    # take the smallest usual one that holds the values.
    usual = WHITE if image.mode != "F" else (1.0, *WHITE)
    if low < 0:
        return low, high
    return low, next((top for top in usual if high <= top), high)


def _scale_grey(values: np.ndarray, low: float, white: float) -> np.ndarray:
    """(h, w) of any type as uint8, from `low`, which becomes 0, to `white`, which becomes 255."""
    values = np.nan_to_num(values.astype(np.float64), posinf=white, neginf=low)
    scaled = (values - low) * (255.0 / (white - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
