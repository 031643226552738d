"""What the page shows of an own data set: its data card, and what should be looked at."""

import base64
import functools
import html
import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from training.data.own.corrections import list_named
from training.data.own.data_set import DataSet, Item, read_id
from training.data.own.records import Correction
from training.media.pictures import PictureError, flatten, load_picture
from training.own_data import list_doubts, read_facts
from training.runs.run import Run
from training.wording import counted, in_words

THUMB = 96  # pixels of a side
SHOWN = 6  # thumbnails of a class
CLASSES = 40  # that are shown one by one
SUSPECTS = 24  # that are shown at once
HEARD = 60.0  # seconds of a sound that can be heard
PAPER = (238, 240, 243)


# -- the card --------------------------------------------------------------------------------------
def draw_card(found: DataSet) -> str:
    """Counts by class with some examples each, sizes, and what was refused when it came."""
    record = found.record
    preview = found.preview()
    items = found.list_items()
    left_out = len(found.list_left_out())
    facts = [counted(len(items), "sound" if found.kind == "sounds" else "picture")]
    if preview.classes:
        facts.append(counted(len(preview.classes), "class", "classes"))
    if preview.sides:
        facts.append(f"short side {_span(preview.sides, 0)} pixels")
    if preview.seconds:
        facts.append(f"{_span(preview.seconds, 1)} s")
    if preview.words:
        facts.append(f"{_span(preview.words, 0)} words a sentence")
    if left_out:
        facts.append(f"{left_out:,} left out")
    facts.append(f"{preview.bytes / 1e6:.1f} MB")
    rows = []
    most = max((sum(counts.values()) for counts in preview.classes.values()), default=1)
    for label, counts in list(preview.classes.items())[:CLASSES]:
        own = [item for item in items if item.label == label]
        total = sum(counts.values())
        splits = ", ".join(f"{split} {n:,}" for split, n in counts.items())
        rows.append(
            f"<tr><th scope='row'>{html.escape(in_words(label))}</th>"
            f"<td><span class='meter'><i style='width:{total / most:.0%}'></i></span>{total:,}"
            f"{f' <small>({splits})</small>' if len(counts) > 1 else ''}</td>"
            f"<td class='thumbs'>{draw_some(own, found.kind)}</td></tr>"
        )
    if not preview.classes:
        rows = [
            f"<tr><td class='thumbs'>{draw_some([item], found.kind)}</td>"
            f"<td>{'<br>'.join(html.escape(text) for text in item.captions)}</td></tr>"
            for item in items[:SHOWN]
        ]
    rest = len(preview.classes) - CLASSES
    notes = [*record.get("notes", []), *record.get("problems", [])]
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes[:12])
    return (
        f"<div class='card'><h4>{html.escape(found.name)}</h4><p>{', '.join(facts)}.</p>"
        f"<div class='wide'><table>{''.join(rows)}</table></div>"
        + (f"<p>and {counted(rest, 'more class', 'more classes')}</p>" if rest > 0 else "")
        + (f"<h4>What was said when it came</h4><ul>{listed}</ul>" if listed else "")
        + "</div>"
    )


def _span(numbers: tuple[float, float, float], places: int) -> str:
    """Of (least, middle, most)."""
    low, high = (f"{number:.{places}f}" for number in numbers[::2])
    return low if low == high else f"{low} to {high}"


