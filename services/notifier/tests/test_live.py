"""A live connection brings exactly what the inbox holds, in order, from the number that its client names."""

import asyncio
import json
from contextlib import ExitStack, suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from notifying import World, completed
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.requests import Person
from events.catalog.auth import UserErased
from local.fixtures import until
from notifier import live, sockets
from notifier.tables import drop_notifications


async def test_what_was_missed_comes_first_and_then_what_happens(world: World) -> None:
    me = uuid4()
    await world.told(me, 250)
    async with world.hearing(), world.socket(me, last=3) as socket:
        assert (socket.hello["last_number"], socket.hello["unread"]) == (250, 250)
        assert await socket.numbers(247) == list(range(4, 251))
        for n in range(251, 256):
            await world.say("TODOS", completed(str(n)), to=me)
            news = (await socket.next())["notification"]
            assert (news["number"], news["data"]["title"], news["kind"]) == (n, str(n), "completion")


async def test_tabs_at_every_replica_hear_of_it_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL", 3600)
    me, other = uuid4(), uuid4()
    async with (
        world.replica() as second,
        world.hearing(),
        world.socket(me) as first_tab,
        world.socket(me) as second_tab,
        world.socket(me, at=second.http) as elsewhere,
        world.socket(other) as stranger,
    ):
        await asyncio.sleep(0.3)  # each replica has polled once; from now on only a NOTIFY brings news
        await world.say("TODOS", completed(), to=me)
        for tab in (first_tab, second_tab, elsewhere):
            assert await tab.numbers(1) == [1]
        await world.say("TODOS", completed(), to=other)
        assert await stranger.numbers(1) == [1]


async def test_without_a_word_from_the_writer_the_poll_finds_it(world: World) -> None:
    me = uuid4()
    async with world.socket(me) as socket:
        await world.told(me, 2)
        assert await socket.numbers(2) == [1, 2]


async def test_history_that_is_gone_is_said_to_be_gone(world: World) -> None:
    me = uuid4()
    await world.told(me, 5)
    world.watch.ahead = timedelta(days=91)
    await drop_notifications(world.pool, world.watch, 100)
    await world.told(me, 2)
    async with world.socket(me, last=2) as socket:
        assert await socket.next() == {"type": "gap", "from": 3, "to": 5, "resume": 5}
        assert await socket.numbers(2) == [6, 7]
    async with world.socket(me, last=5) as socket:
        assert await socket.numbers(2) == [6, 7]
    world.watch.ahead = timedelta(days=182, hours=1)
    await drop_notifications(world.pool, world.watch, 100)
    async with world.socket(me, last=6) as socket:
        assert await socket.next() == {"type": "gap", "from": 7, "to": 7, "resume": 7}


async def test_who_saw_more_than_there_is_is_told_where_it_goes_on(world: World) -> None:
    me = uuid4()
    await world.told(me, 2)
    async with world.hearing(), world.socket(me, last=9) as socket:
        assert await socket.next() == {"type": "gap", "from": 3, "to": 9, "resume": 2}
        await world.say("TODOS", completed(), to=me)
        assert await socket.numbers(1) == [3]


async def test_a_ticket_works_once_at_any_replica_and_for_thirty_seconds(world: World) -> None:
    me = uuid4()
    await world.told(me, 1)
    async with world.replica() as second:
        address = await world.address(me, at=second.http)
        async with connect(address) as raw:
            assert json.loads(await raw.recv())["type"] == "hello"
        for again in (address, address.replace("ticket=", "ticket=x"), address.split("?")[0]):
            async with connect(again) as raw:
                await raw.wait_closed()
                assert (raw.close_code, raw.close_reason) == (4401, "ticket_invalid")
        late = await world.address(me)
        world.watch.ahead = timedelta(seconds=31)
        async with connect(late) as raw:
            await raw.wait_closed()
            assert (raw.close_code, raw.close_reason) == (4401, "ticket_invalid")
    ticket = late.partition("ticket=")[2].partition("&")[0]
    [kept] = await world.pool.fetch("select t::text from ticket t")
    assert ticket not in kept["t"]
    assert ticket.encode().hex() not in kept["t"]


async def test_a_page_of_a_foreign_origin_opens_no_socket(world: World) -> None:
    me = uuid4()
    home = str(world.http.base_url)
    for origin in ("https://app.example", home):
        async with world.socket(me, origin=origin) as socket:
            assert socket.hello["type"] == "hello"
    for origin in ("https://evil.example", "https://app.example.evil.example", "null", "https://["):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(await world.address(me), origin=origin):
                pass
        assert refused.value.response.status_code == 403


async def test_an_expired_token_ends_the_socket_and_a_fresh_one_keeps_it(world: World) -> None:
    me = uuid4()
    soon = int(world.watch().timestamp()) + 2
    async with world.socket(me, claims={"exp": soon}) as short, world.socket(me, claims={"exp": soon}) as renewed:
        await renewed.raw.send(json.dumps({"type": "authenticate", "access_token": world.people.token(me)}))
        answer = await renewed.next()
        assert (answer["type"], answer["expires_at"] > renewed.hello["expires_at"]) == ("authenticated", True)
        assert await short.closed() == (4402, "token_expired")
        await world.told(me, 1)
        assert await renewed.numbers(1) == [1]


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ('{"type":"authenticate","access_token":"x"}', (4403, "token_refused")),
        ('{"type":"sing"}', (4400, "malformed")),
        (b"\xff", (4400, "malformed")),
        ("[" * 9000, (4400, "malformed")),
        ("x" * 20_000, (1009, "over size limit (20000 > 16384 bytes)")),
    ],
)
async def test_what_a_client_says_wrongly_ends_its_socket(
    world: World, said: str | bytes, end: tuple[int, str]
) -> None:
    async with world.socket(uuid4()) as socket:
        await socket.raw.send(said)
        code, reason = await socket.closed()
    assert code == end[0]
    assert code == 1009 or reason == end[1]


