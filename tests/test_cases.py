"""Files as real people have them: folders of splits, a level too much, names that read alike, lists
of captions in every form; each as a public bug report or a forum has it, small."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from albums import album
from meals import colours
from PIL import Image

from training.data import folders
from training.data.captions import read_captions
from training.data.examples import Data
from training.data.problems import Problem, count_problems
from training.data.splits import name_splits
from training.learn import finetune
from training.recipe import SettingsError
from training.recipes.captioning.data import load as load_captions
from training.recipes.food.config import Config
from training.recipes.food.data import load as load_food


def split_folder(path: Path, **classes: dict[str, int]) -> Path:
    """A folder of splits, each with so many pictures of a class; no two alike."""
    seed = 0
    for split, counts in classes.items():
        for name, count in counts.items():
            seed += 1
            made = colours(path.parent / f"made{seed}", classes=1, each=count, seed=seed)
            (path / split).mkdir(parents=True, exist_ok=True)
            (made / "colour0").rename(path / split / name)
            made.rmdir()
    return path


def sizes(data: Data) -> tuple[int, int, int]:
    return len(data.train), len(data.validation or ()), len(data.test)


def food(path: Path) -> Data[Image.Image]:
    return load_food("", "folder", str(path))


# -- splits ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "names, meant",
    [
        (["test", "train", "val"], ["test", "train", "validation"]),
        (["TEST", "Train"], ["test", "train"]),
        (["testing", "training", "valid"], ["test", "train", "validation"]),
        (["eval", "train"], ["test", "train"]),
        (["eval", "test", "train"], ["validation", "test", "train"]),
        (["notes", "test", "train "], ["", "test", "train"]),
        (["bus", "car", "train"], ["", "", ""]),  # what runs on rails
        (["test", "val"], ["", ""]),
        (["train"], [""]),
    ],
)
def test_splits_are_known_by_what_they_are_called_beside_each_other(names, meant):
    assert name_splits(names) == meant


def test_the_folders_of_splits_are_kept_and_are_no_classes(tmp_path):
    path = split_folder(
        tmp_path / "own",
        train={"green": 8, "red": 9},
        Val={"green": 3, "red": 2},
        TEST={"red": 4, "green": 4},
    )
    data = food(path)
    assert data.classes == ["green", "red"] and sizes(data) == (17, 5, 8)
    assert np.bincount(data.train.strata).tolist() == [8, 9] and not data.problems
    assert data.notes == ["train, Val, TEST are kept as the splits that they are."]
    assert data.about == "the 8 test pictures of the folder own"
    part, validation = finetune.choose_examples(data, Config(holdout=0.3))
    assert len(part) == 17 and set(validation.places) == set(data.validation.places)
    assert len(finetune.choose_examples(data, Config(holdout=0.0))[1]) == 0


def test_without_a_validation_split_a_part_of_train_is_held_out(tmp_path):
    data = food(split_folder(tmp_path / "own", Train={"a": 9, "b": 9}, TEST={"a": 2, "b": 2}))
    assert sizes(data) == (18, 0, 4)
    part, validation = finetune.choose_examples(data, Config(holdout=0.2))
    assert len(part) + len(validation) == 18 and len(validation)


def test_without_a_test_split_the_validation_one_is_what_is_measured_on(tmp_path):
    data = food(split_folder(tmp_path / "own", train={"a": 9, "b": 9}, val={"a": 3, "b": 3}))
    assert sizes(data) == (18, 0, 6) and "There is no test folder" in data.notes[-1]


def test_splits_may_have_longer_names_and_a_folder_too_much_each(tmp_path):
    path = split_folder(
        tmp_path / "own", seg_train={"a": 6, "b": 6}, seg_test={"a": 2, "b": 2}, seg_pred={"c": 6}
    )
    for name in ("seg_train", "seg_test"):
        (path / name).rename(tmp_path / "inner")
        (path / name).mkdir()
        (tmp_path / "inner").rename(path / name / name)
    data = food(path)
    assert data.classes == ["a", "b"] and sizes(data) == (12, 0, 4)
    assert data.problems == ["seg_pred: is no split's folder; left out"]


def test_classes_may_have_the_words_of_splits_in_their_names(tmp_path):
    path = colours(tmp_path / "own", classes=2, each=6)
    (path / "colour0").rename(path / "test tube")
    (path / "colour1").rename(path / "train station")
    assert food(path).classes == ["test tube", "train station"]


def test_empty_splits_and_a_test_split_without_classes_leave_a_fifth_of_train(tmp_path):
    path = split_folder(tmp_path / "own", train={"a": 20, "b": 20})
    (path / "val").mkdir()
    colours(tmp_path / "made", classes=1, each=4, seed=9)
    (tmp_path / "made" / "colour0").rename(path / "test")
    data = food(path)
    assert sum(sizes(data)) == 40 and len(data.test) >= 2 and data.validation is None
    assert data.problems == [
        "4 files are not in a class's subfolder; left out: test/00.png, test/01.png and 2 more"
    ]


def test_a_class_of_the_test_split_alone_is_told_and_a_picture_in_both_is_tested_on(tmp_path):
    path = split_folder(tmp_path / "own", train={"a": 9, "b": 9}, test={"a": 3, "b": 3, "zebra": 6})
    shutil.copy(path / "test" / "a" / "00.png", path / "train" / "a" / "leaked.png")
    data = food(path)
    assert data.classes == ["a", "b"] and sizes(data) == (18, 0, 6)
    assert data.problems == [
        "zebra: is no class of train; left out",
        "train/a/leaked.png: holds what test/a/00.png holds; left out",
    ]


def test_splits_that_hold_no_classes_are_refused_and_not_taken_for_classes(tmp_path):
    path = colours(tmp_path / "own", classes=2)
    (path / "colour0").rename(path / "train")
    (path / "colour1").rename(path / "test")
    with pytest.raises(SettingsError, match="holds 0 usable classes.*kept as the splits"):
        food(path)


def test_moving_a_picture_to_another_split_is_another_revision(tmp_path):
    path = split_folder(tmp_path / "own", train={"a": 9, "b": 9}, test={"a": 3, "b": 3})
    before = food(path).revision
    (path / "train" / "a" / "08.png").rename(path / "test" / "a" / "08.png")
    assert food(path).revision != before


# -- levels and names ------------------------------------------------------------------------------
@pytest.mark.parametrize("level", ["my-pictures", "a/b/c"])
def test_a_lone_folder_above_the_classes_is_stepped_into_and_said(level, tmp_path):
    own = tmp_path / "zip"
    colours(own / level)
    for name in ("__MACOSX/my-pictures/colour0", ".git/objects"):
        (own / name).mkdir(parents=True)
        (own / name / "._00.png").write_bytes(b"\0\5\x16\7")
    (own / ".DS_Store").write_bytes(b"\0")
    data = food(own)
    assert data.classes == ["colour0", "colour1", "colour2"] and sum(sizes(data)) == 36
    assert data.notes == [f"The classes were found in {level}, the only folder in zip."]
    assert not data.problems and data.name == "the folder zip"


def test_splits_may_lie_a_level_deeper(tmp_path):
    split_folder(tmp_path / "zip" / "own", train={"a": 6, "b": 6}, test={"a": 2, "b": 2})
    data = food(tmp_path / "zip")
    assert sizes(data) == (12, 0, 4) and len(data.notes) == 2


def test_a_lone_class_is_no_level_to_step_into(tmp_path):
    colours(tmp_path / "own", classes=1)
    with pytest.raises(SettingsError, match="holds 1 usable class:"):
        food(tmp_path / "own")


def test_classes_whose_names_a_person_takes_for_one_are_joined_with_a_note(tmp_path):
    path = colours(tmp_path / "own", classes=5, each=6)
    names = ("hot dog", "hot_dog", "Hot  Dog", "cre\u0300me", "cr\u00e8me")
    for i, name in enumerate(names):
        (path / f"colour{i}").rename(path / name)
    (path / "nothing").mkdir()
    data = food(path)
    assert data.classes == ["Hot  Dog", "cre\u0300me"] and sum(sizes(data)) == 30
    assert data.notes == [
        'Hot  Dog and hot dog and hot_dog were joined as one class, "Hot  Dog".',
        'cre\u0300me and cr\u00e8me were joined as one class, "cre\u0300me".',
    ]
    assert data.problems == ["nothing: 0 usable files, at least 5 are needed; left out"]


def test_a_class_may_be_written_otherwise_in_another_split(tmp_path):
    path = split_folder(tmp_path / "own", train={"hot dog": 6, "b": 6}, test={"Hot_dog": 2, "B": 2})
    data = food(path)
    assert data.classes == ["b", "hot dog"] and np.bincount(data.test.strata).tolist() == [2, 2]


def test_odd_names_stay_the_classes_that_they_are(tmp_path):
    path = colours(tmp_path / "own", classes=5, each=5)
    names = ["10", "2", "trailing ", "v1.2 <b>bold<", "@x; rm"]
    for i, name in enumerate(names):
        (path / f"colour{i}").rename(path / name)
    assert food(path).classes == sorted(names)


# -- problems --------------------------------------------------------------------------------------
def test_problems_are_counted_by_kind_with_a_few_examples():
    stray = [Problem(f"{i}.txt", "is no picture", "files are no pictures") for i in range(20)]
    broken = [
        Problem("a.png", "a.png is empty. Choose another.", "files could not be read", "empty"),
        Problem("b.png", "b.png is empty. Choose another.", "files could not be read", "empty"),
        Problem("c.png", "c.png is cut off.", "files could not be read", "cut"),
    ]
    assert count_problems([*stray[:1], *broken, *stray[1:]]) == [
        "20 files are no pictures: 0.txt, 1.txt and 18 more",
        "2 files could not be read: a.png and b.png. a.png is empty. Choose another.",
        "c.png: c.png is cut off.",
    ]
    assert count_problems([]) == []


def test_many_files_that_cannot_be_used_are_a_line_for_each_kind(tmp_path):
    path = colours(tmp_path / "own")
    for i in range(20):
        (path / "colour0" / f"{i:02}.txt").write_text("a letter")
        (path / "colour1" / f"empty{i:02}.png").write_bytes(b"")
    told = food(path).problems
    assert len(told) == 2 and told[0].startswith("20 files are not")
    assert told[0].endswith(": colour0/00.txt, colour0/01.txt and 18 more")
    assert told[1].startswith(
        "20 files could not be read; left out: colour1/empty00.png, colour1/empty01.png and 18 more"
    )


# -- captions --------------------------------------------------------------------------------------
def bare(path: Path, count: int = 12) -> list[str]:
    """Pictures without captions: their names."""
    shutil.rmtree(path, ignore_errors=True)
    album(path, "captions.csv", count=count)
    (path / "captions.csv").unlink()
    return [f"{i:02}.png" for i in range(count)]


def say(i: int) -> str:
    return f"a square, number {i}"


def told(path: Path) -> dict[str, list[str]]:
    found = read_captions(path)
    return {file.name: texts for file, texts in zip(found.files, found.texts, strict=True)}


ALL = {f"{i:02}.png": [say(i)] for i in range(12)}


def write_table(path: Path, names: list[str], heading=("file_name", "text"), **form) -> None:
    encoding = form.pop("encoding", "utf-8")
    with open(path, "w", newline="", encoding=encoding) as file:
        table = csv.writer(file, **form)
        table.writerows([heading, *((name, say(i)) for i, name in enumerate(names))])


@pytest.mark.parametrize(
    "file, form",
    [
        ("metadata.csv", {}),
        ("captions.tsv", {"delimiter": "\t"}),
        ("captions.csv", {"delimiter": ";", "encoding": "utf-8-sig"}),
        ("captions.csv", {"delimiter": "\t", "encoding": "utf-16"}),
        ("CAPTIONS.CSV", {"lineterminator": "\r"}),
        ("my list.csv", {"quoting": csv.QUOTE_ALL}),
        ("results.csv", {"delimiter": "|", "heading": ("image_name", "comment")}),
        ("metadata.csv", {"heading": ("File Name", "Caption")}),
    ],
)
def test_tables_of_captions_are_read_however_they_were_saved(file, form, tmp_path):
    names = bare(tmp_path / "own")
    write_table(tmp_path / "own" / file, names, **form)
    assert told(tmp_path / "own") == ALL


def test_a_line_break_within_a_caption_is_one_space_and_a_loose_comma_cuts_nothing(tmp_path):
    bare(tmp_path / "own")
    (tmp_path / "own" / "captions.csv").write_bytes(
        b'sep=;\r\nfile_name;caption\r\n00.png;"a red\ncircle\r\n\r\non ""paper""; indoors"\r\n'
        b"01.png;a dog; two cats\r\n02.png\r\n"
    )
    (tmp_path / "own" / "more").mkdir()
    (tmp_path / "own" / "03.png").rename(tmp_path / "own" / "more" / "03.png")
    (tmp_path / "own" / "more" / "captions.csv").write_text(
        'file_name, caption\n03.png, "a cat, asleep"\n'
    )
    found = read_captions(tmp_path / "own")
    assert dict(zip((f.name for f in found.files), found.texts, strict=True)) == {
        "00.png": ['a red circle on "paper"; indoors'],
        "01.png": ["a dog; two cats"],
        "03.png": ["a cat, asleep"],
    }
    assert str(found.problems[0]) == "captions.csv, line 7: cannot be read; left out"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_feeds_and_carriage_returns_end_a_line(mark, tmp_path):
    names = bare(tmp_path / "own")
    caption = f"a red{mark}circle{mark}"
    forms = {
        "captions.csv": "file_name,caption\n" + "\n".join(f"{n},{caption}" for n in names),
        "captions.txt": "\r\n".join(f"{n}#0\t{caption}" for n in names),
        "metadata.jsonl": "\r".join(
            f'{{"file_name": "{n}", "text": "a red\u2028circle"}}' for n in names
        ),
    }
    for file, text in forms.items():
        (tmp_path / "own" / file).write_text(text, "utf-8", newline="")
        assert told(tmp_path / "own") == {n: ["a red circle"] for n in names}, file
        (tmp_path / "own" / file).unlink()


@pytest.mark.parametrize("ending", ["txt", "caption", "TXT", "png.txt"])
def test_texts_beside_pictures_are_their_captions(ending, tmp_path):
    names = bare(tmp_path / "own")
    for i, name in enumerate(names):
        whole = say(i).replace(", ", ",\r\n")
        (tmp_path / "own" / name.replace("png", ending)).write_text(whole, "utf-8-sig")
    (tmp_path / "own" / "README.txt").write_text("Taken in May.\n")
    found = read_captions(tmp_path / "own")
    assert told(tmp_path / "own") == ALL
    assert [p.where for p in found.problems] == ["README.txt"]


def test_texts_may_have_a_folder_of_their_own(tmp_path):
    names = bare(tmp_path / "own" / "images")
    (tmp_path / "own" / "captions").mkdir()
    for i, name in enumerate(names):
        (tmp_path / "own" / "captions" / name.replace("png", "txt")).write_text(say(i))
    assert told(tmp_path / "own") == ALL


def test_a_list_counts_and_the_texts_beside_pictures_fill_its_gaps(tmp_path):
    names = bare(tmp_path / "own")
    write_table(tmp_path / "own" / "captions.csv", names[:8])
    for i in range(6, 11):
        (tmp_path / "own" / f"{i:02}.txt").write_text("beside")
    found = told(tmp_path / "own")
    assert found == {name: ["beside"] if i >= 8 else [say(i)] for i, name in enumerate(names[:11])}
    album_ = read_captions(tmp_path / "own")
    assert album_.notes == [
        "Of pictures that a list names, the list counts, and not the text beside them: 06.txt and "
        "07.txt."
    ]
    assert [str(p) for p in album_.problems] == ["11.png: has no caption; left out"]


def test_of_two_lists_side_by_side_the_first_counts_and_that_is_said(tmp_path):
    names = bare(tmp_path / "own")
    write_table(tmp_path / "own" / "captions.csv", names)
    (tmp_path / "own" / "metadata.jsonl").write_text('{"file_name": "00.png", "text": "other"}')
    assert told(tmp_path / "own") == ALL
    assert read_captions(tmp_path / "own").notes == [
        "metadata.jsonl was not read, since captions.csv is there."
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda names: {
            "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
            "annotations": [{"image_id": i, "caption": say(i)} for i in range(len(names))],
        },
        lambda names: {
            "images": [
                {"filename": name, "sentences": [{"raw": say(i), "tokens": ["a"]}]}
                for i, name in enumerate(names)
            ]
        },
        lambda names: [{"image": name, "caption": say(i)} for i, name in enumerate(names)],
        lambda names: {name: say(i) for i, name in enumerate(names)},
        lambda names: {name[:-4]: {"caption": say(i)} for i, name in enumerate(names)},
        lambda names: {
            "annotations": [{"image_id": n, "caption": say(i)} for i, n in enumerate(names)]
        },
    ],
)
def test_captions_in_json_are_read_as_coco_has_them_and_in_plainer_forms(make, tmp_path):
    names = bare(tmp_path / "own")
    (tmp_path / "own" / "labels.json").write_text(json.dumps(make(names)))
    assert told(tmp_path / "own") == ALL


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "{", '{"images": 5}', '[5, {"file_name": []}]', "null", '""']
)
def test_json_that_is_no_list_of_captions_is_refused_in_a_sentence(content, tmp_path):
    bare(tmp_path / "own")
    (tmp_path / "own" / "captions.json").write_text(content)
    with pytest.raises(SettingsError, match="captions.json.*"):
        read_captions(tmp_path / "own")


@pytest.mark.parametrize(
    "form",
    [
        "images\\{}",
        "D:\\photos\\own\\images\\{}",
        "/data/me/images/{}",
        "./images/{}",
        "own/IMAGES/{}",
        "{}#3",
    ],
)
def test_pictures_are_found_by_as_much_of_their_path_as_there_is_here(form, tmp_path):
    names = bare(tmp_path / "own" / "images")
    write_table(tmp_path / "own" / "captions.csv", [form.format(name) for name in names])
    assert told(tmp_path / "own") == ALL


def test_a_name_that_two_pictures_have_is_the_nearer_ones_or_nobodys(tmp_path):
    own = tmp_path / "own"
    for name in ("cats", "dogs"):
        bare(own / name, count=3)
    (own / "captions.csv").write_text(
        "path,caption\ncats/00.png,a cat\nx/dogs/00.png,a dog\n01.png,which?\n"
    )
    (own / "dogs" / "captions.csv").write_text("path,caption\n02.png,a second dog\n")
    found = read_captions(own)
    assert {str(f.relative_to(own)): t for f, t in zip(found.files, found.texts, strict=True)} == {
        "cats/00.png": ["a cat"],
        "dogs/00.png": ["a dog"],
        "dogs/02.png": ["a second dog"],
    }
    assert "01.png: no such picture in the folder" in [str(p) for p in found.problems]


def test_a_list_opens_nothing_outside_the_folder_and_no_link_leads_out(tmp_path):
    bare(tmp_path / "own")
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (tmp_path / "own" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "own" / "captions.csv").write_text(
        f"path,caption\n../secret.png,a\n{tmp_path / 'secret.png'},b\nlink.png,c\n00.png,d\n"
    )
    assert told(tmp_path / "own") == {"00.png": ["d"]}


@pytest.mark.parametrize("level", ["train", "zip/my-album"])
def test_an_album_may_lie_in_a_folder_of_its_own(level, tmp_path):
    names = bare(tmp_path / "own" / level)
    write_table(tmp_path / "own" / level / "metadata.csv", names)
    (tmp_path / "own" / "__MACOSX").mkdir()
    (tmp_path / "own" / "__MACOSX" / "._metadata.csv").write_bytes(b"\0\5\x16\7")
    assert told(tmp_path / "own") == ALL
    assert read_captions(tmp_path / "own").parts == [""] * 12


def by_folder(own: Path) -> None:
    for split, first in (("Train", 0), ("val", 6), ("TEST", 9)):
        (own / split).mkdir()
        rows = [(own / f"{i:02}.png", i) for i in range(first, first + (6 if not first else 3))]
        for path, _ in rows:
            path.rename(own / split / path.name)
        (own / split / "metadata.jsonl").write_text(
            "\n".join(json.dumps({"file_name": path.name, "text": say(i)}) for path, i in rows)
        )


def by_list(own: Path) -> None:
    for name, low, high in (("train2017", 0, 6), ("val2017", 6, 9), ("test2017", 9, 12)):
        write = [{"id": i, "file_name": f"{i:02}.png"} for i in range(low, high)]
        said = [{"image_id": i, "caption": say(i)} for i in range(low, high)]
        (own / "annotations").mkdir(exist_ok=True)
        text = json.dumps({"images": write, "annotations": said})
        (own / "annotations" / f"captions_{name}.json").write_text(text)
        (own / "annotations" / f"instances_{name}.json").write_text("{}")


def by_column(own: Path) -> None:
    with open(own / "captions.csv", "w", newline="") as file:
        rows = [
            (f"{i:02}.png", say(i), "train" if i < 6 else "val" if i < 9 else "test")
            for i in range(12)
        ]
        csv.writer(file).writerows([("file_name", "caption", "split"), *rows])


@pytest.mark.parametrize("part", [by_folder, by_list, by_column])
def test_splits_of_an_album_are_kept(part, tmp_path):
    bare(tmp_path / "own")
    part(tmp_path / "own")
    data = load_captions("", "folder", str(tmp_path / "own"))
    assert sizes(data) == (6, 3, 3) and "kept as the splits" in data.notes[-1]
    assert data.about == "the 3 test pictures of the folder own"
    assert sorted(data.test.texts[place][0] for place in data.test.places) == sorted(
        say(i) for i in range(9, 12)
    )


@pytest.mark.parametrize(
    "file, text, words",
    [
        ("captions.csv", "file_name,caption\ngone.png,a\n", "no caption of a picture.*gone.png"),
        ("captions.csv", "file_name,label\n00.png,a\n", "names its columns"),
        ("captions.csv", 'file_name,caption\n00.png,"' + "a" * 200_000, "quotation mark"),
        ("notes.md", "words", "one text for each picture"),
    ],
)
def test_an_album_without_captions_is_refused_with_what_to_do(file, text, words, tmp_path):
    bare(tmp_path / "own")
    (tmp_path / "own" / file).write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_captions(tmp_path / "own")


def test_a_broken_list_does_not_cost_the_texts_beside_the_pictures(tmp_path):
    names = bare(tmp_path / "own")
    for i, name in enumerate(names):
        (tmp_path / "own" / name.replace("png", "txt")).write_text(say(i))
    (tmp_path / "own" / "captions.csv").write_bytes(b"\xe9\xe8")
    assert told(tmp_path / "own") == ALL
    assert "captions.csv is not text in UTF-8" in str(read_captions(tmp_path / "own").problems[0])


def test_a_folder_of_a_system_is_nobodys(tmp_path):
    for name in ("__MACOSX/a.png", "x/@eaDir/a.png", ".hidden/a.png", "x/.DS_Store", "x/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert folders.list_files(tmp_path) == [tmp_path / "x" / "a.png"]


def test_names_that_are_no_text_stop_nobody(tmp_path):
    path = colours(tmp_path / "own", classes=3, each=6)
    odd = os.fsdecode(b"caf\xe9")
    (path / "colour2").rename(path / odd)
    for name in ("1.txt", "2.png"):
        (path / odd / (odd + name)).write_bytes(b"x")
    data = food(path)
    assert data.classes == ["caf?", "colour0", "colour1"]
    assert all(line.encode("utf-8") for line in data.problems) and len(data.problems) == 2
