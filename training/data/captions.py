"""A person's own pictures and what is said of them, in whichever form people keep that.

    found = read_captions(Path("my-album"))

Lists: captions.csv, captions.tsv, captions.txt or metadata.csv (as imagefolder has it),
metadata.jsonl, COCO's images and annotations or another table of records in JSON. Texts beside the
pictures: dog.jpg and dog.txt or dog.caption. Any of it may lie in folders of splits, or deeper. A
list may name pictures of the folder only.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data.folders import PARTS, list_files, name_file
from training.data.problems import Problem, explain, name_some
from training.data.splits import find_split_word, name_splits
from training.recipe import SettingsError

LISTS = ("captions.csv", "captions.txt", "metadata.jsonl")  # that a person is told to make
# Where several lists lie side by side, the first one counts.
STEMS = ("caption", "captions", "metadata")
ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".json")
BESIDE = (".txt", ".caption")  # of a text beside a picture
COLUMN = re.compile(
    r"(caption|captions|text|texts|sentence|sentences|raw|description)(_?\d+)?$", re.I
)
COMMENT = "comment"  # what Flickr30k calls a caption
NAMES = (
    "file_name",
    "filename",
    "file",
    "image",
    "image_name",
    "image_file_name",
    "image_id",
    "path",
    "file_path",
    "filepath",
    "image_path",
    "picture",
)
SPLIT = "split"  # the column that says which one a picture belongs to
LINE_END = re.compile(r"\r\n|\n|\r")  # and nothing else: U+2028 and its like stand within a caption
# `dog.jpg#0<tab>A dog runs .` as Flickr8k has it, `dog.jpg,A dog runs.` or `dog.jpg|0|A dog runs.`
LINE = re.compile(
    r"(?P<name>.+?\.[a-z0-9]{2,5})(?:#\d+)?\s*[\t,|;]\s*(?:\d+\s*\|\s*)?(?P<said>.*)$", re.I
)


@dataclass(frozen=True)
class Entry:
    """What a list says of one picture."""

    where: str  # in the list: "line 7"
    name: str  # empty where the line cannot be read
    said: list[str]
    split: str = ""


@dataclass
class Captioned:
    """Pictures of a folder, each with its captions."""

    files: list[Path] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)  # split of each; empty where there are none
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how it was understood, in sentences


def tidy(text: object) -> str:
    """One line, without the full stop that some captions end with and others do not."""
    return re.sub(r"[\s.]+$", "", " ".join(str(text or "").split()))


def flatten(values: Iterable[Any]) -> Iterator[object]:
    """The texts of columns, of lists of them and of records with captions."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from flatten(value)
        elif isinstance(value, dict):
            yield from flatten(v for k, v in value.items() if COLUMN.match(k))
        elif value is not None:
            yield value


def read_captions(folder: Path) -> Captioned:
    """What can be used of a folder, and what is wrong with the rest. Raises SettingsError where
    there are no captions in it."""
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is not a folder. Give one that holds pictures and {', '.join(LISTS)}."
        )
    return _Album(folder.resolve()).read()


