"""A wrong answer becomes an example of one's own data; a tab's words are those of its model."""

from pathlib import Path

import gradio as gr
import pytest
from meals import colours, network, published

import app
from demos import own_view, tab_words, teach
from demos.own_data import OwnData
from demos.own_view import list_suspects
from demos.serving.lab import Lab
from training.data.own import bring, corrections, data_set
from training.own_data import describe_check, find_doubted, list_doubts
from training.runs import job
from training.runs.records import write_json


@pytest.fixture
def own(runs):
    return OwnData(Lab(runs, {}, True))


@pytest.fixture
def photo(tmp_path) -> str:
    return str(colours(tmp_path / "one", 1, 1) / "colour0" / "00.png")


def test_a_photo_is_put_where_it_belongs(own, photo):
    add = teach.make_teach(own, "pictures")
    assert "Add a photo first." in add(None, "scarlet", "mine")
    assert "Say what it is first." in add(photo, " ", "mine")
    assert "as <b>scarlet</b>" in add(photo, "scarlet", "mine")
    assert "already" in add(photo, "scarlet", "mine")
    (item,) = data_set.find(own.lab.runs, "mine").list_items()
    assert item.label == "scarlet"
    assert item.path.read_bytes() == Path(photo).read_bytes()


def test_a_sentence_is_put_beside_a_photo(own, photo):
    assert "which holds 1 photo" in teach.make_teach(own, "captions")(photo, "A red wall.", "")
    (item,) = data_set.find(own.lab.runs, "my captions").list_items()
    assert item.captions == ("A red wall.",)


def test_what_cannot_be_kept_is_refused_in_a_sentence(own, photo):
    add = teach.make_teach(own, "pictures")
    assert "cannot be a data set" in add(photo, "scarlet", "../elsewhere")
    assert "cannot be a class" in add(photo, "../up", "mine")
    assert not data_set.list_all(own.lab.runs)


def test_nothing_is_kept_where_training_is_off(runs, photo):
    closed = OwnData(Lab(runs, {}, False, "Training is off."))
    with pytest.raises(gr.Error, match="Training is off"):
        teach.make_teach(closed, "pictures")(photo, "scarlet", "mine")
    assert not (runs / "datasets").exists()


def test_labels_that_a_run_doubts_come_until_a_person_has_decided(own, tmp_path):
    runs = own.lab.runs
    bring.add(runs, "mine", [colours(tmp_path / "mine", 2, 6)])
    found = data_set.find(runs, "mine")
    doubted = found.list_items()[3]
    run = job.create(runs, "food", {"source": "own", "dataset": "mine"})
    run.set_status("done")
    suspect = {"file": doubted.path.name, "label": doubted.label, "said": "colour1"}
    suspects = [{**suspect, "confidence": 0.9}, {"file": 3}, "nonsense"]
    run.report.mkdir(exist_ok=True)
    write_json(run.report / "metrics.json", {"suspects": suspects, "step": 1, "total": 1})
    (doubt,) = list_doubts(found)["suspects"]
    assert doubt["item"] == doubted.id
    (finding,) = find_doubted(list_doubts(found))
    assert finding.suggested == {doubted.id: "colour1"}
    assert "1 example is taken for another class" in describe_check(found)
    first = list_suspects(found, own.check("mine"))[0]
    assert (first["id"], first["said"]) == (doubted.id, "colour1")
    corrections.confirm(found, doubted.id)
    assert doubted.id not in [each["id"] for each in list_suspects(found, own.check("mine"))]


def test_the_card_shows_each_class_and_reads_what_strangers_named(own, tmp_path):
    folder = colours(tmp_path / "mine", 2, 5)
    (folder / "colour0").rename(folder / "<b>loud & proud")
    bring.add(own.lab.runs, "mine", [folder])
    card = own_view.draw_card(data_set.find(own.lab.runs, "mine"))
    assert "10 pictures, 2 classes, short side 40 pixels" in card
    assert "&lt;b&gt;loud &amp; proud" in card
    assert "<b>loud" not in card
    assert card.count("<img") == 10


def test_a_tab_speaks_of_the_classes_that_its_model_knows(runs):
    lab = app.open_lab(runs)
    slot = lab.slots["food"]
    assert tab_words.list_own_classes(slot) is None
    run = published(runs, network("resnet", ["cat", "brown_dog"]))
    slot.swap(run.id)
    assert tab_words.list_own_classes(slot) == ["cat", "brown dog"]
    assert teach.list_classes(slot) == ["cat", "brown_dog"]
