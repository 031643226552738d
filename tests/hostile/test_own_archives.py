"""What people and strangers hand over as a data set: whatever it is, there is a data set or a
sentence, nothing lies anywhere else, and nothing is left behind."""

import errno
import io
import os
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_for
from PIL import Image
from serving import is_a_sentence

from training.data.own import archive, bring, corrections, data_set
from training.recipe import SettingsError
from training.runs.job import ROOT


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [picture(i) for i in range(24)]
GOOD = {
    f"{label}/{i}.png": PICTURES[i + 6 * (label == "dog")]
    for label in ("cat", "dog")
    for i in range(6)
}


def pack(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, change: Callable | None = None
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if change:
                change(entry)
            packed.writestr(entry, content)
    return buffer.getvalue()


def flag(packed: bytes, bits: int, method: int | None = None) -> bytes:
    """The same with bits set in every heading, and another number for its method."""
    out = bytearray(packed)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = out.find(mark)
        while start >= 0:
            out[start + at] |= bits
            if method is not None:
                out[start + at + 2 : start + at + 4] = struct.pack("<H", method)
            start = out.find(mark, start + 4)
    return bytes(out)


def as_raw(names: list[bytes]) -> bytes:
    """A zip whose names are these bytes, in no encoding that it names."""
    files = {("x" * len(name))[:-4] + f"{i:04}": PICTURES[i] for i, name in enumerate(names)}
    packed = pack(files)
    for (placeholder, _), name in zip(files.items(), names, strict=True):
        packed = packed.replace(placeholder.encode(), name)
    return packed


def link(entry: zipfile.ZipInfo) -> None:
    if "link" in entry.filename:
        entry.create_system = 3
        entry.external_attr = 0o120777 << 16


def twice(name: str) -> bytes:
    """One name two times, each of another content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed, pytest.warns(UserWarning):
        for i in range(2):
            packed.writestr(name, PICTURES[20 + i])
        for other, content in GOOD.items():
            packed.writestr(other, content)
    return buffer.getvalue()


def claim(packed: bytes, size: int) -> bytes:
    """The same, saying that each file unpacks to this size."""
    out = bytearray(packed)
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = out.find(mark)
        while start >= 0:
            out[start + at : start + at + 4] = struct.pack("<I", size)
            start = out.find(mark, start + 4)
    return bytes(out)


def nest(levels: int) -> bytes:
    packed = pack(GOOD)
    for level in range(levels):
        packed = pack({f"inner{level}.zip": packed})
    return packed


BAD_NAMES = [
    "../../evil.png", "/etc/evil.png", "C:\\evil.png", "c:/evil.png", "a/../../../evil.png",
    "..\\..\\evil.png", "\\\\host\\share\\evil.png", "cat/.. /.. /evil.png", "//evil.png",
    "cat/../dog/../../evil.png",
]  # fmt: skip
ODD_NAMES = [
    "cat/" + "x" * 300 + ".png", "cat/" + "é" * 150 + ".png", "cat/a\nb.png", "cat/a\x1b[2Jb.png",
    "cat/ lead.png", "cat/trail .png", "cat/%2e%2e%2fevil.png", "cat/con.png", "cat/a:b.png",
    "cat/a*?.png", "cat//double.png", "./cat/dot.png", "cat/./dot.png", "cat/\u202egnp.png",
    "cat/noending", "cat/.png", "cat/two..dots.png", "cat/" + "d/" * 60 + "deep.png", "cat/🐈.png",
    "CAT/upper.png", "cat /space.png", "cat/a.PNG", "cat/q\"uote'.png", "cat/$(touch x).png",
    "cat/--help.png", "cat/~root.png", "cat/a\\b.png", "cat/\ufeffmark.png", "cat/tab\t.png",
    "cat/x.0123456789abcdef.png",
]  # fmt: skip
HIDDEN = [
    "__MACOSX/cat/._0.png", ".DS_Store", "cat/Thumbs.db", "cat/.hidden.png", "@eaDir/cat/x.png",
    ".git/objects/aa", "cat/desktop.ini", "$RECYCLE.BIN/x.png",
]  # fmt: skip
USABLE = {  # there is a data set, of GOOD and perhaps one or two more
    **{f"leads out: {name}": pack({**GOOD, name: PICTURES[20]}) for name in BAD_NAMES},
    **{f"odd name: {name[:40]!r}": pack({**GOOD, name: PICTURES[20]}) for name in ODD_NAMES},
    **{f"hidden: {name}": pack({**GOOD, name: PICTURES[20]}) for name in HIDDEN},
    "a link": pack({**GOOD, "cat/link.png": b"/etc/passwd"}, change=link),
    "a link of folders": pack({"link": b"/etc", **GOOD, "link/x.png": PICTURES[20]}, change=link),
    "a file where a folder is needed": pack({"cat": PICTURES[20], **GOOD}),
    "a folder where a file is": pack({**GOOD, "cat/0.png/deep.png": PICTURES[20]}),
    "one name twice": None,
    "nested once": nest(1),
    "nested beside": pack({**GOOD, "more.zip": pack({"emu/1.png": PICTURES[20]})}),
    "damaged inside": pack({**GOOD, "more.zip": b"PK\3\4" + bytes(90)}),
    "stored": pack(GOOD, zipfile.ZIP_STORED),
    "bzip2": pack(GOOD, zipfile.ZIP_BZIP2),
    "lzma": pack(GOOD, zipfile.ZIP_LZMA),
    "something before it": b"#!/bin/sh\n" + pack(GOOD),
    "a comment": pack(GOOD)[:-2] + struct.pack("<H", 9) + b"a comment",
    "other files": pack({**GOOD, "cat/notes.txt": b"hello", "cat/x.exe": b"MZ" + bytes(50)}),
    "empty files": pack({**GOOD, "cat/empty.png": b"", "dog/empty.txt": b""}),
    "folders": pack({"cat/": b"", "emu/": b"", **GOOD}),
    "names in UTF-8 that are not marked": as_raw([f"crème/{i}.png".encode() for i in range(6)]),
    "names in Shift JIS": as_raw([f"犬の写真/{i}.png".encode("cp932") for i in range(6)]),
    "names in cp437": as_raw([f"crème/{i}.png".encode("cp437") for i in range(6)]),
}
whole = pack(GOOD)
REFUSED = {  # there is a sentence
    "nothing": b"",
    "zeros": bytes(1000),
    "no zip": b"hello, I am no zip",
    "a zip of nothing": pack({}),
    "its mark alone": b"PK\3\4",
    "its end alone": whole[-22:],
    "a lone picture": pack({"x.png": PICTURES[0]}),
    "texts": pack({"cat/a.txt": b"x", "dog/b.txt": b"y"}),
    "gzip": b"\x1f\x8b\x08" + bytes(100),
    "rar": b"Rar!\x1a\x07" + bytes(100),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "nested twice": nest(2),
    "nested five times": nest(5),
    "locked": flag(whole, 1),
    "an unknown method": flag(whole, 0, 99),
    "deflate64": flag(whole, 0, 9),
    "all lead out": pack({f"../{name}": content for name, content in GOOD.items()}),
    "all are links": pack({f"{n}link": b"/etc/passwd" for n in GOOD}, change=link),
    "a bomb": pack({"cat/x.png": bytes(300_000_000), **GOOD}),
    "more than the limit": claim(whole, 0xFFFFFFF0),
    "too many": None,
    "too many it says": whole[:-12] + struct.pack("<HH", 60_000, 60_000) + whole[-8:],
    "a list too long it says": whole[:-10] + struct.pack("<I", 0x7FFFFFFF) + whole[-6:],
    **{f"cut at {share}%": whole[: len(whole) * share // 100] for share in (1, 20, 50, 80, 95, 99)},
}  # fmt: skip
MANGLED = range(40)


def snapshot(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def hand_over(runs, tmp_path):
    """Adds a file of this content; the sentence, where it is refused. Nothing lies elsewhere."""

    def add(content: bytes, **more) -> tuple[bring.Added | None, str]:
        path = tmp_path / "brought" / "my.zip"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        before = snapshot(tmp_path) - snapshot(runs)
        added, told = None, ""
        try:
            added = bring.add(runs, "own", [path], **more)
        except SettingsError as error:
            told = str(error)
        home = runs / "datasets"
        around = {
            str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if runs not in p.parents
        }
        assert around - {"runs"} <= before | {"runs"}
        names = {path.name for path in home.iterdir()} if home.is_dir() else set()
        assert names <= ({".lock", "own"} if added else {".lock"})
        if added:
            inside = {path.name for path in (home / "own").iterdir()}
            assert inside == {"data", "record.json"}
            for each in (home / "own").rglob("*"):
                assert not each.is_symlink() and (each.is_dir() or each.stat().st_mode & 0o777)
        return added, told

    return add


@pytest.mark.parametrize("case", USABLE)
def test_what_is_odd_about_a_zip_costs_that_alone(hand_over, case):
    content = twice("cat/same.png") if case == "one name twice" else USABLE[case]
    added, told = hand_over(content)
    assert added, told
    assert 6 <= added.count <= 14 and all(len(line) < 400 for line in added.problems)
    leads_out = case.startswith(("leads out", "a link"))
    assert not leads_out or (added.count == 12 and added.problems)
    assert not case.startswith("hidden") or (added.count == 12 and not added.problems)
    if case.startswith("names"):
        expected = "犬の写真" if "Shift" in case else "crème"
        assert list(added.classes) == [expected]
    assert not case.startswith("one name") or added.count == 14


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_use_is_refused_in_a_sentence(hand_over, case):
    content = REFUSED[case]
    more = {}
    if case == "too many":
        content, more = whole, {"most_files": 11}
    added, told = hand_over(content, **more)
    assert added is None and is_a_sentence(told), told


@pytest.mark.parametrize("seed", MANGLED)
def test_whatever_bytes_are_changed_there_is_a_data_set_or_a_sentence(hand_over, seed):
    rng = np.random.default_rng(seed)
    content = bytearray(pack(GOOD, zipfile.ZIP_DEFLATED if seed % 2 else zipfile.ZIP_STORED))
    # Half of them where the names and sizes stand.
    low = 0 if seed % 3 else content.find(b"PK\1\2")
    for at in rng.integers(low, len(content), 1 + seed % 7):
        content[at] = rng.integers(0, 256)
    added, told = hand_over(bytes(content))
    assert added or is_a_sentence(told), told


def test_a_bomb_is_refused_before_it_is_unpacked_whole(hand_over, monkeypatch):
    """Also one that lies about its size, and many small ones."""
    monkeypatch.setattr(archive, "SMALL", 2_000_000)
    big = pack({"cat/x.png": bytes(5_000_000), **GOOD})
    for content in (big, claim(big, 4_000_000)):
        added, told = hand_over(content)
        assert added is None and ("unpacks to more than" in told or is_a_sentence(told))
    many = pack({f"cat/{i}.png": bytes(300_000 + i) for i in range(20)})
    assert "unpacks to more than" in hand_over(many)[1]


# -- disks, kills, and two at once -----------------------------------------------------------------
@pytest.mark.parametrize("at", [1, 4, 9, 12])
def test_a_full_disk_in_the_middle_leaves_nothing(hand_over, monkeypatch, at):
    count = 0
    take = archive.Intake.take

    def fill(self, *more):
        nonlocal count
        count += 1
        if count == at:
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")
        return take(self, *more)

    monkeypatch.setattr(archive.Intake, "take", fill)
    added, told = hand_over(whole)
    assert added is None and told == archive.NO_ROOM


def test_a_disk_that_fills_when_the_record_is_written_leaves_nothing(hand_over, monkeypatch):
    def refuse(path, value):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(bring, "write_json", refuse)
    assert hand_over(whole) == (None, archive.NO_ROOM)


@pytest.mark.parametrize("at", [0, 5, 13])
def test_who_cancels_leaves_nothing(runs, tmp_path, at):
    path = tmp_path / "my.zip"
    path.write_bytes(whole)
    seen = []

    def cancel(doing: str, done: int, total: int) -> None:
        seen.append(doing)
        if len(seen) > at:
            raise data_set.Cancelled

    with pytest.raises(data_set.Cancelled):
        bring.add(runs, "own", [path], tell=cancel)
    assert snapshot(runs / "datasets") <= {".lock"}


KILLED = """
import os, signal, sys
from pathlib import Path
from training.data.own import bring
def tell(doing, done, total):
    if doing == sys.argv[3] and done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)