def draw_some(items: list[Item], kind: str) -> str:
    """A few of them, evenly chosen."""
    some = items[:: max(1, len(items) // SHOWN)][:SHOWN]
    return "".join(
        '<img alt="{0}" title="{0}" src="{1}">'.format(
            html.escape(item.name), inline(item.path, kind)
        )
        for item in some
    )


@functools.lru_cache(maxsize=2000)
def inline(path: Path, kind: str, side: int = THUMB) -> str:
    """A small picture of it, in the page itself: nothing is served from a path."""
    file = io.BytesIO()
    draw_small(path, kind, side).save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def draw_thumbnail(path: Path, kind: str, side: int = THUMB) -> Image.Image:
    """The same in the middle of a square."""
    sheet = Image.new("RGB", (side, side), PAPER)
    picture = draw_small(path, kind, side)
    sheet.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return sheet


def draw_small(path: Path, kind: str, side: int = THUMB) -> Image.Image:
    """A picture, its longer side so long, or the wave of a sound; an empty square of what cannot be
    opened."""
    sheet = Image.new("RGB", (side, side), PAPER)
    if kind == "sounds":
        return draw_wave(path, sheet)
    try:
        picture = load_picture(path, longest=side)
    except PictureError:
        return sheet
    small = ImageOps.contain(picture, (side, side))  # small ones are enlarged
    return flatten(small)


def draw_large(item: Item, kind: str, side: int) -> str:
    """To be seen whole, or heard."""
    if kind == "sounds":
        return draw_player(item.path)
    large = inline(item.path, kind, side)
    return f'<img class="large" alt="{html.escape(item.name)}" src="{large}">'


def draw_player(path: Path) -> str:
    """What a model hears of a sound: browsers play few of the kinds that are read here."""
    import soundfile

    from training.media.sounds import SoundError, load_sound

    try:
        sound = load_sound(path, longest=HEARD)
    except SoundError as error:
        return f"<p>{html.escape(str(error))}</p>"
    file = io.BytesIO()
    soundfile.write(file, sound.samples, sound.rate, "PCM_16", format="WAV")
    uri = f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"
    return f'<audio controls src="{uri}"></audio>'


def draw_wave(path: Path, sheet: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import ImageDraw

    from training.media.sounds import SoundError, load_sound

    try:
        samples = load_sound(path).samples
    except SoundError:
        return sheet
    side = sheet.width
    peaks = [float(np.abs(part).max(initial=0)) for part in np.array_split(samples, side // 3)]
    draw = ImageDraw.Draw(sheet)
    top = max(max(peaks), 1e-3)
    for column, peak in enumerate(peaks):
        high = max(1, round(peak / top * side * 0.45))
        x = column * 3 + 1
        draw.line((x, side // 2 - high, x, side // 2 + high), fill=(79, 70, 229), width=2)
    return sheet


# -- what should be looked at ----------------------------------------------------------------------
class Suspect(dict[str, Any]):
    """{id, path, name, label, said, why}, of an item that is suspected of something."""


def list_suspects(found: DataSet, checked: dict[str, Any]) -> list[Suspect]:
    """The likeliest first: labels that a run's folds took for wrong, then what the checks say of
    single items. What a person has decided about is not asked again."""
    items = {item.id: item for item in found.list_items()}
    settled = list_named(found)
    sure = {each["item"]: each.get("confidence") for each in list_doubts(found)["suspects"]}
    suspects: dict[str, Suspect] = {}
    for finding in checked["findings"]:
        # Of what shows the same the first stays.
        listed = finding["items"] or [each for group in finding["groups"] for each in group[1:]]
        for each in listed:
            item = items.get(each)
            if item is None or each in suspects or each in settled:
                continue
            said = finding["suggested"].get(each, "")
            why = finding["kind"]
            if why == "wrong label":
                why = f"a model that had not seen it says {in_words(said)}"
                if isinstance(share := sure.get(each), int | float):
                    why += f" ({share:.0%})"
            suspects[each] = Suspect(
                id=each, path=item.path, name=item.name, label=item.label, said=said, why=why
            )
    return list(suspects.values())


def list_mistakes(run: Run, found: DataSet) -> list[Suspect]:
    """What a run got wrong of its data set, as its report shows them, where they are in it yet and
    labelled as they were."""
    facts = read_facts(run)
    items = {item.id: item for item in found.list_items()}
    listed: list[Suspect] = []
    for each in _list_shown(facts):
        item = items.get(read_id(str(each.get("file"))))
        if item is None or (item.label and item.label != each.get("truth")):
            continue
        said = str(each.get("said", ""))
        why = f"the model says {in_words(said)}" if item.label else f"the model says “{said}”"
        if isinstance(sure := each.get("confidence"), int | float):
            why += f" ({sure:.0%})"
        listed.append(
            Suspect(
                id=item.id,
                path=item.path,
                name=item.name,
                label=item.label,
                said=said if item.label else "",
                why=why,
            )
        )
    return listed


def _list_shown(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A classifier's mistakes, or the worst captions of a captioner. A report is a file, and may
    hold anything."""
    captions = facts.get("captions")
    shown = captions.get("worst") if isinstance(captions, dict) else facts.get("mistakes")
    return [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []


def draw_findings(checked: dict[str, Any]) -> str:
    findings = checked["findings"]
    if not findings:
        return "<p>Nothing is wrong with it, as far as can be seen without a model.</p>"
    lines = "".join(f"<li>{html.escape(each['sentence'])}</li>" for each in findings)
    return f"<ul>{lines}</ul>"


def describe_correction(made: Correction | dict[str, Any]) -> str:
    did = {
        "label": f"is {in_words(made['after'])} now, not {in_words(made['before'])}",
        "leave out": "is left out",
        "right": f"is right: {in_words(made['before'])}",
        "caption": "has other captions now",
        "rename": f"{in_words(made['before'])} is called {in_words(made['after'])} now",
        "merge": f"{in_words(made['before'])} is part of {in_words(made['after'])} now",
    }[made["did"]]
    return f"{made.get('name') or made['item']} {did}.".strip()
