"""Any user's picture: what it is turned into, and in which words it is refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from training.media.pictures import PictureError, flatten, load_picture


@pytest.fixture
def scene() -> Image.Image:
    """60 wide, 40 high: red above, blue below, with a green corner at the top left."""
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:20, :, 0] = 220
    pixels[20:, :, 2] = 220
    pixels[:10, :10] = (0, 220, 0)
    return Image.fromarray(pixels)


def saved(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def near(
    picture: Image.Image, spot: tuple[int, int], colour: tuple[int, ...], within: int = 40
) -> bool:
    return bool(np.abs(np.subtract(picture.getpixel(spot), colour)).max() <= within)


def png_header(width: int, height: int) -> bytes:
    """A PNG that only claims a size: it has no pixels to decode."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif", "avif", "heif", "jp2", "ppm"]
)
def test_every_common_format_is_read_as_rgb(
    scene: Image.Image, tmp_path: Path, suffix: str
) -> None:
    picture = load_picture(saved(scene, tmp_path / f"scene.{suffix}"))
    assert picture.mode == "RGB" and picture.size == (60, 40)
    assert near(picture, (30, 10), (220, 0, 0)) and near(picture, (30, 35), (0, 0, 220))


def test_the_path_may_be_a_string(scene: Image.Image, tmp_path: Path) -> None:
    assert load_picture(str(saved(scene, tmp_path / "scene.png"))).size == (60, 40)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("mark", range(1, 9))
def test_a_photo_is_turned_as_its_camera_says(
    scene: Image.Image, tmp_path: Path, mark: int, suffix: str
) -> None:
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        mark
    ]  # the turn that undoes the mark's own
    turned = scene if stored is None else scene.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = mark
    options = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    picture = load_picture(saved(turned, tmp_path / f"photo.{suffix}", exif=exif, **options))
    assert picture.size == (60, 40)
    assert near(picture, (4, 4), (0, 220, 0), 60) and near(picture, (50, 35), (0, 0, 220), 60)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16"])
