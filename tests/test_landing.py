"""What becomes of a run when it ends: the gate, the swap, and that none is forgotten."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import wait_for

from demos.serving import landing
from demos.serving.lab import Lab
from demos.serving.landing import Landing, decide, land
from training.runs import checkpoint, job
from training.runs.records import write_json
from training.runs.run import Run

ACTIVE = "embedded-digits"


def scores(
    new: float = 0.9,
    old: float | None = 0.8,
    active: str = ACTIVE,
    same_labels: bool = True,
    difference: tuple[float, float] | None = None,
) -> dict:
    """What a job that ended in its own time measured."""
    gate: dict = {"id": active, "same_labels": same_labels, "score": old if same_labels else None}
    if difference:
        gate["difference"] = list(difference)
    return {"after": {"accuracy": new}, "held_out": "100 pictures", "active": gate}


UNSCORED = {"stopped": True, "step": 3, "total": 9, "held_out_score": None}

GATE = [
    # asked for   what was measured                   outcome    why
    ("better", scores(0.9, 0.8), "swap", "better: 90.0% against 80.0% on 100 pictures"),
    ("better", scores(0.8, 0.9), "kept", "not better: 80.0% against 90.0% on 100 pictures"),
    ("better", scores(0.8, 0.8), "kept", "not better: 80.0% against 80.0%"),
    ("better", scores(0.9, 0.8, difference=(0.02, 0.2)), "swap", "better: 90.0% against 80.0%"),
    ("better", scores(0.9, 0.8, difference=(-0.02, 0.2)), "offered", "a tie: 90.0% against 80.0%"),
    ("better", scores(0.8, 0.8, difference=(0.0, 0.0)), "kept", "not better: 80.0% against 80.0%"),
    ("better", scores(0.7, 0.8, difference=(-0.2, -0.02)), "kept", "not better: 70.0%"),
    ("better", scores(same_labels=False), "offered", "predicts something else"),
    (
        "better",
        scores(active="digits-1-gone"),
        "offered",
        "with digits-1-gone, which is no longer in use",
    ),
    ("better", UNSCORED, "offered", "stopped before it was scored"),
    ("better", {}, "offered", "stopped before it was scored"),
    ("always", scores(0.9, 0.8), "swap", "was set to “always”"),
    ("always", scores(0.1, 0.8), "swap", "was set to “always”"),
    ("always", scores(same_labels=False), "swap", "was set to “always”"),
    ("always", scores(active="digits-1-gone"), "swap", "was set to “always”"),
    ("always", UNSCORED, "swap", "was set to “always”"),
    ("never", scores(0.9, 0.8), "offered", "was set to “never”"),
    ("never", UNSCORED, "offered", "was set to “never”"),
]


@pytest.mark.parametrize("wish, measured, outcome, why", GATE)
def test_the_gate_decides_by_the_wish_and_by_what_was_measured(runs, wish, measured, outcome, why):
    run = Run.create(runs, "digits", {"swap": wish})
    write_json(run.report / "metrics.json", measured)
    decided, because = decide(run, ACTIVE)
    assert decided == outcome and why in because


@pytest.mark.parametrize(
    "source, low, outcome",
    [("folder", 0.6, "swap"), ("folder", 0.4, "offered"), ("hub", 0.6, "offered")],
)
def test_a_persons_own_classes_are_used_where_they_were_learned(runs, source, low, outcome):
    run = Run.create(runs, "digits", {"source": source})
    measured = scores(0.8, same_labels=False)
    measured["after"] |= {"interval": [low, 0.9], "n": 40}
    measured["base"] = {"value": 0.5, "rule": 'always "cat"'}
    write_json(run.report / "metrics.json", measured)
    decided, why = decide(run, ACTIVE)
    assert decided == outcome
    assert ('always "cat" scores 50.0%' in why) == (source == "folder")


def test_without_a_wish_it_is_swapped_in_only_if_better(runs):
    run = Run.create(runs, "digits", {})
    for measured, outcome in ((scores(0.9, 0.8), "swap"), (scores(0.7, 0.8), "kept")):
        write_json(run.report / "metrics.json", measured)
        assert decide(run, ACTIVE)[0] == outcome


@pytest.mark.parametrize(
    "measured, outcome, answers",
    [
        (scores(0.9, 0.8), "swapped", True),
        (scores(0.7, 0.8), "kept", False),
        (scores(same_labels=False), "offered", False),
    ],
)
def test_landing_swaps_and_writes_down_what_was_done_and_why(
    slots, ended, measured, outcome, answers
):
    run = ended(metrics=measured)
    land(run, slots["digits"])
    assert (
        run.swap["outcome"] == outcome
        and run.swap["why"] == decide(run, ACTIVE)[1]
        and run.swap["at"] > 0
    )
    assert slots["digits"].get().id == (run.id if answers else ACTIVE)


def test_one_run_that_cannot_land_keeps_none_behind_it_from_landing(
    runs, slots, ended, monkeypatch, caplog
):
    odd, good = ended(seed=1, swap="always"), ended(seed=2, metrics=scores())
    decided = landing.decide

    def stumble(run, active_id):
        if run.id == odd.id:
            raise RuntimeError("whatever it is")
        return decided(run, active_id)

    monkeypatch.setattr(landing, "decide", stumble)
    app = Landing(Lab(runs, slots))
    for _ in range(3):
        app.look()
    assert good.swap["outcome"] == "swapped" and odd.swap is None
    assert len(caplog.records) == 1, "it is told once"


def test_the_landing_follows_another_app(runs, slots, ended):
    run = ended(metrics=scores(0.7, 0.8))
    slots["digits"].get()
    checkpoint.set_active(runs, "digits", ["embedded-digits", run.id])
    Landing(Lab(runs, slots)).look()
    assert slots["digits"].get().id == run.id


@pytest.mark.parametrize("wish, outcome", [("better", "offered"), ("always", "swapped")])
def test_what_learned_from_drawings_replaces_what_learned_from_real_data_only_when_asked_for(
    slots, ended, wish, outcome
):
    run = ended(metrics=scores(0.9, 0.8), synthetic=True, swap=wish)
    land(run, slots["digits"])
    assert run.swap["outcome"] == outcome
    assert wish == "always" or "synthetic examples" in run.swap["why"]


def test_of_two_that_learned_from_drawings_the_better_one_is_used(slots, ended):
    first = ended(metrics=scores(), synthetic=True, seed=1)
    slots["digits"].swap(first.id)
    second = ended(metrics=scores(0.9, 0.8, active=first.id), synthetic=True, seed=2)
    land(second, slots["digits"])
    assert slots["digits"].get().id == second.id


def test_other_labels_are_swapped_in_when_asked_for(slots, ended):
    run = ended(metrics=scores(same_labels=False), labels=["cat", "dog", "fox"], swap="always")
    land(run, slots["digits"])
    assert run.swap["outcome"] == "swapped" and slots["digits"].get().predictor.labels == [
        "cat",
        "dog",
        "fox",
    ]


def test_a_checkpoint_that_is_refused_on_landing_is_written_down_with_the_reason(slots, ended):
    run = ended(metrics=scores(0.9, 0.8))
    weights = run.checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    land(run, slots["digits"])
    assert run.swap["outcome"] == "refused" and "damaged or cut off" in run.swap["why"]
    assert slots["digits"].get().id == ACTIVE


def test_what_ended_while_no_app_was_up_lands_at_the_next_look_each_in_its_slot_and_only_once(
    runs, slots, ended
):
    digits, fashion = ended(seed=1, metrics=scores()), ended(seed=2, slot="fashion", swap="always")
    app = Landing(Lab(runs, slots))
    app.look()
    assert [slots[name].get().id for name in ("digits", "fashion")] == [digits.id, fashion.id]
    slots["digits"].roll_back()
    app.look()
    assert slots["digits"].get().id == ACTIVE, "a person's roll back stays"


def test_of_two_better_runs_the_second_is_offered_since_it_was_compared_with_what_no_longer_answers(
    runs, slots, ended
):
    first, second = ended(seed=1, metrics=scores()), ended(seed=2, metrics=scores(0.99, 0.8))
    Landing(Lab(runs, slots)).look()
    assert first.swap["outcome"] == "swapped" and second.swap["outcome"] == "offered"
    assert slots["digits"].get().id == first.id


@pytest.mark.parametrize(
    "state, lands", [("done", True), ("stopped", True), ("failed", False), ("lost", False)]
)
def test_only_what_ended_well_or_was_stopped_lands(runs, slots, ended, state, lands):
    run = ended(state=state, swap="always")
    Landing(Lab(runs, slots)).look()
    assert (run.swap is not None) == lands and (slots["digits"].get().id == run.id) == lands


def test_what_published_nothing_is_left_alone(runs, slots):
    run = Run.create(runs, "digits", {"swap": "always"}, slot="digits")
    run.set_status("stopped")
    Landing(Lab(runs, slots)).look()
    assert run.swap is None and slots["digits"].get().id == ACTIVE


def test_where_training_is_off_nothing_is_started_but_ended_runs_land(runs, slots, ended):
    waiting = job.create(runs, "digits", {"start": "scratch"}, local=False)
    run = ended(metrics=scores())
    for _ in range(2):
        Landing(Lab(runs, slots, training=False)).look()
    assert waiting.state == "queued" and not waiting.log_file.exists()
    assert run.swap["outcome"] == "swapped" and slots["digits"].get().id == run.id


def test_where_training_is_off_a_run_that_died_does_not_seem_to_run_for_ever(runs, slots):
    run = Run.create(runs, "digits", {}, slot="digits")
    run.set_status("running", worker={"pid": 2**22 + 1, "started": 1.0})
    Landing(Lab(runs, slots, training=False)).look()
    assert run.state == "lost"


def test_without_a_folder_of_runs_there_is_nothing_to_do_and_none_is_made(runs, slots):
    runs.rmdir()
    Landing(Lab(runs, slots)).look()
    assert not runs.exists()


def test_a_run_of_another_version_does_not_keep_those_behind_it_from_landing(runs, slots, ended):
    strange = [ended(metrics={"active": {"id": ACTIVE, "same_labels": True}}), ended(), ended()]
    for run, settings in zip(
        strange[1:], ({"recipe": "telepathy"}, {"config": {"mind": 1}}), strict=True
    ):
        run.record(**settings, slot="")
    good = ended(seed=5, metrics=scores())
    Landing(Lab(runs, slots)).look()
    assert good.swap["outcome"] == "swapped"
    assert all(run.swap["outcome"] == "offered" and run.swap["why"] for run in strange)


class Clumsy(dict):
    """Slots that fail twice when they are asked for."""

    failures = 2

    def get(self, name):
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        return super().get(name)


def test_the_thread_survives_errors_tells_each_once_and_goes_on(
    runs, slots, ended, monkeypatch, caplog
):
    run = ended(metrics=scores())
    monkeypatch.setattr(landing, "EVERY", 0.01)
    thread = Landing(Lab(runs, Clumsy(slots), training=False))
    with caplog.at_level(logging.ERROR, "demos.serving.landing"):
        thread.start()
        try:
            wait_for(lambda: run.swap)
        finally:
            thread.stop()
    assert run.swap["outcome"] == "swapped" and not thread.is_alive()
    assert [record.exc_info[0] for record in caplog.records] == [OSError]


def test_two_looks_at_once_land_a_run_as_one(runs, slots, ended):
    run = ended(metrics=scores())
    with ThreadPoolExecutor(2) as pool:
        for look in [pool.submit(Landing(Lab(runs, slots, training=False)).look) for _ in range(2)]:
            look.result(60)
    assert slots["digits"].get().id == run.id and slots["digits"].roll_back().id == ACTIVE
