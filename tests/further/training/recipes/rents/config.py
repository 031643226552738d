"""The rents recipe: what a flat costs a month, from four numbers about it.

python -m training rents --epochs 40
"""

from dataclasses import dataclass

from training import settings
from training.recipe import Metric, setting

R2 = Metric("r2", "R²", share=False, interval="bootstrap")


@dataclass(frozen=True)
class Config:
    start: str = setting(
        "scratch",
        "Checkpoint to start from: a run id, or scratch: random weights.",
        label="Start from",
        lasting=True,
        offers=(("Random weights", "scratch"),),
    )
    width: int = setting(
        32,
        "Units in the hidden layer.",
        low=1,
        high=1024,
        lasting=True,
        when=lambda config: config.start == "scratch",
    )
    epochs: int = settings.epochs(20)
    learning_rate: float = settings.learning_rate(0.01)
    batch_size: int = settings.batch_size(64)
    name: str = settings.name()
    swap: str = settings.swap()
    schedule: str = settings.schedule()
    warmup: float = settings.warmup()
    weight_decay: float = settings.weight_decay(0.0)
    early_stopping: int = settings.early_stopping()
    accumulate: int = settings.accumulate()
    holdout: float = settings.holdout()
    limit: int = settings.limit()
    seed: int = settings.seed()
