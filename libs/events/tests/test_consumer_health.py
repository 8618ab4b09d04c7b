"""A consumer tells the truth about itself, and no dead link to its database holds it for ever."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from feeding import CODEC, FEED, client, connection, context, create, is_at, make_stream, running
from nats.js import errors as nats_errors
from prometheus_client import REGISTRY

import events.applying
import events.lag
from events.broker import Broker
from events.catalog.auth import OtpRequested
from events.catalog.feeds import FEEDS
from events.command import Change, Command, new_command
from events.consumer import Consumer
from events.errors import HistoryDiffers
from events.health import Check
from events.hearing import Event, Hears
from events.ids import uuid7
from events.log import Log
from events.postgres import Connection, Dial, dialer
from events.pull import Pull
from events.relay import Relay
from events.streams import state_with_deleted
from local.fixtures import Database, until
from local.nats import Nats

PART = str(Path(__file__).with_name("part.py"))


async def nothing(_: Connection, __: Sequence[Event]) -> None:
    return


def consumer_of(dial: Dial, broker: Broker, handle: object = nothing, types: tuple = ()) -> Consumer:
    return Consumer("activity", [Hears(FEED, handle, types)], dial, broker, CODEC)


def said(consumer: Consumer) -> Check:
    return consumer.checks()[0]()


@asynccontextmanager
async def feed(todos: Database, server: Nats) -> AsyncIterator[Log]:
    await make_stream(server)
    dial = dialer(todos.url, application="writer")
    broker = Broker(server.url("todos"), name="writer")
    relay = Relay(FEED, dial, broker)
    log = Log("TODOS", dial, on_appended=relay.wake)
    async with running(broker.run, relay.run, log.run):
        yield log


async def position(todos: Database) -> int:
    async with connection(todos.admin_url) as admin:
        return int(await admin.fetchval("select coalesce(max(seq), 0) from events.checkpoint"))


async def reaches(todos: Database, seq: int, *, within: float = 10.0) -> None:
    async def there() -> bool:
        return await position(todos) == seq

    await until(there, within=within)


async def test_an_active_consumer_without_a_broker_is_late_and_no_standby(todos: Database, nats: Nats) -> None:
    nats.kill()
    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker)
    async with running(broker.run, consumer.run):
        await until(lambda: said(consumer).state == "late", within=5)


async def test_a_consumer_that_cannot_read_its_lease_is_no_standby(todos: Database, nats: Nats) -> None:
    async with connection(todos.admin_url) as admin:
        await admin.execute("revoke all on events.lease from events")
    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker)
    async with running(broker.run, consumer.run):
        await until(lambda: said(consumer).state == "failed", within=5)
        assert "InsufficientPrivilegeError" in said(consumer).detail
        async with connection(todos.admin_url) as admin:
            await admin.execute("grant all on events.lease to events")
            await make_stream(nats)
        await until(lambda: said(consumer).state == "ok")


async def test_a_consumer_without_the_right_to_its_stream_fails_readiness(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    broker = Broker(nats.url("auth"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker)
    async with running(broker.run, consumer.run):
        await until(lambda: said(consumer).state == "failed", within=5)
        assert "ermissions" in said(consumer).detail


@pytest.mark.parametrize("way", ["an answer", "a message"])
async def test_what_another_service_has_nats_publish_here_passes_for_no_event(
    todos: Database, nats: Nats, way: str
) -> None:
    """Where an answer goes is the asker's word: nats-server holds no right against it (its issue 8274)."""
    broker, stray = Broker(nats.url("activity"), name="test"), "ev.todos.1.TodoCreated"
    seen: list[int] = []

    async def see(_: Connection, events: Sequence[Event]) -> None:
        seen.extend(event.envelope.seq for event in events)

    consumer = consumer_of(dialer(todos.url, application="test"), broker, see)
    async with feed(todos, nats) as log, running(broker.run, consumer.run), client(nats, "mailer") as mailer:
        await asyncio.gather(*(log.append(create()) for _ in range(3)))
        await reaches(todos, 3)
        if way == "an answer":
            await mailer.publish("$JS.API.INFO", b"", reply=stray)
        else:
            await make_stream(nats, "AUTH", first_seq=4)
            async with client(nats) as admin:  # an event of a stream that it hears, whose number is the next one here
                js = admin.jetstream()
                like = await js.get_msg("TODOS", 3)
                new = {"ce-source": "/auth", "ce-seq": "4", "Nats-Expected-Last-Sequence": "3"}
                await js.publish("ev.auth.1.UserRegistered", like.data, headers=like.headers | new)
            await Pull(mailer, "AUTH", "mailer-0", start=1, batch=1).open()
            await mailer.publish("$JS.API.CONSUMER.MSG.NEXT.AUTH.mailer-0", b"1", reply=stray)
        await until(lambda: said(consumer).state == "failed")
        assert "message 4" in said(consumer).detail
        assert await position(todos) == 3
        assert seen == [1, 2, 3]


