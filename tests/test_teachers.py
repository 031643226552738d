"""Teachers: what they answer to the very pictures that a network learns from is a part of the
labels."""

import itertools

import pytest
import torch
from conftest import execute
from learning import goes_on_exactly, losses
from meals import SIZE, TWO_STEPS, network, one_of_each_kind, published, train, weights

from training import recipe
from training.__main__ import SETTINGS
from training.data.examples import hold_out
from training.recipes.food import train as food_train
from training.recipes.food.config import Config
from training.recipes.food.data import load
from training.recipes.food.model import open_network
from training.recipes.food.teachers import Teachers
from training.runs import job
from training.runs.run import Run
from training.samples.dishes import CLASSES

pytestmark = pytest.mark.usefixtures("quick_picture")


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    return tmp_path_factory.mktemp("school")


@pytest.fixture(scope="module")
def known(school) -> dict[str, str]:
    return one_of_each_kind(school, CLASSES, seed=4)


def sums(school, start: str, **settings) -> tuple[torch.Tensor, torch.nn.Module]:
    """The loss of 16 pictures, varied and mixed, and the network that it was taken of."""
    config = Config(
        **TWO_STEPS, start=start, augmentation="strong", mixup=0.2, cutmix=0.4, **settings
    )
    model, preprocessor = open_network(Run.find(school, start).checkpoint)
    part, held = hold_out(load("", "sample").train, 0.1)
    run = Run.find(school, start)
    teachers = Teachers(config.teachers, school, "food", CLASSES) if config.teachers else None
    lesson = food_train.make_lesson(model, preprocessor, part[:64], held[:8], config, run, teachers)
    return lesson.loss(model, lesson.fetch(torch.arange(16), 0), slice(0, 16)), model


def test_who_taught_is_recorded_with_its_revision(school, known, monkeypatch):
    monkeypatch.setattr(
        "training.data.hub.download_model",
        lambda name: (Run.find(school, known["resnet"]).checkpoint, "c0ffee"),
    )
    run = train(
        school, start=known["vit"], method="full", teacher=f"somebody/dishes,{known['swin']}"
    )
    assert run.settings["teachers"] == {"somebody/dishes": "c0ffee", known["swin"]: ""}
    card = (run.checkpoint / "README.md").read_text()
    assert f"| Teachers | somebody/dishes (revision c0ffee), {known['swin']} |" in card


def test_who_is_taught_by_itself_alone_has_nothing_to_learn(school, known):
    taught, model = sums(school, known["vit"], teacher=known["vit"], teacher_share=1)
    taught.backward()
    assert max(float(p.grad.abs().max()) for p in model.parameters()) < 1e-4
    alone, model = sums(school, known["vit"])
    alone.backward()
    assert max(float(p.grad.abs().max()) for p in model.parameters()) > 0.1


def test_a_label_is_in_part_the_data_s_and_in_part_the_teacher_s(school, known):
    data, both, teacher = (
        float(sums(school, known["vit"], **settings)[0].detach())
        for settings in (
            {},
            dict(teacher=known["swin"], teacher_share=0.25),
            dict(teacher=known["swin"], teacher_share=1),
        )
    )
    assert (
        both == pytest.approx(0.75 * data + 0.25 * teacher, rel=1e-5) and abs(data - teacher) > 0.1
    )


def test_each_draw_asks_one_of_the_teachers_at_the_size_that_it_sees(school, known):
    pixels = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 255
    teachers = Teachers([known["resnet"], known["vit"]], school, "food", CLASSES)
    one, other = teachers.predict(pixels, 0), teachers.predict(pixels, 1)
    assert one.shape == (4, len(CLASSES)) and torch.allclose(one.sum(1), torch.ones(4))
    model, preprocessor = open_network(Run.find(school, known["resnet"]).checkpoint)
    assert torch.allclose(
        one, model.eval()(pixel_values=preprocessor.normalise(pixels)).logits.softmax(1), atol=1e-5
    )
    assert torch.equal(teachers.predict(pixels, 2), one) and torch.equal(
        teachers.predict(pixels, 7), other
    )
    assert not torch.allclose(one, other, atol=1e-3)


def test_a_teacher_may_name_its_classes_in_another_order_and_know_more(school, known):
    model = network("resnet", ["soup", *reversed(CLASSES)], seed=3)
    pixels = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 255
    found = Teachers([published(school, model).id], school, "food", CLASSES).predict(pixels, 0)
    model, preprocessor = (
        model.eval(),
        open_network(Run.find(school, known["resnet"]).checkpoint)[1],
    )
    logits = model(pixel_values=preprocessor.normalise(pixels)).logits
    assert torch.allclose(found, logits[:, 1:].flip(1).softmax(1), atol=1e-5)


@pytest.mark.parametrize(
    "pupil, method", [*itertools.product(("resnet", "vit"), ("full", "lora", "scratch"))]
)
def test_two_steps_with_two_teachers(school, known, pupil, method):
    settings = dict(start=known[pupil], method=method, optimizer="sgd", learning_rate=0.01)
    taught = train(
        school, **settings, teacher=f"{known['convnext']}, {known['swin']},", teacher_share=0.8
    )
    alone = train(school, **settings)
    assert (
        f"80% of each label is what {known['convnext']} and {known['swin']} answer"
        in taught.log_file.read_text()
    )
    assert len(losses(taught)) == 2 and losses(taught) != losses(alone)
    assert weights(taught).keys() == weights(alone).keys()


def test_a_stopped_run_goes_on_with_the_same_teachers(school, known):
    goes_on_exactly(
        school,
        "food",
        dict(
            TWO_STEPS,
            start=known["resnet"],
            method="full",
            epochs=2,
            mixup=0.2,
            accumulate=2,
            teacher=f"{known['vit']},{known['resnet']}",
        ),
        weights,
    )


def test_teachers_that_cannot_teach_are_refused_in_a_sentence(school, known):
    def told(**settings) -> str:
        run = job.create(
            school, "food", {**TWO_STEPS, "start": known["resnet"], **settings}, local=False
        )
        assert execute(run) == SETTINGS
        return run.status["reason"]

    stranger = published(school, network("resnet", [*CLASSES[1:], "soup"]))
    reason = told(teacher=stranger.id)
    assert reason.endswith(
        f"{stranger.id[-4:]} cannot teach these classes: it does not know 1 of the 8, {CLASSES[0]}."
    )
    with pytest.raises(recipe.SettingsError, match="There is no checkpoint 'food-gone'"):
        told(teacher=f"{known['vit']},food-gone")
    with pytest.raises(recipe.SettingsError, match="names a folder of this machine"):
        told(teacher="/etc/passwd")
    assert "no name on the Hub" in told(teacher="a/b/c")


def test_frozen_has_no_use_for_a_teacher():
    with pytest.raises(recipe.SettingsError, match="choose method full, lora or scratch"):
        recipe.parse(Config, dict(method="frozen", teacher="embedded"))
