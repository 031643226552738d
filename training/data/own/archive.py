"""What a person hands over, as plain files in a folder: zips are unpacked, names are made safe.

Whoever packed a zip decides what it says: names that lead out of it, links, files that unpack to a
thousand times their size. None of that is written, and each is told once.
"""

import lzma
import re
import shutil
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from training.data.folders import OF_SYSTEMS, STRAY
from training.data.own.data_set import Tell, tell_nobody
from training.data.own.records import BYTES, FILES
from training.data.problems import Problem
from training.media.uploads import name_kind
from training.recipe import SettingsError
from training.wording import counted, quote, shorten

CHUNK = 1 << 20  # bytes
RATIO = 200  # pictures and sounds, which are compressed already, never unpack to so many times
SMALL = 100 * 2**20  # bytes, below which that harms nobody
DIRECTORY = 64 * 2**20  # bytes of a zip's list of contents
PART = 200  # bytes of a file's name
LINK = 0o120000  # the kind of a file, as Unix has it
KIND = 0o170000
# What damaged archives raise.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    IndexError,
)
LOCKED = "is locked with a password; left out"
MANY_LOCKED = "files are locked with a password: pack them without one; left out"
NO_ROOM = (
    "The disk is full: nothing was kept. Make room, or bring fewer or smaller files, and try again."
)


class DamagedZip(SettingsError):
    """A zip cannot be opened; the text says so."""


@dataclass
class Intake:
    """A folder that fills up with what is brought, within limits."""

    folder: Path
    tell: Tell = tell_nobody
    most_files: int = FILES
    most_bytes: int = BYTES
    files: int = 0
    size: int = 0  # bytes of them
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, where: str, what: str, many: str) -> None:
        self.problems.append(Problem(shorten(where), what, many))

    def expect(self, count: int, size: int, name: str) -> None:
        """Refuses before a byte is written what would be too much. Raises SettingsError."""
        if self.files + count > self.most_files:
            raise SettingsError(
                f"{name} holds {counted(self.files + count, 'file')}: a data set may have "
                f"{self.most_files:,}. Bring a part of them."
            )
        if self.size + size > self.most_bytes:
            raise SettingsError(
                f"{name} holds {_gigabytes(self.size + size)}: a data set may have "
                f"{_gigabytes(self.most_bytes)}. Bring a part of it, or smaller files."
            )
        if size > shutil.disk_usage(self.folder).free:
            raise SettingsError(NO_ROOM)

    def take(self, source: IO[bytes], parts: Sequence[str], name: str, packed: int = 0) -> Path:
        """Writes a file at the place that `parts` name. `packed`: its size before it was unpacked,
        where it was. Raises SettingsError, OSError, and what the source raises."""
        target = self._find_place(parts)
        self.tell("reading", self.files, 0)
        written = 0
        try:
            with target.open("xb") as file:
                while chunk := source.read(CHUNK):
                    written += len(chunk)
                    self.size += len(chunk)
                    self.expect(0, 0, name)
                    if packed:
                        refuse_bomb(written, packed, name)
                    file.write(chunk)
        except BaseException:  # half of a file is none
            target.unlink(missing_ok=True)
            raise
        self.files += 1
        return target

    def _find_place(self, parts: Sequence[str]) -> Path:
        """A path that is free: two files of one name both stay."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while path.exists():
            number += 1
            path = path.with_name(f"{Path(parts[-1]).stem} ({number}){Path(parts[-1]).suffix}")
        return path


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"


def refuse_bomb(size: int, packed: int, name: str) -> None:
    """Raises SettingsError."""
    if size > SMALL and size > RATIO * packed:
        raise SettingsError(
            f"{name} unpacks to more than {RATIO} times its size, which pictures and sounds never "
            "do: it was not unpacked. Pack the files themselves."
        )


# -- names -----------------------------------------------------------------------------------------
def split_name(name: str) -> list[str] | None:
    """The folders and the file that a name within what was brought means, each made safe; None
    where it leads out of there; empty where no person put it there."""
    spelled = unicodedata.normalize("NFC", name).replace("\\", "/")
    if spelled.startswith("/") or re.match(r"[a-z]:", spelled, re.I):
        return None
    parts = [part for part in spelled.split("/") if part not in ("", ".")]
    if ".." in (part.strip() for part in parts):
        return None
    hidden = any(part.startswith(".") or part.lower() in OF_SYSTEMS for part in parts)
    if not parts or hidden or parts[-1].lower() in STRAY:
        return []
    return [_make_safe(part) for part in parts]


def _make_safe(part: str) -> str:
    """No letter that moves a cursor, and no longer than a disk takes."""
    shown = "".join(
        "_" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in part
    )
    shown = shown.strip() or "_"
    stem, dot, ending = shown.rpartition(".")
    if not dot or len(ending) > 10:
        stem, ending = shown, ""
    room = PART - len((dot + ending).encode()) if ending else PART
    return _cut(stem, room) + (f".{ending}" if ending else "")


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore").rstrip()


def spell_names(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names in a zip. Those that are not marked as UTF-8 are in whatever the packer's system
    used: UTF-8 all the same, Japanese (Shift JIS), or cp437, as the format has it."""
    unmarked = [
        entry.orig_filename.encode("cp437", "replace")
        for entry in entries
        if not entry.flag_bits & 0x800
    ]
    encoding = _guess_encoding(unmarked)
    return [
        _find_unicode_name(entry)
        or (
            entry.orig_filename
            if entry.flag_bits & 0x800
            else entry.orig_filename.encode("cp437", "replace").decode(encoding, "replace")
        )
        for entry in entries
    ]


