"""What one running app is about: made once in app.py and passed down, so that nothing below it
reads the environment, and two apps can live in one process."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demos.serving.hub_models import HubModels
from demos.serving.model_slot import ModelSlot


@dataclass(frozen=True)
class Lab:
    runs: Path  # the directory in which runs are kept; it may not exist yet
    # By the names that the API promises. Any: each tab knows the predictor of its own slots.
    slots: dict[str, ModelSlot[Any]]
    training: bool = True  # whether the page may start runs and swap checkpoints
    why_not: str = ""  # a sentence, where training is off
    on_space: bool = False  # whether this is a Hugging Face Space, which everybody shares
    # Whether this page is its owner's alone, on the owner's machine: then what `hf auth login` left
    # there may be used for the owner. A visitor's never is for another, nor the owner's for one.
    alone: bool = False
    signs_in: bool = False  # whether visitors sign in to the Hub with accounts of their own
    hub: HubModels = field(default_factory=HubModels)