def test_a_photo_of_any_mode_is_turned_as_its_camera_says(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    bright = np.zeros((40, 60), dtype=np.uint8)
    bright[:, :20] = 255  # to the left; turned by a quarter it is above
    grey = Image.fromarray(bright)
    stored = (
        Image.fromarray(bright.astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = load_picture(saved(stored, tmp_path / f"photo.{suffix}", exif=exif))
    assert picture.size == (40, 60)
    assert near(picture, (20, 10), (255, 255, 255)) and near(picture, (20, 40), (0, 0, 0))


BROKEN_EXIF = {
    "no TIFF header": b"Exif\0\0no header at all",
    "ends in its header": b"Exif\0\0MM",
    "points behind its end": b"Exif\0\0MM\0*\xff\xff\xff\xff",
    "promises entries that are not there": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("block", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_broken_exif_block_does_not_refuse_a_good_picture(
    scene: Image.Image, tmp_path: Path, suffix: str, block: bytes
) -> None:
    picture = load_picture(saved(scene, tmp_path / f"photo.{suffix}", exif=block))
    assert picture.size == (60, 40) and near(picture, (50, 35), (0, 0, 220), 60)


def test_a_large_photo_is_reduced_and_keeps_its_shape(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (3000, 1500), (10, 200, 30)), tmp_path / "large.jpg")
    assert load_picture(path).size == (1024, 512)
    assert load_picture(path, longest=300).size == (300, 150)


def test_a_thin_line_of_pixels_keeps_one_pixel(tmp_path: Path) -> None:
    assert load_picture(saved(Image.new("L", (4000, 1)), tmp_path / "line.png")).size == (1024, 1)


def test_a_photo_of_50_megapixels_is_read(tmp_path: Path) -> None:
    path = saved(Image.new("L", (8660, 5780), 90), tmp_path / "huge.jpg", quality=30)
    picture = load_picture(path)
    assert picture.size == (1024, 683) and near(picture, (500, 300), (90, 90, 90), 3)


def test_more_than_200_megapixels_are_refused_before_decoding_and_without_a_warning(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match="too large: 60000 × 60000 pixels.*200 megapixels"):
            load_picture(path)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Gradio's
def test_gradio_which_opens_an_upload_first_leaves_the_refusal_to_us(tmp_path: Path) -> None:
    import gradio

    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000))
    upload = gradio.Image(type="filepath", image_mode=None)
    seen = upload.preprocess(gradio.data_classes.ImageData(path=str(path), orig_name=path.name))
    with pytest.raises(PictureError, match="too large: 60000 × 60000 pixels"):
        load_picture(seen)


def test_between_pillows_limit_and_ours_nothing_is_warned_of(tmp_path: Path) -> None:
    path = saved(Image.new("1", (9_500, 9_500), 1), tmp_path / "plan.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_picture(path, longest=64).getpixel((3, 3)) == (255, 255, 255)


def test_a_bomb_in_a_text_chunk_is_refused(tmp_path: Path) -> None:
    body = b"zTXt" + b"note\0\0" + zlib.compress(b"a" * 4_000_000)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "note.png"
    whole = png_header(4, 4)
    path.write_bytes(whole[:33] + chunk + whole[33:])
    with pytest.raises(PictureError):
        load_picture(path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "PA", "RGBA"])
def test_every_mode_becomes_rgb_where_nothing_is_transparent(
    scene: Image.Image, tmp_path: Path, mode: str
) -> None:
    suffix = "tiff" if mode in ("CMYK", "LA", "PA") else "png"
    picture = load_picture(saved(scene.convert(mode), tmp_path / f"scene.{suffix}"))
    assert picture.mode == "RGB" and picture.size == (60, 40)


def test_a_cmyk_jpeg_keeps_its_colours(scene: Image.Image, tmp_path: Path) -> None:
    picture = load_picture(saved(scene.convert("CMYK"), tmp_path / "print.jpg", quality=95))
    assert (
        picture.mode == "RGB"
        and near(picture, (30, 35), (0, 0, 220))
        and near(picture, (30, 5), (220, 0, 0))
    )


def test_what_is_transparent_stays_so_and_flattens_onto_any_background(
    scene: Image.Image, tmp_path: Path
) -> None:
    scene.putalpha(Image.new("L", scene.size, 255))
    scene.paste((0, 0, 0, 0), (0, 0, 10, 10))
    picture = load_picture(saved(scene, tmp_path / "cut.png"))
    assert picture.mode == "RGBA" and picture.getpixel((3, 3))[3] == 0
    assert flatten(picture).getpixel((3, 3)) == (255, 255, 255)
    assert flatten(picture, (1, 2, 3)).getpixel((3, 3)) == (1, 2, 3)
    assert flatten(picture).mode == "RGB" and flatten(picture).getpixel((30, 10)) == (220, 0, 0)


def test_a_palette_with_a_transparent_colour_is_transparent(
    scene: Image.Image, tmp_path: Path
) -> None:
    paletted = scene.quantize(8)
    picture = load_picture(
        saved(paletted, tmp_path / "icon.png", transparency=paletted.getpixel((0, 0)))
    )
    assert (
        picture.mode == "RGBA"
        and picture.getpixel((2, 2))[3] == 0
        and picture.getpixel((30, 30))[3] == 255
    )


def test_a_colour_named_transparent_in_rgb_is_transparent(
    scene: Image.Image, tmp_path: Path
) -> None:
    picture = load_picture(saved(scene, tmp_path / "key.png", transparency=(0, 220, 0)))
    assert picture.mode == "RGBA" and picture.getpixel((2, 2))[3] == 0


def test_flatten_takes_any_mode() -> None:
    for mode in ("1", "L", "P", "LA", "CMYK", "RGB", "RGBA"):
        assert flatten(Image.new(mode, (3, 2))).mode == "RGB"


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(8, axis=0)
    picture = load_picture(saved(Image.fromarray(ramp), tmp_path / f"deep.{suffix}"))
    grey = np.asarray(picture)[4, :, 0].astype(int)
    assert grey[0] == 0 and grey[-1] == 255 and np.abs(grey - np.linspace(0, 255, 64)).max() <= 1


def test_big_endian_sixteen_bit_grey_is_read_alike(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(">u2")[None].repeat(8, axis=0)
    head = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 7)
    fields = [(256, 4, 64), (257, 4, 8), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16),
              (273, 4, 98), (279, 4, 1024)]  # fmt: skip
    tags = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in fields)
    path = tmp_path / "big.tiff"
    path.write_bytes(head + tags + struct.pack(">I", 0) + ramp.tobytes())
    assert np.asarray(load_picture(path))[0, [0, 32, 63], 0].tolist() == [0, 130, 255]


@pytest.mark.parametrize(
    ("top", "kind"), [(1.0, np.float32), (255.0, np.float32), (4e6, np.float32), (70_000, np.int32)]
)
def test_floats_and_long_integers_are_scaled_by_their_own_range(
    tmp_path: Path, top: float, kind: type
) -> None:
    ramp = np.linspace(0, top, 64).astype(kind)[None].repeat(8, axis=0)
    grey = np.asarray(load_picture(saved(Image.fromarray(ramp), tmp_path / "science.tiff")))[
        0, :, 0
    ].astype(int)
    assert grey[0] == 0 and grey[-1] == 255 and abs(grey[32] - 129) <= 2


