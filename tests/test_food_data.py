"""Coloured pictures for training: framing, own folders, splits."""

import io

import numpy as np
import pytest
from meals import colours
from PIL import Image

from training.data import pictures as picture_store
from training.data.examples import hold_out
from training.data.pictures import Pictures, measure_usual_side, read_pixels
from training.media.picture_preprocessor import PicturePreprocessor
from training.media.pictures import load_picture
from training.recipe import SettingsError
from training.recipes.food import data as food_data
from training.recipes.food.data import load


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 90)], -1).astype(np.uint8))


OWN = PicturePreprocessor(176, longest=192)


@pytest.mark.parametrize(
    "size, seen",
    [
        ((512, 512), (176, 176)),
        ((512, 384), (144, 192)),
        ((384, 512), (192, 144)),
        ((1920, 1080), (108, 192)),
        ((500, 480), (176, 183)),
        ((1, 1), (176, 176)),
        ((3000, 2), (1, 192)),
    ],
)
def test_a_picture_in_its_own_shape_keeps_it_within_the_two_sides(size, seen):
    assert OWN.shape(*size) == seen
    assert OWN.frame(gradient(*size)).shape == (*seen, 3)
    assert PicturePreprocessor(176).shape(*size) == (176, 176)


def test_a_store_in_own_shape_gives_each_picture_in_its_own_and_tells_how_wide_it_was(monkeypatch):
    sizes = [(64, 64), (80, 60), (60, 80), (64, 64)]
    pictures = Pictures(
        lambda i: gradient(*sizes[i]), np.arange(4), np.zeros(4, int), np.linspace(0, 1, 4)
    )
    packed, some = picture_store.Store(pictures, OWN), np.array([1, 3, 2])
    assert [p.shape for p in packed[some]] == [(3, 144, 192), (3, 176, 176), (3, 192, 144)]
    assert packed.aspects.tolist() == pytest.approx([1, 4 / 3, 3 / 4, 1])
    monkeypatch.setattr(
        picture_store.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    lazy = picture_store.Store(pictures, OWN)
    assert lazy.packed is None and all(
        (a == b).all() for a, b in zip(lazy[some], packed[some], strict=True)
    )
    assert lazy.aspects.tolist() == pytest.approx([1, 4 / 3, 3 / 4, 1])


@pytest.mark.parametrize("size", [(64, 64), (200, 64), (64, 200), (1, 1), (3, 500), (1000, 700)])
def test_any_shape_becomes_a_square_that_shows_all_of_it(size):
    picture = gradient(*size)
    pixels = PicturePreprocessor(64).frame(picture)
    assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8
    pixels, before = pixels.astype(int), np.asarray(picture).astype(int)
    for place, where in ((32, 0.5), (0, 0.0), (63, 1.0)):
        theirs = before[round(where * (size[1] - 1)), round(where * (size[0] - 1))]
        assert np.abs(pixels[place, place] - theirs).max() <= max(8, 600 / min(size))


def test_a_picture_of_the_right_size_passes_unharmed():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (PicturePreprocessor(64).frame(Image.fromarray(pixels)) == pixels).all()


def test_what_is_transparent_lies_on_white():
    assert (PicturePreprocessor(32).frame(Image.new("RGBA", (64, 64), (0, 0, 0, 0))) == 255).all()


def test_a_picture_is_the_same_from_a_file_and_from_its_bytes(tmp_path):
    gradient(90, 50).save(tmp_path / "a.jpg")
    one, two = load_picture(tmp_path / "a.jpg"), load_picture((tmp_path / "a.jpg").read_bytes())
    assert np.array_equal(np.asarray(one), np.asarray(two))


def test_the_sample_is_parted_without_overlap_and_every_class_is_tested():
    data = food_data.load("", "sample")
    shown = [
        {data_part.read_one(i).tobytes() for i in range(len(data_part))}
        for data_part in (data.train, data.test)
    ]
    assert not shown[0] & shown[1] and len(data.train) + len(data.test) == 480
    assert (
        set(data.test.labels) == set(data.train.labels) == set(range(8)) and "drawn" in data.about
    )


def test_the_held_out_part_does_not_depend_on_the_order_and_is_no_part_of_train():
    rng = np.random.default_rng(0)
    pictures = Pictures(
        lambda i: gradient(4, 4), np.arange(500), rng.integers(0, 5, 500), rng.random(500)
    )
    part, held = hold_out(pictures, 0.1)
    turned = hold_out(pictures[np.arange(500)[::-1]], 0.1)[1]
    assert set(held.places) == set(turned.places) and not set(part.places) & set(held.places)
    assert 25 <= len(held) <= 80 and set(held.labels) == set(range(5))
    assert len(hold_out(pictures, 0)[1]) == 0


def test_pixels_are_those_of_the_pictures_asked_for():
    data = food_data.load("", "sample")
    some = np.array([5, 0, 17])
    pixels = read_pixels(data.train, some, PicturePreprocessor(64))
    assert pixels.shape == (3, 3, 64, 64)
    for row, i in zip(pixels, some, strict=True):
        assert (
            row.transpose(1, 2, 0) == PicturePreprocessor(64).frame(data.train.read_one(i))
        ).all()
    assert measure_usual_side(data.train) == 64


# -- a folder of one's own -------------------------------------------------------------------------
def test_what_cannot_be_used_is_listed_and_the_rest_trains(tmp_path):
    folder = colours(tmp_path / "own", classes=2, each=8)
    (folder / "colour0" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (folder / "colour0" / "notes.txt").write_text("hello")
    (folder / "stray.png").write_bytes(b"")
    again = Image.open(folder / "colour1" / "00.png")
    again.save(folder / "colour1" / "same.bmp")
    again.save(folder / "colour0" / "copied.png")
    few = folder / "few"
    few.mkdir()
    again.save(few / "one.png")
    data = load("", "folder", str(folder))
    told = "\n".join(data.problems)
    for words in (
        "broken.jpg",
        "notes.txt",
        "stray.png",
        "2 files hold what another one holds; left out: colour1/00.png and colour1/same.bmp",
        "few: 1",
    ):
        assert words in told, words
    assert data.classes == ["colour0", "colour1"] and len(data.train) + len(data.test) == 16


def test_one_class_is_refused_with_what_is_needed(tmp_path):
    with pytest.raises(SettingsError, match="at least 2 subfolders with 5 files each"):
        load("", "folder", str(colours(tmp_path / "own", classes=1)))


def test_a_class_whose_pictures_are_all_alike_is_left_out(tmp_path):
    folder = colours(tmp_path / "own", classes=2, each=6)
    for i in range(6):
        gradient(30, 30).save(folder / "colour1" / f"{i:02}.png")
    with pytest.raises(SettingsError, match="1 class with at least 5 different examples"):
        load("", "folder", str(folder))


def test_the_revision_of_a_folder_is_its_content(tmp_path):
    folder = colours(tmp_path / "own", classes=2)
    first = load("", "folder", str(folder)).revision
    assert load("", "folder", str(folder)).revision == first
    gradient(30, 30).save(folder / "colour1" / "00.png")
    assert load("", "folder", str(folder)).revision != first


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16"])
def test_every_kind_of_picture_in_a_folder_is_read(tmp_path, mode):
    folder = colours(tmp_path / "own", classes=2, each=6)
    picture = gradient(40, 40)
    buffer = io.BytesIO()
    if mode == "I;16":
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(
            buffer, "PNG"
        )
    else:
        picture.convert(mode).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    (folder / "colour1" / ("odd.tif" if mode == "CMYK" else "odd.png")).write_bytes(
        buffer.getvalue()
    )
    data = load("", "folder", str(folder))
    assert not data.problems and len(data.train) + len(data.test) == 13


def test_a_large_set_is_decoded_when_asked_for(monkeypatch):
    pictures, some = food_data.load("", "sample").train, np.array([3, 1])
    packed = picture_store.Store(pictures, PicturePreprocessor(48))
    monkeypatch.setattr(
        picture_store.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    lazy = picture_store.Store(pictures, PicturePreprocessor(48))
    assert lazy.packed is None and packed.packed is not None and len(lazy) == len(pictures)
    assert (lazy[some] == packed[some]).all()


def test_hub_data_without_pictures_is_refused(monkeypatch):
    import datasets

    from training.data import hub

    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [0]})
    monkeypatch.setattr(hub, "list_splits", lambda *_: ["train"])
    monkeypatch.setattr(hub, "load_dataset", lambda *_: (rows, "1"))
    with pytest.raises(
        SettingsError, match="no pictures with named classes; its columns are text, label"
    ):
        food_data.load("some/text", "hub")


def test_what_phones_and_browsers_save_is_read_from_a_folder(tmp_path):
    formats = {"a.HEIC": "HEIF", "b.avif": "AVIF", "c.jfif": "JPEG", "d.jpe": "JPEG", "no": "PNG"}
    for name, colour in (("red", (200, 20, 20)), ("green", (20, 200, 20))):
        (tmp_path / name).mkdir()
        for number, (file, kind) in enumerate(formats.items()):
            shade = tuple(channel + 10 * number for channel in colour)
            Image.new("RGB", (40, 40), shade).save(tmp_path / name / file, kind)
        (tmp_path / name / "page.jpg").write_bytes(b"<!DOCTYPE html><html>")
    data = load("", "folder", str(tmp_path))
    assert len(data.train) + len(data.test) == 10
    assert "page.jpg" in " ".join(data.problems) and "web page" in " ".join(data.problems)
