"""What bad luck does to the app: kills at random moments, a disk that fills, swaps under load.

    python tests/benchmarks/hostile.py [kills | disk | swaps | pages] [COUNT]

kills   the app and the job, SIGKILL, COUNT times each (20): is each run's state right soon after,
        does the next one start, does the model in use answer?
disk    a run on a disk that fills while it trains (needs root: it mounts a small tmpfs).
swaps   COUNT swaps (1,000) while eight clients ask over HTTP: errors, wrong answers, times.
pages   the benchmarks of memory, sessions and histories, one after the other.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from timing import ROOT, median, print_machine  # first: it finds the project

sys.path.insert(0, str(ROOT / "tests"))
import psutil
from gradio_client import Client, handle_file
from PIL import Image
from serving import drawing, encoded, ended_run, free_port, served_app

from demos import digits
from training.runs import job
from training.runs.run import OVER, Run

SETTINGS = dict(source="sample", start="scratch", arch="mlp", epochs=40, batch_size=64)
SETTLED = 30.0  # seconds within which a state must be right
ASKING = 8


# -- kills -----------------------------------------------------------------------------------------
class App:
    """app.py in a process of its own, as a person starts it."""

    def __init__(self, runs: Path):
        self.runs = runs
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def start(self) -> Client:
        command = [sys.executable, "app.py", "--port", str(self.port), "--runs", str(self.runs)]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet)
        return wait_for(self._connect, 120)

    def _connect(self) -> Client | None:
        with contextlib.suppress(Exception):  # not up yet
            return Client(f"http://127.0.0.1:{self.port}", verbose=False)
        return None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def wait_for(what: Callable, seconds: float):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"nothing happened within {seconds:.0f} s")


def kill_app(count: int) -> None:
    """The app is killed while a run trains and another one waits; both must end well."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        app = App(runs)
        client = app.start()
        for number in range(count):
            first, second = (
                client.predict("digits", {**SETTINGS, "seed": number}, api_name="/start_run")
                for _ in range(2)
            )
            time.sleep(random.uniform(0, 6))
            app.kill()
            time.sleep(random.uniform(0, 2))
            client = app.start()
            for run_id in (first, second):
                client.predict(run_id, api_name="/stop_run")
            states = [settle(Run(runs / run_id), 120) for run_id in (first, second)]
            if not set(states) <= {"stopped", "done"}:
                wrong.append(f"round {number}: {states}")
            if answer(client, folder) != "embedded-digits":
                wrong.append(f"round {number}: another model answers")
        app.kill()
    print(f"the app killed {count} times: {len(wrong)} wrong", *wrong[:5], sep="\n  ", flush=True)


def answer(client: Client, folder: str) -> str:
    """The checkpoint that answers."""
    picture = Path(folder) / "seven.png"
    picture.write_bytes(encoded(drawing()))
    return client.predict(handle_file(picture), api_name="/classify_digit")[1]["checkpoint"]


def settle(run: Run, seconds: float = SETTLED) -> str:
    """The state that a run ends in."""

    def over() -> bool:
        job.pump(run.path.parent)
        return run.state in OVER

    with contextlib.suppress(TimeoutError):
        wait_for(over, seconds)
    return run.state


def kill_job(count: int) -> None:
    """The worker, its supervisor, or both are killed: each state says so, the next one starts."""
    wrong: list[str] = []
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        for number in range(count):
            run = job.create(runs, "digits", {**SETTINGS, "seed": number}, local=False)
            after = job.create(runs, "digits", {**SETTINGS, "epochs": 1}, local=False)
            job.pump(runs)
            wait_for(lambda run=run: run.status.get("worker"), 60)
            time.sleep(random.uniform(0, 5))
            victims = random.choice([("worker",), ("supervisor",), ("supervisor", "worker")])
            for name in victims:
                with contextlib.suppress(psutil.NoSuchProcess, KeyError):
                    os.kill(run.status[name]["pid"], signal.SIGKILL)
            began = time.monotonic()
            if victims == ("supervisor",):
                run.request_stop()  # the worker lives on, and obeys
            state = settle(run)
            took.append(time.monotonic() - began)
            if state not in ("failed", "lost", "stopped", "done") or run.staging.exists():
                wrong.append(f"round {number}, {victims}: {state}")
            if settle(after, 60) != "done":
                wrong.append(f"round {number}: the next one is {after.state}")
    shown = f"median {median(took):.1f} s, at most {max(took):.1f} s until the state was right"
    print(f"the job killed {count} times: {len(wrong)} wrong; {shown}", *wrong[:5], sep="\n  ")


