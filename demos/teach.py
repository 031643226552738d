"""Wrong? Teach it: the very photo or recording that was answered becomes an example of one's own
data."""

import html
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demos import page
from demos.own_data import OwnData
from demos.serving.lab import Lab
from demos.serving.model_slot import ModelSlot, Predictor
from training.data.own import data_set
from training.recipe import SettingsError
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError
from training.wording import counted

quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}
NEW = {"pictures": "my pictures", "sounds": "my sounds", "captions": "my captions"}


def build(lab: Lab, slot: ModelSlot[Predictor], asked: gr.Image | gr.Audio, kind: str) -> None:
    """Below a tab's answers, where training is on. `kind`: of data sets that it goes into."""
    if not lab.training:
        return
    own = OwnData(lab)
    says = kind == "captions"
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
                value=NEW[kind],
                label="Put it into",
                info="One of your data sets, or a new name.",
                allow_custom_value=True,
                elem_id=f"teach-into-{slot.name}",
                min_width=200,
            )
            keep = gr.Button("Add to my data", elem_id=f"teach-add-{slot.name}", min_width=120)
        told = gr.HTML(elem_id=f"teach-told-{slot.name}")

    def offer() -> dict[str, object]:
        return gr.update(choices=list_classes(slot))

    def offer_data() -> dict[str, object]:
        names = [each.name for each in data_set.list_all(lab.runs) if each.kind == kind]
        return gr.update(choices=[*names, *[NEW[kind]] * (NEW[kind] not in names)])

    if not says:
        right.focus(offer, None, right, **quiet)
    into.focus(offer_data, None, into, **quiet)
    keep.click(make_teach(own, kind), [asked, right, into], told, **quiet)


def list_classes(slot: ModelSlot[Predictor]) -> list[str]:
    """Those of the model in use, as a data set calls them."""
    try:
        return checkpoint.labels(checkpoint.find(slot.runs, slot.active_id, slot.name).path)
    except (CheckpointError, OSError, ValueError):
        return []


def make_teach(own: OwnData, kind: str) -> Callable[[str | None, str | None, str | None], str]:
    """(path, what is right, data set's name) -> what became of it, as HTML."""

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
                str(name or NEW[kind]),
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
            + f", which holds {counted(holds, thing)}{of}. To learn from it, open Train, Your own "
            "data. (A class needs five examples.)",
            "good",
        )

    return teach
