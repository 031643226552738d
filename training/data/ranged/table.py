"""A split of a data set of the Hub, of which the rows that are wanted are read.

table = RemoteTable(Line(), "ethz/food101", revision, ["data/train-00000-of-00008.parquet", ...])
labels = table.read_column("label")
some = table.read_rows("image", ["label"], choose...)
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from training.data.ranged.plan import choose_rows
from training.data.ranged.remote import Line, RangeError, RemoteFile
from training.data.ranged.shard import Page, Shard

CONTENT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LARGE = 1 << 25  # bytes of a column that is not read whole to learn the labels


@dataclass
class _Job:
    """Rows of a page that are wanted, by their numbers in it."""

    shard: Shard
    page: Page
    rows: np.ndarray


class RemoteTable:
    """`files`: in the data set, of this split. Opening it fetches what they say of themselves.
    Raises RangeError, and what huggingface_hub raises."""

    def __init__(self, line: Line, name: str, revision: str, files: Sequence[str]):
        self.line = line

        def open_shard(path: str) -> Shard:
            from huggingface_hub import get_hf_file_metadata, hf_hub_url

            url = hf_hub_url(name, path, repo_type="dataset", revision=revision)
            size = get_hf_file_metadata(url).size
            if not size:
                raise RangeError("its size is not told")
            shard = Shard(RemoteFile(line, url, size), "")
            shard.open()
            return shard

        self.shards = line.do(open_shard, files)
        self.schema = self.shards[0].schema
        first = 0
        for shard in self.shards:
            if shard.schema.names != self.schema.names:
                raise RangeError("its files hold different columns")
            shard.first = first
            first += shard.rows
        self.rows = first

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(shard.file.size for shard in self.shards)

    def measure(self, column: str) -> int:
        """Bytes of a column."""
        return sum(
            chunk.total_compressed_size
            for shard in self.shards
            for group in range(len(shard.groups) - 1)
            for chunk in shard.find_chunk(group, column)
        )

    def read_column(self, column: str) -> pa.ChunkedArray:
        """All of a small column; what the footers tell already is not fetched. Raises
        RangeError."""
        if self.measure(column) > LARGE:
            raise RangeError(f"its column {column} is too large to be looked at")
        groups = [(shard, group) for shard in self.shards for group in range(len(shard.groups) - 1)]

        def read(one: tuple[Shard, int]) -> pa.ChunkedArray:
            shard, group = one
            same = _find_only_value(shard, group, column)
            if same is not None:
                count = shard.groups[group + 1] - shard.groups[group]
                kind = self.schema.field(column).type
                return pa.chunked_array([pa.array(np.full(count, same), kind)])
            with shard.file.hold(shard.span_column(group, column)):
                return shard.read_columns(group, [column]).column(column)

        parts = self.line.do(read, groups)
        chunks = [chunk for part in parts for chunk in part.chunks]
        return pa.chunked_array(chunks, self.schema.field(column).type)

    def read_rows(
        self,
        content: str,
        others: list[str],
        labels: np.ndarray,
        wanted: np.ndarray,
        spill: Path | None = None,
    ) -> tuple[pa.Table, np.ndarray]:
        """So many rows of each label (training/data/ranged/plan.py) with the bytes of the column
        `content` and the columns `others`, and which rows they are. `spill`: a file to which the
        content goes as it comes, and in which it stays. Raises RangeError, OSError."""
        for shard in self.shards:
            shard.content = content
        self.line.do(_keep_index, self.shards)
        listed = [(shard, page) for shard in self.shards for page in shard.list_pages()]
        before = np.cumsum([0, *(len(shard.groups) - 1 for shard in self.shards)])
        number = {id(shard): int(n) for shard, n in zip(self.shards, before, strict=False)}
        stretches = [shard.make_stretches([page], number[id(shard)])[0] for shard, page in listed]
        rows = choose_rows(labels, stretches, wanted, self._weigh_opening(content, others))
        jobs = []
        for (shard, page), stretch in zip(listed, stretches, strict=True):
            low, high = np.searchsorted(rows, [stretch.first, stretch.first + stretch.rows])
            if high > low:
                jobs.append(_Job(shard, page, rows[low:high] - stretch.first))
        held = self._collect(jobs, spill)
        columns = self._read_others(jobs, others) if others else {}
        return pa.table({**columns, content: held}), rows

    def _collect(self, jobs: list[_Job], spill: Path | None) -> pa.ChunkedArray:
        """The content of the jobs' rows, in their order, which is that of the rows."""
        if spill is None:
            sink = pa.BufferOutputStream()
            self._write(jobs, sink)
            source = sink.getvalue()
        else:
            with pa.OSFile(str(spill), "wb") as file:
                self._write(jobs, file)
            source = pa.memory_map(str(spill))
        return pa.ipc.open_file(source).read_all().column(0)

    def _write(self, jobs: list[_Job], sink: pa.NativeFile) -> None:
        schema = pa.schema([("content", CONTENT)])
        with pa.ipc.new_file(sink, schema) as file:
            for values in self.line.stream(_read_job, jobs, _weigh_job):
                if any(each is None for each in values):
                    raise RangeError("some of its rows hold no content of their own")
                parts = [pa.array(values, pa.binary()), pa.nulls(len(values), pa.string())]
                made = pa.StructArray.from_arrays(parts, fields=[*CONTENT])
                file.write_batch(pa.record_batch([made], schema))

    def _weigh_opening(self, content: str, others: list[str]) -> float:
        """What the other columns of a row group take, in rows of the content."""
        groups = sum(len(shard.groups) - 1 for shard in self.shards)
        a_row = max(1.0, self.measure(content) / max(1, self.rows))
        return sum(map(self.measure, others)) / max(1, groups) / a_row

    def _read_others(self, jobs: list[_Job], columns: list[str]) -> dict[str, pa.ChunkedArray]:
        """Of the rows of the jobs, in their order. Those of a row group stand together."""
        opened: dict[tuple[int, int], list[_Job]] = {}
        for job in jobs:
            opened.setdefault((id(job.shard), job.page.group), []).append(job)

        def read(together: list[_Job]) -> pa.Table:
            shard, group = together[0].shard, together[0].page.group
            with contextlib.ExitStack() as held:
                for column in columns:
                    held.enter_context(shard.file.hold(shard.span_column(group, column)))
                found = shard.read_columns(group, columns)
            return found.take(np.concatenate([job.page.first + job.rows for job in together]))

        table = pa.concat_tables(self.line.do(read, opened.values()))
        return {name: table.column(name) for name in columns}


def _keep_index(shard: Shard) -> None:
    if span := shard.span_indexes():
        shard.file.keep(span)


def _read_job(job: _Job) -> list[bytes | None]:
    return job.shard.read_content(job.page, job.rows)


def _weigh_job(job: _Job) -> int:
    """Bytes that it holds while it is read, and until what it gives is taken."""
    return job.shard.measure(job.page, int(job.rows.max()) + 1)


def _find_only_value(shard: Shard, group: int, column: str) -> int | None:
    """Of a column of whole numbers that are all the same in a row group, which one."""
    (chunk,) = shard.find_chunk(group, column)
    told = chunk.statistics if chunk.is_stats_set else None
    if told is None or not told.has_min_max or not told.has_null_count or told.null_count:
        return None
    return told.min if isinstance(told.min, int) and told.min == told.max else None
