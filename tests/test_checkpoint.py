"""Checkpoints by id, never by path; and which one is active in a slot."""

import pytest

from training.runs import checkpoint, job
from training.runs.checkpoint import CheckpointError


@pytest.fixture(autouse=True)
def embedded(tmp_path, monkeypatch):
    """Two embedded checkpoints, in name."""
    monkeypatch.setattr(checkpoint, "EMBEDDED", tmp_path / "checkpoints")
    for slot in ("digits", "fashion"):
        (tmp_path / "checkpoints" / slot).mkdir(parents=True)
    return tmp_path / "checkpoints"


def published(runs, **settings):
    run = job.create(runs, "digits", settings)
    run.checkpoint.mkdir()
    (run.checkpoint / "config.json").write_text(
        '{"id2label": {"1": "b", "0": "a", "10": "k", "2": "c"}}'
    )
    run.set_status("done")
    return run


def test_a_slot_holds_the_embedded_one_and_its_own_runs_newest_first(runs):
    first, second = published(runs), published(runs, name="mine")
    published(runs, dataset="fashion_mnist")
    job.create(runs, "digits", {})
    found = list(checkpoint.list_checkpoints(runs, "digits"))
    assert [c.id for c in found] == ["embedded-digits", second.id, first.id]
    assert found[1].name == f"mine · {second.id[-4:]}" and found[2].name.startswith(
        "digits, sample, full, 3 epochs · "
    )


def test_a_checkpoint_says_where_it_comes_from_and_what_its_weights_weigh(runs):
    run = published(runs)
    (run.checkpoint / "model-1.safetensors").write_bytes(b"x" * 70)
    (run.checkpoint / "model-2.safetensors").write_bytes(b"x" * 30)
    own, trained = list(checkpoint.list_checkpoints(runs, "digits"))
    assert (own.kind, own.title, own.bytes) == ("embedded", "Built-in", 0)
    assert (trained.kind, trained.title, trained.bytes) == ("run", trained.name, 100)


def test_a_slot_for_which_nothing_is_embedded_holds_its_runs_and_nothing_is_active(runs, embedded):
    (embedded / "digits").rmdir()
    assert list(checkpoint.list_checkpoints(runs, "digits")) == []
    assert checkpoint.active(runs, "digits") == []
    run = published(runs)
    assert [each.id for each in checkpoint.list_checkpoints(runs, "digits")] == [run.id]
    checkpoint.set_active(runs, "digits", [run.id])
    assert checkpoint.active(runs, "digits") == [run.id]
    with pytest.raises(CheckpointError, match="There is no checkpoint 'embedded-digits'"):
        checkpoint.find(runs, "embedded", "digits")


def test_a_checkpoint_is_found_by_its_id(runs, embedded):
    run = published(runs)
    assert checkpoint.find(runs, run.id).path == run.checkpoint
    assert checkpoint.find(runs, "embedded-fashion").path == embedded / "fashion"
    assert checkpoint.find(runs, "embedded", "digits").id == "embedded-digits"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "embedded",
        "embedded-",
        "embedded-food",
        "embedded-../checkpoints/digits",
        "..",
        "../checkpoints/digits",
        "/etc",
        "fashion",
    ],
)
def test_an_id_that_there_is_not_or_that_is_a_path_is_refused(runs, name):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        checkpoint.find(runs, name)


def test_a_run_that_published_nothing_is_refused_with_its_state(runs):
    run = job.create(runs, "digits", {})
    with pytest.raises(CheckpointError, match=r"published no checkpoint \(its state: queued\)"):
        checkpoint.find(runs, run.id)


def test_a_run_of_another_version_still_has_a_name(runs):
    run = published(runs)
    run.record(config={"wheels": 3})
    assert checkpoint.of_run(run).name == f"digits · {run.id[-4:]}"


def test_the_embedded_one_is_active_until_another_is_chosen_and_each_slot_has_its_own(runs):
    assert checkpoint.active(runs, "digits") == ["embedded-digits"]
    checkpoint.set_active(runs, "digits", ["embedded-digits", "a"])
    checkpoint.set_active(runs, "fashion", ["b"])
    assert checkpoint.active(runs, "digits") == ["embedded-digits", "a"] and checkpoint.active(
        runs, "fashion"
    ) == ["b"]


def test_the_history_of_choices_is_kept_short(runs):
    checkpoint.set_active(runs, "digits", [str(i) for i in range(50)])
    kept = checkpoint.active(runs, "digits")
    assert len(kept) == checkpoint.HISTORY and kept[-1] == "49"


@pytest.mark.parametrize("text", ["", "{", "null", '{"digits": []}', '{"digits": "x"}'])
def test_a_damaged_choice_falls_back_to_the_embedded_one(runs, text):
    (runs / "active.json").write_text(text)
    assert checkpoint.active(runs, "digits") == ["embedded-digits"]


def test_labels_come_in_the_order_of_the_outputs(runs):
    assert checkpoint.labels(published(runs).checkpoint) == ["a", "b", "c", "k"]
