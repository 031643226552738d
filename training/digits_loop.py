"""How the digits recipe trains: prepare, fit, publish, score. See training/digits.py for its settings."""
import functools
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from training import checkpoint, digits_data, report
from training.data import stratified
from training.device import device, has_bf16
from training.digits import Config, slot
from training.digits_augment import augment, draws
from training.digits_data import Data, Pictures
from training.digits_model import DigitsNet, DigitsNetConfig
from training.recipe import Metrics, SettingsError
from training.run import Run, write_json

SAVE_EVERY = 60  # seconds between saves of what continuing needs, within an epoch
load = functools.lru_cache(maxsize=4)(digits_data.load)


# -- prepare ---------------------------------------------------------------------------------------------
def build(config: Config, data: Data, runs: Path) -> tuple[DigitsNet, checkpoint.Checkpoint | None]:
    """The network to train, and the checkpoint that it starts from. A head for as many classes is kept."""
    torch.manual_seed(config.seed)
    labels = dict(enumerate(data.classes))
    framing = digits_data.FRAMING[config.dataset]
    if config.start == "scratch":
        grey = data.train.images / 255.0
        made = DigitsNetConfig(arch=config.arch, framing=framing, image_mean=round(float(grey.mean()), 4),
                               image_std=round(float(grey.std()), 4))
        model, base = DigitsNet(made), None
        if model.config.num_labels != len(labels):
            model.head = torch.nn.Linear(model.head.in_features, len(labels))
    else:
        base = checkpoint.find(runs, config.start, "digits")
        model = DigitsNet.from_pretrained(base.path, use_safetensors=True, dtype=torch.float32)
        if model.config.num_labels != len(labels):
            model.head = torch.nn.Linear(model.head.in_features, len(labels))
    model.config.id2label, model.config.label2id = labels, {c: i for i, c in labels.items()}
    model.config.framing, model.config.dropout, model.drop.p = framing, config.dropout, config.dropout
    source = config.source if config.source != "folder" else Path(config.folder).name
    model.config.trained_on = f"{config.dataset if config.source != 'folder' else 'folder'} ({source})"
    if config.method == "frozen":
        model.body.requires_grad_(False)
    return model, base


