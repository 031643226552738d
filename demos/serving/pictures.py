"""A network that tells pictures apart, of whichever origin, and how it sees."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from demos.serving.loading import SwapError, load_checked
from training.runs import published
from training.runs.checkpoint import CheckpointError

if TYPE_CHECKING:  # the page starts without torch
    from training.media.own_processor import OwnProcessor
    from training.media.picture_preprocessor import PicturePreprocessor


def open_classifier(path: Path) -> "tuple[Any, PicturePreprocessor | OwnProcessor]":
    """A checkpoint's network, on the device; a published one sees as it was trained to, by its own
    processor. Raises SwapError, CheckpointError. (Any: zero-shot or not, it is asked alike.)"""
    from transformers import (
        AutoModelForImageClassification,
        AutoModelForZeroShotImageClassification,
    )

    from training.learn import zero_shot
    from training.media.own_processor import OwnProcessor
    from training.media.picture_preprocessor import PicturePreprocessor

    if not published.read_own(path):
        preprocessor = PicturePreprocessor.from_checkpoint(path)
        return load_checked(AutoModelForImageClassification, path), preprocessor
    try:
        own = OwnProcessor.from_checkpoint(path)
        if not zero_shot.is_zero_shot(path):
            return load_checked(AutoModelForImageClassification, path), own
        network = load_checked(AutoModelForZeroShotImageClassification, path)
        return zero_shot.make(cast(Any, network), path), own
    except CheckpointError as error:
        raise SwapError(str(error)) from error
