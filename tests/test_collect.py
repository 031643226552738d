"""Collect by class, as the browser asks for it: frames, recordings and files are added, taken out
and back, renamed and merged; what cannot be done is a sentence, and costs nothing of what is
there."""

import base64
import io
import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from meals import colours
from PIL import Image
from serving import encoded, fresh_app, is_a_sentence
from starlette.testclient import TestClient

from demos import collect, page
from demos.collect import Collector
from demos.own_data import OwnData
from demos.serving.lab import Lab
from training.data.own import bring, data_set

RATE = 16_000


def frame(number: int) -> str:
    """A JPEG as a canvas writes it."""
    pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return inline(encoded(Image.fromarray(pixels), "JPEG"), "image/jpeg")


def inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def recording(*parts: tuple[float, float]) -> str:
    """A WAV of (seconds, loudness)."""
    noise = np.random.default_rng(0)
    samples = [loud * noise.uniform(-1, 1, round(long * RATE)) for long, loud in parts]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(samples), RATE, format="WAV")
    return inline(file.getvalue(), "audio/*")


@pytest.fixture
def collector(runs, tmp_path, monkeypatch) -> Collector:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    made = Collector(OwnData(Lab(runs, {}, True)))
    made.keep_upload = lambda path: path
    return made


@pytest.fixture
def cards(collector):
    """Asks as a browser does, about the data set pets."""

    def ask(do: str, **more):
        return collector.answer({"name": "pets", "do": do, **more})

    return ask


def add(cards, label: str, numbers: range) -> dict:
    frames = [frame(number) for number in numbers]
    return cards("add frames", label=label, frames=frames)


def counts(answer: dict) -> dict[str, int]:
    return {each["label"]: each["count"] for each in answer["classes"]}


def items(answer: dict, label: str) -> list[str]:
    return next(each["items"] for each in answer["classes"] if each["label"] == label)


# -- adding ----------------------------------------------------------------------------------------
def test_frames_of_a_webcam_become_pictures_of_a_class_the_newest_first(cards, runs):
    assert cards("open")["there"] is False
    first = add(cards, "cat", range(4))
    assert first["there"] and first["kind"] == "pictures" and counts(first) == {"cat": 4}
    second = add(cards, "cat", range(4, 6))
    assert len(second["added"]) == 2 and counts(second) == {"cat": 6}
    assert set(items(second, "cat")[:2]) == set(second["added"])
    pets = data_set.find(runs, "pets")
    assert {item.path.suffix for item in pets.list_items()} == {".jpg"}
    assert pets.record["origin"] == ["webcam"]
    sent = {base64.b64decode(frame(number).partition(",")[2]) for number in range(6)}
    assert {item.path.read_bytes() for item in pets.list_items()} == sent
    looks = cards("thumbs", items=items(second, "cat"))["thumbs"]
    assert len(looks) == 6 and all(each.startswith("data:image/jpeg") for each in looks.values())
    assert "<img" in cards("look", item=second["added"][0])["large"]


def test_a_frame_that_cannot_be_read_costs_neither_the_others_nor_what_is_there(cards, runs):
    add(cards, "cat", range(2))
    whole = base64.b64decode(frame(9).partition(",")[2])
    broken = [
        inline(whole[: len(whole) // 2], "image/jpeg"),
        inline(b"no picture", "image/jpeg"),
        "data:image/jpeg;base64,###",
        "data:,",
    ]
    told = cards("add frames", label="cat", frames=[*broken, frame(5)])
    assert counts(told) == {"cat": 3} and len(told["added"]) == 1
    assert told["notes"] == ["4 pictures could not be read: left out."]
    refused = cards("add frames", label="cat", frames=broken)
    assert is_a_sentence(refused["error"]) and counts(refused) == {"cat": 3}
    assert not data_set.find(runs, "pets").record["problems"]  # told, and not kept for ever


def test_the_same_frame_twice_is_said_and_kept_once(cards):
    told = cards("add frames", label="cat", frames=[frame(1), frame(1), frame(2)])
    assert counts(told) == {"cat": 2} and "the same" in told["notes"][0]
    again = add(cards, "cat", range(1, 3))
    assert not again["added"] and "already" in again["notes"][0]


def test_a_recording_is_cut_into_clips_and_what_is_left_out_is_said(cards, runs):
    told = cards("add sound", label="bark", cut="2", sound=recording((4, 0.5), (2, 0), (2.5, 0.5)))
    assert counts(told) == {"bark": 3} and told["kind"] == "sounds"
    assert told["notes"] == [
        "1 piece is silent: left out.",
        "The last 0.5 s are too short for a piece: left out.",
    ]
    clips = [soundfile.info(item.path) for item in data_set.find(runs, "pets").list_items()]
    assert [clip.format for clip in clips] == ["WAV"] * 3
    assert [clip.duration for clip in clips] == [2, 2, 2]
    assert "<audio" in cards("look", item=told["added"][0])["large"]
    at_pauses = recording((1, 0.4), (1, 0), (0.5, 0.4), (1, 0), (2, 0.4))
    assert len(cards("add sound", label="meow", cut="pauses", sound=at_pauses)["added"]) == 3
    assert len(cards("add sound", label="purr", cut="whole", sound=at_pauses)["added"]) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"cut": "2", "sound": inline(b"", "audio/*")},
        {"cut": "2", "sound": inline(b"noise", "audio/*")},
        {"cut": "2", "sound": recording((3, 0))},
        {"cut": "2", "sound": "data:audio/*;base64,#"},
        {"cut": "never", "sound": recording((3, 0.5))},
        {"cut": "2", "sound": 7},
        {"sound": recording((3, 0.5))},
    ],
)
def test_a_recording_that_cannot_be_used_is_refused_in_a_sentence(cards, runs, asked):
    assert is_a_sentence(cards("add sound", label="bark", **asked)["error"])
    assert not data_set.list_all(runs)


