"""A slot answers without pause while its checkpoint is exchanged, and refuses what it cannot vouch
for."""

import errno
import gc
import json
import pickle
import subprocess
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from serving import is_a_sentence, pixels

from demos import digits
from demos.serving.checks import check_scores
from demos.serving.model_slot import ModelSlot, SwapError
from demos.serving.shelf import Shelf
from training.runs import checkpoint
from training.runs.records import read_json

ROOT = Path(__file__).parent.parent
BESIDE = 2  # fake predictors that there is room for beside the active one
SIZE = 1000  # bytes of each


class FakePredictor:
    """Loads when it is let; answers with zeros."""

    gate = threading.Event()
    loads: Counter = Counter()

    def __init__(self, path):
        assert self.gate.wait(30), "nobody opened the gate"
        self.loads[path.parent.name] += 1
        self.model = torch.nn.Linear(SIZE // 4, 1, bias=False)

    def scores(self):
        return np.zeros(2)

    def check(self):
        check_scores(self.scores(), 2)


@pytest.fixture
def fake(runs):
    """A slot of fake predictors, which load at once unless the gate is shut."""
    FakePredictor.loads.clear()
    FakePredictor.gate.set()
    yield ModelSlot("digits", FakePredictor, runs, shelf=Shelf(BESIDE * SIZE))
    FakePredictor.gate.set()


@pytest.fixture
def slot(slots):
    return slots["digits"]


def same(one, other) -> bool:
    """Answers of one network, loaded twice: each load may give other last bits on some
    processors."""
    return one == pytest.approx(other, abs=1e-6)


def recorded(runs) -> list[str]:
    return read_json(runs / "active.json", {}).get("digits", [])


# -- swapping under load ---------------------------------------------------------------------------
@pytest.mark.slow
def test_eight_threads_get_the_answers_of_the_checkpoints_they_name_through_fifty_swaps(
    slot, ended
):
    runs = [ended(seed=1, arch="cnn"), ended(seed=2)]
    pictures = [Image.fromarray(np.pad(pixels(i)[4:24, 4:24], 4)) for i in range(4)]
    alone = {run.id: digits.DigitsPredictor(run.checkpoint) for run in runs}
    right = {
        (run.id, i): digits.classify(slot, p, run.id).confidences
        for run in runs
        for i, p in enumerate(pictures)
    }
    for (run_id, i), confidences in right.items():
        assert same(
            list(confidences.values()), sorted(alone[run_id].scores(np.array(pictures[i])))[::-1]
        )
    assert right[runs[0].id, 0] != pytest.approx(right[runs[1].id, 0], abs=1e-3)
    slot.swap(runs[0].id)
    over, seen = threading.Event(), Counter()

    def ask(thread: int) -> None:
        i = thread % len(pictures)
        while not over.is_set():
            answer = digits.classify(slot, pictures[i])
            assert same(answer.confidences, right[answer.checkpoint, i])
            seen[thread, answer.checkpoint] += 1

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, thread) for thread in range(8)]
        try:
            for i in range(50):
                assert slot.swap(runs[(i + 1) % 2].id).id == runs[(i + 1) % 2].id
        finally:
            over.set()
        for future in asking:
            future.result(60)
    assert {thread for thread, _ in seen} == set(range(8)) and {run for _, run in seen} == {
        r.id for r in runs
    }


def test_the_old_checkpoint_answers_at_once_while_the_new_one_loads(fake, ended):
    run = ended()
    fake.get()
    FakePredictor.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        swap = pool.submit(fake.swap, run.id)
        assert fake.get().id == "embedded-digits" and not swap.done()
        FakePredictor.gate.set()
        assert swap.result(30).id == run.id
    assert fake.get().id == run.id


def test_an_answer_under_way_finishes_on_the_model_that_it_started_with(slot, ended):
    run = ended(seed=1)
    held = slot.get()
    before = held.predictor.scores(pixels(0)).tobytes()
    slot.swap(run.id)
    assert held.predictor.scores(pixels(0)).tobytes() == before
    assert slot.get().predictor.scores(pixels(0)).tobytes() != before


