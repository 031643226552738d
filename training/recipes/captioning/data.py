"""The data of the captioning recipe: pictures, each with the sentences that people wrote of it,
from the Hub, from the sample or from a folder. Parts are made by picture, never by caption.
"""

import csv
import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from training.data import hub
from training.data.examples import (
    Data,
    compute_revision,
    find_distinct,
    list_splits,
    read_column,
    read_table,
    split_off_test,
)
from training.data.pictures import KIND, Pictures
from training.data.splits import bucket
from training.media.pictures import ENDINGS, load_picture
from training.recipe import SettingsError

SAMPLE = "480 scenes drawn by this project's code"
TESTS = ("validation", "valid", "val", "test")
COLUMN = re.compile(
    r"(caption|captions|text|texts|sentence|sentences|raw|description)(_?\d+)?$", re.I
)
NAMES = ("file_name", "filename", "file", "image", "image_name", "image_id", "path", "picture")
LISTS = ("captions.csv", "captions.txt", "metadata.jsonl")
LEAST = 10  # pictures of a person's own folder


def tidy(text: object) -> str:
    """One line, without the full stop that some captions end with and others do not."""
    return re.sub(r"[\s.]+$", "", " ".join(str(text or "").split()))


def load(dataset: str, source: str, folder: str = "") -> Data[Image.Image]:
    """Everything but the test part is train; `hold_out` parts it again; `texts` are lists. Raises
    SettingsError."""
    if source == "folder":
        return load_from_folder(Path(folder))
    return load_from_hub(dataset) if source == "hub" else _draw_sample()


# A run asks for its data more than once: to train, and to be examined.
load_once = functools.lru_cache(maxsize=2)(load)


def _make_pictures(
    read: Callable[[int], Image.Image], keys: np.ndarray, texts: list[list[str]]
) -> Pictures:
    return Pictures(read, np.arange(len(keys)), None, keys, texts)


def list_captions(pictures: Pictures) -> list[list[str]]:
    """Those of each picture, in the order of the pictures."""
    by_place = _all_captions(pictures)
    return [by_place[place] for place in pictures.places]


def _all_captions(pictures: Pictures) -> Sequence[list[str]]:
    """By place, of the whole data set."""
    return cast(Sequence[list[str]], pictures.texts)


def _draw_sample() -> Data[Image.Image]:
    from training.samples.scenes import COUNT

    return split_off_test(_draw(COUNT, 0), [], KIND.name, SAMPLE, "drawn, seed 0", [])


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
def load_from_hub(dataset: str) -> Data[Image.Image]:
    """The train split and the first of TESTS; without one, a part of train. Raises
    SettingsError."""
    splits = list_splits(dataset)
    train, revision = _read_split(dataset, "train")
    held = next((split for split in TESTS if split in splits), None)
    if held is None:
        return split_off_test(train, [], KIND.name, dataset, revision, [])
    test, _ = _read_split(dataset, held)
    about = f"the {len(test):,} {held} pictures of {dataset}"
    return Data(train, test, [], dataset, about, revision)


def _read_split(dataset: str, split: str) -> tuple[Pictures, str]:
    import datasets

    rows, revision = hub.load_dataset(dataset, split)
    column = next(
        (name for name, f in rows.features.items() if isinstance(f, datasets.Image)), None
    )
    captions = [name for name in rows.column_names if COLUMN.match(name)]
    if column is None or not captions:
        raise SettingsError(
            f"{dataset} holds no pictures with captions; its columns are "
            f"{', '.join(rows.column_names)}."
        )
    table = read_table(rows)
    content, keys = read_column(table, column)
    columns = [table.column(name).to_pylist() for name in captions]
    texts = [
        [text for text in map(tidy, _flatten(row)) if text] for row in zip(*columns, strict=True)
    ]
    pictures = _make_pictures(lambda i: load_picture(content(i)), keys, texts)
    return pictures[np.flatnonzero([bool(t) for t in texts])], revision


