"""A tab's words are those of the model in use: what it knows is asked for, and examples of what it
never learned are not offered."""

import html
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from demos import page
from demos.serving.model_slot import ModelSlot, Predictor
from training.runs import checkpoint, published
from training.runs.checkpoint import CheckpointError
from training.wording import counted, fold, name_classes

KNOWS = "The model in use knows <b>{}</b>, and nothing else."
NAMED = 12  # classes that are named


@dataclass(frozen=True)
class Words:
    """What a tab says of its built-in model, and the components that say it."""

    bars: Component  # a gr.Label
    question: str  # "Which dish?"
    about: gr.HTML
    text: str  # HTML
    examples: Component  # for the built-in model's classes

    @property
    def outputs(self) -> list[Component]:
        return [self.bars, self.about, self.examples]

    def show(self, slot: ModelSlot[Predictor]) -> list[object]:
        """For the checkpoint that is in use."""
        own = list_own_classes(slot)
        if own is None:
            return [
                gr.update(label=self.question),
                gr.update(value=self.text),
                gr.update(visible=True),
            ]
        named = ", ".join(own[:NAMED])
        rest = len(own) - NAMED
        named += f" and {rest:,} more" if rest > 0 else ""
        whose = "its" if published.ID.fullmatch(slot.active_id) else "your"
        return [
            gr.update(label=f"Which of {whose} {counted(len(own), 'class', 'classes')}?"),
            gr.update(value=page.write_about(KNOWS.format(html.escape(named)))),
            gr.update(visible=False),
        ]


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