def _guess_encoding(names: Sequence[bytes]) -> str:
    told = b"\n".join(name for name in names if not name.isascii())
    for encoding in ("utf-8", "cp932"):
        try:
            text = told.decode(encoding)
        except UnicodeDecodeError:
            continue
        # An accented letter and the one behind it can be a Japanese one by chance, not a word.
        if encoding == "utf-8" or re.search(r"[\u3041-\u30ff]|[\u4e00-\u9fff]{2}", text):
            return encoding
    return "cp437"


def _find_unicode_name(entry: zipfile.ZipInfo) -> str:
    """What Info-ZIP keeps beside a name in an old encoding (field 0x7075)."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == 0x7075 and size > 5:
            return extra[9 : 4 + size].decode("utf-8", "replace")
        extra = extra[4 + size :]
    return ""


# -- taking in -------------------------------------------------------------------------------------
def take_path(intake: Intake, path: Path, where: str) -> None:
    """A file as it lies at `path`, called `where`; a zip is unpacked. Raises SettingsError where
    nothing of it can be used, and OSError."""
    name = Path(where.replace("\\", "/")).name or path.name
    if path.is_symlink() or not path.is_file():
        intake.leave_out(name, "is no ordinary file; left out", "are no ordinary files; left out")
        return
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(0)
        kind = name_kind(head)[1]
        if kind == "an archive":
            raise SettingsError(
                f"{quote(name)} is an archive of another kind: unpack it, and pack it as a zip."
            )
        ending = Path(name).suffix.lower()
        if ending == ".zip" or (head.startswith(b"PK\3\4") and not ending):
            _unpack(intake, file, path.stat().st_size, quote(name), [], 0)
            return
        parts = split_name(where)
        if parts is None:
            intake.leave_out(where, "names a place elsewhere; left out", ELSEWHERE)
        elif parts:
            intake.expect(1, path.stat().st_size, quote(name))
            intake.take(file, parts, quote(name))


ELSEWHERE = "files name places outside of what was brought; left out"


def _unpack(
    intake: Intake, file: IO[bytes], size: int, name: str, inside: list[str], level: int
) -> None:
    """All of a zip, below `inside`. Raises SettingsError, OSError."""
    _refuse_long_directory(file, size, name, intake.most_files)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            total = sum(entry.file_size for entry in entries)
            intake.expect(len(entries), total, name)
            refuse_bomb(total, size, name)
            for entry, spelled in zip(entries, spell_names(entries), strict=True):
                _take_entry(intake, archive, entry, spelled, inside, level)
    except (*DAMAGED, NotImplementedError) as error:
        if isinstance(error, SettingsError):
            raise
        raise DamagedZip(
            f"{name} is damaged or no zip: it cannot be opened. Pack it again, or copy it again."
        ) from error


def _refuse_long_directory(file: IO[bytes], size: int, name: str, most: int) -> None:
    """A zip's list of contents is read whole by whoever opens it: its length is at its end. Raises
    SettingsError."""
    file.seek(max(0, size - 70_000))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\5\6")
    count = length = 0
    if 0 <= at < len(tail) - 16:
        count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    large = tail.rfind(b"PK\6\6")
    if 0 <= large < len(tail) - 48 and 0xFFFF in (count, length & 0xFFFF):
        count, length = struct.unpack("<QQ", tail[large + 32 : large + 48])
    if count > 2 * most or length > DIRECTORY:  # folders count too
        raise SettingsError(
            f"{name} holds far too many files: a data set may have {most:,}. Bring a part of them."
        )


def _take_entry(
    intake: Intake,
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    spelled: str,
    inside: list[str],
    level: int,
) -> None:
    parts = split_name(spelled)
    if parts is None:
        intake.leave_out(spelled, "names a place outside of the zip; left out", ELSEWHERE)
        return
    if not parts:
        return
    if entry.external_attr >> 16 & KIND == LINK:
        intake.leave_out(spelled, "is a link, and no file; left out", "are links; left out")
        return
    if entry.flag_bits & 0x1:
        intake.leave_out(spelled, LOCKED, MANY_LOCKED)
        return
    try:
        with archive.open(entry) as source:
            taken = intake.take(source, [*inside, *parts], quote(spelled), entry.compress_size + 1)
    except SettingsError:
        raise
    except (*DAMAGED, NotImplementedError, RuntimeError):
        intake.leave_out(
            spelled,
            "is damaged, or packed in a way that is not read here; left out",
            "files are damaged, or packed in a way that is not read here; left out",
        )
        return
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        intake.leave_out(
            spelled,
            "is a file where another one needs a folder; left out",
            "are files where others need folders; left out",
        )
        return
    if taken.suffix.lower() == ".zip" and zipfile.is_zipfile(taken):
        _unpack_inner(intake, taken, spelled, [*inside, *parts[:-1], taken.stem], level)


def _unpack_inner(intake: Intake, taken: Path, spelled: str, inside: list[str], level: int) -> None:
    """A zip within a zip: that one is opened, and what lies deeper is left out."""
    if level:
        taken.unlink()
        intake.leave_out(
            spelled,
            "is a zip in a zip in a zip; left out",
            "are zips in zips in zips; left out",
        )
        return
    content = taken.with_name(f".{taken.name}")
    taken.rename(content)
    intake.files -= 1
    try:
        with content.open("rb") as file:
            _unpack(intake, file, content.stat().st_size, quote(spelled), inside, level + 1)
    except DamagedZip:
        intake.leave_out(spelled, "is a damaged zip; left out", "are damaged zips; left out")
    finally:
        content.unlink(missing_ok=True)
