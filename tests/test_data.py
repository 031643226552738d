"""Splits that depend on content alone, and a person's own folders with all that people put into
them."""

import numpy as np
import pytest
from learning import bars, folder_of

from training.data.examples import Data, hold_out, split_off_test
from training.data.folders import list_class_folders
from training.data.hub_examples import read_column
from training.data.splits import bucket, split, stratify
from training.media.pictures import is_picture
from training.media.sounds import is_sound
from training.recipe import SettingsError
from training.recipes.digits import data as digits_data
from training.recipes.digits.data import (
    Pictures,
    hash_for_holdout,
    make_pictures,
    stack_images,
)


def contents(pictures: Pictures) -> set[bytes]:
    return {p.tobytes() for p in stack_images(pictures)}


def shown(classes: int, each: int, seed: int = 0) -> Pictures:
    made = bars(classes, each, seed)
    return make_pictures(made.images, made.labels)


def part(pictures: Pictures, classes: str) -> Data:
    return split_off_test(pictures, list(classes), "pictures", "", "", [])


def held_out(pictures: Pictures, share: float) -> tuple[Pictures, Pictures]:
    """As the recipe holds them out."""
    return hold_out(pictures, share, hash_for_holdout(stack_images(pictures)))


# -- splits ----------------------------------------------------------------------------------------
def test_a_bucket_is_a_number_from_0_to_1_that_follows_the_content_alone():
    assert bucket(b"seven") == bucket(bytes(bytearray(b"seven"))) != bucket(b"eight")
    values = np.array([bucket(str(i).encode()) for i in range(2000)])
    assert values.min() >= 0 and values.max() < 1 and 0.17 < (values < 0.2).mean() < 0.23


def test_the_test_part_is_the_same_in_every_order_and_among_more_pictures():
    few, order = shown(4, 50), np.random.default_rng(1).permutation(200)
    one, other = bars(4, 50), bars(4, 50, seed=2)
    both = make_pictures(
        np.concatenate([one.images, other.images]), np.concatenate([one.labels, other.labels])
    )
    plain, shuffled, larger = (part(p, "abcd") for p in (few, few[order], both))
    assert contents(plain.test) == contents(shuffled.test) == contents(larger.test) & contents(few)


def test_train_validation_and_test_share_no_content_and_hold_every_class():
    data = part(shown(10, 40), "0123456789")
    train, validation = held_out(data.train, 0.1)
    parts = [train, validation, data.test]
    assert sum(len(p) for p in parts) == 400 == len(set().union(*map(contents, parts)))
    assert all(set(p.labels) == set(range(10)) for p in parts)


def test_nothing_is_held_out_when_nothing_is_asked_for():
    train, validation = held_out(shown(2, 5), 0)
    assert len(train) == 10 and len(validation) == 0


@pytest.mark.parametrize("seed", range(20))
def test_five_pictures_a_class_are_enough_for_all_three_parts_but_train_never_goes_without(seed):
    data = part(shown(3, 5, seed), "abc")
    train, validation = held_out(data.train, 0.1)
    assert set(data.test.labels) == set(train.labels) == {0, 1, 2}


def test_a_class_left_out_by_chance_gives_its_nearest_and_one_that_gives_all_keeps_its_farthest():
    buckets, labels = np.array([0.3, 0.6, 0.01, 0.05, 0.9]), np.array([0, 0, 1, 1, 2])
    assert split(buckets, labels, 0, 0.2).tolist() == [False, False, True, True, False]
    assert split(buckets, labels, 0, 0.2, at_least_one=True).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_equal_contents_are_never_parted():
    buckets, labels = np.array([0.3, 0.3, 0.6, 0.1, 0.1]), np.array([0, 0, 0, 1, 1])
    assert split(buckets, labels, 0, 0.2, at_least_one=True).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_limit_gives_every_class_its_share():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    chosen = stratify(labels, 50, seed=0)
    assert len(set(chosen)) == 50 and np.bincount(labels[chosen]).tolist() == [30, 15, 5]


def test_a_limit_that_does_not_divide_is_met_exactly():
    labels = np.repeat([0, 1, 2], [10, 10, 10])
    chosen = stratify(labels, 20, seed=0)
    assert len(set(chosen)) == 20 and sorted(np.bincount(labels[chosen])) == [6, 7, 7]


@pytest.mark.parametrize("limit", [0, 30, 99])
def test_without_a_limit_that_bites_all_come_shuffled(limit):
    chosen = stratify(np.repeat([0, 1, 2], 10), limit, seed=0)
    assert sorted(chosen) == list(range(30)) != chosen.tolist()


