"""The form of the Train tab: it shows the settings that count beside the others, whatever they
hang on."""

import dataclasses

import gradio as gr
import pytest
from serving import fresh_app

from demos import form as form_of_settings
from demos import training_tab
from training import recipe
from training.runs import job
from training.runs.run import Run


class Form:
    """One recipe's form on the real page, filled in as a person does, without a browser: what is
    changed tells the handlers that listen to it, and what they send back is shown."""

    def __init__(self, page: gr.Blocks, recipe: str):
        self.page = page
        self.blocks = {
            str(block.elem_id): block
            for block in page.blocks.values()
            if getattr(block, "elem_id", 0)
        }
        self.recipe = recipe
        self.values = {block._id: block.value for block in page.blocks.values() if self._has(block)}
        self.visible = {
            name.removeprefix(f"set-{recipe}-"): block.visible
            for name, block in self.blocks.items()
            if name.startswith(f"set-{recipe}-")
        }
        self.calls = 0

    @staticmethod
    def _has(block) -> bool:
        return isinstance(block, gr.components.Component) and hasattr(block, "value")

    def change(self, name: str, value) -> None:
        """Chooses a choice, or types a value and leaves the field."""
        block = self.blocks[f"set-{self.recipe}-{name}"]
        self.values[block._id] = value
        events = {"input", "change"} if isinstance(block, gr.Dropdown) else {"blur", "change"}
        self._tell({(block._id, event) for event in events})

    def open(self) -> None:
        """Chooses this recipe."""
        chooser = self.blocks["recipe"]
        self.values[chooser._id] = self.recipe
        self._tell({(chooser._id, "change")})

    def start(self) -> None:
        self.open()
        self._tell({(self.blocks["start"]._id, "click")})

    def _tell(self, events: set) -> None:
        for fn in self.page.fns.values():
            if fn.fn and events & set(fn.targets):
                self.calls += 1
                given = [block.preprocess(self.values[block._id]) for block in fn.inputs]
                shown = fn.fn(*given)
                shown = shown if isinstance(shown, list) else [shown]
                for block, update in zip(fn.outputs, shown, strict=True):
                    self._show(block, update)

    def _show(self, block, update) -> None:
        name = str(block.elem_id).removeprefix(f"set-{self.recipe}-")
        if name in self.visible and isinstance(update, dict) and "visible" in update:
            self.visible[name] = update["visible"]


@pytest.fixture
def form(runs, monkeypatch):
    monkeypatch.setattr(job, "pump", lambda runs: None)  # what is started stays in the queue
    with fresh_app(runs) as page:
        yield lambda recipe: Form(page, recipe)


@pytest.mark.parametrize(
    "recipe, name, value, shown, hidden",
    [
        ("captioning", "start", "parts", {"encoder", "decoder"}, {"keep"}),
        ("captioning", "source", "hub", {"encoder", "decoder", "dataset"}, {"keep"}),
        ("captioning", "holdout", 0, set(), {"early_stopping", "best"}),
        ("food", "method", "lora", {"lora_rank", "crop", "bf16"}, {"keep"}),
        ("food", "method", "frozen", {"class_weights"}, {"crop", "mixup", "teacher", "epochs"}),
        ("captioning", "method", "frozen", {"epochs", "optimizer"}, {"crop"}),
        ("food", "augmentation", "none", {"mixup", "cutmix"}, {"crop"}),
        ("food", "teacher", ["embedded", "food-x"], {"teacher_share"}, set()),
        ("audio_intent", "source", "espeak", {"clips"}, {"dataset", "language"}),
        ("audio_intent", "method", "lora", {"spelling"}, {"keep", "encoder"}),
        ("digits", "start", "scratch", {"arch"}, set()),
    ],
)
def test_a_change_shows_what_counts_now_and_hides_what_does_not(
    form, recipe, name, value, shown, hidden
):
    made = form(recipe)
    made.change(name, value)
    assert {each for each in shown if not made.visible[each]} == set()
    assert {each for each in hidden if made.visible[each]} == set()
    assert made.calls == 1, "one handler for the whole form"


