"""What activity makes of what it hears, over real PostgreSQL and NATS."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID, uuid4

import asyncpg
import msgspec
import nats as nats_client
import pytest
from nats.js import JetStreamContext

from activity.consumers import hears
from activity.recount import look_through
from activity.reports import Reports
from activity.tables import erase_archive, erase_entries, erase_known_todos
from events import streams
from events.broker import Broker
from events.catalog.activity import ReportReady
from events.catalog.auth import OtpRequested, UserErased, UserRegistered, UserSignedIn
from events.catalog.feeds import FEEDS, HEARS
from events.catalog.todos import TodoCreated, TodoEdited, TodoPurged, TodoToggled
from events.catalog.types import TYPES
from events.clock import system_clock
from events.codec import Codec
from events.consumer import Consumer
from events.envelope import Envelope, subject_of, to_headers
from events.eraser import Eraser
from events.ids import uuid7
from events.postgres import dialer
from events.relay import Relay
from local.fixtures import Database, DatabaseFactory, until
from local.nats import Nats

CODEC = Codec(TYPES)
HAPPENED = datetime(2026, 11, 23, 9, tzinfo=UTC)
NEXT_MONDAY = datetime(2026, 11, 30, 0, tzinfo=UTC)  # nine o'clock in Seoul


class World:
    """The streams, and activity's database."""

    def __init__(self, js: JetStreamContext, nats: Nats, database: Database, pool: asyncpg.Pool) -> None:
        self.js = js
        self.nats = nats
        self.database = database
        self.pool = pool

    async def say(self, feed: str, *events: msgspec.Struct, subject: UUID) -> None:
        for data in events:
            await self.say_raw(feed, CODEC.name_of(data), CODEC.encode(data).encode(), subject)

    async def say_raw(self, feed: str, name: str, raw: bytes, subject: UUID) -> None:
        seq = (await self.js.stream_info(feed)).state.last_seq + 1
        envelope = Envelope(
            id=uuid7(),
            type=name,
            source=f"/{FEEDS[feed].service}",
            subject=subject,
            time=HAPPENED,
            seq=seq,
            aggregate=uuid4(),
            version=1,
            correlation_id="r-1",
            causation_id="r-1",
            actor=str(subject),
        )
        assert (await self.js.publish(subject_of(envelope), raw, headers=to_headers(envelope))).seq == seq

    @asynccontextmanager
    async def activity(self) -> AsyncIterator[Consumer]:
        dial, broker = dialer(self.database.url, application="activity"), Broker(self.nats.url("activity"), name="a")
        consumer = Consumer("activity", hears(system_clock, lambda: None, lambda: None), dial, broker, CODEC)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(broker.run()), group.create_task(consumer.run())]
            yield consumer
            for task in tasks:
                task.cancel()

    @asynccontextmanager
    async def reports(self) -> AsyncIterator[Reports]:
        """Who closes periods, on the Monday after."""
        broker = Broker(self.nats.url("activity"), name="reports")
        connecting = asyncio.create_task(broker.run())
        yield Reports(self.pool, broker, lambda: NEXT_MONDAY, heard_as="activity", on_appended=lambda: None)
        connecting.cancel()

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[None]:
        """Publishes what activity says."""
        dial, broker = dialer(self.database.url, application="relay"), Broker(self.nats.url("activity"), name="relay")
        relay = Relay(FEEDS["ACTIVITY"], dial, broker)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(broker.run()), group.create_task(relay.run())]
            yield
            for task in tasks:
                task.cancel()

    async def last(self, feed: str, seq: int) -> bool:
        return (await self.js.stream_info(feed)).state.last_seq == seq

    async def registered(self) -> UUID:
        """Somebody whom activity knows."""
        person = uuid4()
        told = UserRegistered(user_id=person, sealed_contact="s", locale=None, timezone=None)
        before = await self.pool.fetchval("select count(*) from archive")
        await self.say("AUTH", told, subject=person)
        async with self.activity():
            await self.archived(before + 1)
        return person

    async def archived(self, count: int) -> Sequence[asyncpg.Record]:
        async def enough() -> Sequence[asyncpg.Record]:
            rows = await self.pool.fetch("select * from archive order by number")
            return rows if len(rows) >= count else []

        return await until(enough)

    async def entries(self, user_id: UUID) -> list[str]:
        rows = await self.pool.fetch("select action from entry where user_id = $1 order by at, id", user_id)
        return [row["action"] for row in rows]


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats) -> AsyncIterator[World]:
    admin = await nats_client.connect(nats.url())
    js = admin.jetstream(timeout=2)
    for feed in HEARS["activity"]:
        await streams.apply(js, FEEDS[feed])
    own = database("activity")
    async with asyncpg.create_pool(own.url, min_size=0) as pool:
        yield World(js, nats, own, pool)
    await admin.close()


