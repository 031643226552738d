"""The networks of the digits recipe: pictures of 28x28 in, one class out.

They are ordinary transformers models (`save_pretrained`, `from_pretrained`, safetensors), so that a
checkpoint carries its labels, its framing and its normalisation with it:

    DigitsNet.from_pretrained("demos/checkpoints/digits")

`mlp` is the classic 784-100-10 with the non-linearity that many copies of it forget; `cnn` is a
small residual network. Neither has seen anything but 28x28 greys.
"""

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput


class DigitsNetConfig(PretrainedConfig):
    model_type = "transfer_lab_digits"

    def __init__(
        self,
        arch: str = "cnn",
        width: int = 24,
        hidden: int = 100,
        dropout: float = 0.1,
        framing: str = "digit",
        image_mean: float = 0.1307,
        image_std: float = 0.3081,
        trained_on: str = "",
        **more,
    ):
        """`framing` names how a picture is brought to 28x28 (`digit` or `garment`); `trained_on`
        the data set, in words; mean and std are of pixels in 0 to 1."""
        self.arch = arch
        self.width = width
        self.hidden = hidden
        self.dropout = dropout
        self.framing = framing
        self.image_mean = image_mean
        self.image_std = image_std
        self.trained_on = trained_on
        super().__init__(**more)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the first may halve the picture."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.first = _conv(inputs, outputs, stride)
        self.second = _conv(outputs, outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def _cnn(width: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(1, width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Residual(width, 2 * width),
        Residual(2 * width, 4 * width, stride=2),
        Residual(4 * width, 4 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class DigitsNet(PreTrainedModel):
    """28x28 greys to class scores."""

    config_class = DigitsNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: DigitsNetConfig):
        super().__init__(config)
        if config.arch == "mlp":
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, config.hidden), nn.ReLU())
            features = config.hidden
        elif config.arch == "cnn":
            self.body = _cnn(config.width)
            features = 4 * config.width
        else:
            raise ValueError(f"arch is {config.arch!r}: it must be 'cnn' or 'mlp'")
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(features, config.num_labels or 0)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own initialisation, which these networks were tuned with."""
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()

    def forward(self, pixel_values: Tensor) -> ImageClassifierOutput:
        """`pixel_values`: (N, 1, 28, 28), grey in 0 to 1, light on dark. Logits: (N, labels)."""
        return ImageClassifierOutput(
            logits=self.head(self.drop(self.compute_features(pixel_values)))
        )

    def compute_features(self, pixel_values: Tensor) -> Tensor:
        """(N, width), what the head gets."""
        return self.body((pixel_values - self.config.image_mean) / self.config.image_std)
