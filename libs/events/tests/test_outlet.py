"""One feed of a service, wired as services wire it: what is appended is published at once, whoever the relay is."""

import asyncio
from collections.abc import Sequence

import pytest
from feeding import FEED, create, make_stream, running

from events.broker import Broker
from events.outlet import Outlet
from events.postgres import dialer
from events.process import Roles
from local.fixtures import Database, until
from local.nats import Nats

BOTH, API, WORKER = Roles(), Roles(worker=False), Roles(api=False)


@pytest.mark.parametrize("processes", [[BOTH], [API, WORKER]], ids=["together", "apart"])
async def test_an_appended_event_is_published_without_waiting_for_a_poll(
    todos: Database, nats: Nats, processes: Sequence[Roles]
) -> None:
    await make_stream(nats)
    broker = Broker(nats.url("todos"), name="test")
    outlets = [Outlet(FEED, dialer(todos.url, application="test"), broker, roles) for roles in processes]
    [relay] = [check for outlet in outlets for check in outlet.checks() if "relay" in check().name]
    loop, took = asyncio.get_running_loop(), []
    async with running(broker.run, *(task for outlet in outlets for task in outlet.tasks())):
        for seq in range(1, 6):
            await until(lambda: relay().state == "ok")
            await asyncio.sleep(0.05)  # the relay comes to rest, so that only a wake-up can be fast
            before = loop.time()
            await outlets[0].log.append(create())
            await until(lambda: relay().detail == f"at {seq}")  # noqa: B023
            took.append(loop.time() - before)
    assert sorted(took)[2] < 0.3, took


def test_the_api_needs_no_relay_and_the_worker_has_one(todos: Database) -> None:
    broker, dial = Broker("nats://127.0.0.1:1", name="test"), dialer(todos.url, application="test")
    names = {
        roles: [check().name for check in Outlet(FEED, dial, broker, roles).checks()] for roles in (BOTH, API, WORKER)
    }
    assert names == {BOTH: ["log TODOS", "relay TODOS"], API: ["log TODOS"], WORKER: ["log TODOS", "relay TODOS"]}
