"""The append core beside what people would use instead: the same PostgreSQL, the same rounds, 1, 8 and 32 writers."""

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import msgspec

from bench import appends
from bench.appends import GROUPED, ONE_BY_ONE
from bench.counts import SQL, Unsound
from bench.figures import Goal, Run, at_least, ratios, row, spread, table
from bench.singles import PGBENCH, PLAIN, STATEMENT, pgbench, scripted, statements
from bench.workshop import Workshop
from local.console import say

WRITERS: Final = (1, 8, 32)
EVENTSOURCING: Final = "eventsourcing, its recorder for PostgreSQL"
_DATABASE: Final = "todos_core"
_LIBRARY: Final = Path(sys.executable).parent.parent / "eventsourcing/bin/python"
_PROGRAM: Final = Path(__file__).parent / "peers/eventsourced.py"

Cores = dict[tuple[str, int], list[Run]]
"""By way and writers, a run a round."""


class Bench:
    """What appends, and where."""

    def __init__(self, workshop: Workshop, seconds: float) -> None:
        self._url = workshop.postgres.url(_DATABASE, "todos")
        self._peers_url = workshop.postgres.url(_DATABASE, "todos_owner")
        self._library_url = workshop.postgres.url("eventsourcing", "todos_owner")
        self._workshop = workshop
        self._seconds = seconds
        self._pgbench = pgbench()
        self._skipped: dict[str, str] = {}
        if self._pgbench is None:
            self._skipped |= dict.fromkeys(PGBENCH, "no pgbench beside the server or on the PATH")
        if not _LIBRARY.exists():
            self._skipped[EVENTSOURCING] = "its environment is not there; `./run bench-stages` makes it"
        self.runs: Cores = defaultdict(list)

    async def prepare(self) -> None:
        """Make the databases and the peers' tables."""
        await self._workshop.add_database(_DATABASE, "todos")
        owner = await self._workshop.connect(_DATABASE, "todos")
        await owner.execute(SQL.peer_tables)
        await owner.close()
        await asyncio.to_thread(self._workshop.postgres.create_database, "eventsourcing", service="todos")

    async def round(self) -> None:
        """Every way once at each number of writers, in turn."""
        for writers in WRITERS:
            for way in (GROUPED, *PGBENCH, STATEMENT, ONE_BY_ONE, EVENTSOURCING):
                if way not in self._skipped:
                    run = await self._run(way, writers)
                    self.runs[way, writers].append(run)
                    say(f"bench: {writers} writers, {way}: {run.rate:,.0f}/s, p99 {run.p99:.1f} ms")

    async def _run(self, way: str, writers: int) -> Run:
        if way in appends.WAYS:
            return await appends.measure(self._url, way, writers)
        if way == STATEMENT:
            return await statements(self._peers_url, writers)
        if way == EVENTSOURCING:
            return await _eventsourced(self._library_url, writers, self._seconds)
        assert self._pgbench is not None
        return await scripted(self._pgbench, self._peers_url, PGBENCH[way], writers, self._seconds)

    def __str__(self) -> str:
        """A table, and what was left out."""
        lines = []
        for way, writers in sorted(self.runs, key=lambda each: each[1]):
            ours, runs = self.runs[GROUPED, writers], self.runs[way, writers]
            lines.append(row(f"{writers}, {way}", runs, "1" if way == GROUPED else spread(ratios(ours, runs))))
        told = table(("writers", "appends/s", "p50", "p99", "group commit is x times that"), lines)
        return "\n".join([told, *(f"\nskipped: {way}: {why}" for way, why in self._skipped.items())])

    def goals(self) -> list[Goal]:
        """At 32 writers."""
        goals = {"pgbench, one statement": 1.5, PLAIN: 1.2, STATEMENT: 4.0, ONE_BY_ONE: 4.0}
        return [
            at_least(f"group commit to {way}, 32 writers", ratios(self.runs[GROUPED, 32], self.runs[way, 32]), least)
            for way, least in goals.items()
            if (way, 32) in self.runs
        ]


class _Saved(msgspec.Struct):
    answered: int
    seconds: float
    p50: float
    p99: float


async def _eventsourced(url: str, writers: int, seconds: float) -> Run:
    """The library in a process of its own; raises `Unsound` where its table has fewer rows than it saved."""
    before = await _rows(url)
    command = [str(_LIBRARY), str(_PROGRAM), str(writers), str(seconds)]
    environment = {**os.environ, **_variables(url, writers)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise Unsound(f"the library's program ended with {process.returncode}")
    saved = msgspec.json.decode(output, type=_Saved)
    if await _rows(url) - before < saved.answered:
        raise Unsound(f"the library saved {saved.answered} to-dos, its table has fewer")
    return Run(answered=saved.answered, seconds=saved.seconds, p50=saved.p50, p99=saved.p99)


def _variables(url: str, writers: int) -> Mapping[str, str]:
    """A connection for each writer, and the library's faster way to insert."""
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": str(parts.hostname),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
        "POSTGRES_POOL_SIZE": str(writers),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "true",
    }


async def _rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("select count(*) from todos_events"))
    except asyncpg.UndefinedTableError:
        return 0
    finally:
        await connection.close()
