"""What tests share: a place for runs, quick settings for real ones, and a first trained
checkpoint."""

import contextlib
import functools
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from training import __main__ as command
from training import recipe, recipes
from training.runs import job
from training.runs.process import is_alive
from training.runs.run import Run, lock

# What tests compute for themselves is float32, so runs are too, here and in processes of their own,
# whatever the processor has.
os.environ["TRANSFER_LAB_PRECISION"] = "float32"

# Two optimizer steps on real sample data, from nothing.
TWO_STEPS = dict(
    source="sample", start="scratch", arch="mlp", epochs=1, batch_size=64, limit=128, holdout=0.05
)

# These files take longest. They go first, so that neither process is left alone with one of them at
# the end.
LONGEST = [
    "test_browser.py",
    "test_audio_recipe.py",
    "test_further_model.py",
    "test_training_endpoints.py",
    "test_caption_recipe.py",
    "test_food_recipe.py",
    "test_command.py",
    "test_speech.py",
    "test_job.py",
]


def pytest_collection_modifyitems(items: list) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def slow(*cases) -> list:
    """Cases of a parametrized test that only `-m slow` runs: the same as a quick one, of another
    network."""
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An empty folder of runs, which RUNS names too, for the command."""
    path = tmp_path / "runs"
    path.mkdir()
    monkeypatch.setenv("RUNS", str(path))
    return path


def execute(run: Run) -> int:
    """Executes a run of any recipe in this process, as the command would; returns its exit code."""
    return command.execute(recipe.load(run.recipe), run)


def ended_well(runs: Path, name: str, settings: dict) -> Run:
    """A run of the recipe `name` that ended well, executed in this process."""
    run = job.create(runs, name, settings)
    assert execute(run) == command.DONE, run.status
    return run


def train(runs, **settings) -> Run:
    """A digits run that ended well, executed in this process."""
    return ended_well(runs, "digits", {**TWO_STEPS, **settings})


class Killed(BaseException):
    """Ends a run at once, as SIGKILL does: nothing catches it."""


class Ending(Run):
    """A run that at a step of its own asks for a stop, or is killed."""

    at, kill = 0, False

    def log(self, **event):
        super().log(**event)
        if event.get("step") == self.at and "loss" in event:
            if self.kill:
                raise Killed
            self.request_stop()


def ending(runs: Path, name: str, at: int, settings: dict, kill: bool = False) -> Run:
    """A new run of the recipe `name`, to be executed, that ends at this step."""
    run = Ending(job.create(runs, name, settings).path)
    run.at, run.kill = at, kill
    return run


def left_by_a_run(runs: Path, name: str, slot: str, *parts) -> Run:
    """A run that ended and left what these parts save, to start from or to answer."""
    with lock(runs):  # a new run is queued, and somebody's app might start it
        run = Run.create(runs, name, {}, slot=slot)
        run.set_status("failed")
    for part in parts:
        part.save_pretrained(run.checkpoint)
    run.set_status("done")
    return run


def wait_for(what, seconds: float = 120.0):
    """Returns the first true answer of `what()`; the deadline only catches a hang."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"nothing happened within {seconds:.0f} s"
        time.sleep(0.02)
    return answer


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A folder of runs that lasts for the whole session, so that runs can start from each other."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def trained(lab) -> Run:
    """A small perceptron that has learned the sample digits a little."""
    return train(lab, limit=0, epochs=2)


@pytest.fixture(scope="session")
def trained_cnn(lab) -> Run:
    """A convolutional network after two steps: with batch statistics, and knowing next to
    nothing."""
    return train(lab, arch="cnn")


@pytest.fixture(scope="session")
def old_runs(tmp_path_factory) -> Path:
    """Runs that an earlier version made, of each recipe; old_runs/expected.json says which."""
    runs = tmp_path_factory.mktemp("old") / "runs"
    for packed in Path(__file__).parent.glob("old_runs/*.zip"):
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(runs)
    return runs


