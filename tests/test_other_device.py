"""A demo answers where its model is, which on a GPU machine is the GPU: the same as on the CPU."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import NAME, elsewhere
from photos import photo
from serving import drawing

import app
from demos import audio_intent, captioning, digits, food
from demos.serving import loading
from demos.serving.loading import load_checked
from demos.serving.model_slot import ModelSlot
from training import device
from training.media.sounds import Sound
from training.recipes.digits.model import DigitsNet
from training.runs import checkpoint

CALL = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
SOUND = Sound(CALL, 16_000, 16_000, 1, [])


def look(slot: ModelSlot) -> np.ndarray:
    return food.heat(slot, food.classify(slot, photo()))


def sample(slot: ModelSlot) -> list[int]:
    """A caption drawn at a temperature, of one seed."""

    def ask(predictor: captioning.CaptionPredictor) -> list[int]:
        return list(predictor.write(predictor.encode(photo()), 8, 0.8, seed=3))[-1]

    return slot.answer(ask)[1]


def attend(slot: ModelSlot) -> np.ndarray:
    def ask(predictor: captioning.CaptionPredictor) -> np.ndarray:
        return predictor.attend(predictor.encode(photo()), [5, 6, 7])

    return slot.answer(ask)[1]


def caption(slot: ModelSlot) -> dict[str, float]:
    return dict(captioning.caption(slot, photo()).alternatives)


ANSWERS: dict[str, tuple[str, Callable[[ModelSlot], Any]]] = {
    "a digit": ("digits", lambda slot: digits.classify(slot, drawing()).confidences),
    "a dish": ("food", lambda slot: food.classify(slot, photo()).confidences),
    "where it looked": ("food", look),
    "an intent": ("audio", lambda slot: audio_intent.classify(slot, SOUND).confidences),
    "captions of beam search": ("captions", caption),
    "a caption that grows": ("captions", lambda slot: list(captioning.stream(slot, photo()))),
    "a caption drawn at random": ("captions", sample),
    "what a word attended to": ("captions", attend),
}


@contextlib.contextmanager
def another_device(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with a device beside its CPU, which it picks."""
    patch.setattr(device, "device", lambda: NAME)
    patch.setattr(loading, "_loaded", {})  # networks that lie on the CPU
    # torch knows no half precision of a device that there is not
    patch.setattr(torch, "autocast", lambda *_, **how: contextlib.nullcontext())
    with elsewhere():
        yield


@pytest.mark.parametrize("name, ask", ANSWERS.values(), ids=ANSWERS)
def test_the_answer_of_a_model_on_another_device_is_that_of_the_cpu(runs, monkeypatch, name, ask):
    due = ask(app.open_lab(runs).slots[name])
    with another_device(monkeypatch):
        slot = app.open_lab(runs).slots[name]
        found = ask(slot)
        assert slot.get().predictor.model.device.type == NAME
    words = isinstance(due, list)
    assert found == due if words else found == pytest.approx(due, abs=1e-5)


def test_a_network_that_is_copied_lies_on_the_device_too(monkeypatch):
    path = checkpoint.embedded("digits").path
    with another_device(monkeypatch):
        first = load_checked(DigitsNet, path)
        second = load_checked(DigitsNet, path)
    for model in (first, second):
        tensors = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in tensors} == {NAME}


def test_a_tensor_of_the_cpu_is_refused_there():
    with elsewhere():
        net = torch.nn.Linear(4, 4).requires_grad_(False).to(NAME)
        assert net(torch.zeros(1, 4).to(NAME)).cpu().numpy().shape == (1, 4)
        with pytest.raises(RuntimeError, match="tensors of two devices"):
            net(torch.zeros(1, 4))
        with pytest.raises((RuntimeError, TypeError)):
            net(torch.zeros(1, 4).to(NAME)).numpy()
