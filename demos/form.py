"""The form of a recipe's settings: made from its config's fields."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from demos import page
from training import recipe
from training.data.own import data_set
from training.recipe import Recipe
from training.runs import checkpoint
from training.wording import quote

ADVANCED = "Advanced"
BUILT_IN = "Built-in"  # the checkpoint that comes with the app: `embedded`, to the command

# The rare settings as they are shown, by what they are about.
GROUPS = {
    "This run": "name swap limit holdout folds early_stopping best seed",
    "Columns and splits": "subset column label_column caption_column train_split test_split",
    "Optimisation": "learning_rate batch_size optimizer schedule warmup weight_decay layer_decay "
    "label_smoothing class_weights dropout accumulate",
    "Network": "arch template image_size train_size progressive shape mirror seconds words keep "
    "lora_rank encoder teacher teacher_share",
    "Examples": "augmentation crop mixup cutmix spec_augment spelling naming each scenes clips",
    "Hardware": "bf16 compile store",
}


class _Number(gr.Number):
    is_template = True  # drawn by the browser as gr.Number

    def preprocess(self, payload: float | None) -> float | None:
        """As it was typed: what is wrong with it, `parse` says in a sentence that names the
        setting. Gradio would round 2.5 epochs, and refuse a half-typed number in mid-form."""
        return payload


def _make_field(f: dataclasses.Field, local: set[str], recipe_name: str) -> Component:
    meta = f.metadata
    default: Any = f.default  # every setting has one
    common: dict[str, Any] = dict(
        label=recipe.title_setting(f),
        info=meta["help"],
        interactive=True,
        elem_id=f"set-{recipe_name}-{f.name}",
        min_width=180,
    )
    if meta["offers"] is not None:  # checkpoints come and go: the page's clock fills these in
        many = meta["many"]
        words = {value: words for words, value in meta["offers"]}
        return gr.Dropdown(
            [] if many else [(words.get(default, BUILT_IN), default)],
            value=[] if many else default,
            multiselect=many,
            allow_custom_value=True,
            **common,
        )
    if meta["choices"]:
        offered = [
            c for c in meta["choices"] if c not in local
        ]  # a choice of a path is the command line's
        return gr.Dropdown(offered, value=default, **common)
    if f.type in (int, float):
        return _Number(
            default,
            precision=0 if f.type is int else None,
            minimum=meta["low"],
            maximum=meta["high"],
            step=1 if f.type is int else 0.0001,
            **common,
        )
    return gr.Textbox(default, max_lines=1, **common)


def make_form(made: Recipe) -> tuple[dict[str, Component], gr.Accordion]:
    """Its components by their settings, and what holds the rare ones."""
    fields = [f for f in dataclasses.fields(made.config) if not f.metadata["local"]]
    local = {f.name for f in dataclasses.fields(made.config) if f.metadata["local"]}
    inputs: dict[str, Component] = {}
    with gr.Row():  # two a row where there is room for two
        for f in (f for f in fields if not f.metadata["rare"]):
            inputs[f.name] = _make_field(f, local, made.name)
    rare = {f.name: f for f in fields if f.metadata["rare"]}
    with gr.Accordion(ADVANCED, open=False, elem_id=f"more-{made.name}") as advanced:
        for title, names in group(rare).items():
            gr.HTML(f"<h4>{title}</h4>")
            with gr.Row():
                for name in names:
                    inputs[name] = _make_field(rare[name], local, made.name)
        reset = gr.Button("Back to the usual settings", size="sm", elem_id=f"reset-{made.name}")
    usual: list[Any] = [component.value for component in inputs.values()]
    reset.click(
        lambda: usual,
        None,
        list(inputs.values()),
        api_visibility="private",
        show_progress="hidden",
        queue=False,
    )
    used = recipe.find_used(made.config())
    for name in list_hideable(made):
        inputs[name].visible = name in used
    return inputs, advanced


def tell_changed(made: Recipe, settings: Mapping[str, object]) -> dict[str, object]:
    """The name of what holds the rare settings: which of them are not as usual, and count."""
    draft = recipe.parse_draft(made.config, settings)
    used = recipe.find_used(draft)
    changed = [
        recipe.title_setting(f)
        for f in dataclasses.fields(made.config)
        if f.metadata["rare"] and f.name in used and getattr(draft, f.name) != f.default
    ]
    named = f"{ADVANCED}: changed {', '.join(changed).lower()}" if changed else ADVANCED
    return gr.update(label=named)


def group(rare: Iterable[str]) -> dict[str, list[str]]:
    """Rare settings by what they are about; those of a group that has none here are left out."""
    left = list(rare)
    found = {}
    for title, names in GROUPS.items():
        if own := [name for name in names.split() if name in left]:
            found[title] = own
            left = [name for name in left if name not in own]
    return found | ({"Others": left} if left else {})


def list_hideable(made: Recipe) -> list[str]:
    """The settings that only count beside certain others, in the form's order."""
    return [
        f.name
        for f in dataclasses.fields(made.config)
        if f.metadata["when"] and not f.metadata["local"]
    ]


