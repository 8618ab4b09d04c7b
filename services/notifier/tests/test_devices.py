"""A device belongs to who registered it last, and stays the same however often it is registered."""

import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from notifying import World, completed, world_of
from providing import Answer, Browser, Played, client
from test_push import DEVICES, fcm, register, settled

from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from notifier.fcm import Fcm


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["fcm"] = Fcm(http, played.url, played.account)
        yield made


async def test_what_waits_for_a_device_finds_it_registered_again(world: World, played: Played) -> None:
    me = uuid4()
    first = (await register(world, me, fcm())).json()["data"]
    played.answers.append(Answer(429, headers={"retry-after": "600"}))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        await until(
            lambda: world.pool.fetchval("select count(*) from delivery where state = 'queued' and attempts = 1")
        )
        again = await register(world, me, fcm(), language="en")
        assert again.json()["data"] == first | {"locale": "en"}
        assert again.headers["location"] == f"{DEVICES}/{first['id']}"
        await world.pool.execute("update delivery set due_at = now()")
        assert [row["state"] for row in await settled(world)] == ["sent"]


async def test_what_waits_for_a_device_that_changed_hands_goes_to_nobody(world: World, played: Played) -> None:
    me, other = uuid4(), uuid4()
    await register(world, me, fcm())
    await world.say("TODOS", completed(), to=me)
    await world.say("TODOS", completed(), to=other)
    await register(world, other, fcm())
    async with world.hearing():
        await world.heard()
    assert await world.pool.fetchval("select count(*) from delivery") == 0
    assert (await world.get(DEVICES, me)).json()["data"] == played.asked == []


@pytest.mark.parametrize(
    "device",
    [
        {"service": "web", "endpoint": "https://["},
        {"service": "web", "endpoint": "http://evil:x.a.localhost/a"},
        {"service": "web", "endpoint": "http://a.localhost:99999/a"},
        {"service": "web", "endpoint": "http://me@a.localhost/a"},
        {"service": "web", "endpoint": "http://a.localhost/a\n"},
        {"service": "fcm", "token": "x\n"},
        {"service": "fcm", "token": "x" * 2049},
    ],
)
async def test_what_is_no_address_is_refused(world: World, device: dict[str, Any]) -> None:
    keys = {"keys": Browser().keys} if device["service"] == "web" else {}
    assert (await register(world, uuid4(), device | keys)).status_code == 422


async def test_the_longest_token_is_taken(world: World) -> None:
    token = "".join(
        secrets.choice("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(2048)
    )
    assert (await register(world, uuid4(), fcm(token))).status_code == 201


async def test_of_more_than_twenty_devices_the_one_that_was_silent_longest_goes(world: World) -> None:
    me = uuid4()
    first, second, *_ = [(await register(world, me, fcm(f"t{nr}"))).json()["data"]["id"] for nr in range(20)]
    await register(world, me, fcm("t0"))
    await register(world, me, fcm("t20"))
    ids = [each["id"] for each in (await world.get(DEVICES, me)).json()["data"]]
    assert (len(ids), first in ids, second in ids) == (20, True, False)
