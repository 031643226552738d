"""Whether an input is like anything that was learned: the fit and its limit, its files, what a run
publishes, and what the tabs say."""

import json
import threading

import gradio as gr
import numpy as np
import pytest
import torch
from conftest import TWO_STEPS, ended_well
from meals import network, published
from photos import photo
from safetensors.numpy import load_file, save_file
from serving import drawing, ended_run
from torch import nn

from demos import audio_intent, captioning, digits, food, page
from demos.serving.model_slot import ModelSlot
from training.data.pictures import Pictures
from training.learn import backbone, heads, known
from training.learn.known import Known, fit_all, open_known
from training.learn.loop import Outcome
from training.media.sounds import Sound
from training.recipes.food import score
from training.recipes.food.model import open_network
from training.runs.batches import Stopped
from training.runs.checkpoint import KNOWN, Checkpoint, list_weights
from training.runs.records import RecordError
from training.runs.run import Run
from training.samples.dishes import CLASSES

WIDTH = 40


def draw(count: int, seed: int, classes: int = 4, width: int = WIDTH) -> tuple[np.ndarray, ...]:
    """Features of classes around means of their own, some directions wider than others."""
    rng = np.random.default_rng(seed)
    means = 3 * np.random.default_rng(99).normal(size=(classes, width))
    labels = np.arange(count) % classes
    spread = np.linspace(2, 0.1, width)
    return means[labels] + spread * rng.normal(size=(count, width)), labels


def far(count: int, width: int = WIDTH) -> np.ndarray:
    return 3 * np.random.default_rng(5).normal(size=(count, width))


def none() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 0)), np.zeros(0, np.int64)


def shift(run_or_path, limit: float) -> None:
    """Makes a checkpoint take nearly nothing, or nearly everything, for known."""
    path = getattr(run_or_path, "checkpoint", run_or_path) / f"{KNOWN}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"limit": limit}))


def of_head(head: nn.Linear, limit: float = 1.0) -> Known:
    """What a network with this head knows: one place."""
    width = head.in_features
    rng = np.random.default_rng(0)
    found = known.fit(rng.normal(size=(50, width)), np.zeros(50, int))
    return known.set_limit(found, np.full(50, limit), known.OUTSIDE)


# -- the fit ---------------------------------------------------------------------------------------
def test_what_is_known_is_mostly_accepted_and_what_is_far_refused():
    found = fit_all(*draw(1000, 0), *draw(400, 1))
    assert (found.facts["judged"], found.facts["judged_by"]) == (400, known.OUTSIDE)
    assert 0.01 < (found.measure(draw(2000, 2)[0]) > 1).mean() < 0.06
    assert (found.measure(far(200)) > 1).mean() > 0.95


@pytest.mark.parametrize("count", [24, 80, 300])
def test_of_few_examples_each_is_left_out_once_and_the_limit_is_no_tighter_for_it(count):
    """More width than examples, and nothing held out: what was fitted by all would call itself
    near."""
    found = fit_all(*draw(count, 0, width=400), *none())
    assert (found.facts["judged"], found.facts["judged_by"]) == (count, known.FOLDED)
    assert (found.measure(draw(1000, 2, width=400)[0]) > 1).mean() < 0.12
    assert (found.measure(far(200, 400)) > 1).mean() > 0.95


@pytest.mark.parametrize("count", [160, 235])
def test_of_more_width_than_examples_the_limit_is_no_wider_than_what_is_known(count):
    """It once took everything for known."""
    found = fit_all(*draw(count, 0, width=1280), *none())
    assert np.median(found.measure(draw(500, 2, width=1280)[0])) > 0.8


def test_a_small_part_held_out_is_learned_from_too():
    found = fit_all(*draw(60, 0), *draw(20, 1))
    assert found.facts["learned"] == 80 and found.facts["judged_by"] == known.FOLDED


def test_the_limit_of_a_handful_is_the_largest_distance():
    found = known.set_limit(known.fit(*draw(60, 0)), np.arange(1.0, 8), known.OUTSIDE)
    assert found.facts["limit"] == 7
    found = known.set_limit(found, np.arange(1.0, 101), known.OUTSIDE)
    assert found.facts["limit"] == 99


