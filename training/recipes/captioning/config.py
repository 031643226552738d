"""The captioning recipe: an encoder that sees and a decoder that writes, joined by cross-attention.

    python -m training captioning --epochs 5
    python -m training captioning --source hub --method frozen
    python -m training captioning --source folder --folder my-album --method lora
    python -m training captioning --start Salesforce/blip-image-captioning-base

Four methods: `full`, every weight learns; `frozen`, what the encoder makes of each picture is
computed once and kept, and the decoder learns with its cross-attention; `lora`, small matrices
beside the weights learn, and are merged in; `scratch`, random weights. What is published is an
ordinary VisionEncoderDecoderModel, or BlipForConditionalGeneration, with its tokenizer.
"""

from dataclasses import dataclass
from typing import ClassVar

from training import settings
from training.recipe import SettingsError, setting

SAMPLE = "drawn scenes"
FLICKR = "jxie/flickr8k"
ENCODER = "google/vit-base-patch16-224-in21k"
DECODER = "openai-community/gpt2"
CAPTIONER = "nlpconnect/vit-gpt2-image-captioning"
BLIP = "Salesforce/blip-image-captioning-base"
PARTS = "parts"  # the start that is an encoder and a decoder
NEW = "new"  # a part with random weights
WORDS = 40  # of a caption, in the decoder's tokens, where nothing else is said
BEAMS = 4  # of the search for the best caption, and captions that it ends with


@dataclass(frozen=True)
class Config:
    own_kind: ClassVar[str] = "captions"  # of data sets with source own
    source: str = setting(
        "sample",
        "sample: 480 drawn scenes that come with the app. hub: the data set below, downloaded "
        "once. own: pictures with captions that you added. folder: your own, with a list such as "
        "captions.csv or a text beside each (command line only).",
        choices=("sample", "hub", "own", "folder"),
        lasting=True,
    )
    dataset: str = settings.hub_data(FLICKR, "pictures and their captions")
    subset: str = settings.hub_subset()
    column: str = settings.hub_column("the pictures")
    caption_column: str = settings.of_hub(
        "Column of the Hub data set with the captions. Empty: all that are called like captions."
    )
    train_split: str = settings.hub_train_split()
    test_split: str = settings.hub_test_split()
    folder: str = settings.folder()
    scenes: int = setting(
        0,
        "Number of drawn scenes to add to the training data, so that the model does not forget "
        "them. They differ from those of the sample.",
        low=0,
        high=20_000,
        rare=True,
        label="Added drawn scenes",
        lasting=True,
    )
    start: str = setting(
        "auto",
        "Captioner to start from: embedded (built-in), a run id, a Hub model such as "
        f"{CAPTIONER}, or parts: the encoder and decoder below. auto: parts with source hub, else "
        "embedded.",
        label="Start from",
        lasting=True,
        offers=(
            ("Automatic", "auto"),
            ("Encoder and decoder", "parts"),
            (f"{CAPTIONER} (Hub)", CAPTIONER),
            (f"{BLIP} (Hub)", BLIP),
        ),
        when=settings.opens_checkpoint,
    )
    encoder: str = setting(
        ENCODER,
        "Image encoder (start parts): a ViT, DeiT or Swin from the Hub, the id of a food run, or "
        "new: a small one with random weights.",
        lasting=True,
        when=lambda config: config.joins,
    )
    decoder: str = setting(
        DECODER,
        "Text decoder (start parts): GPT-2 or a similar model from the Hub, or new: a small one "
        "with random weights and a vocabulary made from the captions.",
        lasting=True,
        when=lambda config: config.joins,
    )
    method: str = setting(
        "full",
        "full: train all weights. frozen: train only the decoder, on image features that are "
        "computed once. lora: train low-rank adapters. scratch: train from random weights.",
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
        "Network to train from random weights (method scratch): that of the start, or a small one.",
        choices=("start", "small"),
        rare=True,
        label="Network",
        lasting=True,
        when=lambda config: config.method == "scratch",
    )
    each: int = setting(
        1,
        "Captions of each picture to learn from per epoch; they share one pass of the encoder.",
        low=1,
        high=5,
        rare=True,
        label="Captions per picture",
    )
    naming: float = setting(
        0.0,
        "Weight of an auxiliary loss: the encoder alone predicts which words the captions contain. "
        "0 = off; from random weights it speeds training up many times.",
        low=0,
        high=10,
        rare=True,
        label="Word prediction loss",
        when=settings.trains_backbone,
    )
    augmentation: str = settings.augmentation_of_pictures()
    crop: float = settings.crop(0.6)
    words: int = setting(
        WORDS,
        "Longer captions are cut, in training and when the model writes.",
        low=5,
        high=200,
        rare=True,
        label="Maximum length (tokens)",
        lasting=True,
    )
    dropout: float = setting(0.1, "Dropout in the decoder.", low=0, high=0.9, rare=True)
    best: str = setting(
        "cider",
        "Metric on the validation pictures that chooses the best epoch. cider: CIDEr-D of greedy "
        "captions; loss: likelihood of the reference captions.",
        choices=("cider", "loss"),
        rare=True,
        label="Validation metric",
        lasting=True,
        when=settings.validates,
    )
    optimizer: str = settings.optimizer()
    schedule: str = settings.schedule()
    warmup: float = settings.warmup()
    weight_decay: float = settings.weight_decay(0.02)
    # With method frozen the whole decoder learns, so these two count there as well.
    layer_decay: float = settings.layer_decay(when=None)
    label_smoothing: float = settings.label_smoothing(0.1)
    # A captioner that is joined of two parts has no checkpoint to be averaged with.
    keep: float = settings.keep(
        when=lambda config: settings.trains_fully(config) and not config.joins
    )
    lora_rank: int = settings.lora_rank()
    bf16: str = settings.bf16(when=None)
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping()
    accumulate: int = settings.accumulate()
    holdout: float = settings.holdout(0.05)
    limit: int = settings.limit()
    seed: int = settings.seed()

    @property
    def resolved_start(self) -> str:
        return settings.resolve_start(self, PARTS)

    @property
    def resolved_method(self) -> str:
        return self.method

    @property
    def data_name(self) -> str:
        return settings.name_data(self, SAMPLE)

    @property
    def joins(self) -> bool:
        """Whether the captioner is made of an encoder and a decoder."""
        return settings.opens_checkpoint(self) and self.resolved_start == PARTS

    @property
    def parts(self) -> tuple[str, str] | None:
        """What sees and what writes, of a captioner that is made of the two."""
        if self.joins:
            return self.encoder, self.decoder
        return (NEW, NEW) if settings.makes_network(self) else None

    def check(self, local: bool) -> None:
        """Raises SettingsError."""
        settings.check_fine_tuning(self, local)
        if self.method == "frozen" and self.joins and self.encoder == NEW:
            raise SettingsError(
                "method 'frozen' needs a trained encoder: the features of a new one are random."
            )
