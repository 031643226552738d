"""How the rents recipe trains. See training/recipes/rents/config.py for its settings."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from training.recipes.rents import score
from training.recipes.rents.config import R2, Config
from training.recipes.rents.data import draw_flats, stack
from training.recipes.rents.model import RentsNet, RentsNetConfig, open_network, predict_rents

from training.data.examples import Examples
from training.device import device
from training.judge.exam import run_exam
from training.judge.records import Report
from training.learn import finetune
from training.learn.backbone import Start
from training.learn.loop import Lesson, fit, read_state
from training.learn.optimizers import ParameterGroup, make_adamw
from training.runs import checkpoint
from training.runs.run import Run


def train(config: Config, run: Run) -> Report:
    """From the data to the published checkpoint and its report. Raises SettingsError,
    CheckpointError, Stopped."""
    accelerator = finetune.start_accelerator(half=False)
    data = finetune.open_data(draw_flats, run)
    part, validation = finetune.choose_examples(data, config)
    start = find_start(config, run)
    model = build_network(config, start, stack(part))
    finetune.record(run, start, data, "flats", (part, validation))
    run.beat("training")
    outcome = fit(
        accelerator.prepare(model),
        make_lesson(model, part, stack(validation)),
        make_adamw([ParameterGroup(list(model.parameters()))], config.learning_rate),
        config,
        config.learning_rate,
        run,
        accelerator,
        read_state(run),
    )
    exam = score.make_exam(data)
    return finetune.finish(
        run, outcome, R2, model.save_pretrained, lambda: run_exam(exam, run, start.checkpoint)
    )


def find_start(config: Config, run: Run) -> Start:
    """Raises CheckpointError."""
    if config.start == "scratch":
        return Start("scratch")
    found = checkpoint.check_usable(checkpoint.find(run.path.parent, config.start, "rents"))
    return Start(found.id, found)


def build_network(config: Config, start: Start, flats: np.ndarray) -> RentsNet:
    """`flats`, (N, 5), give a new network its scale."""
    if start.path is not None:
        return open_network(start.path)
    torch.manual_seed(config.seed)
    mean = flats.mean(0).tolist()
    std = flats.std(0).tolist()
    return RentsNet(RentsNetConfig(config.width, mean, std))


def make_lesson(model: RentsNet, part: Examples[np.ndarray], held: np.ndarray) -> Lesson:
    """`held`: (N, 5), by which the best epoch is chosen."""
    flats = torch.from_numpy(stack(part)).to(device())

    def fetch(indices: Tensor, epoch: int) -> Tensor:
        return flats[indices.to(flats.device)]

    def compute_loss(learner: Any, batch: Tensor, piece: slice) -> Tensor:
        rows = batch[piece]
        return ((learner(rows[:, :4]) - rows[:, 4]) / model.config.std[4]).square().sum()

    def judge() -> tuple[float, float]:
        found = predict_rents(model, held[:, :4])
        loss = np.square((found - held[:, 4]) / model.config.std[4]).mean()
        return float(score.compute_r2(held[:, 4], found)), float(loss)

    return Lesson(
        len(part),
        finetune.compute_checksum(part),
        fetch,
        compute_loss,
        judge=judge if len(held) else None,
        judged_on=f"R² on {len(held):,} held out of train",
    )
