"""A network that compares pictures with texts (CLIP, SigLIP and their kin) as a classifier of the
class names that a person typed: a text for each is computed once, and a picture is the class whose
text it is nearest to (Radford et al. 2021, arXiv 2103.00020).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from training.device import move
from training.media import words
from training.runs import checkpoint, published
from training.runs.checkpoint import CheckpointError

AT_ONCE = 64  # texts
FIXED = ("siglip", "siglip2")  # whose texts all have one length
SCALE = 100.0  # of a cosine, of networks that do not tell theirs


def is_zero_shot(path: Path) -> bool:
    """Whether a checkpoint's folder is of one."""
    own = published.read_own(path)
    return own is not None and own["kind"] == "zero-shot-image-classification"


class ZeroShotNetwork(nn.Module):
    """Answers like any image classifier of transformers; its head is the features of the texts."""

    def __init__(self, model: PreTrainedModel, texts: Tensor):
        """`texts`: (classes, width), of length 1."""
        super().__init__()
        self.net = model
        self.classifier = nn.Linear(texts.shape[1], len(texts), bias=False, device=texts.device)
        with torch.no_grad():
            self.classifier.weight.copy_(texts)
        self.scale = read_scale(model)
        self.config = getattr(model.config, "vision_config", model.config)

    @property
    def device(self) -> torch.device:
        return self.net.device

    def set_attn_implementation(self, name: str) -> None:
        """Of the part for pictures; the other is gone."""
        self.net.set_attn_implementation({"vision_config": name})

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ImageClassifierOutput:
        more = {"output_attentions": True} if output_attentions else {}
        more |= {"output_hidden_states": True} if output_hidden_states else {}
        found = cast(Any, self.net).get_image_features(pixel_values=pixel_values, **more)
        features = nn.functional.normalize(get_pooled(found), dim=-1)
        return ImageClassifierOutput(
            logits=self.scale * self.classifier(features),
            hidden_states=getattr(found, "hidden_states", None),
            attentions=getattr(found, "attentions", None),
        )


def make(model: PreTrainedModel, path: Path) -> ZeroShotNetwork:
    """Of a network with its texts, as the folder says; the part for texts is given up. Raises
    CheckpointError."""
    own = published.read_own(path)
    choice = own["choice"] if own else {}
    names = choice.get("classes") or []
    if not names:
        raise CheckpointError("no classes are named for it")
    sentences = [choice.get("template", "{}").replace("{}", name) for name in names]
    made = ZeroShotNetwork(model, compute_texts(model, path, sentences, checkpoint.call(path)))
    if isinstance(getattr(model, "text_model", None), nn.Module):
        model.text_model = nn.Identity()
    made.eval()
    move(made)
    return made


@torch.no_grad()
def compute_texts(
    model: PreTrainedModel, path: Path, sentences: Sequence[str], name: str
) -> Tensor:
    """(N, width), of length 1; `name`: of the model, as a person knows it. Raises
    CheckpointError."""
    tokenizer = words.open_tokenizer(path, name)
    fixed = model.config.model_type in FIXED
    parts = []
    for low in range(0, len(sentences), AT_ONCE):
        given = tokenizer(
            list(sentences[low : low + AT_ONCE]),
            padding="max_length" if fixed else True,
            truncation=True,
            return_tensors="pt",
            max_length=64 if fixed else None,
        )
        given = {
            name: tensor.to(model.device)
            for name, tensor in given.items()
            if name == "input_ids" or (name == "attention_mask" and not fixed)
        }
        found = cast(Any, model).get_text_features(**given)
        parts.append(nn.functional.normalize(get_pooled(found), dim=-1))
    return torch.cat(parts)


def read_scale(model: PreTrainedModel) -> float:
    """What a cosine is multiplied by to be a logit."""
    scale = getattr(model, "logit_scale", None)
    return float(scale.detach().exp()) if isinstance(scale, Tensor) else SCALE


def get_pooled(found: Any) -> Tensor:
    """Features, as one version of transformers or the other gives them."""
    return found if isinstance(found, Tensor) else found.pooler_output
