"""A person takes along all that this service keeps of them, however much: page by page, in little memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from activity.main import export
from api.app import create_app
from api.testing import People, serving, weighed
from events.health import Health
from events.postgres import open_pool
from local.fixtures import Database, DatabaseFactory, until

MANY = 30_000
FILL = """
insert into entry (feed, seq, id, user_id, action, details, at)
select
    'TODOS', n, gen_random_uuid(), $1, 'todo_created',
    jsonb_build_object('todo_id', gen_random_uuid(), 'title', repeat('우유', 100), 'priority', 3, 'completed', false),
    '2026-11-23T09:00Z'::timestamptz + make_interval(mins => n / 7)
from generate_series(1, $2::int) as n
"""
"""Seven share each moment."""
CALM = """
select count(*) > 0 and bool_and(state = 'idle' and state_change < clock_timestamp() - interval '300 ms')
from pg_stat_activity where application_name = 'activity'
"""
ERASED = "insert into events.erasure (subject, event_id) values ($1, gen_random_uuid())"


@dataclass
class Service:
    http: httpx.AsyncClient
    pool: asyncpg.Pool
    people: People
    me: UUID
    own: Database

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[asyncio.StreamReader]:
        """An export that is read as far as its head; its client goes without a word."""
        reader, writer = await asyncio.open_connection(self.http.base_url.host, self.http.base_url.port, limit=1 << 16)
        token = self.people.token(self.me)
        writer.write(f"GET /activity/export HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n".encode())
        try:
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            yield reader
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def activity(database: DatabaseFactory) -> AsyncIterator[Service]:
    own, people, me = database("activity"), People(), uuid4()
    async with await open_pool(own.url, application="activity") as pool:
        for person, entries in ((me, MANY), (uuid4(), 10)):
            await pool.execute(FILL, person, entries)
        app = create_app(title="Activity", routes=[export(pool)], health=Health(), guard=people.guard)
        async with serving(app) as http:
            yield Service(http, pool, people, me, own)


async def test_given_many_entries_when_they_are_exported_then_each_is_there_once_in_order(activity: Service) -> None:
    answer = await activity.http.get("/activity/export", headers=activity.people.headers(activity.me))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    exported = answer.json()["data"]
    assert set(exported) == {"person", "open_periods", "entries", "events"}
    rows = await activity.pool.fetch("select id from entry where user_id = $1 order by at, id", activity.me)
    assert [entry["id"] for entry in exported["entries"]] == [str(row["id"]) for row in rows]
    assert set(exported["entries"][0]) == {"id", "action", "details", "at"}
    assert (exported["person"], exported["open_periods"], exported["events"]) == (None, [], [])


async def test_given_many_entries_when_they_are_exported_then_little_of_them_is_in_memory_at_a_time(
    activity: Service,
) -> None:
    found = await weighed(activity.http, "/activity/export", activity.people.headers(activity.me))
    assert found.size > 20_000_000
    assert found.peak < 4_000_000, f"{found} of an export"


async def test_given_a_client_that_does_not_read_when_a_person_exports_then_nothing_is_held_in_the_database(
    activity: Service,
) -> None:
    async with await open_pool(activity.own.url, application="onlooker") as onlooker, activity.asked() as reader:
        await until(lambda: onlooker.fetchval(CALM))
        assert len(await reader.read(1 << 16)) > 0


async def test_given_a_person_who_is_erased_meanwhile_when_they_export_then_they_see_that_it_is_not_whole(
    activity: Service,
) -> None:
    async with activity.asked() as reader:
        owner = await asyncpg.connect(activity.own.owner_url)
        await owner.execute(ERASED, activity.me)
        await owner.close()
        assert not (await reader.read()).endswith(b"0\r\n\r\n")
