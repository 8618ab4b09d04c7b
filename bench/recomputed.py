"""The figures of a simulated month counted anew from its own file, by DuckDB, and where those that are shown differ."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import duckdb

from activity.metrics import METRICS
from events.postgres import Connection
from events.sql import load

SQL: Final = load("bench")
_SHOWN_FIRST: Final = 3

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[tuple[Any, ...], Row]
"""A metric's rows by the values of its grain."""


def recomputed(file: Path, upto: int) -> dict[str, Rows]:
    """Each metric's rows, counted from what the file says was heard up to a number."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(SQL.month_archived, {"file": str(file), "upto": upto})
        connection.execute(SQL.month_told)
        connection.execute(SQL.month_doings)
        return {name: _keyed(name, _dicts(connection.execute(_query_of(name)))) for name in METRICS}


async def shown(connection: Connection | asyncpg.Pool, name: str) -> Rows:
    """A metric's rows as activity shows them."""
    rows = await connection.fetch(f"select * from analytics.{name}")  # a name of ours
    return _keyed(name, [_known(name, dict(row)) for row in rows])


def _known(name: str, row: Row) -> Row:
    """Without what no file can know: how long real events took to the stream and the archive."""
    if name == "pipeline" and row["reached"] in {"stream", "activity"}:
        return row | {"p50_ms": None, "p95_ms": None, "p99_ms": None}
    return row


def differences(shown: Mapping[str, Rows], expected: Mapping[str, Rows]) -> dict[str, list[str]]:
    """By metric, what differs: how many rows, and the first of them as shown and as recomputed. Empty: nothing."""
    return {name: list(_differing(shown[name], rows)) for name, rows in expected.items()}


def _differing(shown: Rows, expected: Rows) -> Iterator[str]:
    keys = sorted(key for key in shown.keys() | expected.keys() if shown.get(key) != expected.get(key))
    if keys:
        yield f"{len(keys):,} of {len(expected):,} rows differ"
    for key in keys[:_SHOWN_FIRST]:
        yield f"{' '.join(map(str, key))}: shown {_told(shown.get(key))}, recomputed {_told(expected.get(key))}"


def _told(row: Row | None) -> str:
    return "nothing" if row is None else " ".join(f"{name}={value}" for name, value in row.items())


def _keyed(name: str, rows: Sequence[Row]) -> Rows:
    """Raises `AssertionError` where a grain has two rows."""
    grain = METRICS[name].grain
    keyed = {tuple(row.pop(part) for part in grain): row for row in rows}
    assert len(keyed) == len(rows), f"{name} has several rows for one {grain}"
    return keyed


def _query_of(name: str) -> str:
    query: str = getattr(SQL, f"month_{name}")
    return query


def _dicts(found: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
