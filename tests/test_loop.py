"""The training loop, shown on the digits recipe: continuing exactly, what a step learns, when it
stops."""

import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TWO_STEPS, Killed, ending, execute, train
from learning import bars, folder_of, losses, own, same, same_losses, weights
from torch.nn import functional as F

from training.__main__ import DONE, FAILED, SETTINGS, STOPPED
from training.data.splits import stratify
from training.learn import backbone, loop
from training.learn.loop import rate_factor, split_into_steps
from training.recipes.digits import data as digits_data
from training.recipes.digits import score as digits_score
from training.recipes.digits import train as digits_train
from training.recipes.digits.config import Config
from training.runs import job

pytestmark = pytest.mark.usefixtures("quick_picture")


# -- continuing ------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def chance(shapes):
    """A convolutional network with every source of chance that there is, on own pictures: 6 steps,
    3 an epoch."""
    return dict(
        {**TWO_STEPS, **own(shapes)},
        arch="cnn",
        epochs=2,
        batch_size=32,
        limit=96,
        augmentation="strong",
        dropout=0.3,
        accumulate=2,
        label_smoothing=0.1,
    )


@pytest.fixture(scope="session")
def unbroken(lab, chance):
    run = train(lab, **chance)
    assert len(losses(run)) == 6
    return run


def test_the_same_seed_gives_the_same_run_and_another_another(lab, chance, unbroken):
    again, other = train(lab, **chance), train(lab, **{**chance, "seed": 1})
    assert same_losses(losses(again), losses(unbroken)) and same(weights(again), weights(unbroken))
    assert not same_losses(losses(other), losses(unbroken))


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_stopped_run_goes_on_exactly_as_if_it_had_not_been(lab, chance, unbroken, at):
    first = ending(lab, "digits", at, chance)
    assert execute(first) == STOPPED and first.has_checkpoint
    assert first.state == "stopped" and first.status["reason"] == f"Stopped at step {at} of 6."
    second = job.continue_run(lab, first.id, {})
    assert execute(second) == DONE and second.settings["continues"] == first.id
    assert same_losses(losses(first) + losses(second), losses(unbroken))
    assert same(weights(second), weights(unbroken))


def test_a_killed_run_goes_on_from_its_last_epoch_exactly(lab, chance, unbroken):
    first = ending(lab, "digits", 5, chance, kill=True)
    with pytest.raises(Killed):
        execute(first)
    first.set_status("lost")
    second = job.continue_run(lab, first.id, {})
    assert execute(second) == DONE
    assert same_losses(losses(first)[:3] + losses(second), losses(unbroken))
    assert same(weights(second), weights(unbroken))


def test_continuing_does_not_change_what_the_first_run_left(lab):
    first = ending(lab, "digits", 1, TWO_STEPS)
    assert execute(first) == STOPPED
    before = [p.read_bytes() for p in first.saved]
    assert execute(job.continue_run(lab, first.id, {})) == DONE
    assert [p.read_bytes() for p in first.saved] == before != []


@pytest.mark.parametrize("seconds, saves", [(0, 4), (1, 2)])
def test_where_saving_is_slow_not_every_epoch_is_saved(lab, monkeypatch, seconds, saves):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    written = []

    def write(*_):
        clock.now += seconds
        written.append(clock.now)

    def judge(_):
        clock.now += 0.1  # an epoch's time

    monkeypatch.setattr(loop, "SOONEST", 0)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "write_state", write)
    monkeypatch.setattr(loop._Fit, "_judge", judge)
    train(lab, **{**TWO_STEPS, "epochs": 4})
    assert len(written) == saves


def test_a_finished_run_goes_on_for_as_many_epochs_again(lab, trained):
    run = job.continue_run(lab, trained.id, {})
    assert execute(run) == DONE
    assert run.config["epochs"] == 4 and {e["epoch"] for e in run.events() if "loss" in e} == {3, 4}


def test_other_pictures_under_a_continued_run_are_refused(tmp_path, lab):
    folder = folder_of(bars(3, 8), tmp_path)
    first = ending(
        lab, "digits", 1, {**TWO_STEPS, "source": "folder", "folder": str(folder), "batch_size": 4}
    )
    assert execute(first) == STOPPED
    folder_of(bars(3, 9, seed=5), folder)
    digits_data.load_once.cache_clear()
    second = job.continue_run(lab, first.id, {})
    assert execute(second) == SETTINGS
    assert (
        second.state == "failed" and "not those that this run began with" in second.status["reason"]
    )


def test_a_resume_file_that_would_run_code_is_not_read(lab, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "evil"), "w"))

    run = job.create(lab, "digits", TWO_STEPS)
    (run.resume / "state.pt").write_bytes(pickle.dumps(Evil()))
    assert execute(run) == FAILED
    assert run.state == "failed" and not (tmp_path / "evil").exists() and not run.has_checkpoint


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_state_that_does_not_fit_on_the_disk_says_so(tmp_path):
    (tmp_path / "state.partial").symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        loop.write_state(tmp_path, {"weights": torch.zeros(100_000)})
    assert (
        job.explain(error.value).startswith("The disk is full")
        and not (tmp_path / "state.pt").exists()
    )


