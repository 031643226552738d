"""The food recipe: any network that tells pictures apart, on any classes of pictures.

    python -m training food --epochs 3
    python -m training food --source hub --method frozen --start google/vit-base-patch16-224-in21k
    python -m training food --source folder --folder my-pictures --method lora

Four methods: `full`, every weight learns; `frozen`, the backbone's features are computed once and
kept, and the head is solved for, in seconds; `lora`, small matrices beside the weights learn, and
are merged in; `scratch`, random weights. What is published is an ordinary checkpoint, which
AutoModelForImageClassification loads. A start that compares pictures with texts (CLIP, SigLIP)
begins with the answers that it gives zero-shot, see training/learn/towers.py:

    python -m training food --source own --dataset pets --start openai/clip-vit-base-patch32
"""

from dataclasses import dataclass
from typing import ClassVar

from training import settings
from training.recipe import SettingsError, setting

FOOD = "ethz/food101"
SAMPLE = "drawn dishes"
BACKBONE = "google/vit-base-patch16-224-in21k"
BUILT_IN = "embedded-backbone-pictures"
CLIP = "openai/clip-vit-base-patch32"


@dataclass(frozen=True)
class Config:
    own_kind: ClassVar[str] = "pictures"  # of data sets with source own
    source: str = setting(
        "sample",
        "sample: 480 drawn dishes that come with the app. hub: the data set below, downloaded "
        "once. own: pictures that you added. folder: your own pictures, one subfolder per class "
        "(command line only).",
        choices=("sample", "hub", "own", "folder"),
        lasting=True,
    )
    dataset: str = settings.hub_data(FOOD, "pictures and their classes")
    subset: str = settings.hub_subset()
    column: str = settings.hub_column("the pictures")
    label_column: str = settings.hub_label()
    train_split: str = settings.hub_train_split()
    test_split: str = settings.hub_test_split()
    folder: str = settings.folder()
    start: str = settings.start(BACKBONE, BUILT_IN, "ImageNet", CLIP)
    method: str = setting(
        "full",
        "full: train all weights. frozen: solve for the head alone, on features that are computed "
        "once. lora: train low-rank adapters. scratch: train from random weights.",
        choices=("full", "frozen", "lora", "scratch"),
        lasting=True,
    )
    epochs: int = settings.epochs(3, when=settings.takes_steps)
    learning_rate: float = settings.usual_rate(when=settings.takes_steps)
    batch_size: int = settings.batch_size(32, when=settings.takes_steps)
    name: str = settings.name()
    swap: str = settings.swap()
    image_size: int = settings.image_size()
    shape: str = setting(
        "start",
        "own: keep the picture's aspect ratio, its long side 10% above the image size (for "
        "convolutional networks). square: squeeze it into a square. start: as the start does.",
        choices=("start", "own", "square"),
        rare=True,
        label="Aspect ratio",
        lasting=True,
    )
    mirror: str = setting(
        "start",
        "Average the predictions for a picture and its mirror image: often 1 point better, in up "
        "to twice the time. start: as the start does, for the same classes.",
        choices=("start", "on", "off"),
        rare=True,
        lasting=True,
        label="Test-time mirroring",
    )
    template: str = setting(
        settings.TEMPLATE,
        "Of a start that compares pictures with texts (CLIP, SigLIP): the sentence for a class, "
        "with {} in its place. Training begins with what these sentences answer.",
        rare=True,
        lasting=True,
        label="Sentence for a class",
        when=settings.opens_checkpoint,
    )
    arch: str = setting(
        "start",
        "Network to train from random weights (method scratch). start: that of the start; "
        "resnet-large is meant for a GPU, the others are small.",
        choices=("start", "resnet", "resnet-large", "regnet", "convnext", "vit", "swin"),
        rare=True,
        label="Network",
        lasting=True,
        when=lambda config: config.method == "scratch",
    )
    augmentation: str = settings.augmentation_of_pictures()
    crop: float = settings.crop(0.4)
    mixup: float = setting(
        0.0,
        "Alpha of the Beta distribution by which pairs of pictures are blended. 0 = off.",
        low=0,
        high=2,
        rare=True,
        when=settings.trains_backbone,
    )
    cutmix: float = setting(
        0.0,
        "Alpha of the Beta distribution for the size of the patch that is taken from another "
        "picture. 0 = off.",
        low=0,
        high=2,
        rare=True,
        label="CutMix",
        when=settings.trains_backbone,
    )
    optimizer: str = settings.optimizer(when=settings.takes_steps)
    schedule: str = settings.schedule(when=settings.takes_steps)
    warmup: float = settings.warmup(when=settings.takes_steps)
    weight_decay: float = settings.weight_decay(0.02, when=settings.takes_steps)
    layer_decay: float = settings.layer_decay()
    label_smoothing: float = settings.label_smoothing(0.1, when=settings.takes_steps)
    class_weights: str = settings.class_weights()
    keep: float = settings.keep()
    teacher: str = setting(
        "",
        "Knowledge distillation: checkpoints whose predictions for each crop become part of its "
        "label (embedded, a run id, or a Hub model; commas between several). They must know these "
        "classes.",
        rare=True,
        lasting=True,
        label="Teachers",
        offers=(),
        many=True,
        when=settings.trains_backbone,
    )
    teacher_share: float = setting(
        0.5,
        "Share of the teachers' predictions in a label; the rest is the data's.",
        low=0.05,
        high=1,
        rare=True,
        lasting=True,
        label="Weight of the teachers",
        when=lambda config: settings.trains_backbone(config) and bool(config.teachers),
    )
    lora_rank: int = settings.lora_rank()
    train_size: int = setting(
        0,
        "Side of the pictures in training, in pixels (for convolutional networks). 0 = the image "
        "size; a fifth less is faster and can score better (FixRes, arXiv 1906.06423).",
        low=0,
        high=1024,
        rare=True,
        label="Training image size",
        when=settings.trains_backbone,
    )
    progressive: str = setting(
        "off",
        "Smaller pictures in the first epochs, which are then faster (for convolutional networks).",
        choices=("off", "on"),
        rare=True,
        label="Progressive resizing",
        when=settings.trains_backbone,
    )
    bf16: str = settings.bf16()
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping(when=settings.validates_steps)
    accumulate: int = settings.accumulate(when=settings.takes_steps)
    holdout: float = settings.holdout(0.05)
    folds: int = settings.folds()
    limit: int = settings.limit()
    seed: int = settings.seed()

    @property
    def resolved_start(self) -> str:
        return settings.resolve_start(self, BACKBONE, BUILT_IN)

    @property
    def resolved_method(self) -> str:
        return self.method

    @property
    def data_name(self) -> str:
        return settings.name_data(self, SAMPLE)

    @property
    def teachers(self) -> list[str]:
        return [name for name in (part.strip() for part in self.teacher.split(",")) if name]

    def check(self, local: bool) -> None:
        """Raises SettingsError."""
        settings.check_fine_tuning(self, local)
        settings.check_template(self.template)
        if self.teachers and self.method == "frozen":
            raise SettingsError(
                "teacher needs augmented pictures, which method frozen does not use: choose method "
                "full, lora or scratch, or leave teacher empty."
            )
