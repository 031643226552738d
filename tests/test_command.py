"""The command, as a person types it: real processes where signals and exit codes matter, `main`
where words do."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import TWO_STEPS, train, wait_for
from learning import own

from training import __main__ as command
from training import recipe
from training.runs import job
from training.runs.run import Run

HERE = recipe.RECIPES.parents[1]


def flags(**settings) -> list[str]:
    return [
        part
        for key, value in settings.items()
        for part in ("--" + key.replace("_", "-"), str(value))
    ]


@pytest.fixture
def spawn(tmp_path):
    """Starts `python -m ...`; its output is a file, since a full pipe would stop it."""
    children = []

    def start(*arguments, cwd=HERE, **environment) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        with open(tmp_path / f"output-{len(children)}", "wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)],
                cwd=cwd,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        child.output = lambda: (tmp_path / output.name).read_text("utf-8")
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def main(runs):
    """`main` in this process, with the signal handlers that it sets put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield lambda *arguments: command.main([str(a) for a in arguments])
    for number, handler in before.items():
        signal.signal(number, handler)


def only(runs) -> Run:
    """The one run that there is, once it is there."""
    return wait_for(lambda: Run.all(runs))[0]


# -- the real thing --------------------------------------------------------------------------------
def test_two_steps_on_the_sample_end_with_0_and_the_final_table(runs, spawn):
    child = spawn("training", "digits", *flags(**TWO_STEPS), "--runs", runs)
    assert child.wait(240) == 0, child.output()
    run, output = only(runs), child.output()
    after = run.metrics["after"]
    assert run.state == "done" and run.has_checkpoint
    assert re.search(rf"digits \(sample\) +- +{after['accuracy']:.2%} \(.*n {after['n']}\)", output)
    assert (
        re.search(r'base to beat 1\d\.\d% \(always "\d"\); 95% intervals', output)
        and f"Checkpoint: {run.checkpoint}" in output
    )
    assert (run.report / "confusion.png").stat().st_size > 10_000
    assert output == run.log_file.read_text("utf-8"), (
        "the log holds what the person saw, and no warning came between"
    )


def torchrun(spawn, runs, **settings) -> subprocess.Popen:
    # Without CUDA, since two processes cannot share one GPU: gloo, as on any laptop. And `--`,
    # since torchrun would take --start for its own --start-method.
    return spawn(
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        2,
        "-m",
        "--",
        "training",
        "digits",
        *flags(**settings),
        "--runs",
        runs,
        CUDA_VISIBLE_DEVICES="",
        OMP_NUM_THREADS="1",
    )


@pytest.mark.slow
def test_two_processes_learn_together_what_one_learns_alone(lab, runs, spawn):
    # 63 pictures a step, so that the ranks' parts differ in size: 32 and 31.
    settings = dict(TWO_STEPS, limit=189, batch_size=63, dropout=0, augmentation="none", epochs=2)
    child = torchrun(spawn, runs, **settings)
    alone = train(lab, **settings)
    assert child.wait(240) == 0, child.output()
    run = only(runs)
    assert len(Run.all(runs)) == 1 and run.state == "done" and run.has_checkpoint
    one, two = ([e["loss"] for e in r.events() if "loss" in e] for r in (alone, run))
    assert len(two) == 6 and two == pytest.approx(one, rel=1e-3)
    assert child.output().count("epoch 1/2") == 1, "rank 0 alone speaks"


@pytest.mark.slow
def test_a_stop_reaches_both_processes(runs, spawn, shapes):
    child = torchrun(spawn, runs, **{**TWO_STEPS, **own(shapes), "epochs": 500})
    wait_for(lambda: Run.all(runs) and any(only(runs).events()))
    only(runs).request_stop()
    assert child.wait(120) != 0, "torchrun itself turns 130 into 1"
    assert only(runs).state == "stopped" and only(runs).has_checkpoint, child.output()


