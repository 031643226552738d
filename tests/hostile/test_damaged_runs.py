"""Whatever happened to a run's files: the page shows it damaged, and everything else goes on."""

import shutil

import pytest
from serving import ended_run, fresh_app

from demos.serving.landing import Landing
from training.runs import job
from training.runs.run import Run

SCORES = {
    "after": {"accuracy": 0.9},
    "held_out": "100 pictures",
    "active": {"id": "embedded-digits", "same_labels": True, "score": 0.8},
}
SURROGATE = (
    b'{"recipe": "digits", "config": {"name": "\\ud800"}, "slot": "digits", "state": "done"}'
)
CONTENTS = {
    "empty": b"",
    "half": b'{"state": "run',
    "zeros": bytes(64),
    "a number": b"5",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"done"',
    "half a character": SURROGATE,
    "bytes that are no text": b"\xff\xfe\xfd",
    "deeply nested": b"[" * 50_000,
    "numbers that are none": b'{"state": "done", "step": NaN, "total": Infinity, "at": -1e999}',
    "texts for numbers": b'{"state": "running", "step": "1", "worker": {"pid": "1"}}',
    "a process of nobody": b'{"state": "running", "worker": {"pid": 1}}',
    "a process that cannot be": b'{"state": "running", "worker": {"pid": -7, "started": 1e15}}',
    "a list for a table": b'{"state": "done", "config": [1], "outcome": [1], "after": [1]}',
    "a state that there is not": b'{"state": "flying"}',
    "a far year": b'{"state": "done", "created": 1e17, "config": {}, "recipe": "digits"}',
}
FILES = ["config.json", "status.json", "swap.json", "events.jsonl", "report/metrics.json"]
FILES += ["log.txt", "escalation.json", "stop", "checkpoint/config.json", "resume", "report"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The page's tick, the thread that looks after runs, and the folder of runs."""
    runs = tmp_path_factory.mktemp("damages") / "runs"
    runs.mkdir()
    with fresh_app(runs, training=False) as blocks:
        named = {fn.api_name: fn.fn for fn in blocks.fns.values()}

        def look(run_id: str) -> list:
            """What the page shows of a run, and the history."""
            return [*named["look"](run_id, ""), *named["draw_list"](run_id, "", "", "", "")]

        yield runs, look, Landing(blocks.lab)


def damage(run: Run, name: str, how: str) -> None:
    path = run.path / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if how == "a directory":
        path.mkdir()
    elif how != "gone":
        path.write_bytes(CONTENTS[how])


@pytest.mark.parametrize("how", ["gone", "a directory", *CONTENTS])
def test_a_damaged_file_of_a_run_stops_nothing(place, how, caplog):
    runs, look, landing = place
    for name in FILES:
        odd = ended_run(runs, seed=1, metrics=SCORES)
        damage(odd, name, how)
        good = ended_run(runs, seed=2, slot="fashion", swap="always")
        values = look(odd.id)
        assert any(odd.id in str(value) and good.id in str(value) for value in values), name
        "".join(map(str, values)).encode("utf-8")  # as it is sent
        landing.look()
        assert good.swap is not None, f"{name}: those behind it still land"
        assert job.queue(runs) == []
        odd.delete()
        good.delete()
    assert not any("digits-" in str(value) for value in look(""))
    assert caplog.records == []
