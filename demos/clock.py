"""The page's clock: what changes without a person's doing is asked for every so often, and redrawn
where it changed.

Each tick is a plain request of the browser's. As an event of Gradio's it made the browser ask every
component for its state (of a drawing, three uploads): a core was busy with a page that nobody
touched.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gradio as gr
from gradio.blocks import Block

from demos import run_views
from demos.serving.lab import Lab
from training.runs.index import open_index
from training.runs.run import Run

SECONDS = 1.0
# The page itself keeps the signs: a component's value is there a moment after its answer, and a
# tick in that moment was told all over again, which took away what a button had just shown.
ASK = """async (chosen) => {
  if (window.looking) return [];
  window.looking = true;
  try {
    const answer = await fetch(window.gradio_config.root + '/gradio_api/run/look', {method: 'POST',
      headers: {'Content-Type': 'application/json'},
      body: JSON.stringify({data: [chosen, window.signs || '']})});
    if (!answer.ok) return [];
    const [signs, ...values] = (await answer.json()).data;
    window.signs = signs;
    // Gradio says so of a gr.HTML by an update of its props, of none of them
    const unchanged = v => v?.__type__ === 'update'
      && Object.keys(v).every(k => k === '__type__' || (k === 'props' && unchanged(v.props)));
    return values.map(v => unchanged(v) ? undefined : v);
  } catch { return []; }  // the server is away: what is shown stays, and the next tick asks again
  finally { window.looking = false; }
}"""


@dataclass(frozen=True)
class Moment:
    """What a tick finds, read once for all parts: `selected` is the id of the run that a person
    chose, or none."""

    lab: Lab
    selected: str | None

    @cached_property
    def run(self) -> Run | None:
        """The one that is looked at."""
        return run_views.current(self.lab.runs, self.selected)

    @cached_property
    def signature(self) -> str:
        """Changes when the history, a report, or a list of checkpoints would."""
        return open_index(self.lab.runs).version


@dataclass(frozen=True)
class Part:
    """Something of the page that changes by itself: `show` gives the values of `outputs`, and is
    asked again when `sign`, a text, is another one."""

    sign: Callable[[Moment], str]
    show: Callable[[Moment], list[object]]
    outputs: Sequence[Block]


def make_look(lab: Lab, parts: list[Part]) -> Callable[[str | None, str | None], list[object]]:
    """What a tick calls with the chosen run's id and the signs that it got last: the signs now,
    then the values of all outputs, skipped where the sign is still the same."""

    def look(run_id: str | None, seen: str | None) -> list[object]:
        moment = Moment(lab, run_id)
        before = (seen or "").split()
        now: list[str] = []
        values: list[object] = []
        for number, part in enumerate(parts):
            now.append(hashlib.blake2b(part.sign(moment).encode(), digest_size=6).hexdigest())
            same = before[number : number + 1] == now[-1:]
            values += [gr.skip()] * len(part.outputs) if same else part.show(moment)
        return [" ".join(now), *values]

    return look


def wire(blocks: gr.Blocks, lab: Lab, selected: gr.Textbox, parts: list[Part]) -> None:
    """Looks at each tick, when the page opens, and when another run is `selected`."""
    outputs: list[Any] = [component for part in parts for component in part.outputs]
    with gr.Row(visible=False):
        signs = gr.Textbox()
        gr.Button().click(
            make_look(lab, parts),
            [selected, signs],
            [signs, *outputs],
            api_name="look",
            api_visibility="undocumented",
            queue=False,
        )
    gr.on(
        [blocks.load, gr.Timer(SECONDS).tick, selected.change],
        None,
        selected,
        outputs,
        js=ASK,
        api_visibility="private",
        show_progress="hidden",
    )


def make_hidden() -> gr.Textbox:
    """A text that the browser keeps and nobody sees."""
    return gr.Textbox(visible="hidden")
