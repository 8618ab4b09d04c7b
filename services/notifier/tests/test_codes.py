"""Codes outlive a rotation of the keys behind them; what limits them outlives whoever asked."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from notifying import PHONE_KEY, World, world_of
from providing import Played, client, twilio
from test_sms import NUMBER, PHONE, answer, ask, code_in, number

from events.catalog.auth import UserErased
from local.fixtures import DatabaseFactory, until
from local.nats import Nats

NEW_KEY = PHONE_KEY[::-1]
A_MINUTE = timedelta(minutes=1, seconds=1)


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["sms"] = twilio(http, played)
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


async def erase(world: World, *people: UUID) -> None:
    """They leave, and everything that the service holds of them is gone."""
    async with world.hearing():
        for person in people:
            await world.say("AUTH", UserErased(user_id=person), to=person)
        done = "select count(*) from events.erasure where erased_at is not null and subject = any ($1)"

        async def all_of_them() -> bool:
            return bool(await world.pool.fetchval(done, people) == len(people))

        await until(all_of_them)
    for table in ("phone_challenge", "delivery"):
        assert await world.pool.fetchval(f"select count(*) from {table} where user_id = any ($1)", people) == 0


async def wait_of(world: World, who: UUID) -> int:
    """For how many seconds a code is refused."""
    refused = await ask(world, who)
    assert refused.status_code == 429, refused.text
    return int(refused.headers["retry-after"])


async def test_given_somebody_asked_and_left_when_they_come_back_as_another_then_the_number_still_waits(
    world: World,
) -> None:
    me = uuid4()
    assert (await ask(world, me)).status_code == 200
    await erase(world, me)
    assert 30 < await wait_of(world, uuid4()) <= 60
    assert (await ask(world, uuid4(), "+821087654321")).status_code == 200
    world.watch.ahead = A_MINUTE
    assert (await ask(world, uuid4())).status_code == 200


async def test_given_five_who_asked_and_left_when_a_sixth_asks_then_the_number_had_its_codes_of_the_day(
    world: World,
) -> None:
    people = [uuid4() for _ in range(5)]
    for person in people:
        world.watch.ahead += A_MINUTE
        assert (await ask(world, person)).status_code == 200
    await erase(world, *people)
    world.watch.ahead += A_MINUTE
    assert await wait_of(world, uuid4()) > 80_000
    world.watch.ahead += timedelta(days=1)
    assert (await ask(world, uuid4())).status_code == 200


async def test_given_many_people_when_they_ask_for_one_number_at_once_then_one_code_is_sent(world: World) -> None:
    people = [uuid4() for _ in range(16)]
    await asyncio.gather(*(world.get(PHONE, person) for person in people))  # so that all ask at once
    together = await asyncio.gather(*(ask(world, person) for person in people))
    assert sorted(each.status_code for each in together) == [200, *[429] * 15]


async def test_given_a_number_with_codes_when_the_keys_rotate_then_they_count_under_every_key(world: World) -> None:
    for _ in range(4):
        world.watch.ahead += A_MINUTE
        assert (await ask(world, uuid4())).status_code == 200
    async with restarted(world, NEW_KEY, PHONE_KEY):
        assert await wait_of(world, uuid4()) <= 60
        world.watch.ahead += A_MINUTE
        assert (await ask(world, uuid4())).status_code == 200
        world.watch.ahead += A_MINUTE
        assert await wait_of(world, uuid4()) > 80_000


async def test_given_a_code_when_it_is_counted_then_the_number_stands_there_under_the_first_key_alone(
    world: World,
) -> None:
    async with restarted(world, NEW_KEY, PHONE_KEY):
        await ask(world, uuid4())
    [row] = await world.pool.fetch("select * from number_asked")
    assert set(row.keys()) == {"number_hash", "asked_at"}
    assert row["number_hash"] == hmac.digest(NEW_KEY, b"phone number\0" + NUMBER.encode(), "sha256")


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        ("+1 604 555 0123", "en", "is of a country that gets no SMS from here"),  # Canada: +1 is more than the US
        ("+44 7400 123456", "ko", "SMS를 보내지 않는 국가의 번호입니다"),
    ],
)
async def test_given_countries_that_are_served_when_a_code_is_to_go_elsewhere_then_nothing_is_written(
    world: World, number: str, language: str, words: str
) -> None:
    me = uuid4()
    world.countries = frozenset({"KR", "US"})
    async with restarted(world, PHONE_KEY):
        refused = await ask(world, me, number, language)
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert (error["field"], error["code"], error["message"]) == ("phone_number", "country_not_served", words)
        for table in ("phone_challenge", "number_asked", "delivery"):
            assert await world.pool.fetchval(f"select count(*) from {table}") == 0
        for served in (NUMBER, "+1 212 555 2368"):
            assert (await ask(world, uuid4(), served)).status_code == 200
