"""Wrong? Teach it: the very photo, drawing or recording that was answered becomes an example of
one's own data."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import gradio as gr
from gradio.components import Component

from demos import page
from demos.decide import quiet
from demos.own_data import OwnData
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, Predictor
from training.data.own import data_set, use
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError
from training.wording import counted

# Of what the page holds, the file that was asked about, if any.
Read: TypeAlias = Callable[..., str | None]
NEW = {"pictures": "my pictures", "sounds": "my sounds", "captions": "my captions"}


def build(
    lab: Lab,
    slots: Sequence[ModelSlot[Predictor]],
    asked: Sequence[Component],
    kind: str,
    read: Read = lambda path: path,
    new: str = "",
) -> None:
    """Below a tab's answers, where training is on. `kind`: of data sets that it goes into; `read`:
    the file of `asked`; `new`: what a new data set is called, if not by its kind."""
    if not lab.training:
        return
    own = OwnData(lab)
    says = kind == "captions"
    slot = slots[0]
    new = new or NEW[kind]
    with gr.Accordion("Wrong? Teach it", open=False, elem_id=f"teach-{slot.name}"):
        with gr.Row():
            if says:
                right: gr.Textbox | gr.Dropdown = gr.Textbox(
                    label="What it shows, in a sentence",
                    max_lines=1,
                    elem_id=f"teach-right-{slot.name}",
                )
            else:
                right = gr.Dropdown(
                    [],
                    value=None,
                    label="It is",
                    info="One of its classes, or a new name.",
                    allow_custom_value=True,
                    elem_id=f"teach-right-{slot.name}",
                    min_width=200,
                )
            into = gr.Dropdown(
                [],
                value=new,
                label="Put it into",
                info="One of your data sets, or a new name.",
                allow_custom_value=True,
                elem_id=f"teach-into-{slot.name}",
                min_width=200,
            )
            keep = gr.Button("Add to my data", elem_id=f"teach-add-{slot.name}", min_width=120)
        told = gr.HTML(elem_id=f"teach-told-{slot.name}")

    def offer() -> dict[str, object]:
        return gr.update(choices=[name for each in slots for name in list_classes(each)])

    def offer_data() -> dict[str, object]:
        names = [each.name for each in data_set.list_all(lab.runs) if each.kind == kind]
        return gr.update(choices=[*names, *[new] * (new not in names)])

    if not says:
        right.focus(offer, None, right, **quiet)
    into.focus(offer_data, None, into, **quiet)
    teach = make_teach(own, kind, new)

    def keep_asked(right: str | None, name: str | None, *asked: object) -> str:
        return teach(read(*asked), right, name)

    keep.click(keep_asked, [right, into, *asked], told, **quiet)


def list_classes(slot: ModelSlot[Predictor]) -> list[str]:
    """Those of the model in use, as a data set calls them."""
    try:
        return checkpoint.labels(checkpoint.find(slot.runs, slot.active_id, slot.name).path)
    except (CheckpointError, OSError, ValueError):
        return []


def make_teach(
    own: OwnData, kind: str, new: str = ""
) -> Callable[[str | None, str | None, str | None], str]:
    """(path, what is right, data set's name) -> what became of it, as HTML."""
    new = new or NEW[kind]

    def teach(path: str | None, right: str | None, name: str | None) -> str:
        thing = {"pictures": "photo", "sounds": "recording", "captions": "photo"}[kind]
        if not path:
            return page.notice(f"Add a {thing} first.", "bad")
        if not (right or "").strip():
            return page.notice("Say what it is first.", "bad")
        said = str(right).strip()
        try:
            added = own.add_files(
                [path],
                str(name or new),
                "" if kind == "captions" else said,
                captions=[said] if kind == "captions" else (),
            )
        except SettingsError as error:
            return page.show_refusal(error)
        if not added.count:
            return page.notice(f"This {thing} is in {html.escape(added.data_set.name)} already.")
        holds = len(added.data_set.list_items())
        classes = len(added.data_set.classes)
        of = f" of {counted(classes, 'class', 'classes')}" if classes else ""
        return page.notice(
            f"{html.escape(Path(path).name)} is in <b>{html.escape(added.data_set.name)}</b> now"
            + (f" as <b>{html.escape(said)}</b>" if kind != "captions" else "")
            + f", which holds {counted(holds, thing)}{of}. {_tell_next(added.data_set)}",
            "good",
        )

    return teach


def _tell_next(found: data_set.DataSet) -> str:
    """What to do to learn from it."""
    if change := use.find_change(found):
        return f"Train, Your own data, offers to train again with {change}."
    return "To learn from it, open Train, Your own data. (A class needs five examples.)"