async def test_a_handler_whose_sql_is_wrong_fails_readiness(todos: Database, nats: Nats) -> None:
    async def wrong(conn: Connection, _: Sequence[Event]) -> None:
        await conn.execute("insert into nowhere values (1)")

    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker, wrong)
    async with feed(todos, nats) as log, running(broker.run, consumer.run):
        await log.append(create())
        await until(lambda: said(consumer).state == "failed")
        assert "UndefinedTableError" in said(consumer).detail


async def test_a_standby_reports_no_lag(todos: Database, nats: Nats) -> None:
    labels = {"consumer": "activity", "feed": "TODOS"}
    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker)
    async with feed(todos, nats) as log, running(broker.run, consumer.run), connection(todos.admin_url) as admin:
        await log.append(create())
        await until(lambda: REGISTRY.get_sample_value("todo_consumer_lag_events", labels) is not None, within=30)
        await admin.execute(
            "update events.lease set holder = gen_random_uuid(), expires_at = clock_timestamp() + interval '1 hour'"
        )
        await until(lambda: said(consumer).detail == "standby", within=30)
        assert REGISTRY.get_sample_value("todo_consumer_lag_events", labels) is None
        assert REGISTRY.get_sample_value("todo_consumer_lag_seconds", labels) is None


async def test_a_consumer_that_cannot_see_its_stream_falls_behind_by_the_second(
    todos: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.lag, "EVERY", 0.2)
    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker)
    async with feed(todos, nats) as log, running(broker.run, consumer.run):
        await log.append(create())
        await reaches(todos, 1)
        await until(lambda: lag("seconds") == 0)
        nats.kill()
        await until(lambda: (lag("seconds") or 0) > 1)
        nats.start()
        await until(lambda: lag("seconds") == 0, within=20)


async def test_the_lag_is_counted_also_where_the_next_message_is_deleted(
    todos: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.lag, "EVERY", 0.1)
    broker = Broker(nats.url("activity"), name="test")
    async with feed(todos, nats) as log, client(nats) as nc:
        for _ in range(3):
            await log.append(create())
        await until(lambda: is_at(nats, 3))
        await nc.jetstream().delete_msg("TODOS", 2)
        async with running(broker.run, events.lag.Lag("activity", "TODOS", broker, lambda: 1).run):
            await until(lambda: lag("events") == 2)


async def test_nobody_is_behind_events_that_the_stream_dropped_unheard(
    todos: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.lag, "EVERY", 0.1)
    hears = Hears(FEEDS["OTP"], nothing, ())
    await make_stream(nats, "OTP")
    dial = dialer(todos.url, application="test")
    writer, broker = Broker(nats.url("auth"), name="writer"), Broker(nats.url("activity"), name="test")
    relay = Relay(FEEDS["OTP"], dial, writer)
    log = Log("OTP", dial, on_appended=relay.wake)
    consumer = Consumer("activity", [hears], dial, broker, CODEC)
    before = unverified()
    async with running(writer.run, relay.run, log.run):
        await asyncio.gather(*(log.append(otp()) for _ in range(5)))
        await until(lambda: relay.check().detail == "at 5")
        async with client(nats) as nc:
            await nc.jetstream().purge_stream("OTP")
        async with running(broker.run, consumer.run):
            await until(lambda: lag("events", "OTP") == 0)
            assert lag("seconds", "OTP") == 0
            broker._client._transport._io_writer.transport.abort()  # another opening counts nothing again
            await until(lambda: said(consumer).state == "late")
            await until(lambda: said(consumer).state == "ok", within=20)
    assert unverified() - before == 5


def otp() -> Command:
    data = OtpRequested(challenge_id=uuid7(), sealed="k1.x", locale=None, expires_at=context().time)
    change = Change(aggregate=data.challenge_id, expected=0, subject=data.challenge_id, events=[data])
    return new_command(CODEC, context(), change)


def lag(unit: str, feed: str = "TODOS") -> float | None:
    return REGISTRY.get_sample_value(f"todo_consumer_lag_{unit}", {"consumer": "activity", "feed": feed})


def unverified() -> float:
    labels = {"consumer": "activity", "feed": "OTP"}
    return REGISTRY.get_sample_value("todo_consumer_unverified_total", labels) or 0


