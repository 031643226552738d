"""The food recipe: any network that tells pictures apart, on any classes of pictures.

    python -m training food --epochs 3
    python -m training food --source hub --method frozen --start google/vit-base-patch16-224-in21k
    python -m training food --source folder --folder my-pictures --method lora

Four methods: `full`, every weight learns; `frozen`, the backbone's features are computed once and
kept, and only the head learns, in seconds; `lora`, small matrices beside the weights learn, and are
merged in; `scratch`, random weights. What is published is an ordinary checkpoint, which
AutoModelForImageClassification loads.
"""

from dataclasses import dataclass

from training import settings
from training.recipe import SettingsError, setting

FOOD = "ethz/food101"
BACKBONE = "google/vit-base-patch16-224-in21k"


@dataclass(frozen=True)
class Config(settings.FineTuning):
    BACKBONE = BACKBONE
    SAMPLE = "drawn dishes"

    source: str = setting(
        "sample",
        "sample: a few hundred drawn dishes, comes with the app, needs no network. hub: the data "
        "set below, downloaded once. folder: your own pictures, one subfolder a class (command "
        "line only).",
        choices=("sample", "hub", "folder"),
        lasting=True,
    )
    dataset: str = setting(
        FOOD,
        "With source hub: a data set of the Hub that holds pictures and their classes.",
        label="Data set",
        lasting=True,
    )
    folder: str = settings.folder()
    start: str = settings.start(BACKBONE)
    method: str = setting(
        "full",
        "full: every weight learns. frozen: only the head learns, on features that are computed "
        "once. lora: small matrices beside the weights learn. scratch: from random weights.",
        choices=("full", "frozen", "lora", "scratch"),
        lasting=True,
    )
    epochs: int = settings.epochs(3)
    learning_rate: float = settings.usual_rate()
    batch_size: int = settings.batch_size(32)
    name: str = settings.name()
    swap: str = settings.swap()
    image_size: int = settings.image_size()
    shape: str = setting(
        "start",
        "own: the model sees a picture in its own shape, its long side a tenth more than the image "
        "size; for convolutional networks. square: pressed into a square. start: as its start "
        "does.",
        choices=("start", "own", "square"),
        rare=True,
        lasting=True,
    )
    mirror: str = setting(
        "start",
        "on: a picture is asked about twice, as it is and as its mirror image, and the mean of the "
        "answers counts: often one in a hundred more is right, in up to twice the time. Not where "
        "left and right tell classes apart. start: as its start does, for the same classes.",
        choices=("start", "on", "off"),
        rare=True,
        lasting=True,
        label="Mirror image",
    )
    arch: str = setting(
        "start",
        "With method scratch: the network. start: the one of the start; or a small one; "
        "resnet-large is for a GPU, and can teach a small one.",
        choices=("start", "resnet", "resnet-large", "regnet", "convnext", "vit", "swin"),
        rare=True,
        label="Network",
        lasting=True,
    )
    augmentation: str = settings.augmentation_of_pictures()
    crop: float = settings.crop(0.4)
    mixup: float = setting(
        0.0,
        "How strongly pairs of pictures are laid over each other; 0: not.",
        low=0,
        high=2,
        rare=True,
    )
    cutmix: float = setting(
        0.0,
        "How often and how much of one picture is laid as a rectangle in another; 0: not.",
        low=0,
        high=2,
        rare=True,
    )
    optimizer: str = settings.optimizer()
    schedule: str = settings.schedule()
    warmup: float = settings.warmup()
    weight_decay: float = settings.weight_decay(0.02)
    layer_decay: float = settings.layer_decay()
    label_smoothing: float = settings.label_smoothing(0.1)
    keep: float = settings.keep()
    teacher: str = setting(
        "",
        "Checkpoints that teach: a run's id, embedded, or a model of the Hub; several with commas "
        "between. What they answer to each crop is a part of its label (distillation). They must "
        "know these classes.",
        rare=True,
        lasting=True,
        label="Taught by",
        offers=(),
        many=True,
    )
    teacher_share: float = setting(
        0.5,
        "Share of a label that is the teachers' answer; the rest is the data's.",
        low=0.05,
        high=1,
        rare=True,
        lasting=True,
        label="Share of the teachers",
    )
    lora_rank: int = settings.lora_rank()
    train_size: int = setting(
        0,
        "Side in pixels in training; 0: as image size. About a fifth less is faster and can score "
        "better (FixRes, arXiv 1906.06423); for convolutional networks.",
        low=0,
        high=1024,
        rare=True,
    )
    progressive: str = setting(
        "off",
        "Small pictures in the first epochs, which are faster; for convolutional networks.",
        choices=("off", "on"),
        rare=True,
    )
    bf16: str = settings.bf16()
    compile: str = settings.compiled()
    store: str = settings.store()
    early_stopping: int = settings.early_stopping()
    accumulate: int = settings.accumulate()
    holdout: float = settings.holdout(0.05)
    limit: int = settings.limit()
    seed: int = settings.seed()

    def unused(self) -> set[str]:
        return settings.unused(
            self,
            self.method,
            ("crop", "mixup", "cutmix", "train_size", "progressive", "teacher", "teacher_share"),
        )

    @property
    def teachers(self) -> list[str]:
        return [name for name in (part.strip() for part in self.teacher.split(",")) if name]

    def check(self, local: bool) -> None:
        super().check(local)
        if self.teachers and self.method == "frozen":
            raise SettingsError(
                "teacher answers to varied pictures, and method frozen learns from features of "
                "plain ones: choose method full, lora or scratch, or leave teacher empty."
            )