bring.add(Path(sys.argv[1]), "own", [Path(sys.argv[2])], tell=tell)
"""


@pytest.mark.parametrize("doing", ["reading", "checking"])
def test_who_is_killed_leaves_nothing_that_is_not_swept_away(runs, tmp_path, doing):
    path = tmp_path / "my.zip"
    path.write_bytes(whole)
    words = [sys.executable, "-c", KILLED, str(runs), str(path), doing]
    assert subprocess.run(words, cwd=ROOT).returncode == -9
    assert list((runs / "datasets").glob(".new-*")) and data_set.list_all(runs) == []
    bring.add(runs, "own", [path])
    assert {each.name for each in (runs / "datasets").iterdir()} == {".lock", "own"}


class Killed(BaseException):
    """Ends what runs at once: nothing catches it."""


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_what_was_being_added_when_somebody_was_killed_is_added_by_the_next(
    runs, tmp_path, monkeypatch, after
):
    """It had arrived whole, by one rename."""
    for name, content in (
        ("one", whole),
        ("two", pack({n: PICTURES[12 + i] for i, n in enumerate(GOOD)})),
    ):
        (tmp_path / f"{name}.zip").write_bytes(content)
    own = bring.add(runs, "own", [tmp_path / "one.zip"]).data_set
    expected = bring.add(runs, "all", [tmp_path / "one.zip"]).data_set
    bring.add(runs, "all", [tmp_path / "two.zip"])
    left = after

    def die(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        data_set.os.rename(source, target) if source.exists() else None

    monkeypatch.setattr(data_set, "move", die)
    with pytest.raises(Killed):
        bring.add(runs, "own", [tmp_path / "two.zip"])
    monkeypatch.undo()
    again = data_set.find(runs, "own")
    assert again.revision == expected.revision and not (own.path / "arriving").exists()
    assert data_set.list_all(runs)[1].count == 24


def test_a_correction_that_was_cut_off_is_finished_by_the_next(runs, tmp_path, monkeypatch):
    (tmp_path / "my.zip").write_bytes(whole)
    own = bring.add(runs, "own", [tmp_path / "my.zip"]).data_set
    before = own.revision

    def die(source: Path, target: Path) -> None:
        raise Killed

    monkeypatch.setattr(data_set, "move", die)
    with pytest.raises(Killed):
        corrections.merge(own, "cat", "dog")
    monkeypatch.undo()
    again = data_set.find(runs, "own")
    assert again.classes == ["dog"] and again.record["pending"] is None
    corrections.undo(again)
    assert again.revision == before


def test_two_people_add_at_once_and_both_are_there(runs, tmp_path):
    """To one new name, from two processes' worth of threads."""
    made = []
    for number in range(4):
        files = {f"{n}": picture(1000 * number + i) for i, n in enumerate(GOOD)}
        path = tmp_path / f"{number}.zip"
        path.write_bytes(pack(files))
        made.append(path)
    failures: list[BaseException] = []

    def add(path: Path) -> None:
        try:
            bring.add(runs, "own", [path])
        except BaseException as error:  # told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=add, args=[path]) for path in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(data_set.find(runs, "own").list_items()) == 48
    assert {each.name for each in (runs / "datasets").iterdir()} == {".lock", "own"}


def test_what_another_one_is_making_is_not_swept_away(runs):
    home = runs / "datasets"
    with data_set.make_stage(home) as one, data_set.make_stage(home) as other:
        assert one.exists() and other.exists()
    wait_for(lambda: not list(home.glob(".new-*")), 10)


def test_what_lies_elsewhere_is_never_followed(runs, tmp_path):
    """A folder with a link in it: what it leads to is not brought."""
    folder = tmp_path / "own"
    for name, content in GOOD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    secret = tmp_path / "secret.png"
    secret.write_bytes(PICTURES[20])
    os.symlink(secret, folder / "cat" / "link.png")
    added = bring.add(runs, "own", [folder])
    assert added.count == 12 and "is no ordinary file" in added.problems[0]
    outside = [(secret, "../../cat/x.png"), (secret, "cat/y.png")]
    added = bring.add(runs, "own", outside)
    assert added.count == 1 and "names a place elsewhere" in added.problems[0]