def test_a_float_picture_with_holes_is_read(tmp_path: Path) -> None:
    values = np.full((4, 4), np.nan, dtype=np.float32)
    values[1:] = 0.5
    assert load_picture(saved(Image.fromarray(values), tmp_path / "nan.tiff")).getpixel((2, 2)) == (
        128,
        128,
        128,
    )


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(
    scene: Image.Image, tmp_path: Path, suffix: str
) -> None:
    frames = [Image.new("RGB", scene.size, "black"), Image.new("RGB", scene.size, "white")]
    path = saved(scene, tmp_path / f"moving.{suffix}", save_all=True, append_images=frames)
    assert near(load_picture(path), (30, 35), (0, 0, 220)) and load_picture(path).size == (60, 40)


def test_a_broken_orientation_mark_leaves_the_picture_as_stored(
    scene: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert load_picture(saved(scene, tmp_path / "odd.jpg", exif=exif)).size == (60, 40)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.png", b"", "is empty"),
        ("notes.png", b"Dear diary, this is no picture.", "not a picture"),
        (
            "drawing.svg",
            b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
            "SVG.*Export it as PNG",
        ),
        (
            "long.svg",
            b"<?xml version='1.0'?><!--" + b"x" * 9000 + b"--><svg xmlns='http://www.w3.org/'/>",
            "SVG.*Export it as PNG",
        ),
        ("wide.svg", "<svg xmlns='http://www.w3.org/'/>".encode("utf-16"), "is an SVG drawing"),
        ("page.jpg", b"<!DOCTYPE html><html><svg></svg></html>", "is a web page, not a picture"),
        ("voice.jpg", b"\0\0\0\x18ftypM4A \0\0", "is an M4A or MP4 file, not a picture"),
        ("lfs.jpg", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS keeps"),
        ("office.png", b"PK\x03\x04" + bytes(60), "is a ZIP archive or an office document"),
        ("layers.psd", b"8BPS\0\1" + bytes(90), "is a Photoshop file, which cannot be read here"),
        ("zeros.jpg", bytes(900), "not a picture that can be read here"),
        ("half.avif", b"\0\0\0\x18ftypavif" + bytes(90), "like an AVIF picture but is damaged"),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC.*JPEG or PNG"),
        ("photo.jpg", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC.*JPEG or PNG"),
        ("paper.pdf", b"%PDF-1.7\n", "PDF"),
        (
            "script.eps",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "a PostScript drawing",
        ),
        ("stub.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged or incomplete"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PictureError, match=words) as refusal:
        load_picture(path)
    assert name in str(refusal.value) and str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif", "heif", "jp2"]
)
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"half.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match="damaged or incomplete"):
        load_picture(path)


def with_chunk(name: bytes, body: bytes, damaged: bool = False) -> bytes:
    """A good PNG with one more chunk before its pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (10, 200, 30)).save(buffer, "PNG")
    check = zlib.crc32(name + body) ^ damaged
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)
    return buffer.getvalue()[:33] + chunk + buffer.getvalue()[33:]


@pytest.mark.parametrize(
    "content",
    [
        with_chunk(b"iCCP", b"large\0\0" + zlib.compress(bytes(8 << 20))),
        with_chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 4_000_000)),
        with_chunk(b"pHYs", b"\0\0\0\1\0\0\0\1\1", damaged=True),
        with_chunk(b"iCCP", b"broken\0\0" + b"no zlib"),
    ],
    ids=["a colour profile of 8 MB", "a bomb in a note", "a damaged note", "a broken profile"],
)
def test_what_is_wrong_beside_the_pixels_does_not_refuse_a_good_picture(content: bytes) -> None:
    assert near(load_picture(content), (30, 20), (10, 200, 30), 0)


@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
def test_sixteen_bits_of_which_fewer_are_used_are_not_dark(tmp_path: Path, top: int) -> None:
    ramp = np.linspace(0, top, 64).astype(np.uint16)[None].repeat(8, axis=0)
    grey = np.asarray(load_picture(saved(Image.fromarray(ramp), tmp_path / "deep.png")))[4, :, 0]
    assert np.abs(grey.astype(int) - np.linspace(0, 255, 64)).max() <= 1


def test_a_heic_photo_is_read_and_turned_by_its_camera_once(tmp_path: Path) -> None:
    stored = Image.new("RGB", (60, 40), (0, 0, 220))
    stored.paste((220, 0, 0), (0, 0, 20, 40))  # to the left; turned by a quarter it is above
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = pillow_heif.from_pillow(stored)
    photo.info["exif"] = exif.tobytes()  # phones say it twice: there, and where decoders obey
    photo.save(tmp_path / "IMG_0001.HEIC")
    picture = load_picture(tmp_path / "IMG_0001.HEIC")
    assert picture.size == (40, 60)
    assert near(picture, (20, 5), (220, 0, 0)) and near(picture, (20, 50), (0, 0, 220))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no picture “gone.png”"):
        load_picture(tmp_path / "gone.png")
    with pytest.raises(PictureError, match="is a folder"):
        load_picture(tmp_path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        load_picture(tmp_path / ("x" * 5000 + ".png"))
    with pytest.raises(PictureError):
        load_picture("a\0b.png")
