"""No provider holds up another: each has workers of its own."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from notifying import World, completed, world_of
from providing import VAPID_KEY, Answer, Browser, Played, client, playing, twilio
from test_push import fcm, register
from test_sms import ask

from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from local.prepare import migrate_database
from notifier.deliveries import LANES, WORKERS
from notifier.fcm import PAUSE, Fcm
from notifier.providers import TIMEOUT, Deferred, Push, Target
from notifier.texts import Words
from notifier.webpush import WebPush

PUSH = Push(tag="t", kind="completion", words=Words("title", "body"), lives=60)
DEVICES = 20  # more than all workers together could hold


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    """`played` pushes to browsers and sends messages; FCM is played by the tests."""
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["web"] = WebPush(http, VAPID_KEY, "mailto:ops@example.org", made.watch)
        made.providers["sms"] = twilio(http, played)
        yield made


async def add_browser(world: World, who: UUID, played: Played) -> None:
    added = "insert into device values ($1, $2, 'web', $3, $4, $5, 'en', now())"
    await world.pool.execute(added, uuid4(), who, f"{played.url}/web/abc", *Browser().keys.values())


async def test_while_fcm_hangs_web_push_and_codes_go_out(world: World, played: Played) -> None:
    with_phones, with_browser = uuid4(), uuid4()
    assert WORKERS * len(LANES) < DEVICES
    for nr in range(DEVICES):
        await register(world, with_phones, fcm(f"device-{nr}"))
    await add_browser(world, with_browser, played)
    # FCM ends before the worker, which would else wait for it.
    async with httpx.AsyncClient(timeout=TIMEOUT) as http, world.hearing(), playing() as stuck:
        world.providers["fcm"] = Fcm(http, stuck.url, stuck.account)
        stuck.answers.extend([Answer(200, hangs=True)] * DEVICES)
        await world.say("TODOS", completed(), to=with_phones)
        await until(lambda: len(stuck.asked) == WORKERS)
        await world.say("TODOS", completed(), to=with_browser)
        assert (await ask(world, uuid4())).status_code == 200
        await until(lambda: len(played.asked) == 2, within=3)
        assert {asked["path"].split("/")[1] for asked in played.asked} == {"web", "sms"}
        assert len(stuck.asked) == WORKERS


async def test_a_token_that_is_not_given_is_waited_for_once(played: Played) -> None:
    time, marks = [0.0], 0
    played.token_answers.extend([Answer(400, b'{"error":"invalid_grant"}')] * 2)
    played.hesitates = 0.2

    async def mark() -> None:
        nonlocal marks
        marks += 1

    async with client() as http:
        provider = Fcm(http, played.url, played.account, now=lambda: time[0])

        async def send() -> None:
            await provider.send(Target(address="device-1"), PUSH, mark)

        together = await asyncio.gather(*(send() for _ in range(WORKERS)), return_exceptions=True)
        assert [(type(each), str(each)) for each in together] == [(Deferred, "RefreshError")] * WORKERS
        assert len(played.token_answers) == 1
        time[0] = PAUSE - 0.1
        with pytest.raises(Deferred):
            await send()
        assert len(played.token_answers) == 1
        time[0] = PAUSE
        played.token_answers.clear()
        await send()
        await send()
    assert (len(played.asked), marks, len(played.tokens)) == (2, 2, 1)


async def test_deliveries_from_before_the_lanes_are_in_the_lane_of_their_device(world: World, played: Played) -> None:
    me, gone, code = uuid4(), uuid4(), uuid4()
    await register(world, me, fcm())
    await add_browser(world, me, played)
    owner = await asyncpg.connect(world.database.owner_url)
    await owner.execute(
        "alter table delivery drop column service;"  # its index goes with it
        "create index delivery_turn on delivery ((kind <> 'phone_code'), due_at) where state = 'queued';"
        "delete from events.migration where package = 'notifier' and name = '0010_lanes.sql'"
    )
    devices = await owner.fetch("select id, service from device")
    for device, channel in [*((row["id"], "push") for row in devices), (gone, "push"), (code, "sms")]:
        await owner.execute(
            "insert into delivery (id, channel, device_id, user_id, cause, kind, data, correlation_id, traceparent, "
            "happened_at) values (uuidv7(), $1, $2, $3, $4, 'completion', '{}', 'r-1', '', now())",
            channel, device, me, uuid4(),
        )  # fmt: skip
    await migrate_database("notifier", world.database.owner_url)
    lanes = {row["device_id"]: row["service"] for row in await owner.fetch("select device_id, service from delivery")}
    await owner.close()
    assert lanes == {row["id"]: row["service"] for row in devices} | {gone: "fcm", code: "sms"}
