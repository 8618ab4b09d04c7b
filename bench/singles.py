"""Peers of `append`: one statement or one plain transaction for each event and its row, by asyncpg and by pgbench.

They write tables with the columns and indexes of ours (`sql/peer_tables.sql`), without gapless numbers, versions that
are checked, or retries that are known.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import asyncpg

from bench.appends import Append, timed
from bench.counts import SQL, Unsound, assert_durable
from bench.figures import Run, run_of
from bench.todos import created
from events.command import Command
from events.ids import uuid7
from events.log import Appended
from local.account import postgres_programs
from local.cluster import connection_environment
from todos.tables import TodoRow

STATEMENT: Final = "asyncpg, one statement each"
PLAIN: Final = "pgbench, a plain transaction"
PGBENCH: Final = {PLAIN: "peer_transaction", "pgbench, one statement": "peer_statement"}
SHORTEST: Final = 3.0
"""Seconds that pgbench needs to have something to tell: opening connections is among them."""
_TODOS: Final = 6_000
_ALONE: Final = 1_500
_WARM_UP: Final = 10
_SCRIPTS: Final = Path(__file__).parent / "sql"
_DONE: Final = re.compile(r"actually processed: (\d+).*?failed transactions: (\d+).*?tps = ([\d.]+)", re.DOTALL)


def pgbench() -> Path | None:
    """PostgreSQL's own generator of load: the one beside the stack's server, else one on the PATH."""
    beside = postgres_programs(None) / "pgbench"
    found = str(beside) if beside.exists() else shutil.which("pgbench")
    return Path(found) if found else None


async def statements(url: str, writers: int) -> Run:
    """asyncpg, a connection for each writer, each statement prepared once and committed by itself."""
    made = [created(uuid7(), uuid7()) for _ in range(writers * _WARM_UP + (_ALONE if writers == 1 else _TODOS))]
    rows = {command.id: row for command, row in made}
    commands = [command for command, _ in made]
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(url) for _ in range(writers)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        looker = connections[0]
        await assert_durable(looker)
        before = await _written(looker)
        appends = [_over(connection, rows) for connection in connections]
        await timed(appends, commands[: writers * _WARM_UP])
        run = await timed(appends, commands[writers * _WARM_UP :])
        await _reconcile(looker, before, len(made))
    return run


def _over(connection: asyncpg.Connection, rows: dict[UUID, TodoRow]) -> Append:
    async def append(command: Command) -> Appended:
        await connection.execute(SQL.peer_append, *_parameters(command, rows[command.id]))
        return Appended(0)

    return append


def _parameters(command: Command, row: TodoRow) -> Sequence[object]:
    [event], context = command.events, command.context
    said = (event.id, command.id, event.aggregate, event.version, event.type, event.subject, context.time)
    told = (context.correlation_id, context.causation_id, context.actor, context.traceparent, event.data)
    return (*said, *told, row.title, row.description, row.priority, row.completed, row.due_at)


async def scripted(program: Path, url: str, script: str, writers: int, seconds: float) -> Run:
    """pgbench, a client for each writer, every statement prepared; raises `Unsound` where its count is not there."""
    looker = await asyncpg.connect(url)
    try:
        await assert_durable(looker)
        before = await _written(looker)
        with TemporaryDirectory(prefix="pgbench-") as folder:
            threads = min(writers, os.cpu_count() or 1)
            shape = ["--no-vacuum", "--protocol=prepared", f"--client={writers}", f"--jobs={threads}"]
            source = f"--file={_SCRIPTS / script}.sql"
            log = ["--log", f"--log-prefix={folder}/log"]
            said = await _output([str(program), *shape, source, f"--time={seconds:.0f}", *log], url)
            latencies = [int(line.split(b" ", 3)[2]) / 1e6 for line in _lines(Path(folder))]
        done = _DONE.search(said)
        if done is None or int(done[2]) or int(done[1]) != len(latencies):
            raise Unsound(f"pgbench says {said!r}, its log has {len(latencies)} transactions")
        await _reconcile(looker, before, len(latencies))
    finally:
        await looker.close()
    return run_of(latencies, len(latencies) / float(done[3]))


async def _output(command: Sequence[str], url: str) -> str:
    environment = connection_environment(url)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise Unsound(f"pgbench ended with {process.returncode}")
    return output.decode()


def _lines(folder: Path) -> list[bytes]:
    return [line for file in folder.iterdir() for line in file.read_bytes().splitlines()]


async def _written(connection: asyncpg.Connection) -> int:
    """How much is written; raises `Unsound` where events and rows differ."""
    counts = await connection.fetchrow(SQL.peer_appended)
    if counts is None or counts["events"] != counts["rows"]:
        raise Unsound(f"events and rows differ: {counts}")
    return int(counts["rows"])


async def _reconcile(connection: asyncpg.Connection, before: int, answered: int) -> None:
    grown = await _written(connection) - before
    if grown != answered:
        raise Unsound(f"{answered} writes were answered, {grown} are there")
