"""Commands that are killed while others hear and read. What test_kills.py needs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from reporting import Diary

from activity.builds import rebuild
from activity.figures import Figures, Question
from activity.formats import CSV
from activity.metrics import METRICS
from activity.projections import Projections, in_state
from activity.tables import SQL
from local.fixtures import Database, until

Does: TypeAlias = Literal["rebuild", "rollback"]
BEGUN: Final = {"rebuild": "building", "rollback": "kept"}
"""In which state a build is that the command is to show."""

FILL = """
with counter as (
    update archive_counter set
        last_number = last_number + $2, heard_at = greatest(heard_at + interval '1 microsecond', clock_timestamp())
    returning last_number - $2 as before, heard_at
), said as (
    select
        nr, nr % 5000 = 0 as moved, nr % 3 = 0 as toggled, $1::uuid[] as people,
        '2026-11-01T00:00Z'::timestamptz + nr % 9999 * interval '3 minutes' as time
    from generate_series(1, $2::int) nr
)
insert into archive (
    number, feed, seq, event_id, type, subject, aggregate, version, time, heard_at, correlation_id, causation_id, actor,
    traceparent, data
)
select
    before + nr, case when moved then 'AUTH' else 'TODOS' end, 1_000_000 + before + nr, gen_random_uuid(),
    case
        when moved then 'auth.ProfileChanged.v1'
        when toggled then 'todos.TodoToggled.v1'
        else 'todos.TodoCreated.v1'
    end,
    people[1 + nr / 7 % cardinality(people)], gen_random_uuid(), 1, time, heard_at, '', '', '', '',
    case
        when moved then json_build_object('timezone', 'America/New_York')
        else json_build_object('todo_id', gen_random_uuid(), 'completed', true)
    end
from counter, said
"""
"""So many events of people, a few of them late words about their zones."""
PACE: Final = 0.03
NOTE = """
create table switch (build int, state text);
create function note_switch() returns trigger language plpgsql security definer set search_path = public as $$
begin
    insert into switch values (new.id, new.state);
    perform pg_advisory_xact_lock_shared(7);
    return null;
end
$$;
create trigger switched after update of state on projections.build for each row execute function note_switch();
grant select on switch to activity;
"""
"""Keeps each change of places, and lets a test hold it up once it is done but for the commit."""
AT_WORK = """
select pid, query, cardinality(pg_blocking_pids(pid)) > 0 as waits
from pg_stat_activity where datname = current_database() and application_name = $1
"""
ROW: Final = "select from projections.build where projection = 'actions' and state = 'live'"
ROWS_OF = """
select count(*) as rows, sum(hashtextextended(concat(ctid, ' ', xmin), 0)) as print
from projections.action where build = $1 and number <= $2
"""
"""The very rows of a build: written anew they would lie elsewhere, of another transaction."""


class Begun(NamedTuple):
    """How far a build was, and what it held."""

    id: int
    position: int
    rows: tuple[int, int]


@dataclass
class Beside:
    """Who hears and reads all the time, and what came of it."""

    diary: Diary
    me: UUID
    position: int = 0
    before: bytes = b""
    reads: int = 0
    failed: list[str] = field(default_factory=list)
    over: bool = False

    async def read(self, as_of: int | None) -> tuple[int, bytes]:
        """The position that one's own days reflect, and the days."""
        figures, question = Figures(self.diary.pool), Question(metric=METRICS["daily"], person=self.me, as_of=as_of)
        reflected, file = await figures.write(question, as_of, CSV, {})
        with file:
            return reflected.position, file.read()

    async def run(self) -> None:
        """Hear and read until it is over."""
        seen = self.position
        while not self.over:
            await asyncio.sleep(PACE)
            await self.diary.create(self.me, "2026-11-22T14:00")
            try:
                now, _ = await self.read(None)
                _, then = await self.read(self.position)
            except Exception as error:  # noqa: BLE001 - that there is none is what is shown
                self.failed.append(repr(error))
                continue
            self.reads += 2
            if now < seen or then != self.before:
                self.failed.append(f"{then!r} after {seen}, at {now}")
            seen = now


