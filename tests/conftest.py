"""What tests share: a place for runs, quick settings for real ones, and a first trained checkpoint."""
import time

import pytest

from training import device  # noqa: F401  first: it sets what torch reads when it loads
from training import __main__ as command
from training import job, recipe
from training.run import Run

# Two optimizer steps on real sample data, from nothing.
TWO_STEPS = dict(source="sample", start="scratch", arch="mlp", epochs=1, batch_size=64, limit=128, holdout=0.05)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An empty folder of runs, which RUNS names too."""
    path = tmp_path / "runs"
    path.mkdir()
    monkeypatch.setenv("RUNS", str(path))
    return path


def execute(run: Run) -> int:
    """Executes a run of any recipe in this process, as the command would; returns its exit code."""
    return command.execute(recipe.load(run.recipe), run)


def train(runs, **settings) -> Run:
    """A digits run that ended well, executed in this process."""
    run = job.create(runs, "digits", {**TWO_STEPS, **settings})
    assert execute(run) == command.DONE, run.status
    return run


def wait_for(what, seconds: float = 60.0):
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
    """A convolutional network after two steps: with batch statistics, and knowing next to nothing."""
    return train(lab, arch="cnn")
