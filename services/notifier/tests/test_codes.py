"""Codes outlive a rotation of the keys behind them; what limits them outlives whoever asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from notifying import PHONE_KEY, World, world_of
from providing import Played, client, playing
from test_sms import NUMBER, answer, ask, code_in, number

from local.fixtures import DatabaseFactory
from local.nats import Nats
from notifier.sms import Sms

NEW_KEY = PHONE_KEY[::-1]


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    async with playing() as provider:
        yield provider


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["sms"] = Sms(
            http, f"{played.url}/sms", sid="AC1", token="secret", sender="+15005550006", name="Todo API"
        )
        yield made


@asynccontextmanager
async def restarted(world: World, *keys: bytes) -> AsyncIterator[None]:
    """The service as it comes back with these keys, the first of them current."""
    world.phone_keys = keys
    async with world.replica() as face:
        world.http = face.http
        yield


async def test_given_a_code_sent_before_a_rotation_when_it_is_answered_then_the_phone_is_theirs(
    world: World, played: Played
) -> None:
    me = uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
    async with restarted(world, NEW_KEY, PHONE_KEY):
        assert (await answer(world, me, code)).status_code == 200
        assert await number(world, me) == NUMBER


async def test_given_a_code_asked_for_before_a_rotation_when_it_is_sent_after_then_it_is_right_as_well(
    world: World, played: Played
) -> None:
    me = uuid4()
    await ask(world, me)
    async with restarted(world, NEW_KEY, PHONE_KEY), world.hearing():
        assert (await answer(world, me, await code_in(played, 1))).status_code == 200


async def test_given_a_key_that_was_dropped_when_its_code_is_answered_then_it_is_wrong(
    world: World, played: Played
) -> None:
    me = uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
    async with restarted(world, NEW_KEY):
        assert (await answer(world, me, code)).json()["errors"][0]["code"] == "wrong_code"
