"""What visitors send: how much of it at once, where it lies, and for how long.

Gradio keeps every upload in a folder that all Gradio apps of a machine share, and takes bodies of
any size. Here each app has a folder of its own, which is removed when it ends, or by the next one
where it could not; the folder is held to a size, the oldest files going first; and a body that is
too long, or for which there is no room, is refused before it is read.

What this does not know: how large an answer is, which Gradio writes there too.
"""

import asyncio
import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from anyio import to_thread
from filelock import FileLock, Timeout
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demos.serving.origins import refuse

VARIABLE = "GRADIO_TEMP_DIR"  # where Gradio looks for its folder, at each use
PREFIX = "transfer-lab-"
UPLOAD_PATH = "/gradio_api/upload"
MB = 1024**2
GB = 1024 * MB
AROUND = MB  # bytes that stand around the files of a request that uploads
UPLOAD = 100 * MB  # bytes of the files of such a request
OWN = 4096 * MB  # likewise, where data sets are brought: as much as one may hold
REQUEST = 30 * MB  # bytes of any other request: a picture inside JSON takes a third more than alone
SILENCE = 60.0  # seconds between two parts of a body
WHOLE = 1800.0  # seconds for all of it, during which others do without its room
SMALL = 64 * 1024  # bytes of a request for which no room is made: a press of a button
FOLDER = 1024 * MB  # bytes of all uploads together
FILES = 20_000
NO_ROOM = (
    "There is no room for this upload: the server's disk is full. Try a smaller file, or ask who "
    "runs this app to make room."
)
_held: dict[Path, FileLock] = {}


# -- the folder ------------------------------------------------------------------------------------
def claim_folder() -> Path:
    """This process' own folder for uploads, which Gradio uses from now on: new, empty, readable to
    nobody else. What apps left that were killed is removed."""
    base = Path(os.environ.get(VARIABLE) or tempfile.gettempdir())
    if base in _held:
        return base
    base.mkdir(parents=True, exist_ok=True)
    for folder in base.glob(f"{PREFIX}*"):
        _remove_abandoned(folder)
    # It is locked before it has the name under which the next app looks for abandoned ones.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=base))
    lock = FileLock(made / "lock", thread_local=False)
    lock.acquire()
    home = made.rename(base / made.name.removeprefix("."))
    files = home.resolve() / "files"
    files.mkdir()
    _held[files] = lock
    os.environ[VARIABLE] = str(files)
    return files


def _remove_abandoned(folder: Path) -> None:
    """Removes the folder of an app that is no more: nobody holds its lock, and it is one's own."""
    lock = folder / "lock"
    if folder.is_symlink() or not lock.is_file():
        return
    if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
        return
    with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
        shutil.rmtree(folder, ignore_errors=True)


