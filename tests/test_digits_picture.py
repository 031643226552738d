"""From any picture to the 28 × 28 that the model knows: drawn strokes and garments, hostile in
every way."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_digits

from training.media.pictures import PictureError, load_picture
from training.recipes.digits.picture import EmptyPicture, to_28x28
from training.samples.garments import draw_large, garments

FIVE = [
    (0.72, 0.1),
    (0.32, 0.12),
    (0.28, 0.45),
    (0.6, 0.42),
    (0.74, 0.62),
    (0.62, 0.86),
    (0.26, 0.84),
]


def mask(
    side: int = 280,
    width: float = 0.09,
    box: tuple[int, int] | None = None,
    at: tuple[int, int] = (0, 0),
):
    """A "5" of `side` pixels on a canvas of `box`, as float (h, w) from 0 to 1."""
    large = Image.new("L", (2 * side, 2 * side))
    draw = ImageDraw.Draw(large)
    spots = [(2 * side * x, 2 * side * y) for x, y in FIVE]
    draw.line(spots, fill=255, width=max(1, round(2 * side * width)), joint="curve")
    radius = side * width
    for x, y in spots:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    page = Image.new("L", box or (side, side))
    page.paste(large.resize((side, side), Image.Resampling.BOX), at)
    return np.asarray(page, dtype=np.float64) / 255


def painted(ink: np.ndarray, paper: float = 255, pen: float = 0) -> Image.Image:
    return Image.fromarray((paper + (pen - paper) * ink).clip(0, 255).astype(np.uint8))


def as_jpeg(picture: Image.Image, quality: int = 60) -> Image.Image:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def daylight(shape: tuple[int, ...]) -> np.ndarray:
    """Light that falls to less than half across the page."""
    y, x = np.mgrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j]
    return 1 - 0.4 * x - 0.2 * y


REFERENCE = to_28x28(painted(mask()), "digit")


def alike(pixels: np.ndarray, reference: np.ndarray = REFERENCE) -> float:
    """The correlation of two pictures, at the best shift of up to one pixel."""
    shifts = [
        np.roll(pixels, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)
    ]
    return max(float(np.corrcoef(shifted.ravel(), reference.ravel())[0, 1]) for shifted in shifts)


def framed_as_mnist(pixels: np.ndarray) -> None:
    assert pixels.dtype == np.uint8 and pixels.shape == (28, 28) and pixels.max() >= 250
    rows, columns = np.flatnonzero((pixels > 60).any(1)), np.flatnonzero((pixels > 60).any(0))
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    y, x = np.mgrid[0:28, 0:28]
    assert (
        abs((y * pixels).sum() / pixels.sum() - 14) <= 1
        and abs((x * pixels).sum() / pixels.sum() - 14) <= 1
    )
    assert np.median(pixels) == 0


def test_a_drawing_is_framed_as_mnist() -> None:
    framed_as_mnist(REFERENCE)


def noisy_photo() -> Image.Image:
    ink = mask(220, box=(520, 400), at=(230, 90))
    grain = np.random.default_rng(0).normal(0, 9, ink.shape)
    return as_jpeg(
        Image.fromarray(
            ((235 - 190 * ink) * daylight(ink.shape) + grain).clip(0, 255).astype(np.uint8)
        )
    )


def shadowed() -> Image.Image:
    ink = mask(240, box=(480, 400), at=(120, 80))
    y, x = np.mgrid[0:400, 0:480]
    edge = Image.fromarray(np.uint8(255 * (x + 0.4 * y > 330))).filter(ImageFilter.GaussianBlur(6))
    light = 1 - 0.45 * np.asarray(edge) / 255
    return as_jpeg(Image.fromarray(((235 - 195 * ink) * light).astype(np.uint8)))


def ruled() -> Image.Image:
    ink = mask(240, 0.05, box=(500, 400), at=(140, 90))[..., None]
    page = np.full((400, 500, 3), 240.0)
    page[20::45], page[21::45] = (170, 195, 225), (170, 195, 225)
    return as_jpeg(
        Image.fromarray((page * (1 - ink) + np.array([30, 40, 100]) * ink).astype(np.uint8)), 80
    )


def on_a_desk() -> Image.Image:
    desk = Image.new("RGB", (600, 460), (50, 40, 35))
    desk.paste(painted(mask(220, box=(420, 320), at=(90, 50)), 230, 30), (80, 60))
    return as_jpeg(desk, 85)


def transparent(colour: tuple[int, int, int], opacity: float = 1.0) -> Image.Image:
    page = Image.new("RGBA", (280, 280), (*colour, 0))
    page.putalpha(Image.fromarray((255 * opacity * mask()).astype(np.uint8)))
    return page


def speckled() -> Image.Image:
    pixels = np.asarray(painted(mask())).copy()
    spots = np.random.default_rng(0).integers(0, 279, (200, 2))
    pixels[spots[:, 0], spots[:, 1]] = 0
    pixels[8:14, 8:14] = 0
    return Image.fromarray(pixels)


def round_cornered() -> Image.Image:
    page = painted(mask(220, box=(280, 280), at=(30, 30))).convert("RGBA")
    corners = Image.new("L", page.size)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, 279, 279), 40, fill=255)
    page.putalpha(corners)
    return page


def yellow_on_white() -> Image.Image:
    full = Image.new("L", (280, 280), 255)
    return Image.merge("RGB", (full, full, painted(mask())))


HOSTILE = {
    "light on dark": lambda: painted(mask(), 0, 255),
    "chalk on a board": lambda: as_jpeg(painted(mask(240, box=(400, 300), at=(90, 30)), 45, 205)),
    "faint": lambda: painted(mask(), 255, 225),
    "faint pencil in uneven light": lambda: as_jpeg(
        Image.fromarray(((235 - 40 * mask()) * daylight((280, 280))).astype(np.uint8)), 90
    ),
    "grey on grey": lambda: painted(mask(), 120, 160),
    "off-centre on a large canvas": lambda: painted(mask(200, box=(1024, 1024), at=(790, 30))),
    "tiny on a large canvas": lambda: painted(mask(60, box=(800, 800), at=(30, 700))),
    "in the corner": lambda: painted(mask(140, box=(280, 280), at=(-14, 0))),
    "a noisy photo in uneven light": noisy_photo,
    "half in a shadow": shadowed,
    "on ruled paper": ruled,
    "on a sheet on a dark desk": on_a_desk,
    "specks and a blot": speckled,
    "black on a transparent canvas": lambda: transparent((0, 0, 0)),
    "white on a transparent canvas": lambda: transparent((255, 255, 255)),
    "red and half opaque on a transparent canvas": lambda: transparent((220, 20, 20), 0.4),
    "a sheet with transparent corners": round_cornered,
    "yellow on white": yellow_on_white,
    "20 pixels": lambda: painted(mask(20)),
    "56 pixels": lambda: painted(mask(56)),
    "one bit": lambda: painted(mask()).convert("1"),
    "palette": lambda: painted(mask()).convert("P"),
    "CMYK": lambda: painted(mask()).convert("RGB").convert("CMYK"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_same_five_is_found_in(name: str) -> None:
    pixels = to_28x28(HOSTILE[name](), "digit")
    framed_as_mnist(pixels)
    assert alike(pixels) > 0.8


@pytest.mark.parametrize("width", [0.004, 0.01, 0.03, 0.14, 0.18])
def test_a_thin_pen_and_a_thick_marker_give_strokes_of_two_to_four_pixels(width: float) -> None:
    pixels = to_28x28(painted(mask(900, width, box=(1024, 1024), at=(60, 60))), "digit")
    framed_as_mnist(pixels)
    light = pixels / 255.0
    down, across = np.gradient(np.pad(light, 2))
    assert 1.4 < 2 * light.sum() / np.hypot(down, across).sum() < 4.6
    assert alike(pixels) > 0.6


def test_a_sideways_phone_photo_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = painted(mask()).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "phone.jpg", exif=exif)
    assert alike(to_28x28(load_picture(tmp_path / "phone.jpg"), "digit")) > 0.95


def test_sixteen_bits_give_the_same_as_eight(tmp_path: Path) -> None:
    Image.fromarray((65535 * (1 - mask())).astype(np.uint16)).save(tmp_path / "deep.png")
    assert alike(to_28x28(load_picture(tmp_path / "deep.png"), "digit")) > 0.99


def test_the_shape_is_kept_and_not_stretched() -> None:
    one = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(one).line((150, 40, 150, 260), fill=0, width=24)
    rows, columns = (np.flatnonzero((to_28x28(one, "digit") > 100).any(axis)) for axis in (1, 0))
    assert len(rows) == 20 and len(columns) <= 4


def test_a_picture_that_is_already_framed_passes_unchanged_and_is_negated_back() -> None:
    for mode in ("L", "RGB"):
        assert (to_28x28(Image.fromarray(REFERENCE).convert(mode), "digit") == REFERENCE).all()
        assert (
            to_28x28(Image.fromarray(255 - REFERENCE).convert(mode), "digit") == REFERENCE
        ).all()


@pytest.mark.parametrize("name", HOSTILE)
def test_framing_twice_changes_nothing_for(name: str) -> None:
    once = to_28x28(HOSTILE[name](), "digit")
    assert (to_28x28(Image.fromarray(once), "digit") == once).all()


def test_scikit_learns_eight_by_eight_digits_are_framed_and_still_told_apart() -> None:
    digits = load_digits()
    greys = [Image.fromarray((values * 15.9).astype(np.uint8)) for values in digits.images[:200]]
    flat = np.array([to_28x28(grey, "digit").ravel() for grey in greys])
    assert (flat.max(1) >= 250).all() and (np.median(flat, 1) == 0).all()
    known, asked = flat[:140] / 255.0, flat[140:] / 255.0
    apart = (known**2).sum(1) - 2 * asked @ known.T
    right = digits.target[apart.argmin(1)] == digits.target[140:200]
    assert right.mean() > 0.5  # chance is 0.1: ink taken for paper would show


def empty_photo(kind: str) -> Image.Image:
    rng = np.random.default_rng(0)
    light = 225 * daylight((360, 480))
    y, x = np.mgrid[-1 : 1 : 360 * 1j, -1 : 1 : 480 * 1j]
    pages = {
        "noise": rng.normal(200, 10, (360, 480)),
        "gradient": light,
        "gradient with noise": light + rng.normal(0, 6, light.shape),
        "vignette": 230 - 60 * (x * x + y * y) + rng.normal(0, 3, light.shape),
        "dark": rng.normal(20, 4, (360, 480)),
    }
    return as_jpeg(Image.fromarray(pages[kind].clip(0, 255).astype(np.uint8)), 50)


@pytest.mark.parametrize("kind", ["noise", "gradient", "gradient with noise", "vignette", "dark"])
@pytest.mark.parametrize("framing", ["digit", "garment"])
def test_no_ink_is_seen_in_an_empty_photo_with(kind: str, framing: str) -> None:
    with pytest.raises(EmptyPicture):
        to_28x28(empty_photo(kind), framing)


EMPTY = {
    "white": Image.new("RGB", (280, 280), "white"),
    "black": Image.new("L", (280, 280)),
    "transparent": Image.new("RGBA", (280, 280), (0, 0, 0, 0)),
    "transparent white": Image.new("RGBA", (28, 28), (255, 255, 255, 0)),
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "one row": Image.new("L", (300, 1), 9),
    "two pixels": Image.new("L", (2, 2), 80),
    "28 by 28": Image.new("L", (28, 28), 128),
    "a lone speck": Image.fromarray(np.pad(np.zeros((3, 3), np.uint8), 200, constant_values=255)),
}


@pytest.mark.parametrize("framing", ["digit", "garment"])
@pytest.mark.parametrize("name", EMPTY)
def test_where_nothing_is_drawn_the_person_is_told(name: str, framing: str) -> None:
    with pytest.raises(
        EmptyPicture, match="There is nothing drawn yet: draw or upload one"
    ) as told:
        to_28x28(EMPTY[name], framing)
    assert isinstance(told.value, PictureError)


FOOD = Path(__file__).parent.parent / "demos" / "examples" / "food"
BUSY = {
    "noise": lambda: Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    ),
    # 16 bits of which few are used: almost one grey, but not a sheet on which nothing is drawn.
    "little contrast": lambda: Image.fromarray(
        120 + np.asarray(painted(mask()).convert("L")) // 64
    ),
    "food": lambda: Image.open(FOOD / "hot_dog.png"),
}


@pytest.mark.parametrize("framing", ["digit", "garment"])
@pytest.mark.parametrize("name", BUSY)
def test_of_a_picture_in_which_nothing_stands_out_nobody_is_told_that_it_is_empty(
    name: str, framing: str
) -> None:
    with pytest.raises(EmptyPicture, match=f"No {framing} stands out in this picture. Show one"):
        to_28x28(BUSY[name](), framing)


def test_an_unknown_framing_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="framing"):
        to_28x28(painted(mask()), "letter")


# -- garments --------------------------------------------------------------------------------------


def shop(label: int, background: int = 255, side: int = 300, seed: int = 3) -> Image.Image:
    """A garment as a shop shows it: darker than a light background, with room around it."""
    large = np.asarray(draw_large(label, np.random.default_rng(seed), fine=side), dtype=np.float64)
    return Image.fromarray((background * (1 - large / 255)).astype(np.uint8))


@pytest.mark.parametrize("label", range(10))
def test_a_shops_picture_becomes_what_the_drawing_becomes(label: int) -> None:
    large = draw_large(label, np.random.default_rng(3), fine=300)
    light_on_dark = to_28x28(large, "garment")
    assert alike(to_28x28(as_jpeg(shop(label), 85), "garment"), light_on_dark) > 0.95
    assert alike(to_28x28(as_jpeg(shop(label, 232), 85), "garment"), light_on_dark) > 0.95


@pytest.mark.parametrize("label", range(10))
def test_a_garment_fills_28_pixels_and_is_centred_by_its_box(label: int) -> None:
    pixels = to_28x28(shop(label), "garment")
    rows, columns = (np.flatnonzero((pixels > 20).any(axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 >= 27 and pixels.max() == 255
    assert abs(rows[0] + rows[-1] - 27) <= 2 and abs(columns[0] + columns[-1] - 27) <= 2


def test_grey_levels_within_the_garment_are_kept() -> None:
    page = Image.new("L", (300, 300), 255)
    draw = ImageDraw.Draw(page)
    draw.rectangle((60, 60, 239, 149), fill=0)
    draw.rectangle((60, 150, 239, 239), fill=128)
    pixels = to_28x28(page, "garment").astype(int)
    assert abs(pixels[6, 14] - 255) <= 3 and abs(pixels[21, 14] - 127) <= 6


def test_drawn_garments_of_28_pixels_pass_unchanged_and_are_negated_back() -> None:
    for pixels in garments(per_class=4, seed=5)[0]:
        assert (to_28x28(Image.fromarray(pixels), "garment") == pixels).all()
        assert (to_28x28(Image.fromarray(255 - pixels), "garment") == pixels).all()


@pytest.mark.parametrize("label", range(10))
def test_framing_a_garment_twice_changes_nothing(label: int) -> None:
    once = to_28x28(shop(label), "garment")
    assert (to_28x28(Image.fromarray(once), "garment") == once).all()


def test_a_square_that_fills_the_frame_passes_unchanged() -> None:
    square = np.random.default_rng(0).integers(60, 250, (28, 28), dtype=np.uint8)
    assert (to_28x28(Image.fromarray(square), "garment") == square).all()


@pytest.mark.parametrize("colour", [(20, 30, 90), (250, 250, 250)])
def test_a_cut_out_garment_is_seen_whatever_its_colour(colour: tuple[int, int, int]) -> None:
    large = draw_large(1, np.random.default_rng(0), fine=300)
    page = Image.new("RGBA", large.size, (*colour, 0))
    page.putalpha(large.point(lambda level: 255 if level else 0))
    pixels = to_28x28(page, "garment")
    assert pixels.max() == 255 and 0.1 < np.mean(pixels > 100) < 0.7


def test_uneven_light_behind_a_garment_is_trimmed_away() -> None:
    light = np.linspace(255, 215, 400)[None]
    page = np.asarray(shop(7), dtype=np.float64)
    pixels = to_28x28(
        as_jpeg(Image.fromarray((page * light / 255).clip(0, 255).astype(np.uint8)), 85), "garment"
    )
    assert alike(pixels, to_28x28(shop(7), "garment")) > 0.9