class Stop:
    """Whether to stop: rank 0 looks, the others are told, so that all leave the loop at one step."""

    def __init__(self, run: Run, accelerator: Accelerator):
        self.run, self.accelerator = run, accelerator

    def __call__(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.run.should_stop()
        flag = torch.tensor(float(self.run.should_stop()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)


# -- fit -------------------------------------------------------------------------------------------------
def rate(config: Config, done: float) -> float:
    """The share of the learning rate at `done` (0 to 1) of all steps."""
    if done < config.warmup:
        return max(done / config.warmup, 0.02)
    left = (1 - done) / (1 - config.warmup)
    return {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[config.schedule]


def steps_of(order: Tensor, batch: int, world: int) -> list[Tensor]:
    """The epoch's batches. A last one too small to give every process a picture joins the one before."""
    parts = list(order.split(batch))
    if len(parts) > 1 and len(parts[-1]) < world:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def fit(model: Any, part: Pictures, validation: Pictures, config: Config, run: Run, accelerator: Accelerator,
        saved: dict[str, Any] | None) -> dict[str, Any]:
    """Trains in place; returns what was reached: {epoch, step, total, stopped, best}."""
    where, world, rank = accelerator.device, accelerator.num_processes, accelerator.process_index
    images = torch.from_numpy(part.images).to(where)[:, None]
    labels = torch.from_numpy(part.labels).to(where)
    bare = accelerator.unwrap_model(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.learning_rate,
                                  weight_decay=config.weight_decay)
    per_epoch = len(steps_of(torch.arange(len(part)), config.batch_size, world))
    total, framing, stop = per_epoch * config.epochs, bare.config.framing, Stop(run, accelerator)
    state = {"epoch": 0, "step": 0, "best": None, "weights": None, "stale": 0}
    if saved:
        bare.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    log_every, last_save, stopped = max(1, total // 400), time.monotonic(), False

    def save() -> None:
        if run.main:
            partial = run.resume / "state.partial"
            torch.save({"model": bare.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, partial)
            partial.replace(run.resume / "state.pt")

    while state["epoch"] < config.epochs and not stopped:
        epoch = state["epoch"]
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(config.seed * 100_003 + epoch))
        table = draws(len(part), config.seed, epoch)
        batches = steps_of(order, config.batch_size, world)
        for index in range(state["step"] - epoch * per_epoch, per_epoch):
            if stopped := stop():
                break
            mine, whole = batches[index][rank::world], len(batches[index])
            torch.manual_seed((config.seed * 1_000_003 + state["step"]) * world + rank)  # dropout's draws
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate(config, state["step"] / total)
            loss = _step(model, optimizer, images, labels, mine, whole, table, framing, config, accelerator)
            state["step"] += 1
            if state["step"] % log_every == 0 or state["step"] == total:
                run.log(step=state["step"], total=total, epoch=epoch + 1, loss=round(float(loss), 6),
                        seen=state["step"] * config.batch_size)
            if time.monotonic() - last_save > SAVE_EVERY:
                save()
                last_save = time.monotonic()
        if stopped:
            break
        state["epoch"] += 1
        stopped = _epoch_end(model, bare, validation, config, run, accelerator, state, total) or stop()
        save()
    if stopped and run.should_stop():
        save()
    if state["weights"] is not None:
        bare.load_state_dict(state["weights"])
    return {**state, "total": total, "stopped": run.should_stop() and state["step"] < total}


def _step(model: Any, optimizer: Any, images: Tensor, labels: Tensor, mine: Tensor, whole: int, table: Tensor,
          framing: str, config: Config, accelerator: Accelerator) -> Tensor:
    """One optimizer step over `mine`, this process's part of a batch of `whole`; returns the batch's loss."""
    model.train()
    if config.method == "frozen":  # batch statistics are weights too
        accelerator.unwrap_model(model).body.eval()
    world, loss = accelerator.num_processes, torch.zeros((), device=images.device)
    pieces = mine.chunk(config.accumulate)
    for i, piece in enumerate(pieces):
        at = piece.to(images.device)
        x = augment(images[at].float() / 255, table[piece].to(images.device), framing, config.augmentation)
        with nullcontext() if i == len(pieces) - 1 else accelerator.no_sync(model), accelerator.autocast():
            logits = model(x).logits
            # The processes' gradients are averaged: scaled so that every picture of the batch weighs alike.
            part = F.cross_entropy(logits.float(), labels[at], label_smoothing=config.label_smoothing,
                                   reduction="sum") * world / whole
            accelerator.backward(part)
        loss += part.detach() / world
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss if world == 1 else accelerator.reduce(loss, "sum")


def _epoch_end(model: Any, bare: DigitsNet, validation: Pictures, config: Config, run: Run,
               accelerator: Accelerator, state: dict[str, Any], total: int) -> bool:
    """Scores the held-out part, keeps the best weights; True to stop early."""
    if not len(validation):
        run.say(f"epoch {state['epoch']}/{config.epochs}")
        return False
    probabilities = predict(bare, validation.images, run)
    accuracy = float((probabilities.argmax(1) == validation.labels).mean())
    loss = float(-np.log(np.maximum(probabilities[np.arange(len(validation)), validation.labels], 1e-9)).mean())
    run.log(step=state["step"], total=total, epoch=state["epoch"], score=round(accuracy, 6), score_loss=round(loss, 6))
    run.say(f"epoch {state['epoch']}/{config.epochs}: accuracy {accuracy:.2%} on {len(validation):,} held out of train")
    if state["best"] is None or accuracy >= state["best"]:
        state["best"], state["stale"] = accuracy, 0
        state["weights"] = {k: v.detach().cpu().clone() for k, v in bare.state_dict().items()}
    else:
        state["stale"] += 1
        if config.early_stopping and state["stale"] >= config.early_stopping:
            run.say(f"stopped early: no better score in {state['stale']} epochs")
            return True
    return False


# -- score -----------------------------------------------------------------------------------------------
@torch.inference_mode()
def predict(model: DigitsNet, images: np.ndarray, run: Run | None = None) -> np.ndarray:
    """Probabilities, (N, labels), of (N, 28, 28) uint8."""
    model.eval()
    parts = []
    for piece in torch.from_numpy(images)[:, None].split(1000):
        parts.append(model(piece.to(model.device).float() / 255).logits.float().softmax(1).cpu())
        if run:
            run.beat()
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


def _write_report(config: Config, run: Run, data: Data, base: checkpoint.Checkpoint | None) -> Metrics:
    """Reads the test part, once: before, after, and what is active in the slot."""
    run.beat("scoring")
    names = {"mnist": "digits", "fashion_mnist": "garments"}
    after, probabilities = _scored(run.staging, data.test, data.classes, run)
    kept = base is not None and len(checkpoint.labels(base.path)) == len(data.classes)
    before = _scored(base.path, data.test, data.classes, run)[0] if kept else None
    data_name = names[config.dataset] if config.source != "folder" else Path(config.folder).name
    metrics = {"data": f"{data_name} ({config.source})", "held_out": data.about, "chance": 1 / len(data.classes),
               "classes": data.classes, "before": before, "after": after, "problems": data.problems}
    if kept and config.source != "folder":
        other = next(d for d in names if d != config.dataset)
        part = load(other, config.source).test
        metrics["other"] = {"data": f"{names[other]} ({config.source})",
                            "before": _scored(base.path, part, digits_data.CLASSES[other], run)[0],
                            "after": _scored(run.staging, part, digits_data.CLASSES[other], run)[0]}
    active_id = checkpoint.active(run.path.parent, slot(config))[-1]
    metrics["active"] = {"id": active_id, **_gate(config, run, data, base, before, active_id)}
    run.beat("drawing the report")
    report.confusion_picture(run.report / "confusion.png", after["confusion"], data.classes,
                             f"{after['accuracy']:.2%} of {after['n']:,} right")
    metrics["mistakes"] = _mistakes(run, data, probabilities)
    return metrics


def _gate(config: Config, run: Run, data: Data, base: Any, before: Metrics | None, active_id: str) -> Metrics:
    """The active checkpoint on the same pictures; `accuracy` is None where its labels are others."""
    if base is not None and active_id == base.id and before and checkpoint.labels(base.path) == data.classes:
        return {"same_labels": True, "accuracy": before["accuracy"]}
    try:
        found = checkpoint.find(run.path.parent, active_id, slot(config))
        if checkpoint.labels(found.path) != data.classes:
            return {"same_labels": False, "accuracy": None}
        return {"same_labels": True, "accuracy": _scored(found.path, data.test, data.classes, run)[0]["accuracy"]}
    except (checkpoint.CheckpointError, OSError) as error:
        run.say(f"{active_id}, now in the slot, could not be scored: {error}")
        return {"same_labels": False, "accuracy": None}


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


# -- the whole -------------------------------------------------------------------------------------------
def train(config: Config, run: Run) -> Metrics:
    """Trains, writes run.staging and the report; a stopped run is published unscored, at once."""
    transformers.utils.logging.disable_progress_bar()
    accelerator = Accelerator(cpu=device() == "cpu", mixed_precision="bf16" if has_bf16() else "no")
    run.beat("loading the data")
    data = load(config.dataset, config.source, config.folder)
    for problem in data.problems[:20]:
        run.say(f"note: {problem}")
    part, validation = digits_data.holdout(data.train, config.holdout)
    part = part[stratified(part.labels, config.limit, config.seed)]
    if len(part) < accelerator.num_processes:
        raise SettingsError(f"{len(part)} training pictures are left; at least {accelerator.num_processes} are needed.")
    model, base = build(config, data, run.path.parent)
    run.record(slot=slot(config), base=base.id if base else "scratch", data=data.about, revision=data.revision,
               pictures={"train": len(part), "held out": len(validation), "test": len(data.test)})
    run.say(f"{len(part):,} training pictures, {len(validation):,} held out of them, test: {data.about}")
    saved = None
    if (run.resume / "state.pt").exists():
        saved = torch.load(run.resume / "state.pt", map_location="cpu", weights_only=True)
        run.say(f"continuing at step {saved['state']['step']}")
    model = accelerator.prepare(model)
    run.beat("training")
    reached = fit(model, part, validation, config, run, accelerator, saved)
    if not run.main:
        return {}
    if not reached["step"]:
        return {"stopped": True}
    run.beat("saving")
    accelerator.unwrap_model(model).save_pretrained(run.staging)
    metrics: Metrics = {"step": reached["step"], "total": reached["total"], "stopped": reached["stopped"],
                        "held_out_score": reached["best"]}
    if not reached["stopped"]:
        metrics = {**_write_report(config, run, data, base), **metrics}
    write_json(run.report / "metrics.json", metrics)
    return metrics