def test_of_two_swaps_at_once_one_comes_after_the_other_and_the_disk_agrees(runs, fake, ended):
    first, second = ended(seed=1), ended(seed=2)
    fake.get()
    with ThreadPoolExecutor(2) as pool:
        for swap in [pool.submit(fake.swap, run.id) for run in (first, second)]:
            swap.result(30)
    history = recorded(runs)
    assert sorted(history[1:]) == sorted([first.id, second.id]) and fake.get().id == history[-1]
    assert fake.roll_back().id == history[-2]


def test_swaps_of_two_slots_at_once_are_both_recorded(runs, slots, ended):
    wanted = {"digits": ended(seed=1).id, "fashion": ended(seed=2, slot="fashion").id}
    with ThreadPoolExecutor(2) as pool:
        for swap in [pool.submit(slots[name].swap, run) for name, run in wanted.items()]:
            swap.result(60)
    assert {
        name: history[-1] for name, history in read_json(runs / "active.json").items()
    } == wanted


@pytest.mark.slow
def test_all_slots_loading_at_once_in_a_fresh_process_answer_with_the_choice_of_last_time(
    runs, slot, ended
):
    slot.swap((chosen := ended(seed=1)).id)
    code = """
import app, os, pathlib, threading
slots = app.open_lab(pathlib.Path(os.environ["RUNS"])).slots.values()
gate = threading.Barrier(len(slots))
threads = [threading.Thread(target=lambda s=s: (gate.wait(), s.get())) for s in slots]
[t.start() for t in threads], [t.join() for t in threads]
print(*(f"{s.name}={s.active_id}{s.notice}" for s in slots))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    answers = dict(line.split("=", 1) for line in found.stdout.split())
    assert answers.pop("digits") == chosen.id and answers, found
    assert all(answer.startswith("embedded-") for answer in answers.values()), found


@pytest.mark.slow
@pytest.mark.parametrize(
    "tab, slot, ask", [("food", "food", "classify"), ("captioning", "captions", "caption")]
)
def test_who_asks_while_another_thread_imports_transformers_is_answered(runs, tab, slot, ask):
    code = f"""
import app, os, pathlib, sys, threading
from PIL import Image
from demos import {tab}
slot = app.open_lab(pathlib.Path(os.environ["RUNS"])).slots["{slot}"]
threading.Thread(target=slot.get).start()
while "transformers" not in sys.modules:
    pass
print({tab}.{ask}(slot, Image.new("RGB", (64, 64))).checkpoint)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert found.stdout.strip() == f"embedded-{slot}", found


def test_memory_does_not_grow_with_the_number_of_swaps(runs, ended):
    slot = ModelSlot("digits", digits.DigitsPredictor, runs, shelf=Shelf(7_000_000))
    # so many that each swap loads: 3.2 MB each
    swapped = [ended(seed=seed, hidden=1000) for seed in range(4)]
    memory = {}
    for count in range(1, 101):
        slot.swap(swapped[count % len(swapped)].id)
        if count in (10, 100):
            gc.collect()
            memory[count] = psutil.Process().memory_info().rss
    assert memory[100] < 1.05 * memory[10]


# -- refusing --------------------------------------------------------------------------------------
def cut(path):
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def cut_in_the_header(path):
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:20])


def no_weights(path):
    (path / "model.safetensors").unlink()


def no_config(path):
    (path / "config.json").write_text("{}")
    (path / "config.json").unlink()


def pickled(path):
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(pickle.dumps({"run": "me"}))


def config_with(text):
    return lambda path: (path / "config.json").write_text(text)


def settings_with(**changes):
    def change(path):
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def weights_with(change):
    def rewrite(path):
        from safetensors.torch import load, save

        tensors = load((path / "model.safetensors").read_bytes())
        change(tensors)
        (path / "model.safetensors").write_bytes(save(tensors, {"format": "pt"}))

    return rewrite


