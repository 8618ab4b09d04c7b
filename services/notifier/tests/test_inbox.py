"""What happens becomes a person's notifications: numbered, once each, readable in both languages."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from notifying import World, completed, due_soon, overdue, reopened, report

from events.catalog.auth import UserErased
from local.fixtures import until
from notifier import api
from notifier.tables import drop_notifications
from notifier.texts import words_of


async def test_what_a_person_wants_to_know_is_in_their_inbox_newest_first(world: World) -> None:
    me, other = uuid4(), uuid4()
    async with world.hearing():
        await world.say("TODOS", completed("a"), reopened(), due_soon("b"), to=me)
        await world.say("TODOS", overdue("not mine"), to=other)
        await world.say("TODOS", overdue("c"), to=me)
        await world.heard()
        await world.say("ACTIVITY", report(me), report(me, "month"), to=me)
        await world.heard()
    mine = await world.inbox(me)
    assert [(each["number"], each["kind"]) for each in mine] == [
        (5, "monthly_report"),
        (4, "weekly_report"),
        (3, "overdue"),
        (2, "due_soon"),
        (1, "completion"),
    ]
    assert [each["data"].get("title") for each in mine] == [None, None, "c", "b", "a"]
    assert [each["number"] for each in await world.inbox(other)] == [1]


async def test_two_feeds_heard_together_share_gapless_numbers(world: World) -> None:
    people = [uuid4() for _ in range(5)]
    for n in range(120):
        await world.say("TODOS", completed(str(n)), to=people[n % 5])
        await world.say("ACTIVITY", report(people[n % 3]), to=people[n % 3])
    async with world.hearing():
        await world.heard()
    rows = await world.pool.fetch(
        "select user_id, array_agg(number order by number) as numbers from notification group by 1"
    )
    assert {row["user_id"] for row in rows} == set(people)
    assert all(row["numbers"] == list(range(1, len(row["numbers"]) + 1)) for row in rows)
    assert sum(len(row["numbers"]) for row in rows) == 240


async def test_hearing_everything_again_changes_nothing(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", *(completed(str(n)) for n in range(5)), to=me)
    async with world.hearing():
        await world.heard()
    await world.post("/notifications/read-all", me)
    before = await world.inbox(me)
    await world.pool.execute("update events.checkpoint set seq = 0, event_id = null")
    await world.say("TODOS", completed("new"), to=me)
    async with world.hearing():
        await world.heard()
    new, *after = await world.inbox(me)
    assert after == before
    assert (new["number"], new["data"]["title"]) == (6, "new")


async def test_after_ninety_days_a_notification_is_dropped_and_never_comes_back(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", completed("old"), to=me)
    async with world.hearing():
        await world.heard()
    world.watch.ahead = timedelta(days=89)
    assert await drop_notifications(world.pool, world.watch, 100) == 0
    await world.say("TODOS", completed("new"), to=me)
    world.watch.ahead = timedelta(days=91)
    async with world.hearing():
        await world.heard()
    assert await drop_notifications(world.pool, world.watch, 100) == 1
    await world.pool.execute("update events.checkpoint set seq = 0, event_id = null")
    async with world.hearing():
        await world.heard()
    assert [(each["number"], each["data"]["title"]) for each in await world.inbox(me)] == [(2, "new")]


async def test_the_inbox_comes_page_by_page(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", *(completed(str(n)) for n in range(5)), to=me)
    async with world.hearing():
        await world.heard()
    path, seen = "/notifications/?limit=2", []
    while path:
        answer = await world.get(path, me)
        seen.append([each["number"] for each in answer.json()["data"]])
        path = answer.links["next"]["url"] if answer.json()["next_cursor"] else ""
    assert seen == [[5, 4], [3, 2], [1]]


async def test_what_comes_in_while_the_list_is_read_is_not_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, listed = uuid4(), api.list_notifications

    async def and_another(*what: Any, **how: Any) -> Any:
        rows = await listed(*what, **how)
        await world.told(me, 1)
        return rows

    await world.told(me, 1)
    monkeypatch.setattr(api, "list_notifications", and_another)
    page = (await world.get("/notifications", me)).json()
    assert page["last_number"] <= page["data"][0]["number"] == 1


@pytest.mark.parametrize(
    ("due", "zone"), [("0001-01-01T01:00:00Z", "America/New_York"), ("9999-12-31T23:00:00Z", "Asia/Seoul")]
)
def test_a_deadline_at_the_end_of_time_is_told_in_utc(due: str, zone: str) -> None:
    words = words_of("overdue", {"title": "milk", "due_at": due, "due_zone": zone}, "en")
    assert words.body.endswith(":00 UTC.")


async def test_the_server_counts_what_is_unread(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", *(completed(str(n)) for n in range(4)), to=me)
    async with world.hearing():
        await world.heard()
    newest, *_ = await world.inbox(me)
    first = await world.post(f"/notifications/{newest['id']}/read", me)
    again = await world.post(f"/notifications/{newest['id']}/read", me)
    assert first.json()["data"]["read_at"] == again.json()["data"]["read_at"] is not None
    page = (await world.get("/notifications/?unread=true", me)).json()
    assert [each["number"] for each in page["data"]] == [3, 2, 1]
    assert (page["unread"], page["last_number"]) == (3, 4)
    marked = await world.post("/notifications/read-all?up_to=2", me)
    assert marked.json()["data"] == {"marked": 2, "unread": 1}
    assert (await world.post("/notifications/read-all", me)).json()["data"] == {"marked": 1, "unread": 0}


async def test_nobody_reads_or_marks_what_is_anothers(world: World) -> None:
    me, other = uuid4(), uuid4()
    await world.say("TODOS", completed(), to=other)
    async with world.hearing():
        await world.heard()
    [theirs] = await world.inbox(other)
    assert await world.inbox(me) == []
    assert (await world.post(f"/notifications/{theirs['id']}/read", me)).status_code == 404
    assert (await world.http.get("/notifications/")).status_code == 401
    [still] = await world.inbox(other)
    assert still["read_at"] is None


@pytest.mark.parametrize(
    ("locale", "titles", "bodies"),
    [
        (
            "ko",
            ["주간 보고서", "마감이 다가와요"],
            [
                "완료 4개, 새로 만든 할 일 5개, 마감이 지난 할 일 1개입니다.",
                "“우유 {0}” 할 일의 마감은 2099-12-01 18:00입니다.",
            ],
        ),
        (
            "en",
            ["Your week", "Due soon"],
            ["You completed 4 and created 5; 1 went overdue.", "“우유 {0}” is due on 2099-12-01 18:00."],
        ),
    ],
)
async def test_the_words_are_made_when_it_is_read(
    world: World, locale: str, titles: list[str], bodies: list[str]
) -> None:
    me = uuid4()
    async with world.hearing():
        await world.say("TODOS", due_soon("우유 {0}"), to=me)
        await world.heard()
        await world.say("ACTIVITY", report(me), to=me)
        await world.heard()
    found = (await world.get("/notifications", me, **{"accept-language": locale})).json()["data"]
    assert [each["title"] for each in found] == titles
    assert [each["body"] for each in found] == bodies


async def test_a_read_waits_for_the_position_that_it_names(world: World) -> None:
    me = uuid4()
    async with world.hearing():
        await world.say("TODOS", completed(), to=me)
        answer = await world.get("/notifications/", me, **{"x-min-position": "TODOS:1"})
    assert [each["number"] for each in answer.json()["data"]] == [1]


async def test_an_erased_person_has_no_inbox_and_gets_none(world: World) -> None:
    me, other = uuid4(), uuid4()
    await world.say("TODOS", completed(), to=me)
    await world.say("TODOS", completed(), to=other)
    async with world.hearing():
        await world.heard()
        await world.say("AUTH", UserErased(user_id=me), to=me)
        done = "select count(*) from events.erasure where erased_at is not null"
        await until(lambda: world.pool.fetchval(done))
        await world.say("TODOS", completed("late"), to=me)
        await world.heard()
    for table in ("notification", "inbox"):
        assert [row[0] for row in await world.pool.fetch(f"select user_id from {table}")] == [other]

    async def refused() -> bool:
        return (await world.get("/notifications/", me)).status_code == 401

    await until(refused)
