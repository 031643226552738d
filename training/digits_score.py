"""How the digits recipe scores: the test part read once, before and after, and what is active in the slot."""
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import checkpoint, digits_data, report
from training.device import device
from training.digits import Config, slot
from training.digits_data import Data, Pictures
from training.digits_model import DigitsNet
from training.recipe import Metrics, SettingsError
from training.run import Run, Stopped

NAMES = {"mnist": "digits", "fashion_mnist": "garments"}
load = functools.lru_cache(maxsize=4)(digits_data.load)


@torch.inference_mode()
def predict(model: DigitsNet, images: np.ndarray, run: Run | None = None) -> np.ndarray:
    """Probabilities, (N, labels), of (N, 28, 28) uint8. Raises Stopped when `run` is asked to stop."""
    model.eval()
    parts = []
    for piece in torch.from_numpy(images)[:, None].split(1000):
        parts.append(model(piece.to(model.device).float() / 255).logits.float().softmax(1).cpu())
        if run:
            run.beat()
            if run.should_stop():
                raise Stopped
    return torch.cat(parts).numpy() if parts else np.zeros((0, model.config.num_labels), np.float32)


def _scored(path: Path, part: Pictures, classes: list[str], run: Run | None = None) -> tuple[Metrics, np.ndarray]:
    model = DigitsNet.from_pretrained(path, use_safetensors=True, dtype=torch.float32).to(device())
    probabilities = predict(model, part.images, run)
    return report.classification(probabilities, part.labels, classes), probabilities


def evaluate(path: Path, config: Config) -> Metrics:
    """Scores of a checkpoint on the config's test pictures. Raises SettingsError on other classes."""
    data = load(config.dataset, config.source, config.folder)
    if len(checkpoint.labels(path)) != len(data.classes):
        raise SettingsError(f"The checkpoint knows {len(checkpoint.labels(path))} classes, "
                            f"the data has {len(data.classes)}.")
    return _scored(path, data.test, data.classes)[0]


def write_report(config: Config, run: Run, data: Data, base: checkpoint.Checkpoint | None) -> Metrics:
    """Reads the test part, once: before, after, and what is active in the slot."""
    run.beat("scoring")
    after, probabilities = _scored(run.staging, data.test, data.classes, run)
    kept = base is not None and len(checkpoint.labels(base.path)) == len(data.classes)
    before = _scored(base.path, data.test, data.classes, run)[0] if kept else None
    data_name = NAMES[config.dataset] if config.source != "folder" else Path(config.folder).name
    metrics = {"data": f"{data_name} ({config.source})", "held_out": data.about, "chance": 1 / len(data.classes),
               "classes": data.classes, "before": before, "after": after, "problems": data.problems}
    if kept and config.source != "folder":
        metrics["other"] = _forgotten(config, run, base)
    active_id = checkpoint.active(run.path.parent, slot(config))[-1]
    metrics["active"] = {"id": active_id, **_gate(config, run, data, base, before, active_id)}
    run.beat("drawing the report")
    report.confusion_picture(run.report / "confusion.png", after["confusion"], data.classes,
                             f"{after['accuracy']:.2%} of {after['n']:,} right")
    metrics["mistakes"] = _mistakes(run, data, probabilities)
    return metrics


def _forgotten(config: Config, run: Run, base: checkpoint.Checkpoint) -> Metrics | None:
    """Before and after on the data set that was not trained on. It alone must not cost a run its end."""
    other = next(d for d in NAMES if d != config.dataset)
    try:
        part = load(other, config.source).test
    except SettingsError as error:
        run.say(f"note: what it forgot of the {NAMES[other]} could not be measured. {error}")
        return None
    before, after = (_scored(path, part, digits_data.CLASSES[other], run)[0] for path in (base.path, run.staging))
    return {"data": f"{NAMES[other]} ({config.source})", "before": before, "after": after}


def _gate(config: Config, run: Run, data: Data, base: Any, before: Metrics | None, active_id: str) -> Metrics:
    """The active checkpoint on the same pictures; `accuracy` is None where it could not be scored."""
    if base is not None and active_id == base.id and before and checkpoint.labels(base.path) == data.classes:
        return {"same_labels": True, "accuracy": before["accuracy"]}
    try:
        found = checkpoint.find(run.path.parent, active_id, slot(config))
        if checkpoint.labels(found.path) != data.classes:
            return {"same_labels": False, "accuracy": None}
        return {"same_labels": True, "accuracy": _scored(found.path, data.test, data.classes, run)[0]["accuracy"]}
    except (checkpoint.CheckpointError, OSError) as error:
        run.say(f"{active_id}, now in the slot, could not be scored: {error}")
        return {"same_labels": True, "accuracy": None}


def _mistakes(run: Run, data: Data, probabilities: np.ndarray) -> list[dict[str, Any]]:
    from PIL import Image
    found = []
    for number, index in enumerate(report.worst(probabilities, data.test.labels)):
        name = f"mistake-{number:02}.png"
        Image.fromarray(data.test.images[index]).resize((112, 112), Image.Resampling.NEAREST).save(run.report / name)
        said = int(probabilities[index].argmax())
        found.append({"picture": name, "truth": data.classes[int(data.test.labels[index])],
                      "said": data.classes[said], "confidence": round(float(probabilities[index, said]), 4)})
    return found