@pytest.fixture
def quick_picture(monkeypatch):
    """Drawing the confusion takes longer than two steps; tests/test_classification.py draws it, and
    the command's tests."""
    from training.judge import classification

    monkeypatch.setattr(classification, "draw_confusion", lambda path, *_: path.write_bytes(b""))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Own pictures of ten classes: fewer to score than the sample has."""
    from learning import bars, folder_of

    return folder_of(bars(10, 18), tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture
def active(lab):
    """Sets what answers in the digits slot, until the test ends."""
    from training.runs import checkpoint

    yield lambda run_id: checkpoint.set_active(lab, "digits", [run_id])
    (lab / "active.json").unlink(missing_ok=True)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A copy of `training/` with the recipe `clockwork` in it, which jobs execute; returns its
    folder."""
    copy = tmp_path / "app" / "training"
    shutil.copytree(
        recipe.RECIPES.parent, copy, ignore=shutil.ignore_patterns("samples", "__pycache__")
    )
    (copy / "recipes" / "clockwork").mkdir()
    shutil.copy(
        Path(__file__).with_name("clockwork.py"), copy / "recipes" / "clockwork" / "recipe.py"
    )
    # A clock computes nothing, and its model card must not make every job load torch to name the
    # device.
    with open(copy / "device.py", "a", encoding="utf-8") as f:
        f.write('\n\ndef device() -> str:\n    return "cpu"\n')
    monkeypatch.setattr(job, "ROOT", copy.parent)
    monkeypatch.setattr(recipe, "RECIPES", copy / "recipes")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(copy / "recipes")])
    yield copy.parent
    for name in [name for name in sys.modules if name.startswith("training.recipes.clockwork")]:
        sys.modules.pop(name)


@pytest.fixture
def no_survivors(runs):
    """Ends the processes that a test left behind, by what their runs say."""
    yield
    for run in Run.all(runs):
        for who in ("supervisor", "worker"):
            identity = run.status.get(who)
            if is_alive(identity) and identity["pid"] != os.getpid():
                process = psutil.Process(int(identity["pid"]))
                # A worker that has just been started has not yet written down who it is.
                for each in [process, *process.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
    for child in job._children:
        child.wait(30)
    job._children.clear()


@pytest.fixture
def ended(runs):
    """Makes runs that ended with a checkpoint, without training: ended(seed=1, slot="fashion")."""
    from serving import ended_run

    return functools.partial(ended_run, runs)


@pytest.fixture
def slots(runs):
    """The slots of the digits tab, as if the app had just been started."""
    from demos import digits
    from demos.serving.model_slot import ModelSlot
    from demos.serving.shelf import Shelf

    shelf = Shelf()
    return {name: ModelSlot(name, load, runs, shelf=shelf) for name, load in digits.SLOTS.items()}


@pytest.fixture(scope="session")
def published_models(tmp_path_factory):
    """The folder of what the Hub holds, made once."""
    import tiny_models

    root = tmp_path_factory.mktemp("published")
    tiny_models.publish_all(root)
    return root


@pytest.fixture
def hub(published_models, tmp_path, monkeypatch):
    """A Hub that this process asks, with a cache of its own."""
    import huggingface_hub
    import small_hub
    from huggingface_hub import constants

    with small_hub.serve(published_models) as server:
        server.be_asked(monkeypatch, tmp_path)
        cache = constants.HF_HUB_CACHE  # for these, which took another one as their default
        asking = ("hf_hub_download", "snapshot_download", "scan_cache_dir")
        for name in (*asking, "try_to_load_from_cache"):
            given = getattr(huggingface_hub, name)
            monkeypatch.setattr(huggingface_hub, name, _in_cache(given, cache))
        yield server


@pytest.fixture
def odd(hub):
    """Makes a copy of a model that can be spoilt: `odd("vit", "name")` is its folder."""
    made = []

    def copy(name: str, other: str):
        folder = hub.root / "odd" / other
        shutil.copytree(hub.root / "tiny" / name, folder)
        made.append(folder)
        return folder

    yield copy
    for folder in made:
        shutil.rmtree(folder)


def _in_cache(given, cache):
    return lambda *args, **more: given(*args, **{"cache_dir": cache, **more})
