"""Your own data, on the Train tab: bring it, see what is wrong with it, correct it, train on it."""

import functools
import html
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from PIL import Image

from demos import clock, collect, own_view, page
from demos.actions import Actions
from demos.own_data import OwnData
from demos.own_view import Suspect
from demos.serving import uploads
from training.data.own import data_set
from training.data.own.corrections import correct_captions
from training.data.own.data_set import Cancelled, DataSet, Tell
from training.data.own.records import LONGEST
from training.own_data import describe_added
from training.recipe import SettingsError
from training.wording import in_words

# What learns from each kind, and how it does first.
TAUGHT = {
    "pictures": ("food", {"method": "frozen"}),
    "sounds": ("audio_intent", {"method": "frozen"}),
    "captions": ("captioning", {}),
}
LARGE = 480  # pixels of a side
MANY = 3000  # items, from which a check waits until it is asked for
EMPTY = (
    "There is no data of yours here yet. Bring a zip of pictures or sounds with a folder for each "
    "class, or several files of one class at a time; or photos with their captions."
)
PROGRESS = gr.Progress()  # Gradio gives each call its own for it
CHOOSE = "Choose one of your data sets above."
BUTTONS: dict[str, tuple[str, Literal["primary", "secondary", "stop"]]] = {
    "train": ("Train on this data", "primary"),
    "check": ("Look for problems", "secondary"),
    "download": ("Download as zip", "secondary"),
    "undo": ("Undo last correction", "secondary"),
    "remove": ("Delete", "stop"),
}
DECISIONS = {
    "label": ("Say so", "say"),
    "leave out": ("Leave out", "leave"),
    "right": ("It is right", "right"),
}
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}


class Waiting:
    """Who wants an upload no more, by the visit."""

    def __init__(self) -> None:
        self.events: dict[str, threading.Event] = {}

    def begin(self, visit: str, progress: gr.Progress) -> Tell:
        asked = self.events[visit] = threading.Event()

        def tell(doing: str, done: int, total: int) -> None:
            if asked.is_set():
                raise Cancelled
            progress((done, total or None), desc=doing, unit="files")

        return tell

    def cancel(self, request: gr.Request) -> None:
        if event := self.events.get(_name_visit(request)):
            event.set()

    def end(self, visit: str) -> None:
        self.events.pop(visit, None)


def _name_visit(request: gr.Request) -> str:
    return str(request.session_hash or "")


@dataclass(frozen=True)
class Form:
    """The components, by what they are for."""

    files: gr.File
    name: gr.Textbox
    label: gr.Textbox
    add: gr.Button
    cancel: gr.Button
    told: gr.HTML
    collected: gr.HTML
    chosen: gr.Dropdown
    card: gr.HTML
    buttons: dict[str, gr.Button]
    zipped: gr.File
    look: "Look"


@dataclass(frozen=True)
class Look:
    """What is to be looked at, and what can be said of it."""

    item: gr.Textbox  # hidden: that a person chose
    findings: gr.HTML
    problems: gr.Column
    gallery: gr.Gallery
    looked: gr.HTML
    is_now: gr.Dropdown
    decisions: dict[str, gr.Button]
    captions: gr.Textbox
    save: gr.Button

    @property
    def outputs(self) -> list[Component | BlockContext]:
        return [
            self.problems,
            self.findings,
            self.gallery,
            self.item,
            self.looked,
            self.is_now,
            self.captions,
            self.save,
            self.decisions["label"],
        ]


def build(
    actions: Actions, own: OwnData, chooser: gr.Dropdown, selected: gr.Textbox
) -> list[clock.Part]:
    """Lays it out, where training is on. `chooser`: of the recipe; `selected`: of the run that is
    looked at. Returns what changes by itself."""
    if not actions.lab.training:
        return []
    form = _lay_out(own)
    _wire(form, Handlers(actions, own), chooser, selected)
    return [
        clock.Part(
            lambda moment: repr(data_set.list_names(own.lab.runs)),
            lambda moment: [gr.update(choices=data_set.list_names(own.lab.runs))],
            [form.chosen],
        )
    ]


