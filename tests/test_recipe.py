"""The contract of a recipe: settings from loose values, flags from fields, names without
imports."""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, fields

import pytest

from training import recipe
from training.recipe import SettingsError, setting
from training.recipes.digits.config import Config


@dataclass(frozen=True)
class Toy:
    pages: int = setting(3, "How many pages, 100% of them.", low=1, high=1_000_000)
    speed: float = setting(0.5, "How fast.", low=0, high=2)
    colour: str = setting("red", "Which colour.", choices=("red", "blue"))
    shelf: str = setting("", "A folder of this machine.", local=True)
    shade: float = setting(
        0.5, "How dark the red is.", low=0, high=1, when=lambda toy: toy.is_bright
    )

    @property
    def is_bright(self):
        return self.pages < 100 and self.colour == "red"

    def check(self, local):
        if self.colour == "blue" and self.pages == 13:
            raise SettingsError("13 blue pages bring bad luck.")


def refused(values, config=Toy, **how) -> str:
    with pytest.raises(SettingsError) as error:
        recipe.parse(config, values, **how)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_strings_become_the_types_of_their_fields():
    made = recipe.parse(Toy, {"pages": " 7 ", "speed": "1e-1", "colour": " blue "})
    assert made == Toy(7, 0.1, "blue") and type(made.pages) is int


def test_a_whole_number_from_a_form_may_be_a_float():
    made = recipe.parse(Toy, {"pages": 7.0, "speed": 1})
    assert (made.pages, made.speed) == (7, 1.0)
    assert type(made.pages) is int and type(made.speed) is float


def test_what_is_not_given_keeps_its_default():
    assert recipe.parse(Toy, {}) == Toy()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "three",
        "2.5",
        2.5,
        None,
        [],
        {},
        True,
        False,
        "nan",
        float("nan"),
        "inf",
        -float("inf"),
        10**400,
    ],
)
def test_what_is_no_whole_number_is_refused(value):
    assert refused({"pages": value}).endswith("it must be a whole number.")


@pytest.mark.parametrize("value", ["", "fast", None, True, float("nan"), "inf", [1.0]])
def test_what_is_no_number_is_refused(value):
    assert refused({"speed": value}).endswith("it must be a number.")


@pytest.mark.parametrize("pages", [0, -1, 1_000_001])
def test_a_number_outside_its_range_is_refused_with_the_range_as_a_person_writes_it(pages):
    assert refused({"pages": pages}) == f"pages is {pages:,}: it must be from 1 to 1,000,000."


@pytest.mark.parametrize("value", [1, 1_000_000])
def test_both_ends_of_a_range_belong_to_it(value):
    assert recipe.parse(Toy, {"pages": value}).pages == value


@pytest.mark.parametrize(
    "name, why",
    [
        ("x" * 201, "name has 201 characters"),
        ("half \ud800", "name holds a character"),
        ("end\x00", "name holds a character"),
        ("two\nlines", "name holds a character"),
        (["a", "list"], "name must be a text"),
        ({}, "name must be a text"),
    ],
)
def test_a_text_that_no_page_can_show_is_refused_by_the_name_of_its_field(name, why):
    assert refused({"name": name}, Config, local=False).startswith(why)


def test_a_text_of_any_script_is_taken_whole():
    name = "Crème brûlée 🍮 焦糖布丁"
    assert recipe.parse(Config, {"name": name}).name == name
    assert recipe.parse(Config, {"name": "x" * 200}).name == "x" * 200


@pytest.mark.parametrize("values", [{"pages": "9" * 5000}, {"x" * 5000: 1}, {"pages": 10**300}])
def test_a_refusal_quotes_no_more_than_a_line(values):
    assert len(refused(values)) < 300


def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are():
    assert refused({"colour": "green"}) == "colour is 'green': it must be one of red, blue."


def test_an_unknown_setting_is_refused_with_the_known_ones():
    assert (
        refused({"page": 3})
        == "There is no setting named 'page'. The settings are: pages, speed, colour, shelf, shade."
    )


