"""The networks of the audio recipe: opened from a checkpoint or the Hub, or small ones made anew;
and how they hear.

Wav2Vec2 and its kin take the wave, Wav2Vec2-BERT, Whisper and AST log-mel spectra: a checkpoint's
own feature extractor says which. Where that is Wav2Vec2-BERT's, its spectra are computed here in
one pass over a clip, the same numbers in a fraction of the time, and nothing in them is more than
60 dB under the loudest (Whisper has 80): otherwise a file's digital silence would weigh more than
its speech, and clips of 16 and of 32 bits would be heard differently.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    ASTFeatureExtractor,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    SequenceFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import sinusoids

from training.learn import backbone, probe
from training.learn.backbone import Start
from training.learn.probe import Solution
from training.recipes.audio_intent.config import Config
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError

if TYPE_CHECKING:  # it takes a second to import, which only LoRA needs
    from peft import PeftModel

# Small networks for method scratch: at most 6 million weights, under 12 MB in half precision.
ARCHS: dict[str, dict[str, Any]] = {
    "conformer": dict(
        model_type="wav2vec2-bert",
        feature_projection_input_dim=320,
        hidden_size=144,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=432,
        conv_depthwise_kernel_size=15,
        position_embeddings_type=None,  # the convolutions tell the order
        classifier_proj_size=144,
        hidden_dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        conformer_conv_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        mask_time_length=8,
    ),
    "wav2vec2": dict(
        model_type="wav2vec2",
        conv_dim=(48, 64, 96, 128, 160, 160, 160),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=160,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        classifier_proj_size=160,
        layerdrop=0.0,
        mask_time_length=8,
    ),
}
FLOOR = math.log(1e-6)  # of the power of a clip's loudest part
# Samples: shorter batches are padded, since SpecAugment's stretches must fit in them.
SHORTEST = 8_000
# Of the layers that method frozen takes, over the others, before the softmax: these count next to
# nothing, and yet can learn when the checkpoint is trained on.
SURE = 10.0
LONGEST = 30.0  # seconds that are heard at once, where a checkpoint does not say
AST_FRAME = 0.01  # seconds


class SoundPreprocessor:
    """How a network hears: waves in, its input out."""

    def __init__(self, extractor: SequenceFeatureExtractor, norm: str = ""):
        self.extractor = extractor
        self.rate = int(extractor.sampling_rate)
        self.alone = norm == "group"  # a clip padded in a batch would be heard otherwise than alone
        self.fixed = not isinstance(
            extractor, Wav2Vec2FeatureExtractor | SeamlessM4TFeatureExtractor
        )
        self._mel: tuple[Tensor, Tensor] | None = None

    @property
    def window(self) -> float:
        """Seconds that a network hears at once: Whisper's and AST's input has one length; others
        hear what there is."""
        extractor = self.extractor
        if isinstance(extractor, WhisperFeatureExtractor):
            return float(extractor.chunk_length)
        if isinstance(extractor, ASTFeatureExtractor):
            return extractor.max_length * AST_FRAME
        return LONGEST

    @classmethod
    def from_checkpoint(cls, path: Path) -> "SoundPreprocessor":
        """As a checkpoint says. Raises CheckpointError."""
        try:
            extractor = AutoFeatureExtractor.from_pretrained(path, local_files_only=True)
            config = AutoConfig.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{checkpoint.call(path)} does not say how sounds are prepared for it "
                "(preprocessor_config.json is missing or damaged): choose another one."
            ) from error
        return cls(extractor, getattr(config, "feat_extract_norm", ""))

    def prepare(self, clips: list[np.ndarray]) -> dict[str, Tensor]:
        """Padded to the longest of these float32 (n,) clips, with the mask that says what is
        padding."""
        if isinstance(self.extractor, SeamlessM4TFeatureExtractor):
            return self._spectra(self.extractor, clips)
        extract = cast(Callable[..., Mapping[str, Tensor]], self.extractor)
        if self.fixed:  # Whisper hears its window, AST 10 s: what there is, silence behind it
            return dict(extract(clips, sampling_rate=self.rate, return_tensors="pt"))
        least = max(SHORTEST, *(len(clip) for clip in clips))
        return dict(
            extract(
                clips,
                sampling_rate=self.rate,
                return_tensors="pt",
                padding="max_length",
                max_length=least,
                return_attention_mask=True,
            )
        )

    def _spectra(
        self, extractor: SeamlessM4TFeatureExtractor, clips: list[np.ndarray]
    ) -> dict[str, Tensor]:
        """What SeamlessM4TFeatureExtractor gives, above FLOOR, padded to whole steps, (N, T, stride
        * mels)."""
        if self._mel is None:
            window = torch.tensor(np.asarray(extractor.window), dtype=torch.float32)
            filters = torch.tensor(np.asarray(extractor.mel_filters), dtype=torch.float32)
            self._mel = (window, filters)
        window, filters = self._mel
        stride = extractor.stride
        spectra = []
        for clip in clips:
            wave = torch.from_numpy(np.pad(clip, (0, max(0, 400 - len(clip)))))
            frames = (wave * 2.0**15).unfold(0, 400, 160)
            frames = frames - frames.mean(1, keepdim=True)
            before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
            power = torch.fft.rfft((frames - 0.97 * before) * window, 512).abs().square()
            level = (power @ filters).clamp(min=1.192092955078125e-07).log()
            level = level.clamp(min=level.max() + FLOOR)
            spectra.append(
                (level - level.mean(0))
                / (level.var(0, correction=min(1, len(level) - 1)) + 1e-7).sqrt()
            )
        longest = max(16, *(len(s) for s in spectra))
        steps = -(-longest // stride)
        out = torch.zeros(len(clips), steps * stride, filters.shape[1])
        mask = torch.zeros(len(clips), steps * stride, dtype=torch.long)
        for row, level in enumerate(spectra):
            out[row, : len(level)], mask[row, : len(level)] = level, 1
        # A step counts if its second frame is there, as the library has it; a clip of one frame
        # still counts.
        heard = mask[:, min(1, stride - 1) :: stride]
        heard[:, 0] = 1
        return {"input_features": out.reshape(len(clips), steps, -1), "attention_mask": heard}


def open_network(path: Path) -> tuple[PreTrainedModel, SoundPreprocessor]:
    """A checkpoint as float32, and how it hears."""
    model = AutoModelForAudioClassification.from_pretrained(
        path, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return model, SoundPreprocessor.from_checkpoint(path)


def build_network(
    config: Config, start: Start, classes: list[str]
) -> tuple[PreTrainedModel, SoundPreprocessor]:
    """The network to train, float32, and how it hears. A head for as many classes is kept, another
    one is new. Raises SettingsError, CheckpointError."""
    torch.manual_seed(config.seed)
    labels = backbone.name_labels(classes)
    if start.checkpoint is None:
        made = AutoConfig.for_model(**ARCHS[config.arch], **labels)
        preprocessor = SoundPreprocessor(_make_extractor(made.model_type))
    else:
        path = start.checkpoint.path
        made = AutoConfig.from_pretrained(path, local_files_only=True, **labels)
        preprocessor = SoundPreprocessor.from_checkpoint(path)
    if hasattr(made, "mask_time_prob"):
        made.apply_spec_augment = config.spec_augment > 0
        made.mask_time_prob = config.spec_augment
    if config.method == "frozen" and hasattr(made, "use_weighted_layer_sum"):
        made.use_weighted_layer_sum = True
        made.classifier_proj_size = max(made.classifier_proj_size, len(classes))
    auto = AutoModelForAudioClassification
    model = backbone.make_network(auto, made, config.method, start, "sounds")
    stays = config.encoder == "frozen" and config.method != "scratch"
    freeze = getattr(model, "freeze_feature_encoder", None)
    if stays and freeze is not None:
        freeze()
    return model, preprocessor


def _make_extractor(model_type: str) -> SequenceFeatureExtractor:
    """Of the small networks."""
    if model_type == "wav2vec2":
        return Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return SeamlessM4TFeatureExtractor(stride=4)


def fit_window(
    model: PreTrainedModel, preprocessor: SoundPreprocessor, seconds: float
) -> SoundPreprocessor:
    """Has a Whisper hear about as long as these clips are, in place of 30 seconds of which most is
    silence; how it hears then. It pools over all that it hears: of 420 calls of 2 to 5 s, by the
    probe on tiny.en's last layer, 69.5% were right over 30 s and 92.1% over 5 s, in an eighth of
    the time. (Pooled over the speech alone 95.5%, which no head of the library does; several layers
    in place of the last one 89.3%.) Other networks hear what there is."""
    extractor = preprocessor.extractor
    window = max(1, math.ceil(seconds))
    if not isinstance(extractor, WhisperFeatureExtractor) or window == extractor.chunk_length:
        return preprocessor
    encoder = cast(Any, model.get_submodule("encoder"))
    before = cast(nn.Embedding, encoder.get_submodule("embed_positions"))
    per_second = before.num_embeddings // extractor.chunk_length
    steps = window * per_second
    # Whisper's positions are sinusoids, and never learn.
    positions = sinusoids(max(steps, before.num_embeddings), before.embedding_dim)
    positions[: before.num_embeddings] = before.weight.detach()
    made = nn.Embedding(steps, before.embedding_dim).to(before.weight.device)
    made.requires_grad_(False)
    made.weight.copy_(positions[:steps])
    encoder.embed_positions = made
    model.config.max_source_positions = steps
    if hasattr(encoder, "max_source_positions"):
        encoder.max_source_positions = steps
    kept: dict[str, Any] = extractor.to_dict() | {"chunk_length": window}
    for derived in ("n_samples", "nb_max_frames", "feature_extractor_type", "mel_filters"):
        kept.pop(derived, None)
    return SoundPreprocessor(WhisperFeatureExtractor(**kept))


# -- heads -----------------------------------------------------------------------------------------
class LayersHead(nn.Module):
    """What `frozen` trains where a network has it: how much each layer counts, the projection, the
    classifier. Its parts are the network's own. It takes the mean of every layer: pooling commutes
    with a weighted sum."""

    kind = "layer"

    def __init__(self, model: nn.Module):
        super().__init__()
        self.layer_weights = model.get_parameter("layer_weights")
        self.projector = cast(nn.Linear, model.get_submodule("projector"))
        self.classifier = cast(nn.Linear, model.get_submodule("classifier"))

    def forward(self, means: Tensor) -> Tensor:
        """(N, labels) of (N, layers, width)."""
        return self.classifier(self.projector(_mix(means, self.layer_weights)))

    @torch.no_grad()
    def offer(self, features: Tensor) -> dict[str, Tensor]:
        """What the projection can be given of every layer's mean: one layer's, or the mean of
        several."""
        layers = features.shape[1]
        return {name: _mix(features, logits) for name, logits in _weigh_layers(layers).items()}

    def begin(self, name: str) -> Solution | None:
        return None

    @torch.no_grad()
    def write(self, name: str, solution: Solution) -> None:
        """The projection and the classifier stand one behind the other, with nothing between: the
        first keeps all that the classes need and, in the room that is left, of what it kept
        before; the second tells them apart."""
        self.layer_weights.copy_(_weigh_layers(len(self.layer_weights))[name])
        wanted = torch.from_numpy(solution.weights).to(self.projector.weight)  # (width, classes)
        wanted = wanted - wanted.mean(1, keepdim=True)  # only differences between classes count
        spanned, _, _ = torch.linalg.svd(wanted.double(), full_matrices=False)
        both = torch.cat([spanned, self.projector.weight.double().T], 1)
        basis = torch.linalg.qr(both)[0][:, : self.projector.out_features]
        kept = torch.zeros_like(self.projector.weight)
        kept[: basis.shape[1]] = basis.T.to(kept)
        self.projector.weight.copy_(kept)
        self.projector.bias.zero_()
        self.classifier.weight.copy_(wanted.T @ kept.T)
        self.classifier.bias.copy_(torch.from_numpy(solution.bias))


def _mix(means: Tensor, logits: Tensor) -> Tensor:
    """(N, width), the sum of (N, layers, width) weighed by the softmax of (layers,)."""
    return (means * logits.to(means).softmax(0)[:, None]).sum(1)


def _weigh_layers(layers: int) -> dict[str, Tensor]:
    """What method frozen tries: `layer_weights`, by a name that a person reads. Layer 0 is what
    goes into the first one."""
    tried = {f"layer {i}": torch.arange(layers) == i for i in range(1, layers)}
    for first in {layers // 2, 1}:
        tried[f"layers {first} to {layers - 1}"] = torch.arange(layers) >= first
    return {name: torch.where(taken, SURE, 0.0) for name, taken in tried.items()}


def has_layer_weights(model: nn.Module) -> bool:
    """Whether the head takes a weighted sum of all layers."""
    return hasattr(model, "layer_weights")


def find_head(model: nn.Module) -> nn.Module:
    """What method frozen trains. Raises SettingsError."""
    return LayersHead(model) if has_layer_weights(model) else backbone.find_head(model)


@torch.no_grad()
def pass_on(model: nn.Module, features: Tensor) -> Tensor:
    """(N, width), what the classifier gets of the features that `find_head`'s module takes."""
    head = find_head(model)
    if not isinstance(head, LayersHead):
        return features
    head.eval()
    given = features.to(head.layer_weights.device)
    return head.projector(_mix(given, head.layer_weights))


def find_solvable(head: nn.Module) -> probe.Head | None:
    """A head as the probe sees it; None where it can only be trained in steps."""
    return head if isinstance(head, LayersHead) else probe.find_linear(head)


def mark_heard(model: nn.Module, steps: int, mask: Tensor) -> Tensor:
    """(N, steps) bool: which of the last layer's steps are of a clip and not of its padding, by
    what `prepare` says of the input. `model` may have LoRA around it."""
    base = cast("PeftModel", model).get_base_model() if hasattr(model, "get_base_model") else model
    shorten = cast(Callable[[int, Tensor], Tensor], base._get_feature_vector_attention_mask)
    return shorten(steps, mask)


@torch.no_grad()
def average_layers(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """(N, layers, width): the mean over time of what every layer gives."""
    is_whisper = model.config.model_type == "whisper"
    body = model.get_submodule("encoder") if is_whisper else model.base_model
    states = torch.stack(body(**inputs, output_hidden_states=True).hidden_states, 1)
    mask = inputs.get("attention_mask")
    if mask is None or is_whisper:
        return states.mean(2)
    heard = mark_heard(model, states.shape[2], mask).to(states.dtype)[:, None, :, None]
    return (states * heard).sum(2) / heard.sum(2)
