"""Erasing a person in the stream: messages are overwritten, whatever dies on the way; the numbers stay."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from feeding import FEED, PERSON, client, create, last_seq, log_ids, make_stream, running, stream_ids
from nats.js.errors import APIError
from test_erasure_log import OTHER, SAID, by

import events.eraser
from events import eraser
from events.broker import Broker
from events.eraser import Eraser
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from events.sql import load
from events.streams import state_with_deleted
from local.fixtures import Database, until
from local.nats import Nats

SQL = load("events")
CANARY = "a-title-that-is-nowhere-else"


class Plant:
    """A log, its relay and its eraser, wired as a service wires them."""

    def __init__(self, todos: Database, server: Nats, pool: asyncpg.Pool) -> None:
        self.todos, self.server, self.pool = todos, server, pool
        dial = dialer(todos.url, application="test")
        self.broker = Broker(server.url("todos"), name="test")
        self.relay = Relay(FEED, dial, self.broker, window=5)
        self.log = Log("TODOS", dial, on_appended=self.relay.wake)
        self.eraser = Eraser(pool, self.broker, [FEED])

    @property
    def writing(self) -> tuple:
        return (self.broker.run, self.relay.run, self.log.run)

    async def append(self, *mine: bool) -> None:
        """One event after another: the person's (True) or somebody else's."""
        for is_mine in mine:
            await self.log.append(create(title=CANARY) if is_mine else by(OTHER))

    async def forget(self) -> None:
        await self.pool.execute(SQL.forget, [PERSON], [SAID])
        self.eraser.wake()

    async def published(self) -> None:
        count = len(await log_ids(self.todos))
        await until(lambda: self._at(count))

    async def _at(self, count: int) -> bool:
        return await last_seq(self.server) == count

    async def erased(self, *seqs: int) -> None:
        """Wait until nothing is left to do and the stream lacks exactly these numbers."""
        await until(self._idle)
        async with client(self.server) as nc:
            there = await state_with_deleted(nc.jetstream(), "TODOS")
        front = set(range(1, there.first_seq))
        assert there.deleted | front == set(seqs)

    async def erased_rows(self) -> None:
        await until(lambda: self.pool.fetchval("select bool_and(erased_at is not null) from events.erasure"))

    async def gone(self, *seqs: int) -> bool:
        async with client(self.server) as nc:
            there = await state_with_deleted(nc.jetstream(), "TODOS")
        return there.deleted | set(range(1, there.first_seq)) == set(seqs)

    async def _idle(self) -> bool:
        pending = "select (select count(*) from events.erasure where erased_at is null) + count(*) from events.deletion"
        return await self.pool.fetchval(pending) == 0 and self.eraser.check().state == "ok"

    async def types(self) -> list[str]:
        """The types of the messages that are there."""
        async with client(self.server) as nc:
            js = nc.jetstream()
            return [
                (await js.get_msg("TODOS", seq)).headers["ce-type"].split(".")[1]
                for seq, _ in await stream_ids(self.server)
            ]

    def on_disk(self) -> bool:
        return any(CANARY.encode() in file.read_bytes() for file in self.server.store.rglob("*") if file.is_file())


@pytest.fixture
async def plant(todos: Database, nats: Nats) -> AsyncIterator[Plant]:
    await make_stream(nats)
    async with asyncpg.create_pool(todos.url, min_size=0) as pool:
        yield Plant(todos, nats, pool)


async def test_the_messages_of_the_person_are_overwritten_and_nobody_elses(plant: Plant) -> None:
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(False, True, True, False, True)
        await plant.published()
        assert plant.on_disk()
        await plant.forget()
        await plant.erased(2, 3, 5)
        assert await stream_ids(plant.server) == [row for row in await log_ids(plant.todos) if row[0] in {1, 4}]
        await until(lambda: not plant.on_disk())
        await plant.append(True, False)
        await plant.published()
        assert await plant.types() == ["TodoCreated", "TodoCreated", "Erased", "TodoCreated"]
        assert not plant.on_disk()


async def test_an_eraser_that_is_told_waits_for_no_look(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eraser, "IDLE", 60)
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(False, True)
        await plant.published()
        await plant.forget()
        await plant.erased(2)


async def test_a_relay_that_starts_after_an_erasure_goes_on(plant: Plant) -> None:
    """Also where all that it would have compared is erased."""
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(False, *[True] * 12)
        await plant.published()
        await plant.forget()
        await plant.erased(*range(2, 14))
    late = Plant(plant.todos, plant.server, plant.pool)
    async with running(*late.writing):
        await late.append(False)
        await late.published()
        assert late.relay.check().state == "ok"


async def test_a_relay_goes_on_where_the_front_of_its_stream_is_erased(plant: Plant) -> None:
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(True, True, False)
        await plant.published()
        await plant.forget()
        await plant.erased(1, 2)
    late = Plant(plant.todos, plant.server, plant.pool)
    async with running(*late.writing):
        await late.append(False)
        await late.published()
        assert late.relay.check().state == "ok"


@pytest.mark.parametrize("seq", [1, 2])
async def test_a_relay_refuses_a_stream_that_lacks_what_is_not_erased(plant: Plant, seq: int) -> None:
    async with running(*plant.writing), client(plant.server) as nc:
        await plant.append(False, False, True)
        await plant.published()
        await nc.jetstream().delete_msg("TODOS", seq)
    late = Plant(plant.todos, plant.server, plant.pool)
    async with running(*late.writing):
        await until(lambda: late.relay.check().state == "failed")
        assert "an operator must decide" in late.relay.check().detail


@pytest.mark.parametrize("seq", [2, 3], ids=["at the front", "further on"])
async def test_an_eraser_says_which_number_a_stream_lacks_that_is_not_erased(plant: Plant, seq: int) -> None:
    async with running(*plant.writing, plant.eraser.run), client(plant.server) as nc:
        await plant.append(True, False, False, False)
        await plant.published()
        await nc.jetstream().delete_msg("TODOS", seq)
        await plant.forget()
        await plant.erased(1, seq)
    late = Plant(plant.todos, plant.server, plant.pool)
    async with running(late.broker.run, late.eraser.run):
        await until(lambda: late.eraser.check().state == "failed")
        assert f"lacks {seq}," in late.eraser.check().detail


async def test_a_lost_stream_is_filled_with_erased_events_under_the_same_numbers(plant: Plant) -> None:
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(True, False, True)
        await plant.published()
        await plant.forget()
        await plant.erased(1, 3)
        async with client(plant.server) as nc:
            await nc.jetstream().delete_stream("TODOS")
        await make_stream(plant.server)
        await plant.published()
        assert await stream_ids(plant.server) == await log_ids(plant.todos)
        assert await plant.types() == ["Erased", "TodoCreated", "Erased"]
        async with client(plant.server) as nc:
            message = await nc.jetstream().get_msg("TODOS", 1)
        assert message.subject.startswith("ev.todos.")
        assert message.subject.endswith(".Erased")
        assert (message.data, message.headers["ce-subject"]) == (b"{}", str(PERSON))


async def test_messages_that_a_restored_broker_brings_back_are_deleted_again(plant: Plant, tmp_path: Path) -> None:
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(True, False, True, False)
        await plant.published()
        plant.server.stop()
        shutil.copytree(plant.server.store, tmp_path / "older")
        plant.server.start()
        await plant.forget()
        await plant.erased(1, 3)
        plant.server.kill()
        shutil.rmtree(plant.server.store)
        shutil.copytree(tmp_path / "older", plant.server.store)
        plant.server.start()
        await until(lambda: plant.gone(1, 3))
        await until(lambda: not plant.on_disk())


async def test_rows_are_erased_while_nats_is_away_and_messages_when_it_is_back(plant: Plant) -> None:
    async with running(*plant.writing, plant.eraser.run):
        await plant.append(True, False)
        await plant.published()
        plant.server.stop()
        await plant.forget()
        await plant.erased_rows()
        await until(lambda: plant.eraser.check().detail.endswith("NATS is away"))
        assert plant.eraser.check().state == "late"
        plant.server.start()
        await plant.erased(1)


@pytest.mark.parametrize("step", ["answers_erase", "erase", "erasure_done", "deletions", "deletions_done"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_eraser_that_ends_between_any_two_steps_is_completed_by_the_next(
    plant: Plant, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.eraser, "BATCH", 2)
    async with running(*plant.writing):
        await plant.append(True, True, False, True, True, True, False)
        await plant.published()
        await plant.forget()
        dying = Eraser(Dying(plant.pool, getattr(SQL, step), after=after), plant.broker, [FEED])
        with pytest.raises(ExceptionGroup, match="unhandled"):
            await asyncio.wait_for(dying.run(), 10)
        async with running(plant.eraser.run):
            await plant.erased(1, 2, 4, 5, 6)


class Dying:
    """A pool over which its process dies at one query: just before it, or once it is committed."""

    def __init__(self, pool: asyncpg.Pool, query: str, *, after: bool) -> None:
        self._pool, self._query, self._after = pool, query, after

    def __getattr__(self, name: str) -> object:
        async def call(query: str, *values: object) -> object:
            if query == self._query and not self._after:
                raise KilledError
            result = await getattr(self._pool, name)(query, *values)
            if query == self._query:
                raise KilledError
            return result

        return call


class KilledError(Exception):
    pass


async def test_only_the_relays_user_deletes_and_only_in_its_own_stream(plant: Plant) -> None:
    async with running(*plant.writing):
        await plant.append(False)
        await plant.published()
    for user in ("activity", "mailer", "auth"):
        async with client(plant.server, user) as nc:
            with pytest.raises((TimeoutError, APIError)):
                await nc.jetstream(timeout=0.5).delete_msg("TODOS", 1)
    assert len(await stream_ids(plant.server)) == 1
