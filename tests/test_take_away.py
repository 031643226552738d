"""What leaves: a checkpoint as a zip whose use.py answers as the tab does, with nothing of this
project to import; and as ONNX, which is compared before anybody gets it."""

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
import meals
import numpy as np
import pytest
import soundfile
import torch
import voices
from conftest import left_by_a_run, slow
from gradio_client import Client
from serving import ended_run, is_a_sentence, served_app
from test_timm import Nothing, network

import app
from demos import audio_intent, captioning, digits, food, page, pushing
from demos.pushing import Pushing
from demos.serving import uploads
from demos.serving.lab import Lab
from demos.take_away import TakeAway
from training import __main__ as command
from training.__main__ import DONE, SETTINGS
from training.media.pictures import load_picture
from training.media.sounds import load_sound
from training.publish import held_out, onnx, pack
from training.publish.carried import list_carried
from training.publish.records import Portable
from training.recipe import SettingsError
from training.runs.checkpoint import CheckpointError
from training.runs.run import Run

EXAMPLES = Path(__file__).parent.parent / "demos" / "examples"
CLASSES = ["ant", "bee", "wasp"]
has_onnx = pytest.mark.skipif(
    not all(map(find_spec, onnx.NEEDS)), reason=f"{' and '.join(onnx.NEEDS)} are not installed"
)


def unpack(runs: Path, name: str, folder: Path) -> Path:
    """The folder that a person finds in the zip, which the command wrote."""
    file = folder / "taken.zip"
    given = ["export", name, "--to", "zip", "--file", str(file), "--runs", str(runs)]
    assert command.main(given) == DONE
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder)
    return folder / name