def test_the_page_may_not_name_a_path_but_the_command_line_may():
    assert "only the command line" in refused({"shelf": "/etc"}, local=False)
    assert recipe.parse(Toy, {"shelf": "/etc"}).shelf == "/etc"
    assert recipe.parse(Toy, {"shelf": ""}, local=False).shelf == ""


def test_settings_are_also_checked_together():
    assert refused({"pages": 13, "colour": "blue"}) == "13 blue pages bring bad luck."


@pytest.mark.parametrize(
    "values",
    [
        {"source": "folder"},
        {"folder": "x"},
        {"start": "scratch", "method": "frozen"},
        {"epochs": 0},
        {"dropout": 1},
    ],
)
def test_digits_settings_that_cannot_go_together_are_refused(values):
    refused(values, Config)


def test_the_page_may_not_train_on_a_folder_of_this_machine():
    assert "only the command line" in refused(
        {"source": "folder", "folder": "/etc"}, Config, local=False
    )


# -- which settings count --------------------------------------------------------------------------
def test_a_setting_counts_where_its_condition_holds_and_others_always_do():
    every = {"pages", "speed", "colour", "shelf", "shade"}
    assert recipe.find_used(Toy()) == every
    assert recipe.find_used(Toy(colour="blue")) == every - {"shade"}


@pytest.mark.parametrize(
    "values, reason",
    [(dict(colour="blue"), "with colour blue"), (dict(pages=100, colour="blue"), "with pages 100")],
)
def test_what_was_given_and_does_not_count_is_told_with_the_setting_that_decides(values, reason):
    given = [*values, "shade"]
    assert recipe.explain_unused(Toy(**values), given) == [f"--shade does nothing {reason}"]
    assert recipe.explain_unused(Toy(**values), values) == [], "nobody asked for it"
    assert recipe.explain_unused(Toy(), given) == []


def test_a_draft_takes_what_can_be_used_and_never_refuses():
    typed = {"pages": "1e", "speed": "1.5", "colour": "blu", "shelf": "/etc", "wheels": 3}
    assert recipe.parse_draft(Toy, typed) == Toy(speed=1.5, shelf="/etc")
    assert recipe.parse_draft(Toy, {"pages": 13, "colour": "blue"}) == Toy(13, colour="blue")


def test_every_field_is_a_flag_with_its_help_and_its_value_stays_a_string():
    parser = argparse.ArgumentParser(prog="toy")
    recipe.add_flags(parser, Toy)
    assert vars(parser.parse_args(["--pages", "x", "--shelf", "/etc"])) == {
        "pages": "x",
        "shelf": "/etc",
    }
    assert vars(parser.parse_args([])) == {}
    text = " ".join(parser.format_help().split())
    assert "How many pages, 100% of them. (1 to 1,000,000) [3]" in text
    assert "Which colour. (red | blue) [red]" in text


def test_every_default_of_the_digits_recipe_passes_its_own_check():
    values = {f.name: f.default for f in fields(Config)}
    assert recipe.parse(Config, values, local=False) == Config()


def test_a_config_survives_json():
    made = Toy(7, 0.25, "blue")
    assert recipe.parse(Toy, json.loads(json.dumps(asdict(made)))) == made


def test_recipes_are_named_and_loaded_without_torch():
    code = (
        "import sys; from training import recipe; names = recipe.names(); [recipe.load(n) for n in "
        "names]; print(*names, 'torch' in sys.modules or 'transformers' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=recipe.RECIPES.parents[1],
    )
    *names, heavy = out.stdout.split()
    assert "digits" in names and heavy == "False", out.stderr


def test_a_recipe_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(
        SettingsError, match="There is no recipe named 'os'. The recipes are: .*digits"
    ):
        recipe.load("os")


def test_a_slot_leads_to_its_recipe():
    assert recipe.of_slot("fashion").name == recipe.of_slot("digits").name == "digits"
    with pytest.raises(SettingsError, match="no slot named 'nowhere'"):
        recipe.of_slot("nowhere")
