"""How much memory it takes to decode a picture, known before a pixel is decoded.

    image = Image.open(file)
    with ROOM.hold(prepare(image, (1024, 768))):
        image.load()

A picture of one colour is a small file whatever its size, so the file's length tells nothing: what
counts is the number of pixels, the bytes that Pillow keeps for each, and what the decoder keeps
beside them. The latter were measured with Pillow 12.3; tests/benchmarks/picture_memory.py prints
them.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any, cast

from PIL import Image

from training.media.budget import Budget

# For all pictures that are being decoded at the same time, in every thread of this process: as
# much as 200 megapixels of colour take.
ROOM = Budget(800_000_000)
MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes a pixel; else 4
# What decoders keep beside Pillow's own pixels, in bytes a pixel.
BESIDE = {"WEBP": 12.5, "AVIF": 12.0, "HEIF": 8.0}
JPEG2000 = 5.5  # for each band: it computes in 32 bits
IN_PYTHON = ("ppm", "ppm_plain", "bmp_rle")  # decoders that gather the pixels twice


def prepare(image: Image.Image, wanted: tuple[int, int]) -> int:
    """Asks the decoder of a picture that was opened for less detail, where it can: at least the
    size `wanted`. Returns the most bytes that decoding it will take."""
    pixels = image.width * image.height
    each = MODES.get(image.mode, 4)
    kind = image.format or ""
    plugin = cast(Any, image)  # what only its own format has
    if kind in ("JPEG", "MPO"):
        gathered = 0 if _is_in_one_scan(plugin) else 2 * _coefficients(plugin) * pixels
        plugin.draft(None, wanted)
        return ceil(gathered + image.width * image.height * each)
    if kind == "JPEG2000":
        halvings = min(_halvings_to(image, wanted), _levels(plugin))
        plugin.reduce = halvings  # of these files Pillow makes it a setting
        return ceil(pixels / 4**halvings * (each + JPEG2000 * len(image.getbands())))
    if kind == "TIFF":
        return ceil(pixels * (each + _beside_tiff(plugin, each)))
    if plugin.tile and plugin.tile[0][0] in IN_PYTHON:
        return 3 * each * pixels
    return ceil(pixels * (each + BESIDE.get(kind, 0)))


def _is_in_one_scan(image: Any) -> bool:
    """Whether a JPEG's first scan holds everything: it names all layers. Pillow has read as far as
    the end of its heading."""
    layers = len(image.layer)
    expected = b"\xff\xda" + (6 + 2 * layers).to_bytes(2, "big") + bytes([layers])
    place = image.fp.tell()
    image.fp.seek(place - 8 - 2 * layers)
    heading = image.fp.read(len(expected))
    image.fp.seek(place)
    return heading == expected and not image.info.get("progressive")


def _coefficients(image: Any) -> float:
    """For each pixel of a JPEG. One that comes in several scans is gathered whole, two bytes a
    coefficient, however little detail is asked for."""
    layers = [layer[1:3] for layer in image.layer]  # (across, down) of each
    most = max(layer[0] for layer in layers) * max(layer[1] for layer in layers)
    return sum(map(prod, layers)) / most


def _halvings_to(image: Image.Image, wanted: tuple[int, int]) -> int:
    """How often a picture can be halved that should stay at least so large."""
    return max(1, min(image.width // wanted[0], image.height // wanted[1])).bit_length() - 1


def _levels(image: Any) -> int:
    """How often a JPEG 2000 picture can be halved, as the heading of its code says."""
    place = image.fp.tell()
    image.fp.seek(0)
    head = image.fp.read(1 << 16)
    image.fp.seek(place)
    start = head.find(b"\xff\x4f\xff\x51")
    found = head.find(b"\xff\x52", start)
    return head[found + 9] if 0 <= start < found < len(head) - 9 else 0


def _beside_tiff(image: Any, each: int) -> float:
    """Bytes a pixel: a strip or tile as it is stored, and the picture again if it is to be
    turned."""
    tags = image.tag_v2
    rows = tags.get(323) or tags.get(278) or image.height  # of a tile, of a strip
    bits = tags.get(258) or (1,)
    stored = bits[0] * (tags.get(277) or 1) / 8
    if tags.get(262) == 6:  # colours as JPEG has them are handed over as four bytes
        stored = 4.0
    turned = tags.get(274) in range(2, 9)
    compressed = image.tile[0][0] == "libtiff"
    return stored * min(1.0, rows / image.height) * compressed + each * turned
