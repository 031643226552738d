"""Parts of the Hub's files, fetched by ranges, several at a time, and given up when a stop is asked
for.
"""

import contextlib
import io
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

TOGETHER = 12  # requests at a time
AHEAD = 4 * TOGETHER  # jobs that are begun, or done and not taken yet
ROOM = 256 << 20  # bytes that these may hold
PATIENCE = 10.0  # seconds without a byte after which a line is broken
WAITS = (1.0, 3.0)  # seconds before a request is made again that a broken line ended
LOOK = 0.5  # seconds between two looks at whether a stop is asked for
PIECE = 1 << 16  # bytes

Span = tuple[int, int]  # the first byte, and the one after the last
Job = TypeVar("Job")
Made = TypeVar("Made")


class RangeError(Exception):
    """A file cannot be read by ranges, or not as it is written; whole it may well be."""


class Line:
    """Requests to the Hub that are counted, shown, and ended together."""

    def __init__(self, watch: Callable[[int], None] | None = None):
        self.watch = watch or (lambda _: None)  # told the bytes so far; raises to end it all
        self.fetched = 0  # bytes
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def fetch(self, url: str, span: Span) -> bytes:
        """Where the line breaks, it goes on from there. Raises RangeError, and what
        huggingface_hub raises."""
        start, end = span
        content = bytearray()
        for seconds in (*WAITS, None):
            try:
                self._append(url, (start + len(content), end), content)
                break
            except RangeError:
                raise
            except Exception as error:  # of a library's own library, or of the Hub
                if seconds is None or _is_final(error):
                    raise
                if self.ended.wait(seconds):
                    raise RangeError("it was given up") from error
        return bytes(content)

    def _append(self, url: str, span: Span, content: bytearray) -> None:
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

        start, end = span
        if end <= start:
            return
        headers = {**build_hf_headers(), "Range": f"bytes={start}-{end - 1}"}
        before = len(content)
        # Its own tries cannot go on in the midst of a reply.
        with http_stream_backoff(
            "GET", url, headers=headers, timeout=PATIENCE, max_retries=0, follow_redirects=True
        ) as reply:
            hf_raise_for_status(reply)
            if reply.status_code != 206:  # all of it would come
                raise RangeError("it is not served by ranges")
            for piece in reply.iter_bytes(PIECE):
                if self.ended.is_set():
                    raise RangeError("it was given up")
                content += piece
                with self.lock:
                    self.fetched += len(piece)
        if len(content) - before != end - start:
            raise RangeError("not the part came that was asked for")

    def stream(
        self,
        act: Callable[[Job], Made],
        jobs: Iterable[Job],
        weigh: Callable[[Job], int] = lambda _: 0,
    ) -> Iterator[Made]:
        """What `act` makes of each, in their order, several at a time, but of those that are under
        way or wait to be taken no more than weigh ROOM bytes, or one. Where one fails, or `watch`
        raises, the others are given up."""
        pool = ThreadPoolExecutor(TOGETHER)
        rest = deque(jobs)
        begun: deque[tuple[Future[Made], int]] = deque()
        held = 0
        try:
            while rest or begun:
                while rest and len(begun) < AHEAD and (not begun or held + weigh(rest[0]) <= ROOM):
                    job = rest.popleft()
                    begun.append((pool.submit(act, job), weigh(job)))
                    held += weigh(job)
                if running := [future for future, _ in begun if not future.done()]:
                    wait(running, LOOK, FIRST_COMPLETED)
                for future, _ in begun:
                    if future.done():
                        future.result()  # raises what it raised
                self.watch(self.fetched)
                while begun and begun[0][0].done():
                    future, weight = begun.popleft()
                    held -= weight
                    yield future.result()
        except BaseException:
            self.ended.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def do(self, act: Callable[[Job], Made], jobs: Iterable[Job]) -> list[Made]:
        """The same, all of it at once."""
        return [*self.stream(act, jobs)]


def _is_final(error: Exception) -> bool:
    """Whether it is an answer, which would be the same again."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return 400 <= status < 500 and status != 429  # too many requests


class RemoteFile:
    """A file of the Hub, of which what was fetched is kept."""

    def __init__(self, line: Line, url: str, size: int):
        self.line = line
        self.url = url
        self.size = size
        self.held: dict[int, bytes] = {}  # by where it begins: what it says of itself

    def fetch(self, span: Span) -> bytes:
        """Not kept."""
        return self.line.fetch(self.url, span)

    def keep(self, span: Span) -> None:
        if not self._find(span):
            self.held[span[0]] = self.fetch(span)

    @contextlib.contextmanager
    def hold(self, span: Span) -> Iterator[None]:
        """Fetched at once, and kept for as long as it is read."""
        self.keep(span)
        try:
            yield
        finally:
            self.held.pop(span[0], None)

    def read(self, span: Span) -> bytes:
        """What is kept, or fetched now."""
        return self._find(span) or self.fetch(span)

    def _find(self, span: Span) -> bytes:
        start, end = span
        for at, content in [*self.held.items()]:  # others add to it meanwhile
            if at <= start and end <= at + len(content):
                return content[start - at : end - at]
        return b""


class Opened(io.RawIOBase):
    """A RemoteFile as pyarrow reads files."""

    def __init__(self, file: RemoteFile):
        self.file = file
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.file.size)[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        end = self.file.size if size < 0 else min(self.file.size, self.at + size)
        content = self.file.read((self.at, end))
        self.at = end
        return content

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