def answer(folder: Path, file: Path) -> list[tuple[float, str]]:
    """What use.py writes, run where nothing of this project is to be found."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HF_HUB_OFFLINE": "1"}
    for code, works in (("import demos", False), (None, True)):
        words = ["-c", code] if code else ["use.py", str(file)]
        ended = subprocess.run(
            [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True
        )
        assert (ended.returncode == 0) == works, ended.stderr
    rows = (line.split("\t") for line in ended.stdout.splitlines())
    return [(float(share), label) for share, label in rows]


def ask_tab(runs: Path, slot: str, run_id: str, file: Path) -> tuple[float, str]:
    """The share of the tab's first answer, and that, by the data set's own name."""
    held = app.open_lab(runs).slots[slot]
    if slot == "audio":
        found = audio_intent.classify(held, load_sound(file, 16_000), run_id)
    elif slot == "captions":
        told = captioning.caption(held, load_picture(file), run_id)
        return told.alternatives[0][1], told.text
    else:
        classify = food.classify if slot == "food" else digits.classify
        found = classify(held, load_picture(file), run_id)
    return next(iter(found.confidences.values())), found.label


def agree(runs: Path, slot: str, run_id: str, file: Path, folder: Path) -> None:
    share, label = answer(unpack(runs, run_id, folder), file)[0]
    due, name = ask_tab(runs, slot, run_id, file)
    assert label == name and share == pytest.approx(due, abs=0.02)


# -- use.py ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "slot, example",
    [
        ("digits", "digits/three_on_paper.jpg"),
        ("food", "food/sushi.png"),
        ("audio", "audio_intent/balance.mp3"),
        ("captions", "captioning/boat.png"),
        *slow(("fashion", "digits/sneaker.png")),
    ],
)
def test_a_checkpoint_answers_outside_as_it_does_in_its_tab(runs, tmp_path, slot, example):
    agree(runs, slot, f"embedded-{slot}", EXAMPLES / example, tmp_path)


def sharpen(model: torch.nn.Module) -> None:
    """So that its first answer stands out."""
    with torch.no_grad():
        for weight in model.classifier.parameters():
            weight.mul_(60)


@pytest.fixture
def tall(tmp_path) -> Path:
    """A photo of another shape and larger than what is looked at, partly transparent."""
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (30, 20, 4), np.uint8)
    path = tmp_path / "tall.png"
    Image.fromarray(noise).resize((900, 1400), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, longest, more",
    [("vit", 0, {}), ("resnet", 48, {"mirrored": True}), ("swin", 0, {"mirrored": True})],
)
def test_a_picture_is_framed_outside_as_it_is_here(runs, tmp_path, tall, kind, longest, more):
    model = meals.network(kind, CLASSES)
    if kind != "resnet":
        sharpen(model)
    model.config.update(more)
    agree(runs, "food", meals.published(runs, model, longest=longest).id, tall, tmp_path)


@pytest.mark.slow
def test_a_network_of_timm_sees_the_middle_outside_too(runs, tmp_path, tall):
    model = network("test_resnet", False)
    run = left_by_a_run(runs, "food", "food", model, Nothing())
    assert "picture.crop" in pack.describe_use(pack.find_checkpoint(runs, run.id), runs).script
    agree(runs, "food", run.id, tall, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav2vec2", "group", "conformer", "whisper"])
@pytest.mark.parametrize("seconds", [1.0, 11.0])
def test_a_recording_is_heard_outside_as_it_is_here(runs, tmp_path, kind, seconds):
    run = voices.published(runs, kind, CLASSES)
    sound = voices.tone(300, seconds, 22_050)
    sound *= np.linspace(0.01, 1, len(sound), dtype=np.float32)
    file = tmp_path / "tone.wav"
    soundfile.write(file, np.stack([sound, 0.5 * sound], 1), 22_050)
    agree(runs, "audio", run.id, file, tmp_path)


def test_what_goes_with_a_network_of_our_own_is_all_that_it_imports():
    carried = list_carried(["training.recipes.digits.picture"])
    assert {
        "training/__init__.py",
        "training/media/pictures.py",
        "training/recipes/digits/ground.py",
        "training/media/budget.py",
    } <= set(carried)
    assert not [place for place in carried if "recipes/food" in place or "runs" in place]


def test_a_zip_holds_the_card_the_licence_and_no_pickle(runs, tmp_path):
    run = ended_run(runs)
    (run.checkpoint / "training_args.bin").write_bytes(b"\x80\x04.")
    files = {path.name for path in unpack(runs, run.id, tmp_path).iterdir()}
    assert {"README.md", "LICENSE", "use.py", "config.json", "model.safetensors"} <= files
    assert "training_args.bin" not in files


def test_a_model_that_does_not_say_how_it_is_used_is_packed_all_the_same(runs, monkeypatch):
    import dataclasses

    from training import recipe

    mute = dataclasses.replace(recipe.load("digits"), use=None)
    monkeypatch.setattr("training.publish.card.recipe.load", lambda name: mute)
    found = pack.find_checkpoint(runs, ended_run(runs).id)
    assert "use.py" not in pack.pack_checkpoint(found, runs).files


# -- refusals --------------------------------------------------------------------------------------
def test_a_run_without_a_checkpoint_says_why(runs, tmp_path, capsys):
    run = Run.create(runs, "digits", {}, slot="digits")
    run.set_status("failed", reason="The disk is full.")
    with pytest.raises(CheckpointError, match="published no checkpoint .its state: failed"):
        TakeAway(Lab(runs, {})).download(run.id)
    assert command.main(["export", run.id, "--to", "zip"]) == SETTINGS
    assert "published no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["digits-1-gone", "../x", "/etc", "", None])
def test_names_of_nothing_are_refused_in_a_sentence(runs, name):
    with pytest.raises(ValueError) as refused:
        TakeAway(Lab(runs, {})).download(name)
    assert is_a_sentence(str(refused.value))


def test_where_training_is_off_nothing_is_handed_out(runs):
    taking = TakeAway(Lab(runs, {}, training=False, alone=True))
    run = ended_run(runs)
    for act in (
        lambda: taking.download(run.id),
        lambda: taking.pack(run.id, None),
        lambda: Pushing(taking.lab, taking.pack, "").pack(run.id, None),
        lambda: Pushing(taking.lab, taking.pack, "").push(run.id, "me/x", True, None),
    ):
        with pytest.raises(gr.Error) as refused:
            act()
        assert refused.value.message == page.OFF


def test_a_full_disk_leaves_nothing_half(runs, tmp_path, monkeypatch):
    def fill(self, path, where):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", fill)
    found = pack.find_checkpoint(runs, ended_run(runs).id)
    with pytest.raises(SettingsError, match="The disk is full"):
        pack.write_zip(pack.pack_checkpoint(found, runs), tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip*")) and not list(tmp_path.glob(".*zip*"))


# -- whose sign-in ---------------------------------------------------------------------------------
def test_the_owners_token_is_used_on_the_owners_own_page_alone(runs, monkeypatch):
    monkeypatch.setattr(pushing, "find_token", lambda: "hf_owners")
    visitor = gr.OAuthToken(token="hf_theirs", scope="write", expires_at=0)
    own = Pushing(Lab(runs, {}, alone=True), TakeAway(Lab(runs, {})).pack, "push RUN owner/name")
    assert own.find_token(None) == "hf_owners"
    for lab in (Lab(runs, {}), Lab(runs, {}, on_space=True, signs_in=True)):
        shared = Pushing(lab, TakeAway(lab).pack, "push RUN owner/name")
        assert shared.find_token(visitor) == "hf_theirs"
        with pytest.raises(SettingsError) as refused:
            shared.find_token(None)
        assert is_a_sentence(str(refused.value))
        assert ("Sign in" in str(refused.value)) == lab.signs_in


@pytest.mark.parametrize(
    "flags, env, alone",
    [
        ([], {}, True),
        (["--host", "localhost"], {}, True),
        (["--share"], {}, False),
        (["--share", "--auth", "a:b"], {}, False),
        (["--host", "0.0.0.0", "--auth", "a:b"], {}, False),
        ([], {"SPACE_ID": "me/lab"}, False),
        ([], {"GRADIO_ROOT_PATH": "https://lab.example.org"}, False),
    ],
)
def test_a_page_is_its_owners_alone_where_nobody_else_reaches_it(monkeypatch, flags, env, alone):
    for name in ("SPACE_ID", "GRADIO_ROOT_PATH", "GRADIO_SERVER_NAME", "GRADIO_SHARE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert app.is_alone(app.options(flags)) == alone


# -- by the API ------------------------------------------------------------------------------------
def test_a_program_gets_the_file_and_it_lies_where_uploads_are_cleaned(runs, tmp_path):
    run = ended_run(runs)
    with served_app(runs) as site:
        client = Client(site.local_url, verbose=False, download_files=str(tmp_path / "got"))
        try:
            for name in (run.id, "embedded-digits"):
                file = client.predict(name, "zip", api_name="/download_run")
                with zipfile.ZipFile(file) as packed:
                    assert f"{name}/use.py" in packed.namelist()
            with pytest.raises(Exception) as refused:
                client.predict(run.id, "exe", api_name="/download_run")
            assert "must be one of zip, onnx" in str(refused.value)
        finally:
            client.close()
        # Where the oldest go when there is no more room, each in a folder of its own.
        assert len(list(uploads.claim_folder().glob("*/*.zip"))) == 2


# -- ONNX ------------------------------------------------------------------------------------------
@has_onnx
@pytest.mark.parametrize("slot", ["food", *slow(("digits",), ("audio",))])
def test_a_classifier_leaves_as_onnx_and_answers_the_same(runs, tmp_path, monkeypatch, slot):
    import onnxruntime

    monkeypatch.setattr(held_out, "SOME", 6)
    found = pack.find_checkpoint(runs, f"embedded-{slot}")
    package, compared = onnx.pack_onnx(found, runs, tmp_path)
    assert compared.count == 6 and not compared.others and compared.difference < 1e-4
    assert "no probability differs by more than" in package.card
    told = json.loads(package.files[onnx.PREPARATION])
    assert len(told["labels"]) == len(set(told["labels"])) > 9 and told["how"]
    session = onnxruntime.InferenceSession(package.files[onnx.FILE])
    assert [each.name for each in session.get_inputs()] == told["inputs"]
    if slot == "food":  # what a program makes by the figures beside it
        picture = load_picture(EXAMPLES / "food" / "sushi.png")
        pixels = np.asarray(food.FoodPredictor(found.path).preprocessor.frame(picture), np.float32)
        mean, std = (np.array(told[name], np.float32) for name in ("mean", "std"))
        given = ((pixels * told["scale"] - mean) / std).transpose(2, 0, 1)[None]
        (shares,) = session.run(None, {"pixel_values": given})[0]
        share, label = ask_tab(runs, "food", found.id, EXAMPLES / "food" / "sushi.png")
        assert told["labels"][shares.argmax()] == label
        assert shares.max() == pytest.approx(share, abs=1e-3)


@has_onnx
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "convnext", "swin"])
def test_other_networks_for_pictures_leave_as_onnx(runs, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(held_out, "SOME", 6)
    run = meals.published(runs, meals.network(kind, CLASSES))
    _, compared = onnx.pack_onnx(pack.find_checkpoint(runs, run.id), runs, tmp_path)
    assert not compared.others


@has_onnx
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav2vec2", "group", "hubert", "whisper"])
def test_other_networks_for_sounds_leave_as_onnx(runs, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(held_out, "SOME", 6)
    run = voices.published(runs, kind, CLASSES)
    _, compared = onnx.pack_onnx(pack.find_checkpoint(runs, run.id), runs, tmp_path)
    assert not compared.others


class Line(torch.nn.Module):
    """Probabilities of two classes by one number."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor([[slope, -slope]]))

    def forward(self, *given):
        return torch.softmax(given[0] @ self.slope, 1)


