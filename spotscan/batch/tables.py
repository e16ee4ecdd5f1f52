"""The tables of a batch, row by row in the order of the files' names: the same bytes whatever the way there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from spotscan.batch.columns import Column
from spotscan.batch.places import Store

_GROUP = 20_000  # rows of a Parquet row group, and of what is in memory

# What a spreadsheet takes for a formula at the start of a cell, and their wide forms, which Excel reads as the same.
_LIVE = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# The semicolon and the tab divide cells in some countries' spreadsheets.
_QUOTED = frozenset('",;\t\r\n')


def cell(value: Any) -> str:
    """A value as a cell of a CSV: None is empty; what could be taken for a formula gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return str(value)
    text = "'" + value if value.lstrip().startswith(_LIVE) else value
    return '"' + text.replace('"', '""') + '"' if _QUOTED & set(text) else text


class Table:
    """A table that is written as CSV, and as Parquet where asked for."""

    def __init__(self, columns: Sequence[Column], csv_file: BinaryIO, parquet_file: BinaryIO | None) -> None:
        self._csv = csv_file
        self._write([column.name for column in columns])
        self._rows: list[list[Any]] = []
        self._parquet = None if parquet_file is None else _Parquet(columns, parquet_file)

    def add(self, cells: list[Any]) -> None:
        """One row; None is empty in the CSV and null in Parquet."""
        self._write(cells)
        if self._parquet is not None:
            self._rows.append(cells)
            if len(self._rows) >= _GROUP:
                self._flush()

    def _write(self, cells: list[Any]) -> None:
        self._csv.write((",".join(map(cell, cells)) + "\n").encode())

    def _flush(self) -> None:
        if self._parquet is not None and self._rows:
            self._parquet.write(self._rows)
        self._rows = []

    def close(self) -> None:
        """All is in the files."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()


class _Parquet:
    def __init__(self, columns: Sequence[Column], file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "number": pa.float64(), "count": pa.int64(), "yes_no": pa.bool_()}
        self._schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._table = pa.table

    def write(self, rows: list[list[Any]]) -> None:
        columns = dict(zip(self._schema.names, map(list, zip(*rows, strict=True)), strict=True))
        self._writer.write_table(self._table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


@contextmanager
def open_table(store: Store, name: str, columns: Sequence[Column], *, parquet: bool = True) -> Iterator[Table]:
    """``<name>.csv`` and ``<name>.parquet`` in the store, which take their places when all rows are in them."""
    with ExitStack() as files:
        csv_file = files.enter_context(store.writing(f"{name}.csv"))
        parquet_file = files.enter_context(store.writing(f"{name}.parquet")) if parquet else None
        table = Table(columns, csv_file, parquet_file)
        yield table
        table.close()
