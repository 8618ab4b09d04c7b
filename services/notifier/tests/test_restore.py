"""A database that came back from a copy, its log's tail imported: what went since is settled, not delivered again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from copying import LAST, copied
from notifying import CODEC, World, completed, running, world_of
from planning import read_whole
from providing import Answer, Played, client, twilio
from test_push import fcm, register
from test_sms import ask

from events import streams
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.catalog.notifier import DeliveryFailure, NotificationDelivered, NotificationFailed
from events.clock import system_clock
from events.command import Change, Context, new_command
from events.ids import uuid7
from events.log import append_last
from events.outlet import Outlet
from events.postgres import dialer
from events.process import Roles
from events.sql import load
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from local.prepare import connected
from notifier.fcm import Fcm
from ops.importing import PULLED

SETTLE = load("ops").settle_deliveries
ROWS = ("delivery", "notification", "inbox", "events.checkpoint")
LATER = {"retry-after": "60"}
UNDER_WAY = "ends what notifier has under way"
SHOWN = "select id, state, reason, token, lease_until from delivery where id = any ($1) order by id"
TRIED = "select count(*) = 2 from delivery where state = 'queued' and attempts = 1"
SENT = "select count(*) = $1 from delivery where state = 'sent'"
INSERT = """
insert into delivery (
    id, state, token, lease_until, channel, device_id, user_id, cause, kind, data, correlation_id, traceparent,
    happened_at
)
select id, 'sending', gen_random_uuid(), now(), 'push', id, id, id, 'completion', '{}', '', '', now()
from unnest($1::uuid[]) as id
"""
TOLD = """
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time, correlation_id, causation_id, actor,
    traceparent, data
)
select 'NOTIFIER', nr, id, id, id, 1, 'notifier.NotificationDelivered.v1', id, now(), '', '', '', '', '{}'
from unnest($1::uuid[]) with ordinality as told (id, nr)
"""


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        await streams.apply(made.js, FEEDS["NOTIFIER"])
        made.providers["fcm"] = Fcm(http, played.url, played.account)
        made.providers["sms"] = twilio(http, played)
        yield made


@pytest.fixture
async def owner(world: World) -> AsyncIterator[asyncpg.Connection]:
    async with connected(world.database.owner_url) as connection:
        yield connection


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail comes back in several parts: here two events."""
    monkeypatch.setattr("ops.importing.PULLED", 1)


@asynccontextmanager
async def working(world: World) -> AsyncIterator[None]:
    """A notifier whose relay runs."""
    broker = Broker(world.nats.url("notifier"), name="test")
    outlet = Outlet(FEEDS["NOTIFIER"], dialer(world.database.url, application="test"), broker, Roles(api=False))
    async with world.hearing(), running(broker.run, *outlet.tasks()):
        yield


async def test_what_was_delivered_after_the_copy_was_made_is_settled_and_not_delivered_again(
    world: World, played: Played, owner: asyncpg.Connection, in_parts: None
) -> None:
    """A push and a code, which their provider put off until after the copy."""
    me, other = uuid4(), uuid4()
    for who in (me, other):
        await register(world, who, fcm(str(who)))
    played.answers.extend([Answer(503, headers=LATER)] * 2)
    async with working(world):
        await world.say("TODOS", completed(), to=me)
        assert (await ask(world, me)).status_code == 200
        await until(lambda: owner.fetchval(TRIED))
    copy = await copied("NOTIFIER", world.database, world.nats, owner, ROWS)
    await make_due(owner)
    async with working(world):
        await until(lambda: owner.fetchval(SENT, 2))
    assert await owner.fetchval(LAST, "NOTIFIER") == copy.last + 2
    ids = [row["id"] for row in await owner.fetch("select id from delivery")]
    before = await owner.fetch(SHOWN, ids)
    await copy.restore_with_its_tail(UNDER_WAY)
    await make_due(owner)
    async with working(world):
        await world.say("TODOS", completed(), to=other)
        await until(lambda: owner.fetchval(SENT, 3))
        await until(lambda: owner.fetchval("select bool_and(settled_at is not null) from delivery"))
    assert len(played.asked) == 2 + 2 + 1
    assert await owner.fetch(SHOWN, ids) == before


async def test_each_end_that_the_log_tells_is_the_state_that_it_was_and_settled_once(
    owner: asyncpg.Connection,
) -> None:
    ends = {uuid7(): reason for reason in (None, *get_args(DeliveryFailure))}
    waiting = uuid7()
    await owner.execute(INSERT, [*ends, waiting])
    for id_, reason in ends.items():
        await tell(owner, id_, reason)
    await owner.execute(SETTLE, 1, len(ends))
    rows = await owner.fetch("select * from delivery")
    assert {row["id"]: (row["state"], row["reason"]) for row in rows} == {
        **{id_: (state_of(reason), reason) for id_, reason in ends.items()},
        waiting: ("sending", None),
    }
    told = dict(await owner.fetch("select aggregate, time from events.log"))
    assert {row["id"]: row["settled_at"] for row in rows} == {**told, waiting: None}
    assert {row["id"] for row in rows if row["token"] or row["lease_until"]} == {waiting}
    await owner.execute(SETTLE, 1, len(ends))
    assert await owner.fetch("select * from delivery") == rows


async def test_the_deliveries_that_a_tail_tells_of_are_found_by_index_however_many_there_are(
    owner: asyncpg.Connection,
) -> None:
    ids = [uuid4() for _ in range(20_000)]
    await owner.execute(INSERT, ids)
    await owner.execute(TOLD, ids[:PULLED])
    await owner.execute("analyze delivery, events.log")
    [[text]] = await owner.fetch(f"explain (format json) {SETTLE}", 1, PULLED)
    assert "delivery" not in read_whole(json.loads(text)[0]["Plan"])
    await owner.execute(SETTLE, 1, PULLED)
    assert await owner.fetchval(SENT, PULLED)


async def make_due(owner: asyncpg.Connection) -> None:
    """Do what time does to deliveries that were put off."""
    await owner.execute("update delivery set due_at = now() where state = 'queued'")


async def tell(owner: asyncpg.Connection, id_: UUID, reason: DeliveryFailure | None) -> None:
    about: dict[str, Any] = {"delivery_id": id_, "channel": "push", "cause": id_, "kind": "completion"}
    event: msgspec.Struct = NotificationDelivered(**about, waited_ms=0)
    if reason:
        event = NotificationFailed(**about, reason=reason)
    context = Context(time=system_clock(), correlation_id="", actor="system")
    async with owner.transaction():
        change = Change(aggregate=id_, expected=0, subject=id_, events=[event])
        await append_last(owner, "NOTIFIER", new_command(CODEC, context, change))


def state_of(reason: DeliveryFailure | None) -> str:
    if reason is None:
        return "sent"
    return reason if reason in ("unknown", "expired") else "failed"