# -- the folder ------------------------------------------------------------------------------------
class _Album:
    """A folder that is being read."""

    def __init__(self, root: Path):
        self.root = root
        # A link may not lead out of the folder.
        files = [path for path in list_files(root) if path.resolve().is_relative_to(root)]
        self.texts = [path for path in files if path.suffix.lower() in (*ENDINGS, *BESIDE)]
        self.pictures = _Pictures(root, [path for path in files if path not in {*self.texts}])
        self.captions: dict[Path, list[str]] = {}
        self.splits: dict[Path, str] = {}  # as a person calls them
        self.named: set[Path | None] = set()  # by a list that says nothing of them
        self.found = Captioned()
        self.tried: set[Path] = set()  # what is, or is called, a list
        self.failures: dict[Path, SettingsError] = {}  # of those that cannot be read

    def read(self) -> Captioned:
        """Raises SettingsError."""
        beside = {path: self.pictures.find_beside(path) for path in self.texts}
        alone = [path for path, own in beside.items() if not own]
        self._read_lists([path for path in alone if path.suffix.lower() in ENDINGS])
        listed = {*self.captions}
        self._read_beside({path: own for path, own in beside.items() if own}, listed)
        self.found.problems += [
            Problem(
                self._name(path),
                "is no list of captions and lies beside no picture; left out",
                "files are no lists of captions and lie beside no pictures; left out",
            )
            for path in alone
            if path not in self.tried
        ]
        if not self.captions:
            raise self._explain_failure()
        self.found.problems += [
            Problem(self._name(path), str(error), "lists could not be read; left out")
            for path, error in self.failures.items()
        ]
        self.found.problems += [
            Problem(self._name(path), "has no caption; left out", "files have no caption; left out")
            for path in self.pictures.files
            if path not in self.captions and path not in self.named
        ]
        return self._finish()

    def _explain_failure(self) -> SettingsError:
        """Why there are no captions."""
        for error in self.failures.values():
            return error
        if self.tried:
            names = name_some([self._name(path) for path in sorted(self.tried, key=_rank)])
            return SettingsError(
                f"{names}: no caption of a picture in {self.root}. "
                + explain(self.found.problems, self.found.notes)
            )
        return SettingsError(
            f"{self.root} holds no list of captions. Put captions.csv (columns file_name and "
            "caption), captions.txt (lines like dog.jpg#0 and a tab, then the caption), "
            'metadata.jsonl ({"file_name": ..., "text": ...}) or one text for each picture '
            "(dog.jpg and dog.txt) beside the pictures."
        )

    def _name(self, path: Path) -> str:
        return name_file(path, self.root)

    def _read_lists(self, paths: list[Path]) -> None:
        """Those that are called what lists are called, else any that names these pictures."""
        named = [path for path in paths if _is_called_a_list(path)]
        self._read_first_of_each(named)
        if not self.captions:
            self._read_first_of_each([path for path in paths if path not in named])

    def _read_first_of_each(self, paths: list[Path]) -> None:
        """Of the lists of one split that lie side by side the first."""
        read: dict[tuple[Path, str], Path] = {}
        for path in sorted(paths, key=_rank):
            split = self._find_split(path, by_name=True)
            if earlier := read.get((path.parent, split)):
                self.tried.add(path)
                self.found.notes.append(
                    f"{self._name(path)} was not read, since {self._name(earlier)} is there."
                )
            elif self._read_list(path, split):
                read[path.parent, split] = path

    def _find_split(self, path: Path, by_name: bool = False) -> str:
        """What its folders say, or, of a list, its own name: `captions_train2017.json`."""
        parts = [*path.relative_to(self.root).parts[:-1], *[path.stem] * by_name]
        return find_split_word(" ".join(parts))

    def _read_list(self, path: Path, split: str) -> bool:
        """Whether it holds captions of pictures of this folder."""
        name = self._name(path)
        called = _is_called_a_list(path)
        if called:
            self.tried.add(path)
        try:
            entries = list(_read_entries(path, name))
        except SettingsError as error:
            if called:
                self.failures[path] = error
            return False
        problems: list[Problem] = []
        known = 0
        for entry in entries:
            said = [text for text in map(tidy, entry.said) if text]
            where = f"{name}, {entry.where}"
            if not entry.name:
                problems.append(_unreadable(where))
                continue
            picture = self.pictures.find(entry.name, path.parent)
            if not said:
                problems.append(
                    Problem(where, "no caption; left out", "entries have no caption; left out")
                )
                self.named |= {picture}
            elif picture is None:
                problems.append(
                    Problem(
                        entry.name,
                        "no such picture in the folder",
                        "names of no picture in the folder",
                    )
                )
            else:
                known += 1
                self.captions.setdefault(picture, []).extend(said)
                found = entry.split or split or self._find_split(picture)
                self.splits.setdefault(picture, found)
        if known or called:
            self.tried.add(path)
            self.found.problems += problems
        return known > 0

    def _read_beside(self, beside: Mapping[Path, list[Path]], listed: set[Path]) -> None:
        """The texts beside pictures that no list names."""
        unused = []
        for path, pictures in beside.items():
            free = [picture for picture in pictures if picture not in listed]
            if not free:
                unused.append(self._name(path))
                continue
            try:
                said = tidy(read_text(path, self._name(path)))
            except SettingsError as error:
                self.found.problems.append(
                    Problem(self._name(path), str(error), "texts could not be read; left out")
                )
                continue
            if not said:
                continue  # its picture is told as one without a caption
            for picture in free:
                self.captions.setdefault(picture, []).append(said)
                self.splits[picture] = self._find_split(picture)
        if unused:
            self.found.notes.append(
                f"Of pictures that a list names, the list counts, and not the text beside them: "
                f"{name_some(unused)}."
            )
        elif listed and len(self.captions) > len(listed):
            self.found.notes.append(
                f"{len(listed):,} pictures have their captions from a list, the others from the "
                "text beside them."
            )

    def _finish(self) -> Captioned:
        called = sorted({*self.splits.values()})
        meant = dict(zip(called, name_splits(called), strict=True))
        several = any(meant.values())
        parts = {path: meant[split] or "train" * several for path, split in self.splits.items()}
        if several:
            kept = [split for split in called if meant[split]]
            self.found.notes.append(f"{', '.join(kept)} are kept as the splits that they are.")
        order = (*PARTS, "")  # of what is in two splits, the first one keeps it
        self.found.files = sorted(self.captions, key=lambda path: order.index(parts[path]))
        self.found.texts = [self.captions[path] for path in self.found.files]
        self.found.parts = [parts[path] for path in self.found.files]
        return self.found


