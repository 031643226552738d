"""Prints what calls of the API and visits of the page leave in the server's memory, and the same
without the bounds of demos/sessions.py, as Gradio is by itself.

    python tests/benchmarks/session_memory.py             5,000 calls, 50 visits with a photo
    python tests/benchmarks/session_memory.py 1000 20     fewer

Each server is a process of its own. What is counted is its resident memory after the calls, less
what it had after 50 calls and 24 visits, when models, libraries and threads are there. Nothing is
asserted.

On two busy CPU cores, 2026-11-27, gradio 6.31.0, one run of `5000 100`:

    bounded    5000 calls                           +35 MB,    12 ms each
    bounded    1000 calls that nobody fetches        +9 MB,     6 ms each
    bounded     100 visits with a photo             +41 MB,   283 ms each
    all        5000 calls                         +3116 MB,   110 ms each
    all        1000 calls that nobody fetches      +638 MB,    83 ms each
    all         100 visits with a photo            +188 MB,   442 ms each
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from timing import ROOT, print_machine

MB = 1024**2
PHOTO = ROOT / "demos" / "examples" / "food" / "donuts.png"
SERVER = """
import sys, threading
from pathlib import Path
import app
kept, port, runs = sys.argv[1:]
if kept == "all":  # as Gradio is by itself
    from gradio.blocks import BlocksConfig
    from demos import refusals, sessions
    refusals.PageConfig = BlocksConfig
    sessions.VISITS = 10_000
    sessions.Unfetched.forget = lambda self: None
lab = app.open_lab(Path(runs))
blocks = app.build(lab)
app.launch(blocks, app.options(["--port", port, "--runs", runs]), lab)
print("ready", flush=True)
threading.Event().wait()
"""


class Server:
    """The app, in a process of its own; `kept` is "all" or "bounded"."""

    def __init__(self, kept: str, folder: Path):
        import psutil

        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, kept, str(port), str(folder / "runs")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        while "ready" not in self._process.stdout.readline():
            assert self._process.poll() is None, "the server ended"
        self._memory = psutil.Process(self._process.pid)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def memory(self) -> float:
        """MB that are resident."""
        return self._memory.memory_info().rss / MB


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(http: Any, fetch: bool = True) -> None:
    """One call of the API, as curl makes it."""
    asked = http.post("gradio_api/call/list_checkpoints", json={"data": ["digits"]})
    if fetch:
        http.get(f"gradio_api/call/list_checkpoints/{asked.json()['event_id']}")


def visit(http: Any, number: int, events: list[dict]) -> None:
    """A page that is opened and asked about a photo in two tabs, as its script does it."""
    path = http.post("gradio_api/upload", files={"files": ("p.png", PHOTO.read_bytes())}).json()[0]
    photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for event in events:
        data = [photo if kind == "image" else None for kind in event["kinds"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": f"visit{number}"}
        http.post("gradio_api/queue/join", json=body)
        http.get("gradio_api/queue/data", params={"session_hash": f"visit{number}"})


def photo_events(config: dict) -> list[dict]:
    """What changing the photo of a tab asks the server: the event's id, and its inputs' kinds."""
    kinds = {part["id"]: part["type"] for part in config["components"]}
    names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    found = []
    for event in config["dependencies"]:
        changed = [names.get(target) for target, what in event["targets"] if what == "change"]
        if event["backend_fn"] and set(changed) & {"photo", "food-photo", "captioning-photo"}:
            found.append({"id": event["id"], "kinds": [kinds[each] for each in event["inputs"]]})
    return found


def in_threads(count: int, act: Any) -> float:
    """Runs act(0) to act(count - 1), eight at a time; returns seconds."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            act(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def measure(kept: str, calls: int, visits: int) -> None:
    import httpx

    with tempfile.TemporaryDirectory() as folder, Server(kept, Path(folder)) as server:
        with httpx.Client(base_url=server.url, timeout=600) as http:
            events = photo_events(http.get("config").json())
            in_threads(50, lambda _: call(http))
            in_threads(24, lambda number: visit(http, -number, events))
            for what, count, act in (
                ("calls", calls, lambda _: call(http)),
                ("calls that nobody fetches", calls // 5, lambda _: call(http, fetch=False)),
                ("visits with a photo", visits, lambda number: visit(http, number, events)),
            ):
                before = server.memory
                seconds = in_threads(count, act)
                left = server.memory - before
                print(
                    f"{kept:8} {count:6} {what:26} {left:+8.0f} MB, {left / count:7.3f} MB each, "
                    f"{seconds / count * 1000:6.1f} ms each",
                    flush=True,
                )


def main() -> None:
    calls, visits = ([int(each) for each in sys.argv[1:]] + [5000, 50][len(sys.argv) - 1 :])[:2]
    print_machine()
    for kept in ("bounded", "all"):
        measure(kept, calls, visits)


if __name__ == "__main__":
    main()
