"""What the design promises of the files themselves: arrows, sizes, names, and that a fifth model
fits in."""

import ast
import dataclasses
import importlib
import re
import subprocess
from pathlib import Path

import pytest

import app
from training import recipe
from training.runs.job import ROOT

TOP = {
    "app.py",
    "demos",
    "training",
    "tests",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "pyproject.toml",
}
# A file is read in one sitting, a function in one look; no cap on lines is a reason to press them.
LINES = 600
FUNCTION = 80
TABS = {f"demos.{name}" for name in app.DEMOS}
# What stands higher may import what stands lower, and never the other way round.
STOREYS = [
    ("training.recipe", "training.device", "training.wording"),
    ("training.settings", "training.samples"),
    ("training.runs",),
    ("training.media",),
    ("training.data",),
    ("training.judge",),
    ("training.learn",),
    ("training.publish",),
    ("training.recipes",),
    ("training.estimate", "training.evaluate", "training.own_data", "training.take_away"),
    ("training.__main__",),
    ("demos.serving",),
    ("demos",),
    ("app",),
]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str) -> set[str]:
    """Every module that a source names in an import, wherever; `from a import b` gives a and
    a.b."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {"." * node.level + (node.module or "")} if node.level else {node.module}
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """What git keeps, and what it would keep."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this copy is no git repository: {error}")
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sources(files) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in files if path.suffix == ".py"}


def inside(path: Path, folder: str) -> bool:
    return path.is_relative_to(ROOT / folder)


# -- arrows ----------------------------------------------------------------------------------------
def test_every_form_of_an_import_is_seen():
    source = "import a.b\nfrom c import d\ndef f():\n    from e.f import g as h\nfrom . import i\n"
    assert imported(source) >= {"a.b", "c", "c.d", "e.f", "e.f.g", "."}


def test_training_knows_neither_gradio_nor_what_serves(sources):
    for path, source in sources.items():
        if inside(path, "training"):
            roots = {name.split(".")[0] for name in imported(source)}
            assert not roots & {"gradio", "gradio_client", "demos", "app", "tests"}, path.name


def storey(name: str) -> int:
    """How high a module stands: by the longest of the names above that it begins with."""
    found = [
        (len(part), number)
        for number, parts in enumerate(STOREYS)
        for part in parts
        if name == part or name.startswith(part + ".")
    ]
    return max(found)[1]


