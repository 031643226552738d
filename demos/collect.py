"""Collect by class, on the Train tab: pictures from the webcam as long as a button is held, clips
from the microphone, files into a class; what is wrong is taken out, renamed, merged, taken back.

The browser draws the cards (collect.js, collect_live.js, collect.css) and asks for one thing at a
time, by a function of its component, which is no endpoint. Each answer holds the cards as they are
now, and the sentence that is shown. What was done lies in the browser, so that nobody takes back
what another one did.
"""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile
from gradio.data_classes import FileData

from demos import own_view, page
from demos.own_data import OwnData
from demos.refusals import OWN_FAULT
from demos.serving import uploads
from training.data.checks.findings import list_alike
from training.data.own import corrections, data_set
from training.data.own.data_set import DataSet, Item
from training.data.own.records import Correction, check_label, check_name
from training.media.pictures import PictureError, load_picture
from training.media.sound_cut import Cut, cut_at_pauses, cut_evenly, describe_cut
from training.media.sounds import SoundError, from_bytes
from training.recipe import SettingsError
from training.runs.records import is_disk_full
from training.wording import counted, in_words, quote

log = logging.getLogger("transfer_lab")
HERE = Path(__file__).parent
SCRIPTS = ("collect.js", "collect_live.js")
HOLD = 300  # pictures, as long as the button is held
RECORDING = 300  # seconds
BATCH = 60  # pictures, of one request
FRAME = 4 * 2**20  # characters of a picture
NEWEST = 400  # items of a class that are shown
ASIDE = 100  # likewise, of those that are left out
LOOKS = 60  # thumbnails of one request
LARGE = 480  # pixels of a side
CUTS = {  # what the browser sends, and how it is called
    "1": "1 second each",
    "2": "2 seconds each",
    "5": "5 seconds each",
    "10": "10 seconds each",
    "pauses": "at pauses",
    "whole": "not at all",
}
Asked = Mapping[str, Any]  # by a browser: anything may be in it
Answer = dict[str, Any]


def build(own: OwnData) -> gr.HTML:
    """The cards. Their value is the name of the data set that they are of; they send `chose` when a
    person goes on with another one, and `changed` when that one holds something else."""
    collector = Collector(own)

    def collect_by_class(asked: object) -> Answer:
        return collector.answer(asked)

    cards = gr.HTML(
        value="",
        html_template='<div class="collect"></div>',
        css_template=(HERE / "collect.css").read_text("utf-8"),
        js_on_load="".join((HERE / name).read_text("utf-8") for name in SCRIPTS),
        server_functions=[collect_by_class],
        apply_default_css=False,
        elem_id="collect",
        hold=HOLD,
        recording=RECORDING,
        cuts=CUTS,
    )
    collector.keep_upload = lambda path: page.keep_upload(cards, FileData(path=path))
    return cards