def new_todo(title: str = "우유 사기") -> TodoCreated:
    return TodoCreated(
        todo_id=uuid4(),
        title=title,
        description=None,
        priority=3,
        completed=False,
        due_at=None,
        remind_minutes_before=None,
    )


async def test_every_event_is_archived_under_a_gapless_number_whatever_its_feed(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", *(new_todo(str(n)) for n in range(700)), subject=me)
    await world.say("AUTH", UserSignedIn(user_id=me, session_id=uuid4()), subject=me)
    async with world.activity():
        rows = await world.archived(701)
    assert [row["number"] for row in rows] == list(range(1, 702))
    assert [row["seq"] for row in rows if row["feed"] == "TODOS"] == list(range(1, 701))
    assert {row["time"] for row in rows} == {HAPPENED}
    assert all(row["heard_at"] > HAPPENED for row in rows)
    assert len(await world.entries(me)) == 701


async def test_a_consumer_that_was_set_back_keeps_nothing_twice_and_adds_what_it_lacks(world: World) -> None:
    me, todo = uuid4(), new_todo()
    toggled = TodoToggled(todo_id=todo.todo_id, title="우유 사기", priority=3, completed=True)
    await world.say("TODOS", todo, toggled, TodoPurged(todo_id=todo.todo_id), subject=me)
    async with world.activity():
        before = await world.archived(3)
        entries = await world.pool.fetch("select * from entry order by seq")
    async with asyncpg.create_pool(world.database.admin_url, min_size=0) as admin:
        await admin.execute("delete from archive where seq = 2")
        await admin.execute("delete from entry where seq = 2")
        await admin.execute("update events.checkpoint set seq = 0, event_id = null")
    async with world.activity():
        after = await world.archived(3)
    assert sorted([(row["feed"], row["seq"], row["data"]) for row in after]) == [
        (row["feed"], row["seq"], row["data"]) for row in before
    ]
    assert [(row["number"], row["seq"]) for row in after] == [(1, 1), (3, 3), (4, 2)]
    assert [row["id"] for row in await world.pool.fetch("select * from entry order by seq")] == [
        row["id"] for row in entries
    ]
    assert await world.pool.fetchval("select count(*) from events.parked") == 0


async def test_an_edited_to_do_is_told_of_whole_though_its_event_says_only_what_changed(world: World) -> None:
    me, todo = uuid4(), new_todo("a")
    await world.say("TODOS", todo, TodoEdited(todo_id=todo.todo_id, priority=1), subject=me)
    async with world.activity():
        await world.archived(2)
        await world.say(
            "TODOS", TodoEdited(todo_id=todo.todo_id, title="b"), TodoPurged(todo_id=todo.todo_id), subject=me
        )
        await world.archived(4)
    rows = await world.pool.fetch("select details::text from entry where user_id = $1 order by seq", me)
    told = [msgspec.json.decode(row["details"]) for row in rows]
    assert [(details["title"], details["priority"], details["completed"]) for details in told] == [
        ("a", 3, False),
        ("a", 1, False),
        ("b", 1, False),
        ("b", 1, False),
    ]
    assert await world.pool.fetchval("select count(*) from known_todo") == 0


async def test_a_type_that_nobody_here_knows_is_archived_too(world: World) -> None:
    await world.say_raw("TODOS", "todos.TodoPainted.v1", b'{"colour":"red"}', uuid4())
    async with world.activity():
        [row] = await world.archived(1)
    assert (row["type"], row["data"]) == ("todos.TodoPainted.v1", '{"colour":"red"}')


async def test_the_archive_never_holds_a_sealed_code(world: World) -> None:
    asked = OtpRequested(challenge_id=uuid4(), sealed="k1.secret", locale="ko", expires_at=HAPPENED)
    await world.say("OTP", asked, subject=asked.challenge_id)
    async with world.activity():
        [row] = await world.archived(1)
    assert msgspec.json.decode(row["data"]) == {
        "challenge_id": str(asked.challenge_id),
        "locale": "ko",
        "expires_at": "2026-11-23T09:00:00Z",
    }


async def test_another_start_goes_on_where_the_last_one_ended(world: World) -> None:
    me = uuid4()
    for count in (1, 2):
        await world.say("TODOS", new_todo(), subject=me)
        async with world.activity():
            await world.archived(count)
    assert await world.entries(me) == ["todo_created", "todo_created"]


async def test_a_known_event_that_does_not_decode_is_parked_and_the_rest_is_archived(world: World) -> None:
    await world.say("TODOS", new_todo(), subject=uuid4())
    await world.say_raw("TODOS", "todos.TodoToggled.v1", b'{"completed":1}', uuid4())
    await world.say("TODOS", new_todo(), subject=uuid4())
    async with world.activity():
        rows = await world.archived(2)
    assert [(row["feed"], row["seq"]) for row in rows] == [("TODOS", 1), ("TODOS", 3)]
    [parked] = await world.pool.fetch("select feed, seq, reason, detail from events.parked")
    assert tuple(parked)[:3] == ("TODOS", 2, "undecodable")
    [todos, _] = await look_through(world.pool, "activity")
    assert (todos.about, todos.wrong) == ("archive of TODOS: 1 to 3, 1 parked or given up", "")
    assert "todos.TodoToggled.v1 does not decode" in parked["detail"]


async def test_a_report_waits_until_everything_that_was_published_by_then_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage activity's own tables lack the end of the week until they have caught up."""
    monkeypatch.setattr("activity.reports.SETTLES", 0)
    me = await world.registered()
    await world.say("TODOS", new_todo(), new_todo(), subject=me)
    async with world.reports() as reports:
        closing = asyncio.create_task(reports.close_due())
        await asyncio.wait([closing], timeout=0.3)
        assert not closing.done()
        async with world.activity():
            await closing
    [said] = await world.pool.fetch("select * from events.log")
    assert (said["subject"], said["actor"], said["time"]) == (me, "clock", NEXT_MONDAY)
    assert msgspec.json.decode(said["data"], type=ReportReady).figures.created == 2


async def test_a_report_waits_until_others_can_have_published_what_an_outage_held_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.reports.SETTLES", 1.5)
    me = await world.registered()
    async with world.activity(), world.reports() as reports:
        closing = asyncio.create_task(reports.close_due())
        await asyncio.wait([closing], timeout=0.3)
        await world.say("TODOS", new_todo(), subject=me)
        await closing
    [said] = await world.pool.fetch("select * from events.log")
    assert msgspec.json.decode(said["data"], type=ReportReady).figures.created == 1


async def test_a_batch_of_reports_that_outlasts_a_time_limit_is_tried_again_smaller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SETTLES", 0), ("EVERY", 0.01)):
        monkeypatch.setattr(f"activity.reports.{name}", value)
    tried = []

    async def close(_now: datetime, limit: int) -> int:
        tried.append(limit)
        if limit > 50:
            raise TimeoutError
        return limit if len(tried) < 5 else 0

    await world.registered()
    async with world.reports() as reports:
        monkeypatch.setattr(reports, "close", close)
        closing = asyncio.create_task(reports.run())
        await until(lambda: len(tried) >= 5)
        closing.cancel()
    assert tried[:5] == [200, 100, 50, 100, 50]


async def test_the_runtime_role_can_only_add_to_the_archive(world: World) -> None:
    for statement in ("delete from archive", "update archive set actor = ''", "delete from entry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.pool.execute(statement)


async def test_what_activity_says_is_archived_like_everything_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report is heard again by who said it: archived under a number, proved, redacted; no entry, no other report."""
    monkeypatch.setattr("activity.reports.SETTLES", 0)
    me = await world.registered()
    await world.say("TODOS", new_todo(), subject=me)
    async with world.activity(), world.relay(), world.reports() as reports:
        await world.archived(2)
        before = await world.entries(me)
        await reports.close_due()
        *_, said = await world.archived(3)
        await reports.close_due()
        await world.say("TODOS", new_todo(), subject=uuid4())
        assert [row["feed"] for row in await world.archived(4)] == ["AUTH", "TODOS", "ACTIVITY", "TODOS"]
        [told] = await world.pool.fetch("select id, seq, type, data::text from events.log")
        names = ("event_id", "seq", "type", "data")
        assert {name: said[name] for name in names} == dict(zip(names, told.values(), strict=True))
        assert await world.entries(me) == before == ["user_registered", "todo_created"]
        assert ("archive of ACTIVITY: 1 to 1", "") in await findings(world)
        await world.say("AUTH", UserErased(user_id=me), subject=me)
        await world.archived(5)
        await erased(world, me)
        row = (await world.archived(5))[2]
    assert (row["type"], row["data"], row["sha256"]) == ("core.Erased.v1", "{}", sha256(said["data"].encode()).digest())
    assert not any(wrong for _, wrong in await findings(world))


async def test_a_report_that_was_erased_before_it_was_heard_is_no_gap_and_another_is(world: World) -> None:
    people = [await world.registered() for _ in range(3)]
    for person in people:
        await world.say("TODOS", new_todo(), subject=person)
    async with world.activity():
        await world.archived(6)
    async with world.relay(), world.reports() as reports:
        await reports.close(NEXT_MONDAY, 10)
        await until(lambda: world.last("ACTIVITY", 3))
    await world.pool.execute("select events.forget(subject, gen_random_uuid()) from events.log where seq = 2")
    eraser = Eraser(world.pool, Broker(world.nats.url("activity"), name="e"), [FEEDS["ACTIVITY"]], [erase_archive])
    await eraser.erase_rows()
    await eraser.delete_messages(world.js, fresh=True)
    async with world.activity():
        seqs = [row["seq"] for row in await world.archived(8) if row["feed"] == "ACTIVITY"]
    assert seqs == [1, 3]
    assert [wrong for _, wrong in await findings(world)] == [""] * 4
    owner = await asyncpg.connect(world.database.owner_url)
    await owner.execute("delete from archive where feed = 'ACTIVITY' and seq = 3")
    await owner.close()
    assert ("archive of ACTIVITY: 1 to 1", "1 rows, 1 numbers, heard up to 3") in await findings(world)


async def findings(world: World) -> list[tuple[str, str]]:
    return [(each.about, each.wrong) for each in await look_through(world.pool, "activity")]


async def erased(world: World, person: UUID) -> None:
    """Run the eraser until nothing is left of a person."""
    broker = Broker(world.nats.url("activity"), name="e")
    eraser = Eraser(world.pool, broker, [], [erase_entries, erase_known_todos, erase_archive])
    await eraser.erase_rows()
    done = "select erased_at is not null from events.erasure where subject = $1"
    assert await world.pool.fetchval(done, person)


async def test_of_an_erased_person_the_archive_keeps_numbers_envelopes_and_hashes(world: World) -> None:
    me, other = uuid4(), uuid4()
    await world.say("TODOS", new_todo("비밀"), subject=me)
    await world.say("TODOS", new_todo(), subject=other)
    async with world.activity():
        before = {row["seq"]: row for row in await world.archived(2)}
        await world.say("AUTH", UserErased(user_id=me), subject=me)
        await world.archived(3)
    await erased(world, me)
    assert (await world.entries(me), await world.entries(other)) == ([], ["todo_created"])
    assert [row["user_id"] for row in await world.pool.fetch("select user_id from known_todo")] == [other]
    mine, others, said = await world.archived(3)
    assert (mine["type"], mine["data"]) == ("core.Erased.v1", "{}")
    assert mine["sha256"] == sha256(before[1]["data"].encode()).digest()
    kept = set(mine.keys()) - {"type", "data", "sha256", "typed_sha256"}
    assert {name: mine[name] for name in kept} == {name: before[1][name] for name in kept}
    assert others == before[2]
    assert said["type"] == "auth.UserErased.v1"


async def test_what_other_feeds_say_of_an_erased_person_later_leaves_only_its_number(world: World) -> None:
    me = uuid4()
    await world.say("AUTH", UserErased(user_id=me), subject=me)
    late = new_todo("비밀")
    async with world.activity():
        await world.archived(1)
        await world.say("TODOS", late, subject=me)
        _, row = await world.archived(2)
    assert (row["number"], row["seq"], row["type"], row["data"]) == (2, 1, "core.Erased.v1", "{}")
    assert row["sha256"] == sha256(CODEC.encode(late).encode()).digest()
    assert await world.entries(me) == []


async def test_the_runtime_role_erases_nobody_who_is_not_to_be_erased(world: World) -> None:
    me = uuid4()
    await world.say("TODOS", new_todo(), subject=me)
    async with world.activity():
        await world.archived(1)
    assert (await erase_archive(world.pool, me, 10), await erase_entries(world.pool, me, 10)) == (0, 0)
