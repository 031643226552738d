"""Networks of timm, through transformers' wrapper: a start like any other, whose checkpoints answer
in the tab."""

import numpy as np
import pytest
import torch
from conftest import execute, left_by_a_run, slow
from meals import TWO_STEPS, train
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
)

import app
from demos import food
from training.__main__ import SETTINGS
from training.media.picture_preprocessor import PicturePreprocessor
from training.recipes.food.model import open_network
from training.runs import checkpoint, job
from training.samples.dishes import CLASSES

pytestmark = pytest.mark.usefixtures("quick_picture")
SIZE = 64


class Nothing:
    """A network of timm keeps what it expects of a picture in its config."""

    def save_pretrained(self, folder):
        pass


def network(architecture: str, fixed: bool, classes: int = 7) -> torch.nn.Module:
    """A tiny one with the Hub's kind of config: it names no classes."""
    torch.manual_seed(0)
    config = TimmWrapperConfig(
        architecture=architecture,
        num_labels=classes,
        pretrained_cfg={
            "input_size": [3, SIZE, SIZE],
            "fixed_input_size": fixed,
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": [0.5, 0.4, 0.3],
            "std": [0.5, 0.5, 0.25],
        },
        model_args={"img_size": SIZE} if fixed else None,
    )
    return TimmWrapperForImageClassification(config)


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    return tmp_path_factory.mktemp("kitchen")


@pytest.fixture(scope="module")
def starts(kitchen) -> dict[str, str]:
    made = {"test_efficientnet": False, "test_resnet": False, "test_vit": True}
    return {
        name: left_by_a_run(kitchen, "food", "food", network(name, fixed), Nothing()).id
        for name, fixed in made.items()
    }


@pytest.mark.parametrize(
    "name, method",
    [
        ("test_efficientnet", "frozen"),
        ("test_efficientnet", "full"),
        ("test_efficientnet", "lora"),
        ("test_vit", "frozen"),
        *slow(
            ("test_efficientnet", "scratch"),
            ("test_resnet", "full"),
            ("test_resnet", "frozen"),
            ("test_vit", "full"),
            ("test_vit", "lora"),
        ),
    ],
)
def test_each_method_publishes_what_the_library_loads_alone(kitchen, starts, name, method):
    run = train(kitchen, start=starts[name], method=method)
    assert checkpoint.labels(run.checkpoint) == CLASSES
    (model, preprocessor) = open_network(run.checkpoint)
    assert preprocessor.size == SIZE and preprocessor.crop == 0.875
    assert preprocessor.mean == (0.5, 0.4, 0.3) and preprocessor.std == (0.5, 0.5, 0.25)
    alone = AutoModelForImageClassification.from_pretrained(run.checkpoint).eval()
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    ).resize((480, 360), Image.Resampling.BICUBIC)
    theirs = AutoImageProcessor.from_pretrained(run.checkpoint)(picture, return_tensors="pt")
    ours = torch.from_numpy(preprocessor.frame(picture).copy()).permute(2, 0, 1)[None]
    seen = preprocessor.normalise(ours)
    assert (seen - theirs["pixel_values"]).abs().mean() < 0.05
    with torch.no_grad():
        assert torch.equal(model.eval()(seen).logits, alone(seen).logits)
    assert list(alone.config.id2label.values()) == CLASSES
    card = (run.checkpoint / "README.md").read_text()
    assert "where timm is installed (`pip install timm`)" in card
    assert {p.suffix for p in run.checkpoint.iterdir()} == {".json", ".safetensors", ".md"}
    before = open_network(checkpoint.find(kitchen, starts[name]).path)[0].state_dict()
    same = {key for key, value in model.state_dict().items() if torch.equal(value, before[key])}
    assert (len(same) >= len(before) - 2) == (method == "frozen")


def test_a_checkpoint_answers_in_the_tab_and_tells_where_it_looked(kitchen, starts):
    run = train(kitchen, start=starts["test_efficientnet"], method="frozen", swap="never")
    slot = app.open_lab(kitchen).slots["food"]
    picture = Image.new("RGB", (120, 90), (200, 90, 30))
    assert slot.swap(run.id) is not None
    found = food.classify(slot, picture)
    assert {name.replace(" ", "_") for name in found.confidences} <= set(
        CLASSES
    ) and found.checkpoint == run.id
    assert food.heat(slot, found).ndim == 2
    again = train(kitchen, start=run.id, method="full")
    assert again.metrics["before"]["n"] == again.metrics["after"]["n"]
    slot.swap(again.id)
    assert food.classify(slot, picture).checkpoint == again.id


def test_a_network_of_one_size_is_asked_at_that_size_alone(kitchen, starts):
    for asked, told in ({"image_size": 96}, "leave image_size at 0"), ({"shape": "own"}, "shape"):
        run = job.create(kitchen, "food", {**TWO_STEPS, "start": starts["test_vit"], **asked})
        assert execute(run) == SETTINGS and told in run.status["reason"]


def test_another_size_is_published_with_it(kitchen, starts):
    run = train(kitchen, start=starts["test_resnet"], image_size=96, shape="square", limit=16)
    preprocessor = PicturePreprocessor.from_checkpoint(run.checkpoint)
    assert (preprocessor.size, preprocessor.crop) == (96, 0.0)


def test_a_checkpoint_that_timm_itself_saved_is_a_start(kitchen, starts):
    """It tells the number of classes twice, over which transformers stumbles."""
    path = checkpoint.find(kitchen, starts["test_resnet"]).path / "config.json"
    text = path.read_text()
    try:
        path.write_text(text.replace('"model_args": null', '"model_args": {"num_classes": 7}'))
        assert '"num_classes": 7}' in path.read_text()
        assert train(kitchen, start=starts["test_resnet"], method="frozen", limit=16)
    finally:
        path.write_text(text)
