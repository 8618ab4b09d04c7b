"""An address whose id was reserved by a first sign-in that was cut off, so that nobody ever registered there."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
from prometheus_client import REGISTRY
from signing import ADA, Service, appends_held_up, running

from auth import tables
from auth.tables import drops
from events.ids import uuid7
from events.retention import Retention
from local.fixtures import DatabaseFactory, until
from local.prepare import connected

EVE = "eve@example.test"


async def test_an_address_where_nobody_registered_goes_after_an_hour_and_nobody_who_did(auth: Service) -> None:
    """Without an account its person can neither see that it is kept nor have it erased."""
    await auth.sign_in(EVE)
    await reserve(auth)
    before = dropped()
    for minutes, left in ((59, {ADA, EVE}), (61, {EVE})):
        auth.clock.offset = timedelta(minutes=minutes)
        await drop(auth)
        assert {row["email"] for row in await auth.pool.fetch("select email from account")} == left
    assert dropped() - before == 1
    assert (await auth.sign_in(EVE))["user"]["email"] == EVE


async def test_who_signs_in_while_their_reservation_goes_is_registered_with_it(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        reserved, code = await old_reservation(auth)
        async with appends_held_up(made.owner_url):
            answering = asyncio.create_task(auth.answer(code))
            await until(lambda: appends(auth))
            await drop(auth)
            assert await ids(auth) == []
        answer = await answering
        assert (answer.status_code, answer.json()["data"]["user"]["id"]) == (200, str(reserved))
        assert await ids(auth) == [reserved]


async def test_two_who_sign_in_around_the_end_of_a_reservation_make_one_person(database: DatabaseFactory) -> None:
    """The first one found the reservation, the second one made another; what comes later goes by what came first."""
    made = database("auth")
    async with running(made.url) as auth:
        (reserved, one), two = await old_reservation(auth), await auth.challenge()
        async with appends_held_up(made.owner_url):
            first = asyncio.create_task(auth.answer(one))
            await until(lambda: appends(auth))
            await drop(auth)
            second = asyncio.create_task(auth.answer(two))
            await until(lambda: ids(auth))
        answers = [await first, await second]
        assert [answer.status_code for answer in answers] == [200, 200]
        [registered] = await ids(auth)
        assert {answer.json()["data"]["user"]["id"] for answer in answers} == {str(registered)} != {str(reserved)}
        assert (await auth.said()).count("UserRegistered") == 1


async def test_a_registration_under_way_is_neither_dropped_nor_waited_for(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        reserved, _ = await old_reservation(auth)
        async with owner.transaction():
            await owner.execute("update account set version = 1, registered_at = now()")
            async with asyncio.timeout(1):
                await drop(auth)
        await drop(auth)
        assert await ids(auth) == [reserved]


async def test_after_a_restore_a_reserved_id_that_the_log_gave_away_locks_nobody_out(database: DatabaseFactory) -> None:
    """The copy knows the reservation, the tail that came back into the log its registration."""
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        before = (await auth.sign_in())["user"]["id"]
        await owner.execute("delete from session")
        await owner.execute("update account set version = 0, registered_at = null")
        auth.clock.move(minutes=61)
        assert (await auth.answer(await auth.challenge())).status_code == 409
        await drop(auth)
        assert (await auth.sign_in())["user"]["id"] != before


async def test_reservations_are_found_without_reading_all_accounts(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        await old_reservation(auth)
        await owner.execute(
            "insert into account (id, version, email, registered_at) "
            "select uuidv7(), 1, n || '@example.test', now() from generate_series(1, 20000) n"
        )
        await owner.execute("analyze account")
        before = await read_whole(owner)
        assert await owner.fetchval(tables.SQL.drop_reservations, auth.clock(), 1000) == 1
        assert await read_whole(owner) == before


async def reserve(auth: Service) -> UUID:
    """What a process leaves behind that dies between the reservation of an id and the append that registers it."""
    reserved = uuid7()
    await tables.reserve_account(auth.pool, reserved, ADA)
    return reserved


async def old_reservation(auth: Service) -> tuple[UUID, dict[str, str]]:
    """A reservation that may go, and a code for its address that lives."""
    reserved = await reserve(auth)
    auth.clock.move(minutes=61)
    return reserved, await auth.challenge()


async def drop(auth: Service) -> None:
    await Retention(drops(auth.pool, auth.clock)).drop()


async def ids(auth: Service) -> list[UUID]:
    return [UUID(str(row["id"])) for row in await auth.pool.fetch("select id from account")]


async def appends(auth: Service) -> bool:
    """Whether an append waits for its turn."""
    return bool(
        await auth.pool.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
    )


def dropped() -> float:
    """What the metric says."""
    return REGISTRY.get_sample_value("todo_dropped_rows_total", {"what": "reservations"}) or 0


async def read_whole(owner: asyncpg.Connection) -> int:
    """How often all of `account` was read, what this connection did included."""
    await owner.execute("select pg_stat_force_next_flush()")
    return int(await owner.fetchval("select seq_scan from pg_stat_user_tables where relname = 'account'"))
