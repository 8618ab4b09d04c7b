"""Push reaches each device once, and what providers answer is taken at its word."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from notifying import World, completed, due_soon, overdue, service, world_of
from providing import VAPID_KEY, Answer, Browser, Played, client, fcm_error, vapid_claims

from events.catalog.auth import ProfileChanged, UserErased
from events.catalog.todos import TodoDeleted, TodoEdited, TodoToggled
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from notifier.devices import is_service
from notifier.fcm import Fcm
from notifier.providers import not_now
from notifier.webpush import CURVE, WebPush, base64url, encrypt, unbase64

DEVICES = "/notifications/devices"
HOUR = timedelta(hours=1)
LONG_AGO = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats, played: Played) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made, client() as http:
        made.providers["fcm"] = Fcm(http, played.url, played.account)
        made.providers["web"] = WebPush(http, VAPID_KEY, "mailto:ops@example.org", made.watch)
        yield made


async def register(world: World, who: UUID, device: dict[str, Any], language: str = "ko") -> httpx.Response:
    headers = world.people.headers(who) | {"accept-language": language}
    return await world.http.post(DEVICES, json=device, headers=headers)


def fcm(token: str = "device-1") -> dict[str, Any]:
    return {"service": "fcm", "token": token}


async def settled(world: World, count: int = 1) -> list[asyncpg.Record]:
    query = "select kind, state, reason, attempts from delivery where settled_at is not null order by settled_at"

    async def enough() -> list[asyncpg.Record]:
        rows = await world.pool.fetch(query)
        return rows if len(rows) >= count else []

    return await until(enough, within=20)


async def said(world: World) -> list[tuple[str, dict[str, Any]]]:
    rows = await world.pool.fetch("select type, data::text from events.log where type like 'notifier.%' order by seq")
    return [(row["type"].split(".")[1], json.loads(row["data"])) for row in rows]


async def test_fcm_gets_a_notification_once_in_the_devices_language(world: World, played: Played) -> None:
    me = uuid4()
    added = await register(world, me, fcm())
    assert added.status_code == 201
    async with world.hearing():
        await world.say("TODOS", completed("우유"), to=me)
        [row] = await settled(world)
    assert row["state"] == "sent"
    [asked] = played.asked
    assert asked["path"] == "/v1/projects/p/messages:send"
    assert asked["headers"]["authorization"] == "Bearer token-1"
    message = json.loads(asked["body"])["message"]
    assert message["token"] == "device-1"
    assert message["notification"] == {"title": "완료했어요", "body": "“우유” 할 일을 마쳤어요. 잘하셨어요!"}
    [(kind, told)] = await said(world)
    assert (kind, told["channel"], told["kind"]) == ("NotificationDelivered", "push", "completion")
    assert told["cause"] == message["data"]["id"]


async def test_a_browser_reads_what_was_pushed_and_its_service_knows_us(world: World, played: Played) -> None:
    me, browser = uuid4(), Browser()
    world.watch.ahead = timedelta()
    endpoint = f"{played.url}/web/abc"
    await world.pool.execute(
        "insert into device values ($1, $2, 'web', $3, $4, $5, 'en', now())",
        uuid4(),
        me,
        endpoint,
        *browser.keys.values(),
    )
    async with world.hearing():
        await world.say("TODOS", completed("milk"), to=me)
        assert [row["state"] for row in await settled(world)] == ["sent"]
    [asked] = played.asked
    assert browser.read(asked["body"])["body"] == "“milk” is done. Well done!"
    headers = asked["headers"]
    assert (headers["content-encoding"], int(headers["ttl"]) > 80_000, len(headers["topic"])) == ("aes128gcm", True, 32)
    assert vapid_claims(headers["authorization"], played.url)["sub"] == "mailto:ops@example.org"


async def test_a_push_leaves_no_address_in_the_log(world: World, played: Played) -> None:
    added = "insert into device values ($1, $2, 'web', $3, $4, $5, 'en', now())"
    me, endpoint = uuid4(), f"{played.url}/web/a-capability"
    await world.pool.execute(added, uuid4(), me, endpoint, *Browser().keys.values())
    push = {"VAPID_PRIVATE_KEY": VAPID_KEY, "VAPID_CONTACT": "mailto:ops@example.org", "LOG_LEVEL": "DEBUG"}
    async with service(world, stderr=asyncio.subprocess.PIPE, **push) as process:
        await world.say("TODOS", completed(), to=me)
        await settled(world)
        process.terminate()
        _, log = await process.communicate()
    assert [asked["path"] for asked in played.asked] == ["/web/a-capability"]
    assert log
    assert b"a-capability" not in log


def test_the_example_of_rfc_8291_comes_out() -> None:
    key = ec.derive_private_key(int.from_bytes(unbase64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")), CURVE)
    receiver = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        unbase64(receiver),
        unbase64("BTBZMqHH6r4Tts7J_aSIgg"),
        key=key,
        salt=unbase64("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize(
    ("answers", "attempts"),
    [
        ([Answer(503, fcm_error("UNAVAILABLE", "UNAVAILABLE"), {"retry-after": "0"})], 2),
        ([Answer(429, fcm_error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), {"retry-after": LONG_AGO})], 2),
        ([Answer(500)], 2),
        ([Answer(401, fcm_error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), {"retry-after": "0"})], 2),
        ([Answer(404, b"<html>no such page</html>", {"retry-after": "0"})], 2),
    ],
)
async def test_what_is_refused_for_the_moment_is_tried_again(
    world: World, played: Played, answers: list[Answer], attempts: int
) -> None:
    me = uuid4()
    await register(world, me, fcm())
    played.answers.extend(answers)
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        [row] = await settled(world)
    assert (row["state"], row["attempts"], len(played.asked)) == ("sent", attempts, attempts)
    assert len(played.tokens) == (2 if answers[0].status == 401 else 1)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (LONG_AGO, 0.0),
        ("Sun, 06 Nov 1994 08:49:37", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 0.0),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("120", 120.0),
        ("soon", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_or_passed_over(text: str, after: float | None) -> None:
    assert not_now(httpx.Response(503, headers=[(b"retry-after", text.encode())])).after == after


async def test_retry_after_is_waited_for(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    played.answers.append(Answer(429, headers={"retry-after": "600"}))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        query = "select extract(epoch from due_at - now())::int from delivery where state = 'queued' and attempts = 1"
        assert 590 < await until(lambda: world.pool.fetchval(query)) <= 600


@pytest.mark.parametrize(
    "answer", [Answer(404, fcm_error("NOT_FOUND", "UNREGISTERED")), Answer(400, fcm_error("NOT_FOUND", "UNREGISTERED"))]
)
async def test_a_device_that_its_provider_calls_unregistered_is_removed(
    world: World, played: Played, answer: Answer
) -> None:
    me = uuid4()
    await register(world, me, fcm())
    played.answers.append(answer)
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        [row] = await settled(world)
        assert (row["state"], row["reason"]) == ("failed", "UNREGISTERED")
        assert (await world.get(DEVICES, me)).json()["data"] == []
        await world.say("TODOS", completed(), to=me)
        await world.heard()
    assert len(played.asked) == 1
    [(kind, told)] = await said(world)
    assert (kind, told["reason"], told["kind"]) == ("NotificationFailed", "unregistered", "completion")


async def test_what_is_refused_for_good_fails_and_the_device_stays(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    played.answers.append(Answer(400, fcm_error("INVALID_ARGUMENT", "INVALID_ARGUMENT")))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        [row] = await settled(world)
    assert (row["state"], row["attempts"], len(played.asked)) == ("failed", 1, 1)
    assert len((await world.get(DEVICES, me)).json()["data"]) == 1


async def test_an_answer_that_does_not_come_is_unknown_and_never_sent_twice(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    played.answers.append(Answer(200, hangs=True))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        [row] = await settled(world)
    assert (row["state"], row["reason"], len(played.asked)) == ("unknown", "ReadTimeout", 1)
    assert [told["reason"] for _, told in await said(world)] == ["unknown"]


async def test_a_provider_that_is_away_is_waited_for(world: World, played: Played, free_port: Any) -> None:
    me = uuid4()
    await register(world, me, fcm())
    async with client() as http:
        world.providers["fcm"] = Fcm(http, f"http://127.0.0.1:{free_port()}", played.account)
        async with world.hearing():
            await world.say("TODOS", completed(), to=me)
            query = "select reason from delivery where state = 'queued' and attempts >= 1"
            assert await until(lambda: world.pool.fetchval(query)) == "ConnectError"


DENIES = """
create sequence denials;
grant usage on sequence denials to public;
create function deny() returns trigger language plpgsql as $$
begin
    if nextval('denials') = 1 then
        raise 'not now' using errcode = 'cannot_connect_now';
    end if;
    return new;
