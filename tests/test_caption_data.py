"""The data of the captioning recipe: the sample, own albums in three forms, and what each kind of
broken file gets."""

import json

import numpy as np
import pytest
from albums import album
from PIL import Image

from training.data.captions import LISTS, tidy
from training.data.examples import hold_out
from training.data.splits import split
from training.recipe import SettingsError
from training.recipes.captioning.data import add_scenes, load


def everything(data) -> list[tuple[str, ...]]:
    return sorted(
        tuple(part.texts[place]) for part in (data.train, data.test) for place in part.places
    )


def test_the_sample_has_pictures_with_five_captions_each_and_parts_by_picture():
    data = load("", "sample")
    assert len(data.train) + len(data.test) == 480 and 60 <= len(data.test) <= 140
    assert all(len(texts) == 5 for texts in everything(data))
    shown = {
        part: {part_.read_one(i).tobytes() for i in range(len(part_))}
        for part, part_ in (("train", data.train), ("test", data.test))
    }
    assert not shown["train"] & shown["test"]
    part, held = hold_out(data.train, 0.1)
    assert not set(part.places) & set(held.places) and len(part) + len(held) == len(data.train)
    assert np.array_equal(
        split(data.test.keys, data.test.labels, 0, 0.2), np.ones(len(data.test), bool)
    )


@pytest.mark.parametrize("form", LISTS)
def test_an_album_in_each_of_three_forms_gives_the_same(form, tmp_path):
    data = load("", "folder", str(album(tmp_path / "album", form)))
    assert len(data.train) + len(data.test) == 15 and not data.problems and len(data.test) >= 1
    assert everything(data) == sorted(
        (f"A {c} square", f"One {c} square") for c in ("red", "green", "blue") * 5
    )
    place = int(data.train.places[0])
    middle = np.asarray(data.train.read_one(0))[20, 20].argmax()
    assert ("red", "green", "blue")[middle] in data.train.texts[place][0]


def test_drawn_scenes_stand_behind_an_albums_pictures_each_with_its_captions(tmp_path):
    from training.samples.scenes import scenes

    own, known = load("", "folder", str(album(tmp_path, "captions.csv"))), load("", "sample")
    both = add_scenes(own, 20)
    assert len(both.train) == len(own.train) + 20 and both.test is own.test and len(own.train) < 15
    pictures, texts = scenes(20, 1)
    for i, (picture, said) in enumerate(zip(pictures, texts, strict=True), len(own.train)):
        assert (
            np.array_equal(both.train.read_one(i), picture)
            and both.train.texts[both.train.places[i]] == said
        )
    for i in range(len(own.train)):
        assert both.train.read_one(i) == own.train.read_one(i)
    assert not set(both.train.keys) & {*known.train.keys, *known.test.keys}


@pytest.mark.parametrize(
    "heading, row",
    [
        ("image,caption", "{},A square."),
        ("file_name;text", "{};A square."),
        ("path\tsentence", "{}\tA square."),
        ("\ufeffimage,comment_number,caption", "{},0,A square."),
    ],
)
def test_a_table_may_be_divided_and_named_otherwise(heading, row, tmp_path):
    path = album(tmp_path, "captions.csv")
    (path / "captions.csv").write_text(
        "\n".join([heading, *(row.format(f"{i:02}.png") for i in range(15))]), "utf-8"
    )
    assert set(everything(load("", "folder", str(path)))) == {("A square",)}


@pytest.mark.parametrize(
    "line", ["{},A square.", "{}#0\tA square .", "{}| 0| A square", '{},"A square."']
)
def test_lines_of_captions_are_read_however_flickr_is_passed_on(line, tmp_path):
    path = album(tmp_path, "captions.txt")
    (path / "captions.txt").write_text(
        "\n".join(["image,caption", *(line.format(f"{i:02}.png") for i in range(15))])
    )
    data = load("", "folder", str(path))
    assert set(everything(data)) == {("A square",)} and not data.problems


def test_what_cannot_be_used_is_told_and_the_rest_is_used(tmp_path):
    path = album(tmp_path / "album", "metadata.jsonl")
    Image.new("RGB", (40, 40)).save(tmp_path / "outside.png")
    (path / "broken.png").write_bytes(b"\x89PNG but no more")
    (path / "twice.png").write_bytes((path / "03.png").read_bytes())
    (path / "text.png").write_text("a letter")
    lines = [
        json.dumps({"file_name": name, "text": "something"})
        for name in (
            "gone.png",
            "../outside.png",
            str(tmp_path / "outside.png"),
            "broken.png",
            "twice.png",
            "text.png",
        )
    ]
    lines += [
        "{ no json",
        json.dumps(["a", "list"]),
        json.dumps({"file_name": "04.png"}),
        json.dumps({"text": "whose?"}),
    ]
    with open(path / "metadata.jsonl", "a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(lines))
    data = load("", "folder", str(path))
    assert len(data.train) + len(data.test) == 15
    assert [line.split(". ")[0] for line in data.problems] == [
        "3 names of no picture in the folder: gone.png, ../outside.png and 1 more",
        "3 entries cannot be read; left out: metadata.jsonl, line 22, metadata.jsonl, line 23 and "
        "1 more",
        "metadata.jsonl, line 24: no caption; left out",
        "broken.png: “broken.png” starts like a PNG picture but is damaged or incomplete",
        "twice.png: shows what 03.png shows; left out",
        "text.png: “text.png” is a text, not a picture",
    ]


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda p: None, "is not a folder"),
        (lambda p: p.mkdir(), "holds no list of captions"),
        (lambda p: (p.mkdir(), (p / "captions.csv").write_text("a,b\n1,2")), "names its columns"),
        (
            lambda p: (p.mkdir(), (p / "captions.csv").write_bytes(b"\xff\xfe\x00text")),
            "not text in UTF-8",
        ),
        (lambda p: (p.mkdir(), (p / "captions.csv").write_text("")), "names its columns"),
        (lambda p: album(p, "captions.txt", count=4), "at least 10 are needed"),
    ],
)
def test_an_album_that_cannot_be_used_gets_a_sentence(make, told, tmp_path):
    make(tmp_path / "album")
    with pytest.raises(SettingsError, match=told):
        load("", "folder", str(tmp_path / "album"))


@pytest.mark.parametrize(
    "text, clean",
    [
        ("A dog runs .", "A dog runs"),
        ("  two\n cats. ", "two cats"),
        (None, ""),
        ("...", ""),
        ("It is 3.5 m", "It is 3.5 m"),
    ],
)
def test_captions_are_tidied(text, clean):
    assert tidy(text) == clean


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "training/samples", "a/b/c"])
def test_a_path_is_no_name_on_the_hub(name):
    with pytest.raises(SettingsError, match="no name on the Hub"):
        load(name, "hub")
