"""The digits recipe, for real: a few steps on sample data in this process, then the checkpoint is
loaded and used."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import TWO_STEPS, execute, left_by_a_run, train
from learning import bars, folder_of, losses, own, weights

from training.__main__ import SETTINGS
from training.recipe import SettingsError
from training.recipes.digits import data as digits_data
from training.recipes.digits import score as digits_score
from training.recipes.digits.config import Config
from training.recipes.digits.model import DigitsNet, DigitsNetConfig
from training.recipes.digits.recipe import describe, evaluate, slot
from training.runs import checkpoint, job
from training.runs.records import write_json
from training.runs.run import Run

pytestmark = pytest.mark.usefixtures("quick_picture")


# -- two steps -------------------------------------------------------------------------------------
@pytest.mark.parametrize("arch", ["mlp", "cnn"])
@pytest.mark.parametrize("method", ["full", "frozen"])
def test_two_steps_give_a_checkpoint_that_loads_and_predicts(
    lab, trained, trained_cnn, shapes, active, arch, method
):
    base = {"mlp": trained, "cnn": trained_cnn}[arch]
    steps = 1 if method == "frozen" else 2  # a head is solved for at once
    active(base.id)
    run = train(
        lab,
        **(own(shapes) if arch == "cnn" else {}),
        start=base.id,
        method=method,
        limit=128,
        dropout=0.2,
        folds=1,
    )
    assert (
        run.state == "done"
        and len(losses(run)) == steps
        and run.status["step"] == run.status["total"] == steps
    )
    model = DigitsNet.from_pretrained(run.checkpoint)
    found = digits_score.predict(model, bars(10, 2).images)
    assert found.shape == (20, 10) and np.allclose(found.sum(1), 1, atol=1e-5)
    before, after = weights(base), model.state_dict()
    changed = {k.split(".")[0] for k in after if not torch.equal(before[k], after[k])}
    assert changed == ({"head"} if method == "frozen" else {"head", "body"})


def test_a_frozen_body_keeps_its_batch_statistics_too(lab, trained_cnn, shapes):
    run = train(lab, **own(shapes), start=trained_cnn.id, method="frozen")
    before, after = weights(trained_cnn), weights(run)
    statistics = [k for k in after if "running_" in k or "num_batches" in k]
    assert len(statistics) > 10 and all(torch.equal(before[k], after[k]) for k in statistics)


@pytest.mark.parametrize("arch", ["mlp", "cnn"])
def test_a_saved_network_answers_exactly_as_it_did(tmp_path, arch):
    torch.manual_seed(0)
    model = DigitsNet(
        DigitsNetConfig(arch=arch, width=4, hidden=8, image_mean=0.2, image_std=0.4)
    ).eval()
    model.save_pretrained(tmp_path)
    pictures = bars(10, 3).images
    again = digits_score.predict(DigitsNet.from_pretrained(tmp_path), pictures)
    assert np.array_equal(digits_score.predict(model, pictures), again)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_the_published_checkpoint_scores_what_the_report_says(trained, tmp_path):
    config = Config(**trained.config)
    found = evaluate(trained.checkpoint, config, tmp_path).after
    assert found.to_json() == trained.metrics["after"] and found.n > 300
    assert trained.metrics["after"]["accuracy"] > 0.3, "two epochs are far better than chance"


# -- labels and heads ------------------------------------------------------------------------------
@pytest.fixture
def three(tmp_path):
    return folder_of(bars(3, 12), tmp_path / "three")


def test_as_many_classes_keep_the_head_and_the_labels_become_the_datas(lab, trained, shapes):
    run = train(lab, **own(shapes), start=trained.id, learning_rate=1e-6)
    before, after = weights(trained), weights(run)
    assert torch.allclose(before["head.weight"], after["head.weight"], atol=1e-4)
    assert (
        checkpoint.labels(run.checkpoint) == list("abcdefghij") and run.metrics["before"]["n"] >= 10
    )
    assert "other" not in run.metrics, "own pictures are not compared with digits or garments"


def test_another_number_of_classes_gets_a_new_head_and_has_no_before(lab, trained, three):
    run = train(lab, **own(three), start=trained.id)
    assert weights(run)["head.weight"].shape == (3, 100) and run.metrics["before"] is None
    assert run.metrics["chance"] == pytest.approx(1 / 3)


def test_own_pictures_are_learned_end_to_end_and_land_in_the_digits_slot(lab, trained_cnn, three):
    run = train(
        lab,
        **{**own(three), "epochs": 6, "batch_size": 8},
        start=trained_cnn.id,
        augmentation="none",
        dataset="fashion_mnist",
    )
    assert run.settings["slot"] == "digits" and run.id in [
        c.id for c in checkpoint.list_checkpoints(lab, "digits")
    ]
    assert (
        checkpoint.labels(run.checkpoint) == ["a", "b", "c"]
        and run.metrics["after"]["accuracy"] == 1
    )
    assert (
        run.settings["revision"].startswith("content ") and run.metrics["data"] == "three (folder)"
    )
    model = DigitsNet.from_pretrained(run.checkpoint)
    assert model.config.trained_on == "folder (three)" and model.config.framing == "garment"


# -- the report ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tuned(lab, trained):
    return train(lab, start=trained.id)


def test_a_checkpoint_says_whether_it_learned_from_drawings(lab, trained):
    drawn = train(lab, dataset="fashion_mnist")
    assert checkpoint.is_synthetic(drawn.checkpoint)
    assert not checkpoint.is_synthetic(trained.checkpoint)  # digits that people wrote


def test_the_report_holds_what_a_person_needs_to_judge(trained, tuned):
    found = tuned.metrics
    assert (
        found["before"] == trained.metrics["after"] and found["after"]["n"] == found["before"]["n"]
    )
    assert found["chance"] == 0.1 and found["classes"] == list("0123456789") == list(
        found["after"]["per_class"]
    )
    low, high = found["after"]["interval"]
    assert low < found["after"]["accuracy"] < high
    assert (
        np.sum(found["after"]["confusion"]) == found["after"]["n"]
        and len(found["after"]["confusion"]) == 10
    )
    assert found["other"]["data"] == "garments (sample)" and found["other"]["before"]["n"] > 300
    assert str(found["after"]["n"]) in found["held_out"]
    assert (found["step"], found["total"], found["stopped"]) == (2, 2, False)
    assert trained.metrics["before"] is None and "other" not in trained.metrics, (
        "there was nothing before scratch"
    )


def test_the_report_shows_the_surest_mistakes_and_the_confusion(tuned):
    mistakes = tuned.metrics["mistakes"]
    wrong = tuned.metrics["after"]["n"] - np.trace(tuned.metrics["after"]["confusion"])
    assert len(mistakes) == min(24, wrong) > 0
    assert all(m["truth"] != m["said"] for m in mistakes)
    assert [m["confidence"] for m in mistakes] == sorted(
        (m["confidence"] for m in mistakes), reverse=True
    )
    assert all((tuned.report / m["picture"]).is_file() for m in mistakes)
    assert (tuned.report / "confusion.png").is_file()


def test_what_was_resolved_is_recorded(tuned, trained):
    found = tuned.settings
    assert found["base"] == trained.id and found["revision"] and found["slot"] == "digits"
    assert (
        found["pictures"]["train"] == 128
        and found["versions"]["torch"] == torch.__version__.split("+")[0]
    )
    assert trained.settings["base"] == "scratch"


def test_a_data_set_that_cannot_be_had_does_not_cost_a_run_its_end(lab, trained, monkeypatch):
    real = digits_data.load_once

    def load(dataset, *more):
        if dataset == "fashion_mnist":
            raise SettingsError("The Hub does not answer.")
        return real(dataset, *more)

    monkeypatch.setattr(digits_data, "load_once", load)
    run = train(lab, start=trained.id)
    assert run.metrics["other"] is None and run.has_checkpoint
    assert "could not be measured. The Hub does not answer." in run.log_file.read_text()


def test_the_gate_scores_what_is_active_on_the_same_pictures(lab, trained, trained_cnn, active):
    active(trained_cnn.id)
    for known, score in ((trained_cnn, trained_cnn.metrics["after"]), (trained, None)):
        active(known.id)
        run = train(lab, start=trained.id)
        score = score or run.metrics["before"]
        gate = run.metrics["active"]
        low, high = gate.pop("difference")
        assert gate == {"id": known.id, "same_labels": True, "score": score["accuracy"]}
        gain = run.metrics["after"]["accuracy"] - score["accuracy"]
        assert low < gain < high, "picture by picture"


def test_the_gate_does_not_compare_what_has_other_labels(lab, trained, active, shapes):
    active(trained.id)
    run = train(lab, **own(shapes), start=trained.id)
    assert run.metrics["before"] and run.metrics["active"] == {
        "id": trained.id,
        "same_labels": False,
        "score": None,
    }


def test_what_is_active_and_gone_does_not_cost_a_run_its_end(lab, active):
    active("digits-20200101-000000-gone")
    run = train(lab)
    assert (
        run.metrics["active"]["score"] is None and "could not be scored" in run.log_file.read_text()
    )


# -- starts that cannot be used --------------------------------------------------------------------
@pytest.mark.parametrize("start", ["../..", "/etc"])
def test_a_start_is_no_path(lab, start):
    run = job.create(lab, "digits", {**TWO_STEPS, "start": start})
    assert execute(run) == SETTINGS
    assert run.status["reason"].startswith(f"There is no checkpoint {start!r}")


@pytest.mark.parametrize("start", ["digits-20200101-000000-gone", ".", "embedded-nothing"])
def test_a_start_that_there_is_not_is_refused_by_name(lab, start):
    before = len(Run.all(lab))
    with pytest.raises(SettingsError) as error:
        job.create(lab, "digits", {**TWO_STEPS, "start": start})
    assert str(error.value).startswith(f"There is no checkpoint {start!r}")
    assert len(Run.all(lab)) == before, "nothing was made for it"


def test_a_start_that_published_nothing_is_refused(lab):
    nothing = job.create(lab, "digits", TWO_STEPS)
    run = job.create(lab, "digits", {**TWO_STEPS, "start": nothing.id})  # it may yet publish one
    nothing.set_status("failed")
    assert execute(run) == SETTINGS and "published no checkpoint" in run.status["reason"]
    with pytest.raises(SettingsError, match="published no checkpoint"):
        job.create(lab, "digits", {**TWO_STEPS, "start": nothing.id})


def test_a_start_of_another_kind_is_refused_before_there_is_a_run(lab):
    with pytest.raises(SettingsError, match="a model of another kind .food.. Choose one of Digits"):
        job.create(lab, "digits", {**TWO_STEPS, "start": "embedded-food"})


def test_a_start_with_the_weights_of_another_network_is_refused(lab):
    other = left_by_a_run(lab, "digits", "digits", DigitsNet(DigitsNetConfig(arch="mlp")))
    config = json.loads((other.checkpoint / "config.json").read_text())
    write_json(other.checkpoint / "config.json", {**config, "arch": "cnn"})
    run = job.create(lab, "digits", {**TWO_STEPS, "start": other.id})
    assert execute(run) == SETTINGS
    assert "another kind of network" in run.status["reason"]
    assert "body." in run.status["reason"] and not run.has_checkpoint


def test_a_start_whose_config_is_damaged_is_refused_by_name(lab):
    damaged = left_by_a_run(lab, "digits", "digits", DigitsNet(DigitsNetConfig(arch="cnn")))
    (damaged.checkpoint / "config.json").write_text("{")
    run = job.create(lab, "digits", {**TWO_STEPS, "start": damaged.id})
    assert execute(run) == SETTINGS
    assert f"{damaged.id[-4:]} cannot be used: its config.json is damaged" in run.status["reason"]


def test_a_checkpoint_of_other_classes_cannot_be_evaluated(trained, three, tmp_path):
    config = dataclasses.replace(Config(**trained.config), source="folder", folder=str(three))
    with pytest.raises(SettingsError, match="knows 10 classes, the data has 3"):
        evaluate(trained.checkpoint, config, tmp_path)


# -- words -----------------------------------------------------------------------------------------
def test_a_run_lands_in_the_slot_of_its_data_set():
    assert slot(Config()) == "digits" and slot(Config(dataset="fashion_mnist")) == "fashion"
    assert slot(Config(dataset="fashion_mnist", source="folder", folder="x")) == "digits"


def test_a_run_is_described_in_one_line():
    assert describe(Config(epochs=1)) == "digits, sample, full, 1 epoch"
    assert (
        describe(Config(dataset="fashion_mnist", start="embedded-fashion", method="frozen"))
        == "garments, sample, frozen from fashion"
    )
    assert (
        describe(Config(source="folder", folder="/a/b/shapes")) == "shapes, folder, full, 3 epochs"
    )


def test_a_model_of_the_hub_is_no_start_and_is_told_where_it_answers(runs):
    run = job.create(runs, "digits", {**TWO_STEPS, "start": "owner/mnist-vit"})
    assert execute(run) == SETTINGS
    assert "owner/mnist-vit is no start here" in run.status["reason"]
    assert "“Try a model of the Hub”" in run.status["reason"]
