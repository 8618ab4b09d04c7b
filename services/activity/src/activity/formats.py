"""Figures as people take them away: JSON, JSON lines, CSV and Parquet, written row by row into a file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from msgspec import Struct

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

_TYPES: Final[Mapping[str, pa.DataType]] = {
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float8": pa.float64(),
    "text": pa.string(),
    "uuid": pa.string(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
"""What PostgreSQL's types become."""

_encoder: Final = msgspec.json.Encoder()


class Column(Struct, frozen=True):
    """A column, with the name of its PostgreSQL type."""

    name: str
    type: str


class Writer(Protocol):
    """Writes rows into a file; `close` ends it."""

    def write(self, rows: Sequence[Iterable[Any]]) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write the end."""


class JsonWriter:
    """One document: what `head` says, then `data`, an array of objects."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column], head: Mapping[str, Any]) -> None:
        self._file = file
        self._names = [column.name for column in columns]
        self._between = b""
        file.write(_encoder.encode(head)[:-1] + b',"data":[')

    def write(self, rows: Sequence[Iterable[Any]]) -> None:
        """Write some rows."""
        for row in rows:
            self._file.write(self._between + _encoder.encode(dict(zip(self._names, row, strict=True))))
            self._between = b","

    def close(self) -> None:
        """Write the end."""
        self._file.write(b"]}")


class LinesWriter:
    """An object a line."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column], _: Mapping[str, Any]) -> None:
        self._file = file
        self._names = [column.name for column in columns]

    def write(self, rows: Sequence[Iterable[Any]]) -> None:
        """Write some rows."""
        self._file.write(_encoder.encode_lines([dict(zip(self._names, row, strict=True)) for row in rows]))

    def close(self) -> None:
        """Nothing is owed."""


class ArrowWriter:
    """CSV with a line of names, or Parquet with `head` as its metadata."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column], head: Mapping[str, Any], *, media: str) -> None:
        fields = [pa.field(column.name, _TYPES[column.type]) for column in columns]
        self._texts = [nr for nr, column in enumerate(columns) if column.type == "uuid"]
        self._schema = pa.schema(fields, metadata={name: str(value) for name, value in head.items()})
        if media == CSV:
            options = pyarrow.csv.WriteOptions(quoting_style="needed")
            self._writer = pyarrow.csv.CSVWriter(file, self._schema, write_options=options)
        else:
            self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: Sequence[Iterable[Any]]) -> None:
        """Write some rows."""
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in self._schema]
        for nr in self._texts:
            columns[nr] = [value and str(value) for value in columns[nr]]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the end."""
        self._writer.close()


def writer_of(media: str, file: IO[bytes], columns: Sequence[Column], head: Mapping[str, Any]) -> Writer:
    """Who writes a media type into a file; `head` says what the rows are."""
    if media == JSON:
        return JsonWriter(file, columns, head)
    if media == LINES:
        return LinesWriter(file, columns, head)
    return ArrowWriter(file, columns, head, media=media)
