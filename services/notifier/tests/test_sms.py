"""A phone is its person's once they answer its code; then it gets what they chose, as much as a day allows."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import httpx
import pytest
from notifying import World, completed, due_soon, overdue, world_of
from providing import Answer, Played, client, twilio, twilio_error
from test_push import said, settled

from events.catalog.auth import UserErased
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from notifier.phones import number_of
from notifier.tables import SQL

PHONE = "/notifications/phone"
NUMBER = "+821012345678"


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["sms"] = twilio(http, played)
        yield made


async def ask(world: World, who: UUID, number: str = NUMBER, language: str = "ko") -> httpx.Response:
    headers = world.people.headers(who) | {"accept-language": language}
    return await world.http.post(PHONE, json={"phone_number": number}, headers=headers)


async def answer(world: World, who: UUID, code: str) -> httpx.Response:
    return await world.http.post(f"{PHONE}/verify", json={"code": code}, headers=world.people.headers(who))


async def number(world: World, who: UUID) -> str | None:
    data: dict[str, str | None] = (await world.get(PHONE, who)).json()["data"]
    return data["phone_number"]


def form(asked: dict[str, Any]) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked["body"].decode()).items()}


async def code_in(played: Played, count: int) -> str:
    """The code in the provider's message of this number."""
    await until(lambda: len(played.asked) >= count, within=20)
    found = re.search(r"(?<![0-9])[0-9]{6}(?![0-9])", form(played.asked[count - 1])["Body"])
    assert found
    return found[0]


async def verified(world: World, played: Played, who: UUID, number: str = NUMBER) -> None:
    count = len(played.asked)
    assert (await ask(world, who, number)).status_code == 200
    done = await answer(world, who, await code_in(played, count + 1))
    assert done.status_code == 200, done.text


async def wants(world: World, who: UUID, **kinds: bool) -> None:
    change = {"kinds": {kind: {"sms": wanted} for kind, wanted in kinds.items()}}
    await world.http.patch("/notifications/preferences", json=change, headers=world.people.headers(who))


async def test_a_phone_is_verified_by_its_code_and_gets_what_was_chosen(world: World, played: Played) -> None:
    me = uuid4()
    assert await number(world, me) is None
    async with world.hearing():
        asked = await ask(world, me, " +82 10-1234-5678 ")
        assert asked.json()["data"] == {"phone_number": NUMBER, "expires_in": 600}
        code = await code_in(played, 1)
        assert (await answer(world, me, code)).json()["data"]["phone_number"] == NUMBER
        assert await number(world, me) == NUMBER
        await wants(world, me, completion=True)
        await world.say("TODOS", completed("우유"), due_soon(), to=me)
        await settled(world, 2)
    first, second = played.asked
    login = base64.b64decode(first["headers"]["authorization"].removeprefix("Basic ")).decode()
    assert (first["path"], login) == ("/sms/2010-04-01/Accounts/AC1/Messages.json", "AC1:secret")
    assert form(first)["Body"].startswith("[Todo API] 인증번호는 ")
    assert 0 < int(form(first)["ValidityPeriod"]) <= 600
    assert form(second) | {"ValidityPeriod": "36000"} == {
        "To": NUMBER,
        "From": "+15005550006",
        "Body": "[Todo API] “우유” 할 일을 마쳤어요. 잘하셨어요!",
        "ValidityPeriod": "36000",
    }
    assert [(kind, told["channel"]) for kind, told in await said(world)] == [("NotificationDelivered", "sms")] * 2


async def test_no_code_is_written_down(world: World, played: Played) -> None:
    me = uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
    for table in ("delivery", "phone_challenge", "events.log"):
        rows = await world.pool.fetch(f"select t::text from {table} t")
        assert not any(re.search(rf"(?<![0-9a-f.-]){code}(?![0-9a-f])", row["t"]) for row in rows), table


async def test_a_code_works_once_for_its_person_and_for_ten_minutes(world: World, played: Played) -> None:
    me, other = uuid4(), uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
        refused = await answer(world, other, code)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "wrong_code")
        world.watch.ahead = timedelta(minutes=9, seconds=50)
        together = await asyncio.gather(*(answer(world, me, code) for _ in range(5)))
        assert sorted(each.status_code for each in together) == [200, 422, 422, 422, 422]
        await ask(world, me)
        code = await code_in(played, 2)
        world.watch.ahead += timedelta(minutes=10, seconds=1)
        assert (await answer(world, me, code)).status_code == 422


