"""Under which licence a checkpoint can be passed on: that of what its weights began with.

This project's own weights and code are Apache-2.0. Weights that began with somebody else's are
under theirs, which a model of the Hub says in its card; that is read when it is asked there.
"""

from collections.abc import Callable
from pathlib import Path

from training.judge.records import Provenance
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint, CheckpointError
from training.runs.run import Run

OWN = "apache-2.0"
UNKNOWN = "other"  # as the Hub calls what it has no name for
DEEPEST = 50  # runs that began with one another

# A model of the Hub to its licence; empty where it does not say, or nobody was asked.
Ask = Callable[[str], str]


def ask_nobody(name: str) -> str:
    return ""


def find_licence(found: Checkpoint, runs: Path, ask: Ask = ask_nobody) -> tuple[str, list[str]]:
    """Its name on the Hub ("other" where there are several, or one is not known), and the models
    of the Hub that the weights began with."""
    licences, bases = _trace(found, runs, ask, 0)
    licences.discard("")
    foreign = licences - {OWN}
    if any(not ask(base) for base in bases) or len(foreign) > 1:
        return UNKNOWN, bases
    return (foreign or {OWN}).pop(), bases


def _trace(found: Checkpoint, runs: Path, ask: Ask, depth: int) -> tuple[set[str], list[str]]:
    run = Run.find(runs, found.id)
    if run is None or depth > DEEPEST:
        return {_read_own(found.path) or OWN}, []
    provenance = Provenance.from_json(run.settings)
    licences: set[str] = set()
    bases: list[str] = []
    for name in provenance.base.split(" + "):
        if "/" in name:
            bases.append(name)
            licences.add(ask(name))
            continue
        try:
            start = checkpoint.find(runs, name)
        except CheckpointError:  # an architecture, or a run that was deleted
            continue
        more, further = _trace(start, runs, ask, depth + 1)
        licences |= more
        bases += [base for base in further if base not in bases]
    return licences, bases


def _read_own(path: Path) -> str:
    """What the card of a checkpoint that comes with this project says."""
    from huggingface_hub import RepoCard

    card = path / "README.md"
    if not card.is_file():
        return ""
    return str(RepoCard.load(card, ignore_metadata_errors=True).data.get("license") or "")
