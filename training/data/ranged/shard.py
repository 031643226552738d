"""A Parquet file of the Hub, of which the rows that are wanted are read, and little more.

Its last bytes tell where its pages lie. Pictures and sounds are stored as they are, one behind the
other, each with its length before it: so that the first few of a page can be read without the rest
of it. Where pages are packed, or no index tells where they begin, a whole one or a whole row group
is read.
"""

import struct
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.ranged.plan import Stretch
from training.data.ranged.remote import Opened, RangeError, RemoteFile, Span
from training.data.ranged.thrift import ThriftError, read_struct

TAIL = 1 << 14  # bytes that hold the footer of most files
HEADER = 256  # bytes that hold the header of most pages
LONGEST_HEADER = 1 << 16
BUFFER = 1 << 20  # bytes of a row group that are fetched at a time, or a page
ROWS = 16  # of a row group that are looked at together
MARGIN = 1.1  # of what the rows that are read will take
PLAIN = 0
# Numbers of fields in parquet.thrift.
ROW_GROUPS, COLUMNS, INDEX_AT, INDEX_SIZE, LOCATIONS, FIRST_ROW = 4, 1, 4, 5, 1, 3


@dataclass(frozen=True)
class Page:
    """Rows of a row group that lie in one page of the column with their content, or the whole row
    group."""

    group: int
    first: int  # in the row group
    rows: int
    span: Span
    whole: bool  # whether it must be read whole
    paged: bool = True  # whether it is a page