@dataclass
class World:
    """Activity's database, with a switch that is noted, and a command that can be killed."""

    diary: Diary
    owner: asyncpg.Connection
    database: Database
    people: list[UUID]
    folder: Path

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Beside]:
        """Somebody who hears and reads until the end; no read failed, none told another thing, none went back."""
        beside = Beside(self.diary, self.people[0])
        beside.position, beside.before = await beside.read(None)
        _, beside.before = await beside.read(beside.position)
        projections = Projections(self.diary.pool)
        async with asyncio.TaskGroup() as group:
            building, reading = group.create_task(projections.run()), group.create_task(beside.run())
            try:
                yield beside
            finally:
                beside.over = True
                await asyncio.wait([reading])
                building.cancel()
        assert beside.failed == []

    async def kill(self, child: asyncio.subprocess.Process) -> None:
        """kill -9; its session ends when its statement does."""
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        await child.wait()

    @asynccontextmanager
    async def command(self, does: Does) -> AsyncIterator[asyncio.subprocess.Process]:
        """`python -m activity ...` at work: it is connected."""
        given = {"DATABASE_URL": self.database.url, "NATS_URL": "nats://nowhere", "JWKS_URL": "http://nowhere"}
        with (self.folder / "out").open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "activity", does, "actions"),
                stdout=out,
                stderr=out,
                env=os.environ | given | {"ISSUER": "nobody"},
            )
            try:
                await until(lambda: self.has_begun(child, does), within=30)
                yield child
            finally:
                await self.kill(child)

    async def work(self, does: Does) -> list[asyncpg.Record]:
        """What the command's sessions do."""
        return await self.diary.pool.fetch(AT_WORK, f"activity {does}")

    async def has_begun(self, child: asyncio.subprocess.Process, does: Does) -> bool:
        return child.returncode is not None or bool(await self.work(does))

    async def is_gone(self, does: Does) -> bool:
        return not await self.work(does)

    async def waits_in(self, does: Does, query: str) -> bool:
        """Whether the command waits in a statement."""
        return [(query, True)] == [(row["query"], row["waits"]) for row in await self.work(does)]

    async def is_over(self, does: Does) -> None:
        """Return once no session of a command is left."""
        await until(lambda: self.is_gone(does), within=30)

    async def ends(self, does: Does) -> None:
        """The command, not killed."""
        async with self.command(does) as child:
            assert await asyncio.wait_for(child.wait(), 60) == 0, self.out

    @property
    def out(self) -> str:
        """What the last command printed."""
        return (self.folder / "out").read_text()

    @asynccontextmanager
    async def held_up(self, *, done: bool) -> AsyncIterator[None]:
        """A change of places waits: for the row of what is shown, or when it is done but for the commit."""
        lock = "select pg_advisory_xact_lock(7)" if done else f"{ROW} for no key update"
        async with self.owner.transaction():
            await self.owner.execute(lock)
            yield

    async def begun(self, state: str) -> Begun | None:
        """The build of actions that is in a state."""
        found = await in_state(self.diary.pool, "actions", state)
        return found and await self.still(Begun(found.id, found.position, (0, 0)))

    async def goes_on(self, child: asyncio.subprocess.Process, state: str, was: Begun | None) -> bool:
        """Whether a build has more in it than it had, or the command ended."""
        found = await in_state(self.diary.pool, "actions", state)
        return child.returncode is not None or (found is not None and found.position > (was.position if was else 0))

    async def still(self, was: Begun) -> Begun:
        """What is left of what a build held."""
        return was._replace(rows=tuple((await self.diary.pool.fetchrow(ROWS_OF, was.id, was.position)).values()))

    async def figures(self, position: int) -> dict[str, str]:
        """Every row of every view of actions, as of a position."""
        views = [metric.name for metric in METRICS.values() if metric.projection == "actions"]
        async with self.diary.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.execute(SQL.as_of, str(position))
            query = "select md5(string_agg(v::text, '|' order by v::text)) from analytics.{} v"
            return {view: await connection.fetchval(query.format(view)) for view in views}

    async def switches(self) -> list[int]:
        """The builds that came to be shown, one after the other."""
        return [row["build"] for row in await self.owner.fetch("select build from switch where state = 'live'")]

    async def prepare(self, does: Does, events: int) -> None:
        """A history, all of it shown; for a rollback there is something that was shown before most of it came."""
        if does == "rollback":
            assert (await rebuild(self.diary.pool, "actions", 1, lambda _, __: None)).is_shown
        await self.owner.execute(FILL, self.people, events, timeout=60)
        await self.diary.build()
        await self.owner.execute("delete from switch")