@pytest.mark.parametrize("count", [70, 267, 1000])
def test_more_than_a_twentieth_of_what_is_known_is_refused_once_in_twenty_times(count):
    plain = known.fit(*draw(60, 0))
    drawn = np.random.default_rng(0).random((400, count))  # whose quantiles are known
    limits = [known.set_limit(plain, each, known.OUTSIDE).facts["limit"] for each in drawn]
    assert 0.01 < (np.array(limits) < 1 - known.REFUSED).mean() < 0.08


@pytest.mark.parametrize(
    "features, labels",
    [
        (np.ones((10, 5)), np.zeros(10, int)),  # nothing varies
        (np.zeros((10, 5)), np.zeros(10, int)),  # nothing is there
        (np.eye(4), np.arange(4)),  # one of each class
        (np.ones((2, 5)), np.zeros(2, int)),
    ],
)
def test_features_that_tell_nothing_break_nothing(features, labels):
    found = fit_all(features, labels, *none())
    assert np.isfinite(found.measure(features)).all()


def test_features_of_any_shape_become_a_row_each():
    assert known.pool(torch.zeros(2, 5)).shape == (2, 5)
    assert known.pool(torch.zeros(2, 5, 3, 3)).shape == (2, 5)
    assert known.pool(torch.zeros(2, 9, 5)).shape == (2, 5)


# -- its files -------------------------------------------------------------------------------------
def test_it_is_small_on_disk_and_comes_back(tmp_path):
    found = fit_all(*draw(2500, 0, 101, 1280), *draw(200, 1, 101, 1280))
    found.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1e6
    again = open_known(tmp_path)
    asked = draw(50, 3, 101, 1280)[0]
    assert again is not None and again.facts == found.facts
    np.testing.assert_allclose(again.measure(asked), found.measure(asked), rtol=0.02)


def test_a_checkpoint_without_it_knows_nothing_of_it(tmp_path):
    assert open_known(tmp_path) is None


def cut(folder):
    file = folder / f"{KNOWN}.safetensors"
    file.write_bytes(file.read_bytes()[:100])


def take_away(folder):
    (folder / f"{KNOWN}.safetensors").unlink()


def change_facts(**facts):
    def change(folder):
        file = folder / f"{KNOWN}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | facts))

    return change


def change_tensors(**tensors):
    def change(folder):
        file = folder / f"{KNOWN}.safetensors"
        save_file(load_file(file) | tensors, file)

    return change