# -- layout ----------------------------------------------------------------------------------------
def _lay_out(own: OwnData) -> Form:
    with gr.Accordion("Your own data", open=False, elem_id="own-data"):
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                files = page.uploads("Zip, pictures or sounds", "own-files")
            with gr.Column(scale=3, min_width=300):
                with gr.Row():
                    name = gr.Textbox(
                        label="Name of the data set",
                        info="A new one, or one to add to.",
                        placeholder="pets",
                        max_lines=1,
                        elem_id="own-name",
                        min_width=160,
                    )
                    label = gr.Textbox(
                        label="Class of these files",
                        info="Only where they are no zip with folders of classes.",
                        placeholder="cat",
                        max_lines=1,
                        elem_id="own-label",
                        min_width=160,
                    )
                with gr.Row():
                    add = gr.Button("Add", variant="primary", elem_id="own-add", min_width=90)
                    cancel = gr.Button("Cancel", elem_id="own-cancel", min_width=90)
                told = gr.HTML(elem_id="own-told")
        with gr.Accordion("Collect by class", open=False, elem_id="own-collect"):
            collected = collect.build(own)
        chosen = page.Chooser(
            data_set.list_names(own.lab.runs),
            value=None,
            label="Data set",
            interactive=True,
            elem_id="own-chosen",
        )
        card = gr.HTML(page.notice(EMPTY), elem_id="own-card")
        with gr.Row():
            buttons = {
                name: gr.Button(text, variant=look, elem_id=f"own-{name}", min_width=120)
                for name, (text, look) in BUTTONS.items()
            }
        zipped = gr.File(visible=False, label="Your data set", elem_id="own-zip")
        look = _lay_out_look()
    return Form(
        files, name, label, add, cancel, told, collected, chosen, card, buttons, zipped, look
    )


def _lay_out_look() -> Look:
    item = clock.make_hidden()
    findings = gr.HTML(visible=False, elem_id="own-findings")
    with gr.Column(visible=False, elem_id="own-problems") as problems:
        gallery = gr.Gallery(
            label="To look at, the likeliest first",
            columns=6,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            elem_id="own-gallery",
        )
        looked = gr.HTML(elem_id="own-looked")
        with gr.Row():
            is_now = gr.Dropdown(
                label="It is",
                allow_custom_value=True,
                interactive=True,
                elem_id="own-is",
                min_width=160,
            )
            decisions = {
                decision: gr.Button(text, elem_id=f"own-{name}", min_width=90)
                for decision, (text, name) in DECISIONS.items()
            }
        captions = gr.Textbox(
            label="Captions, a line for each",
            lines=3,
            visible=False,
            interactive=True,
            elem_id="own-captions",
        )
        save = gr.Button("Save captions", visible=False, elem_id="own-save")
    return Look(item, findings, problems, gallery, looked, is_now, decisions, captions, save)


def _wire(form: Form, does: "Handlers", chooser: gr.Dropdown, selected: gr.Textbox) -> None:
    look = form.look
    chosen = form.chosen
    shown: list[Component | BlockContext] = [form.card, *look.outputs]
    visible: page.Listening = {"api_visibility": "private"}
    form.files.upload(
        lambda paths, given: given or _propose_name(paths),
        [form.files, form.name],
        form.name,
        **quiet,
    )
    form.add.click(
        does.bring, [form.files, form.name, form.label], [form.told, chosen, form.files], **visible
    )
    form.cancel.click(does.waiting.cancel, None, None, queue=False, api_visibility="private")
    # Without triggers: when a page is opened.
    collected = form.collected
    gr.on(None, lambda: _show_first(does.own), None, [chosen, collected, form.card], **quiet)
    chosen.change(does.show, chosen, shown, **visible)
    chosen.change(lambda name: name or "", chosen, collected, **quiet)
    collected.chose(does.choose, collected, chosen, **quiet)
    collected.changed(does.show_card, [collected, chosen], shown, **quiet)
    buttons = form.buttons
    buttons["train"].click(does.train, chosen, [chooser, selected], **quiet)
    buttons["check"].click(does.look_again, chosen, look.outputs, **visible)
    buttons["download"].click(does.pack, chosen, form.zipped, **visible)
    buttons["remove"].click(
        does.delete,
        chosen,
        [form.told, chosen],
        js="(name) => name && confirm('Delete the data set ' + name + '?') ? name : null",
        **quiet,
    )
    look.gallery.select(
        does.pick, chosen, [look.item, look.looked, look.is_now, look.captions], **quiet
    )
    changed = [
        button.click(
            functools.partial(does.decide, decision),
            [chosen, look.item, look.is_now],
            form.told,
            **quiet,
        )
        for decision, button in look.decisions.items()
    ]
    changed.append(buttons["undo"].click(does.undo_last, chosen, form.told, **quiet))
    changed.append(
        look.save.click(does.save_captions, [chosen, look.item, look.captions], form.told, **quiet)
    )
    for event in changed:
        event.success(does.show, chosen, shown, **quiet)


