"""What can be done with own data sets, by a person on the page or by a program through the API.

Where training is off the page belongs to everybody: nobody's data is stored there, nor listed.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from demos import page
from demos.serving import uploads
from demos.serving.lab import Lab
from training.data.checks.findings import list_findings
from training.data.own import bring, corrections, data_set
from training.data.own.data_set import DataSet, Tell, tell_nobody
from training.data.own.inspect import look_into
from training.own_data import find_doubted, list_doubts
from training.publish.pack import Package, pack_data_set
from training.recipe import SettingsError

KEPT = 8  # checks that are kept for who asks again
DECISIONS = ("label", "leave out", "right", "undo")


class OwnData:
    """The data sets of one app. Every refusal is a SettingsError, or a gr.Error where training is
    off."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._checked: dict[tuple[str, str, int], dict[str, Any]] = {}

    def add(
        self, file: str | None, name: str, label: str = "", tell: Tell = tell_nobody
    ) -> dict[str, Any]:
        """`file`: of an upload, with its own name."""
        added = self.add_files([file] if file else [], name, label, tell)
        return {
            "name": added.data_set.name,
            "kind": added.data_set.kind,
            "revision": added.data_set.revision,
            "new": added.new,
            "added": added.count,
            "classes": added.classes,
            "problems": added.problems,
            "notes": added.notes,
        }

    def add_files(
        self,
        files: list[str],
        name: str,
        label: str = "",
        tell: Tell = tell_nobody,
        captions: Sequence[str] = (),
        collected: str = "",
    ) -> bring.Added:
        """`files`: of uploads, with their own names; `captions`: what is said of the only one;
        `collected`: what they were taken with just now."""
        page.refuse_unless(self.lab.training)
        if not files:
            raise SettingsError("Nothing was brought: send a zip, a picture or a sound.")
        brought = [Path(file) for file in files]
        label = str(label or "")
        return bring.add(
            self.lab.runs,
            name,
            brought,
            label,
            captions=captions,
            tell=tell,
            collected=collected,
        )

    def list_all(self) -> list[dict[str, Any]]:
        page.refuse_unless(self.lab.training)
        return [asdict(each) for each in data_set.list_all(self.lab.runs)]

    def find(self, name: str) -> DataSet:
        page.refuse_unless(self.lab.training)
        return data_set.find(self.lab.runs, name)

    def rename(self, name: str, new: str) -> str:
        page.refuse_unless(self.lab.training)
        return data_set.rename(self.lab.runs, name, new).name

    def remove(self, name: str) -> str:
        page.refuse_unless(self.lab.training)
        data_set.remove(self.lab.runs, name)
        return name

    def pack(self, name: str, tell: Tell = tell_nobody) -> Path:
        """A zip in the folder of uploads, which is kept small and removed when the app ends."""
        found = self.find(name)
        folder = uploads.claim_folder() / "zips"
        folder.mkdir(exist_ok=True)
        file = folder / f"{found.name}.zip"
        data_set.export(self.lab.runs, found.name, file, tell)
        return file

    def pack_for_hub(self, name: str | None) -> Package:
        """What is pushed, with its card."""
        if not name:
            raise SettingsError("Choose a data set first.")
        return pack_data_set(self.find(name))

    def check(self, name: str, tell: Tell = tell_nobody) -> dict[str, Any]:
        """{name, kind, revision, classes, findings, files}: `files` says of each item that is found
        fault with where it lies."""
        found = self.find(name)
        revision = found.revision
        key = (found.name, revision, len(found.record.get("corrections", [])))
        if key not in self._checked:
            while len(self._checked) >= KEPT:
                self._checked.pop(next(iter(self._checked)), None)
            self._checked[key] = self._check(found, revision, tell)
        checked = self._checked[key]
        doubted = [asdict(each) for each in find_doubted(list_doubts(found))]
        named = {item.id: f"{item.label}/{item.name}".lstrip("/") for item in found.list_items()}
        files = {item: named[item] for each in doubted for item in each["items"]}
        return {
            **checked,
            "findings": [*doubted, *checked["findings"]],
            "files": {**checked["files"], **files},
        }

    def _check(self, found: DataSet, revision: str, tell: Tell) -> dict[str, Any]:
        seen = look_into(found, tell)
        findings = list_findings(seen, corrections.list_confirmed(found))
        named = {item for each in findings for item in (*each.items, *sum(each.groups, []))}
        return {
            "name": found.name,
            "kind": found.kind,
            "revision": revision,
            "classes": found.preview().classes,
            "findings": [asdict(each) for each in findings],
            "files": {
                sight.id: f"{sight.label}/{sight.name}".lstrip("/")
                for sight in seen.sights
                if sight.id in named
            },
        }

    def correct(self, name: str, item: str, label: str, decision: str) -> dict[str, Any]:
        found = self.find(name)
        if decision not in DECISIONS:
            raise SettingsError(f"A decision is one of {', '.join(DECISIONS)}.")
        item = str(item or "")
        if decision == "label":
            made = corrections.correct_label(found, item, label)
        elif decision == "leave out":
            made = corrections.leave_out(found, item)
        elif decision == "right":
            made = corrections.confirm(found, item)
        else:
            made = corrections.undo(found, item)
        told = {key: made[key] for key in ("item", "did", "before", "after")}
        return {**told, "undone": bool(made["undone"]), "revision": found.revision}


def endpoints(own: OwnData) -> None:
    """The API: names and first outputs are a promise."""

    def add_dataset(file: str | None, name: str, label: str) -> dict[str, Any]:
        """Makes a data set of a zip, a picture or a sound, or adds it to one that is there."""
        return own.add(file, name, label)

    def list_datasets() -> list[dict[str, Any]]:
        """Your data sets: name, kind, count, classes, revision, bytes, problems."""
        return own.list_all()

    def check_dataset(name: str) -> dict[str, Any]:
        """What is wrong with a data set: findings, each with its items and what can be done."""
        return own.check(name)

    def correct_label(
        dataset: str, item: str, label: str = "", decision: str = "label"
    ) -> dict[str, Any]:
        """Says what an item is: its label; or the decision leave out, right, or undo."""
        return own.correct(dataset, item, label, decision)

    def rename_dataset(dataset: str, name: str) -> dict[str, Any]:
        """Gives a data set another name."""
        return {"name": own.rename(dataset, name)}

    def remove_dataset(name: str) -> dict[str, Any]:
        """Deletes a data set, while no run uses it."""
        return {"removed": own.remove(name)}

    def download_dataset(name: str) -> str:
        """A data set as a zip."""
        return str(own.pack(name))

    # A file that was uploaded comes through a component, which sees that it is one.
    gr.on(
        [],
        add_dataset,
        [
            page.upload("file"),
            gr.Textbox(label="name", visible=False),
            gr.Textbox(label="label", visible=False),
        ],
        gr.JSON(label="added", visible=False),
        api_name="add_dataset",
        show_progress="hidden",
    )
    gr.on(
        [],
        download_dataset,
        gr.Textbox(label="name", visible=False),
        gr.File(label="zip", visible=False),
        api_name="download_dataset",
        show_progress="hidden",
    )
    for endpoint in (list_datasets, check_dataset, correct_label, rename_dataset, remove_dataset):
        api(endpoint, api_name=endpoint.__name__)