end $$;
create trigger deny before update on delivery for each row when ({}) execute function deny();
"""


@pytest.mark.parametrize(
    "write",
    [
        "old.state = 'claimed' and new.state = 'sending'",
        "old.state = 'sending' and new.state = 'queued'",
        "old.state = 'sending' and new.state = 'sent'",
    ],
)
async def test_what_was_not_sent_stays_so_though_the_database_was_away(
    world: World, played: Played, write: str
) -> None:
    me = uuid4()
    await register(world, me, fcm())
    owner = await asyncpg.connect(world.database.owner_url)
    await owner.execute(DENIES.format(write))
    await owner.close()
    played.answers.append(Answer(503, headers={"retry-after": "0"}))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        assert [row["state"] for row in await settled(world)] == ["sent"]
    assert len(played.asked) == 2


async def test_hearing_everything_again_pushes_nothing(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    await world.say("TODOS", completed(), to=me)
    async with world.hearing():
        await settled(world)
    await register(world, me, fcm("a-later-device"))
    await world.pool.execute("update events.checkpoint set seq = 0, event_id = null")
    async with world.hearing():
        await world.heard()
    assert await world.pool.fetchval("select count(*) from delivery") == len(played.asked) == 1


async def test_nothing_is_pushed_while_the_person_rests_or_where_they_do_not_want_it(
    world: World, played: Played
) -> None:
    me = uuid4()
    await register(world, me, fcm())
    until_then = (world.watch() + timedelta(hours=1)).isoformat()
    change = {"do_not_disturb_until": until_then, "kinds": {"overdue": {"push": False}}}
    await world.http.patch("/notifications/preferences", json=change, headers=world.people.headers(me))
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        query = "select due_at - now() from delivery where reason = 'not to be disturbed' and attempts = 0"
        assert timedelta(minutes=14) < await until(lambda: world.pool.fetchval(query)) < timedelta(minutes=16)
        assert played.asked == []
        anew = {"do_not_disturb_until": None}
        await world.http.patch("/notifications/preferences", json=anew, headers=world.people.headers(me))
        await settled(world)
    assert len(played.asked) == 1


async def test_what_is_no_longer_true_when_a_rest_ends_is_not_pushed_and_what_is_true_is(
    world: World, played: Played
) -> None:
    me, done, moved, gone, true, close = (
        uuid4(),
        overdue(),
        due_soon(),
        overdue(),
        overdue(),
        due_soon(due_at=datetime.now(UTC)),
    )
    await register(world, me, fcm())
    until_then = (world.watch() + HOUR).isoformat()
    rest = {"do_not_disturb_until": until_then}
    await world.http.patch("/notifications/preferences", json=rest, headers=world.people.headers(me))
    async with world.hearing():
        await world.say("TODOS", done, moved, gone, true, close, to=me)
        resting = "select count(*) = 4 from delivery where reason = 'not to be disturbed'"
        await until(lambda: world.pool.fetchval(resting))
        ends = (
            TodoToggled(todo_id=done.todo_id, title="우유", priority=3, completed=True),
            TodoEdited(todo_id=moved.todo_id, due_at=None),
            TodoDeleted(todo_id=gone.todo_id, title="우유", priority=3, completed=False),
        )
        await world.say("TODOS", *ends, to=me)
        await settled(world, 4)
        anew = {"do_not_disturb_until": None}
        await world.http.patch("/notifications/preferences", json=anew, headers=world.people.headers(me))
        rows = await settled(world, 6)
    assert Counter((row["kind"], row["state"]) for row in rows) == {
        ("overdue", "expired"): 2,
        ("due_soon", "expired"): 2,
        ("overdue", "sent"): 1,
        ("completion", "sent"): 1,
    }
    inbox = (await world.get("/notifications/", me)).json()
    assert len(inbox["data"]) == 6, "the inbox keeps what happened"


async def test_what_a_change_of_quiet_hours_frees_is_pushed(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    now = f"{world.watch():%H:%M}"
    await world.say("AUTH", ProfileChanged(user_id=me, quiet_from=now, quiet_to=f"{world.watch() - HOUR:%H:%M}"), to=me)
    async with world.hearing():
        await world.heard()
        await world.say("TODOS", completed(), to=me)
        await until(lambda: world.pool.fetchval("select 1 from delivery where reason = 'not to be disturbed'"))
        await world.say("AUTH", ProfileChanged(user_id=me, quiet_from=None, quiet_to=None), to=me)
        await settled(world)
    assert len(played.asked) == 1


async def test_a_device_has_one_owner_and_a_person_twenty(world: World) -> None:
    me, other = uuid4(), uuid4()
    for nr in range(22):
        await register(world, me, fcm(f"t{nr}"))
    await register(world, other, fcm("t21"))
    assert len((await world.get(DEVICES, me)).json()["data"]) == 19
    [theirs] = (await world.get(DEVICES, other)).json()["data"]
    assert (await world.http.delete(f"{DEVICES}/{theirs['id']}", headers=world.people.headers(me))).status_code == 404
    assert (
        await world.http.delete(f"{DEVICES}/{theirs['id']}", headers=world.people.headers(other))
    ).status_code == 200


async def test_an_erased_persons_devices_and_deliveries_are_gone(world: World, played: Played) -> None:
    me = uuid4()
    await register(world, me, fcm())
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        await settled(world)
        await world.say("AUTH", UserErased(user_id=me), to=me)
        done = "select count(*) from events.erasure where erased_at is not null"
        await until(lambda: world.pool.fetchval(done))
    for table in ("device", "delivery", "notification", "preference"):
        assert await world.pool.fetchval(f"select count(*) from {table}") == 0


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        ("https://fcm.googleapis.com/fcm/send/x", True),
        ("https://web.push.apple.com/x", True),
        ("http://fcm.googleapis.com/x", False),
        ("https://fcm.googleapis.com.evil.example/x", False),
        ("https://evilpush.apple.com/x", False),
        ("https://push.apple.com@169.254.169.254/x", False),
        ("https://169.254.169.254/x", False),
    ],
)
def test_only_push_services_are_called(endpoint: str, known: bool) -> None:
    assert is_service(endpoint, ("https://fcm.googleapis.com", "https://*.push.apple.com")) == known


async def test_an_endpoint_of_nobody_is_refused(world: World) -> None:
    device = {"service": "web", "endpoint": "https://intranet.example/x", "keys": Browser().keys}
    answer = await register(world, uuid4(), device)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_a_service")
    device["endpoint"] = f"{world.web_push}/x"
    assert (await register(world, uuid4(), device)).status_code == 201
