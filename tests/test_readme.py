"""The README is tested: its commands, its tree, its tabs, its figures, its pictures."""

import dataclasses
import re
import shlex
from pathlib import Path

from serving import fresh_app

import app
from training import __main__ as command
from training import recipe, take_away
from training.runs import checkpoint
from training.runs.run import Run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return [
        text
        for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
        if name == language
    ]


def test_the_two_commands_come_first_and_are_those_that_ci_runs():
    first, second = blocks("bash")[:2]
    assert first.strip() == "pip install -r requirements.txt && python app.py"
    assert second.strip() == "pip install -r tests/requirements.txt && python -m pytest"
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    for part in (first + "&&" + second).split("&&"):
        assert part.strip().removeprefix("pip install ") in ci


def test_every_training_command_is_understood_by_the_parser():
    found = [
        line
        for block in blocks("bash")
        for line in block.splitlines()
        if re.search("-m (-- )?training", line)
    ]
    assert len(found) >= 2
    for line in found:
        words = shlex.split(line)
        given = command.parser().parse_args(words[words.index("training") + 1 :])
        others = (command.EVALUATE, command.DATASETS, take_away.EXPORT, take_away.PUSH)
        assert given.recipe in (*app.DEMOS, *others)


def test_the_table_of_options_is_that_of_the_app(capsys):
    table = README.split("## Options")[1].split("\n## ")[0]
    told = set(re.findall(r"^\| `(--[a-z]+)", table, re.M))
    try:
        app.options(["--help"])
    except SystemExit as end:
        assert end.code == 0
    known = set(re.findall(r"^  (--[a-z]+)", capsys.readouterr().out, re.M))
    assert told == known
    for variable in re.findall(r"^\| `--[^|]*\| `([A-Z_]+)`", table, re.M):
        assert variable in (ROOT / "app.py").read_text("utf-8")


def test_the_tables_of_the_command_name_settings_and_their_choices():
    told = README.split("## The command")[1].split("\n## ")[0]
    fields = [f for name in app.DEMOS for f in dataclasses.fields(recipe.load(name).config)]
    named = {flag.replace("-", "_") for flag in re.findall(r"^\| `--([a-z-]+)", told, re.M)}
    assert {"method", "source", "start"} < named <= {f.name for f in fields}
    for column in ("source", "method"):
        rows = told.split(f"| `--{column}` |")[1].split("\n\n")[0]
        choices = {each for f in fields if f.name == column for each in f.metadata["choices"]}
        assert {row.split()[0] for row in re.findall(r"^\| `([^`]+)`", rows, re.M)} <= choices


def test_the_tree_is_the_top_level():
    tree = next(block for block in blocks("") if "app.py" in block)
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()}
    assert named == {"app.py", "demos", "training", "tests", "requirements.txt", "README.md"}
    assert all((ROOT / name).exists() for name in named)


def test_every_tab_is_described():
    import importlib

    for name in app.DEMOS:
        assert f"**{importlib.import_module(f'demos.{name}').TITLE}.**" in README


def test_a_model_is_the_files_that_adding_one_names():
    import importlib

    told = README.split("## Adding a model")[1]
    for name in app.DEMOS:
        demo = importlib.import_module(f"demos.{name}")
        made = recipe.load(name)
        named = {
            "TITLE": demo.TITLE,
            "RECIPE": demo.RECIPE,
            "SLOTS": demo.SLOTS,
            "build(lab)": demo.build,
        }
        assert all(f"`{each}`" in told for each in named) and demo.RECIPE == made.name == name
        assert (
            set(demo.SLOTS) == set(made.slots) and callable(made.train) and callable(made.evaluate)
        )
        assert all(
            (checkpoint.embedded(slot).path / "config.json").is_file() for slot in demo.SLOTS
        )
    for part in re.findall(r"`run\.(\w+)", told):
        assert hasattr(Run, part), part


def test_the_example_of_a_model_is_the_one_that_is_tested():
    told = README.split("## Adding a model")[1]
    further = ROOT / "tests" / "further"
    tree, *examples = re.findall(r"^```\w*\n(.*?)^```$", told, re.S | re.M)
    files = [path for path in further.rglob("*.py") if path.stat().st_size]  # packages are empty
    named = [line.split()[0] for line in tree.splitlines()]
    assert sorted(named) == sorted(path.relative_to(further).as_posix() for path in files)
    assert len(examples) == 3
    for example in examples:
        where, code = example.removeprefix("# ").split("\n", 1)
        source = (further / where).read_text("utf-8")
        for part in re.split(r"^ *\.\.\.\n", code, flags=re.M):
            assert part and part in source, where


def test_pictures_and_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_scores_are_those_of_the_model_cards():
    rows = re.findall(r"^\| (\w+) \|[^|]*\| ([\d.]+%?)[^|]*\| ([\d.]+) MB", README, re.M)
    assert {slot for slot, _, _ in rows} == {"digits", "fashion", "food", "audio", "captions"}
    for slot, score, size in rows:
        folder = checkpoint.embedded(slot).path
        # The first row of the card's table: what it was trained for, before and after.
        card = (folder / "README.md").read_text("utf-8")
        after = re.search(r"\|[^|]*\((?:hub|espeak|sample)\) \|[^|]*\| ([\d.]+%?)", card)
        assert after and after[1] == score, slot
        assert round((folder / "model.safetensors").stat().st_size / 1e6, 1) == float(size), slot
        assert float(size) <= {"food": 12, "audio": 12, "captions": 25}.get(slot, 2)


def test_the_front_matter_is_what_a_space_needs():
    front = dict(line.split(": ", 1) for line in README.split("---")[1].strip().splitlines())
    assert front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    lowest = re.search(r"gradio>=([\d.]+)", (ROOT / "requirements.txt").read_text("utf-8"))[1]
    assert [int(part) for part in front["sdk_version"].split(".")] >= [
        int(part) for part in lowest.split(".")
    ]
    assert front["python_version"].strip('"') in ("3.11", "3.12", "3.13")


def test_endpoints_in_the_readme_exist_and_the_other_way_round(runs):
    told = set(re.findall(r"`/([a-z_]+)`", README))
    with fresh_app(runs) as page:
        assert told == {
            f.api_name for f in page.fns.values() if f.api_name and f.api_visibility == "public"
        }