async def test_a_batch_that_takes_too_long_is_applied_in_parts(todos: Database, nats: Nats) -> None:
    """Each event takes 20 ms, a transaction may take 0.5 s: a hundred at once would be tried for ever."""
    sizes: list[int] = []

    async def slow(conn: Connection, heard: Sequence[Event]) -> None:
        sizes.append(len(heard))
        await conn.execute("select pg_sleep($1)", 0.02 * len(heard))

    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url + "?transaction_timeout=500", application="test"), broker, slow)
    async with feed(todos, nats) as log:
        await asyncio.gather(*(log.append(create()) for _ in range(100)))
        async with running(broker.run, consumer.run):
            await reaches(todos, 100, within=30)
    assert max(sizes) > 25
    assert sizes[-1] <= 25


async def test_a_link_to_the_database_that_falls_silent_holds_nothing_for_ever(
    todos: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old connection never answers again, not even to a roll-back; new ones work."""
    monkeypatch.setattr(events.applying, "APPLY_TIMEOUT", 1.0)
    broker = Broker(nats.url("activity"), name="test")
    async with silenceable(todos.url) as (url, silence):

        async def handle(conn: Connection, _: Sequence[Event]) -> None:
            if not silenced:
                silenced.append(True)
                silence()
            await conn.execute("select 1")

        silenced: list[bool] = []
        consumer = consumer_of(dialer(url, application="test"), broker, handle)
        async with feed(todos, nats) as log, running(broker.run, consumer.run):
            await log.append(create())
            await reaches(todos, 1, within=15)


@asynccontextmanager
async def silenceable(url: str) -> AsyncIterator[tuple[str, object]]:
    """A way to the database whose open connections can fall silent, each end believing the other alive."""
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    alive: set[asyncio.Task[None]] = set()
    muted: set[int] = set()
    links: set[int] = set()

    async def carry(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if number not in muted:
                writer.write(data)
        if number in muted:
            await asyncio.Event().wait()  # not even that it ended is heard
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(links)
        links.add(number)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        task = asyncio.current_task()
        assert task is not None
        alive.add(task)
        try:
            await asyncio.gather(carry(number, reader, back), carry(number, there, writer))
        finally:
            alive.discard(task)
            for end in (writer, back):
                end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield url.replace(f":{port}/", f":{server.sockets[0].getsockname()[1]}/"), lambda: muted.update(links)
    finally:
        server.close()
        for task in list(alive):
            task.cancel()
        await asyncio.gather(*alive, return_exceptions=True)


async def test_a_standby_takes_over_within_five_seconds_of_one_stopped_in_its_transaction(
    todos: Database, nats: Nats
) -> None:
    async with connection(todos.owner_url) as owner:
        await owner.execute(
            "create table heard (nr bigserial primary key, seq bigint, id uuid, aggregate uuid, version bigint);"
            "grant all on heard, heard_nr_seq to events"
        )
    broker = Broker(nats.url("activity"), name="test")
    standby = consumer_of(dialer(todos.url, application="test"), broker)
    async with feed(todos, nats) as log:
        active = await asyncio.create_subprocess_exec(
            sys.executable, PART, "consumer", todos.url, nats.url("activity"),
            stdout=PIPE, env=os.environ | {"HOLD": "1.5"},
        )  # fmt: skip
        try:
            assert active.stdout is not None
            await active.stdout.readline()
            await log.append(create())
            assert b"applied" in await active.stdout.readline()
            active.send_signal(signal.SIGSTOP)
            begun = monotonic()
            async with running(broker.run, standby.run):
                await reaches(todos, 1, within=10)
            assert monotonic() - begun < 5
        finally:
            active.kill()
            await active.wait()
            active._transport.close()


async def test_a_consumer_that_must_not_go_on_does_not_say_ok_in_between(todos: Database, nats: Nats) -> None:
    async def choke(_: Connection, __: Sequence[Event]) -> None:
        raise HistoryDiffers("an operator must decide")

    broker = Broker(nats.url("activity"), name="test")
    consumer = consumer_of(dialer(todos.url, application="test"), broker, choke)
    async with feed(todos, nats) as log, running(broker.run, consumer.run):
        await log.append(create())
        await until(lambda: said(consumer).state == "failed")
        states = set()
        for _ in range(300):
            states.add(said(consumer).state)
            await asyncio.sleep(0.01)
    assert states == {"failed"}


async def test_asking_a_stream_that_is_gone_for_its_holes_is_no_answer(nats: Nats) -> None:
    async with client(nats) as nc:
        with pytest.raises(nats_errors.NotFoundError):
            await state_with_deleted(nc.jetstream(timeout=1), "TODOS")