async def test_five_guesses_end_a_code(world: World, played: Played) -> None:
    me = uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
    wrong = "000000" if code != "000000" else "000001"
    guesses = await asyncio.gather(*(answer(world, me, wrong) for _ in range(8)))
    assert {each.status_code for each in guesses} == {422}
    assert (await answer(world, me, code)).status_code == 422
    assert await world.pool.fetchval("select guesses from phone_challenge") == 5


async def test_a_code_that_ends_with_a_line_break_is_none_and_costs_no_guess(world: World, played: Played) -> None:
    me = uuid4()
    async with world.hearing():
        await ask(world, me)
        code = await code_in(played, 1)
    for _ in range(5):
        refused = await answer(world, me, f"{code}\n")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "format")
    assert (await answer(world, me, code)).status_code == 200


async def test_codes_are_asked_for_once_a_minute_and_five_times_a_day(world: World) -> None:
    me = uuid4()
    await asyncio.gather(*(world.get(PHONE, me) for _ in range(16)))  # connections are open, so that all ask at once
    together = await asyncio.gather(*(ask(world, me) for _ in range(16)))
    assert sorted(each.status_code for each in together) == [200, *[429] * 15]
    assert 55 <= int(next(each for each in together if each.status_code == 429).headers["retry-after"]) <= 60
    for _ in range(4):
        world.watch.ahead += timedelta(minutes=1, seconds=1)
        assert (await ask(world, me)).status_code == 200
    world.watch.ahead += timedelta(minutes=1, seconds=1)
    assert int((await ask(world, me)).headers["retry-after"]) > 80_000
    assert (await ask(world, uuid4())).status_code == 429  # five to one number, whoever asks
    world.watch.ahead += timedelta(days=1)
    assert (await ask(world, me)).status_code == 200


async def test_whoever_waits_for_its_turn_is_judged_by_the_time_it_comes(world: World) -> None:
    me = uuid4()
    assert (await ask(world, me)).status_code == 200
    async with asyncio.TaskGroup() as group, world.pool.acquire() as other, other.transaction():
        await other.execute(SQL.lock_for_a_code, f"code of {me}")
        waiting = group.create_task(ask(world, me))
        await until(lambda: world.pool.fetchval("select exists (select from pg_locks where not granted)"))
        world.watch.ahead += timedelta(minutes=1)
    assert waiting.result().status_code == 200


async def test_a_number_has_one_owner_and_a_person_one_number(world: World, played: Played) -> None:
    me, other = uuid4(), uuid4()
    async with world.hearing():
        await verified(world, played, me)
        world.watch.ahead += timedelta(minutes=2)
        await ask(world, me, "+821087654321")
        assert await number(world, me) == NUMBER
        await answer(world, me, await code_in(played, 2))
        assert await number(world, me) == "+821087654321"
        world.watch.ahead += timedelta(minutes=2)
        await verified(world, played, other, "+821087654321")
    assert await number(world, me) is None
    assert (await world.get("/notifications/devices", other)).json()["data"] == []
    gone = [await world.http.delete(PHONE, headers=world.people.headers(other)) for _ in range(2)]
    assert [each.status_code for each in gone] == [200, 404]


async def test_a_person_gets_as_many_messages_as_a_day_allows(world: World, played: Played) -> None:
    me = uuid4()
    world.sms_per_day = 3
    async with world.hearing():
        await verified(world, played, me)
        await wants(world, me, completion=True)
        await world.say("TODOS", *(completed(str(nr)) for nr in range(5)), to=me)
        rows = await settled(world, 6)
    assert sorted((row["state"], row["reason"]) for row in rows) == [
        ("failed", "capped"), ("failed", "capped"), ("failed", "capped"),
        ("sent", None), ("sent", None), ("sent", None),
    ]  # fmt: skip
    assert len(played.asked) == 3
    assert [told["reason"] for kind, told in await said(world) if kind == "NotificationFailed"] == ["capped"] * 3