class Collector:
    """What a browser may ask for, and the answers: dictionaries for JSON."""

    def __init__(self, own: OwnData):
        self.own = own
        # The path of a file that was uploaded. Raises gr.Error for any other.
        self.keep_upload: Callable[[str], str | None] = lambda path: None

    def answer(self, asked: object) -> Answer:
        """What is asked for by `do`; what cannot be done is a sentence under `error`."""
        try:
            if not isinstance(asked, Mapping):
                raise SettingsError("This asks for nothing: reload the page.")
            does = {
                "open": self.show,
                "thumbs": self.draw_thumbs,
                "look": self.look,
                "add frames": self.add_frames,
                "add sound": self.add_sound,
                "add files": self.add_files,
                "remove": self.remove,
                "put back": self.put_back,
                "undo": self.undo,
                "rename class": self.rename_class,
                "rename": self.rename,
            }.get(_text(asked, "do"))
            if does is None:
                raise SettingsError("The app knows no such thing: reload the page.")
            return does(asked)
        except SettingsError as error:
            told = str(error)
        except gr.Error as error:
            told = error.message
        except Exception as error:
            told = uploads.NO_ROOM if is_disk_full(error) else OWN_FAULT
            log.exception("collecting failed")
        return {"error": told, **self._describe_again(asked)}

    def _describe_again(self, asked: object) -> Answer:
        """As it is after something could not be done; others may have deleted it."""
        name = asked.get("name") if isinstance(asked, Mapping) else None
        try:
            return self.describe(check_name(name))
        except (SettingsError, gr.Error, OSError):
            return {}

    # -- looking -----------------------------------------------------------------------------------
    def show(self, asked: Asked) -> Answer:
        name = str(asked.get("name") or "")
        return self.describe(check_name(name) if name.strip() else "")

    def describe(self, name: str) -> Answer:
        """The cards of a data set that may not be there yet. Raises SettingsError, gr.Error."""
        page.refuse_unless(self.own.lab.training)
        names = data_set.list_names(self.own.lab.runs)
        shown: Answer = {"name": name, "names": names, "there": name in names, "kind": ""}
        if name not in names:
            return {**shown, "classes": [], "alike": {}}
        found = self.own.find(name)
        items = _group(found.list_items())
        aside = _group(found.list_left_out())
        labels = sorted({*items, *aside} - {""})
        counts = {label: len(items.get(label, [])) for label in labels}
        return {
            **shown,
            "kind": found.kind,
            "classes": [
                {
                    "label": label,
                    "count": counts[label],
                    "items": items.get(label, [])[:NEWEST],
                    "aside": aside.get(label, [])[:ASIDE],
                }
                for label in labels
            ],
            "alike": {label: group[0] for group in list_alike(counts) for label in group[1:]},
        }

    def draw_thumbs(self, asked: Asked) -> Answer:
        """{thumbs: by the items' hashes}; nothing of one that is gone meanwhile."""
        found = self.own.find(_text(asked, "name"))
        wanted = set(_texts(asked, "items")[:LOOKS])
        drawn = {}
        for item in [*found.list_items(), *found.list_left_out()]:
            if item.id in wanted:
                try:
                    drawn[item.id] = own_view.inline(item.path, found.kind)
                except OSError:  # it was moved since it was listed
                    continue
        return {"thumbs": drawn}

    def look(self, asked: Asked) -> Answer:
        """{large: HTML}"""
        found = self.own.find(_text(asked, "name"))
        item = found.find_items(_text(asked, "item"), left_out=True)[0]
        return {"large": own_view.draw_large(item, found.kind, LARGE)}

    # -- adding ------------------------------------------------------------------------------------
    def add_frames(self, asked: Asked) -> Answer:
        """Pictures of a webcam; those that cannot be read are left out, and the others stay."""
        frames = _texts(asked, "frames")
        if len(frames) > BATCH or any(len(frame) > FRAME for frame in frames):
            raise SettingsError("These are too many pictures at once, or too large ones.")
        with _make_folder() as made:
            folder = Path(made)
            stem = time.strftime("webcam %Y-%m-%d %H-%M-%S")
            files = []
            for number, frame in enumerate(frames, 1):
                if content := _read_frame(frame):
                    path = folder / f"{stem} {number:02}.jpg"
                    path.write_bytes(content)
                    files.append(path)
            lost = len(frames) - len(files)
            said = [f"{counted(lost, 'picture')} could not be read: left out."] if lost else []
            if not files:
                raise SettingsError(" ".join([*said, "Close the webcam, and open it again."]))
            return self._add(asked, files, "webcam", said)

    def add_sound(self, asked: Asked) -> Answer:
        """A recording, cut into clips."""
        how = _text(asked, "cut")
        if how not in CUTS:
            raise SettingsError(f"A recording is cut {', '.join(CUTS.values())}.")
        try:
            sound = from_bytes(page.read_inline(_text(asked, "sound")), longest=RECORDING)
        except SoundError as error:
            raise SettingsError(str(error)) from error
        if how == "whole":
            cut = Cut([sound.samples])
        elif how == "pauses":
            cut = cut_at_pauses(sound.samples, sound.rate)
        else:
            cut = cut_evenly(sound.samples, sound.rate, float(how))
        said = describe_cut(cut)
        if not cut.pieces:
            raise SettingsError(" ".join(["Nothing was added.", *said, "Record again, louder."]))
        with _make_folder() as made:
            folder = Path(made)
            stem = time.strftime("recording %Y-%m-%d %H-%M-%S")
            files = [folder / f"{stem} {number:03}.wav" for number in range(1, len(cut.pieces) + 1)]
            for path, piece in zip(files, cut.pieces, strict=True):
                soundfile.write(path, piece, sound.rate, "PCM_16")
            return self._add(asked, files, "microphone", said)

    def add_files(self, asked: Asked) -> Answer:
        files = [path for each in _texts(asked, "paths") if (path := self.keep_upload(each))]
        return self._add(asked, [Path(path) for path in files], "", [])

    def _add(self, asked: Asked, files: list[Path], collected: str, said: list[str]) -> Answer:
        """{..., added: items, notes: what is to be said of it}. Raises SettingsError."""
        name = check_name(asked.get("name"))
        label = check_label(_text(asked, "label"))
        if asked.get("there") and name not in data_set.list_names(self.own.lab.runs):
            raise SettingsError(
                f"There is no data set {quote(name)} any more: somebody has deleted or renamed it. "
                "What you add now makes a new one of this name."
            )
        paths = [str(path) for path in files]
        added = self.own.add_files(paths, name, label, collected=collected)
        said += [line if line.endswith(".") else f"{line}." for line in added.problems]
        return {**self.describe(name), "added": added.items, "notes": said}

    # -- taking out, and back ----------------------------------------------------------------------
    def remove(self, asked: Asked) -> Answer:
        found = self.own.find(_text(asked, "name"))
        made = corrections.leave_out_all(found, _texts(asked, "items"))
        return self._tell_decided(found, made, "left out")

    def put_back(self, asked: Asked) -> Answer:
        found = self.own.find(_text(asked, "name"))
        made = corrections.put_back(found, _texts(asked, "items"))
        return {
            **self.describe(found.name),
            "taken_back": [each["at"] for each in made],
            "told": f"{_count(found, made)} put back.",
        }

    def undo(self, asked: Asked) -> Answer:
        """`added` items are left out again, `decisions` are taken back, or the data set is called
        `was` again."""
        if asked.get("was"):
            return self.rename({"name": asked.get("name"), "new": asked["was"]})
        found = self.own.find(_text(asked, "name"))
        if asked.get("added"):
            made = corrections.leave_out_all(found, _texts(asked, "added"))
            told = f"Undone: {_count(found, made)} left out again."
        else:
            made = corrections.undo_all(found, _numbers(asked, "decisions"))
            told = f"Undone: {_describe_undone(found, made)}."
        return {**self.describe(found.name), "told": told}

    # -- names -------------------------------------------------------------------------------------
    def rename_class(self, asked: Asked) -> Answer:
        """A class that is called as another one becomes part of it."""
        found = self.own.find(_text(asked, "name"))
        made = corrections.rename_class(found, _text(asked, "label"), _text(asked, "new"))
        return {**self._tell_decided(found, [made], ""), "label": made["after"]}

    def rename(self, asked: Asked) -> Answer:
        page.refuse_unless(self.own.lab.training)
        name = check_name(asked.get("name"))
        found = data_set.rename(self.own.lab.runs, name, _text(asked, "new"))
        told = f"{name} is called {found.name} now."
        return {**self.describe(found.name), "was": name, "told": told}

    def _tell_decided(self, found: DataSet, made: list[Correction], did: str) -> Answer:
        return {
            **self.describe(found.name),
            "decisions": [each["at"] for each in made],
            "told": f"{_describe(found, made, did)}.",
        }