def read_form(names: Iterable[str], values: Iterable[object]) -> dict[str, object]:
    """Settings as the command would be given them: of several checkpoints, one text."""
    return {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in zip(names, values, strict=True)
    }


def show_used(made: Recipe, settings: Mapping[str, object]) -> list[object]:
    """Shows of the hideable settings those that count beside the others as they are filled in."""
    used = recipe.find_used(recipe.parse_draft(made.config, settings))
    return [gr.update(visible=name in used) for name in list_hideable(made)]


def list_naming(made: Recipe) -> list[dataclasses.Field]:
    """The settings that name checkpoints or data sets."""
    return [f for f in dataclasses.fields(made.config) if f.metadata["offers"] is not None]


def propose(made: Recipe, runs: Path) -> list[object]:
    """For each setting that names checkpoints, every one that a run of this recipe can start from
    or be taught by; for those that name data sets, the person's own."""
    named = {"checkpoint": _list_starts(made, runs), "data": _list_data(made, runs)}
    return [
        gr.update(choices=[*named[f.metadata["names"]], *f.metadata["offers"]])
        for f in list_naming(made)
    ]


def _list_data(made: Recipe, runs: Path) -> list[tuple[str, str]]:
    """Own data sets of the kind that it learns from."""
    kind = getattr(made.config, "own_kind", "")
    return [
        (f"{each.name} (yours)", each.name)
        for each in data_set.list_all(runs)
        if each.kind == kind and not each.damage
    ]


def _list_starts(made: Recipe, runs: Path) -> list[tuple[str, str]]:
    found = []
    for slot in made.slots:
        several = f" ({slot})" if len(made.slots) > 1 else ""
        for one in checkpoint.list_checkpoints(runs, slot, page.OFFERED):
            embedded = one.id == f"embedded-{slot}"
            own = embedded and slot in made.slots[:1]  # what `embedded` alone means
            found.append(
                (
                    f"{BUILT_IN}{several}" if embedded else one.name,
                    "embedded" if own else one.id,
                )
            )
    return found


# -- the settings of a run that was ----------------------------------------------------------------
def fill_form(
    made: Recipe, inputs: Mapping[str, Component], config: Mapping[str, object]
) -> tuple[list[object], list[str]]:
    """Updates of a form's components that show a run's settings, and a sentence for each that it
    cannot show: that one is as usual. Its name is its own and is not filled in."""
    fields = {f.name: f for f in dataclasses.fields(made.config)}
    local = {name for name, f in fields.items() if f.metadata["local"]}
    read = recipe.parse_draft(made.config, config)
    values: dict[str, object] = {}
    told = []
    for name, given in config.items():
        if name == "name" or (name in fields and given == fields[name].default):
            continue
        if given in local:  # a choice of a path, of which the path's own setting tells
            continue
        why = _explain_unshown(fields.get(name), given, getattr(read, name, None))
        if why:
            told.append(why)
        elif name in inputs:
            values[name] = given
    used = recipe.find_used(recipe.parse_draft(made.config, values))
    hideable = list_hideable(made)
    updates = []
    for name, component in inputs.items():
        value = values.get(name, component.value)
        if name in values and fields[name].metadata["many"]:
            value = [part.strip() for part in str(value).split(",")]
        visible = name in used or name not in hideable
        updates.append(gr.update(value=value, visible=visible))
    return updates, told


def _explain_unshown(f: dataclasses.Field | None, given: object, read: object) -> str:
    """Why the form cannot show a setting; empty where it can."""
    if f is None:
        return ""  # of another version, in which it did something
    title = recipe.title_setting(f)
    parts = str(given).split(",")
    names_one = f.metadata["offers"] is not None
    if f.metadata["local"] or (names_one and any(map(recipe.is_path, parts))):
        return f"{title} was a path of this machine, which only the command line may name."
    word = f.metadata["word"]
    if word and given == word[1]:
        return f"{title} was “{word[0]}”: start with the button that finds it by a test."
    if given != read:
        return f"{title} was {quote(given)}, which this version does not take."
    return ""