# -- signals and turns, with the clockwork recipe --------------------------------------------------
def test_a_run_of_the_terminal_waits_for_the_one_that_is_running(
    runs, workshop, no_survivors, spawn
):
    first = job.create(runs, "clockwork", dict(steps=100_000, pause=0.02), local=False)
    job.pump(runs)
    wait_for(lambda: any(first.events()))
    child = spawn("training", "clockwork", "--steps", 2, "--runs", runs, cwd=workshop)
    wait_for(lambda: f"Waiting for {first.id} to finish" in child.output())
    mine = Run.all(runs)[-1]
    assert mine.state == "queued" and child.poll() is None
    job.stop(first)
    assert child.wait(120) == 0 and first.state == "stopped" and mine.state == "done"
    assert next(mine.events())["t"] >= list(first.events())[-1]["t"]


def test_ctrl_c_while_waiting_leaves_the_queue(runs, workshop, no_survivors, spawn):
    first = job.create(runs, "clockwork", dict(steps=100_000, pause=0.02), local=False)
    job.pump(runs)
    wait_for(lambda: any(first.events()))
    child = spawn("training", "clockwork", "--runs", runs, cwd=workshop)
    wait_for(lambda: "Waiting for" in child.output())
    child.send_signal(signal.SIGINT)
    assert child.wait(120) == 130 and child.output().endswith(
        "Removed from the queue. Nothing was trained.\n"
    )
    assert Run.all(runs)[-1].state == "stopped" and first.state == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_publish_and_say_how_to_go_on(runs, workshop, spawn, number):
    child = spawn("training", "clockwork", "--steps", 100_000, "--runs", runs, cwd=workshop)
    wait_for(lambda: Run.all(runs) and any(only(runs).events()))
    child.send_signal(number)
    assert child.wait(120) == 130, child.output()
    run, output = only(runs), child.output()
    assert run.state == "stopped" and run.has_checkpoint and "Traceback" not in output
    assert re.search(r"Stopped at step \d+ of 100,000\. Saved .*; not scored\.\n", output)
    assert output.endswith(f"To continue: python -m training clockwork --continue {run.id}\n")


def test_a_second_ctrl_c_ends_at_once(runs, workshop, spawn):
    child = spawn("training", "clockwork", "--then", "hang", "--runs", runs, cwd=workshop)
    wait_for(lambda: Run.all(runs) and any(only(runs).events()))
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(120) == 130 and only(runs).status["reason"].startswith(
        "Stopped by a second Ctrl-C"
    )
    assert "Traceback" not in child.output()