@pytest.fixture(scope="module")
def arrows(sources) -> dict[str, set[str]]:
    """For each module of what is run, the others of it that it imports, wherever it does so."""
    ours = {
        module(path): source
        for path, source in sources.items()
        if inside(path, "demos") or inside(path, "training") or path.name == "app.py"
    }
    ours = {name: source for name, source in ours.items() if source}  # packages are empty
    return {
        name: {other for other in imported(source) if other in ours and other != name}
        for name, source in ours.items()
    }


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules each of which leads to every other one."""
    reached = {}
    for name in arrows:
        reached[name] = set()
        waiting = [*arrows[name]]
        while waiting:
            if (other := waiting.pop()) not in reached[name]:
                reached[name].add(other)
                waiting += arrows[other]
    return [
        {other for other in reached[name] if name in reached[other]}
        for name in arrows
        if name in reached[name]
    ]


def test_circles_and_arrows_that_run_up_are_found_where_there_are_some():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}, {"b", "c"}]
    assert storey("training.recipes.food.train") > storey("training.learn.loop")
    assert storey("training.recipe") < storey("training.runs.run") < storey("training.recipes.x")
    assert storey("demos.serving.lab") < storey("demos.food") < storey("app")


def test_no_arrow_runs_back_up(arrows):
    assert not [
        f"{name} -> {other}"
        for name, used in arrows.items()
        for other in used
        if storey(other) > storey(name)
    ]


def test_there_are_no_circles(arrows):
    assert not circles(arrows)


def test_recipes_and_tabs_do_not_know_one_another(arrows):
    for name, used in arrows.items():
        if name.startswith("training.recipes."):
            own = ".".join(name.split(".")[:3]) + "."
            others = {other for other in used if other.startswith("training.recipes.")}
            assert all(other.startswith(own) for other in others), name
        if name in TABS:
            assert not used & TABS, name


def test_a_config_is_the_ground_of_its_recipe_and_nothing_imports_the_roof(arrows):
    ground = {"training.recipe", "training.settings", "training.device"}
    for name, used in arrows.items():
        assert not [
            other for other in used if re.fullmatch(r"training\.recipes\.\w+\.recipe", other)
        ]
        if re.fullmatch(r"training\.recipes\.\w+\.config", name):
            assert used <= ground, name


def test_imports_name_their_module_and_never_count_dots(sources):
    assert not [
        path.name
        for path, source in sources.items()
        if any(name.startswith(".") for name in imported(source))
    ]


def test_a_recipe_is_described_without_loading_what_trains_it(sources):
    for name in recipe.names():
        tree = ast.parse(sources[recipe.RECIPES / name / "recipe.py"])
        top = ast.Module(
            [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []
        )
        roots = {used.split(".")[0] for used in imported(ast.unparse(top))}
        assert not roots & {
            "torch",
            "transformers",
            "accelerate",
            "datasets",
            "numpy",
            "sklearn",
        }, name


# -- files -----------------------------------------------------------------------------------------
def test_the_top_level_holds_the_agreed_names_only(files):
    names = {path.relative_to(ROOT).parts[0] for path in files}
    assert {name for name in names if not name.startswith(".")} <= TOP


def test_package_files_are_empty(files):
    packages = [path for path in files if path.name == "__init__.py"]
    assert len(packages) >= 2 and not [path for path in packages if path.read_bytes()]


def test_no_file_names_a_place_on_somebodys_machine(files):
    place = re.compile(r"(?<![\w.])/(?:home|root|work|Users|workspace)/\w|[A-Z]:\\\\?Users", re.I)
    assert place.search('"/' + 'home/me"') and not place.search("https://example.org/home/me")
    for path in files:
        if path.suffix in (
            ".py",
            ".md",
            ".toml",
            ".txt",
            ".css",
            ".json",
            ".yml",
            ".yaml",
            ".cfg",
            ".sh",
            "",
        ):
            found = place.search(path.read_text("utf-8"))
            assert not found, f"{path.relative_to(ROOT)}: {found.group()}"


def test_a_file_is_read_in_one_sitting_and_a_function_in_one_look(sources):
    long = []
    for path, source in sources.items():
        if inside(path, "tests"):
            continue
        if (count := len(source.splitlines())) > LINES:
            long.append(f"{path.relative_to(ROOT)}: {count} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if (count := node.end_lineno - node.lineno + 1) > FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {count} lines")
    assert not long


def test_every_module_says_what_it_is(sources):
    assert not [
        str(path)
        for path, source in sources.items()
        if source and not ast.get_docstring(ast.parse(source))
    ]


# -- recipes and tabs ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", recipe.names())
def test_every_setting_of_a_recipe_has_what_the_flags_and_the_form_need(name):
    for f in dataclasses.fields(recipe.load(name).config):
        meta = f.metadata
        assert meta["help"].endswith(".") or meta["help"].endswith(")."), f.name
        assert f.type in (str, int, float) and isinstance(f.default, f.type), f.name
        assert f.type is str or (
            meta["low"] is not None and meta["low"] <= f.default <= meta["high"]
        ), f.name
        assert not meta["choices"] or f.default in meta["choices"], f.name


@pytest.mark.parametrize("name", recipe.names())
def test_the_texts_of_a_setting_are_short_sentences_with_labels_in_sentence_case(name):
    for f in dataclasses.fields(recipe.load(name).config):
        words = f.metadata["label"].split()
        assert len(f.metadata["help"]) <= 260, f.name
        # Names and abbreviations keep their capitals: LoRA, SpecAugment, CTC.
        assert not [word for word in words[1:] if word.istitle()], f.name


@pytest.mark.parametrize("name", app.DEMOS)
def test_every_tab_in_the_list_has_what_the_app_asks_of_it(name):
    demo = importlib.import_module(f"demos.{name}")
    assert demo.TITLE and demo.RECIPE in recipe.names() and callable(demo.build)
    assert demo.SLOTS and all(callable(load) for load in demo.SLOTS.values())
    assert set(demo.SLOTS) == set(recipe.load(demo.RECIPE).slots), (
        "a run would land in a slot that no tab has"
    )


def test_every_slot_has_an_embedded_checkpoint_of_safetensors():
    for name in app.DEMOS:
        for slot in importlib.import_module(f"demos.{name}").SLOTS:
            held = {path.name for path in (ROOT / "demos" / "checkpoints" / slot).iterdir()}
            assert {"config.json", "model.safetensors"} <= held
            assert not [
                file for file in held if file.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))
            ]
