"""What the tabs share on the page: its looks, the inputs for pictures and sounds, and how a slot
and its checkpoints are shown."""

import base64
import contextlib
import hashlib
import html
import io
import json
import mimetypes
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

import gradio as gr
from gradio.components import Component
from gradio.components.image_editor import EditorData
from gradio.components.label import LabelData
from gradio.data_classes import FileData, ImageData
from gradio.themes import Base, Soft
from gradio.utils import is_in_or_equal
from PIL import Image

from demos.serving.lab import Lab
from demos.serving.model_slot import EMPTY, ModelSlot, Predictor, SwapError
from demos.serving.uploads import write_whole
from training import device
from training.media import pictures, sounds
from training.media.pictures import PictureError, load_picture
from training.runs import checkpoint, job
from training.runs.index import open_index
from training.runs.run import Run
from training.wording import counted, duration, sentence

# of the system that shows the page: none is fetched
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
# On a phone all tabs fit. They are measured once, before CSS is there, and what does not fit is
# hidden behind dots.
HEAD = """<style>@media (max-width: 480px) {
  .gradio-container .main { padding-left: 16px !important; padding-right: 16px !important; }
  .tab-container button { padding-left: 0.2rem !important; padding-right: 0.2rem !important;
    font-size: 0.74rem !important; letter-spacing: -0.01em; } }</style>"""
CSS = (Path(__file__).parent / "page.css").read_text("utf-8")
JS = (
    (Path(__file__).parent / "page.js")
    .read_text("utf-8")
    .replace("FOLDERS", (Path(__file__).parent / "folder.js").read_text("utf-8").strip())
    .replace("PICTURES", ",".join(pictures.ENDINGS))
    .replace("SOUNDS", ",".join(sounds.ENDINGS))
)


class Listening(TypedDict, total=False):
    """How an event of the page is answered: further arguments of its listener."""

    api_visibility: Literal["public", "private", "undocumented"]
    show_progress: Literal["full", "minimal", "hidden"]
    trigger_mode: Literal["once", "multiple", "always_last"]
    queue: bool
    concurrency_limit: int
    concurrency_id: str


CALM = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_300",
    "block_label_background_fill": "*block_background_fill",
    "block_label_background_fill_dark": "*block_background_fill",
    "block_label_text_color": "*body_text_color_subdued",
    "block_label_text_color_dark": "*body_text_color_subdued",
    "block_label_border_width": "0px",
    "block_label_shadow": "none",
    "block_title_background_fill": "transparent",
    "block_title_background_fill_dark": "transparent",
    "block_title_padding": "0",
    "block_title_text_color": "*body_text_color",
    "block_title_text_color_dark": "*body_text_color",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_hover": "*neutral_400",
    "button_border_width": "1px",
    "button_border_width_dark": "1px",
    "color_accent": "*primary_600",
    **{
        f"button_{kind}_shadow{state}": "none"
        for kind in ("primary", "secondary")
        for state in ("", "_hover", "_active")
    },
}


def theme() -> Base:
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace"]
    made = Soft(
        primary_hue="indigo", neutral_hue="slate", radius_size="md", font=FONTS, font_mono=mono
    )
    # What is read has a contrast of 4.5 to 1 at least; labels do not shout; nothing floats. (The
    # theme's `set` would reset the backgrounds.)
    for name, value in CALM.items():
        setattr(made, name, value)
    return made


def keep_upload(component: Component, payload: FileData | ImageData | None) -> str | None:
    """The path of what was uploaded, untouched; Gradio's own components convert it, or fail in
    words of their own. They would also read a server's file, named without `meta`."""
    if payload is None:
        return None
    if payload.url and payload.url.startswith("data:"):
        return _keep_inline(payload.url, Path(component.GRADIO_CACHE))
    if payload.path and not is_in_or_equal(payload.path, component.GRADIO_CACHE):
        raise gr.Error(
            "A path is not read here: upload the file, and send what the upload returned."
        )
    if payload.path and not Path(payload.path).is_file():
        raise gr.Error(
            "This file is no longer here, since uploads are kept for a day: send it again."
        )
    return payload.path