# -- what is done ----------------------------------------------------------------------------------
class Handlers:
    def __init__(self, actions: Actions, own: OwnData):
        self.actions = actions
        self.own = own
        self.waiting = Waiting()

    def bring(
        self,
        paths: list[str],
        given: str,
        of_class: str,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[object, ...]:
        visit = _name_visit(request)
        try:
            added = self.own.add_files(paths, given, of_class, self.waiting.begin(visit, progress))
        except Cancelled:
            return page.notice("Cancelled: nothing was kept."), gr.skip(), gr.skip()
        except SettingsError as error:
            return page.show_refusal(error), gr.skip(), gr.skip()
        finally:
            self.waiting.end(visit)
        lines = describe_added(added).splitlines()[:-1]  # the last one is the command's
        text = "<br>".join(html.escape(line) for line in lines)
        names = data_set.list_names(self.own.lab.runs)
        return (
            page.notice(text, "good"),
            gr.Dropdown(choices=names, value=added.data_set.name),
            None,
        )

    def show(self, given: str | None, progress: gr.Progress = PROGRESS) -> list[object]:
        """The card, and what is to be looked at where that is quickly seen."""
        found = _find(self.own, given)
        if found is None:
            text = CHOOSE if data_set.list_names(self.own.lab.runs) else EMPTY
            return [page.notice(text), *_hide()]
        few = len(found.list_items()) <= MANY
        return [own_view.draw_card(found), *(self._look(found, progress) if few else _hide())]

    def choose(self, name: str) -> dict[str, Any]:
        """A data set that was made or renamed just now."""
        return gr.update(choices=data_set.list_names(self.own.lab.runs), value=name)

    def show_card(self, name: str, given: str | None) -> list[object]:
        """Of what is being collected: what is wrong with it waits until it is asked for."""
        found = _find(self.own, given)
        if found is None or name != given:
            return [gr.skip() for _ in range(1 + len(_hide()))]
        return [own_view.draw_card(found), *_hide()]

    def _look(self, found: DataSet, progress: gr.Progress) -> list[object]:
        checked = self.own.check(
            found.name, lambda doing, done, total: progress((done, total or None), desc=doing)
        )
        seen = _list_shown(self.own, found, checked)
        pictures = [_draw(found, each) for each in seen]
        with_captions = found.kind == "captions"
        return [
            gr.Column(visible=bool(pictures)),
            gr.HTML(own_view.draw_findings(checked), visible=True),
            gr.Gallery(value=pictures, selected_index=None),
            "",
            "",
            gr.Dropdown(choices=found.classes, value=None, visible=not with_captions),
            gr.Textbox(value="", visible=with_captions),
            gr.Button(visible=with_captions),
            gr.Button(visible=not with_captions),
        ]

    def look_again(self, given: str | None, progress: gr.Progress = PROGRESS) -> list[object]:
        found = _find(self.own, given)
        return _hide() if found is None else self._look(found, progress)

    def pick(self, given: str, event: gr.SelectData) -> tuple[object, ...]:
        found = self.own.find(given)
        seen = _list_shown(self.own, found, self.own.check(given))
        if not isinstance(event.index, int) or event.index >= len(seen):
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        each = seen[event.index]
        items = found.find_items(each["id"])
        said = each["said"] or each["label"] or None
        return (
            each["id"],
            _show_large(items[0], found.kind, each),
            gr.Dropdown(value=said),
            "\n".join(items[0].captions),
        )

    def decide(self, decision: str, given: str, picked: str, now: str) -> str:
        if not picked:
            raise gr.Error("Choose one of those above first.")
        made = self.own.correct(given, picked, now, decision)
        return page.notice(html.escape(own_view.describe_correction(made)), "good")

    def undo_last(self, given: str | None) -> str:
        if not given:
            raise gr.Error("Choose a data set first.")
        made = self.own.correct(given, "", "", "undo")
        said = html.escape(own_view.describe_correction(made))
        return page.notice(f"Undone: {said}", "good")

    def save_captions(self, given: str, picked: str, text: str) -> str:
        if not picked:
            raise gr.Error("Choose one of the pictures above first.")
        made = correct_captions(self.own.find(given), picked, text.splitlines())
        return page.notice(html.escape(own_view.describe_correction(made)), "good")

    def train(self, given: str | None) -> tuple[object, object]:
        found = _find(self.own, given)
        if found is None:
            raise gr.Error("Add data first, or choose a data set.")
        recipe, settings = TAUGHT[found.kind]
        settings = {"source": "own", "dataset": found.name, **settings}
        return recipe, self.actions.start(recipe, settings)

    def delete(self, given: str | None) -> tuple[object, object]:
        if not given:
            return gr.skip(), gr.skip()
        data_set.remove(self.own.lab.runs, given)
        names = data_set.list_names(self.own.lab.runs)
        left = names[0] if names else None
        text = page.notice(f"{html.escape(given)} is deleted.")
        return text, gr.Dropdown(choices=names, value=left)

    def pack(self, given: str | None, progress: gr.Progress = PROGRESS) -> object:
        found = _find(self.own, given)
        if found is None:
            raise gr.Error("Choose a data set first.")
        folder = uploads.claim_folder() / "zips"
        folder.mkdir(exist_ok=True)
        file = folder / f"{found.name}.zip"
        data_set.export(
            self.own.lab.runs,
            found.name,
            file,
            lambda doing, done, total: progress((done, total or None), desc=doing),
        )
        return gr.File(value=str(file), visible=True)


def _propose_name(paths: list[str]) -> str:
    """After a zip; of single files nobody knows."""
    zips = [Path(path) for path in paths if path.lower().endswith(".zip")]
    words = re.sub(r"[^\w -]+", " ", zips[0].stem) if zips else ""
    return " ".join(words.split())[:LONGEST]


def _show_first(own: OwnData) -> tuple[str | None, str, str]:
    """What a page shows that is opened: a data set's name, twice, and its card."""
    name = next(iter(data_set.list_names(own.lab.runs)), None)
    found = _find(own, name)
    return name, name or "", own_view.draw_card(found) if found else page.notice(EMPTY)


def _find(own: OwnData, given: str | None) -> DataSet | None:
    """None where nothing is chosen, or where it is gone."""
    return own.find(given) if given and given in data_set.list_names(own.lab.runs) else None


def _hide() -> list[object]:
    return [gr.Column(visible=False), gr.HTML(visible=False), *[gr.skip()] * 7]


def _list_shown(own: OwnData, found: DataSet, checked: dict) -> list[Suspect]:
    suspects = own_view.list_suspects(own, found, checked)
    if found.kind == "captions" and not suspects:
        suspects = [
            Suspect(id=each.id, name=each.name, label="", said="", why="")
            for each in found.list_items()
        ]
    return suspects[: own_view.SUSPECTS]


def _draw(found: DataSet, each: Suspect) -> tuple[Image.Image, str]:
    path = found.find_items(each["id"])[0].path
    words = in_words(each["label"]) or each["name"]
    if each["said"]:
        words += f" → {in_words(each['said'])}?"
    return own_view.draw_thumbnail(path, found.kind, 160), words


def _show_large(item: data_set.Item, kind: str, each: Suspect) -> str:
    words = f"<b>{html.escape(item.name)}</b>"
    if each["label"]:
        words += f", labelled <b>{html.escape(in_words(each['label']))}</b>"
    if each["why"]:
        words += f": {html.escape(each['why'])}"
    return f"<p>{words}</p>{own_view.draw_large(item, kind, LARGE)}"