def of_lines(slope: float) -> Portable:
    examples = [(torch.tensor([[value]]),) for value in (-1.0, 0.5, 2.0)]
    return Portable(Line(slope), ("x",), examples, {}, {}, "three numbers")


@has_onnx
@pytest.mark.parametrize("slope, others", [(1.0, 0), (1.01, 0), (-1.0, 3)])
def test_a_file_that_answers_otherwise_is_told(tmp_path, slope, others):
    onnx.export(of_lines(slope), tmp_path / onnx.FILE)
    found = onnx.compare(of_lines(1.0), tmp_path / onnx.FILE)
    assert found.others == others and (found.difference > onnx.ONE) == (slope != 1.0)


@has_onnx
def test_a_file_that_answers_otherwise_is_not_offered(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        onnx, "compare", lambda *_: onnx.Comparison(64, "the test pictures", 0.004, 0)
    )
    with pytest.raises(SettingsError, match="is not offered.*differs by more than 0.004"):
        onnx.pack_onnx(pack.find_checkpoint(runs, ended_run(runs).id), runs, tmp_path)


def test_what_is_no_classifier_and_what_is_not_installed_is_said(runs, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="Captioning is no classifier.*--to zip"):
        onnx.pack_onnx(pack.find_checkpoint(runs, "embedded-captions"), runs, tmp_path)
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install onnxscript onnxruntime"):
        onnx.pack_onnx(pack.find_checkpoint(runs, "embedded-digits"), runs, tmp_path)


@has_onnx
def test_where_the_runs_own_data_is_gone_the_sample_is_asked_about(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(held_out, "SOME", 4)
    run = meals.published(runs, meals.network("resnet", CLASSES))
    config = {"source": "own", "dataset": "pets"}
    run.record(config=config)
    _, compared = onnx.pack_onnx(pack.find_checkpoint(runs, run.id), runs, tmp_path)
    assert compared.count == 4 and "drawn" in compared.about


@has_onnx
@pytest.mark.slow
def test_the_page_exports_in_a_process_of_its_own(runs, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
    taking = TakeAway(Lab(runs, {}))
    file = taking.download("embedded-digits", "onnx")
    with zipfile.ZipFile(file) as packed:
        assert "embedded-digits-onnx/model.onnx" in packed.namelist()
    with pytest.raises(SettingsError, match="Captioning is no classifier"):
        taking.download("embedded-captions", "onnx")