def _keep_inline(uri: str, folder: Path) -> str:
    """The path of what a `data:` URI holds. Raises gr.Error, and OSError on a full disk."""
    content = read_inline(uri)
    kind = mimetypes.guess_extension(uri.removeprefix("data:").partition(",")[0].split(";")[0])
    return keep_content(content, f"file{kind or ''}", folder)


def keep_content(content: bytes, name: str, folder: Path) -> str:
    """The path of a file that holds it, in a folder that is named by it. Raises OSError."""
    path = folder / hashlib.sha256(content).hexdigest() / name
    write_whole(path, content)
    return str(path)


def read_inline(uri: str) -> bytes:
    """What a `data:` URI holds. Raises gr.Error."""
    try:
        return base64.b64decode(uri.partition(",")[2], validate=True)
    except ValueError as error:
        raise gr.Error("The base64 text is damaged: send a file.") from error


class _Photo(gr.Image):
    is_template = True  # drawn by the browser as gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        return keep_upload(self, payload)


class _Upload(gr.File):
    is_template = True  # drawn by the browser as gr.File

    def preprocess(self, payload: FileData | None) -> str | None:  # type: ignore[override]
        return keep_upload(self, payload)


class _Uploads(gr.File):
    is_template = True  # drawn by the browser as gr.File

    def preprocess(self, payload: list[FileData] | None) -> list[str]:  # type: ignore[override]
        return [path for each in payload or [] if (path := keep_upload(self, each))]


def uploads(label: str, elem_id: str) -> gr.File:
    """Several files of any kind, as they are."""
    return _Uploads(label=label, file_count="multiple", height=150, elem_id=elem_id)


def upload(label: str) -> gr.File:
    """One file of any kind, for a program alone."""
    return _Upload(label=label, visible=False)


class _Recording(gr.Audio):
    is_template = True  # drawn by the browser as gr.Audio

    def preprocess(self, payload: FileData | None) -> str | None:
        return keep_upload(self, payload)


class Drawn(TypedDict):
    """What is read of a canvas: what it shows, as the file or the content that came."""

    composite: str | bytes | None


class _Canvas(gr.ImageEditor):
    is_template = True  # drawn by the browser as gr.ImageEditor

    def preprocess(self, payload: EditorData | None) -> Drawn | None:  # type: ignore[override]
        """What is seen, unopened: Gradio's own opens every layer, whatever its size, and fails in
        words of its own."""
        if payload is None:
            return None
        if payload.id is not None:
            held = self.blob_storage.pop(payload.id, None)
            content = held.composite if held else None
            return {"composite": bytes(content) if content else None}
        return {"composite": keep_upload(self, payload.composite)}


def canvas(elem_id: str) -> gr.ImageEditor:
    """A sheet to draw on in dark ink. Its value is `Drawn`, for `load_picture`."""
    return _Canvas(
        type="filepath",
        sources=(),
        canvas_size=(320, 320),
        fixed_canvas=True,
        layers=False,
        label="Draw",
        show_label=False,
        transforms=(),
        format="png",
        brush=gr.Brush(default_size=14, colors=["#111111"], color_mode="fixed"),
        elem_id=elem_id,
    )


def photo(
    label: str | None = None,
    elem_id: str | None = None,
    sources: list[Literal["upload", "webcam", "clipboard"]] | None = None,
    height: int | None = None,
) -> gr.Image:
    """A picture as the file that was uploaded: 16-bit, CMYK, alpha and broken ones are for
    `load_picture`."""
    return _Photo(
        type="filepath",
        image_mode=None,
        label=label,
        elem_id=elem_id,
        sources=sources,
        height=height,
    )


def recording(
    label: str | None = None,
    elem_id: str | None = None,
    sources: list[Literal["upload", "microphone"]] | None = None,
) -> gr.Audio:
    """A sound as the file that was uploaded or recorded: what it holds is for `load_sound` to find
    out. No button shares it: a voice goes nowhere by a slip of the finger."""
    return _Recording(
        type="filepath", buttons=["download"], label=label, elem_id=elem_id, sources=sources
    )


def open_picture(path: str | None) -> Image.Image:
    """The picture that an endpoint was sent. Raises gr.Error with a sentence."""
    if not path:
        raise gr.Error("There is no picture: send one as a file.")
    try:
        return load_picture(path)
    except PictureError as error:
        raise gr.Error(str(error)) from error


