"""Digits learns from a data set of one's own."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from demos.digits import DigitsPredictor
from training import __main__ as command
from training import recipe
from training.data.own import bring, use
from training.recipe import SettingsError
from training.recipes.digits.picture import to_28x28
from training.runs import checkpoint


def draw_letters(folder, count=8):
    """Strokes of two kinds, dark on light: a cross and a ring."""
    for label in ("cross", "ring"):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            sheet = Image.new("L", (80, 80), 250)
            pen = ImageDraw.Draw(sheet)
            box = (14 + i, 12, 62 + i % 3, 66 - i)
            if label == "ring":
                pen.ellipse(box, outline=10, width=6)
            else:
                pen.line(box, fill=10, width=6)
                pen.line((box[0], box[3], box[2], box[1]), fill=10, width=6)
            sheet.save(folder / label / f"{label}-{i}.png")
    return folder


@pytest.fixture
def letters(runs, tmp_path):
    return bring.add(runs, "letters", [draw_letters(tmp_path / "letters")]).data_set


def test_a_run_learns_from_it_and_answers(runs, letters):
    settings = {"source": "own", "dataset": "letters", "method": "frozen", "swap": "never"}
    run = use.create_run(runs, "digits", settings)
    assert command.main(["digits", "--run", run.id]) == command.DONE, run.status
    assert checkpoint.labels(run.checkpoint) == ["cross", "ring"]
    assert run.slot == "digits"
    assert run.revision
    drawn = next(item.path for item in letters.list_items() if item.label == "ring")
    predictor = DigitsPredictor(run.checkpoint)
    scores = predictor.scores(to_28x28(Image.open(drawn), "digit"))
    assert int(np.argmax(scores)) == 1


def test_garments_go_into_their_own_tab():
    config = recipe.parse(
        recipe.load("digits").config,
        {"source": "own", "dataset": "letters", "framing": "garment"},
    )
    assert recipe.load("digits").slot(config) == "fashion"


def test_a_name_that_is_no_data_set_is_refused():
    with pytest.raises(SettingsError, match="must be one of mnist, fashion_mnist"):
        recipe.parse(recipe.load("digits").config, {"dataset": "letters"})
    with pytest.raises(SettingsError, match="the name of a data set that you added"):
        recipe.parse(recipe.load("digits").config, {"source": "own", "dataset": "a/b"})
