"""Own data as a program brings, checks and corrects it, through the page's API; and a page where
training is off, which keeps nobody's."""

import shutil
import zipfile

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from meals import colours
from serving import fresh_app, is_a_sentence, served_app
from starlette.testclient import TestClient

from demos import page
from demos.actions import Actions
from demos.own_data import OwnData
from demos.serving.lab import Lab
from training import recipe
from training.data.own import bring, data_set
from training.runs import job
from training.runs.run import Run


@pytest.fixture
def packed(tmp_path):
    folder = colours(tmp_path / "pets", classes=2, each=6)
    shutil.copy(folder / "colour0" / "00.png", folder / "colour1" / "mine.png")
    return shutil.make_archive(str(folder), "zip", folder)


def test_data_is_added_checked_and_corrected_by_a_program(tmp_path, packed):
    (tmp_path / "runs").mkdir()
    with served_app(tmp_path / "runs") as site:
        client = Client(site.local_url, verbose=False)
        try:
            added = client.predict(handle_file(packed), "pets", "", api_name="/add_dataset")
            assert added["new"] and added["classes"] == {"colour0": 6, "colour1": 7}
            (listed,) = client.predict(api_name="/list_datasets")
            assert (listed["name"], listed["count"]) == ("pets", 13)
            told = client.predict("pets", api_name="/check_dataset")
            (finding,) = told["findings"]
            assert finding["kind"] == "two labels" and len(finding["items"]) == 1
            item = finding["items"][0]
            assert told["files"][item] in ("colour0/00.png", "colour1/mine.png")
            made = client.predict("pets", item, "colour0", api_name="/correct_label")
            assert made["after"] == "colour0" and made["revision"] != told["revision"]
            again = client.predict("pets", api_name="/check_dataset")
            assert [each["kind"] for each in again["findings"]] == ["twice"]
            undone = client.predict("pets", item, "", "undo", api_name="/correct_label")
            assert undone["undone"] and undone["revision"] == told["revision"]
            renamed = client.predict("pets", "beasts", api_name="/rename_dataset")
            assert renamed == {"name": "beasts"}
            packed_again = client.predict("beasts", api_name="/download_dataset")
            with zipfile.ZipFile(packed_again) as held:
                assert sum(name.endswith(".png") for name in held.namelist()) == 13
            client.predict("beasts", "pets", api_name="/rename_dataset")
            with pytest.raises(Exception, match="There is no data set 'dogs'. There are: pets."):
                client.predict("food", {"source": "own", "dataset": "dogs"}, api_name="/start_run")
            assert client.predict("pets", api_name="/remove_dataset") == {"removed": "pets"}
            assert client.predict(api_name="/list_datasets") == []
        finally:
            client.close()


@pytest.mark.parametrize(
    "endpoint, data",
    [
        ("add_dataset", [None, "pets", ""]),
        ("add_dataset", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "x", ""]),
        ("add_dataset", [{"path": "/etc/passwd"}, "x", ""]),
        ("check_dataset", ["../runs"]),
        ("check_dataset", [None]),
        ("check_dataset", [["pets"]]),
        ("rename_dataset", ["pets", "../up"]),
        ("rename_dataset", ["dogs", "cats"]),
        ("remove_dataset", ["../runs"]),
        ("download_dataset", ["/etc"]),
        ("correct_label", ["pets", "gone", "x", "label"]),
        ("correct_label", ["pets", None, "x", "undo"]),
        ("correct_label", ["pets", "gone", "x", "burn"]),
        ("correct_label", ["dogs", "gone", "../x", "label"]),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(runs, packed, endpoint, data):
    bring.add(runs, "pets", [bring.Path(packed)])
    with fresh_app(runs) as blocks:
        http = TestClient(gr.routes.App.create_app(blocks))
        answer = http.post(f"/gradio_api/run/{endpoint}", json={"data": data}).json()
    assert is_a_sentence(answer["error"]), answer
    assert [each.name for each in data_set.list_all(runs)] == ["pets"]


def test_a_run_is_started_on_it_by_its_name(runs, packed, monkeypatch):
    monkeypatch.setattr(job, "pump", lambda runs: None)  # it stays in the queue
    bring.add(runs, "pets", [bring.Path(packed)])
    settings = {"source": "own", "dataset": "pets", "method": "frozen"}
    run = Run.find(runs, Actions(Lab(runs, {})).start("food", settings))
    assert run.config["dataset"] == "pets" and run.config["folder"] == ""
    config = recipe.load("food").config(**run.config)
    assert config.resolved_start == "embedded-backbone-pictures" and config.data_name == "pets"


def test_where_training_is_off_nothing_is_stored_nor_listed(runs, packed):
    bring.add(runs, "pets", [bring.Path(packed)])
    before = sorted(runs.rglob("*"))
    off = OwnData(Lab(runs, {}, training=False))
    for act in (
        lambda: off.add(packed, "dogs"),
        off.list_all,
        lambda: off.check("pets"),
        lambda: off.correct("pets", "x", "y", "label"),
        lambda: off.rename("pets", "dogs"),
        lambda: off.remove("pets"),
        lambda: off.pack("pets"),
    ):
        with pytest.raises(gr.Error) as refused:
            act()
        assert refused.value.message == page.OFF
    assert sorted(runs.rglob("*")) == before