def test_files_go_into_a_class(cards, tmp_path):
    paths = [str(path) for path in sorted(colours(tmp_path / "x", 1, 3).rglob("*.png"))]
    (tmp_path / "notes.txt").write_text("nothing to see")
    told = cards("add files", label="wall", paths=[*paths, str(tmp_path / "notes.txt")])
    assert counts(told) == {"wall": 3} and "notes.txt" in told["notes"][0]


def test_a_class_that_reads_like_one_that_is_there_is_that_one(cards):
    add(cards, "hot_dog", range(2))
    assert counts(add(cards, "Hot Dog", range(2, 4))) == {"hot_dog": 4}
    alike = add(cards, "hot dogs", range(4, 5))
    assert alike["alike"] == {"hot dogs": "hot_dog"}


# -- taking out, and back --------------------------------------------------------------------------
def test_what_is_removed_is_put_back_by_undo_or_by_itself(cards):
    there = items(add(cards, "cat", range(4)), "cat")
    removed = cards("remove", items=there[:2])
    assert counts(removed) == {"cat": 2} and removed["told"] == "2 pictures left out."
    assert removed["classes"][0]["aside"] == there[:2]
    back = cards("put back", items=there[:1])
    assert counts(back) == {"cat": 3} and len(back["taken_back"]) == 1
    undone = cards("undo", decisions=removed["decisions"])
    assert items(undone, "cat") == there and undone["told"] == "Undone: 1 picture put back."
    assert is_a_sentence(cards("undo", decisions=removed["decisions"])["error"])


def test_the_last_addition_is_taken_back_alone(cards):
    add(cards, "cat", range(3))
    added = add(cards, "dog", range(3, 8))["added"]
    undone = cards("undo", added=added)
    assert counts(undone) == {"cat": 3, "dog": 0}
    assert undone["told"] == "Undone: 5 pictures left out again."
    assert counts(cards("put back", items=added)) == {"cat": 3, "dog": 5}


def test_many_are_left_out_by_one_writing(cards, runs, monkeypatch):
    there = items(add(cards, "cat", range(30)), "cat")
    written = []
    write = data_set.DataSet.write
    monkeypatch.setattr(
        data_set.DataSet, "write", lambda *given: written.append(1) or write(*given)
    )
    cards("remove", items=there)
    assert len(written) == 2  # what is to be done, and that it is done
    assert len(data_set.find(runs, "pets").record["corrections"]) == 30


# -- names -----------------------------------------------------------------------------------------
def test_a_class_is_renamed_merged_and_taken_apart_again(cards):
    add(cards, "cat", range(3))
    add(cards, "dog", range(3, 5))
    renamed = cards("rename class", label="cat", new="tom")
    assert counts(renamed) == {"dog": 2, "tom": 3} and renamed["told"] == "cat is called tom now."
    merged = cards("rename class", label="tom", new="Dog")
    assert counts(merged) == {"dog": 5} and merged["told"] == "tom is part of dog now."
    assert counts(cards("undo", decisions=merged["decisions"])) == {"dog": 2, "tom": 3}
    assert counts(cards("undo", decisions=renamed["decisions"])) == {"cat": 3, "dog": 2}
    for new in ("cat", "", "../up", ".hidden"):
        assert is_a_sentence(cards("rename class", label="cat", new=new)["error"])
    assert is_a_sentence(cards("rename class", label="cow", new="calf")["error"])


def test_the_case_of_a_name_can_be_mended(cards):
    add(cards, "cat", range(2))
    assert counts(cards("rename class", label="cat", new="Cat")) == {"Cat": 2}


