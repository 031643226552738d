"""Long work outside the loop, such as scoring, cut into batches that can be stopped between."""

from collections.abc import Iterator

from training.runs.run import Run


class Stopped(Exception):
    """A stop was asked for in the midst of work that is not worth waiting for."""


def batches(count: int, size: int, run: Run | None = None) -> Iterator[slice]:
    """The places of each batch, with a sign of life before it. Raises Stopped when `run` is asked
    to stop."""
    for low in range(0, count, size):
        if run:
            run.beat()
            if run.should_stop():
                raise Stopped
        yield slice(low, min(low + size, count))