# -- a disk that fills -----------------------------------------------------------------------------
@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True
        )
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(_: int) -> None:
    with small_disk(8) as disk:
        runs = disk / "runs"
        for stage in ("at the start", "in training", "while saving"):
            run = job.create(runs, "digits", SETTINGS, local=False)
            blob = disk / "blob"
            if stage == "at the start":
                fill(blob, 0)
            job.pump(runs)
            if stage == "in training":
                wait_for(lambda run=run: any(run.events()), 60)
                fill(blob, 0)
            elif stage == "while saving":
                fill(blob, 100_000)
            time.sleep(15)
            during = run.state
            blob.unlink()
            began = time.monotonic()
            state = settle(run, 60)
            seconds = time.monotonic() - began
            why = run.status.get("reason", "")
            print(f"full {stage}: {during}, then {state} in {seconds:.1f} s: {why}", flush=True)
            if run.state in OVER:
                run.delete()


def fill(path: Path, left: int) -> None:
    """Takes all of a disk but so many bytes."""
    with contextlib.suppress(OSError), open(path, "wb") as f:
        while True:
            f.write(bytes(4096))
            f.flush()
    if left:
        os.truncate(path, max(0, path.stat().st_size - left))


# -- swaps under load ------------------------------------------------------------------------------
def swap_under_load(count: int) -> None:
    """Two checkpoints take turns; each answer must be that of the one that it names."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        made = [ended_run(runs, seed=seed, state="failed") for seed in (1, 2)]
        picture = Path(folder) / "seven.png"
        picture.write_bytes(encoded(drawing()))
        with served_app(runs) as app:
            slot = app.lab.slots["digits"]
            right = {
                run.id: digits.classify(slot, Image.open(picture), run.id).confidences
                for run in made
            }
            ended = threading.Event()
            told: list[tuple[float, str]] = []
            askers = [
                threading.Thread(target=ask, args=(app.local_url, picture, right, ended, told))
                for _ in range(ASKING)
            ]
            slot.swap(made[0].id)
            for asker in askers:
                asker.start()
            for number in range(count):
                slot.swap(made[number % 2].id)
                time.sleep(0.01)
            ended.set()
            for asker in askers:
                asker.join()
    times = sorted(seconds for seconds, problem in told if not problem)
    wrong = [problem for _, problem in told if problem]
    p99 = times[int(len(times) * 0.99)]
    print(
        f"{count} swaps, {len(told)} answers to {ASKING} clients: {len(wrong)} wrong or refused; "
        f"p50 {1000 * median(times):.0f} ms, p99 {1000 * p99:.0f} ms",
        *wrong[:5],
        sep="\n  ",
        flush=True,
    )


def ask(url: str, picture: Path, right: dict, ended: threading.Event, told: list) -> None:
    client = Client(url, verbose=False)
    while not ended.is_set():
        began = time.perf_counter()
        try:
            label, about = client.predict(handle_file(picture), api_name="/classify_digit")
            seconds = time.perf_counter() - began
            told.append((seconds, find_fault(label, right[about["checkpoint"]])))
        except Exception as error:  # whatever it is, it is what a visitor would have seen
            told.append((time.perf_counter() - began, f"{type(error).__name__}: {error}"))


def find_fault(label: dict, right: dict[str, float]) -> str:
    for each in label["confidences"]:
        if abs(right[each["label"]] - each["confidence"]) > 1e-4:
            return f"{each} where {right[each['label']]} is right"
    return ""


# -- the others ------------------------------------------------------------------------------------
def run_others(_: int) -> None:
    for script in (["picture_memory.py", "app"], ["session_memory.py"], ["history.py"]):
        print(f"\n{script[0]}", flush=True)
        folder = Path(__file__).parent
        subprocess.run([sys.executable, str(folder / script[0]), *script[1:]], check=False)


PARTS: dict[str, list[tuple[Callable[[int], None], int]]] = {
    "kills": [(kill_app, 20), (kill_job, 20)],
    "disk": [(fill_disk, 0)],
    "swaps": [(swap_under_load, 1000)],
    "pages": [(run_others, 0)],
}


def main(arguments: list[str]) -> None:
    print_machine()
    count = next((int(each) for each in arguments if each.isdigit()), 0)
    chosen = [each for each in arguments if each in PARTS] or list(PARTS)
    for name in chosen:
        for act, usual in PARTS[name]:
            act(count or usual)


if __name__ == "__main__":
    main(sys.argv[1:])
