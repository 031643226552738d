"""What the form's choice of data is, in a few lines above Start: how many examples, which classes,
and some of them to see. Nothing is fetched for it."""

import functools
import html
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from demos import own_view, page
from training import recipe
from training.data.examples import Data, Examples
from training.data.own import data_set
from training.recipe import Recipe, SettingsError
from training.wording import counted, in_words, sentence

SEEN = 8  # thumbnails
SIDE = 56  # pixels of one
CLASSES = 8  # that are named
BRING = "Choose one of your data sets, or bring one: “Your own data” above."
FETCHED = "It is fetched when the run starts, and kept."


def draw(made: Recipe, settings: Mapping[str, object], runs: Path) -> str:
    """HTML, for the form as it is filled in."""
    draft = recipe.parse_draft(made.config, settings)
    source = getattr(draft, "source", "")
    name = str(getattr(draft, "dataset", ""))
    if source == "sample" and made.sample is not None:
        return _draw_sample(made, name)
    if source == "own":
        return _draw_own(runs, name, getattr(made.config, "own_kind", ""))
    if source == "hub":
        return _card(f"<b>{html.escape(name)}</b> on the Hub. {FETCHED}")
    return ""


def _card(*lines: str) -> str:
    return f'<div class="data-card">{"".join(lines)}</div>'


def _draw_own(runs: Path, name: str, kind: str) -> str:
    try:
        found = data_set.find(runs, name)
    except SettingsError:
        return page.notice(BRING)
    if found.kind != kind:
        return page.notice(BRING)
    items = found.list_items()
    preview = found.preview()
    counts = {label: sum(splits.values()) for label, splits in preview.classes.items()}
    things = "sound" if found.kind == "sounds" else "picture"
    return _card(
        f"<b>{html.escape(found.name)}</b>: {counted(len(items), things)}{_name_classes(counts)}.",
        f'<div class="thumbs">{own_view.draw_some(items, found.kind)}</div>',
    )


@functools.lru_cache(maxsize=8)
def _draw_sample(made: Recipe, name: str) -> str:
    """`name`: which, of a recipe that has several."""
    assert made.sample is not None
    data: Data = made.sample(recipe.parse_draft(made.config, {"dataset": name}))
    whole = f"{len(data.train):,} to learn from, {len(data.test):,} for the test"
    labels = data.train.strata
    counts = {each: int((labels == place).sum()) for place, each in enumerate(data.classes)}
    return _card(
        f"{html.escape(sentence(data.name))}: {whole}{_name_classes(counts)}.",
        f'<div class="thumbs">{_draw_some(data)}</div>',
    )


def _name_classes(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    most = sorted(counts, key=lambda each: -counts[each])[:CLASSES]
    more = f" and {len(counts) - len(most)} more" * (len(counts) > len(most))
    named = ", ".join(html.escape(in_words(each)) for each in most)
    return f", {counted(len(counts), 'class', 'classes')}: {named}{more}"


def _draw_some(data: Data) -> str:
    """One of each class, or some; of sounds what is said in them, where that is known."""
    part = data.train
    places = _choose(part, len(data.classes))
    first = part.read_one(places[0])
    if isinstance(first, np.ndarray) and first.ndim == 1:
        return ""
    shown = []
    for place in places:
        thing = part.read_one(place)
        picture = Image.fromarray(thing) if isinstance(thing, np.ndarray) else thing
        small = ImageOps.contain(picture.convert("RGB"), (SIDE * 2, SIDE * 2))
        word = in_words(data.classes[part.strata[place]]) if data.classes else "an example"
        words = html.escape(word, quote=True)
        shown.append(f'<img alt="{words}" title="{words}" src="{page.data_uri(small, "JPEG")}">')
    return "".join(shown)


def _choose(part: Examples, classes: int) -> list[int]:
    """The first of each of some classes, or some from all over."""
    if not classes:
        return [int(each) for each in np.linspace(0, len(part) - 1, SEEN)]
    firsts = [np.flatnonzero(part.strata == label)[:1] for label in range(classes)]
    return [int(each[0]) for each in firsts if len(each)][:SEEN]