DAMAGES = {
    "weights cut off": (cut, "damaged or cut off"),
    "weights cut off in their header": (cut_in_the_header, "damaged or cut off"),
    "no weights": (no_weights, "weights (model.safetensors) are missing"),
    "a pickle only": (pickled, "pytorch_model.bin, which could run code"),
    "config.json is garbage": (config_with("{garbage"), "config.json is damaged"),
    "config.json is binary": (
        lambda path: (path / "config.json").write_bytes(b"\xff\xfe\x00{}"),
        "config.json is",
    ),
    "config.json is a list": (config_with("[1, 2]"), "config.json is damaged"),
    "no labels": (settings_with(id2label=None), "head.bias is (10,) instead of (2,)"),
    "labels are no table": (settings_with(id2label=["a", "b"]), "config.json is damaged"),
    "one label fewer than rows": (
        settings_with(id2label={str(i): str(i) for i in range(9)}),
        "(10,) instead of (9,)",
    ),
    "one label more than rows": (
        settings_with(id2label={str(i): str(i) for i in range(11)}),
        "(10,) instead of (11,)",
    ),
    "another network": (settings_with(arch="cnn"), "do not fit its config"),
    "a network that there is not": (settings_with(arch="vit"), "arch is 'vit'"),
    "a framing that there is not": (settings_with(framing="sideways"), "framing"),
    "a tensor missing": (weights_with(lambda t: t.pop("head.bias")), "head.bias is missing"),
    "a tensor too many": (
        weights_with(lambda t: t.update(extra=t["head.bias"].clone())),
        "extra has no place",
    ),
    "a weight is not a number": (
        weights_with(lambda t: t["head.weight"][3, 5].fill_(float("nan"))),
        "not finite",
    ),
    "a weight is infinite": (
        weights_with(lambda t: t["head.bias"][0].fill_(float("inf"))),
        "not finite",
    ),
}


@pytest.mark.parametrize("damage, words", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_a_sentence_and_the_old_one_stays(
    runs, slot, ended, damage, words
):
    good, bad = ended(seed=1), ended(seed=2)
    slot.swap(good.id)
    before, choice = (
        slot.get().predictor.scores(pixels(0)).tobytes(),
        (runs / "active.json").read_bytes(),
    )
    damage(bad.checkpoint)
    with pytest.raises(SwapError) as refused:
        slot.swap(bad.id)
    assert (
        words in str(refused.value)
        and bad.id in str(refused.value)
        and is_a_sentence(str(refused.value))
    )
    assert slot.get().id == good.id and slot.get().predictor.scores(pixels(0)).tobytes() == before
    assert (runs / "active.json").read_bytes() == choice


def test_without_its_config_a_run_has_no_checkpoint_to_swap_in(slot, ended):
    run = ended()
    (run.checkpoint / "config.json").unlink()
    with pytest.raises(SwapError, match="published no checkpoint"):
        slot.swap(run.id)


def test_without_its_config_the_embedded_checkpoint_is_missed_in_a_sentence(
    tmp_path, runs, monkeypatch
):
    (tmp_path / "embedded" / "digits").mkdir(parents=True)
    monkeypatch.setattr(checkpoint, "EMBEDDED", tmp_path / "embedded")
    with pytest.raises(SwapError, match="embedded-digits was refused: its config.json is missing"):
        ModelSlot("digits", digits.DigitsPredictor, runs).get()


def test_a_check_that_fails_in_its_own_way_leaves_the_old_checkpoint(fake, ended, monkeypatch):
    run = ended()
    fake.get()

    def explode(self):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakePredictor, "check", explode)
    with pytest.raises(SwapError, match="out of memory"):
        fake.swap(run.id)
    assert fake.get().id == "embedded-digits"


@pytest.mark.parametrize(
    "scores, words", [(np.zeros(3), "3 scores for 2 labels"), (np.full(2, np.nan), "not finite")]
)
def test_what_the_first_prediction_gives_is_checked(fake, ended, monkeypatch, scores, words):
    run = ended()
    fake.get()
    monkeypatch.setattr(FakePredictor, "scores", lambda self: scores)
    with pytest.raises(SwapError, match=words):
        fake.swap(run.id)
    assert fake.get().id == "embedded-digits"


@pytest.mark.parametrize(
    "name",
    [
        "../{0}",
        "{1}/{0}",
        "{1}/{0}/checkpoint",
        "/etc",
        "..",
        ".",
        "",
        "embedded-../x",
        "embedded-",
        "nothing-there",
        "{0}/../{0}",
        "{0}\n",
        "active.json",
    ],
)
def test_ids_that_are_paths_or_of_nothing_are_refused(runs, slot, ended, name):
    run = ended()
    before = slot.get().id
    for act in (slot.swap, slot.find):
        with pytest.raises(SwapError, match="There is no checkpoint"):
            act(name.format(run.id, runs))
    assert slot.get().id == before and not recorded(runs)


