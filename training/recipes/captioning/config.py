"""The captioning recipe: an encoder that sees and a decoder that writes, joined by cross-attention.

    python -m training captioning --epochs 5
    python -m training captioning --source hub --method frozen
    python -m training captioning --source folder --folder my-album --method lora

Four methods: `full`, every weight learns; `frozen`, what the encoder makes of each picture is
computed once and kept, and the decoder learns with its cross-attention; `lora`, small matrices
beside the weights learn, and are merged in; `scratch`, random weights. What is published is an
ordinary VisionEncoderDecoderModel with its tokenizer.
"""

from dataclasses import dataclass

from training import settings
from training.recipe import SettingsError, setting

FLICKR = "jxie/flickr8k"
ENCODER = "google/vit-base-patch16-224-in21k"
DECODER = "openai-community/gpt2"
CAPTIONER = "nlpconnect/vit-gpt2-image-captioning"
NEW = "new"  # a part with random weights
WORDS = 40  # of a caption, in the decoder's tokens, where nothing else is said
BEAMS = 4  # of the search for the best caption, and captions that it ends with


@dataclass(frozen=True)
class Config(settings.FineTuning):
    BACKBONE = "parts"
    SAMPLE = "drawn scenes"

    source: str = setting(
        "sample",
        "sample: a few hundred drawn scenes, come with the app, need no network. hub: the data set "
        "below, downloaded once. folder: your own pictures with captions.csv, captions.txt or "
        "metadata.jsonl (command line only).",
        choices=("sample", "hub", "folder"),
        lasting=True,
    )
    dataset: str = setting(
        FLICKR,
        "With source hub: a data set of the Hub that holds pictures and their captions.",
        label="Data set",
        lasting=True,
    )
    folder: str = settings.folder()
    scenes: int = setting(
        0,
        "With source hub or folder: so many drawn scenes are learned from beside its pictures, so "
        "that they are not forgotten. They are others than the sample's.",
        low=0,
        high=20_000,
        rare=True,
        label="Drawn scenes beside",
        lasting=True,
    )
    start: str = setting(
        "auto",
        f"The captioner to start from: embedded, a run's id, one of the Hub, such as {CAPTIONER}, "
        "or parts: the encoder and the decoder below, joined (auto: parts with source hub, else "
        "embedded).",
        label="Start from",
        lasting=True,
        offers=(
            ("auto", "auto"),
            ("parts: an encoder and a decoder, joined", "parts"),
            (f"{CAPTIONER} (Hub)", CAPTIONER),
        ),
    )
    encoder: str = setting(
        ENCODER,
        "With start parts, what sees: a ViT, DeiT or Swin of the Hub, the id of a food run, or "
        "new: a small one with random weights.",
        lasting=True,
    )
    decoder: str = setting(
        DECODER,
        "With start parts, what writes: GPT-2 or its kin on the Hub, or new: a small one with "
        "random weights, whose words are learned from the captions.",
        lasting=True,
    )
    method: str = setting(
        "full",
        "full: every weight learns. frozen: the decoder learns, on what the encoder makes of each "
        "picture, computed once. lora: small matrices beside the weights learn. scratch: from "
        "random weights.",
        choices=("full", "frozen", "lora", "scratch"),
        lasting=True,
    )
    epochs: int = settings.epochs(5)
    learning_rate: float = settings.usual_rate()
    batch_size: int = settings.batch_size(16)
    name: str = settings.name()
    swap: str = settings.swap()
    image_size: int = settings.image_size()
    arch: str = setting(
        "start",
        "With method scratch: the network. start: the one of the start; or a small one.",
        choices=("start", "small"),
        rare=True,
        label="Network",
        lasting=True,
    )
    each: int = setting(
        1,
        "How many of a picture's captions are learned from each time it is seen; the encoder's "
        "work is shared by them.",
        low=1,
        high=5,
        rare=True,
        label="Captions a picture",
    )
    naming: float = setting(
        0.0,
        "How much the encoder also learns to name the captions' words by itself; 0: not. From "
        "random weights, it learns to see many times faster so. Not with frozen.",
        low=0,
        high=10,
        rare=True,
    )
    augmentation: str = settings.augmentation_of_pictures()
    crop: float = settings.crop(0.6)
    words: int = setting(
        WORDS,
        "Longest caption, in the decoder's tokens.",
        low=5,
        high=200,
        rare=True,
        label="Longest caption",
        lasting=True,
    )
    dropout: float = setting(
        0.1, "Share of the decoder's features switched off at random.", low=0, high=0.9, rare=True
    )
    best: str = setting(
        "cider",
        "What the best epoch, and early stopping, go by: cider: CIDEr-D of greedy captions of "
        "held-out pictures; loss: how likely their captions are.",
        choices=("cider", "loss"),
        rare=True,
        label="Best by",
        lasting=True,
    )
    optimizer: str = settings.optimizer()
    schedule: str = settings.schedule()
    warmup: float = settings.warmup()
    weight_decay: float = settings.weight_decay(0.02)
    layer_decay: float = settings.layer_decay()
    label_smoothing: float = settings.label_smoothing(0.1)
    keep: float = settings.keep()
    lora_rank: int = settings.lora_rank()
    bf16: str = settings.bf16()
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping()
    accumulate: int = settings.accumulate()
    holdout: float = settings.holdout(0.05)
    limit: int = settings.limit()
    seed: int = settings.seed()

    def check(self, local: bool) -> None:
        super().check(local)
        if self.method == "frozen" and self.resolved_start == "parts" and self.encoder == NEW:
            raise SettingsError(
                "method 'frozen' needs a trained encoder: what a new one sees is noise."
            )

    @property
    def joins(self) -> bool:
        """Whether the captioner is made of an encoder and a decoder."""
        return self.resolved_start == "parts" and not (
            self.method == "scratch" and self.arch == "small"
        )

    @property
    def parts(self) -> tuple[str, str] | None:
        """What sees and what writes, of a captioner that is made of the two."""
        if self.joins:
            return self.encoder, self.decoder
        return (NEW, NEW) if self.method == "scratch" and self.arch == "small" else None

    def unused(self) -> set[str]:
        parts = set() if self.joins else {"encoder", "decoder"}
        parts |= {"scenes"} if self.source == "sample" else set()
        return parts | settings.unused(self, self.method, ("crop", "naming"))