class Shard:
    """One file. `first`: its first row's number among those of the data set."""

    def __init__(self, file: RemoteFile, content: str, first: int = 0):
        self.file = file
        self.content = content  # name of the column of pictures or sounds
        self.first = first
        self.footer = b""

    # -- what it says of itself --------------------------------------------------------------------
    def open(self) -> None:
        """Fetches the footer. Raises RangeError."""
        size = self.file.size
        tail = self.file.fetch((max(0, size - TAIL), size))
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != b"PAR1" or length > size:
            raise RangeError("it is no Parquet file")
        if length > len(tail):
            tail = self.file.fetch((size - length, size - len(tail))) + tail
        self.footer = tail[-length:]
        self.file.held[size - length] = self.footer

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        try:
            return pq.read_metadata(pa.BufferReader(b"PAR1" + self.footer))
        except (pa.ArrowException, OSError) as error:
            raise RangeError("its footer cannot be read") from error

    @property
    def schema(self) -> pa.Schema:
        return self.metadata.schema.to_arrow_schema()

    @property
    def rows(self) -> int:
        return self.metadata.num_rows

    @cached_property
    def groups(self) -> list[int]:
        """The first row of each row group, and the number of rows."""
        counts = [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]
        return [0, *np.cumsum(counts).tolist()]

    def find_chunk(self, group: int, column: str) -> list[pq.ColumnChunkMetaData]:
        """All that a row group holds of a column, which may have parts."""
        found = self.metadata.row_group(group)
        chunks = [found.column(i) for i in range(found.num_columns)]
        return [
            chunk
            for chunk in chunks
            if chunk.path_in_schema == column or chunk.path_in_schema.startswith(f"{column}.")
        ]

    def span_column(self, group: int, column: str) -> Span:
        """Where a column of a row group lies."""
        spans = [_span(chunk) for chunk in self.find_chunk(group, column)]
        return min(low for low, _ in spans), max(high for _, high in spans)

    def read_columns(self, group: int, columns: list[str]) -> pa.Table:
        """Of what is kept, or fetched now. Raises RangeError."""
        source = pa.PythonFile(Opened(self.file), mode="r")
        try:
            opened = pq.ParquetFile(source, metadata=self.metadata, pre_buffer=False)
            return opened.read_row_group(group, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise RangeError("a row group cannot be read") from error

    # -- pages -------------------------------------------------------------------------------------
    def span_indexes(self) -> Span | None:
        """Where the file tells where its pages lie, if it does."""
        found = [
            (at, at + size) for at, size in (self._locate_index(i) for i in self._numbers) if size
        ]
        return (min(low for low, _ in found), max(high for _, high in found)) if found else None

    @property
    def _numbers(self) -> range:
        return range(self.metadata.num_row_groups)

    @cached_property
    def _told(self) -> dict[int, Any]:
        try:
            return read_struct(self.footer, 0)[0]
        except ThriftError as error:
            raise RangeError("its footer cannot be read") from error

    @cached_property
    def _leaf(self) -> int:
        """The number of the column that holds the bytes. Raises RangeError."""
        names = [self.metadata.schema.column(i).path for i in range(self.metadata.num_columns)]
        wanted = f"{self.content}.bytes"
        if wanted not in names:
            raise RangeError(f"its column {self.content} holds no bytes")
        return names.index(wanted)

    def _locate_index(self, group: int) -> Span:
        """Where it begins, and its bytes: none where there is none."""
        try:
            chunk = self._told[ROW_GROUPS][group][COLUMNS][self._leaf]
            return chunk.get(INDEX_AT, 0), chunk.get(INDEX_SIZE, 0)
        except (LookupError, AttributeError, TypeError):
            return 0, 0

    def list_pages(self) -> list[Page]:
        """In their order."""
        pages: list[Page] = []
        for group in self._numbers:
            pages += self._list_pages(group)
        return pages

    def _list_pages(self, group: int) -> list[Page]:
        rows = self.groups[group + 1] - self.groups[group]
        chunk = self.metadata.row_group(group).column(self._leaf)
        low, high = _span(chunk)
        everything = Page(group, 0, rows, self.span_column(group, self.content), True, False)
        nulls = chunk.statistics.null_count if chunk.has_offset_index and chunk.statistics else None
        leaf = self.metadata.schema.column(self._leaf)
        if nulls != 0 or chunk.dictionary_page_offset or leaf.max_repetition_level:
            return [everything]
        try:
            starts = self._read_starts(group)
        except (ThriftError, LookupError, TypeError):
            return [everything]
        inside = all(low <= at < high for at, _ in starts)
        if not starts or starts[0][1] != 0 or not inside or sorted(starts) != starts:
            return [everything]
        packed = chunk.compression != "UNCOMPRESSED"
        ends = [*starts[1:], (high, rows)]
        return [
            Page(group, first, after - first, (at, end), packed)
            for (at, first), (end, after) in zip(starts, ends, strict=True)
            if after > first
        ]

    def _read_starts(self, group: int) -> list[tuple[int, int]]:
        """Where each page begins, and with which row."""
        at, size = self._locate_index(group)
        index = read_struct(self.file.read((at, at + size)), 0)[0]
        return [(each[1], each[FIRST_ROW]) for each in index[LOCATIONS]]

    def make_stretches(self, pages: list[Page], groups_before: int) -> list[Stretch]:
        return [
            Stretch(
                self.first + self.groups[page.group] + page.first,
                page.rows,
                groups_before + page.group,
                page.whole,
            )
            for page in pages
        ]

    # -- content -----------------------------------------------------------------------------------
    def measure(self, page: Page, count: int) -> int:
        """Bytes that its first `count` rows take of the file."""
        low, high = page.span
        if page.whole:
            return high - low
        return min(high - low, HEADER + int((high - low) / page.rows * count * MARGIN))

    def read_content(self, page: Page, rows: np.ndarray) -> list[bytes | None]:
        """Of some of a page's rows, by their numbers in it, in their order. Raises RangeError."""
        if not page.paged:
            return self._read_group(page, rows)
        count = int(rows.max()) + 1
        low, high = page.span
        end = low + self.measure(page, count)
        content = self.file.fetch((low, end))
        while True:
            values, missing = self._take_values(content, page, count)
            if not missing or end >= high:
                break
            further = max(missing, int((high - low) / page.rows * (count - len(values))))
            end, before = min(high, end + further), end
            content += self.file.fetch((before, end))
        if len(values) < count:
            raise RangeError("a page holds less than it says")
        return [values[row] for row in rows]

    def _read_group(self, page: Page, rows: np.ndarray) -> list[bytes | None]:
        """Page by page, up to the last row that is wanted: of the rest nothing is held, nor
        fetched."""
        source = pa.PythonFile(Opened(self.file), mode="r")
        wanted = deque(rows.tolist())
        found: list[bytes | None] = []
        first = 0
        try:
            opened = pq.ParquetFile(
                source, metadata=self.metadata, pre_buffer=False, buffer_size=BUFFER
            )
            batches = opened.iter_batches(
                ROWS, [page.group], [f"{self.content}.bytes"], use_threads=False
            )
            for batch in batches:
                held = batch.column(self.content).field("bytes")
                while wanted and wanted[0] < first + len(batch):
                    found.append(held[wanted.popleft() - first].as_py())
                first += len(batch)
                if not wanted:
                    return found
        except (pa.ArrowException, OSError, ValueError) as error:
            raise RangeError("a row group cannot be read") from error
        raise RangeError("a row group holds less than it says")

    def _take_values(self, content: bytes, page: Page, count: int) -> tuple[list[bytes], int]:
        """The first values of a page of which the beginning is there, and, where those are not
        `count`, how many bytes more they need at least."""
        try:
            header, at = read_struct(content, 0)
        except ThriftError as error:
            if len(content) < min(LONGEST_HEADER, page.span[1] - page.span[0]):
                return [], HEADER
            raise RangeError("the header of a page cannot be read") from error
        body = self._unpack(header, content[at:], page)
        values: list[bytes] = []
        at = 0
        while len(values) < count:
            if len(body) < at + 4:
                return values, at + 4 - len(body)
            (length,) = struct.unpack_from("<I", body, at)
            if len(body) < at + 4 + length:
                return values, at + 4 + length - len(body)
            values.append(body[at + 4 : at + 4 + length])
            at += 4 + length
        return values, 0

    def _unpack(self, header: dict[int, Any], body: bytes, page: Page) -> bytes:
        """What follows the levels, which tell what is null: nothing is."""
        chunk = self.metadata.row_group(page.group).column(self._leaf)
        levels = self.metadata.schema.column(self._leaf).max_definition_level > 0
        try:
            if header[1] == 3:  # a page of the second version, whose levels are never packed
                about = header[8]
                encoding, at = about[4], about[5] + about[6]
                before, body = body[:at], body[at : header[3]]
                packed = about.get(7, True) and page.whole
                size = header[2] - len(before)
            else:
                encoding, at, packed, size = header[5][2], 0, page.whole, header[2]
                body = body[: header[3]]
            if encoding != PLAIN:
                raise RangeError("a page is not written plainly")
            if packed:
                body = pa.decompress(body, size, codec=chunk.compression.lower(), asbytes=True)
            if header[1] != 3 and levels:
                body = body[4 + int.from_bytes(body[:4], "little") :]
        except (LookupError, TypeError, ValueError, pa.ArrowException, OSError) as error:
            raise RangeError("a page cannot be read") from error
        return body


def _span(chunk: pq.ColumnChunkMetaData) -> Span:
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size
