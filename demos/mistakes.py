"""Below the report of a run on own data: its mistakes, to be seen large, corrected or left out; and
the button that trains again."""

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

from demos import own_view, run_views
from demos.actions import Actions
from demos.clock import Part
from demos.decide import Decide, quiet
from demos.own_data import OwnData
from demos.own_view import Suspect
from training.data.own import data_set, use
from training.data.own.data_set import DataSet
from training.runs.run import Run

TITLE = "Its mistakes on your data: choose one to see it large, and say what it is"


class Mistakes:
    """Laid out where it is made, where training is on."""

    def __init__(self, actions: Actions, own: OwnData):
        self.actions = actions
        self.own = own
        self.decide = Decide(own, "mistake", TITLE)
        self.told = gr.HTML(elem_id="mistake-told")
        self.again = gr.Button(
            "Train again", variant="primary", visible=False, elem_id="mistake-again"
        )

    @property
    def outputs(self) -> list[Component | BlockContext]:
        return [*self.decide.outputs, self.told, self.again]

    def wire(self, selected: gr.Textbox) -> None:
        """`selected`: the run that is looked at."""
        for event in self.decide.wire(selected, self._find, self.told):
            event.success(self._refresh, selected, [*self.decide.outputs, self.again], **quiet)
        self.again.click(self._train, selected, selected, **quiet)

    @property
    def part(self) -> Part:
        """Drawn when another run is looked at, or when it ends: what a person picked among them
        stays while other runs come and go."""
        return Part(
            lambda moment: repr(moment.run and (moment.run.id, moment.run.state)),
            lambda moment: self.show(moment.run),
            self.outputs,
        )

    def show(self, run: Run | None) -> list[object]:
        """Values of the outputs."""
        found = self._open(run)
        if run is None or found is None:
            return [*self.decide.clear(), "", self._offer(None)]
        mistakes = own_view.list_mistakes(run, found)
        return [*self.decide.fill(found, mistakes), "", self._offer(found)]

    def _refresh(self, run_id: str) -> list[object]:
        """After a decision: what was said of it stays."""
        (*looks, _, again) = self.show(self._current(run_id))
        return [*looks, again]

    def _offer(self, found: DataSet | None) -> dict[str, object]:
        """Where the data has changed since it was learned from."""
        change = found and use.find_change(found)
        if not change:
            return gr.update(visible=False)
        return gr.update(value=f"Train again with {change}", visible=True)

    def _current(self, run_id: str) -> Run | None:
        return run_views.current(self.own.lab.runs, run_id)

    def _open(self, run: Run | None) -> DataSet | None:
        """The data set that a finished run learned from, where it is there yet."""
        runs = self.own.lab.runs
        if run is None or run.state != "done" or run.config.get("source") != "own":
            return None
        name = str(run.config.get("dataset", ""))
        return data_set.find(runs, name) if name in data_set.list_names(runs) else None

    def _find(self, run_id: str) -> tuple[DataSet, list[Suspect]] | None:
        run = self._current(run_id)
        found = self._open(run)
        return (found, own_view.list_mistakes(run, found)) if run and found else None

    def _train(self, run_id: str) -> str:
        found = self._open(self._current(run_id))
        change = found and use.find_change(found)
        if not change:
            raise gr.Error("Nothing has changed since.")
        return self.actions.start(change.run.recipe, change.settings)