@pytest.mark.parametrize(
    ("refusal", "state", "stays"),
    [
        (Answer(429, twilio_error(20429), {"retry-after": "0"}), "sent", True),
        (Answer(503, headers={"retry-after": "0"}), "sent", True),
        (Answer(500), "unknown", True),
        (Answer(502), "unknown", True),
        (Answer(401, twilio_error(20003), {"retry-after": "0"}), "sent", True),
        (Answer(400, twilio_error(21610)), "failed", False),
        (Answer(400, twilio_error(21211)), "failed", False),
        (Answer(400, twilio_error(21408)), "failed", True),
        (Answer(201, hangs=True), "unknown", True),
    ],
)
async def test_a_provider_is_taken_at_its_word(
    world: World, played: Played, refusal: Answer, state: str, stays: bool
) -> None:
    me = uuid4()
    async with world.hearing():
        await verified(world, played, me)
        await wants(world, me, overdue=True)
        played.answers.append(refusal)
        await world.say("TODOS", overdue(), to=me)
        rows = await settled(world, 2)
        assert rows[-1]["state"] == state
        assert len(played.asked) == (3 if refusal.status in {401, 429, 503} else 2)
        assert (await number(world, me) is not None) is stays


async def test_where_no_sms_is_sent_no_phone_is_taken(database: DatabaseFactory, nats: Nats) -> None:
    async with world_of(database("notifier"), nats, phone_keys=()) as world:
        for refused in (await ask(world, uuid4()), await answer(world, uuid4(), "123456")):
            assert (refused.status_code, refused.json()["code"]) == (409, "phone.not_offered")


async def test_an_erased_persons_phone_is_gone(world: World, played: Played) -> None:
    me = uuid4()
    async with world.hearing():
        await verified(world, played, me)
        await world.say("AUTH", UserErased(user_id=me), to=me)
        done = "select count(*) from events.erasure where erased_at is not null"
        await until(lambda: world.pool.fetchval(done))
        assert (await ask(world, me, "+821011112222")).status_code == 401
    for table in ("device", "delivery", "phone_challenge"):
        assert await world.pool.fetchval(f"select count(*) from {table}") == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+82 10-1234-5678", NUMBER),
        ("010-1234-5678", None),
        ("+82 2-312-3456", None),  # a landline in Seoul
        ("+1 900 234 5678", None),  # a premium rate
        ("+1 212 555 2368", "+12125552368"),  # may be either
        ("+82", None),
        ("+8210123456789012", None),
        ("call me", None),
        ("", None),
    ],
)
def test_a_number_is_a_mobile_one_with_its_country(text: str, number: str | None) -> None:
    assert number_of(text) == number


async def test_a_token_that_is_somebodys_number_takes_nobodys_phone(world: World, played: Played) -> None:
    me = uuid4()
    async with world.hearing():
        await verified(world, played, me)
    taken = {"service": "fcm", "token": NUMBER}
    headers = world.people.headers(uuid4())
    assert (await world.http.post("/notifications/devices", json=taken, headers=headers)).status_code == 201
    assert await number(world, me) == NUMBER


async def test_a_phone_that_is_verified_again_stays_the_same_device(world: World, played: Played) -> None:
    me = uuid4()
    query = "select id, created_at from device"
    async with world.hearing():
        await verified(world, played, me)
        before, first = await world.pool.fetchrow(query), (await world.get(PHONE, me)).json()["data"]
        world.watch.ahead = timedelta(minutes=2)
        await verified(world, played, me)
    assert await world.pool.fetchrow(query) == before
    assert (await world.get(PHONE, me)).json()["data"]["verified_at"] > first["verified_at"]


async def test_two_people_may_exchange_their_numbers_at_once(world: World, played: Played) -> None:
    me, other, second = uuid4(), uuid4(), "+821087654321"
    async with world.hearing():
        await verified(world, played, me)
        await verified(world, played, other, second)
        world.watch.ahead = timedelta(minutes=2)
        await ask(world, me, second)
        mine = await code_in(played, 3)
        await ask(world, other, NUMBER)
        theirs = await code_in(played, 4)
    query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    async def waiting(count: int) -> bool:
        return bool(await world.pool.fetchval(query) >= count)

    async with world.pool.acquire() as connection, asyncio.TaskGroup() as group, connection.transaction():
        await connection.execute("select from device where user_id = $1 for update", me)
        first = group.create_task(answer(world, me, mine))
        await until(lambda: waiting(1))
        last = group.create_task(answer(world, other, theirs))
        await until(lambda: waiting(2))
    assert (first.result().status_code, last.result().status_code) == (200, 200)
    assert (await number(world, me), await number(world, other)) == (second, NUMBER)