OFFERED = 100  # checkpoints in a list, beside the built-in one: older ones are in the history
Choice: TypeAlias = str | int | float | list[str | int | float] | None  # of a gr.Dropdown


class Chooser(gr.Dropdown):
    is_template = True  # drawn by the browser as gr.Dropdown

    def preprocess(self, payload: Choice) -> Choice:
        """As it was chosen. The list comes and grows by the page's clock, which the server's own
        list does not hear of; what there is to choose from, the slot or the disk knows."""
        return payload


def chooser(chosen: tuple[str, str], label: str, elem_id: str | None = None) -> gr.Dropdown:
    """A list of checkpoints, with `chosen` (its words, its value) alone until the clock fills
    it."""
    return Chooser([chosen], value=chosen[1], label=label, interactive=True, elem_id=elem_id)


def find_choosers(blocks: gr.Blocks, slots: list[str]) -> dict[str, gr.Dropdown]:
    """The tabs' lists of models, by their slot."""
    wanted = {f"chooser-{slot}": slot for slot in slots}
    return {
        wanted[each.elem_id]: each
        for each in blocks.blocks.values()
        if isinstance(each, gr.Dropdown) and each.elem_id in wanted
    }


UNLIKE = "This looks like nothing I know."


class Unlike(dict[str, float]):
    """What a classifier answers to something that is unlike all that it was taught: the nearest."""


def is_unlike(unlikeness: float | None) -> bool:
    """Above 1 it is; None is of a checkpoint that cannot tell."""
    return unlikeness is not None and unlikeness > 1


def tell_unlikeness(unlikeness: float | None) -> dict[str, bool | float]:
    """The same for programs; nothing where it cannot be told."""
    if unlikeness is None:
        return {}
    return {"unlike": is_unlike(unlikeness), "unlikeness": round(unlikeness, 3)}


class _Verdict(gr.Label):
    is_template = True  # drawn by the browser as gr.Label
    unsure = 0.0

    def postprocess(
        self, value: dict[str | float, float] | str | int | float | None
    ) -> LabelData | dict | None:
        """The bars as ever; the large name only where the model is sure of it."""
        shown = super().postprocess(value)
        if isinstance(shown, LabelData) and shown.confidences:
            if isinstance(value, Unlike):
                shown.label = "nothing I know"  # the sentence stands below
            elif (shown.confidences[0].confidence or 0.0) < self.unsure:
                shown.label = "not sure"
        return shown


def verdict(
    unsure: float,
    label: str | None = None,
    num_top_classes: int | None = None,
    elem_id: str | None = None,
) -> gr.Label:
    """The answers of a classifier as bars; below the share `unsure`, and where it was taught
    nothing like it, the first one is not written large."""
    made = _Verdict(label=label, num_top_classes=num_top_classes, elem_id=elem_id)
    made.unsure = unsure
    return made


KEEP = "(...values) => { sessionStorage.setItem(%s, JSON.stringify(values)); }"
BRING_BACK = "() => JSON.parse(sessionStorage.getItem(%s) || '[]')"


def keep(
    blocks: gr.Blocks, key: str, changed: Sequence[Any], components: Sequence[Component]
) -> None:
    """After a reload these components hold what they did, as of the events `changed`: the browser's
    tab keeps it under this key."""
    name = json.dumps(key)
    hidden: Listening = {"api_visibility": "private"}
    gr.on(changed, None, list(components), None, js=KEEP % name, **hidden)
    blocks.load(None, None, list(components), js=BRING_BACK % name, **hidden)


def data_uri(picture: Image.Image, kind: str = "PNG") -> str:
    """A PIL picture, inline: nothing of a person's is served from a path."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def notice(text: str, kind: str = "note") -> str:
    """A sentence in a box; `kind`: note, good, bad."""
    return f'<div class="notice {kind}" role="status">{text}</div>' if text else ""


def asking() -> gr.Column:
    """The column of a tab's input, left of its answers. On a phone the answers come right after
    the input, before what else this column holds."""
    return gr.Column(scale=4, min_width=300, elem_classes="asking")


def about(text: str) -> gr.HTML:
    """What a tab's built-in model knows, and what not."""
    return gr.HTML(write_about(text))