def test_a_checkpoint_of_another_slot_is_refused(slot, ended):
    shoes = ended(slot="fashion")
    for other in (shoes.id, "embedded-fashion"):
        with pytest.raises(SwapError, match="belongs in fashion, not in digits"):
            slot.swap(other)
    with pytest.raises(SwapError, match="belongs in fashion"):
        digits.classify(slot, Image.fromarray(pixels(0)), shoes.id)


# -- what survives a restart -----------------------------------------------------------------------
def test_the_choice_and_the_way_back_survive_a_restart(runs, slot, ended):
    """test_app.py looks at the same with the real command, in a process of its own."""
    first, second = ended(seed=1), ended(seed=2)
    slot.swap(first.id)
    slot.swap(second.id)
    again = ModelSlot("digits", digits.DigitsPredictor, runs)
    assert again.active_id == second.id and again.get().id == second.id and not again.notice
    assert again.roll_back().id == first.id
    assert ModelSlot("digits", digits.DigitsPredictor, runs).get().id == first.id


@pytest.mark.parametrize("loss", ["deleted", "damaged"])
def test_a_choice_that_was_lost_between_sessions_falls_back_to_an_earlier_one_and_says_so(
    runs, slot, ended, loss
):
    kept, lost = ended(seed=1), ended(seed=2)
    slot.swap(kept.id)
    slot.swap(lost.id)
    if loss == "deleted":
        lost.delete()
    else:
        cut(lost.checkpoint)
    again = ModelSlot("digits", digits.DigitsPredictor, runs)
    assert again.get().id == kept.id
    assert (
        lost.id in again.notice
        and "earlier checkpoint is used" in again.notice
        and is_a_sentence(again.notice)
    )
    assert recorded(runs)[-1] == kept.id, "the gate must compare with what answers"
    assert again.previous == "embedded-digits"
    again.roll_back()
    assert not again.notice


def test_where_every_choice_was_lost_the_embedded_one_answers(runs, slot, ended):
    for seed in (1, 2):
        slot.swap(ended(seed=seed).id)
    for run in recorded(runs)[1:]:
        cut(runs / run / "checkpoint")
    again = ModelSlot("digits", digits.DigitsPredictor, runs)
    assert (
        again.get().id == "embedded-digits"
        and again.previous is None
        and recorded(runs) == ["embedded-digits"]
    )


@pytest.mark.parametrize(
    "text", ["", '{"digits": ["embe', "5", "[]", '{"digits": [5]}', '{"digits": "embedded-digits"}']
)
def test_a_damaged_list_of_choices_means_the_embedded_one_and_is_said(runs, slot, ended, text):
    (runs / "active.json").write_text(text)
    assert slot.get().id == "embedded-digits"
    assert "active.json is damaged" in slot.notice
    run = ended()
    slot.swap(run.id)  # and can be written again
    assert slot.notice == "" and recorded(runs)[-1] == run.id


def test_no_list_of_choices_is_no_damage(runs, slot):
    assert slot.get().id == "embedded-digits" and slot.notice == ""
    (runs / "active.json").write_text('{"fashion": [5]}')
    assert ModelSlot("digits", digits.DigitsPredictor, runs).get() and slot.notice == ""


# -- two apps on the same runs ---------------------------------------------------------------------
def test_a_slot_follows_what_another_app_has_chosen(runs, slot, ended):
    other = ModelSlot("digits", digits.DigitsPredictor, runs)
    run = ended()
    slot.get(), other.get()
    other.swap(run.id)
    assert slot.get().id == "embedded-digits"
    slot.follow()
    assert slot.get().id == slot.active_id == run.id
    other.roll_back()
    slot.follow()
    assert slot.get().id == "embedded-digits"


def test_a_slot_that_cannot_follow_says_why_and_answers(runs, slot, ended):
    run, damaged = ended(seed=1), ended(seed=2)
    slot.swap(run.id)
    cut(damaged.checkpoint)
    checkpoint.set_active(runs, "digits", ["embedded-digits", damaged.id])
    slot.follow()
    assert slot.get().id == "embedded-digits" and damaged.id in slot.notice


def test_a_list_of_choices_that_is_damaged_in_mid_use_changes_nothing(runs, slot, ended):
    run = ended()
    slot.swap(run.id)
    (runs / "active.json").write_text("5")
    slot.follow()
    assert slot.get().id == run.id


