"""Decoding waits for memory that is free, asks for less detail first, and knows what it will
take."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from conftest import wait_for
from PIL import Image
from serving import encoded

from training.media import pictures
from training.media.budget import Budget
from training.media.picture_memory import prepare
from training.media.pictures import PictureError, load_picture

SIDE = 400


def needed(content: bytes, wanted: tuple[int, int] = (100, 100)) -> float:
    """Bytes a pixel of the whole picture that decoding it will take."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = image.width * image.height
        return prepare(image, wanted) / pixels


def blank(mode: str, side: int = SIDE) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.full((side, side), 3000, np.uint16))
    return Image.new(mode, (side, side))


# -- the budget ------------------------------------------------------------------------------------
def test_who_finds_no_room_waits_until_some_is_given_back():
    budget, order = Budget(100), []

    def take(size: int) -> None:
        with budget.hold(size):
            order.append(size)

    with budget.hold(60):
        threads = [threading.Thread(target=take, args=[size]) for size in (50, 30)]
        for count, thread in enumerate(threads, 1):
            thread.start()
            wait_for(lambda count=count: budget.waiting == count)
        assert budget.used == 60 and not order  # 30 would fit, but it is not its turn
    for thread in threads:
        thread.join(10)
    assert order == [50, 30] and budget.used == 0 and budget.waiting == 0


def test_what_never_fits_is_refused_and_a_failure_gives_back():
    budget = Budget(100)
    with pytest.raises(ValueError, match="more than"), budget.hold(101):
        pass
    with pytest.raises(ZeroDivisionError), budget.hold(100):
        1 / 0  # noqa: B018
    with budget.hold(100):
        assert budget.used == 100


def test_pictures_in_several_threads_share_one_budget(monkeypatch):
    content, most = encoded(blank("RGB")), []
    room = Budget(round(2.5 * 4 * SIDE**2))
    monkeypatch.setattr(pictures, "ROOM", room)
    shrink = pictures._shrink

    def watch(*args):
        most.append(room.used)
        return shrink(*args)

    monkeypatch.setattr(pictures, "_shrink", watch)
    threads = [threading.Thread(target=load_picture, args=[content]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 8 and max(most) <= 2 * 4 * SIDE**2 and room.used == 0


# -- what decoding takes ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "kind", "each"),
    [
        ("1", "PNG", 1),
        ("L", "PNG", 1),
        ("P", "PNG", 1),
        ("I;16", "PNG", 2),
        ("RGB", "PNG", 4),
        ("RGBA", "PNG", 4),
        ("P", "GIF", 1),
        ("RGB", "BMP", 4),
        ("L", "PPM", 1),
    ],
)
def test_bytes_are_counted_by_what_a_pixel_of_its_mode_takes(mode, kind, each):
    assert needed(encoded(blank(mode), kind)) == each


@pytest.mark.parametrize(
    ("kind", "more"), [("WEBP", 12), ("AVIF", 12), ("HEIF", 8), ("JPEG2000", 16)]
)
def test_what_a_decoder_keeps_beside_the_picture_counts(kind, more):
    assert needed(encoded(blank("RGB"), kind), (SIDE, SIDE)) >= 4 + more


@pytest.mark.parametrize(
    ("mode", "more", "each"),
    [
        ("F", {}, 4),
        ("F", {"compression": "tiff_deflate", "tiffinfo": {278: SIDE}}, 8),
        ("CMYK", {"compression": "tiff_lzw", "tiffinfo": {278: SIDE}}, 8),
        ("RGB", {"tiffinfo": {274: 6}}, 8),  # it is turned when it is read
    ],
)
def test_a_tiff_counts_its_strip_and_its_turning(mode, more, each):
    assert needed(encoded(blank(mode), "TIFF", **more)) == pytest.approx(each, rel=0.2)


def test_of_a_photo_only_the_detail_that_is_needed_is_decoded():
    assert needed(encoded(blank("RGB"), "JPEG")) == 4 / 16
    assert needed(encoded(blank("RGB"), "JPEG2000"), (50, 50)) == pytest.approx(20.5 / 64)


def test_a_photo_in_several_scans_is_gathered_whole():
    photo = blank("RGB")
    assert needed(encoded(photo, "JPEG", progressive=True)) == 3 + 4 / 16
    assert needed(encoded(photo, "JPEG", progressive=True, subsampling=0)) == 6 + 4 / 16
    # One scan for each layer, though not marked as progressive: its first names one of three.
    whole = encoded(photo, "JPEG", subsampling=0)
    place = whole.index(b"\xff\xda")
    apart = whole[:place] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + whole[place + 14 :]
    assert needed(apart) == 6 + 4 / 16


def one_colour(width: int, height: int, depth: int, kind: int) -> bytes:
    """A PNG without pixels, whatever it claims."""

    def chunk(name: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(name + data))
        return size + name + data + check

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refuse_decoding(*_):
    pytest.fail("it was decoded")


def test_one_bit_a_pixel_takes_a_byte_and_has_the_limit_of_all(monkeypatch):
    monkeypatch.setattr(pictures, "_decode", refuse_decoding)
    with pytest.raises(PictureError, match="too large: 30000 × 30000 pixels.* 200 megapixels"):
        load_picture(one_colour(30_000, 30_000, 1, 0))


@pytest.mark.parametrize(
    ("mode", "kind", "more", "limit"),
    [
        ("RGBA", "PNG", {}, "0.1"),
        ("F", "TIFF", {"compression": "tiff_deflate", "tiffinfo": {278: SIDE}}, "0.05"),
        ("RGB", "WEBP", {}, "0.0242"),
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0, "quality": 90}, "0.064"),
    ],
)
def test_what_takes_more_than_there_is_is_refused_before_it_is_decoded(
    mode, kind, more, limit, monkeypatch
):
    monkeypatch.setattr(pictures, "ROOM", Budget(SIDE**2 * 5 // 2))
    monkeypatch.setattr(pictures, "_decode", refuse_decoding)
    with pytest.raises(PictureError, match=f"is too large: 400 × 400 .* {limit} megapixels"):
        load_picture(encoded(blank(mode), kind, **more), longest=100)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK"])
def test_a_large_picture_read_part_by_part_looks_as_if_read_whole(mode, monkeypatch):
    ramp = np.linspace(0, 250, 1300 * 900).reshape(900, 1300).astype(np.uint8)
    picture = Image.fromarray(ramp)
    if mode in ("I;16", "I", "F"):
        picture = Image.fromarray(ramp.astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]) * 200)
    elif mode == "RGBA":
        picture = picture.convert("RGB")
        picture.putalpha(Image.fromarray(255 - ramp // 3))
    else:
        picture = picture.convert(mode)
    content = encoded(picture, "TIFF")
    whole = np.asarray(load_picture(content, 128)).astype(int)
    monkeypatch.setattr(pictures, "PART", 100_000)
    parts = np.asarray(load_picture(content, 128)).astype(int)
    # What is dithered from pixel to pixel tells most of where averaging began.
    assert np.abs(whole - parts).max() <= (8 if mode == "1" else 2)
