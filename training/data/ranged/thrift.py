"""Thrift's compact protocol, read: what a Parquet file says of its own parts.

    fields, end = read_struct(content, 0)
    fields[1]                                 # by the numbers of parquet.thrift

pyarrow reads all of it and tells only some: not where the pages lie.
"""

from typing import Any

STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
NUMBERS = (4, 5, 6)
DEEPEST = 20  # structs within structs; a page's header has three


class ThriftError(ValueError):
    """It ends too early, or is none."""


def read_struct(content: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends. Raises ThriftError."""
    reader = _Reader(content, at)
    try:
        return reader.read_struct(0), reader.at
    except IndexError as error:
        raise ThriftError("it ends too early") from error


class _Reader:
    def __init__(self, content: bytes, at: int):
        self.content = content
        self.at = at

    def read_struct(self, depth: int) -> dict[int, Any]:
        if depth > DEEPEST:
            raise ThriftError("it is nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._read_byte()) != STOP:
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._read_number()
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._read(kind, depth)
        return fields

    def _read(self, kind: int, depth: int) -> Any:
        if kind in NUMBERS:
            return self._read_number()
        if kind in (BYTE, TRUE, FALSE):  # the last two within a list
            return self._read_byte()
        if kind == BINARY:
            return self._read_bytes(self._read_size())
        if kind == DOUBLE:
            return self._read_bytes(8)
        if kind in (LIST, SET):
            return self._read_list(depth)
        if kind == STRUCT:
            return self.read_struct(depth + 1)
        raise ThriftError(f"it holds a field of kind {kind}")  # maps do not occur in Parquet

    def _read_list(self, depth: int) -> list[Any]:
        if depth > DEEPEST:
            raise ThriftError("it is nested too deep")
        head = self._read_byte()
        count = head >> 4 if head >> 4 < 15 else self._read_size()
        return [self._read(head & 15, depth + 1) for _ in range(count)]

    def _read_byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _read_bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.content):
            raise ThriftError("it ends too early")
        return self.content[self.at - count : self.at]

    def _read_size(self) -> int:
        """Seven bits a byte, the lowest first."""
        size = shift = 0
        while True:
            byte = self._read_byte()
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return size

    def _read_number(self) -> int:
        """Signs alternate: 0, -1, 1, -2 ..."""
        size = self._read_size()
        return (size >> 1) ^ -(size & 1)
