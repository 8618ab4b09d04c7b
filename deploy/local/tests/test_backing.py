"""The embedded PostgreSQL and NATS: they start, die, pause and come back with what they held."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncpg
import nats as nats_client
import pytest
from nats.js import JetStreamContext

from local.child import StartError
from local.cluster import Cluster
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from local.postgres import Postgres


async def test_the_roles_of_a_database_have_bounded_waits_and_only_their_own_database(
    database: DatabaseFactory,
) -> None:
    todos, auth = database("todos"), database("auth")
    connection = await asyncpg.connect(todos.url)
    settings = "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"
    assert [await connection.fetchval(f"show {name}") for name in settings] == ["2s", "5s", "5s", "10s"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create table mine (id int)")
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(todos.url.replace(todos.name, auth.name))


def test_a_statement_that_fails_says_why(postgres: Cluster) -> None:
    with pytest.raises(StartError, match=r"psql.*ERROR.*nowhere"):
        postgres.sql("select 1 from nowhere")


async def test_trigrams_see_korean(database: DatabaseFactory) -> None:
    connection = await asyncpg.connect(database("todos").owner_url)  # whose migrations make the extension
    assert await connection.fetchval("select similarity('할 일 목록', '할 일 목록표')") > 0.4
    await connection.close()


async def test_postgres_keeps_committed_rows_through_a_kill_and_a_pause(own_postgres: Postgres) -> None:
    own_postgres.sql("create table t (n int); insert into t values (1)")
    own_postgres.kill()
    own_postgres.start()
    assert own_postgres.sql("select n from t").strip() == "1"
    own_postgres.pause()
    with pytest.raises((TimeoutError, OSError)):
        await asyncpg.connect(own_postgres.admin_url, timeout=0.3)
    own_postgres.resume()
    own_postgres.restart()
    assert own_postgres.sql("show fsync; show synchronous_commit; show data_checksums").split() == ["on", "on", "on"]


async def test_nats_keeps_messages_through_a_kill_and_a_pause(nats: Nats) -> None:
    async with connected(nats.url()) as js:
        await js.add_stream(name="S", subjects=["s.>"])
        await js.publish("s.1", b"one")
    nats.kill()
    nats.start()
    async with connected(nats.url()) as js:
        assert (await js.get_msg("S", 1)).data == b"one"
        nats.pause()
        with pytest.raises(TimeoutError):
            await js.stream_info("S")
        nats.resume()
        assert (await js.stream_info("S")).state.messages == 1


async def test_a_service_publishes_only_its_own_subjects(nats: Nats) -> None:
    errors: list[Exception] = []

    async def remember(error: Exception) -> None:
        errors.append(error)

    admin = await nats_client.connect(nats.url())
    await admin.jetstream().add_stream(name="TODOS", subjects=["ev.todos.>"])
    todos = await nats_client.connect(nats.url("todos"), inbox_prefix=b"_INBOX_todos", error_cb=remember)
    js = todos.jetstream(timeout=1)
    assert (await js.publish("ev.todos.1.TodoCreated", b"{}")).seq == 1
    assert (await js.stream_info("TODOS")).state.messages == 1
    for forbidden in ("ev.auth.1.UserRegistered", "$JS.API.STREAM.PURGE.TODOS", "$JS.API.STREAM.MSG.GET.OTP"):
        errors.clear()
        await todos.publish(forbidden, b"{}")
        await until(lambda: errors)
        assert "permissions violation" in str(errors[0]).lower()
    await todos.close()
    await admin.close()


async def test_a_cluster_outlives_its_leader(nats_cluster: list[Nats]) -> None:
    async with connected(nats_cluster[0].url()) as js:
        await until(partial(succeeds, js.add_stream, name="S", subjects=["s.>"], num_replicas=3), within=20)
        # A stream just made answers no publish until its leader's interest has reached this server.
        await until(partial(succeeds, js.publish, "s.1", b"one"), within=20)
        cluster = (await js.stream_info("S")).cluster
    leader = next(server for server in nats_cluster if server.name == cluster.leader)
    leader.kill()
    survivor = next(server for server in nats_cluster if server is not leader)
    async with connected(survivor.url()) as js:
        await until(partial(succeeds, js.publish, "s.2", b"two"), within=20)
        assert (await js.get_msg("S", 1)).data == b"one"


async def succeeds(call: Callable[..., Awaitable[object]], *args: object, **kwargs: object) -> bool:
    """Whether a call that needs a leader goes through yet."""
    with suppress(nats_client.errors.Error, TimeoutError):
        await call(*args, **kwargs)
        return True
    return False


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(url)
    try:
        yield client.jetstream(timeout=1)
    finally:
        await client.close()
