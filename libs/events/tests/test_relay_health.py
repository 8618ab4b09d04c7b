"""What a relay says of itself is true: about rights, what waits, and a stream that changed while it was idle."""

import asyncio
from time import monotonic

import pytest
from feeding import FEED, client, create, last_seq, log_ids, make_stream, running, stream_ids
from nats.js import JetStreamContext
from prometheus_client import REGISTRY

import events.streams
from events.broker import Broker
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import Database, until
from local.nats import Nats


class Plant:
    """A log and a relay of feed TODOS; the relay's NATS user can be another service's."""

    def __init__(self, todos: Database, server: Nats, user: str = "todos") -> None:
        dial = dialer(todos.url, application="test")
        self.broker = Broker(server.url(user), name="test")
        self.relay = Relay(FEED, dial, self.broker)
        self.log = Log("TODOS", dial, on_appended=self.relay.wake)
        self.tasks = (self.broker.run, self.relay.run, self.log.run)

    async def append(self, count: int) -> None:
        await asyncio.gather(*(self.log.append(create()) for _ in range(count)))

    async def reaches(self, seq: int) -> None:
        await until(lambda: self.relay.check().detail == f"at {seq}")


def backlog() -> float | None:
    return REGISTRY.get_sample_value("todo_relay_backlog_events", {"feed": "TODOS"})


async def test_a_relay_that_may_not_publish_fails_readiness_and_says_why(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats, user="activity")
    async with running(*plant.tasks):
        await plant.append(3)
        await until(lambda: plant.relay.check().state == "failed")
        assert "ermissions" in plant.relay.check().detail


async def test_a_relay_that_waits_for_the_broker_knows_at_once_that_it_is_gone(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats)
    async with running(*plant.tasks):
        await plant.append(1)
        await plant.reaches(1)
        nats.pause()  # takes what is sent, and answers nothing
        await plant.append(1)
        nats.kill()
        begun = monotonic()
        await until(lambda: plant.relay.check().state == "late")
        assert monotonic() - begun < 2  # an answer is waited for three seconds
        nats.start()
        await plant.reaches(2)


async def test_an_idle_relay_fills_a_stream_that_was_made_anew(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats)
    async with running(*plant.tasks), client(nats) as nc:
        await plant.append(20)
        await plant.reaches(20)
        await nc.jetstream().delete_stream("TODOS")
        await until(lambda: plant.relay.check().state == "failed")
        assert "does not exist" in plant.relay.check().detail
        await make_stream(nats)
        await until(lambda: _reached(nats, 20))
        assert await stream_ids(nats) == await log_ids(todos)


async def _reached(server: Nats, seq: int) -> bool:
    return await last_seq(server) == seq


async def test_the_backlog_is_what_waits_also_while_the_broker_is_away(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats)
    async with running(*plant.tasks):
        await plant.append(10)
        await plant.reaches(10)
        await until(lambda: backlog() == 0)
        nats.kill()
        await plant.append(700)
        await until(lambda: backlog() == 700)
        assert plant.relay.check().state == "late"
        nats.start()
        await until(lambda: backlog() == 0)
        await plant.reaches(710)


async def test_a_busy_relay_writes_no_line_for_each_batch(
    todos: Database, nats: Nats, capsys: pytest.CaptureFixture[str]
) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats)
    async with running(*plant.tasks):
        for count in range(1, 31):
            await plant.append(1)
            await plant.reaches(count)
    assert capsys.readouterr().out.count("state=ok") <= 2


async def test_a_relay_that_works_says_so_whatever_right_another_part_lacks(todos: Database, nats: Nats) -> None:
    await make_stream(nats)
    plant = Plant(todos, nats)
    async with running(*plant.tasks):
        await plant.append(1)
        await plant.reaches(1)
        await (await plant.broker.connected()).publish("ev.auth.1.UserRegistered", b"{}")
        await until(lambda: plant.broker.trouble)
        await plant.append(1)
        await plant.reaches(2)
        assert plant.relay.check().state == "ok"


async def test_a_relay_that_lost_a_race_reads_no_message_twice(
    todos: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replicas relay one feed: the slower one looks at what is new, not at a whole window each time."""
    read: list[int] = []
    id_at = events.streams._id_at

    async def counted(js: JetStreamContext, stream: str, seq: int) -> str | None:
        read.append(seq)
        return await id_at(js, stream, seq)

    monkeypatch.setattr(events.streams, "_id_at", counted)
    await make_stream(nats)
    plant, other = Plant(todos, nats), Plant(todos, nats)
    async with running(*plant.tasks, other.broker.run, other.relay.run):
        await plant.append(500)
        await plant.reaches(500)
        await until(lambda: other.relay.check().detail == "at 500")
        read.clear()
        before = refusals()
        for count in range(501, 10_000):
            other.relay.wake()
            await plant.append(1)
            await plant.reaches(count)
            if refusals() - before >= 5:
                break
        await until(lambda: other.relay.check().detail == plant.relay.check().detail)
    looks = refusals() - before
    assert looks >= 5
    assert len(read) < looks * 50


def refusals() -> float:
    return REGISTRY.get_sample_value("todo_relay_refusals_total", {"feed": "TODOS"}) or 0