def test_a_swap_that_cannot_be_written_down_is_refused_and_the_old_one_stays(
    slot, ended, monkeypatch
):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = ended()
    slot.get()
    monkeypatch.setattr(checkpoint, "write_json", refuse)
    with pytest.raises(SwapError, match="The disk is full"):
        slot.swap(run.id)
    assert slot.get().id == "embedded-digits"


# -- rolling back ----------------------------------------------------------------------------------
def test_roll_back_walks_back_one_choice_at_a_time(runs, slot, ended):
    ids = [ended(seed=seed).id for seed in (1, 2, 3)]
    for run_id in ids:
        slot.swap(run_id)
    for expected in (ids[1], ids[0], "embedded-digits"):
        assert slot.previous == expected
        assert (
            slot.roll_back().id == expected
            and slot.get().id == expected
            and recorded(runs)[-1] == expected
        )
    assert slot.previous is None
    with pytest.raises(SwapError, match="nothing to roll back to"):
        slot.roll_back()


def test_roll_back_skips_what_was_deleted_or_damaged(runs, ended):
    # with room for nothing beside the active one, the damaged one is not loaded any more
    slot = ModelSlot("digits", digits.DigitsPredictor, runs, shelf=Shelf(0))
    first, damaged, last, *deleted = (ended(seed=seed) for seed in range(5))
    for run in (first, damaged, *deleted, last):
        slot.swap(run.id)
    for run in deleted:
        run.delete()
    cut(damaged.checkpoint)
    assert slot.roll_back().id == first.id


def test_roll_back_never_returns_to_what_already_answers(slot, ended):
    run, between = ended(seed=1), ended(seed=2)
    for run_id in (run.id, between.id, run.id):
        slot.swap(run_id)
    between.delete()
    assert slot.previous == "embedded-digits" and slot.roll_back().id == "embedded-digits"


def test_swapping_in_what_already_answers_changes_nothing(runs, slot, ended):
    run = ended()
    slot.swap(run.id)
    choice = (runs / "active.json").read_bytes()
    assert slot.swap(run.id) is slot.get()
    ModelSlot("digits", digits.DigitsPredictor, runs).swap(run.id)
    assert (runs / "active.json").read_bytes() == choice
    slot.roll_back()
    held = slot.get()
    assert slot.swap("embedded") is held and slot.swap("embedded-digits") is held


def test_the_embedded_checkpoint_is_under_all_choices_however_many_there_were(slot, ended):
    runs = [ended(seed=1), ended(seed=2)]
    for i in range(checkpoint.HISTORY + 2):
        slot.swap(runs[i % 2].id)
    seen = [slot.roll_back().id for _ in range(checkpoint.HISTORY)]
    assert seen[-1] == "embedded-digits" and "embedded-digits" not in seen[:-1]


# -- side by side ----------------------------------------------------------------------------------
def test_another_checkpoint_answers_beside_the_active_one_without_becoming_it(runs, slot, ended):
    run = ended(seed=1)
    active = slot.get()
    beside = slot.get(run.id)
    alone = digits.DigitsPredictor(run.checkpoint).scores(pixels(0))
    assert beside.id == run.id and same(beside.predictor.scores(pixels(0)), alone)
    assert active.predictor.scores(pixels(0)) != pytest.approx(alone, abs=1e-3)
    assert slot.get() is active and slot.active_id == "embedded-digits" and not recorded(runs)
    assert (
        slot.get("embedded-digits") is active
        and slot.get("active") is active
        and slot.get("") is active
    )


def test_beside_the_active_one_as_many_are_kept_as_there_is_room_for(fake, ended):
    fake.get()
    runs = [ended(seed=seed) for seed in range(BESIDE + 1)]
    oldest = weakref.ref(fake.get(runs[0].id).predictor)
    for run in [*runs[1:], *runs[1:]]:
        fake.get(run.id)
    gc.collect()
    assert oldest() is None and [FakePredictor.loads[run.id] for run in runs] == [1] * len(runs)
    fake.get(runs[0].id)
    assert FakePredictor.loads[runs[0].id] == 2


def test_what_is_beside_is_swapped_in_without_loading_it_again(fake, ended):
    run = ended()
    beside = fake.get(run.id)
    assert fake.swap(run.id) is beside and FakePredictor.loads[run.id] == 1


