"""A tab's words are those of the model in use: what it knows is asked for, and examples of what it
never learned are not offered."""

import html
import json
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.components import Component

from demos import page
from demos.serving.model_slot import ModelSlot, Predictor
from training.judge.records import ReportError
from training.judge.report import file_of, read_report
from training.runs import checkpoint, published
from training.runs.checkpoint import CheckpointError
from training.runs.run import Run
from training.wording import counted, fold, name_classes

KNOWS = "The model in use knows <b>{}</b>, and nothing else."
LEARNED = "The model in use learned last from <b>{}</b>. Do not rely on what it says about anybody."
UNTOLD = "The model in use does not say what it learned from. Its card may."
FROM_RUN = "Examples (from the data that this model was tested on)"
NAMED = 12  # classes that are named


@dataclass(frozen=True)
class Words:
    """What a tab says of its built-in model, and the components that say it."""

    bars: Component | None = None  # a gr.Label
    question: str = ""  # "Which dish?"
    about: gr.HTML | None = None
    text: str = ""  # HTML
    examples: gr.Dataset | None = None  # for the built-in model's classes
    source: Component | None = None  # what a person brings
    asking: tuple[str, str] = ("", "")  # its label: of the built-in model, and of any other

    @property
    def outputs(self) -> list[Component]:
        shown = (self.bars, self.about, self.examples, self.source)
        return [each for each in shown if each is not None]

    def show(self, slot: ModelSlot[Predictor]) -> list[object]:
        """For the checkpoint that is in use."""
        own = list_own_classes(slot)
        question, text = self.question, self.text
        if self.bars is None and slot.active_id not in ("", slot.embedded_id):
            text = page.write_about(_tell_origin(slot))
        if own is not None:
            whose = "its" if published.ID.fullmatch(slot.active_id) else "your"
            question = f"Which of {whose} {counted(len(own), 'class', 'classes')}?"
            named = ", ".join(own[:NAMED])
            rest = len(own) - NAMED
            named += f" and {rest:,} more" if rest > 0 else ""
            text = page.write_about(KNOWS.format(html.escape(named)))
        shown: list[object] = [gr.update(label=question)] if self.bars is not None else []
        if self.about is not None:
            shown.append(gr.update(value=text))
        if self.examples is not None:
            shown.append(self._show_examples(slot, own is not None))
        if self.source is not None:
            shown.append(gr.update(label=self.asking[own is not None]))
        return shown

    def _show_examples(self, slot: ModelSlot[Predictor], own: bool) -> dict[str, object]:
        """Where the model learned other classes, those that its run was tested on, if any."""
        assert self.examples is not None
        if not own:
            samples, label = self.examples.raw_samples, self.examples.label
            return gr.update(samples=samples, label=label, visible=True)
        files = list_examples(slot)
        return gr.update(
            samples=[[str(path)] for path in files], label=FROM_RUN, visible=bool(files)
        )


def _tell_origin(slot: ModelSlot[Predictor]) -> str:
    """Of what is in use, where it has no classes to name: what it learned from."""
    try:
        path = checkpoint.find(slot.runs, slot.active_id, slot.name).path
        told = json.loads((path / "config.json").read_text("utf-8"))
    except (CheckpointError, OSError, ValueError):
        told = {}
    learned = told.get("trained_on") if isinstance(told, dict) else None
    return LEARNED.format(html.escape(str(learned))) if learned else UNTOLD


def list_examples(slot: ModelSlot[Predictor]) -> list[Path]:
    """What the run of the checkpoint in use was tested on, a few."""
    run = Run.find(slot.runs, slot.active_id)
    if run is None:
        return []
    try:
        report = read_report(run)
    except ReportError:
        return []
    named = report.facts.get("examples") if report else None
    listed = named if isinstance(named, list) else []
    files = [file_of(run, each) for each in listed if isinstance(each, str)]
    return [path for path in files if path.is_file()]


def list_own_classes(slot: ModelSlot[Predictor]) -> list[str] | None:
    """The classes of what is in use, as a person reads them; None where they are the built-in
    model's."""
    try:
        found = checkpoint.labels(checkpoint.find(slot.runs, slot.active_id, slot.name).path)
        built_in = checkpoint.labels(checkpoint.find(slot.runs, slot.embedded_id, slot.name).path)
    except (CheckpointError, OSError, ValueError):
        return None
    if {fold(each) for each in found} == {fold(each) for each in built_in}:
        return None
    return name_classes(found)
