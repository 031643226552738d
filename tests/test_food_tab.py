"""The Food tab: the handler alone, the endpoint with every kind of picture, heat maps, unsure
answers."""

import json
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from meals import SIZE, TINY, network, published
from photos import BAD, GOOD, photo, turned
from PIL import Image

from demos import food
from demos.heat_map import overlay, where_it_looked
from demos.serving.model_slot import ModelSlot, SwapError
from demos.slot_view import NOTHING
from training.media.pictures import load_picture
from training.samples.dishes import CLASSES
from training.wording import in_words


@pytest.fixture
def slot(runs):
    """The tab's slot, with runs of its own."""
    return ModelSlot("food", food.FoodPredictor, runs)


def test_an_answer_names_five_dishes_the_checkpoint_and_the_time(slot):
    answer = food.classify(slot, photo())
    assert len(answer.confidences) == 5 and list(answer.confidences.values()) == sorted(
        answer.confidences.values(), reverse=True
    )
    assert answer.checkpoint == "embedded-food" and answer.milliseconds > 0
    assert answer.label.replace("_", " ") == next(iter(answer.confidences)) and "_" not in "".join(
        answer.confidences
    )


def test_another_checkpoint_is_asked_beside_the_active_one(slot, runs):
    run = published(runs, network("vit", CLASSES))
    one, other = food.classify(slot, photo()), food.classify(slot, photo(), run.id)
    assert other.checkpoint == run.id and set(other.confidences) <= {in_words(c) for c in CLASSES}
    assert (
        food.classify(slot, photo()).confidences == one.confidences
        and slot.active_id == "embedded-food"
    )


def test_a_checkpoint_without_a_processor_is_refused(slot, runs):
    run = published(runs, network("resnet", CLASSES))
    (run.checkpoint / "preprocessor_config.json").unlink()
    with pytest.raises(SwapError, match="does not say how pictures are prepared"):
        food.classify(slot, photo(), run.id)


@pytest.mark.parametrize("kind", list(TINY))
def test_every_kind_of_network_shows_where_it_looked(slot, runs, kind):
    run = published(runs, network(kind, CLASSES))
    answer = food.classify(slot, photo(), run.id)
    heat = food.heat(slot, answer)
    assert heat.ndim == 2 and min(heat.shape) > 0 and 0 <= heat.min() and heat.max() <= 1


def test_a_network_that_is_asked_about_mirror_images_too_answers_them_alike(slot, runs):
    run = published(runs, network("resnet", CLASSES))
    config = run.checkpoint / "config.json"
    once = food.classify(slot, photo(), run.id)
    config.write_text(json.dumps(json.loads(config.read_text()) | {"mirrored": True}))
    slot = ModelSlot("food", food.FoodPredictor, runs)
    predictor = slot.get(run.id).predictor
    twice, turned = predictor.scores(once.seen), predictor.scores(once.seen[:, ::-1])
    assert twice == pytest.approx(turned, abs=1e-6)
    assert twice.max() != pytest.approx(max(once.confidences.values()), abs=1e-6)


def test_a_network_that_sees_pictures_in_their_own_shape_answers_and_shows_where_it_looked(
    slot, runs
):
    run = published(runs, network("resnet", CLASSES), 160, longest=192)
    answer = food.classify(slot, photo().resize((400, 300)), run.id)
    assert answer.seen.shape == (144, 192, 3) and len(answer.confidences) == 5
    assert food.heat(slot, answer).shape == (5, 6)  # the last map, a place for 32 pixels


@pytest.mark.parametrize(
    "size, laid", [((64, 64), (320, 320)), ((4000, 3000), (320, 240)), ((30, 300), (32, 320))]
)
def test_the_heat_lies_on_the_whole_photo_in_its_own_shape(size, laid):
    heat = np.zeros((4, 4))
    heat[:, 3] = 1  # what counted is at the right edge
    shown = np.asarray(overlay(Image.new("RGB", size, (90, 90, 90)), heat)).astype(int).sum(-1)
    assert shown.shape == laid[::-1] and shown[:, -1].min() > shown[:, 0].max() + 100


