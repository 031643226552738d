"""The backbones that come with the project: own data starts from them, and no slot holds them."""

import hashlib
import re
from pathlib import Path

import pytest
from conftest import ended_well
from meals import colours
from voices import tones

from training import recipe
from training.runs import checkpoint

pytestmark = pytest.mark.usefixtures("quick_picture")
ROOT = Path(__file__).parents[1]
ALL = {"food": "backbone-pictures", "audio_intent": "backbone-sounds"}


@pytest.mark.parametrize("name", ALL)
def test_own_data_starts_from_the_built_in_backbone_and_is_learned(name, runs, tmp_path):
    own = tmp_path / "own"
    folder = colours(own) if name == "food" else tones(own)
    settings = dict(source="folder", folder=str(folder), method="frozen", swap="never")
    run = ended_well(runs, name, settings)
    assert run.settings["base"] == f"embedded-{ALL[name]}"
    assert run.metrics["before"] is None and run.metrics["after"]["accuracy"] > 0.8
    assert len(checkpoint.labels(run.checkpoint)) == 3


@pytest.mark.parametrize("name", ALL)
def test_it_is_offered_as_a_start_and_answers_in_no_slot(name, runs):
    made = recipe.load(name)
    (field,) = [f for f in made.config.__dataclass_fields__.values() if f.name == "start"]
    offered = {value: words for words, value in field.metadata["offers"]}
    assert offered[f"embedded-{ALL[name]}"].startswith("Built-in backbone (")
    for slot in made.slots:
        assert ALL[name] not in str([c.path for c in checkpoint.list_checkpoints(runs, slot)])
    assert checkpoint.find(runs, f"embedded-{ALL[name]}").bytes < 20e6


@pytest.mark.parametrize("folder", ALL.values())
def test_its_card_tells_its_source_licence_and_content(folder):
    held = checkpoint.EMBEDDED / folder
    card = (held / "README.md").read_text()
    assert re.search(r"license: (apache-2.0|mit)", card) and "| Notice | " in card
    assert re.search(r"huggingface.co/\w+/[\w.-]+\), revision [0-9a-f]{10,}", card)
    assert hashlib.sha256((held / "model.safetensors").read_bytes()).hexdigest() in card
    assert f"demos/checkpoints/{folder}/README.md" in (ROOT / "README.md").read_text()
