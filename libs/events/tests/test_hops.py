"""The hops of an event over real PostgreSQL and NATS: appended, published, heard, acted on."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
import structlog
from collector import Kept, kept
from feeding import CODEC, PERSON, client, connection, create, created, running
from part import copy
from test_consumer import Plant, heard, plant
from test_parking import Poison, redrive

from events.command import Change, Command, Context, new_command
from events.errors import VersionConflict
from events.hearing import Event
from events.ids import uuid7
from events.log import append_last
from events.postgres import Connection, open_pool
from events.tracing import Span, here, is_recorded
from events.work import Row, WorkTable
from local.fixtures import until

__all__ = ["plant"]

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = REQUEST[:-1] + "0"
LETTER = """
create table letter (like events.work including all, kind text, traceparent text);
grant select, insert, update on letter to events;
"""


@pytest.fixture
def recorder() -> Iterator[Kept]:
    with kept() as made:
        yield made


def asked(traceparent: str = REQUEST) -> Command:
    """A new to-do, as a request asks for it."""
    todo = uuid7()
    where = Context(time=create().context.time, correlation_id="test", actor="tester", traceparent=traceparent)
    return new_command(CODEC, where, Change(aggregate=todo, expected=0, subject=PERSON, events=[created(todo)]))


def one(spans: Sequence[Span]) -> Span:
    [only] = spans
    return only


async def test_an_events_traceparent_is_its_appends_and_stays_so_wherever_it_goes(plant: Plant, recorder: Kept) -> None:
    given: list[Event] = []

    async def keep(conn: Connection, events: Sequence[Event]) -> None:
        given.extend(events)
        await copy(conn, events)

    async with running(*plant.tasks, plant.consumer(keep).run):
        command = asked()
        await plant.log.append(command)
        again = await plant.log.append(command)
        await until(lambda: recorder.named("process TODOS"))
    assert again.position == 1, "the same command is appended once"
    appended, published, processed = (
        recorder.named("append TODOS")[0],
        one(recorder.named("publish TODOS")),
        one(recorder.named("process TODOS")),
    )
    assert (appended.kind, appended.within) == ("producer", REQUEST)
    assert (published.kind, published.within) == ("producer", appended.at)
    assert (processed.kind, processed.within) == ("consumer", appended.at)
    assert len({REQUEST, appended.at, published.at, processed.at}) == 4
    event = one(given)  # type: ignore[arg-type]
    assert (event.envelope.traceparent, event.traceparent) == (appended.at, processed.at)
    async with connection(plant.todos.admin_url) as conn:
        assert await conn.fetchval("select traceparent from events.log") == appended.at
    async with client(plant.server) as nc:
        message = await nc.jetstream(timeout=5).get_msg("TODOS", 1)
        assert message.headers["traceparent"] == appended.at
    assert processed.attributes == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "TODOS",
        "messaging.batch.message_count": 1,
        "messaging.message.id": str(command.id),
        "messaging.consumer.group.name": "activity",
        "cloudevents.event_type": "todos.TodoCreated.v1",
        "todo.feed.seq": 1,
    }


async def test_what_is_not_recorded_is_told_nowhere(plant: Plant, recorder: Kept) -> None:
    async with running(*plant.tasks, plant.consumer().run):
        await plant.log.append(asked(UNSAMPLED))
        await until(lambda: heard(plant.todos))
    assert recorder.spans == []


async def test_what_happened_long_ago_is_told_no_more_whoever_hears_it_now(plant: Plant, recorder: Kept) -> None:
    given: list[Event] = []

    async def keep(conn: Connection, events: Sequence[Event]) -> None:
        given.extend(events)
        await copy(conn, events)

    yesterday = asked()
    earlier = msgspec.structs.replace(yesterday.context, time=yesterday.context.time - timedelta(hours=25))
    async with running(*plant.tasks, plant.consumer(keep).run):
        await plant.log.append(msgspec.structs.replace(yesterday, context=earlier))
        await until(lambda: given)
    assert [span.name for span in recorder.spans] == ["append TODOS"]
    assert not is_recorded(given[0].traceparent), "what follows from it neither"


async def test_what_no_request_asked_for_begins_a_trace(plant: Plant, recorder: Kept) -> None:
    async with running(*plant.tasks):
        await plant.log.append(asked(""))
        await until(lambda: recorder.named("publish TODOS"))
    appended, published = recorder.spans
    assert (appended.within, published.within) == ("", appended.at)


async def test_a_refused_append_is_told_with_its_error(plant: Plant, recorder: Kept) -> None:
    async with running(*plant.tasks):
        command = asked()
        await plant.log.append(command)
        late = msgspec.structs.replace(asked(), events=(msgspec.structs.replace(command.events[0], id=uuid7()),))
        with pytest.raises(VersionConflict):
            await plant.log.append(late)
        await until(lambda: recorder.named("publish TODOS"))
    assert [span.error for span in recorder.named("append TODOS")] == ["", "VersionConflict"]
    assert one(recorder.named("publish TODOS")).within == recorder.named("append TODOS")[0].at


async def test_what_is_parked_is_told_with_the_reason_and_so_is_its_redrive(plant: Plant, recorder: Kept) -> None:
    poison = Poison(1)
    with structlog.testing.capture_logs() as lines:
        async with running(*plant.tasks, plant.consumer(poison).run):
            await plant.log.append(asked())
            await until(lambda: recorder.named("process TODOS"))
            poison.mend()
            await redrive(plant)
            await until(lambda: len(recorder.named("process TODOS")) == 2)
    parked, redriven = recorder.named("process TODOS")
    assert (parked.error, redriven.error) == ("undecodable", "")
    assert parked.within == redriven.within == recorder.named("append TODOS")[0].at
    assert [line["trace_id"] for line in lines if line["event"] == "an event is parked"] == [REQUEST[3:35]]


async def test_a_letter_is_worked_within_the_hop_that_wrote_it_and_what_it_says_within_that(
    plant: Plant, recorder: Kept
) -> None:
    said: list[Any] = []

    async def act(row: Row) -> None:
        said.append(structlog.contextvars.get_contextvars()["trace_id"])
        async with opened.acquire() as conn, conn.transaction():
            await table.settle(conn, row, "failed")
            await append_last(conn, "TODOS", asked(here()))

    async def nothing(_: Row) -> None:
        """Nobody is doubtful or late."""

    async with connection(plant.todos.owner_url) as owner:
        await owner.execute(LETTER)
    async with await open_pool(plant.todos.url, application="test") as opened:
        await opened.execute("insert into letter (id, kind, traceparent) values ($1, 'code', $2)", uuid7(), REQUEST)
        table = WorkTable("letter", opened)
        async with running(partial(table.run, act, judge=nothing, expire=nothing, workers=1)):
            await until(lambda: recorder.named("work letter"))
    appended, worked = recorder.spans
    assert (worked.within, worked.kind, worked.error) == (REQUEST, "consumer", "failed")
    assert worked.attributes == {
        "todo.work.table": "letter",
        "todo.work.kind": "code",
        "todo.work.attempt": 1,
        "todo.work.outcome": "failed",
    }
    assert (appended.name, appended.within) == ("append TODOS", worked.at)
    assert said == [REQUEST[3:35]]
