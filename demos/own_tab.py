"""Your own data, on the Train tab: bring it, see what is wrong with it, correct it, train on it."""

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

from demos import clock, collect, own_view, page
from demos.actions import Actions
from demos.decide import Decide
from demos.own_data import OwnData
from demos.own_view import Suspect
from demos.pushing import PushForm, Pushing
from demos.waiting import PROGRESS, Waiting, name_visit
from training.data.own import data_set, use
from training.data.own.data_set import Cancelled, DataSet
from training.data.own.records import LONGEST
from training.own_data import describe_added
from training.recipe import SettingsError
from training.runs import checkpoint
from training.wording import fold

# What can learn from each kind, in words, and how it does first; the first is the usual one.
FROZEN = {"method": "frozen"}
LEARNERS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "pictures": {
        "Photos (Food tab)": ("food", FROZEN),
        "Drawings and signs, 28×28 (Digits tab)": ("digits", FROZEN),
        "Things on a plain ground, 28×28 (Fashion)": ("digits", {**FROZEN, "framing": "garment"}),
    },
    "sounds": {"Sounds (Audio tab)": ("audio_intent", FROZEN)},
    "captions": {"Captions (Captioning tab)": ("captioning", {})},
}
MANY = 3000  # items, from which a check waits until it is asked for
EMPTY = (
    "There is no data of yours here yet. Bring a zip of pictures or sounds with a folder for each "
    "class, or several files of one class at a time; or photos with their captions."
)
CHOOSE = "Choose one of your data sets above."
BUTTONS: dict[str, tuple[str, Literal["primary", "secondary", "stop"]]] = {
    "train": ("Train on this data", "primary"),
    "estimate": ("How long will it take?", "secondary"),
    "check": ("Look for problems", "secondary"),
    "download": ("Download as zip", "secondary"),
    "push": ("Push to the Hub…", "secondary"),
    "undo": ("Undo last correction", "secondary"),
    "remove": ("Delete", "stop"),
}
FIRST = ("train", "estimate")
quiet: page.Listening = {"api_visibility": "private", "show_progress": "hidden"}


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
    push: PushForm
    pushed: gr.HTML
    learner: gr.Dropdown
    estimate: gr.HTML
    findings: gr.HTML
    look: Decide


def build(
    actions: Actions, own: OwnData, chooser: gr.Dropdown, selected: gr.Textbox
) -> list[clock.Part]:
    """Lays it out, where training is on. `chooser`: of the recipe; `selected`: of the run that is
    looked at. Returns what changes by itself."""
    if not actions.lab.training:
        return []
    form = _lay_out(own)
    _wire(form, Handlers(actions, own, form.look), chooser, selected)
    return [
        clock.Part(
            lambda moment: repr(data_set.list_names(own.lab.runs)),
            lambda moment: [gr.update(choices=data_set.list_names(own.lab.runs))],
            [form.chosen],
        )
    ]


def make_pushing(own: OwnData) -> Pushing:
    """How a data set goes to the Hub."""
    command = "datasets push NAME owner/name"
    return Pushing(own.lab, lambda name, _: own.pack_for_hub(name), command)


# -- layout ----------------------------------------------------------------------------------------
def _lay_out(own: OwnData) -> Form:
    with gr.Accordion("Your own data", open=False, elem_id="own-data"):
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                files = page.uploads("Zip, folder, pictures or sounds", "own-files")
                folder = gr.Button("Choose a folder", size="sm", elem_id="own-folder")
                folder.click(
                    None, None, None, js="() => window.chooseFolder()", api_visibility="private"
                )
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
        learner, buttons = _lay_out_buttons()
        zipped = gr.File(visible=False, label="Your data set", elem_id="own-zip")
        push = PushForm(make_pushing(own), "own-push", "pets")
        pushed = gr.HTML(elem_id="own-pushed")
        estimate = gr.HTML(elem_id="own-estimated")
        findings = gr.HTML(visible=False, elem_id="own-findings")
        look = Decide(own, "own", "To look at, the likeliest first")
    return Form(
        files,
        name,
        label,
        add,
        cancel,
        told,
        collected,
        chosen,
        card,
        buttons,
        zipped,
        push,
        pushed,
        learner,
        estimate,
        findings,
        look,
    )


