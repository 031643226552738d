"""A classifier as ONNX, for browsers, phones and programs without torch; its answers are compared
with the checkpoint's on held-out examples before anybody gets it.

    package, told = pack_onnx(checkpoint.find(runs, run_id), runs)

It needs onnxscript and onnxruntime, which this project does without otherwise:
`pip install onnxscript onnxruntime`.
"""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from training import recipe
from training.data.own import use
from training.data.own.data_set import Tell, tell_nobody
from training.publish.card import recipe_of, write_model_card
from training.publish.carried import ROOT
from training.publish.pack import CARD, LICENCE, Package, describe_use
from training.publish.records import Portable
from training.recipe import Recipe, SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import Checkpoint
from training.runs.job import list_causes
from training.runs.run import Run

NEEDS = ("onnxscript", "onnxruntime")
INSTALL = f"pip install {' '.join(NEEDS)}"
ONE = 1e-3  # probabilities of the file and of the checkpoint may differ by so much
FILE = "model.onnx"
PREPARATION = "preprocessing.json"
OUTPUT = "probabilities"


@dataclass(frozen=True)
class Comparison:
    """What the exported file answered beside the checkpoint."""

    count: int
    about: str  # what the examples are
    difference: float  # the greatest of two probabilities
    others: int  # examples of which it says something else

    @property
    def sentence(self) -> str:
        return (
            f"Of {self.count} examples ({self.about}) the exported file gives the checkpoint's "
            f"answer to {self.count - self.others}; no probability differs by more than "
            f"{self.difference:.1g}."
        )


def pack_onnx(
    found: Checkpoint, runs: Path, folder: Path, tell: Tell = tell_nobody
) -> tuple[Package, Comparison]:
    """The network, how its input is prepared, the card and the licence; what is made for it lies in
    `folder` as long as the package is used. Raises SettingsError, CheckpointError."""
    run = Run.find(runs, found.id)
    made = recipe_of(run, found.id.removeprefix("embedded-"))
    if made.port is None:
        raise SettingsError(
            f"{made.title} is no classifier, and only those are exported to ONNX. Take the zip "
            "instead: --to zip."
        )
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise SettingsError(f"ONNX needs {' and '.join(missing)}: {INSTALL}, and try again.")
    tell("opening", 0, 0)
    portable = _open_portable(made, found, run, runs)
    tell("exporting", 0, 0)
    file = folder / FILE
    export(portable, file)
    compared = compare(portable, file, tell)
    if compared.others or compared.difference > ONE:
        raise SettingsError(f"The exported file is not offered. {compared.sentence}")
    usage = describe_use(found, runs)
    preparation: dict[str, Any] = {
        "task": usage.task if usage else "",
        "labels": checkpoint.labels(found.path),
        "inputs": list(portable.inputs),
        "output": OUTPUT,
        **portable.preparation,
    }
    card = write_model_card(found, runs, usage)
    about = f"\n## ONNX\n\n`{FILE}`, with `{PREPARATION}` for its input. {compared.sentence}\n"
    files = {
        FILE: file,
        PREPARATION: json.dumps(preparation, indent=1, ensure_ascii=False).encode(),
        CARD: (card + about).encode(),
        LICENCE: ROOT / LICENCE,
    }
    return Package(f"{found.id}-onnx", "model", files), compared


def _open_portable(
    made: Recipe[Any, Any, Any], found: Checkpoint, run: Run | None, runs: Path
) -> Portable:
    """With the examples that the run held out; where its data is not there any more, with those of
    the sample. Raises SettingsError, CheckpointError."""
    assert made.port is not None
    config = recipe.parse(made.config, run.config if run else {})
    try:
        return made.port(found.path, use.locate(config, runs))
    except SettingsError:
        if getattr(config, "source", "sample") == "sample":
            raise
    return made.port(found.path, dataclasses.replace(config, source="sample", dataset=_first(made)))


def _first(made: Recipe[Any, Any, Any]) -> str:
    """The data set that a recipe takes where nothing is said."""
    return str(made.config().dataset)


def export(portable: Portable, file: Path) -> None:
    """Writes the network. Raises SettingsError where it cannot be exported."""
    import torch
    from torch.export import Dim

    pair = tuple(torch.cat([given, given]) for given in portable.examples[0])
    # A batch of any length, and what else may change.
    free = tuple(
        {axis: Dim.DYNAMIC for axis in (0, *portable.free.get(name, ()))}
        for name in portable.inputs
    )
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of the exporter about its own workings
            made = torch.onnx.export(
                portable.network,
                pair,
                input_names=list(portable.inputs),
                output_names=[OUTPUT],
                dynamic_shapes=(free,),
                dynamo=True,
                verbose=False,
            )
            assert made is not None  # nothing was written yet
            made.save(file, external_data=False)
    except Exception as error:  # of three libraries, for networks that they cannot follow
        *_, first = list_causes(error)
        what = " ".join(str(first).split())[:200]
        raise SettingsError(
            f"This network cannot be exported to ONNX ({type(first).__name__}: {what}). Take the "
            "zip instead: --to zip."
        ) from error


def compare(portable: Portable, file: Path, tell: Tell = tell_nobody) -> Comparison:
    """The file's answers beside the checkpoint's, one example at a time."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    greatest = 0.0
    others = 0
    for number, example in enumerate(portable.examples):
        tell("comparing", number, len(portable.examples))
        with torch.inference_mode():
            (due,) = portable.network(*example).numpy()
        given = {
            name: tensor.numpy() for name, tensor in zip(portable.inputs, example, strict=True)
        }
        (told,) = np.asarray(session.run([OUTPUT], given)[0])
        greatest = max(greatest, float(np.abs(told - due).max()))
        others += int(told.argmax() != due.argmax())
    return Comparison(len(portable.examples), portable.about, greatest, others)