def test_a_data_set_is_renamed_and_called_so_again(cards, runs):
    add(cards, "cat", range(2))
    renamed = cards("rename", new="zoo")
    assert renamed["name"] == "zoo" and renamed["was"] == "pets"
    assert [each.name for each in data_set.list_all(runs)] == ["zoo"]
    assert is_a_sentence(cards("rename", new="x")["error"])  # pets is no more
    back = cards("undo", name="zoo", was="pets")
    assert back["name"] == "pets" and counts(back) == {"cat": 2}


# -- others ----------------------------------------------------------------------------------------
def test_a_data_set_that_was_deleted_meanwhile_does_not_come_back_unsaid(cards, runs):
    there = items(add(cards, "cat", range(2)), "cat")
    data_set.remove(runs, "pets")
    told = cards("add frames", label="cat", frames=[frame(7)], there=True)
    assert "deleted or renamed" in told["error"] and told["there"] is False
    assert not data_set.list_all(runs)
    for do, more in (
        ("remove", {"items": there}),
        ("put back", {"items": there}),
        ("undo", {"added": there}),
        ("undo", {"decisions": [1.0]}),
        ("rename class", {"label": "cat", "new": "tom"}),
        ("rename", {"new": "zoo"}),
        ("thumbs", {"items": there}),
        ("look", {"item": there[0]}),
    ):
        assert is_a_sentence(cards(do, **more)["error"]), do
    assert counts(add(cards, "cat", range(1))) == {"cat": 1}  # said once, a new one is made


def test_two_people_add_to_one_data_set_at_once(cards, runs):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        parts = [range(n, n + 3) for n in range(0, 24, 3)]
        answers = list(pool.map(lambda p: add(cards, f"class {p[0] % 2}", p), parts))
    assert all("error" not in each for each in answers)
    assert counts(cards("open")) == {"class 0": 12, "class 1": 12}
    assert len(data_set.find(runs, "pets").list_items()) == 24


def test_captions_have_no_classes_to_collect(cards, runs, tmp_path):
    photo = next(colours(tmp_path / "x", 1, 1).rglob("*.png"))
    bring.add(runs, "pets", [photo], captions=["A wall."])
    assert cards("open")["kind"] == "captions"
    assert is_a_sentence(add(cards, "cat", range(1))["error"])


@pytest.mark.parametrize(
    "asked",
    [
        None,
        7,
        [],
        {},
        {"do": "burn"},
        {"do": ["open"]},
        {"do": "open", "name": "../runs"},
        {"do": "add frames", "name": "pets"},
        {"do": "add frames", "name": "pets", "label": "cat", "frames": []},
        {"do": "add frames", "name": "pets", "label": "cat", "frames": "x"},
        {"do": "add frames", "name": "pets", "label": "", "frames": [frame(1)]},
        {"do": "add frames", "name": "pets", "label": {"a": 1}, "frames": [frame(1)]},
        {"do": "add frames", "name": "", "label": "cat", "frames": [frame(1)]},
        {"do": "add frames", "name": "pets", "label": "cat", "frames": [frame(1)] * 1000},
        {"do": "add files", "name": "pets", "label": "cat", "paths": [1]},
        {"do": "undo", "name": "pets", "decisions": ["x"]},
        {"do": "undo", "name": "pets", "was": 3},
        {"do": "look", "name": "pets"},
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(collector, asked):
    assert is_a_sentence(collector.answer(asked)["error"])


def test_a_browser_reads_no_file_by_its_path(runs):
    with fresh_app(runs) as blocks:
        http = TestClient(gr.routes.App.create_app(blocks))
        (cards,) = [each for each in blocks.blocks.values() if each.elem_id == "collect"]

        def ask(**asked):
            sent = {"session_hash": "x", "component_id": cards._id, "fn_name": "collect_by_class"}
            return http.post("/gradio_api/component_server/", json={**sent, "data": asked}).json()

        told = ask(do="add frames", name="pets", label="cat", frames=[frame(1)])
        assert counts(told) == {"cat": 1}
        private = str(shutil.copy(Path(__file__), runs / "private.png"))
        for path in ("/etc/passwd", private, "../x", ""):
            refused = ask(do="add files", name="pets", label="cat", paths=[path])
            assert is_a_sentence(refused["error"])


def test_where_training_is_off_nothing_is_collected(runs):
    closed = Collector(OwnData(Lab(runs, {}, False)))
    for asked in (
        {"do": "open", "name": "pets"},
        {"do": "add frames", "name": "pets", "label": "cat", "frames": [frame(1)]},
        {"do": "rename", "name": "pets", "new": "x"},
    ):
        assert closed.answer(asked)["error"] == page.OFF
    assert not (runs / "datasets").exists()
    with fresh_app(runs, training=False) as blocks:
        assert not [each for each in blocks.blocks.values() if each.elem_id == "collect"]


def test_a_full_disk_is_a_sentence(cards, runs, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect, "_make_folder", full)
    told = add(cards, "cat", range(2))
    assert is_a_sentence(told["error"]) and "full" in told["error"]