def _lay_out_buttons() -> tuple[gr.Dropdown, dict[str, gr.Button]]:
    """What learns from a data set, and what can be done with it: to train, then all else."""
    made: dict[str, gr.Button] = {}
    with gr.Row(equal_height=True):
        learner = gr.Dropdown(
            [],
            label="What learns from it",
            interactive=True,
            visible=False,
            elem_id="own-learner",
            min_width=220,
        )
        for name in FIRST:
            text, look = BUTTONS[name]
            made[name] = gr.Button(text, variant=look, elem_id=f"own-{name}", min_width=160)
    with gr.Row():
        for name, (text, look) in BUTTONS.items():
            if name not in FIRST:
                made[name] = gr.Button(
                    text, variant=look, size="sm", elem_id=f"own-{name}", min_width=140
                )
    return learner, made


def _wire(form: Form, does: "Handlers", chooser: gr.Dropdown, selected: gr.Textbox) -> None:
    look = form.look
    chosen = form.chosen
    buttons = form.buttons
    seen: list[Component | BlockContext] = [form.findings, *look.outputs]
    shown: list[Component | BlockContext] = [form.card, form.learner, buttons["train"], *seen]
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
    gr.on(
        None,
        lambda: _show_first(does.own),
        None,
        [chosen, collected, form.card, form.learner, buttons["train"]],
        **quiet,
    )
    chosen.change(does.show, chosen, shown, **visible)
    chosen.change(lambda name: name or "", chosen, collected, **quiet)
    collected.chose(does.choose, collected, chosen, **quiet)
    collected.changed(does.show_card, [collected, chosen], shown, **quiet)
    gr.on(
        [chosen.change, form.learner.change],
        None,
        None,
        form.estimate,
        js="() => ['']",
        api_visibility="private",
    )
    buttons["estimate"].click(does.estimate, [chosen, form.learner], form.estimate, **visible)
    buttons["train"].click(does.train, [chosen, form.learner], [chooser, selected], **quiet)
    buttons["check"].click(does.look_again, chosen, seen, **visible)
    buttons["download"].click(does.pack, chosen, form.zipped, **visible)
    form.push.wire(buttons["push"], chosen, form.pushed)
    # What was about to be pushed was another one. In the browser, at once: an answer that came late
    # took away what the button had just shown.
    chosen.change(
        None,
        None,
        [form.push.group, form.pushed],
        js="() => [{__type__: 'update', visible: false}, '']",
        api_visibility="private",
    )
    buttons["remove"].click(
        does.delete,
        chosen,
        [form.told, chosen],
        js="(name) => name && confirm('Delete the data set ' + name + '?') ? name : null",
        **quiet,
    )
    changed = look.wire(chosen, does.find_shown, form.told)
    changed.append(buttons["undo"].click(does.undo_last, chosen, form.told, **quiet))
    for event in changed:
        event.success(does.show, chosen, shown, **quiet)