def test_a_run_can_be_continued_from_the_terminal(runs, workshop, main):
    first = job.create(runs, "clockwork", dict(steps=9))
    (first.resume / "state.pt").write_text("saved")
    first.set_status("stopped")
    assert main("clockwork", "--continue", first.id, "--pause", "0", "--runs", runs) == 0
    second = Run.all(runs)[-1]
    assert (
        second.settings["continues"] == first.id
        and second.config["steps"] == 9
        and second.state == "done"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_what_fails_ends_with_1_a_reason_and_the_rest_in_the_log(runs, workshop, main, capsys):
    assert main("clockwork", "--then", "fill", "--steps", 1, "--runs", runs) == 1
    assert "\nfailed: The disk is full" in capsys.readouterr().err
    run = only(runs)
    assert (
        run.state == "failed"
        and "Traceback" in run.log_file.read_text()
        and not run.staging.exists()
    )


def test_a_setting_that_does_nothing_is_remarked_on_and_the_run_goes_on(runs, main, capsys):
    arguments = flags(**{**TWO_STEPS, "start": "embedded", "arch": "mlp", "holdout": 0})
    assert main("digits", *arguments, "--early-stopping", 2, "--runs", runs) == 0
    notes = [
        "note: --arch does nothing with start embedded",
        "note: --early-stopping does nothing with holdout 0",
    ]
    assert capsys.readouterr().err.splitlines() == notes
    assert only(runs).log_file.read_text().splitlines()[:2] == notes


def test_a_continued_run_is_remarked_on_only_for_what_was_asked_now(runs, main, capsys):
    first = job.create(runs, "digits", dict(start="embedded", arch="mlp", holdout=0))
    (first.resume / "state.pt").write_text("saved")
    first.set_status("stopped")
    capsys.readouterr()
    job.continue_run(runs, first.id, {"early_stopping": 1})
    told = capsys.readouterr().err
    assert told == "note: --early-stopping does nothing with holdout 0\n"


def test_stored_settings_are_parsed_once_and_the_card_gets_what_was_trained_with(
    runs, workshop, monkeypatch
):
    parsed = []
    parse = recipe.parse
    monkeypatch.setattr(
        recipe, "parse", lambda *given, **more: parsed.append(parse(*given, **more)) or parsed[-1]
    )
    seen = []
    monkeypatch.setattr(
        command, "write_card", lambda made, config, *more: seen.append(config) or "card"
    )
    run = job.create(runs, "clockwork", {"steps": 1})
    made = recipe.load("clockwork")
    parsed.clear()
    trained = []

    def train(config, run):
        trained.append(config)
        return made.train(config, run)

    assert command.execute(dataclasses.replace(made, train=train), run) == 0
    assert len(parsed) == 1
    assert trained[0] is seen[0] is parsed[0]


def test_a_run_that_is_done_shows_the_steps_of_its_training(runs, workshop):
    """An exam counts steps of its own, such as those in which it computes features."""
    made = recipe.load("clockwork")

    def train(config, run):
        report = made.train(config, run)
        run.beat("computing features", step=0, total=0)
        return report

    run = job.create(runs, "clockwork", {"steps": 5})
    assert command.execute(dataclasses.replace(made, train=train), run) == 0
    assert (run.status["step"], run.status["total"]) == (5, 5)


# -- words -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--epochs", "three"], "epochs is 'three': it must be a whole number."),
        (["--epochs", "0"], "epochs is 0: it must be from 1 to 500."),
        (["--learning-rate", "nan"], "learning_rate is 'nan': it must be a number, or "),
        (["--dataset", "cifar"], "dataset must be one of mnist, fashion_mnist; or with source own"),
        (
            ["--source", "folder"],
            "source 'folder' and --folder go together: --source folder --folder PATH.",
        ),
        (["--start", "scratch", "--method", "frozen"], "method 'frozen' needs a trained start"),
        (
            ["--continue", "digits-20200101-000000-gone"],
            "There is no run 'digits-20200101-000000-gone' to continue.",
        ),
        (["--run", "../elsewhere"], "There is no run '../elsewhere' in "),
    ],
)
def test_bad_settings_end_with_2_and_one_clear_line(main, runs, capsys, arguments, words):
    assert main("digits", *arguments, "--runs", runs) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {words}") and err.count("\n") == 1 and out == ""
    assert Run.all(runs) == [], "nothing was made for it"


@pytest.mark.parametrize(
    "name, words", [("nothing-here", "is not a folder"), ("empty", "holds 0 usable classes")]
)
def test_data_that_cannot_be_used_ends_with_2_and_one_clear_line(
    main, runs, tmp_path, capsys, name, words
):
    (tmp_path / "empty").mkdir()
    assert (
        main(
            "digits",
            "--source",
            "folder",
            "--folder",
            tmp_path / name,
            "--start",
            "scratch",
            "--runs",
            runs,
        )
        == 2
    )
    err = capsys.readouterr().err
    assert err.startswith("error: ") and words in err and err.count("\n") == 1
    assert only(runs).state == "failed" and words in only(runs).status["reason"]


def test_where_nothing_can_be_written_it_says_so(main, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main("digits", "--runs", tmp_path / "file" / "runs") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: cannot write to ") and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["digit"], ["digits", "--epoch-count", "3"]])
def test_what_the_command_does_not_know_ends_with_2(main, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(*arguments)
    assert (
        end.value.code == 2
        and arguments[-2 if len(arguments) > 2 else -1] in capsys.readouterr().err
    )


def test_without_a_recipe_it_shows_those_that_there_are(main, capsys):
    assert main() == 0
    out = capsys.readouterr().out
    assert "digits" in out and "Digits & fashion" in out and "130 stopped" in out


def test_help_shows_every_setting_of_a_recipe(main, capsys):
    with pytest.raises(SystemExit) as end:
        main("digits", "--help")
    out = capsys.readouterr().out
    assert (
        end.value.code == 0
        and "--learning-rate" in out
        and "--continue" in out
        and "--run " not in out
    )
