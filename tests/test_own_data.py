"""Own data sets: brought in every form, kept whole or not at all, corrected and taken back."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from meals import colours

from training.data.own import bring, corrections, data_set
from training.data.own.records import check_label, check_name
from training.recipe import SettingsError
from training.runs.run import Run


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.fixture
def pets(runs, tmp_path) -> data_set.DataSet:
    return bring.add(runs, "pets", [zipped(colours(tmp_path / "pets", each=6))]).data_set


def leftovers(runs: Path) -> list[str]:
    home = runs / "datasets"
    return [path.name for path in home.glob(".*") if path.name != ".lock"]


# -- bringing --------------------------------------------------------------------------------------
def test_a_zip_becomes_a_data_set_with_its_bytes_as_they_were(runs, tmp_path):
    source = colours(tmp_path / "pets", each=6)
    added = bring.add(runs, "pets", [zipped(source)])
    assert added.new and added.count == 18 and not added.problems
    items = added.data_set.list_items()
    brought = {path.read_bytes() for path in source.rglob("*.png")}
    assert {item.path.read_bytes() for item in items} == brought
    assert [item.name for item in items[:2]] == ["00.png", "01.png"]
    (summary,) = data_set.list_all(runs)
    assert summary.kind == "pictures" and summary.revision == added.data_set.revision
    assert summary.classes == {"colour0": 6, "colour1": 6, "colour2": 6}
    assert summary.bytes == sum(map(len, brought))
    assert not leftovers(runs)


def test_what_load_dataset_reads_is_what_was_brought(runs, pets, tmp_path):
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(pets.data), cache_dir=str(tmp_path / "cache")
    )
    assert list(rows) == ["train"] and len(rows["train"]) == 18
    assert rows["train"].features["label"].names == pets.classes
    assert np.bincount(rows["train"]["label"]).tolist() == [6, 6, 6]


def test_a_folder_some_files_and_a_class_are_added_to_what_is_there(runs, pets, tmp_path):
    more = colours(tmp_path / "more", classes=2, each=4, seed=5)
    added = bring.add(runs, "pets", [more])
    assert not added.new and added.classes == {"colour0": 4, "colour1": 4}
    files = sorted(colours(tmp_path / "loose", classes=1, each=3, seed=9).rglob("*.png"))
    assert bring.add(runs, "pets", files, label="new one").classes == {"new one": 3}
    named = [(path, f"pets/other/{path.name}") for path in files]
    assert bring.add(runs, "pets", named).classes == {"other": 3}
    assert len(pets.list_items()) == 18 + 8 + 3 + 3
    again = bring.add(runs, "pets", [more])
    assert again.count == 0 and "8 files are in the data set already" in again.problems[0]
    assert not leftovers(runs) and not (pets.path / "arriving").exists()


def test_another_kind_is_not_added(runs, pets, tmp_path):
    album = colours(tmp_path / "album", classes=1)
    (album / "captions.csv").write_text(
        "file_name,caption\n" + "\n".join(f"{i:02}.png,a red thing" for i in range(12))
    )
    with pytest.raises(SettingsError, match="holds pictures, and this is captions"):
        bring.add(runs, "pets", [album], kind="captions")
    assert bring.add(runs, "album", [album]).data_set.kind == "captions" and not leftovers(runs)


def test_loose_files_without_a_class_are_refused_in_a_sentence_without_a_path(runs, tmp_path):
    files = sorted(colours(tmp_path / "loose", classes=1).rglob("*.png"))
    with pytest.raises(SettingsError, match="^What was brought holds 0 usable.*name the class"):
        bring.add(runs, "pets", files)
    assert data_set.list_all(runs) == [] and not leftovers(runs)


def test_a_list_of_a_directory_without_data_sets_makes_none(runs):
    assert data_set.list_all(runs) == [] and list(runs.iterdir()) == []


# -- names -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["pets", "Meine Tiere 2", "犬と猫", "कुत्ते", "a-b_c", "x" * 60])
def test_names_have_letters_of_any_script(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "..", "a/b", "../x", "a\\b", ".hidden", "a\nb", "x" * 61, "-_-", "a\0", None]
)
def test_no_name_is_a_path(runs, name):
    with pytest.raises(SettingsError) as error:
        check_name("a\0b" if name == "a\nb" else name)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("label", ["", "..", "a/b", ".git", "a\nb", "__MACOSX", "x" * 101])
def test_no_class_is_a_path(label):
    with pytest.raises(SettingsError, match=r"\.$"):
        check_label(label)


def test_a_name_that_reads_like_another_one_is_refused(runs, pets, tmp_path):
    with pytest.raises(SettingsError, match="reads like"):
        bring.add(runs, "Pets", [colours(tmp_path / "x")])


# -- renaming and removing -------------------------------------------------------------------------
def test_a_data_set_is_renamed_exported_added_again_and_removed(runs, pets, tmp_path):
    before = pets.revision
    assert data_set.rename(runs, "pets", "dogs").revision == before
    packed = data_set.export(runs, "dogs", tmp_path / "dogs.zip")
    assert bring.add(runs, "again", [packed]).data_set.revision == before
    data_set.remove(runs, "dogs")
    assert [each.name for each in data_set.list_all(runs)] == ["again"] and not leftovers(runs)
    with pytest.raises(SettingsError, match="There is no data set 'dogs'. There are: again."):
        data_set.find(runs, "dogs")


def test_what_a_run_uses_is_neither_renamed_nor_removed(runs, pets):
    run = Run.create(runs, "food", {"source": "own", "dataset": "pets"}, slot="food")
    for act in (data_set.remove, lambda *at: data_set.rename(*at, "dogs")):
        with pytest.raises(SettingsError, match=f"used by the run {run.id}, which is queued"):
            act(runs, "pets")
    run.set_status("stopped")
    data_set.remove(runs, "pets")


# -- corrections -----------------------------------------------------------------------------------
def test_each_correction_is_a_new_revision_and_can_be_undone(runs, pets):
    first = pets.revision
    item = pets.list_items()[0]
    bytes_before = item.path.read_bytes()
    made = corrections.correct_label(pets, item.id, "COLOUR1")
    assert (made["before"], made["after"]) == ("colour0", "colour1")
    revisions = [first, pets.revision]
    corrections.leave_out(pets, item.id)
    assert len(pets.list_items()) == 17 and len(pets.list_left_out()) == 1
    revisions.append(pets.revision)
    corrections.correct_label(pets, item.id, "a new class")
    assert pets.classes[0] == "a new class" and not pets.list_left_out()
    revisions.append(pets.revision)
    corrections.merge(pets, "colour2", "colour0")
    assert pets.classes == ["a new class", "colour0", "colour1"]
    for expected in revisions[::-1]:
        corrections.undo(pets)
        assert pets.revision == expected
    assert len(set(revisions)) == 4 and pets.list_items()[0].path.read_bytes() == bytes_before
    assert len(pets.record["corrections"]) == 4 and not corrections.list_standing(pets)
    assert data_set.list_all(runs)[0].revision == first
    with pytest.raises(SettingsError, match="no correction to undo"):
        corrections.undo(pets)


def test_what_is_right_is_remembered_and_changes_nothing(pets):
    before = pets.revision
    item = pets.list_items()[0].id
    corrections.confirm(pets, item)
    assert pets.revision == before and corrections.list_confirmed(pets) == {item}


def test_copies_of_an_item_are_corrected_together(runs, pets, tmp_path):
    item = pets.list_items()[0]
    copy = tmp_path / item.name
    shutil.copy(item.path, copy)
    bring.add(runs, "pets", [copy], label="colour1")
    bring.add(runs, "pets", [copy], label="colour2")
    assert len(pets.find_items(item.id)) == 3
    before = pets.revision
    corrections.correct_label(pets, item.id, "colour1")
    copies = pets.find_items(item.id)
    assert [each.label for each in copies] == ["colour1"] * 3
    corrections.undo(pets)
    assert pets.revision == before


def test_captions_are_corrected_left_out_and_put_back(runs, tmp_path):
    album = colours(tmp_path / "album", classes=1)
    (album / "captions.csv").write_text(
        "file_name,caption\n" + "\n".join(f"{i:02}.png,a red thing" for i in range(12))
    )
    found = bring.add(runs, "album", [album]).data_set
    item = found.list_items()[0]
    first = found.revision
    corrections.correct_captions(found, item.id, ["one  thing", "another"])
    assert found.list_items()[0].captions == ("one thing", "another")
    second = found.revision
    corrections.leave_out(found, item.id)
    assert len(found.list_items()) == 11
    assert found.list_left_out()[0].captions == ("one thing", "another")
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(found.data), cache_dir=str(tmp_path / "cache")
    )
    assert len(rows["train"]) == 11 and rows["train"][0]["captions"] == ["a red thing"]
    corrections.undo(found)
    assert found.revision == second
    corrections.undo(found)
    assert found.revision == first
    with pytest.raises(SettingsError, match="holds captions, and no classes"):
        corrections.correct_label(found, item.id, "cat")
    one = next(iter(colours(tmp_path / "one", classes=1, each=1, seed=3).rglob("*.png")))
    bring.add(runs, "album", [one], captions=["a photo of mine"])
    assert len(found.list_items()) == 13