def write_about(text: str) -> str:
    return f'<p class="about">{text}</p>'


def show_refusal(error: Exception) -> str:
    """The sentence of an error, where the answer would be."""
    return notice(mark_up(str(error)), "bad")


def mark_up(text: str) -> str:
    """HTML of a sentence, whoever wrote it: commands (`hf auth login`) as such, and addresses of
    the Hub to click on."""
    from huggingface_hub.constants import ENDPOINT

    shown = re.sub(r"`([^`]{1,80})`", r"<code>\1</code>", html.escape(text))
    return re.sub(
        rf"{re.escape(html.escape(ENDPOINT))}/[\w./-]*[\w/]",
        lambda found: f'<a href="{found[0]}" target="_blank" rel="noopener">{found[0]}</a>',
        shown,
    )


OFF = (
    "Training is off here: models can be neither fine-tuned nor changed. The Train tab says how to "
    "turn it on."
)


def refuse_unless(training: bool) -> None:
    """Guards every handler that changes something for everybody."""
    if not training:
        raise gr.Error(OFF)


def strip(lab: Lab) -> str:
    """The line at the top of every tab: the device, and the job that is running."""
    where = device.describe() if "torch" in sys.modules else counted(device.cores(), "core")
    now = job.running(lab.runs)
    what = "no run in progress" if lab.training else "training is off here"
    if now is not None:
        waiting = len(job.queue(lab.runs))
        what = f"<b>{html.escape(now.recipe)} run {progress(now)}</b>" + (
            f", {waiting} queued" if waiting else ""
        )
    return f'<div class="strip"><span>{html.escape(where)}</span><span>{what}</span></div>'


def progress(run: Run) -> str:
    """In words: `43%, 2 min left`, `stopping`, `scoring`."""
    status = run.status
    if run.state == "stopping":
        return "stopping"
    step = status.get("step", 0)
    total = status.get("total", 0)
    if status.get("stage", "training") != "training" or not total:
        stage = status.get("stage") or job.STARTING
        return "starting: the libraries are loaded" if stage == job.STARTING else stage
    left = seconds_left(run)
    return f"{step / total:.0%}" + (f", {duration(left)} left" if left is not None else "")


def seconds_left(run: Run) -> float | None:
    """From the pace of the last events, since the first steps are slower."""
    events = [e for e in run.events() if "loss" in e][-20:]
    if len(events) < 2 or events[-1]["step"] == events[0]["step"]:
        return None
    pace = (events[-1]["t"] - events[0]["t"]) / (events[-1]["step"] - events[0]["step"])
    return pace * (events[-1]["total"] - events[-1]["step"])


def choices(slot: ModelSlot[Predictor]) -> list[tuple[str, str]]:
    """For a dropdown: what is in use now, then every checkpoint of the slot."""
    listed = slot.list_checkpoints(OFFERED)
    active_id = slot.active_id
    active = next((each.title for each in listed if each.id == active_id), "")
    if active_id and not active:  # older than those
        with contextlib.suppress(SwapError):
            active = slot.find(active_id).title
    in_use = f"{active} (in use)" if active else "None yet"
    return [(in_use, "active"), *((each.title, each.id) for each in listed)]


def banner(slot: ModelSlot[Predictor]) -> str:
    """What the last run did to this slot, in a sentence."""
    if slot.notice:
        return notice(html.escape(slot.notice), "bad")
    if not slot.active_id:
        return notice(EMPTY)
    found = open_index(slot.runs)
    for entry in found.newest():
        swap = entry.swap
        if swap and entry.slot == slot.name:
            run = found.open(entry)
            name = html.escape(checkpoint.of_run(run).title)
            why = html.escape(swap["why"])
            if swap["outcome"] == "swapped" and slot.active_id == run.id:
                return notice(f"<b>{name}</b> is now in use. {sentence(why)}.", "good")
            if swap["outcome"] == "refused":
                return notice(why, "bad")  # names the checkpoint itself
            if swap["outcome"] in ("offered", "kept") and slot.active_id != run.id:
                state = {"offered": "is ready to use", "kept": "is not used"}[swap["outcome"]]
                return notice(f"<b>{name}</b> {state}. {sentence(why)}.", "note")
            return ""
    return ""
