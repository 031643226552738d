"""Own data sets: brought in every form, kept whole or not at all, corrected and taken back."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from meals import TWO_STEPS, colours, network, published
from PIL import Image
from voices import tones

from training import __main__ as command
from training.data.captions import read_captions
from training.data.own import bring, corrections, data_set, use
from training.data.own.records import check_label, check_name
from training.recipe import SettingsError
from training.recipes.audio_intent import data as load_sounds
from training.recipes.captioning import data as load_captions
from training.recipes.food import data as load_food
from training.runs import job
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


def test_a_class_is_renamed_and_many_decisions_are_taken_back_at_once(pets):
    before = pets.revision
    some = [item.id for item in pets.list_items() if item.label == "colour0"]
    aside = corrections.leave_out_all(pets, [*some, "gone"])
    assert len(aside) == len(some) and pets.classes == ["colour1", "colour2"]
    renamed = corrections.rename_class(pets, "colour1", "red")
    merged = corrections.rename_class(pets, "colour2", "Red")  # a person takes it for the same
    assert (renamed["did"], merged["did"]) == ("rename", "merge") and pets.classes == ["red"]
    decisions = {each["at"] for each in (*aside, renamed, merged)}
    assert len(corrections.undo_all(pets, decisions)) == len(some) + 2
    assert pets.revision == before and not corrections.list_standing(pets)
    with pytest.raises(SettingsError, match="taken back before"):
        corrections.undo_all(pets, decisions)
    for act, said in (
        (lambda: corrections.rename_class(pets, "red", "blue"), "There is no class 'red'"),
        (lambda: corrections.rename_class(pets, "colour0", "colour0"), "already"),
        (lambda: corrections.leave_out_all(pets, ["gone"]), "None of these"),
        (lambda: corrections.put_back(pets, some), "None of these"),
    ):
        with pytest.raises(SettingsError, match=said):
            act()


def test_chained_moves_are_taken_back_together(pets):
    before = pets.revision
    moved = [
        corrections.rename_class(pets, "colour0", "a"),
        corrections.rename_class(pets, "a", "b"),
    ]
    corrections.undo_all(pets, {each["at"] for each in moved})
    assert pets.revision == before


def test_a_class_that_reads_like_one_that_is_there_joins_it(runs, pets, tmp_path):
    files = sorted(colours(tmp_path / "more", classes=1, each=3, seed=9).rglob("*.png"))
    assert bring.add(runs, "pets", files, label="COLOUR0").classes == {"colour0": 3}
    named = [(path, f"pets/Colour1/{path.name}") for path in files]
    assert bring.add(runs, "pets", named).classes == {"colour1": 3}
    assert pets.classes == ["colour0", "colour1", "colour2"]


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


# -- learning from it ------------------------------------------------------------------------------
@pytest.fixture
def learned(runs, pets, quick_picture):
    """A food run that learned from pets, and takes up to two steps."""
    start = published(runs, network("resnet", ["a", "b"])).id
    settings = {**TWO_STEPS, "source": "own", "dataset": "pets", "start": start, "limit": 0}
    run = use.create_run(runs, "food", settings)
    assert command.main(["food", "--run", run.id]) == command.DONE, run.status
    load_food.load_once.cache_clear()
    return run


def test_a_run_records_the_name_and_the_revision_and_no_path(runs, pets, learned):
    stored = learned.settings
    assert stored["config"]["dataset"] == "pets" and stored["revision"] == pets.revision
    assert stored["config"]["folder"] == "" and str(runs) not in str(stored)
    assert "the data set pets" in stored["data"]
    card = (learned.checkpoint / "README.md").read_text()
    assert "--source own --dataset pets" in card and "--folder" not in card


def test_a_run_goes_on_with_the_revision_that_it_began_with_only(runs, pets, learned, capsys):
    item = pets.list_items()[0].id
    corrections.correct_label(pets, item, "colour1")
    words = f"{learned.id} learned from revision {learned.revision} of 'pets'"
    with pytest.raises(SettingsError, match=words):
        use.continue_run(runs, learned.id, {})
    queued = job.continue_run(runs, learned.id, {})  # corrected while it waited in the queue
    assert command.main(["food", "--run", queued.id]) == command.SETTINGS
    assert "cannot be continued" in queued.status["reason"]
    told = ["evaluate", learned.id, "food", "--source", "own", "--dataset", "pets"]
    assert command.main(told) == command.DONE
    assert "This score is on what it is now" in capsys.readouterr().out
    corrections.undo(pets)
    load_food.load_once.cache_clear()
    assert command.main(told) == command.DONE
    assert "This score is on" not in capsys.readouterr().out
    use.continue_run(runs, learned.id, {})


@pytest.mark.parametrize(
    "recipe_name, settings, words",
    [
        ("food", {"dataset": "dogs"}, "There is no data set 'dogs'. There are: pets."),
        ("food", {}, "needs the name of a data set"),
        ("food", {"dataset": "../pets"}, "names a folder of this machine"),
        ("audio_intent", {"dataset": "pets"}, "'pets' holds pictures, and this learns from sounds"),
        ("captioning", {"dataset": "pets"}, "and this learns from captions"),
        ("food", {"dataset": "pets", "folder": "x"}, "only the command line"),
    ],
)
def test_what_does_not_fit_is_refused_before_there_is_a_run(
    runs, pets, recipe_name, settings, words
):
    with pytest.raises(SettingsError, match=words):
        use.create_run(runs, recipe_name, {"source": "own", **settings}, local=False)
    assert Run.all(runs) == []


def test_own_data_is_read_as_the_folder_that_it_came_from(runs, tmp_path):
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        colours(tmp_path / "own" / split, each=6, seed=seed)
    added = bring.add(runs, "own", [zipped(tmp_path / "own")])
    assert added.data_set.preview().splits == {"train": 18, "validation": 18, "test": 18}
    own = load_food.load("", "own", str(added.data_set.path))
    folder = load_food.load("", "folder", str(tmp_path / "own"))
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(own, part), getattr(folder, part)
        assert np.array_equal(np.sort(mine.keys), np.sort(theirs.keys))
    assert own.classes == folder.classes and own.name == "the data set own"


def test_classes_may_be_called_as_splits_are(runs, tmp_path):
    own = colours(tmp_path / "own", classes=2, each=6)
    files = sorted(path for path in own.rglob("*.png"))
    bring.add(runs, "rails", files[:6], label="train")
    added = bring.add(runs, "rails", files[6:], label="test")
    found = load_food.load("", "own", str(added.data_set.path))
    assert found.classes == ["test", "train"] and len(found.train) + len(found.test) == 12


def test_a_picture_that_is_corrected_while_it_is_learned_from_is_found(pets):
    data = load_food.load("", "own", str(pets.path))
    for item in pets.list_items()[:3]:
        corrections.correct_label(pets, item.id, "elsewhere")
    corrections.leave_out(pets, pets.list_items()[5].id)
    for part in (data.train, data.test):
        assert all(part.read_one(i).size for i in range(len(part)))


def test_what_is_left_of_too_few_is_refused_without_a_path(runs, tmp_path):
    own = bring.add(runs, "few", [colours(tmp_path / "few", each=2)]).data_set
    with pytest.raises(SettingsError, match="^The data set few holds 0 usable classes"):
        load_food.load("", "own", str(own.path))


def test_sounds_and_captions_are_learned_from_too(runs, tmp_path):
    sounds = bring.add(runs, "calls", [tones(tmp_path / "calls", classes=2)]).data_set
    assert sounds.kind == "sounds" and sounds.preview().seconds
    data = load_sounds.load("", "own", str(sounds.path))
    assert len(data.classes) == 2 and len(data.train) and data.revision == sounds.revision
    album = colours(tmp_path / "album", classes=1)
    (album / "captions.csv").write_text(
        "file_name,caption\n" + "\n".join(f"{i:02}.png,a red thing" for i in range(12))
    )
    said = bring.add(runs, "album", [album]).data_set
    found = load_captions.load("", "own", str(said.path))
    assert len(found.train) + len(found.test) == 12 and found.revision == said.revision
    assert found.name == "the data set album"


# -- laid out as people have it --------------------------------------------------------------------
def own_and_folder(runs: Path, source: Path) -> tuple[dict, dict]:
    """Classes and how many pictures of each, by both ways in."""
    own = bring.add(runs, "own", [zipped(source)]).data_set
    found = []
    for data in (
        load_food.load("", "own", str(own.path)),
        load_food.load("", "folder", str(source)),
    ):
        labels = np.concatenate([data.train.strata, data.test.strata])
        counts = np.bincount(labels, minlength=len(data.classes)).tolist()
        found.append(dict(zip(data.classes, counts, strict=True)))
    return found[0], found[1]


LAYOUTS = {
    "a level too much": lambda own: [own / "my-pictures" / f"colour{i}" for i in range(3)],
    "two levels": lambda own: [own / "a" / "b" / f"colour{i}" for i in range(3)],
    "names that read alike": lambda own: [own / "hot dog", own / "hot_dog", own / "other"],
    "odd names": lambda own: [own / "v1.2 <b>", own / "Crème brûlée", own / "10"],
    "folders in classes": lambda own: [own / "a" / "x", own / "a" / "y", own / "b" / "z"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_as_a_folder_is(runs, tmp_path, layout):
    made = colours(tmp_path / "made", each=6)
    targets = LAYOUTS[layout](tmp_path / "own")
    for target, source in zip(targets, sorted(made.iterdir()), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    junk = tmp_path / "own" / "__MACOSX" / "x"
    junk.mkdir(parents=True)
    (junk / "._00.png").write_bytes(b"\0\5\x16\7")
    own, folder = own_and_folder(runs, tmp_path / "own")
    assert own == folder and sum(own.values()) == 18


def test_pictures_are_known_by_their_content_and_get_an_ending(runs, tmp_path):
    own = colours(tmp_path / "own", classes=2, each=6)
    (own / "colour0" / "00.png").rename(own / "colour0" / "photo")
    heic = Image.open(own / "colour0" / "01.png")
    heic.save(own / "colour0" / "01.HEIC", "HEIF")
    found = bring.add(runs, "own", [own]).data_set
    names = {item.name for item in found.list_items() if item.label == "colour0"}
    assert "photo.png" in names and "01.HEIC" in names


@pytest.mark.parametrize(
    "name, text",
    [
        ("captions.csv", 'file_name,caption\n00.png,"two\nlines"\n01.png,a\u2028b\n'),
        ("metadata.csv", "file_name,text\n00.png,one\n01.png,two\n"),
        (
            "metadata.jsonl",
            '{"file_name": "00.png", "text": "one"}\n{"file_name": "01.png", "text": "two"}',
        ),
        ("captions.txt", "00.png#0\tone\n01.png#0\ttwo\n"),
        (
            "captions.json",
            '{"images": [{"id": 1, "file_name": "00.png"}, {"id": 2, "file_name": "01.png"}], '
            '"annotations": [{"image_id": 1, "caption": "one"}, '
            '{"image_id": 2, "caption": "two"}]}',
        ),
    ],
)
def test_every_list_of_captions_is_read_as_a_folder_is(runs, tmp_path, name, text):
    album = colours(tmp_path / "album", classes=1, each=2) / "colour0"
    (album / name).write_text(text, "utf-8")
    found = bring.add(runs, "album", [album]).data_set
    assert found.kind == "captions"
    expected = [tuple(each) for each in read_captions(album).texts]
    assert [item.captions for item in found.list_items()] == expected and len(expected) == 2


# -- the command -----------------------------------------------------------------------------------
def test_the_command_adds_lists_checks_renames_exports_and_removes(runs, tmp_path, capsys):
    def say(*words) -> str:
        assert command.main(["datasets", *map(str, words)]) == command.DONE
        return capsys.readouterr().out

    packed = zipped(colours(tmp_path / "pets", classes=2, each=6))
    assert "no data set yet" in say("list")
    assert "Made pets: 12 pictures (colour0: 6, colour1: 6)." in say(
        "add", packed, "--name", "pets"
    )
    loose = sorted(colours(tmp_path / "loose", classes=1, each=2, seed=5).rglob("*.png"))
    told = say("add", *loose, "--name", "pets", "--label", "colour2")
    assert "Added to pets: 2 pictures (colour2: 2)." in told
    assert "pets: 14 pictures of 3 classes" in say("list")
    assert "1 class has fewer than 5" in say("check", "pets")
    say("rename", "pets", "my pets")
    say("export", "my pets", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").stat().st_size > packed.stat().st_size
    say("remove", "my pets")
    assert "no data set yet" in say("list")


def test_the_command_refuses_in_a_sentence(runs, tmp_path, capsys):
    for words in (["check", "pets"], ["add", str(tmp_path / "none.zip"), "--name", "pets"]):
        assert command.main(["datasets", *words]) == command.SETTINGS
        told = capsys.readouterr().err
        assert told.startswith("error: There is no") and str(tmp_path) not in told