def test_the_seed_alone_decides_the_choice():
    labels = np.repeat([0, 1], 50)
    first, again, other = (stratify(labels, 20, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other


# -- folders ---------------------------------------------------------------------------------------
def test_a_folder_gives_its_classes_in_the_order_of_their_names(tmp_path):
    found = list_class_folders(folder_of(bars(3, 5), tmp_path, "cab"), is_picture)
    assert found.classes == ["a", "b", "c"] and len(found.files) == 15 and found.problems == []
    assert all(
        path.parent.name == found.classes[label]
        for path, label in zip(found.files, found.labels, strict=True)
    )


def test_stray_files_are_told_or_silently_skipped_when_a_system_made_them(tmp_path):
    folder = folder_of(bars(2, 5), tmp_path)
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "a/list.csv", "a/desktop.ini", "a/._0.png"):
        (folder / name).write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / "a" / ".checkpoints").mkdir()
    (folder / "a" / ".checkpoints" / "0.png").write_bytes((folder / "a" / "000.png").read_bytes())
    for name in ("__MACOSX", "a/@eaDir"):
        (folder / name).mkdir()
        (folder / name / "0.png").write_bytes((folder / "a" / "000.png").read_bytes())
    found = list_class_folders(folder, is_picture)
    assert found.classes == ["a", "b"] and len(found.files) == 10
    assert sorted(p.where for p in found.problems) == ["a/list.csv", "notes.txt"]


def test_pictures_in_deeper_folders_and_with_loud_endings_count(tmp_path):
    folder = folder_of(bars(2, 5), tmp_path)
    (folder / "a" / "more").mkdir()
    (folder / "a" / "000.png").rename(folder / "a" / "more" / "000.PNG")
    assert len(list_class_folders(folder, is_picture).files) == 10


def test_a_file_counts_by_its_content_or_its_name_and_not_by_its_name_alone(tmp_path):
    folder = folder_of(bars(2, 5), tmp_path)
    whole = (folder / "a" / "000.png").read_bytes()
    (folder / "a" / "000.png").rename(folder / "a" / "no ending")
    (folder / "a" / "001.png").rename(folder / "a" / "download.png?w=200")
    (folder / "a" / "list.csv").write_text("name,class")
    (folder / "a" / "damaged.png").write_bytes(whole[:40])  # load_picture says what is wrong
    found = list_class_folders(folder, is_picture)
    assert [path.name for path in found.files[:6]] == [
        "002.png",
        "003.png",
        "004.png",
        "damaged.png",
        "download.png?w=200",
        "no ending",
    ]
    (problem,) = found.problems
    assert str(problem) == "a/list.csv: not a supported kind of file; left out"


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypM4A ",
        b"\x1aE\xdf\xa3",
        b"#!AMR\n",
        b"OggS",
        b"ID3",
        b"\xff\xfb",
    ],
)
def test_a_sound_is_known_by_its_beginning(tmp_path, head):
    (tmp_path / "voice memo").write_bytes(head + b"\0" * 100)
    assert is_sound(tmp_path / "voice memo") and not is_picture(tmp_path / "voice memo")


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\0\0WEBP", b"\0\0\0\x18ftypheic", b"\xff\xd8\xff", b"\xff\xfeH\0", b""]
)
def test_what_begins_otherwise_is_no_sound(tmp_path, head):
    (tmp_path / "list.txt").write_bytes(head)
    assert not is_sound(tmp_path / "list.txt")


@pytest.mark.parametrize(
    "classes, each, words",
    [
        (1, 8, "holds 1 usable class:"),
        (0, 0, "holds 0 usable classes:"),
        (1, 4, "a: 4 usable files, at least 5"),
        (3, 4, "3 classes have fewer than 5 usable files each; left out: a, b and 1 more"),
    ],
)
def test_too_little_is_refused_with_what_is_needed(tmp_path, classes, each, words):
    folder = folder_of(bars(classes, each), tmp_path)
    with pytest.raises(SettingsError, match="2 subfolders with 5 files each are needed") as error:
        list_class_folders(folder, is_picture)
    assert words in str(error.value)


def test_a_class_with_too_few_is_left_out_and_told(tmp_path):
    folder = folder_of(bars(2, 6), tmp_path)
    (folder / "few").mkdir()
    (folder / "a" / "000.png").rename(folder / "few" / "0.png")
    found = list_class_folders(folder, is_picture)
    assert found.classes == ["a", "b"] and [str(p) for p in found.problems] == [
        "few: 1 usable file, at least 5 are needed; left out"
    ]