# -- what is done ----------------------------------------------------------------------------------
class Handlers:
    def __init__(self, actions: Actions, own: OwnData, look: Decide):
        self.actions = actions
        self.own = own
        self.look = look
        self.waiting = Waiting()

    def bring(
        self,
        paths: list[str],
        given: str,
        of_class: str,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[object, ...]:
        visit = name_visit(request)
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
        """The card, what can learn from it, and what is to be looked at where that is quickly
        seen."""
        found = _find(self.own, given)
        if found is None:
            text = CHOOSE if data_set.list_names(self.own.lab.runs) else EMPTY
            return [page.notice(text), *_offer_training(None), *_hide(self.look)]
        few = len(found.list_items()) <= MANY
        seen = self._look(found, progress) if few else _hide(self.look)
        return [own_view.draw_card(found), *_offer_training(found), *seen]

    def choose(self, name: str) -> dict[str, Any]:
        """A data set that was made or renamed just now."""
        return gr.update(choices=data_set.list_names(self.own.lab.runs), value=name)

    def show_card(self, name: str, given: str | None) -> list[object]:
        """Of what is being collected: what is wrong with it waits until it is asked for."""
        found = _find(self.own, given)
        if found is None or name != given:
            return [gr.skip() for _ in range(3 + len(_hide(self.look)))]
        return [own_view.draw_card(found), *_offer_training(found), *_hide(self.look)]

    def _look(self, found: DataSet, progress: gr.Progress) -> list[object]:
        checked = self.own.check(
            found.name, lambda doing, done, total: progress((done, total or None), desc=doing)
        )
        seen = _list_shown(found, checked)
        return [
            gr.HTML(own_view.draw_findings(checked), visible=True),
            *self.look.fill(found, seen),
        ]

    def look_again(self, given: str | None, progress: gr.Progress = PROGRESS) -> list[object]:
        found = _find(self.own, given)
        return _hide(self.look) if found is None else self._look(found, progress)

    def find_shown(self, given: str) -> tuple[DataSet, list[Suspect]] | None:
        found = _find(self.own, given)
        return found and (found, _list_shown(found, self.own.check(given)))

    def undo_last(self, given: str | None) -> str:
        if not given:
            raise gr.Error("Choose a data set first.")
        made = self.own.correct(given, "", "", "undo")
        said = html.escape(own_view.describe_correction(made))
        return page.notice(f"Undone: {said}", "good")

    def train(self, given: str | None, learner: str | None) -> tuple[object, object]:
        recipe, settings = self._choose(given, learner)
        return recipe, self.actions.start(recipe, settings)

    def estimate(self, given: str | None, learner: str | None) -> str:
        return page.notice(str(self.actions.estimate(*self._choose(given, learner))))

    def _choose(self, given: str | None, learner: str | None) -> tuple[str, dict[str, object]]:
        """The recipe and its settings: those of the run before, where there was one that learned
        from it and it has changed since."""
        found = _find(self.own, given)
        if found is None:
            raise gr.Error("Add data first, or choose a data set.")
        if change := use.find_change(found):
            return change.run.recipe, change.settings
        learners = LEARNERS[found.kind]
        recipe, first = learners.get(learner or "") or next(iter(learners.values()))
        return recipe, {"source": "own", "dataset": found.name, **first}

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
        file = self.own.pack(
            found.name,
            lambda doing, done, total: progress((done, total or None), desc=doing),
        )
        return gr.File(value=str(file), visible=True)


def _propose_name(paths: list[str]) -> str:
    """After a zip; of single files nobody knows."""
    zips = [Path(path) for path in paths if path.lower().endswith(".zip")]
    words = re.sub(r"[^\w -]+", " ", zips[0].stem) if zips else ""
    return " ".join(words.split())[:LONGEST]


def _show_first(own: OwnData) -> list[object]:
    """What a page shows that is opened: a data set's name (twice), its card, and what
    can learn from it."""
    name = next(iter(data_set.list_names(own.lab.runs)), None)
    found = _find(own, name)
    card = own_view.draw_card(found) if found else page.notice(EMPTY)
    return [name, name or "", card, *_offer_training(found)]


def _find(own: OwnData, given: str | None) -> DataSet | None:
    """None where nothing is chosen, or where it is gone."""
    return own.find(given) if given and given in data_set.list_names(own.lab.runs) else None


def _offer_training(found: DataSet | None) -> list[object]:
    """What can learn from it, to choose from where there are several; and on the button, whether
    it is trained on again."""
    text = BUTTONS["train"][0]
    if found is None:
        return [gr.update(visible=False), gr.update(value=text)]
    change = use.find_change(found)
    if change:
        text = f"Train again with {change}"
    learners = list(LEARNERS[found.kind])
    several = len(learners) > 1 and not change
    usual = _choose_learner(found)
    return [gr.update(choices=learners, value=usual, visible=several), gr.update(value=text)]


def _choose_learner(found: DataSet) -> str:
    """Digits and garments by the names that their tabs know them by; else the usual one."""
    (first, *others) = LEARNERS[found.kind]
    names = {fold(label) for label in found.classes}
    for slot, learner in zip(("digits", "fashion"), others, strict=False):
        known = checkpoint.labels(checkpoint.find(found.runs, f"embedded-{slot}", slot).path)
        if names and names <= {fold(label) for label in known}:
            return learner
    return first


def _hide(look: Decide) -> list[object]:
    return [gr.HTML(visible=False), *look.clear()]


def _list_shown(found: DataSet, checked: dict) -> list[Suspect]:
    suspects = own_view.list_suspects(found, checked)
    if found.kind == "captions" and not suspects:
        suspects = [
            Suspect(id=each.id, path=each.path, name=each.name, label="", said="", why="")
            for each in found.list_items()
        ]
    return suspects[: own_view.SUSPECTS]
