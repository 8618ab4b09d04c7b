"""What a relay says of itself is true: about rights, what waits, and a stream that changed while it was idle."""

import asyncio

import pytest
from feeding import FEED, client, create, last_seq, log_ids, make_stream, running, stream_ids
from prometheus_client import REGISTRY

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
