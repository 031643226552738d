"""What the tests of the page share: runs that ended without training, and a page that is asked over
HTTP."""

import asyncio
import contextlib
import dataclasses
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from training.recipes.digits.config import Config
from training.recipes.digits.data import CLASSES
from training.recipes.digits.model import DigitsNet, DigitsNetConfig
from training.runs.records import write_json
from training.runs.run import Run, lock

DATA = {"digits": "mnist", "fashion": "fashion_mnist"}


def ended_run(
    runs: Path,
    seed: int = 0,
    slot: str = "digits",
    state: str = "done",
    metrics: dict | None = None,
    labels: list[str] | None = None,
    arch: str = "mlp",
    hidden: int = 100,
    synthetic: bool = False,
    **settings,
) -> Run:
    """A run that ended with a checkpoint: random weights of a chosen seed, made without any
    training."""
    dataset = DATA[slot]
    config = Config(
        **{"dataset": dataset, "start": "scratch", "arch": arch, "seed": seed, **settings}
    )
    with lock(
        runs
    ):  # a new run is queued, and the landing thread of another test's app would start it
        run = Run.create(runs, "digits", dataclasses.asdict(config), slot=slot)
        run.set_status("failed")
    labels = labels or CLASSES[dataset]
    torch.manual_seed(seed)
    model = DigitsNet(
        DigitsNetConfig(
            arch=arch,
            hidden=hidden,
            framing="garment" if slot == "fashion" else "digit",
            trained_on=f"{dataset} (test)",
            synthetic=synthetic,
            id2label=dict(enumerate(labels)),
            label2id={name: i for i, name in enumerate(labels)},
        )
    )
    model.save_pretrained(run.staging)
    run.publish()
    if metrics is not None:
        write_json(run.report / "metrics.json", metrics)
    run.set_status(state)
    return run


def drawing(size: int = 200) -> Image.Image:
    """A figure that looks different whichever way it is turned: a seven, light on dark."""
    picture = Image.new("L", (size, size))
    unit = size // 10
    ImageDraw.Draw(picture).line(
        [(2 * unit, 2 * unit), (7 * unit, 2 * unit), (4 * unit, 8 * unit)], fill=255, width=unit
    )
    return picture


def pixels(number: int) -> np.ndarray:
    """One of many different 28 x 28 pictures."""
    return np.random.default_rng(number).integers(0, 256, (28, 28), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **more) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


def is_a_sentence(text: str) -> bool:
    """One that a person can read: short, whole, and no program's own words."""
    foreign = (
        "Traceback",
        "Error:",
        "object at 0x",
        "cannot identify",
        "Errno",
        "/tmp",
        "site-packages",
        "\n",
    )
    return (
        15 < len(text) < 420
        and text.rstrip(")").endswith(".")
        and not any(word in text for word in foreign)
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _closed_loops(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gradio makes event loops that it never runs and never closes, which Python complains of."""
    made, make = [], asyncio.new_event_loop
    patch.setattr(asyncio, "new_event_loop", lambda: made.append(make()) or made[-1])
    try:
        yield
    finally:
        for loop in made:
            if not loop.is_running():
                loop.close()


@contextlib.contextmanager
def fresh_app(runs: Path, training: bool = True) -> Iterator[Any]:
    """The page as if the app had just been started on this folder of runs, without a server;
    `.lab` is what it is about."""
    import app

    with pytest.MonkeyPatch.context() as patch, _closed_loops(patch):
        patch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
        lab = app.open_lab(runs, training)
        blocks = app.build(lab)
        blocks.lab = lab
        yield blocks


@contextlib.contextmanager
def served_app(runs: Path, training: bool = True, *flags: str) -> Iterator[Any]:
    """The same with its server and its landing thread, on a free port; `.local_url` says where."""
    import app

    with fresh_app(runs, training) as blocks:
        chosen = app.options(["--port", str(free_port()), "--runs", str(runs), *flags])
        landing = app.launch(blocks, chosen, blocks.lab)
        try:
            yield blocks
        finally:
            landing.stop()
            blocks.close(verbose=False)