def test_the_way_back_loads_nothing(fake, ended):
    first, run = fake.get(), ended()
    fake.swap(run.id)
    loads = dict(FakePredictor.loads)
    assert (
        fake.roll_back() is first
        and fake.swap(run.id).id == run.id
        and FakePredictor.loads == loads
    )


def test_a_damaged_checkpoint_asked_for_beside_the_active_one_is_refused_by_name(slot, ended):
    run = ended()
    cut(run.checkpoint)
    with pytest.raises(
        SwapError, match=f"{run.id} was refused: its weights are damaged"
    ) as refused:
        slot.get(run.id)
    assert is_a_sentence(str(refused.value)) and slot.get().id == "embedded-digits"


# -- with nothing embedded -------------------------------------------------------------------------
@pytest.fixture
def empty(tmp_path, monkeypatch, fake):
    """A slot for which this project brings no checkpoint, and nothing was trained yet."""
    monkeypatch.setattr(checkpoint, "EMBEDDED", tmp_path / "embedded")
    return fake


def test_an_empty_slot_says_how_to_fill_it_and_has_no_way_back(empty):
    with pytest.raises(SwapError, match="There is no model here yet. Train one") as refused:
        empty.get()
    assert is_a_sentence(str(refused.value))
    with pytest.raises(SwapError, match="There is no model here yet"):
        empty.answer(lambda predictor: predictor.scores())
    assert empty.active_id == "" and empty.embedded_id == "" and empty.previous is None
    assert empty.list_checkpoints() == [] and not empty.notice
    with pytest.raises(SwapError, match="nothing to roll back to"):
        empty.roll_back()
    with pytest.raises(SwapError, match="There is no checkpoint"):
        empty.swap("embedded-digits")


def test_an_empty_slot_takes_its_first_run_and_keeps_it_over_a_restart(runs, empty, ended):
    first, second = ended(seed=1), ended(seed=2)
    assert empty.swap(first.id).id == first.id and empty.get().id == first.id
    assert recorded(runs) == [first.id] and empty.previous is None
    empty.swap(second.id)
    assert empty.previous == first.id
    again = ModelSlot("digits", FakePredictor, runs)
    assert again.active_id == second.id and again.get().id == second.id
    assert again.roll_back().id == first.id
    with pytest.raises(SwapError, match="nothing to roll back to"):
        again.roll_back()


def test_in_an_empty_slot_a_checkpoint_that_is_named_answers_and_does_not_become_active(
    empty, ended
):
    run = ended()
    held, scores = empty.answer(lambda predictor: predictor.scores(), run.id)
    assert held.id == run.id and len(scores) == 2 and empty.active_id == ""


def test_a_slot_whose_only_choice_was_lost_is_empty_again_and_says_why(runs, empty, ended):
    run = ended()
    empty.swap(run.id)
    run.delete()
    again = ModelSlot("digits", FakePredictor, runs)
    with pytest.raises(SwapError, match="There is no model here yet"):
        again.get()
    assert run.id in again.notice and again.active_id == ""


def test_a_damaged_active_checkpoint_does_not_keep_another_one_from_answering(slot, ended):
    broken, good = ended(seed=1), ended(seed=2)
    slot.swap(broken.id)
    cut(broken.checkpoint)
    again = ModelSlot("digits", digits.DigitsPredictor, slot.runs)
    assert again.get(good.id).id == good.id and again.active_id == broken.id


# -- one place in which it answers -----------------------------------------------------------------
def test_an_answer_comes_with_the_checkpoint_that_gave_it(fake, ended):
    run = ended()
    own, scores = fake.answer(lambda predictor: predictor.scores() + 1)
    other, model = fake.answer(lambda predictor: predictor.model, run.id)
    assert own.id == "embedded-digits" and scores.tolist() == [1, 1]
    assert other.id == run.id and model is other.predictor.model


def test_an_answer_that_grows_stays_on_the_checkpoint_that_it_began_with(fake, ended):
    run = ended()

    def count(held):
        for number in range(3):
            yield held.id, number

    growing = fake.stream(count)
    assert next(growing) == ("embedded-digits", 0)
    fake.swap(run.id)
    assert list(growing) == [("embedded-digits", 1), ("embedded-digits", 2)]
    assert next(fake.stream(count)) == (run.id, 0)
