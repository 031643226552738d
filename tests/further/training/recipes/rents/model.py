"""The network of the rents recipe: four numbers in, the rent out.

It is an ordinary transformers model, so that a checkpoint is safetensors with a config.json, which
carries what is needed to bring rows to the same scale.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel


class RentsNetConfig(PretrainedConfig):
    model_type = "rents"

    def __init__(
        self,
        width: int = 32,
        mean: tuple[float, ...] = (0.0,) * 5,
        std: tuple[float, ...] = (1.0,) * 5,
        **more,
    ):
        """`mean` and `std`: of the four numbers and the rent, in this order."""
        self.width = width
        self.mean = list(mean)
        self.std = list(std)
        super().__init__(**more)


class RentsNet(PreTrainedModel):
    config_class = RentsNetConfig

    def __init__(self, config: RentsNetConfig):
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(4, config.width), nn.SiLU(), nn.Linear(config.width, 1)
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initialisation."""
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()

    def forward(self, rows: Tensor) -> Tensor:
        """Rents in euros, (N,), of (N, 4)."""
        mean = rows.new_tensor(self.config.mean)
        std = rows.new_tensor(self.config.std)
        found = self.layers((rows - mean[:4]) / std[:4]).squeeze(1)
        return found * std[4] + mean[4]


def open_network(path: Path) -> RentsNet:
    return RentsNet.from_pretrained(path, use_safetensors=True, dtype=torch.float32)


@torch.inference_mode()
def predict_rents(model: RentsNet, rows: np.ndarray) -> np.ndarray:
    """(N,) of (N, 4), on whichever device the network is."""
    return model.eval()(torch.from_numpy(rows).to(model.device)).cpu().numpy()