def _flatten(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flatten(value)
        elif isinstance(value, dict):
            yield from _flatten(v for k, v in value.items() if COLUMN.match(k))
        elif value is not None:
            yield value


# -- a folder of one's own -------------------------------------------------------------------------
def load_from_folder(folder: Path) -> Data[Image.Image]:
    """Pictures and a list of their captions; what cannot be used is told. Raises SettingsError."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder. Give one that holds pictures and {', '.join(LISTS)}."
        )
    folder = folder.resolve()
    path = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    if path is None:
        raise SettingsError(
            f"{folder} holds no list of captions. Put captions.csv (columns file_name and "
            "caption), captions.txt (lines like dog.jpg#0 and a tab, then the caption) or "
            'metadata.jsonl ({"file_name": ..., "text": ...}) beside the pictures.'
        )
    captions, problems = _read_list(path)
    known = [name for name in captions if _is_inside(folder, name)]
    problems += [
        f"{name}: no such picture in the folder" for name in captions if name not in set(known)
    ]
    paths = [(folder / name).resolve() for name in known]
    good, keys, unusable = find_distinct(folder, paths, KIND, "shows")
    problems += unusable
    files = [folder / known[i] for i in good]
    texts = [captions[known[i]] for i in good]
    if len(files) < LEAST:
        raise SettingsError(
            f"{path.name} names {len(files)} usable pictures with captions; at least {LEAST} are "
            "needed. " + " ".join(problems[:3])
        )
    pictures = _make_pictures(lambda i: load_picture(files[i]), keys, texts)
    name = f"the folder {folder.name}"
    return split_off_test(pictures, [], KIND.name, name, compute_revision(keys), problems)


def _is_inside(folder: Path, name: str) -> bool:
    """A picture in the folder or below it; a list may not name files elsewhere."""
    path = (folder / name).resolve()
    return path.is_relative_to(folder.resolve()) and path.is_file()


def _read_list(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Each picture's captions, and what was wrong with the list. Raises SettingsError."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path.name} is not text in UTF-8: save it so, and try again."
        ) from error
    parse = {".csv": _read_table, ".txt": _read_lines, ".jsonl": _read_records}[path.suffix]
    captions: dict[str, list[str]] = {}
    problems: list[str] = []
    for number, name, said in parse(text, path.name):
        words = [tidy(each) for each in said]
        if not name or not any(words):
            problems.append(
                f"{path.name}, line {number}: {'no caption' if name else 'cannot be read'}; left "
                "out"
            )
        else:
            captions.setdefault(name, []).extend(word for word in words if word)
    return captions, problems


def _read_table(text: str, file: str) -> Iterator[tuple[int, str, list[str]]]:
    """Comma, semicolon or tab; a heading names the columns."""
    first = text.split("\n", 1)[0]
    rows = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    heading = [name.strip().lower() for name in next(rows, [])]
    name = next((heading.index(n) for n in NAMES if n in heading), None)
    told = [i for i, n in enumerate(heading) if COLUMN.match(n)]
    if name is None or not told:
        raise SettingsError(
            f"{file} needs a first line that names its columns: file_name and caption. It is: "
            f"{first.strip()[:80]!r}."
        )
    for row in rows:
        if row:
            whole = len(row) >= len(heading)
            yield (
                rows.line_num,
                row[name].strip() if whole else "",
                [row[i] for i in told] if whole else [],
            )


def _read_lines(text: str, file: str) -> Iterator[tuple[int, str, list[str]]]:
    """Flickr's own form, `dog.jpg#0<tab>A dog runs .`, and `dog.jpg,A dog runs.` or `dog.jpg|0|A
    dog runs.`"""
    ending = "|".join(re.escape(e) for e in ENDINGS)
    line_is = re.compile(
        rf"(?P<name>.+?(?:{ending}))(?:#\d+)?\s*[\t,|;]\s*(?:\d+\s*\|\s*)?(?P<said>.*)$", re.I
    )
    for number, line in enumerate(text.splitlines(), 1):
        if found := line_is.match(line.strip()):
            yield number, found["name"].strip(), [found["said"].strip().strip('"')]
        elif line.strip() and number > 1:  # the first one may be a heading
            yield number, "", []


def _read_records(text: str, file: str) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name = next((str(record[n]) for n in NAMES if n in record), "")
            yield number, name, list(_flatten(v for k, v in record.items() if COLUMN.match(k)))
        except (ValueError, AttributeError, TypeError):
            yield number, "", []