# -- in words --------------------------------------------------------------------------------------
def _describe(found: DataSet, made: list[Correction], did: str) -> str:
    first = made[0]
    if first["did"] in ("merge", "rename"):
        return own_view.describe_correction(first).removesuffix(".")
    return f"{_count(found, made)} {did}"


def _describe_undone(found: DataSet, made: list[Correction]) -> str:
    first = made[0]
    if first["did"] == "merge":
        return f"{in_words(first['before'])} is a class of its own again"
    if first["did"] == "rename":
        return f"{in_words(first['after'])} is called {in_words(first['before'])} again"
    return f"{_count(found, made)} put back"


def _count(found: DataSet, made: list[Correction]) -> str:
    return counted(len(made), "clip" if found.kind == "sounds" else "picture")


def _group(items: list[Item]) -> dict[str, list[str]]:
    """Hashes by class, the newest first, each once."""
    groups: dict[str, dict[str, int]] = {}
    for item in items:
        try:
            when = item.path.stat().st_mtime_ns
        except OSError:  # it was moved since it was listed
            when = 0
        groups.setdefault(item.label, {})[item.id] = when
    return {
        label: sorted(held, key=held.__getitem__, reverse=True) for label, held in groups.items()
    }


# -- what a browser sends --------------------------------------------------------------------------
def _make_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=uploads.claim_folder())


def _read_frame(frame: str) -> bytes | None:
    """A JPEG that can be decoded whole."""
    try:
        content = page.read_inline(frame)
        load_picture(content)
    except (gr.Error, PictureError):
        return None
    return content if content.startswith(b"\xff\xd8\xff") else None


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise SettingsError(f"{name} is missing: reload the page, and try again.")
    return value


def _texts(asked: Asked, name: str) -> list[str]:
    value = asked.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SettingsError(f"{name} is missing: reload the page, and try again.")
    if not value:
        raise SettingsError("Nothing was chosen: choose one or more first.")
    return value


def _numbers(asked: Asked, name: str) -> list[float]:
    value = asked.get(name)
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise SettingsError(f"{name} is missing: reload the page, and try again.")
    return [float(each) for each in value if math.isfinite(each)]
