"""A person decides what they are told, and on which ways."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from notifying import World, completed, due_soon

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