def _is_called_a_list(path: Path) -> bool:
    return any(stem in path.stem.lower() for stem in STEMS)


def _rank(path: Path) -> tuple[int, int, str]:
    stem = path.stem.lower()
    exact = STEMS.index(stem) if stem in STEMS else len(STEMS)
    return exact, ENDINGS.index(path.suffix.lower()), str(path)


def _unreadable(where: str) -> Problem:
    return Problem(where, "cannot be read; left out", "entries cannot be read; left out")


class _Pictures:
    """What lists may name: the files of a folder, found however they are written down."""

    def __init__(self, root: Path, files: list[Path]):
        self.root = root
        self.files = files
        self.by_name: dict[str, list[Path]] = {}
        self.by_stem: dict[str, list[Path]] = {}
        for path in files:
            self.by_name.setdefault(_fold(path.name), []).append(path)
            self.by_stem.setdefault(_fold(path.stem), []).append(path)

    def find_beside(self, text: Path) -> list[Path]:
        """The pictures that a text lies beside: dog.txt or dog.jpg.txt beside dog.jpg; or, where
        texts have a folder of their own, the only picture of its name."""
        stem = _fold(text.stem)
        found = [*self.by_stem.get(stem, []), *self.by_name.get(stem, [])]
        beside = [path for path in found if path.parent == text.parent]
        return beside or (found if len(found) == 1 else [])

    def find(self, name: str, near: Path) -> Path | None:
        """By a path from the list's folder or from the root, or, where that leads nowhere, as from
        another machine, by as much of its end as is found. None where there is no such picture, or
        where several are as likely."""
        wanted = re.sub(r"#\d+$", "", name.strip()).replace("\\", "/")
        parts = [part for part in wanted.split("/") if part not in ("", ".")]
        if not parts:
            return None
        last = _fold(parts[-1])
        likely = self.by_name.get(last) or self.by_stem.get(last) or []
        ranked = sorted(((self._compare(path, parts, near), path) for path in likely), reverse=True)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            return None
        return ranked[0][1] if ranked else None

    def _compare(self, path: Path, parts: list[str], near: Path) -> tuple[bool, bool, int, bool]:
        """How well a file fits what a list says: the larger the better."""
        own = path.relative_to(self.root).parts
        alike = 0
        for one, other in zip(own[-2::-1], parts[-2::-1], strict=False):
            if _fold(one) != _fold(other):
                break
            alike += 1
        from_root = [_fold(part) for part in own] == [_fold(part) for part in parts]
        inside = path.is_relative_to(near)
        own_near = path.relative_to(near).parts if inside else ()
        from_near = [_fold(part) for part in own_near] == [_fold(part) for part in parts]
        return from_near, from_root, alike, path.name == parts[-1]


def _fold(name: str) -> str:
    """Accents are stored in two ways, and some systems do not tell large letters from small."""
    return unicodedata.normalize("NFC", name).casefold()


# -- lists -----------------------------------------------------------------------------------------
def read_text(path: Path, name: str) -> str:
    """UTF-8, or UTF-16 that says so, as Excel writes it. Raises SettingsError."""
    content = path.read_bytes()
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not text in UTF-8: save it so, and try again.") from error


def _read_entries(path: Path, name: str) -> Iterator[Entry]:
    """Raises SettingsError."""
    readers: dict[str, Callable[[str, str], Iterator[Entry]]] = {
        ".csv": _read_table,
        ".tsv": _read_table,
        ".txt": _read_lines,
        ".jsonl": _read_records,
        ".json": _read_json,
    }
    return readers[path.suffix.lower()](read_text(path, name), name)


