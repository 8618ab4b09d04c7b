"""A person decides what they are told, and on which ways."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from msgspec.structs import replace
from notifying import World, completed, due_soon, world_of

from events.catalog.auth import ProfileChanged, UserRegistered
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from notifier.domain import Preferences
from notifier.tables import keep_profiles

PATH = "/notifications/preferences"


async def choose(world: World, who: UUID, **change: Any) -> httpx.Response:
    return await world.http.patch(PATH, json=change, headers=world.people.headers(who))


async def test_everything_but_sms_is_on_until_somebody_chooses(world: World) -> None:
    chosen = (await world.get(PATH, uuid4())).json()["data"]
    assert set(chosen["kinds"]) == {"completion", "due_soon", "overdue", "weekly_report", "monthly_report"}
    on = {"inbox": True, "live": True, "push": True, "sms": False}
    assert all(channels == on for channels in chosen["kinds"].values())
    assert chosen["do_not_disturb_until"] is None


async def test_a_change_leaves_the_rest(world: World) -> None:
    me = uuid4()
    until = "2030-01-01T00:00:00Z"
    await choose(world, me, kinds={"completion": {"push": False}}, do_not_disturb_until=until)
    await choose(world, me, kinds={"completion": {"sms": True}, "overdue": {"live": False}})
    chosen = (await world.get(PATH, me)).json()["data"]
    assert chosen["kinds"]["completion"] == {"inbox": True, "live": True, "push": False, "sms": True}
    assert chosen["kinds"]["overdue"] == {"inbox": True, "live": False, "push": True, "sms": False}
    assert chosen["do_not_disturb_until"] == until
    assert (await choose(world, me, do_not_disturb_until=None)).json()["data"]["do_not_disturb_until"] is None


async def test_a_kind_that_is_switched_off_leaves_no_hole(world: World) -> None:
    me = uuid4()
    await choose(world, me, kinds={"completion": {"inbox": False}})
    await world.say("TODOS", due_soon(), completed(), due_soon(), to=me)
    async with world.hearing():
        await world.heard()
    assert [(each["number"], each["kind"]) for each in await world.inbox(me)] == [(2, "due_soon"), (1, "due_soon")]


async def test_what_happened_before_a_way_was_switched_on_does_not_go_it_when_heard_again(world: World) -> None:
    me = uuid4()
    await choose(world, me, kinds={"completion": {"inbox": False}})
    await world.say("TODOS", completed("before"), due_soon(), to=me)
    async with world.hearing():
        await world.heard()
    await choose(world, me, kinds={"completion": {"inbox": True}, "due_soon": {"inbox": True}})
    await world.say("TODOS", completed("after"), to=me)
    await world.pool.execute("update events.checkpoint set seq = 0, event_id = null")
    async with world.hearing():
        await world.heard()
    assert [each["data"]["title"] for each in await world.inbox(me)] == ["after", "우유 사기"]


async def test_a_way_is_on_since_it_was_switched_on_and_no_later(world: World) -> None:
    me, since = uuid4(), "select since::text from preference"
    await choose(world, me, kinds={"completion": {"sms": True, "push": True}})
    first = await world.pool.fetchval(since)
    assert list(json.loads(first)) == ["completion.sms"]  # push was on
    await choose(world, me, kinds={"completion": {"sms": True}})
    assert await world.pool.fetchval(since) == first


async def test_what_is_not_to_disturb_comes_silently_and_keeps_its_place(world: World) -> None:
    me = uuid4()
    await choose(world, me, kinds={"completion": {"live": False}})
    async with world.hearing(), world.socket(me) as socket:
        await world.say("TODOS", completed(), due_soon(), to=me)
        first, second = [(await socket.next())["notification"] for _ in range(2)]
        assert [(each["number"], each["silent"]) for each in (first, second)] == [(1, True), (2, False)]
        until = world.watch() + timedelta(hours=1)
        await choose(world, me, do_not_disturb_until=until.isoformat())
        await world.say("TODOS", due_soon(), to=me)
        assert (await socket.next())["notification"]["silent"] is True
        world.watch.ahead = timedelta(hours=2)
        await world.say("TODOS", due_soon(), to=me)
    async with world.hearing():
        await world.heard()
    assert (await world.inbox(me))[0]["silent"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": {"gossip": {"push": True}}},
        {"kinds": {"completion": {"pigeon": True}}},
        {"kinds": {"completion": {"push": None}}},
        {"do_not_disturb_until": "2030-01-01T00:00:00"},
        {"volume": 11},
    ],
)
async def test_what_cannot_be_chosen_is_refused(world: World, change: dict[str, Any]) -> None:
    assert (await choose(world, uuid4(), **change)).status_code == 422


async def test_quiet_hours_of_the_profile_silence_what_comes_in_them(world: World) -> None:
    me = uuid4()
    seoul = ZoneInfo("Asia/Seoul")

    def wall(hours: int) -> str:
        return f"{world.watch().astimezone(seoul) + timedelta(hours=hours):%H:%M}"

    await world.say("AUTH", UserRegistered(user_id=me, sealed_contact="x", locale=None, timezone="Asia/Seoul"), to=me)
    await world.say("AUTH", ProfileChanged(user_id=me, quiet_from=wall(-1), quiet_to=wall(1)), to=me)
    async with world.hearing():
        await world.heard()
        await world.say("TODOS", due_soon(), to=me)
        await world.heard()
        world.watch.ahead = timedelta(hours=2)
        await world.say("TODOS", due_soon(), to=me)
        await world.heard()
        world.watch.ahead = timedelta()
        await world.say("AUTH", ProfileChanged(user_id=me, quiet_from=None, quiet_to=None), to=me)
        await world.heard()
        await world.say("TODOS", due_soon(), to=me)
        await world.heard()
    assert [each["silent"] for each in reversed(await world.inbox(me))] == [True, False, False]


async def test_quiet_hours_that_came_with_a_line_break_are_heard_without_it(world: World) -> None:
    """They were accepted once, and are in logs for ever."""
    me, now = uuid4(), world.watch()
    quiet = {"quiet_from": f"{now - timedelta(hours=1):%H:%M}\n", "quiet_to": f"{now + timedelta(hours=1):%H:%M}\n"}
    await world.say("AUTH", ProfileChanged(user_id=me, timezone="UTC", **quiet), to=me)
    async with world.hearing():
        await world.heard()
        await world.say("TODOS", due_soon(), to=me)
        await world.heard()
    assert [each["silent"] for each in await world.inbox(me)] == [True]


async def test_a_choice_made_while_the_registration_is_heard_is_waited_for(world: World) -> None:
    me = uuid4()
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with world.pool.acquire() as chooser, world.pool.acquire() as hearer:
        choice = chooser.transaction()
        await choice.start()
        await chooser.execute("insert into preference (user_id) values ($1)", me)
        hearing = asyncio.create_task(keep_profiles(hearer, [ProfileChanged(user_id=me, timezone="Asia/Seoul")]))
        await until(lambda: world.pool.fetchval(waiting))
        await choice.commit()
        await hearing
    assert await world.pool.fetchval("select timezone from preference where user_id = $1", me) == "Asia/Seoul"


def test_a_person_rests_until_the_last_of_their_wishes_is_over() -> None:
    now = datetime(2026, 11, 24, 14, tzinfo=UTC)  # 23:00 in Seoul
    quiet = Preferences(timezone="Asia/Seoul", quiet_from="22:00", quiet_to="07:00")
    assert quiet.rests_until(now) == datetime(2026, 11, 24, 22, tzinfo=UTC)
    later = datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert replace(quiet, do_not_disturb_until=later).rests_until(now) == later
    assert replace(quiet, do_not_disturb_until=now).rests_until(now) == datetime(2026, 11, 24, 22, tzinfo=UTC)
    assert replace(quiet, timezone="Mars/Olympus").rests_until(now) is None  # 14:00 in UTC
    assert Preferences(do_not_disturb_until=now).rests_until(now) is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("preferences", {"kinds": {}}),
        ("devices", {"service": "fcm", "token": "t"}),
        ("phone", {"phone_number": "+821012345678"}),
        ("ticket", None),
    ],
)
async def test_nothing_is_kept_of_somebody_who_was_erased_a_moment_ago(
    database: DatabaseFactory, nats: Nats, path: str, body: dict[str, Any] | None
) -> None:
    me = uuid4()
    method = "PATCH" if path == "preferences" else "POST"
    async with world_of(database("notifier"), nats, guarded=False) as world:  # the guard knows within a second
        await world.pool.execute("select events.forget($1, $2)", me, uuid4())
        headers = world.people.headers(me)
        refused = await world.http.request(method, f"/notifications/{path}", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        for table in ("preference", "device", "phone_challenge", "ticket"):
            assert await world.pool.fetchval(f"select count(*) from {table}") == 0