async def test_the_token_of_somebody_else_ends_the_socket(world: World) -> None:
    async with world.socket(uuid4()) as socket:
        await socket.raw.send(json.dumps({"type": "authenticate", "access_token": world.people.token(uuid4())}))
        assert await socket.closed() == (4403, "token_refused")


async def test_an_erased_person_is_shown_out(world: World) -> None:
    me = uuid4()
    await world.told(me, 1)
    async with world.hearing(), world.socket(me, last=1) as socket:
        await world.say("AUTH", UserErased(user_id=me), to=me)
        assert await socket.closed() == (4403, "token_refused")


async def test_a_process_that_leaves_asks_its_clients_to_come_back(world: World) -> None:
    me = uuid4()
    async with world.replica() as second, world.hearing():
        async with world.socket(me, at=second.http) as socket:
            await world.say("TODOS", completed(), to=me)
            assert await socket.numbers(1) == [1]
            second.live.leave()
            assert await socket.closed() == (1012, "restarting")
        await world.say("TODOS", completed(), to=me)
        async with world.socket(me, last=1) as socket:
            assert await socket.numbers(1) == [2]


async def test_of_too_many_connections_the_oldest_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.live.LINES", 2)
    me = uuid4()
    async with world.socket(me) as first, world.socket(me), world.socket(uuid4()), world.socket(me) as last:
        assert await first.closed() == (4409, "replaced")
        await world.told(me, 1)
        assert await last.numbers(1) == [1]


async def test_however_many_come_at_once_only_so_many_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ended line is there until its client has heard of it."""
    monkeypatch.setattr("notifier.live.LINES", 2)
    me = Person(id=uuid4(), sid=uuid4())
    with ExitStack() as lines:
        all_of_them = [lines.enter_context(world.live.line(me, "en", 0)) for _ in range(5)]
        assert [line.ended for line in all_of_them] == [live.REPLACED] * 3 + [None] * 2


async def test_a_slow_client_is_told_so_and_resumes_without_loss(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 0.3)
    me, count = uuid4(), 20_000
    await world.told(me, count, title="우유 사기 " * 25)
    seen = 0
    async with world.socket(me) as socket:
        closed = sockets.CLOSED.labels("ws", "too_slow")._value
        await until(lambda: closed.get() >= 1, within=20)
        with suppress(ConnectionClosedError):
            async for message in socket.raw:
                seen += 1
                assert json.loads(message)["notification"]["number"] == seen
        assert (socket.raw.close_code, socket.raw.close_reason) == (4408, "too_slow")
    assert 0 < seen < count
    monkeypatch.setattr(sockets, "PATIENCE", 10)
    async with world.socket(me, last=seen) as socket:
        assert await socket.numbers(count - seen) == list(range(seen + 1, count + 1))


async def test_who_hears_nothing_else_hears_a_heartbeat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)
    me = uuid4()
    await world.told(me, 3)
    async with world.socket(me, last=3) as socket:
        assert await socket.next() == {"type": "heartbeat", "number": 3}


async def test_what_is_read_in_one_tab_counts_in_the_others(world: World) -> None:
    me = uuid4()
    await world.told(me, 3)
    async with world.socket(me, last=3) as socket:
        await world.post("/notifications/read-all?up_to=2", me)
        assert await socket.next() == {"type": "unread", "unread": 1}


async def test_what_changed_in_this_process_is_told_here_without_asking_the_database_to_tell(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = uuid4()
    monkeypatch.setattr(world.live._crier, "tell", lambda _: None)
    async with world.socket(me) as socket:
        await world.told(me, 3)
        assert await socket.numbers(3) == [1, 2, 3]
        await world.post("/notifications/read-all?up_to=2", me)
        assert await socket.next() == {"type": "unread", "unread": 1}


async def test_what_is_read_while_news_come_counts_too(world: World) -> None:
    me = uuid4()
    async with world.socket(me) as socket:
        await world.told(me, 2)
        await world.pool.execute("update notification set read_at = now() where number = 1")
        [line] = world.live._lines[me]
        line.wake()
        frames = [await socket.next() for _ in range(3)]
    assert [frame["type"] for frame in frames if frame["type"] != "unread"] == ["notification"] * 2
    assert frames[2] == {"type": "unread", "unread": 1}


async def test_what_was_read_while_nobody_listened_is_told_afterwards(world: World) -> None:
    me = uuid4()
    await world.told(me, 3)
    async with world.socket(me, last=3) as socket:
        await world.pool.execute("update notification set read_at = now() where number = 1")  # and no word of it
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        await world.pool.execute(f"{ended} and datname = current_database() and usename = current_user")
        assert await socket.next() == {"type": "unread", "unread": 2}