@atexit.register
def remove_folders() -> None:
    """Removes the folders of this process, at its end."""
    for files in list(_held):
        shutil.rmtree(files.parent, ignore_errors=True)
        _held.pop(files).release(force=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, staging = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(staging, path)
    except BaseException:
        Path(staging).unlink(missing_ok=True)
        raise


# -- its size --------------------------------------------------------------------------------------
class NoRoom(Exception):
    """A sentence: why an upload cannot be taken now."""


class Uploads:
    """The files in a folder, held to a size."""

    def __init__(self, folder: Path, most: int = FOLDER):
        """`most`: bytes of all files together."""
        self.folder = folder
        self.most = most
        self.request = UPLOAD + AROUND  # bytes of a request that uploads
        self._examples = {path for path, _, _ in self._files()}  # the page's own, there from start
        self._lock = threading.Lock()
        self._expected = 0  # bytes of the requests that are being read
        self._uploading = 0  # how many of them write files as they are read
        self._size = 0  # of the files at most; they are measured when that would be too much

    @contextlib.contextmanager
    def expect(self, size: int, upload: bool) -> Iterator[None]:
        """While a request of so many bytes is answered. Raises NoRoom."""
        with self._lock:
            self._expected += size
            self._uploading += upload
        try:
            self._make_room()
            yield
        finally:
            with self._lock:
                self._expected -= size
                self._size += size
                self._uploading -= upload
                if not self._uploading:
                    self._remove_halves()

    def take_data_sets(self) -> None:
        """From now on they are brought, which are large."""
        self.request = OWN + AROUND
        self.most = FOLDER + OWN

    def tidy(self) -> None:
        """Removes the oldest files where there are too many or too large ones."""
        with self._lock:
            self._remove_oldest()

    def _make_room(self) -> None:
        with self._lock:
            if self._expected > self.most:
                raise NoRoom("Many uploads arrive at the same time: try again in a minute.")
            if self._size + self._expected > self.most or self._free() < self._expected:
                self._remove_oldest()
            if self._free() < self._expected:
                raise NoRoom(NO_ROOM)

    def _free(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of the last use and size of each whole file; those that lie loose in the
        folder are being received."""
        for path in self.folder.glob("*/**/*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    stat = path.stat()
                    yield path, stat.st_mtime, stat.st_size

    def _remove_oldest(self) -> None:
        files = [each for each in self._files() if each[0] not in self._examples]
        size = sum(each[2] for each in files)
        count = len(files)
        # What does not fit though all files went costs none of them.
        needed = self._expected if self._free() + size >= self._expected else 0
        for path, _, own in sorted(files, key=lambda each: each[1]):
            enough = size + self._expected <= self.most and count <= FILES
            if enough and self._free() >= needed:
                break
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files are in it
                path.parent.rmdir()
            size -= own
            count -= 1
        self._size = size

    def _remove_halves(self) -> None:
        """When nothing is being received, what lies loose in the folder is half of a file."""
        for path in self.folder.glob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    path.unlink()


@functools.cache
def uploads_in(folder: Path) -> Uploads:
    """The same for all apps of a process, which share its folder."""
    return Uploads(folder)


# -- requests --------------------------------------------------------------------------------------
class BodyLimit:
    """Refuses, with a sentence, a body that is too long, or for which `uploads` has no room: by
    what its header says, before a byte is read, or else at the byte that is too much."""

    def __init__(self, app: ASGIApp, uploads: Uploads):
        self.app = app
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        upload = scope["path"].rstrip("/") == UPLOAD_PATH
        most = self.uploads.request if upload else REQUEST
        headers = Headers(scope=scope)
        told = headers.get("content-length", "")
        # h11 and httptools refuse a length that is no number, before they ask this.
        size = int(told) if told.isdecimal() else most if "transfer-encoding" in headers else 0
        if size > most:
            await refuse(413, _too_long(most), scope, receive, send)
            return
        if size < SMALL and not upload:
            await self._answer(scope, receive, send, most)
            return
        room = self.uploads.expect(size, upload)
        try:
            await to_thread.run_sync(room.__enter__)
        except NoRoom as error:
            await refuse(507, str(error), scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send, most)
        finally:
            await to_thread.run_sync(room.__exit__, None, None, None)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        counted = _Counted(receive, most)
        replaced = False

        async def answer(message: Message) -> None:
            nonlocal replaced
            if counted.too_long and message["type"] == "http.response.start":
                # What read the body could only say that it could not.
                replaced = True
                await refuse(413, _too_long(most), scope, receive, send)
            elif not replaced:
                await send(message)

        try:
            await self.app(scope, counted, answer)
        except MultiPartException:
            if not counted.ended_early:
                raise


class _Counted:
    """A body that ends with an error at the byte that is too much, where it is cut off, or where it
    does not go on: one of those after which Gradio removes what it wrote."""

    def __init__(self, receive: Receive, most: int):
        self._receive = receive
        self._left = most
        self._whole = False
        self._until = time.monotonic() + WHOLE
        self.too_long = False
        self.ended_early = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()  # that the client went away
        message = await self._next()
        if message["type"] == "http.disconnect":
            self.ended_early = True
            raise MultiPartException("The request was cut off.")
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body")
        if self._left < 0:
            self.too_long = self.ended_early = True
            raise MultiPartException("The request is longer than the maximum allowed size.")
        return message

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(min(SILENCE, self._until - time.monotonic())):
                return await self._receive()
        except TimeoutError as error:
            self.ended_early = True
            raise MultiPartException("The request came too slowly.") from error


def _too_long(most: int) -> str:
    size = f"{most // GB} GB" if most >= GB else f"{most // MB // 10 * 10} MB"
    return (
        f"This request is too large: at most {size} are taken at once. Send a smaller file, or "
        "fewer at a time."
    )
