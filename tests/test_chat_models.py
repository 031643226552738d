"""Published models that are spoken to (image-text-to-text) as captioners: the caption alone comes
back, bounded in length and time, and what cannot be spoken to is refused in a sentence."""

import json

import numpy as np
import pytest
import tiny_models
from PIL import Image
from serving import is_a_sentence
from tiny_models import name_kind

import app
from demos import captioning
from demos.serving import writers
from demos.serving.hub_models import HubModels, Wishes
from demos.serving.model_slot import SwapError
from training.data.hub_choice import PROMPT

DOTS = np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
PHOTO = Image.fromarray(DOTS).resize((1600, 1200))


@pytest.fixture
def slot(runs):
    return app.open_lab(runs).slots["captions"]


@pytest.fixture
def use(slot, hub):
    return lambda name, **more: HubModels().use(slot, name, Wishes(**more))


@pytest.fixture(params=tiny_models.CHATS, ids=name_kind)
def make(request):
    return request.param


def read_chat(predictor, picture=PHOTO) -> str:
    """What it is told, whole."""
    return predictor.tokenizer.decode(predictor.encode(picture)["input_ids"][0])


def test_the_answer_is_the_caption_alone(slot, use, make):
    held = use(name_kind(make))
    predictor = held.predictor
    found = captioning.caption(slot, PHOTO)
    assert found.checkpoint == held.id and len(found.alternatives) == captioning.ALTERNATIVES
    # A letter is a token of theirs: with the chat before it, it would be longer.
    for text, share in found.alternatives:
        assert len(text) <= writers.LONGEST and 0 <= share <= 1
        assert PROMPT not in text and "Assistant:" not in text
    *_, greedy = captioning.stream(slot, PHOTO)
    assert greedy and len(greedy) <= captioning.LONGEST and "Assistant:" not in greedy
    chat = read_chat(predictor)
    assert PROMPT in chat and chat.endswith("Assistant:")
    *_, shown = slot.stream(lambda held: captioning._write_all(held, PHOTO, True, 0.8, 5))
    assert "does not tell where" in shown and "Assistant:" not in shown


def test_a_prompt_of_the_persons_own_is_what_it_is_told(use, make):
    plain = use(name_kind(make))
    told = use(name_kind(make), prompt="Name the animal.")
    assert told.id != plain.id
    assert "Name the animal." in read_chat(told.predictor)
    assert PROMPT not in read_chat(told.predictor)


def test_its_words_are_those_that_transformers_gives(use, make):
    """The same chat by transformers alone."""
    import torch

    predictor = use(name_kind(make)).predictor
    seen = predictor.encode(PHOTO)
    *_, ids = predictor.write(seen, 6)
    with torch.no_grad():
        whole = predictor.model.generate(**seen, max_new_tokens=6, do_sample=False)[0]
    assert ids == whole[seen["input_ids"].shape[1] :].tolist()


def test_a_large_photo_takes_no_more_than_a_bounded_number_of_tokens(use, make):
    predictor = use(name_kind(make)).predictor
    large, huge = (
        predictor.encode(PHOTO.resize(size))["input_ids"].shape[1]
        for size in ((1024, 768), (4096, 3072))
    )
    assert large == huge


def test_a_caption_ends_where_its_time_is_over(slot, use, make, monkeypatch):
    predictor = use(name_kind(make)).predictor
    monkeypatch.setattr(writers, "SECONDS", -1.0)
    seen = predictor.encode(PHOTO)
    assert len([*predictor.write(seen, 40)]) == 1
    assert {len(ids) for ids, _ in predictor.search(seen)} == {1}


@pytest.mark.parametrize(
    "gone, words",
    [
        ("chat_template.jinja", "holds no chat template (chat_template.jinja)"),
        ("tokenizer.json", "and tokenizer.json) is missing or damaged"),
        ("processor_config.json", "preprocessor_config.json is missing"),
    ],
)
def test_without_a_chat_template_or_a_processor_it_is_refused(
    slot, use, odd, make, gone, words, tmp_path
):
    folder = odd(name_kind(make).partition("/")[2], "bare")
    (folder / gone).unlink()
    with pytest.raises(SwapError) as told:
        use("odd/bare")
    said = str(told.value)
    assert said.startswith("odd/bare") and words in said and is_a_sentence(said)
    assert said.lower().endswith("choose another model.") and str(tmp_path) not in said
    assert slot.active_id == "embedded-captions"


def test_a_damaged_processor_is_told_without_where_it_lies(use, odd, make, tmp_path):
    folder = odd(name_kind(make).partition("/")[2], "torn")
    (folder / "processor_config.json").write_text("{")
    with pytest.raises(SwapError) as told:
        use("odd/torn")
    assert "missing or damaged" in str(told.value) and str(tmp_path) not in str(told.value)


def test_a_chat_template_that_the_tokenizer_keeps_is_used(use, odd, make):
    folder = odd(name_kind(make).partition("/")[2], "old")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": template}))
    assert PROMPT in read_chat(use("odd/old").predictor)


def test_what_fails_as_it_writes_is_told_in_a_sentence(slot, use, monkeypatch):
    held = use("tiny/llava")

    def fail(**_):
        raise RuntimeError("/a/path/of/this/machine")

    monkeypatch.setattr(held.predictor.model, "generate", fail)
    with pytest.raises(SwapError) as told:
        captioning.caption(slot, PHOTO)
    assert is_a_sentence(str(told.value)) and "/a/path" not in str(told.value)
    with pytest.raises(SwapError):
        [*captioning.stream(slot, PHOTO)]
