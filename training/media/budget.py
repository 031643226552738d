"""Memory that several threads share: each takes what it will need, waits its turn where that is
not free, and gives it back.

    ROOM = Budget(800_000_000)
    with ROOM.hold(48_000_000):
        decode()
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So many bytes. Who asks first gets first, so that a large wish is not starved by small
    ones."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes are free, and holds them. Raises ValueError where they never
        will be."""
        if size > self.limit:
            raise ValueError(f"{size:,} bytes are more than the {self.limit:,} that there are")
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is turn and self.used + size <= self.limit
                )
            finally:
                self._waiting.remove(turn)
                # The next one may fit beside this one; after an interrupt it may be its turn.
                self._changed.notify_all()
            self.used += size
        try:
            yield
        finally:
            with self._changed:
                self.used -= size
                self._changed.notify_all()
