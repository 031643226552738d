"""What a data set of the Hub holds, on the Train tab before Start: five examples, its classes and
their counts."""

import base64
import html
from collections.abc import Mapping

import gradio as gr

from demos import page
from training import recipe
from training.data import hub
from training.data.hub_preview import Preview, Sample, preview
from training.data.hub_rows import make_choice
from training.media.pictures import PictureError, load_picture
from training.recipe import SettingsError
from training.wording import counted, in_words, measured

SIDE = 176  # pixels of a thumbnail, which is shown at half of it
LOUDEST = 1_000_000  # bytes of a sound that is put into the page
CLASSES = 12  # that are named


def look_at_data(recipe_name: str, settings: Mapping[str, object], training: bool) -> str:
    """Of the data set that the settings name, as HTML."""
    page.refuse_unless(training)
    try:
        config = recipe.parse(recipe.load(recipe_name).config, settings, local=False)
        name = getattr(config, "dataset", "")
        if getattr(config, "source", "") != "hub" or not hasattr(config, "train_split"):
            raise SettingsError(
                "Only a data set of the Hub has a preview: choose the source hub, and its name."
            )
        subset = getattr(config, "subset", "") or getattr(config, "language", "")
        if subset and len(parts := hub.list_configs(name)) == 1 and subset not in parts:
            subset = ""  # what nobody chose need not be there
        return draw(preview(name, subset, make_choice(config)))
    except SettingsError as error:
        raise gr.Error(str(error)) from error


def draw(seen: Preview) -> str:
    """All that it holds was written by a stranger."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in seen.splits.items())
    size = measured(seen.bytes)
    lines = [f"<b>{html.escape(seen.name)}</b>: {html.escape(splits)} {seen.things}; {size}"]
    if seen.classes:
        most = sorted(seen.classes.items(), key=lambda each: -each[1])
        some = ", ".join(f"{html.escape(in_words(name))} {n:,}" for name, n in most[:CLASSES])
        more = f" and {len(most) - CLASSES} more" * (len(most) > CLASSES)
        lines.append(f"{counted(len(most), 'class', 'classes')}: {some}{more}")
    lines += [html.escape(note) for note in seen.notes]
    shown = "".join(_draw_sample(each, seen.things) for each in seen.samples)
    words = "<br>".join(lines)
    return page.notice(f'{words}<div class="samples">{shown}</div>')


def _draw_sample(sample: Sample, things: str) -> str:
    said = html.escape(in_words(sample.said) if things == "pictures" else sample.said, quote=True)
    words = f"<figcaption>{said}</figcaption>"
    if things == "sounds":
        if len(sample.content) > LOUDEST:
            return f"<figure>{words}(too long to be heard here)</figure>"
        sound = base64.b64encode(sample.content).decode()
        source = f"data:audio/*;base64,{sound}"
        return (
            f'<figure>{words}<audio controls aria-label="{said}" src="{source}"></audio></figure>'
        )
    try:
        picture = load_picture(sample.content).convert("RGB")
    except PictureError as error:
        return f"<figure>{html.escape(str(error))}{words}</figure>"
    picture.thumbnail((SIDE, SIDE))
    return f'<figure><img alt="{said}" src="{page.data_uri(picture, "JPEG")}">{words}</figure>'


# -- the button ------------------------------------------------------------------------------------
def lay_out() -> tuple[gr.Button, gr.HTML]:
    """The button, and what it shows."""
    look = gr.Button("Preview the data set", size="sm", visible=False, elem_id="preview-data")
    return look, gr.HTML(elem_id="previewed")


def offer(recipe_name: str, settings: Mapping[str, object]) -> list[object]:
    """Updates of these two once a form's settings are others: the button is there where a data set
    of the Hub is chosen, and what was seen was perhaps another one."""
    has = hasattr(recipe.load(recipe_name).config, "train_split")
    return [gr.update(visible=has and settings.get("source") == "hub"), ""]
