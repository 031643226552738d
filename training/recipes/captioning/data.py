"""The data of the captioning recipe: pictures, each with the sentences that people wrote of it,
from the Hub, from the sample or from a folder. Parts are made by picture, never by caption.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from training.data.captions import COLUMN, flatten, read_captions, tidy
from training.data.examples import (
    Data,
    compute_revision,
    find_distinct,
    keep_splits,
    split_off_test,
)
from training.data.hub_examples import describe_test, read_column
from training.data.hub_rows import NOTHING_CHOSEN, Choice, Rows, Sought, make_choice
from training.data.hub_rows import load as load_rows
from training.data.own.data_set import DataSet
from training.data.pictures import KIND, Pictures
from training.data.problems import explain
from training.data.splits import bucket
from training.media.pictures import load_picture
from training.recipe import SettingsError
from training.recipes.captioning.config import Config
from training.runs.run import Run
from training.wording import counted, sentence

SAMPLE = "480 scenes drawn by this project's code"
TESTS = ("validation", "valid", "val", "test")
LEAST = 10  # pictures of a person's own folder


def load(
    dataset: str,
    source: str,
    folder: str = "",
    subset: str = "",
    captions: str = "",
    choice: Choice = NOTHING_CHOSEN,
) -> Data[Image.Image]:
    """Everything but the test part is train; `hold_out` parts it again; `texts` are lists.
    `subset`, `captions` (a column), `choice`: of a data set of the Hub. Raises SettingsError,
    Stopped."""
    if source == "own":
        own = DataSet(Path(folder))
        name = f"the data set {own.name}"
        return load_from_folder(own.data, name, own.revision, own.find_again)
    if source == "folder":
        return load_from_folder(Path(folder), f"the folder {Path(folder).name}")
    if source == "hub":
        return load_from_hub(dataset, subset, captions, choice)
    return _draw_sample()


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=2)(load)


def load_for(config: Config, run: Run | None = None) -> Data[Image.Image]:
    """What a config names; `run` is told how far that is. Raises SettingsError, Stopped."""
    choice = make_choice(config, run)
    named = (config.dataset, config.source, config.folder, config.subset, config.caption_column)
    return load_once(*named, choice)


def _make_pictures(
    read: Callable[[int], Image.Image],
    keys: np.ndarray,
    texts: list[list[str]],
    names: Sequence[str] | None = None,
) -> Pictures:
    return Pictures(read, np.arange(len(keys)), None, keys, texts, names)


def list_captions(pictures: Pictures) -> list[list[str]]:
    """Those of each picture, in the order of the pictures."""
    by_place = _all_captions(pictures)
    return [by_place[place] for place in pictures.places]


def _all_captions(pictures: Pictures) -> Sequence[list[str]]:
    """By place, of the whole data set."""
    return cast(Sequence[list[str]], pictures.texts)


def _draw_sample() -> Data[Image.Image]:
    from training.samples.scenes import COUNT

    return split_off_test(_draw(COUNT, 0), [], KIND.name, SAMPLE, "drawn, seed 0", [], True)


def _draw(count: int, seed: int) -> Pictures:
    from training.samples.scenes import scenes

    images, texts = scenes(count, seed)
    keys = np.array([bucket(image.tobytes()) for image in images])
    return _make_pictures(lambda i: Image.fromarray(images[i]), keys, texts)


def add_scenes(data: Data[Image.Image], count: int) -> Data[Image.Image]:
    """The same with so many drawn scenes, others than the sample's, behind its training
    pictures."""
    own = data.train
    drawn = _draw(count, 1)
    first = len(_all_captions(own))
    both = Pictures(
        lambda i: own.read(i) if i < first else drawn.read(i - first),
        np.concatenate([own.places, first + drawn.places]),
        None,
        np.concatenate([own.keys, drawn.keys]),
        [*_all_captions(own), *_all_captions(drawn)],
    )
    return dataclasses.replace(data, train=both)


# -- the Hub ---------------------------------------------------------------------------------------
def load_from_hub(
    dataset: str, subset: str = "", captions: str = "", choice: Choice = NOTHING_CHOSEN
) -> Data[Image.Image]:
    """The train split and the first of TESTS; without one, a part of train; `choice`: what a
    person chose in place of that. Raises SettingsError, Stopped."""

    def pick(names: list[str]) -> list[str]:
        return [name for name in names if (name == captions if captions else COLUMN.match(name))]

    things = f"pictures with captions{f' in a column {captions}' * bool(captions)}"
    sought = Sought(KIND.feature, things, TESTS, classed=False, pick_others=pick)
    found = load_rows(dataset, subset or None, choice, sought)
    train = _read_rows(found.train, found.column, dataset)
    if found.test is None:
        made = split_off_test(
            train, [], KIND.name, dataset, found.revision, [], share=found.share or 0.2
        )
        return dataclasses.replace(made, notes=found.notes)
    test = _read_rows(found.test, found.column, dataset)
    about = describe_test(found, len(test), KIND.name, dataset)
    return Data(train, test, [], dataset, about, found.revision, notes=found.notes)


def _read_rows(rows: Rows, column: str, dataset: str) -> Pictures:
    content, keys = read_column(rows.table, column, dataset)
    named = [name for name in rows.table.column_names if name != column]
    said = [rows.table.column(name).to_pylist() for name in named]
    texts = [[text for text in map(tidy, flatten(row)) if text] for row in zip(*said, strict=True)]
    pictures = _make_pictures(lambda i: load_picture(content(i)), keys, texts)
    return pictures[np.flatnonzero([bool(t) for t in texts])]


# -- a folder of one's own -------------------------------------------------------------------------
def load_from_folder(
    folder: Path,
    name: str,
    revision: str = "",
    find_again: Callable[[Path], Path] = lambda path: path,
) -> Data[Image.Image]:
    """Pictures and their captions; what cannot be used is told. `find_again`: where a file is now.
    Raises SettingsError."""
    found = read_captions(folder)
    good, keys, unread = find_distinct(folder.resolve(), found.files, KIND, "shows")
    found.problems += unread
    files = [found.files[i] for i in good]
    texts = [found.texts[i] for i in good]
    parts = [found.parts[i] for i in good]
    if len(files) < LEAST:
        called = sentence(name) if revision else folder
        raise SettingsError(
            f"{called} holds {counted(len(files), 'usable picture')} with captions; at least "
            f"{LEAST} are needed. {explain(found.problems, found.notes)}"
        )

    def read(i: int) -> Image.Image:
        return load_picture(files[i] if files[i].exists() else find_again(files[i]))

    pictures = _make_pictures(read, keys, texts, [path.name for path in files])
    data = Data(
        pictures,
        pictures[np.zeros(0, int)],
        [],
        name,
        "",
        revision or compute_revision(keys, parts),
        notes=found.notes,
    )
    return keep_splits(data, parts, KIND.name, found.problems)
