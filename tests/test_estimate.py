"""About how long a run takes, before it is started: by passes of the very network."""

import json

import gradio as gr
import pytest
from meals import colours
from voices import tones

from demos.actions import Actions
from demos.serving.lab import Lab
from training import __main__ as command
from training import recipe
from training.data.own import bring
from training.estimate import Estimate, add_up, ask_aside, estimate
from training.learn.cost import Cost
from training.recipe import SettingsError

COST = Cost(read=0.01, ask=0.02, learn=0.06, examine=0.02, kept=1000, weights=1_000_000)


def parse(name: str, **settings):
    return recipe.parse(recipe.load(name).config, settings)


def test_it_grows_with_what_is_done():
    splits = ["train"] * 1000
    one = add_up(parse("food", epochs=1), COST, splits, 5.0)
    assert one.with_epochs(7).seconds == pytest.approx(
        add_up(parse("food", epochs=7), COST, splits, 5.0).seconds
    )
    full = {epochs: add_up(parse("food", epochs=epochs), COST, splits, 5.0) for epochs in (1, 2)}
    (held, learned) = 40, 760  # of the 800 that chance leaves
    step = learned * COST.learn + held * COST.ask
    assert full[2].seconds - full[1].seconds == pytest.approx(step, rel=0.01)
    few = add_up(parse("food", epochs=1, limit=100), COST, splits, 5.0)
    assert few.seconds < full[1].seconds / 2
    frozen = add_up(parse("food", method="frozen"), COST, splits, 5.0)
    assert frozen.seconds > 1000 * (2 * COST.read + COST.ask)
    parted = add_up(parse("food", epochs=1), COST, ["train"] * 500 + ["test"] * 500, 5.0)
    assert parted.seconds < full[1].seconds
    assert parted.examples == 1000 and parted.bytes > 12 * COST.weights


@pytest.mark.parametrize("method", ["frozen", "full", "lora"])
@pytest.mark.parametrize("name", ["food", "audio_intent"])
def test_the_very_network_is_measured(runs, tmp_path, name, method):
    folder = tmp_path / "mine"
    brought = colours(folder, 2, 6) if name == "food" else tones(folder, each=6)
    bring.add(runs, "mine", [brought])
    settings = {"source": "own", "dataset": "mine", "method": method, "epochs": 1}
    if method == "frozen":
        settings.pop("epochs")
    found = estimate(recipe.load(name), settings, runs)
    assert found.seconds > 0 and found.bytes > 2**27
    assert "memory, for 1" in str(found)


def test_it_is_told_by_command_and_in_a_process_of_its_own(runs, tmp_path, capsys):
    bring.add(runs, "mine", [colours(tmp_path / "mine", 2, 6)])
    own = ["digits", "--source", "own", "--dataset", "mine", "--method", "frozen"]
    assert command.main(["estimate", *own, "--json"]) == command.DONE
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["examples"] == 12
    assert command.main(["estimate", "digits", "--source", "hub"]) == command.SETTINGS
    assert "fetches them first" in capsys.readouterr().err
    settings = {"source": "own", "dataset": "mine", "method": "frozen"}
    assert isinstance(ask_aside("digits", settings, runs), Estimate)
    with pytest.raises(SettingsError, match="There is no data set"):
        ask_aside("digits", {**settings, "dataset": "nobody"}, runs)


def test_the_page_measures_the_same_once(runs, tmp_path, monkeypatch):
    bring.add(runs, "mine", [colours(tmp_path / "mine", 2, 6)])
    asked = []
    monkeypatch.setattr(
        "demos.actions.ask_aside", lambda *given: asked.append(given) or Estimate(9.0, 2**30, 12)
    )
    actions = Actions(Lab(runs, {}, True))
    settings = {"source": "own", "dataset": "mine", "method": "frozen"}
    assert str(actions.estimate("food", settings)) == str(actions.estimate("food", settings))
    assert len(asked) == 1
    assert actions.estimate("food", settings | {"seed": 3}).seconds == 9.0 and len(asked) == 1
    for wrong in ({"source": "own", "dataset": "other"}, {"folder": "/etc"}):
        with pytest.raises(gr.Error):
            actions.estimate("food", wrong)
    with pytest.raises(gr.Error, match="Training is off"):
        Actions(Lab(runs, {}, False)).estimate("food", settings)


@pytest.mark.parametrize("name", ["food", "audio_intent", "digits", "captioning"])
def test_the_sample_is_measured_too(runs, name):
    made = recipe.load(name)
    found = estimate(made, {"epochs": 2}, runs)
    data = made.sample(recipe.parse(made.config, {}))
    assert found.examples == len(data.train) + len(data.test) > 100
    assert found.seconds > 2 * found.epoch_seconds
    assert found.epoch_seconds or name == "audio_intent", "whose head is solved for, on a CPU"
