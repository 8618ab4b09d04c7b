"""A consumer: each event exactly once, in order, whatever dies, stops, lies or vanishes on the way."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from feeding import CODEC, FEED, PERSON, client, connection, create, last_seq, log_ids, make_stream, running, toggle
from part import copy

import events.listener
from events.broker import Broker
from events.catalog.todos import TodoToggled
from events.codec import Codec
from events.consumer import Consumer
from events.envelope import from_headers, subject_of
from events.errors import LostFence
from events.hearing import Event, Hears
from events.ids import uuid7
from events.listener import PACE_UNWANTED, Listener
from events.log import Log
from events.postgres import Connection, dialer
from events.relay import Relay
from local.fixtures import Database, until
from local.nats import Nats

PART = str(Path(__file__).with_name("part.py"))
COUNT_MOVES = """
create table moves (seq bigint);
create function count_move() returns trigger security definer language plpgsql as
    $$ begin insert into moves values (new.seq); return null; end $$;
create trigger count_moves after update on events.checkpoint for each row execute function count_move();
"""
TABLE = "create table heard (nr bigserial primary key, seq bigint, id uuid, aggregate uuid, version bigint)"


class Plant:
    """The whole way: log, relay, and consumers of one database."""

    def __init__(self, todos: Database, server: Nats) -> None:
        self.todos, self.server = todos, server
        self.dial = dialer(todos.url, application="test")
        self.broker = Broker(server.url("todos"), name="test")
        self.relay = Relay(FEED, self.dial, self.broker)
        self.log = Log("TODOS", self.dial, on_appended=self.relay.wake)
        self.ear = Broker(server.url("activity"), name="ear")

    @property
    def tasks(self) -> tuple:
        return (self.broker.run, self.relay.run, self.log.run, self.ear.run)

    def consumer(
        self, handle: object = copy, *, types: tuple = (), url: str | None = None, codec: Codec = CODEC
    ) -> Consumer:
        broker = self.ear if url is None else Broker(url, name="ear")
        return Consumer("activity", [Hears(FEED, handle, types)], self.dial, broker, codec)

    async def append(self, count: int) -> None:
        await asyncio.gather(*(self.log.append(create()) for _ in range(count)))

    @asynccontextmanager
    async def process(self, part: str = "consumer", **environment: str) -> AsyncIterator[Process]:
        async with self.spawned(part, **environment) as process:
            yield process

    @asynccontextmanager
    async def spawned(self, part: str, **environment: str) -> AsyncIterator[Process]:
        user = "activity" if part == "consumer" else "todos"
        process = await asyncio.create_subprocess_exec(
            sys.executable, PART, part, self.todos.url, self.server.url(user), stdout=PIPE, env=os.environ | environment
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"started\n"
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.wait()
            process._transport.close()


async def heard(todos: Database) -> list[tuple[int, str]]:
    async with connection(todos.admin_url) as conn:
        rows = await conn.fetch("select seq, id from heard order by nr")
    return [(row["seq"], str(row["id"])) for row in rows]


async def exactly_once(todos: Database, count: int, *, within: float = 20.0) -> None:
    """Every event of the log is in `heard` once, in order."""
    async with connection(todos.admin_url) as conn:
        await until(lambda: conn.fetchval("select count(*) >= $1 from heard", count), within=within)
    assert await heard(todos) == await log_ids(todos)
    assert len(await heard(todos)) == count


def state_of(consumer: Consumer) -> tuple[str, str]:
    check = consumer.checks()[0]()
    return check.state, check.detail


@pytest.fixture
async def plant(todos: Database, nats: Nats) -> Plant:
    await make_stream(nats)
    async with connection(todos.owner_url) as conn:
        await conn.execute(TABLE)
        await conn.execute("grant all on heard to events")
        await conn.execute("grant all on heard_nr_seq to events")
    return Plant(todos, nats)


async def test_every_event_is_heard_once_in_order(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer().run):
        await plant.append(1200)
        await exactly_once(plant.todos, 1200)


async def test_a_restarted_consumer_goes_on_where_it_stopped(plant: Plant) -> None:
    async with running(*plant.tasks):
        await plant.append(10)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 10)
        await plant.append(10)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 20)


async def test_an_idle_consumer_hears_the_next_event_at_once(plant: Plant) -> None:
    loop = asyncio.get_running_loop()
    took = []
    async with running(*plant.tasks, plant.consumer().run), connection(plant.todos.admin_url) as conn:
        await plant.append(1)
        await exactly_once(plant.todos, 1)
        for count in range(2, 12):
            before = loop.time()
            await plant.append(1)
            await until(lambda: conn.fetchval("select count(*) >= $1 from heard", count))  # noqa: B023
            took.append(loop.time() - before)
    assert sorted(took)[5] < 0.3, took


async def test_the_checkpoint_moves_over_types_that_the_handler_did_not_ask_for(plant: Plant) -> None:
    got: list[Event] = []

    async def keep(_: Connection, events: Sequence[Event]) -> None:
        got.extend(events)

    async with running(*plant.tasks, plant.consumer(keep, types=(TodoToggled,)).run):
        todo = uuid7()
        await plant.append(5)
        await plant.log.append(create(todo))
        await plant.log.append(toggle(todo, 1))
        await plant.append(5)
        await until(lambda: _position(plant.todos, 12))
    assert [type(event.data) for event in got] == [TodoToggled]


async def test_while_nothing_is_wanted_the_checkpoint_moves_at_a_slower_pace(plant: Plant) -> None:
    async with (
        connection(plant.todos.admin_url) as conn,
        running(*plant.tasks, plant.consumer(types=(TodoToggled,)).run),
    ):
        await conn.execute(COUNT_MOVES)
        began = monotonic()
        for _ in range(100):
            await plant.append(1)
        await until(lambda: _position(plant.todos, 100))
        assert await conn.fetchval("select count(*) from moves") <= 2 + (monotonic() - began) / PACE_UNWANTED


async def test_what_is_wanted_waits_for_no_slower_pace(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.listener, "PACE_UNWANTED", 60.0)
    got: list[Event] = []

    async def keep(_: Connection, heard: Sequence[Event]) -> None:
        got.extend(heard)

    async with running(*plant.tasks, plant.consumer(keep, types=(TodoToggled,)).run):
        await plant.log.append(create(todo := uuid7()))
        await until(lambda: _position(plant.todos, 1))
        await plant.log.append(toggle(todo, 1))
        await until(lambda: got)


async def _position(todos: Database, seq: int) -> bool:
    async with connection(todos.admin_url) as conn:
        return bool(await conn.fetchval("select seq = $1 from events.checkpoint", seq))


async def test_effects_and_checkpoint_share_one_fate(plant: Plant) -> None:
    fail = True

    async def half(conn: Connection, events: Sequence[Event]) -> None:
        await copy(conn, events)
        if fail:
            raise ConnectionError

    consumer = plant.consumer(half)
    async with running(*plant.tasks, consumer.run):
        await plant.append(20)
        await until(lambda: "ConnectionError" in state_of(consumer)[1])  # late alone says a start, too
        assert await heard(plant.todos) == []
        fail = False
        await exactly_once(plant.todos, 20)


async def test_a_known_type_that_does_not_decode_is_parked(plant: Plant) -> None:
    consumer = plant.consumer(copy, types=(TodoToggled,))
    async with running(plant.ear.run, consumer.run), client(plant.server) as nc:
        headers = {
            "ce-id": str(uuid7()), "ce-type": "todos.TodoToggled.v1", "ce-source": "/todos", "ce-subject": str(PERSON),
            "ce-time": "2026-01-01T00:00:00Z", "ce-seq": "1", "ce-aggregate": str(PERSON), "ce-version": "1",
        }  # fmt: skip
        subject = subject_of(from_headers(headers))
        await nc.jetstream().publish(subject, b'{"todo_id": 5}', headers=headers)
        async with connection(plant.todos.url) as conn:
            await until(lambda: conn.fetchval("select count(*) = 1 from events.parked where reason = 'undecodable'"))


async def test_a_deleted_server_side_consumer_is_made_anew(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer().run), client(plant.server) as nc:
        manager = nc.jsm()
        for round_ in range(1, 6):
            await plant.append(100)
            for info in await manager.consumers_info("TODOS"):
                await manager.delete_consumer("TODOS", info.name)
            await plant.append(100)
            await exactly_once(plant.todos, 200 * round_, within=5.0)


async def test_delivery_resumes_within_five_seconds_of_a_broker_restart(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer().run):
        for round_ in range(1, 4):
            await plant.append(50)
            plant.server.kill()
            await plant.append(50)
            plant.server.start()
            await exactly_once(plant.todos, 100 * round_, within=5.0)


async def test_an_idle_consumer_knows_at_once_that_the_broker_is_gone(plant: Plant) -> None:
    consumer = plant.consumer()
    async with running(*plant.tasks, consumer.run):
        await plant.append(1)
        await exactly_once(plant.todos, 1)
        for _ in range(3):  # whatever its fetch has waited for by then
            await until(lambda: state_of(consumer)[0] == "ok")
            plant.server.kill()
            begun = monotonic()
            await until(lambda: state_of(consumer)[0] == "late")
            assert monotonic() - begun < 2  # an idle fetch waits for 2.5
            plant.server.start()


async def test_of_two_instances_one_stands_by_and_takes_over(plant: Plant) -> None:
    async with running(*plant.tasks), plant.process() as active:
        await plant.append(10)
        await exactly_once(plant.todos, 10)
        standby = plant.consumer()
        async with running(standby.run):
            await plant.append(10)
            await exactly_once(plant.todos, 20)
            assert state_of(standby) == ("ok", "standby")
            active.kill()
            await plant.append(10)
            await exactly_once(plant.todos, 30, within=5.0)


async def test_a_stopped_instance_cannot_commit_when_it_wakes(plant: Plant) -> None:
    async with running(*plant.tasks), plant.process(HOLD="1.0") as active:
        await plant.append(10)
        assert active.stdout is not None
        assert b"applied" in await active.stdout.readline()
        active.send_signal(signal.SIGSTOP)  # in the middle of its transaction
        async with running(plant.consumer().run):
            await plant.append(10)
            await exactly_once(plant.todos, 20, within=6.0)
            active.send_signal(signal.SIGCONT)
            await plant.append(10)
            await exactly_once(plant.todos, 30)


async def test_two_instances_that_both_take_themselves_for_the_active_one_cannot_both_win(plant: Plant) -> None:
    one, two = plant.consumer()._listeners[0], plant.consumer()._listeners[0]

    async def hear(listener: Listener, epoch: int) -> None:
        with suppress(LostFence):
            await listener.run(epoch)

    async with running(*plant.tasks, partial(hear, one, 1), partial(hear, two, 2)):
        for count in range(100, 1100, 100):
            await plant.append(100)
            await exactly_once(plant.todos, count)


async def test_a_message_lost_in_a_dead_link_is_heard_with_none_after_it(plant: Plant) -> None:
    """A link that swallows what the server sends, and later breaks: the server counts the message as delivered."""
    async with link(plant.server.port) as (port, swallow, cut):
        url = plant.server.url("activity").replace(str(plant.server.port), str(port))
        consumer = plant.consumer(url=url)
        ear = consumer._listeners[0]._broker
        async with running(plant.broker.run, plant.relay.run, plant.log.run, ear.run, consumer.run):
            await plant.append(10)
            await exactly_once(plant.todos, 10)
            swallow.set()
            await plant.append(1)
            await until(lambda: _published(plant.server, 11))
            cut.set()
            swallow.clear()
            await exactly_once(plant.todos, 11, within=5.0)


async def test_a_message_swallowed_by_a_link_that_lives_on_is_heard(plant: Plant) -> None:
    async with link(plant.server.port) as (port, swallow, _):
        url = plant.server.url("activity").replace(str(plant.server.port), str(port))
        consumer = plant.consumer(url=url)
        ear = consumer._listeners[0]._broker
        async with running(plant.broker.run, plant.relay.run, plant.log.run, ear.run, consumer.run):
            await plant.append(10)
            await exactly_once(plant.todos, 10)
            swallow.set()
            await plant.append(1)
            await until(lambda: _published(plant.server, 11))
            await asyncio.sleep(0.05)
            swallow.clear()
            await exactly_once(plant.todos, 11, within=5.0)


async def test_a_swallowed_message_is_heard_before_the_next_one(plant: Plant) -> None:
    async with link(plant.server.port) as (port, swallow, _):
        url = plant.server.url("activity").replace(str(plant.server.port), str(port))
        consumer = plant.consumer(url=url)
        ear = consumer._listeners[0]._broker
        async with running(plant.broker.run, plant.relay.run, plant.log.run, ear.run, consumer.run):
            await plant.append(10)
            await exactly_once(plant.todos, 10)
            swallow.set()
            await plant.append(1)
            await until(lambda: _published(plant.server, 11))
            await asyncio.sleep(0.05)
            swallow.clear()
            await plant.append(1)
            await exactly_once(plant.todos, 12, within=5.0)


async def _published(server: Nats, seq: int) -> bool:
    return await last_seq(server) >= seq


@asynccontextmanager
async def link(port: int) -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Event]]:
    """A TCP proxy to the broker that can swallow what the broker sends, and be cut."""
    swallow, cut = asyncio.Event(), asyncio.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, downstream: bool) -> None:
        while data := await reader.read(65536):
            if not (downstream and swallow.is_set()):
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        tasks = [
            asyncio.create_task(carry(reader, back, downstream=False)),
            asyncio.create_task(carry(there, writer, downstream=True)),
            asyncio.create_task(cut.wait()),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        cut.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, back):
            end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], swallow, cut
        server.close()
        cut.set()
        await asyncio.sleep(0.05)


async def test_a_stream_with_another_history_stops_the_consumer_and_it_says_so(plant: Plant) -> None:
    async with running(*plant.tasks):
        await plant.append(10)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 10)
    async with connection(plant.todos.admin_url) as admin:
        await admin.execute("update events.log set id = gen_random_uuid() where seq = 10")
    async with client(plant.server) as nc:
        await nc.jetstream().delete_stream("TODOS")
    await make_stream(plant.server)
    other = Plant(plant.todos, plant.server)
    consumer = other.consumer()
    async with running(*other.tasks):
        await until(lambda: _published(plant.server, 10))
        async with running(consumer.run):
            await other.append(5)
            await until(lambda: state_of(consumer)[0] == "failed")
            assert "another history" in state_of(consumer)[1]
            assert len(await heard(plant.todos)) == 10


async def test_a_stream_that_is_shorter_is_waited_for(plant: Plant) -> None:
    async with running(*plant.tasks):
        await plant.append(10)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 10)
    async with client(plant.server) as nc:
        await nc.jetstream().delete_stream("TODOS")
    await make_stream(plant.server)
    other = Plant(plant.todos, plant.server)
    consumer = other.consumer()
    async with running(other.ear.run, consumer.run):
        await until(lambda: state_of(consumer)[0] == "late" and "waiting" in state_of(consumer)[1])
        async with running(other.broker.run, other.relay.run, other.log.run):
            await other.append(5)
            await exactly_once(plant.todos, 15)


async def test_a_stream_that_begins_too_late_stops_the_consumer(plant: Plant) -> None:
    async with client(plant.server) as nc:
        await nc.jetstream().delete_stream("TODOS")
    await make_stream(plant.server, first_seq=5)
    consumer = plant.consumer()
    async with running(plant.ear.run, consumer.run):
        await until(lambda: state_of(consumer)[0] == "failed")
        assert "begins at 5" in state_of(consumer)[1]


@pytest.mark.timeout(900)
async def test_kill_nine_at_random_points_with_batches_in_flight(plant: Plant, full: bool) -> None:
    events, kills = (20_000, 50) if full else (2000, 6)
    chance = random.Random(7)
    in_flight = 0
    async with running(*plant.tasks):
        flow = asyncio.create_task(_flow(plant, events, pauses=1250 if full else 75))
        for _ in range(kills):
            in_flight += await _killed_in_flight(plant, chance)
        await flow
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, events, within=60)
    print(f"{kills} kills, {in_flight} with a batch applied and not committed")
    assert in_flight >= (40 if full else 2)


async def _killed_in_flight(plant: Plant, chance: random.Random) -> bool:
    """Kill a consumer at a random moment; whether a batch of its was applied and not committed then."""
    async with plant.process(HOLD="0.05") as process:
        assert process.stdout is not None
        for _ in range(chance.randint(1, 3)):
            said = await asyncio.wait_for(process.stdout.readline(), 20)
        await asyncio.sleep(chance.uniform(0, 0.05))  # the random point: before or after the commit
        process.kill()
        rest = await process.stdout.read()
    last = int((said + rest).split()[-1])
    async with connection(plant.todos.admin_url) as conn:
        await until(
            lambda: conn.fetchval("select count(*) = 0 from pg_stat_activity where application_name = 'consumer'")
        )
        return last > (await conn.fetchval("select max(seq) from events.checkpoint") or 0)


async def _flow(plant: Plant, events: int, *, pauses: int) -> None:
    each = max(1, events // pauses)
    sent = 0
    while sent < events:
        count = min(each, events - sent)
        await plant.append(count)
        sent += count
        await asyncio.sleep(0.2)