@pytest.mark.parametrize("name", ["nothing-here", "a-file"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "a-file").write_text("x")
    with pytest.raises(SettingsError, match="is not a folder"):
        list_class_folders(tmp_path / name, is_picture)


def test_broken_pictures_and_duplicates_are_told_and_left_out(tmp_path):
    folder = folder_of(bars(2, 8), tmp_path)
    (folder / "a" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "a" / "empty.png").write_bytes(b"")
    (folder / "b" / "twin.png").write_bytes((folder / "b" / "008.png").read_bytes())
    (folder / "b" / "elsewhere.png").write_bytes((folder / "a" / "001.png").read_bytes())
    data = digits_data.load("mnist", "folder", str(folder))
    told = "\n".join(data.problems)
    assert "a/000.png: “000.png” starts like a PNG picture" in told and "a/empty.png: " in told
    assert "2 files show what another one shows; left out: b/elsewhere.png and b/twin.png" in told
    assert len(data.train) + len(data.test) == 15 == len(contents(data.train) | contents(data.test))


def test_the_split_of_a_folder_does_not_hang_on_its_file_names(tmp_path):
    pictures = bars(3, 20)
    parts = []
    for name, order in (("one", np.arange(60)), ("two", np.arange(60)[::-1])):
        data = digits_data.load("mnist", "folder", str(folder_of(pictures[order], tmp_path / name)))
        parts.append(contents(data.test))
    assert parts[0] == parts[1]


def test_a_class_of_which_too_few_can_be_read_is_left_out_and_the_others_numbered_anew(tmp_path):
    folder = folder_of(bars(3, 6), tmp_path)
    for path in sorted((folder / "a").iterdir())[:3]:
        path.write_bytes(b"no picture")
    data = digits_data.load("mnist", "folder", str(folder))
    assert data.classes == ["b", "c"] and set(data.train.labels) == set(data.test.labels) == {0, 1}
    assert any(p.startswith("a: 3 different ones") for p in data.problems)


def test_a_folder_in_which_nothing_can_be_read_is_refused_in_a_sentence(tmp_path):
    folder = folder_of(bars(2, 6), tmp_path)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(SettingsError, match="holds 0 classes with at least 5 different examples"):
        digits_data.load("mnist", "folder", str(folder))


def test_the_revision_of_a_folder_changes_with_its_content(tmp_path):
    folder = folder_of(bars(2, 6), tmp_path)
    before, again = (digits_data.load("mnist", "folder", str(folder)).revision for _ in range(2))
    folder_of(bars(2, 7, seed=9), folder)
    assert before == again != digits_data.load("mnist", "folder", str(folder)).revision


# -- what a data set of the Hub names --------------------------------------------------------------
def test_a_row_of_the_hub_opens_files_of_its_own_data_set_alone(tmp_path, monkeypatch):
    import pyarrow

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    own = tmp_path / "hub" / "datasets--me--own"
    for place in (own / "blobs", own / "snapshots" / "1", tmp_path / "hub" / "datasets--me--other"):
        place.mkdir(parents=True)
    (own / "blobs" / "abc").write_bytes(b"blob")
    (own / "snapshots" / "1" / "0.png").symlink_to(own / "blobs" / "abc")
    for secret in (tmp_path / "secret", tmp_path / "hub" / "datasets--me--other" / "0.png"):
        secret.write_bytes(b"secret")
    (own / "out.png").symlink_to(tmp_path / "secret")

    def read(content: bytes | None, path: str | None) -> bytes:
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        rows = pyarrow.array([{"bytes": content, "path": path}], kind)
        return read_column(pyarrow.table({"image": rows}), "image", "me/own")[0](0)

    assert read(b"held", "/etc/passwd") == b"held" and read(b"", str(tmp_path / "secret")) == b""
    assert read(None, str(own / "snapshots" / "1" / "0.png")) == b"blob"
    monkeypatch.chdir(tmp_path)  # no name is one from where the app runs
    for path in (
        str(tmp_path / "secret"),
        "secret",
        "../../secret",
        f"{own}/../../secret",
        str(own / "out.png"),
        str(tmp_path / "hub" / "datasets--me--other" / "0.png"),
        str(own),
        "",
        None,
        "\0",
        "x" * 5000,
    ):
        with pytest.raises(SettingsError, match="row 1 holds no content, and names no file of the"):
            read(None, path)