# -- the loop --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "count, batch, world", [(100, 32, 1), (100, 32, 2), (65, 32, 2), (7, 3, 3), (5, 128, 4)]
)
def test_the_ranks_of_all_batches_see_every_picture_once_and_none_goes_without(count, batch, world):
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    parts = [
        [b[rank::world] for rank in range(world)] for b in split_into_steps(order, batch, world)
    ]
    assert sorted(torch.cat([piece for step in parts for piece in step]).tolist()) == list(
        range(count)
    )
    assert all(len(piece) for step in parts for piece in step)


def test_a_batch_in_four_parts_learns_what_it_learns_in_one(lab):
    plain = dict(TWO_STEPS, dropout=0.0, epochs=2)
    one, four = (train(lab, **plain, accumulate=n) for n in (1, 4))
    assert losses(one) == pytest.approx(losses(four), rel=1e-4)
    left, right = weights(one), weights(four)
    assert all(torch.allclose(left[k], right[k], atol=1e-3) for k in left)


def test_the_logged_loss_is_the_mean_over_the_batch(lab):
    run = train(lab, epochs=1, batch_size=1000, dropout=0.0, augmentation="none", holdout=0)
    data = digits_data.load_once("mnist", "sample")
    part = data.train[stratify(data.train.labels, 128, 0)]
    images = digits_data.stack_images(data.train)
    config, scratch = Config(**run.config), backbone.Start("scratch")
    model = digits_train.build_network(config, scratch, images, data.classes)
    with torch.no_grad():
        logits = model(torch.from_numpy(digits_data.stack_images(part))[:, None] / 255).logits
    assert losses(run) == pytest.approx(
        [float(F.cross_entropy(logits, torch.from_numpy(part.labels)))], rel=1e-2
    )


@pytest.mark.parametrize("schedule, end", [("cosine", 0), ("linear", 0), ("constant", 1)])
def test_the_learning_rate_rises_in_the_warm_up_and_then_falls_as_asked(schedule, end):
    config = Config(schedule=schedule, warmup=0.2)
    rates = [rate_factor(config, i / 100) for i in range(101)]
    assert rates[0] > 0 and max(rates) == rates[20] == 1
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(end)


def scripted(right: list[bool]):
    """A fake of `predict` that is right or wrong about every picture of the held-out part, epoch by
    epoch."""

    def predict(model, images, run=None):
        known = digits_data.load_once("mnist", "sample").train
        shown = digits_data.stack_images(known)
        labels = {p.tobytes(): i for p, i in zip(shown, known.labels, strict=True)}
        true = np.array([labels[p.tobytes()] for p in images])
        return np.eye(10, dtype=np.float32)[true if right.pop(0) else (true + 1) % 10]

    return predict


def test_early_stopping_ends_the_run_and_publishes_its_best_epoch(lab, monkeypatch):
    plain = dict(epochs=9, schedule="constant", warmup=0)
    short = train(lab, **{**plain, "epochs": 1})
    monkeypatch.setattr(digits_score, "predict", scripted([True, False, False, True, True]))
    run = train(lab, **plain, early_stopping=2)
    assert (
        run.status["step"] == 6
        and run.metrics["stopped"] is False
        and run.metrics["held_out_score"] == 1
    )
    assert [e["score"] for e in run.events() if "score" in e] == [1, 0, 0]
    assert "stopped early" in run.log_file.read_text()
    assert same(weights(run), weights(short))


def test_of_equally_good_epochs_the_last_is_published(lab, monkeypatch):
    plain = dict(epochs=2, schedule="constant", warmup=0)
    last = train(lab, **plain, holdout=0.05)
    monkeypatch.setattr(digits_score, "predict", scripted([True, True]))
    assert same(weights(train(lab, **plain)), weights(last))


def test_a_limit_is_met_with_every_class_in_its_share(lab, trained):
    run = train(lab, limit=100, batch_size=50)
    assert run.settings["pictures"]["train"] == 100 and trained.settings["pictures"]["train"] > 1000
    assert run.settings["pictures"]["test"] == trained.settings["pictures"]["test"]


def test_a_loss_that_is_no_number_fails_with_what_to_do(lab, monkeypatch):
    monkeypatch.setattr(digits_train, "augment", lambda images, *_: images * float("nan"))
    run = job.create(lab, "digits", TWO_STEPS)
    assert execute(run) == SETTINGS
    assert (
        run.state == "failed"
        and "Lower the learning rate" in run.status["reason"]
        and not run.has_checkpoint
    )


def test_stopped_before_the_first_step_nothing_is_published_and_it_says_so(lab, capsys):
    run = job.create(lab, "digits", TWO_STEPS)
    run.request_stop()
    assert execute(run) == STOPPED
    assert (
        run.state == "stopped"
        and "before the first step: nothing was saved" in run.status["reason"]
    )
    assert (
        not run.has_checkpoint
        and not run.staging.exists()
        and "nothing was saved" in capsys.readouterr().out
    )
    assert execute(job.continue_run(lab, run.id, {})) == DONE


def test_a_stop_during_the_last_step_does_not_wait_for_the_scores_which_continuing_makes_up_for(
    lab, unbroken, chance
):
    first = ending(lab, "digits", 6, chance)
    assert execute(first) == STOPPED and first.has_checkpoint and "after" not in first.metrics
    assert first.status["reason"] == "Stopped at step 6 of 6."
    second = job.continue_run(lab, first.id, {})
    assert execute(second) == DONE and losses(second) == []
    assert second.metrics["after"]["n"] == unbroken.metrics["after"]["n"] and same(
        weights(second), weights(unbroken)
    )