def test_rollout_finds_the_patch_that_the_answer_attends_to():
    model = network("vit", CLASSES).requires_grad_(False)
    model.set_attn_implementation("eager")
    with torch.no_grad():  # every token looks for what a bright patch shows
        model.vit.embeddings.position_embeddings.zero_()
        model.vit.embeddings.patch_embeddings.projection.weight.fill_(0.02)
    x = torch.zeros(1, 3, SIZE, SIZE)
    x[:, :, 8:16, 16:24] = 3.0
    heats = where_it_looked(model, x)
    assert heats.shape == (4, 4)
    others = np.delete(heats.ravel(), 1 * 4 + 2)
    assert abs(heats[1, 2] - np.median(others)) > 5 * others.std() + 1e-6, (
        "the odd patch stands out"
    )


def test_grad_cam_finds_the_place_that_raises_the_answer():
    model = network("resnet", CLASSES).eval().requires_grad_(False)
    x = torch.zeros(1, 3, 256, 256)
    x[:, :, 160:224, 32:96] = torch.randn(3, 64, 64) * 4
    heat = where_it_looked(model, x)
    row, column = np.unravel_index(np.abs(heat - np.median(heat)).argmax(), heat.shape)
    assert heat.shape == (8, 8) and 4 <= row <= 7 and 0 <= column <= 3


def test_a_model_that_does_not_know_says_so(slot, runs):
    model = network("resnet", CLASSES)
    torch.nn.init.zeros_(model.classifier[1].weight)  # all dishes alike
    torch.nn.init.zeros_(model.classifier[1].bias)
    run = published(runs, model)
    answer = food.classify(slot, photo(), run.id)
    assert "Not sure" in food._verdict(answer)
    with torch.no_grad():
        model.classifier[1].bias[2] = 9.0
    sure = food.classify(slot, photo(), published(runs, model).id)
    assert food._verdict(sure) == ""


def test_of_two_dishes_whose_names_read_alike_none_is_lost(slot, runs, tmp_path):
    model = network("resnet", ["hot_dog", "hot dog"])
    torch.nn.init.zeros_(model.classifier[1].weight)  # both alike
    torch.nn.init.zeros_(model.classifier[1].bias)
    run = published(runs, model)
    answer = food.classify(slot, photo(), run.id)
    assert answer.confidences == {"hot_dog": 0.5, "hot dog": 0.5}
    photo().save(tmp_path / "a.png")
    confidences, told = food.ask_on_page(slot)(str(tmp_path / "a.png"), run.id)
    assert confidences == answer.confidences and "Where it looked" in told


def test_a_model_of_one_dish_alone_does_not_break_the_page(slot, runs):
    answer = food.classify(slot, photo())
    alone = replace(answer, confidences={"ramen": 0.1}, unlikeness=None)
    assert "Perhaps <b>ramen</b> (10%)." in food._verdict(alone)


def test_a_label_that_is_not_sure_still_shows_its_bars(slot):
    label = food.page.verdict(0.35, num_top_classes=5)
    shown = label.postprocess({"pizza": 0.2, "sushi": 0.1})
    assert shown.label == "not sure" and [c.label for c in shown.confidences] == ["pizza", "sushi"]
    assert label.postprocess({"pizza": 0.6, "sushi": 0.1}).label == "pizza"
    assert not label.postprocess(None)


# -- every kind of picture, through the endpoint's function ----------------------------------------
@pytest.mark.parametrize("name", list(GOOD))
def test_every_kind_of_picture_is_answered(slot, tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name]())
    label, about = food.endpoint(slot)(str(tmp_path / name))
    assert len(label) == 5 and about["checkpoint"] == "embedded-food"
    assert "looked" in food.ask_on_page(slot)(str(tmp_path / name), "active", NOTHING)[1]


def test_a_turned_photo_is_answered_as_the_upright_one(slot, tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned())
    upright = load_picture(tmp_path / "a.jpg")
    assert upright.size == (60, 90)
    assert (
        food.endpoint(slot)(str(tmp_path / "a.jpg"))[0] == food.classify(slot, upright).confidences
    )


@pytest.mark.parametrize("name", list(BAD))
def test_what_is_no_picture_gets_a_sentence(slot, tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(gr.Error) as error:
        food.endpoint(slot)(str(tmp_path / name))
    assert name in str(error.value)
    shown = food.ask_on_page(slot)(str(tmp_path / name), "active", NOTHING)
    assert shown[0] is None and "notice bad" in shown[1]


def test_no_picture_gets_a_friendly_line(slot):
    assert food.ask_on_page(slot)(None, "active", NOTHING) == [
        None,
        food.page.notice(food.EMPTY),
        None,
        "",
    ]
    with pytest.raises(gr.Error, match="There is no picture"):
        food.endpoint(slot)(None)
