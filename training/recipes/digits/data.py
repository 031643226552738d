"""The data of the digits recipe: 28x28 greys, light on dark, from the Hub, from samples or from a
folder."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.data.folders import class_folders, usable
from training.data.splits import bucket, split

CLASSES = {
    "mnist": [str(i) for i in range(10)],
    "fashion_mnist": [
        "T - shirt / top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
}
HUB = {"mnist": "ylecun/mnist", "fashion_mnist": "zalando-datasets/fashion_mnist"}
SAMPLE = {
    "mnist": "scikit-learn's 1,797 handwritten digits, enlarged from 8x8",
    "fashion_mnist": "2,000 garments drawn by this project's code",
}
FRAMING = {"mnist": "digit", "fashion_mnist": "garment"}
LEAST = 5  # pictures of a class in a person's own folder
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass
class Pictures:
    images: np.ndarray  # (N, 28, 28) uint8, light on dark
    labels: np.ndarray  # (N,) int64

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray) -> "Pictures":
        return Pictures(self.images[index], self.labels[index])


@dataclass
class Data:
    train: Pictures
    test: Pictures
    classes: list[str]
    about: str  # what the test pictures are, in words
    revision: str
    problems: list[str] = field(default_factory=list)


def load(dataset: str, source: str, folder: str = "") -> Data:
    """Everything but the test part is train; `holdout` parts it again. Raises SettingsError."""
    if source == "folder":
        return _folder(Path(folder), FRAMING[dataset])
    return _hub(dataset) if source == "hub" else _sample(dataset)


def holdout(pictures: Pictures, share: float) -> tuple[Pictures, Pictures]:
    """Train and validation: the same pictures in every run, by a hash of their content."""
    if not share:
        return pictures, pictures[:0]
    # Another hash than the test split's, which has used up the low end of the first.
    buckets = np.array([bucket(b"holdout" + p.tobytes()) for p in pictures.images])
    chosen = split(buckets, pictures.labels, 0, share, at_least_one=True)
    return pictures[~chosen], pictures[chosen]


def _part(
    pictures: Pictures, classes: list[str], about: str, revision: str, problems: list[str]
) -> Data:
    buckets = np.array([bucket(p.tobytes()) for p in pictures.images])
    test = split(buckets, pictures.labels, 0, 0.2, at_least_one=True)
    return Data(
        pictures[~test],
        pictures[test],
        classes,
        f"{test.sum():,} held-out pictures of {about}",
        revision,
        problems,
    )


def _sample(dataset: str) -> Data:
    if dataset == "mnist":
        from sklearn.datasets import load_digits

        raw = load_digits()
        images = np.stack([_digit(x) for x in raw.images])
        pictures = Pictures(images, raw.target.astype(np.int64))
        revision = "scikit-learn load_digits"
    else:
        from training.samples.garments import garments

        pictures = Pictures(*garments())
        revision = "drawn, seed 0"
    return _part(pictures, CLASSES[dataset], SAMPLE[dataset], revision, [])


def _digit(grey: np.ndarray) -> np.ndarray:
    """8x8 greys of 0 to 16, which are ink already, to MNIST's framing."""
    from PIL import Image

    from training.recipes.digits.picture import frame_digit

    large = Image.fromarray((grey / 16).astype(np.float32)).resize(
        (40, 40), Image.Resampling.BICUBIC
    )
    return frame_digit(np.asarray(large).clip(0, 1))


def _hub(dataset: str) -> Data:
    from PIL import Image

    from training.data import hub

    parts = {}
    for name in ("train", "test"):
        rows, revision = hub.load_dataset(HUB[dataset], name)
        table = rows.with_format("arrow")[:]
        encoded = table.column("image").combine_chunks().field("bytes").to_pylist()
        images = np.stack([np.asarray(Image.open(io.BytesIO(b)).convert("L")) for b in encoded])
        parts[name] = Pictures(
            images, np.asarray(table.column("label").to_pylist(), dtype=np.int64)
        )
    return Data(
        parts["train"],
        parts["test"],
        CLASSES[dataset],
        f"the {len(parts['test']):,} test pictures of {HUB[dataset]}",
        revision,
    )


def _folder(folder: Path, framing: str) -> Data:
    from training.media.pictures import PictureError, load_picture
    from training.recipes.digits.picture import to_28x28

    found = class_folders(folder, PICTURES, LEAST)
    images = []
    labels = []
    seen = set()
    for path, label in zip(found.files, found.labels, strict=True):
        try:
            image = to_28x28(load_picture(path), framing)
        except PictureError as error:
            found.problems.append(f"{path.relative_to(folder)}: {error}")
            continue
        if (key := image.tobytes()) in seen:
            found.problems.append(
                f"{path.relative_to(folder)}: shows what another file shows; left out"
            )
            continue
        seen.add(key)
        images.append(image)
        labels.append(label)
    classes, chosen, labelled = usable(folder, found, np.array(labels, dtype=np.int64), LEAST)
    pictures = Pictures(np.array(images, np.uint8)[chosen], labelled)
    # The content is the revision: a folder has no other, and changes without a word.
    revision = f"content {hashlib.blake2b(pictures.images.tobytes(), digest_size=6).hexdigest()}"
    return _part(pictures, classes, f"the folder {folder.name}", revision, found.problems)