def test_what_was_changed_back_is_as_it_was(form):
    made = form("food")
    before = dict(made.visible)
    assert not all(before.values())
    for value in ("frozen", "full"):
        made.change("method", value)
    assert made.visible == before


@pytest.mark.parametrize("half_typed", [None, "", "0.", -1, 7, "x"])
def test_a_half_typed_value_counts_as_its_default(form, half_typed):
    made = form("digits")
    made.change("holdout", 0)
    assert not made.visible["early_stopping"]
    made.change("holdout", half_typed)
    assert made.visible["early_stopping"] == (half_typed != "0.")


def test_a_key_that_is_typed_asks_for_nothing(form):
    made = form("digits")
    block = made.blocks["set-digits-holdout"]
    made._tell({(block._id, "input"), (block._id, "change")})
    assert made.calls == 0


def test_a_form_that_is_opened_shows_what_counts(form, monkeypatch):
    monkeypatch.setattr("training.device.device", lambda: "cpu")
    import torch  # noqa: F401  what `auto` means is known only where it is loaded

    made = form("audio_intent")
    made.visible["spelling"] = True
    made.open()
    assert not made.visible["spelling"] and not made.visible["bf16"], "auto is frozen on a CPU"


def test_what_is_hidden_neither_counts_nor_is_refused(form, runs):
    made = form("food")
    made.change("method", "scratch")
    made.change("arch", "vit")
    made.change("method", "full")
    made.change("keep", 0.5)
    made.change("method", "lora")
    made.change("lora_rank", 16)
    made.start()
    (run,) = Run.all(runs)
    assert run.config["arch"] == "start" and run.config["keep"] == 0
    assert run.config["method"] == "lora" and run.config["lora_rank"] == 16


def test_a_number_is_refused_in_our_words_and_not_rounded(form, runs):
    made = form("digits")
    for value, words in ((2.5, "epochs is 2.5: it must be a whole number."), (0, "from 1 to 500.")):
        made.change("epochs", value)
        with pytest.raises(gr.Error, match=words):
            made.start()
    assert Run.all(runs) == []


def test_what_is_built_in_is_called_so(form, runs):
    made = form("digits")
    _, start = form_of_settings.propose(recipe.load("digits"), runs)  # after the data
    shown = start["choices"]
    assert ("Built-in (digits)", "embedded") in shown
    assert ("Built-in (fashion)", "embedded-fashion") in shown
    assert made.blocks["set-digits-start"].choices == [("Built-in", "embedded")]


@pytest.mark.parametrize("on_space", [True, False])
def test_where_training_is_off_it_says_why_and_how_to_get_it(on_space):
    told = training_tab.how_to_train("Training is off (--training off).", on_space)
    assert "Training is off (--training off)." in told
    assert ("Duplicate this Space" in told) == on_space
    assert ("python app.py" in told) and ("shared demo" not in told)


@pytest.mark.parametrize("name", recipe.names())
def test_every_rare_setting_stands_under_what_it_is_about(name):
    fields = dataclasses.fields(recipe.load(name).config)
    rare = [f.name for f in fields if f.metadata["rare"] and not f.metadata["local"]]
    grouped = form_of_settings.group(rare)
    assert "Others" not in grouped
    assert sorted(each for names in grouped.values() for each in names) == sorted(rare)


def test_the_usual_settings_come_back(form):
    made = form("food")
    made.change("epochs", 7)
    made.change("method", "frozen")
    back = made.blocks["reset-food"]
    (clicked,) = (fn for fn in made.page.fns.values() if (back._id, "click") in fn.targets)
    usual = dict(zip((block.elem_id for block in clicked.outputs), clicked.fn(), strict=True))
    assert usual["set-food-epochs"] == 3 and usual["set-food-method"] == "full"
    assert usual["set-food-teacher"] == [] and usual["set-food-start"] == "auto"
