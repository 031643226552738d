"""How the digits recipe trains: prepare, fit, publish, score. See training/digits.py for its settings."""
import math
import time
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from training import checkpoint, digits_data
from training.data import stratified
from training.device import device, has_bf16
from training.digits import Config, slot
from training.digits_augment import augment, draws
from training.digits_data import Data, Pictures
from training.digits_model import DigitsNet, DigitsNetConfig
from training.digits_score import load, predict, write_report
from training.recipe import Metrics, SettingsError
from training.run import Run, Stopped, write_json

SAVE_EVERY = 60  # seconds between saves of what continuing needs, within an epoch


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
    return model.to(memory_format=torch.channels_last), base  # a third faster on a CPU


class Stop:
    """Whether to stop: what one process knows is told to all, so that they leave the loop at one step."""

    def __init__(self, run: Run, accelerator: Accelerator):
        self.run, self.accelerator = run, accelerator

    def __call__(self) -> bool:
        return self.any(self.run.should_stop())

    def any(self, here: bool) -> bool:
        """Whether it is so in any of the processes."""
        if self.accelerator.num_processes == 1:
            return here
        return bool(self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device), "sum") > 0)


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


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """What continuing needs, whole or not at all."""
    partial = folder / "state.partial"
    with open(partial, "wb") as file:  # a full disk is then an OSError; torch's own writer says something obscure
        torch.save(state, file)
    partial.replace(folder / "state.pt")


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
    state = _begin(bare, optimizer, part, saved)
    log_every, last_save, asked, early = max(1, total // 400), time.monotonic(), False, False

    def save() -> None:
        if run.main:
            write_state(run.resume, {"model": bare.state_dict(), "optimizer": optimizer.state_dict(), "state": state})

    while state["epoch"] < config.epochs and not (asked or early):
        epoch = state["epoch"]
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(config.seed * 100_003 + epoch))
        table = draws(len(part), config.seed, epoch)
        batches = steps_of(order, config.batch_size, world)
        for index in range(state["at"], per_epoch):
            if asked := stop():
                break
            mine, whole = batches[index][rank::world], len(batches[index])
            torch.manual_seed((config.seed * 1_000_003 + state["step"]) * world + rank)  # dropout's draws
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate(config, state["step"] / total)
                group["weight_decay"] = config.weight_decay
            loss = _step(model, optimizer, images, labels, mine, whole, table, framing, config, accelerator)
            state["step"] += 1
            state["at"] += 1
            if state["step"] % log_every == 0 or state["step"] == total:
                if not math.isfinite(loss):
                    raise SettingsError(f"At step {state['step']} the loss is no longer a number. Lower the learning "
                                        f"rate ({config.learning_rate:g}), or lengthen the warm-up.")
                run.log(step=state["step"], total=total, epoch=epoch + 1, loss=round(float(loss), 6),
                        seen=state["step"] * config.batch_size)
            if time.monotonic() - last_save > SAVE_EVERY:
                save()
                last_save = time.monotonic()
        if not asked:
            try:
                judged = _epoch_end(bare, validation, config, run, state, total)
            except Stopped:  # in the midst of scoring: the epoch is scored when the run is continued
                judged, asked = False, True
            asked = stop.any(asked)
            if not asked:
                state["epoch"], state["at"] = epoch + 1, 0
                # Only rank 0 judges: the others' batch statistics, and so their scores, may differ.
                early = stop.any(judged and run.main)
                asked = stop()
        save()
    if state["weights"] is not None:
        bare.load_state_dict(state["weights"])
    return {**state, "total": total, "stopped": asked and not early and state["step"] < total}


def _begin(bare: DigitsNet, optimizer: Any, part: Pictures, saved: dict[str, Any] | None) -> dict[str, Any]:
    """Where training stands: at the start, or where `saved` left it. Raises SettingsError on other pictures."""
    data = zlib.crc32(part.labels.tobytes(), zlib.crc32(part.images.tobytes()))
    if not saved:
        return {"epoch": 0, "at": 0, "step": 0, "best": None, "weights": None, "stale": 0, "data": data}
    if saved["state"]["data"] != data:
        raise SettingsError("The training pictures are not those that this run began with, so it cannot be "
                            "continued. Start a new run from its checkpoint.")
    bare.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["state"]


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


def _epoch_end(bare: DigitsNet, validation: Pictures, config: Config, run: Run, state: dict[str, Any],
               total: int) -> bool:
    """Scores the held-out part, keeps the best weights; True to stop early."""
    epoch = state["epoch"] + 1
    if not len(validation):
        run.say(f"epoch {epoch}/{config.epochs}")
        return False
    probabilities = predict(bare, validation.images, run)
    accuracy = float((probabilities.argmax(1) == validation.labels).mean())
    loss = float(-np.log(np.maximum(probabilities[np.arange(len(validation)), validation.labels], 1e-9)).mean())
    run.log(step=state["step"], total=total, epoch=epoch, score=round(accuracy, 6), score_loss=round(loss, 6))
    run.say(f"epoch {epoch}/{config.epochs}: accuracy {accuracy:.2%} on {len(validation):,} held out of train")
    if state["best"] is None or accuracy >= state["best"]:
        state["best"], state["stale"] = accuracy, 0
        state["weights"] = {k: v.detach().cpu().clone() for k, v in bare.state_dict().items()}
    else:
        state["stale"] += 1
        if config.early_stopping and state["stale"] >= config.early_stopping:
            run.say(f"stopped early: no better score in {state['stale']} epochs")
            return True
    return False


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
        try:
            metrics = {**write_report(config, run, data, base), **metrics}
        except Stopped:
            metrics["stopped"] = True
    write_json(run.report / "metrics.json", metrics)
    return metrics
