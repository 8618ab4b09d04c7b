"""A refresh whose answer stalls: the client that sends it again must not look like a thief."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import httpx
import pytest
from signing import Service, running

from events.catalog.feeds import feeds_of
from events.migrate import migrate
from local.fixtures import DatabaseFactory, until
from local.postgres import Postgres
from local.prepare import connected


@pytest.fixture
async def stalling(own_postgres: Postgres) -> AsyncIterator[Service]:
    """The service over a cluster of its own."""
    own_postgres.create_database("auth", service="auth")
    async with connected(own_postgres.url("auth", "auth_owner")) as owner:
        await migrate(owner, "auth", role="auth", feeds=feeds_of("auth"))
    async with running(own_postgres.url("auth", "auth")) as service:
        yield service


async def test_the_grace_begins_when_the_child_is_made(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        token = (await auth.sign_in())["refresh_token"]
        async with connected(made.owner_url) as owner, owner.transaction():
            await owner.execute("lock table session in access exclusive mode")
            first = asyncio.create_task(auth.refresh(token))
            await until(lambda: waits(auth))
            auth.clock.move(seconds=11)
        child = (await first).json()["data"]["refresh_token"]
        assert (await auth.refresh(token)).json()["data"]["refresh_token"] == child


async def test_once_the_child_is_made_nothing_else_is_waited_for(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        token = (await auth.sign_in())["refresh_token"]
        async with connected(made.owner_url) as owner, owner.transaction():
            await owner.execute("lock table account in access exclusive mode")
            assert (await auth.refresh(token)).json()["code"] == "unavailable"
        assert await auth.pool.fetchval("select generation from session") == 0


async def test_a_child_that_waits_for_a_replica_is_there_for_a_retry(stalling: Service, own_postgres: Postgres) -> None:
    """There a cancel does not undo: it ends the wait, and the child has been made."""
    token = (await stalling.sign_in())["refresh_token"]
    own_postgres.sql("alter system set synchronous_standby_names = 'nowhere'")
    own_postgres.restart()
    assert_unknown_soon(*await timed(stalling, token))
    assert await stalling.pool.fetchval("select generation from session") == 1
    assert (await stalling.refresh(token)).is_success


async def test_a_server_that_hangs_is_not_waited_for(stalling: Service, own_postgres: Postgres) -> None:
    token = (await stalling.sign_in())["refresh_token"]
    async with connected(own_postgres.url("auth", "auth_owner")) as owner, owner.transaction():
        await owner.execute("select from session for update")
        first = asyncio.create_task(timed(stalling, token))
        await until(lambda: waits(stalling))
        own_postgres.pause()
        try:
            assert_unknown_soon(*await first)
        finally:
            own_postgres.resume()
    assert (await stalling.refresh(token)).is_success


async def waits(auth: Service) -> bool:
    """Whether something waits for a lock."""
    return bool(await auth.pool.fetchval("select count(*) from pg_locks where not granted"))


async def timed(auth: Service, token: str) -> tuple[httpx.Response, float]:
    started = monotonic()
    return await auth.refresh(token), monotonic() - started


def assert_unknown_soon(answer: httpx.Response, seconds: float) -> None:
    """The client learns so early that its retry comes within the grace of ten seconds."""
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert seconds < 5