DAMAGES = {
    "no tensors": take_away,
    "tensors cut off": cut,
    "no JSON": lambda folder: (folder / f"{KNOWN}.json").write_text("{"),
    "another JSON": lambda folder: (folder / f"{KNOWN}.json").write_text("[1]"),
    "a word for the limit": change_facts(limit="far"),
    "no limit": change_facts(limit=0.0),
    "a negative variance": change_facts(rest=-1.0),
    "other directions": change_tensors(directions=np.ones((3, 2), np.float16)),
    "no means": change_tensors(means=np.zeros((0, 4), np.float16)),
    "a row for the means": change_tensors(means=np.ones(3, np.float16)),
    "not finite": change_tensors(variances=np.full(4, np.nan, np.float32)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_told_and_cost_the_alarm_alone(runs, name):
    run = ended_run(runs)
    known.fit(*draw(60, 0, width=100)).save(run.checkpoint)
    DAMAGES[name](run.checkpoint)
    with pytest.raises(RecordError):
        open_known(run.checkpoint)
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    answer = digits.classify(slot, drawing(), run.id)
    assert answer.unlikeness is None and "unlike" not in answer.json
    assert "cannot tell what it was never taught" in answer.caption("seen")
    assert str(run.checkpoint) not in answer.note


def test_the_files_of_another_network_are_told_too(runs):
    run = ended_run(runs)
    known.fit(*draw(60, 0, width=7)).save(run.checkpoint)
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    answer = digits.classify(slot, drawing(), run.id)
    assert answer.unlikeness is None and "another network" in answer.note


def test_it_is_no_part_of_the_network(runs):
    """Neither its weights nor a reason to refuse them."""
    run = ended_run(runs)
    before = Checkpoint(run.id, "", run.checkpoint, "run").bytes
    known.fit(*draw(60, 0, width=100)).save(run.checkpoint)
    assert [file.name for file in list_weights(run.checkpoint)] == ["model.safetensors"]
    assert Checkpoint(run.id, "", run.checkpoint, "run").bytes == before
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    assert slot.swap(run.id).id == run.id
    model = slot.get().predictor.model
    backbone.mix_in_start(model, Checkpoint(run.id, "", run.checkpoint, "run"), 0.5)


# -- what a head receives --------------------------------------------------------------------------
def test_each_thread_hears_of_its_own_answer_alone():
    head = nn.Linear(3, 2)
    heads.watch(head)
    heads.watch(head)
    assert len(head._forward_pre_hooks) == 1
    found = {}
    barrier = threading.Barrier(4)

    def ask(number: int) -> None:
        for _ in range(50):
            head(torch.full((1, 3), float(number)))
            barrier.wait()
            found.setdefault(number, []).append(float(heads.take_received()[0, 0]))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [float(number)] * 50 for number in range(4)}
    heads.take_received()
    assert heads.take_received() is None  # it is told once


def test_a_swap_between_checkpoints_that_are_alike_keeps_each_ones_own(runs):
    """The second network is a copy of the first, its watchers with it."""
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    one, two, bare = (ended_run(runs, seed) for seed in range(3))
    for run, limit in ((one, 1e-6), (two, 1e6)):
        of_head(nn.Linear(100, 10), limit).save(run.checkpoint)
    said = {}
    for run in (one, two, bare, one):
        said[run.id] = digits.classify(slot, drawing(), run.id).json.get("unlike")
        slot.swap(run.id)
        assert len(slot.get().predictor.model.head._forward_pre_hooks) <= 1
    assert said == {one.id: True, two.id: False, bare.id: None}


# -- a run -----------------------------------------------------------------------------------------
def test_a_run_of_two_steps_publishes_what_it_knows_and_the_tab_says_it(runs):
    run = ended_well(runs, "digits", TWO_STEPS)
    found = open_known(run.checkpoint)
    assert found is not None and found.facts["learned"] >= 100
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    slot.swap(run.id)
    assert "unlikeness" in digits.classify(slot, drawing()).json
    shift(run, 1e-6)
    fresh = ModelSlot("digits", digits.DigitsPredictor, runs)
    answer = digits.classify(fresh, drawing())
    assert answer.json["unlike"] is True and answer.json["unlikeness"] > 1
    assert page.UNLIKE in digits._seen(answer)


def test_a_run_that_was_stopped_is_published_at_once(runs):
    run = Run.create(runs, "digits", {})

    def compute(*_):
        raise AssertionError("nothing is to be computed")

    part = range(3)
    assert known.recognise(compute, part, part, Outcome(5, 9, True, None), run) is None


@pytest.mark.parametrize("error", [Stopped(), ValueError("no such head")])
def test_what_fails_here_costs_the_alarm_alone(runs, error, capsys):
    from training.recipes.digits.data import load

    def compute(*_):
        raise error

    part = load("mnist", "sample").train
    run = Run.create(runs, "digits", {})
    assert known.recognise(compute, part, part, Outcome(5, 5, False, None), run) is None
    told = capsys.readouterr()
    assert ("no such head" in told.out + told.err) == isinstance(error, ValueError)


# -- the tabs --------------------------------------------------------------------------------------
def test_a_checkpoint_that_cannot_tell_answers_as_before(runs):
    run = ended_run(runs)
    slot = ModelSlot("digits", digits.DigitsPredictor, runs)
    answer = digits.classify(slot, drawing(), run.id)
    assert set(answer.json) == {"label", "checkpoint", "milliseconds"} and answer.note == ""
    assert type(answer.bars) is dict and "nothing I know" not in digits._seen(answer)


@pytest.mark.parametrize("mirrored", [False, True])
def test_food_tells_it_in_its_json_and_above_the_nearest_dishes(runs, tmp_path, mirrored):
    model = network("resnet", CLASSES)
    model.config.mirrored = mirrored
    run = published(runs, model)
    of_head(model.classifier[1], 1e-6).save(run.checkpoint)
    slot = ModelSlot("food", food.FoodPredictor, runs)
    photo().save(tmp_path / "a.png")
    confidences, about = food.endpoint(slot)(str(tmp_path / "a.png"), run.id)
    assert about["unlike"] is True and about["unlikeness"] > 1 and len(confidences) == 5
    bars, told = food.ask_on_page(slot)(str(tmp_path / "a.png"), run.id)
    assert page.UNLIKE in told and "Not sure" not in told
    shown = page.verdict(0.3).postprocess(bars)
    assert shown.label == "nothing I know" and len(shown.confidences) == 5
    shift(run, 1e6)
    again = ModelSlot("food", food.FoodPredictor, runs)
    assert food.endpoint(again)(str(tmp_path / "a.png"), run.id)[1]["unlike"] is False


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_page_measures_what_a_run_measured(runs, mirrored):
    model = network("resnet", CLASSES)
    model.config.mirrored = mirrored
    run = published(runs, model)
    of_head(model.classifier[1]).save(run.checkpoint)
    (opened, preprocessor) = open_network(run.checkpoint)
    one = Pictures(lambda i: photo(), np.arange(1), np.zeros(1, int), np.zeros(1))
    received = score.compute_received(opened, preprocessor, one, np.arange(1), run, False)
    expected = open_known(run.checkpoint).measure(known.pool(received).numpy())[0]
    slot = ModelSlot("food", food.FoodPredictor, runs)
    assert food.classify(slot, photo(), run.id).unlikeness == pytest.approx(expected, rel=0.02)


def test_each_side_of_a_comparison_tells_for_itself(runs, tmp_path):
    model = network("resnet", CLASSES)
    told, bare = published(runs, model), published(runs, model)
    of_head(model.classifier[1], 1e-6).save(told.checkpoint)
    photo().save(tmp_path / "a.png")
    slot = ModelSlot("food", food.FoodPredictor, runs)
    _, one, _, other = food.ask_on_page(slot)(str(tmp_path / "a.png"), told.id, bare.id)
    assert page.UNLIKE in one and page.UNLIKE not in other


def test_a_window_of_what_was_never_taught_does_not_decide(runs):
    slot = ModelSlot("audio", audio_intent.AudioPredictor, runs)
    predictor = slot.get().predictor
    seconds = predictor.seconds
    noise = np.random.default_rng(0).normal(0, 0.1, round(3 * seconds * audio_intent.RATE))
    sound = Sound(noise.astype(np.float32), audio_intent.RATE, audio_intent.RATE, 1, [])
    places = audio_intent.windows(len(noise), seconds)
    shares = np.full((len(places), 14), 0.01)
    shares[0, 3] = 0.99  # the surest, of something unknown
    shares[2, 5] = 0.60
    unlike = [3.0] * len(places)
    unlike[2] = 0.5

    class Told:
        note = ""

        def measure(self, count: int) -> list[float]:
            return unlike[:count]

    predictor.alarm = Told()
    predictor.scores = lambda clips: shares[: len(clips)]
    answer = audio_intent.classify(slot, sound)
    assert answer.label == predictor.labels[5] and answer.json["unlike"] is False
    unlike[2] = 3.0
    answer = audio_intent.classify(slot, sound)
    assert answer.label == predictor.labels[3] and answer.json["unlike"] is True
    assert page.UNLIKE in audio_intent._verdict(answer)


def test_the_captioner_tells_it_above_the_caption_and_in_its_json(runs, tmp_path):
    slot = ModelSlot("captions", captioning.CaptionPredictor, runs)
    predictor = slot.get().predictor
    photo().save(tmp_path / "a.png")

    class Told:
        note = ""

        def judge(self, states) -> list[float]:
            return [2.5]

    predictor.alarm = Told()
    text, about = captioning.endpoint(slot)(str(tmp_path / "a.png"))
    assert text and about["unlike"] is True and about["unlikeness"] == 2.5
    *_, last = captioning.ask_on_page(slot)(str(tmp_path / "a.png"), "active", False, 0.8, 10)
    assert last[0].index(page.UNLIKE) < last[0].index("caption")


# -- the embedded checkpoints ----------------------------------------------------------------------
@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_a_drawn_seven_is_a_digit_and_no_garment(runs, name):
    slot = ModelSlot(name, digits.DigitsPredictor, runs)
    answer = digits.classify(slot, drawing())
    assert answer.json["unlike"] == (name == "fashion")


def test_the_label_of_something_unlike_has_the_nearest_below():
    label = page.verdict(0.0)
    assert isinstance(label, gr.Label)
    assert label.postprocess(page.Unlike(a=0.9, b=0.1)).label == "nothing I know"
    assert label.postprocess({"a": 0.9, "b": 0.1}).label == "a"