def _read_table(text: str, file: str) -> Iterator[Entry]:
    """Comma, semicolon, tab or bar; a heading names the columns."""
    divider, text = _find_divider(text)
    # Lines are not translated: a line break within quotes is the caption's own.
    lines = io.StringIO(text, newline="")
    spaced = f'{divider} "' in text  # else a space after a divider is the caption's own
    rows = csv.reader(lines, delimiter=divider, skipinitialspace=spaced)
    try:
        heading = [_normal(name) for name in next(rows, [])]
        name = next((heading.index(n) for n in NAMES if n in heading), None)
        told = [i for i, n in enumerate(heading) if COLUMN.match(n)]
        told = told or [i for i, n in enumerate(heading) if n == COMMENT]
        if name is None or not told:
            raise SettingsError(
                f"{file} needs a first line that names its columns: file_name and caption. It is: "
                f"{LINE_END.split(text, maxsplit=1)[0].strip()[:80]!r}."
            )
        split = heading.index(SPLIT) if SPLIT in heading else None
        for row in rows:
            where = f"line {rows.line_num}"
            if not row:
                continue
            if len(row) < len(heading):
                yield Entry(where, "", [])
                continue
            if len(heading) - 1 in told:  # dividers that nobody put into quotes
                row[len(heading) - 1 :] = [divider.join(row[len(heading) - 1 :])]
            said = [row[i] for i in told]
            yield Entry(where, row[name].strip(), said, row[split].strip() if split else "")
    except csv.Error as error:
        raise SettingsError(
            f"{file} cannot be read after line {rows.line_num}: {error}. A quotation mark may be "
            "missing there."
        ) from error


def _find_divider(text: str) -> tuple[str, str]:
    """What divides the columns of a table, and the table. Excel may say it in a line of its own."""
    if said := re.match(r"sep=(.)(\r\n|\n|\r)", text):
        return said[1], text[said.end() :]
    first = LINE_END.split(text, maxsplit=1)[0]
    return max(",;\t|", key=first.count), text


def _read_lines(text: str, file: str) -> Iterator[Entry]:
    for number, line in enumerate(LINE_END.split(text), 1):
        if found := LINE.match(line.strip()):
            said = found["said"].strip().strip('"')
            yield Entry(f"line {number}", found["name"].strip(), [said])
        elif line.strip() and number > 1:  # the first one may be a heading
            yield Entry(f"line {number}", "", [])


def _read_records(text: str, file: str) -> Iterator[Entry]:
    for number, line in enumerate(LINE_END.split(text), 1):
        if not line.strip():
            continue
        try:
            yield _read_record(f"line {number}", json.loads(line))
        except (ValueError, RecursionError):
            yield Entry(f"line {number}", "", [])


def _read_record(where: str, record: object) -> Entry:
    """Of a table of values by their names."""
    if not isinstance(record, dict):
        return Entry(where, "", [])
    values = {_normal(key): value for key, value in record.items()}
    name = next((values[n] for n in NAMES if isinstance(values.get(n), str | int)), "")
    said = [str(text) for text in flatten(v for k, v in values.items() if COLUMN.match(k))]
    return Entry(where, str(name), said, str(values.get(SPLIT) or ""))


def _read_json(text: str, file: str) -> Iterator[Entry]:
    """COCO's images and annotations, a list of records, or captions by picture."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is damaged or no JSON: {str(error)[:100]}.") from error
    if isinstance(found, dict) and isinstance(found.get("images"), list):
        records = _join_annotations(found["images"], found.get("annotations"))
    elif isinstance(found, dict) and isinstance(found.get("annotations"), list):
        records = found["annotations"]
    elif isinstance(found, dict):
        records = [
            {**said, "file_name": name}
            if isinstance(said, dict)
            else dict(file_name=name, text=said)
            for name, said in found.items()
        ]
    else:
        records = found if isinstance(found, list) else []
    for number, record in enumerate(records, 1):
        yield _read_record(f"entry {number}", record)


def _join_annotations(images: list[Any], annotations: object) -> list[Any]:
    """Records of COCO's images, each with the captions that annotations have of it by its id."""
    said: dict[str, list[object]] = {}
    for one in annotations if isinstance(annotations, list) else []:
        if isinstance(one, dict):
            said.setdefault(str(one.get("image_id")), []).append(one)
    return [
        {**image, "captions": said.get(str(image.get("id")), image.get("captions"))}
        if isinstance(image, dict)
        else image
        for image in images
    ]


def _normal(name: object) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())
