"""Ordered dead letters: what cannot be applied stops its own key, is kept, and is applied in order once it can be."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest
from feeding import CODEC, FEED, client, connection, create, running
from part import copy
from test_consumer import Plant, heard, plant, state_of

import events.parking
import events.redriver
from events import acts
from events.acts import By, Chosen
from events.catalog.todos import TodoCreated
from events.codec import Codec, Upcast
from events.consumer import Consumer
from events.eraser import erase_parked
from events.errors import BadAct, Undecodable
from events.hearing import Event, Hears
from events.ids import uuid7
from events.postgres import Connection, open_pool
from events.sql import load
from local.fixtures import until

__all__ = ["plant"]

ALL = Chosen()
BY = By("mina@ops", "the handler is mended")


class Poison:
    """A handler that copies what it hears, and cannot stand some numbers until it is mended."""

    def __init__(self, *numbers: int, error: type[Exception] = Undecodable) -> None:
        self.numbers = set(numbers)
        self.error = error
        self.tries: dict[int, int] = defaultdict(int)

    async def __call__(self, conn: Connection, events: Sequence[Event]) -> None:
        for event in events:
            if event.envelope.seq in self.numbers:
                self.tries[event.envelope.seq] += 1
                raise self.error("secret of the person")
        await copy(conn, events)

    def mend(self) -> None:
        self.numbers.clear()


async def say(plant: Plant, people: Sequence[UUID], rounds: int) -> None:
    """Each person's events in turn: number n is about person n - 1, modulo how many there are."""
    for _ in range(rounds):
        for person in people:
            await plant.log.append(create(person=person))


async def numbers(plant: Plant) -> list[int]:
    return [seq for seq, _ in await heard(plant.todos)]


async def rows(plant: Plant, chosen: Chosen = ALL) -> list[tuple[int, str]]:
    async with connection(plant.todos.url) as conn:
        return [(row["seq"], row["reason"]) for row in await acts.parked(conn, "activity", chosen)]


async def redrive(plant: Plant, chosen: Chosen = ALL, **limits: float) -> acts.Act:
    async with connection(plant.todos.url) as conn:
        return await acts.redrive(conn, "activity", chosen, BY, **limits)


async def at(plant: Plant, seq: int) -> None:
    """Wait until the checkpoint is there."""
    async with connection(plant.todos.url) as conn:
        await until(lambda: conn.fetchval("select seq = $1 from events.checkpoint", seq))


async def empty(plant: Plant, within: float = 10.0) -> None:
    """Wait until nothing is parked."""
    async with connection(plant.todos.url) as conn:
        await until(lambda: conn.fetchval("select not exists (select from events.parked)"), within=within)


PEOPLE = [uuid7() for _ in range(4)]


async def test_a_poison_event_stops_its_own_key_alone(plant: Plant) -> None:
    consumer = plant.consumer(Poison(2))
    async with running(*plant.tasks, consumer.run):
        await say(plant, PEOPLE, 3)
        await at(plant, 12)
        assert await numbers(plant) == [1, 3, 4, 5, 7, 8, 9, 11, 12]
        assert await rows(plant) == [(2, "undecodable"), (6, "behind"), (10, "behind")]
        assert state_of(consumer)[0] == "ok"


async def test_what_is_parked_is_kept_with_all_that_a_person_needs_to_mend_it(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer(Poison(1)).run):
        await plant.log.append(create(title="우유 사기", person=PEOPLE[0]))
        await at(plant, 1)
    async with connection(plant.todos.url) as conn:
        row = await acts.shown(conn, "activity", "TODOS", 1)
        [(event_id, data)] = await conn.fetch("select id, data from events.log")
    assert row is not None
    assert json.loads(row["data"]) == json.loads(data)
    assert json.loads(row["headers"])["ce-id"] == str(event_id)
    assert (row["key"], row["type"], row["attempts"]) == (PEOPLE[0], "todos.TodoCreated.v1", 1)
    assert "test_parking.py" in row["stack"]
    assert row["due_at"] is None


async def test_once_mended_a_key_is_applied_in_order_and_flows_again(plant: Plant) -> None:
    poison = Poison(2)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 3)
        await at(plant, 12)
        poison.mend()
        assert (await redrive(plant)).events == 1
        await empty(plant)
        await say(plant, PEOPLE, 1)
        await at(plant, 16)
    assert (await numbers(plant))[-7:] == [2, 6, 10, 13, 14, 15, 16]


class Made(msgspec.Struct, frozen=True):
    """What came after `TodoCreated`."""

    title: str
    urgent: bool


async def test_given_a_release_that_cannot_read_old_events_when_it_is_mended_by_an_upcast_then_a_redrive_heals_them(
    plant: Plant,
) -> None:
    said: list[msgspec.Struct | None] = []

    async def listen(conn: Connection, events: Sequence[Event]) -> None:
        said.extend(event.data for event in events)
        await copy(conn, events)

    broken = plant.consumer(listen, types=(Made,), codec=Codec({"todos.TodoCreated.v1": Made}))
    async with running(*plant.tasks, broken.run):
        await say(plant, PEOPLE[:2], 2)
        await at(plant, 4)
        assert await rows(plant) == [(1, "undecodable"), (2, "undecodable"), (3, "behind"), (4, "behind")]
    lift = Upcast(Made, lambda old: Made(title=old.title, urgent=old.priority == 1))
    codec = Codec({"todos.TodoCreated.v1": TodoCreated, "todos.TodoCreated.v2": Made}, {TodoCreated: lift})
    async with running(*plant.tasks, plant.consumer(listen, types=(Made,), codec=codec).run):
        await redrive(plant)
        await empty(plant)
        await say(plant, PEOPLE[:2], 1)
        await at(plant, 6)
    assert sorted(await numbers(plant)) == [1, 2, 3, 4, 5, 6]
    assert {type(each) for each in said} == {Made}


async def test_a_redrive_that_fails_leaves_its_key_as_it_was(plant: Plant) -> None:
    poison = Poison(2)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 2)
        await at(plant, 8)
        act = await redrive(plant)
        async with connection(plant.todos.url) as conn:
            await until(lambda: conn.fetchval("select failed = 1 from events.act where id = $1", act.id))
            row = await acts.shown(conn, "activity", "TODOS", 2)
    assert row is not None
    assert (row["attempts"], row["due_at"]) == (2, None)
    assert await rows(plant) == [(2, "undecodable"), (6, "behind")]


async def test_a_second_poison_event_of_a_key_holds_what_is_behind_it(plant: Plant) -> None:
    poison = Poison(2, 6)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 3)
        await at(plant, 12)
        poison.numbers.remove(2)
        act = await redrive(plant)
        async with connection(plant.todos.url) as conn:
            await until(
                lambda: conn.fetchval("select (applied, failed) = (1, 1) from events.act where id = $1", act.id)
            )
    assert await rows(plant) == [(6, "undecodable"), (10, "behind")]
    assert (await numbers(plant))[-1] == 2


async def test_one_key_one_feed_or_one_reason_is_redriven_and_the_rest_stays(plant: Plant) -> None:
    poison = Poison(1, 2, 3)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 2)
        await at(plant, 8)
        poison.mend()
        assert (await redrive(plant, Chosen(seq=5))).events == 0  # it waits behind 1
        assert (await redrive(plant, Chosen(reason="rejected"))).events == 0
        assert (await redrive(plant, Chosen(feed="AUTH"))).events == 0
        assert (await redrive(plant, Chosen(key=PEOPLE[1]))).events == 1
        await until(lambda: _has(plant, 6))
        assert [seq for seq, _ in await rows(plant)] == [1, 3, 5, 7]
        assert (await redrive(plant, Chosen(feed="TODOS", seq=3))).events == 1
        await until(lambda: _has(plant, 7))
    assert [seq for seq, _ in await rows(plant)] == [1, 5]
    assert (await numbers(plant))[-4:] == [2, 6, 3, 7]


async def _has(plant: Plant, seq: int) -> bool:
    return seq in await numbers(plant)


async def test_a_capped_redrive_ends_where_it_was_told_to_and_the_next_one_goes_on(plant: Plant) -> None:
    poison = Poison(1)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE[:1], 6)
        await at(plant, 6)
        poison.mend()
        act = await redrive(plant, events_max=2)
        async with connection(plant.todos.url) as conn:
            await until(lambda: conn.fetchval("select applied = 2 from events.act where id = $1", act.id))
            query = "select not exists (select from events.parked where due_at is not null)"
            await until(lambda: conn.fetchval(query))
        assert await rows(plant) == [(3, "next"), (4, "behind"), (5, "behind"), (6, "behind")]
        await redrive(plant)
        await empty(plant)
    assert await numbers(plant) == [1, 2, 3, 4, 5, 6]


async def test_a_redrive_keeps_to_the_pace_that_it_was_given(plant: Plant) -> None:
    poison = Poison(1)
    loop = asyncio.get_running_loop()
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE[:1], 5)
        await at(plant, 5)
        poison.mend()
        await redrive(plant, per_second=5)
        await until(lambda: _has(plant, 1))
        started = loop.time()
        await empty(plant)
    assert loop.time() - started >= 0.6  # four pauses of 0.2 s follow the first event


async def test_a_handler_that_fails_for_a_while_is_tried_again_without_anybody(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.parking, "backoff", lambda _: 0.1)
    poison = Poison(2, error=KeyError)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 2)
        await at(plant, 8)
        assert await numbers(plant) == [1, 3, 4, 5, 7, 8]
        await until(lambda: poison.tries[2] >= 4)
        poison.mend()
        await empty(plant)
    assert await numbers(plant) == [1, 3, 4, 5, 7, 8, 2, 6]


async def test_a_handler_that_goes_on_failing_waits_for_an_operator(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.parking, "backoff", lambda _: 0.01)
    consumer = plant.consumer(Poison(2, error=KeyError))
    async with running(*plant.tasks, consumer.run):
        await say(plant, PEOPLE, 2)
        async with connection(plant.todos.url) as conn:
            query = "select attempts = 5 and due_at is null from events.parked where seq = 2"
            await until(lambda: conn.fetchval(query))
            row = await acts.shown(conn, "activity", "TODOS", 2)
        parked = consumer.checks()[-1]
        await until(lambda: "wait for an operator: 1" in parked().detail)
        assert parked().state == "ok"
    assert row is not None
    assert (row["reason"], row["detail"]) == ("failed", "KeyError")  # never what it says: that quotes the person


async def test_what_the_database_rejects_is_parked_and_names_the_rule(plant: Plant) -> None:
    async with connection(plant.todos.owner_url) as conn:
        await conn.execute("alter table heard add constraint not_three check (seq <> 3)")
        async with running(*plant.tasks, plant.consumer().run):
            await say(plant, PEOPLE, 2)
            await at(plant, 8)
            assert await rows(plant) == [(3, "rejected"), (7, "behind")]
            row = await acts.shown(conn, "activity", "TODOS", 3)
            assert row is not None
            assert row["detail"] == "CheckViolationError: not_three"
            await conn.execute("alter table heard drop constraint not_three")
            await redrive(plant, Chosen(reason="rejected"))
            await empty(plant)
    assert await numbers(plant) == [1, 2, 4, 5, 6, 8, 3, 7]


async def test_what_is_never_held_passes_by_what_is_parked(plant: Plant) -> None:
    line = Hears(FEED, Poison(1), never_held=(TodoCreated,))
    consumer = Consumer("activity", [line], plant.dial, plant.ear, CODEC)
    async with running(*plant.tasks, consumer.run):
        await say(plant, PEOPLE[:1], 2)
        await at(plant, 2)
    assert await numbers(plant) == [2]
    assert await rows(plant) == [(1, "undecodable")]


async def test_types_that_the_handler_did_not_ask_for_wait_behind_nothing(plant: Plant) -> None:
    line = Hears(FEED, Poison(1), (TodoCreated,))
    consumer = Consumer("activity", [line], plant.dial, plant.ear, CODEC)
    async with running(*plant.tasks):
        async with running(consumer.run):
            await plant.log.append(create(events=3))
            await at(plant, 3)
        await plant.log.append(create(events=3))
        async with running(consumer.run):  # now one that is asked for comes with those that are not
            await at(plant, 6)
    assert await rows(plant) == [(1, "undecodable"), (4, "behind")]


async def test_a_key_is_not_emptied_while_something_is_queued_up_behind_it(plant: Plant) -> None:
    """Else that would wait behind nothing, for ever."""
    poison, entered, gate = Poison(1), asyncio.Event(), asyncio.Event()

    async def slow(conn: Connection, heard: Sequence[Event]) -> None:
        await poison(conn, heard)
        if heard[-1].envelope.seq == 3:
            entered.set()
            await gate.wait()

    async with running(*plant.tasks), connection(plant.todos.admin_url) as conn:
        async with running(plant.consumer(slow).run):
            await say(plant, PEOPLE[:1], 1)
            await at(plant, 1)
        poison.mend()
        await say(plant, PEOPLE[:2], 1)
        async with running(plant.consumer(slow).run):
            await entered.wait()  # 2 is parked behind 1, which is not committed
            await redrive(plant)
            await until(lambda: conn.fetchval("select exists (select from pg_locks where not granted)"))
            gate.set()
            await empty(plant)
    assert await numbers(plant) == [3, 1, 2]


async def test_a_message_that_is_no_event_is_not_from_the_relay_and_stops_its_consumer(plant: Plant) -> None:
    """Passed over, the true event of that number would never be heard, once the stream is made anew."""
    consumer = plant.consumer()
    async with running(*plant.tasks, consumer.run), client(plant.server) as nc:
        await say(plant, PEOPLE[:1], 1)
        await at(plant, 1)
        await nc.jetstream().publish("ev.todos.1.TodoToggled", b"{}", headers={"ce-id": "x"})
        await until(lambda: state_of(consumer)[0] == "failed")
        assert "message 2 of stream TODOS is no event" in state_of(consumer)[1]
        assert await rows(plant) == []
        await at(plant, 1)


async def test_of_the_erased_nothing_is_parked_but_the_number(plant: Plant) -> None:
    async with connection(plant.todos.url) as conn:
        await conn.execute("select events.forget($1, $2)", PEOPLE[1], uuid7())
        async with running(*plant.tasks, plant.consumer(Poison(2, 3)).run):
            await say(plant, PEOPLE, 1)
            await at(plant, 4)
        assert await rows(plant) == [(3, "undecodable")]
        assert [tuple(row) for row in await conn.fetch(GIVEN_UP)] == [(2, PEOPLE[1], None)]


async def test_whoever_is_erased_waits_behind_nothing_and_leaves_only_numbers(plant: Plant) -> None:
    """What comes for the erased goes to the handler, which knows what may be kept of it."""
    async with connection(plant.todos.url) as conn, await open_pool(plant.todos.url, application="test") as pool:
        async with running(*plant.tasks, plant.consumer(Poison(2)).run):
            await say(plant, PEOPLE, 2)
            await at(plant, 8)
            await conn.execute("select events.forget($1, $2)", PEOPLE[1], uuid7())
            await say(plant, PEOPLE, 1)
            await at(plant, 12)
        assert await numbers(plant) == [1, 3, 4, 5, 7, 8, 9, 10, 11, 12]
        assert [await erase_parked(pool, PEOPLE[1], 1) for _ in range(3)] == [1, 1, 0]
        assert [tuple(row) for row in await conn.fetch(GIVEN_UP)] == [(2, PEOPLE[1], None), (6, PEOPLE[1], None)]
    assert await rows(plant) == []


GIVEN_UP = "select seq, key, act from events.discarded order by seq"


async def test_what_a_feed_forgets_by_age_is_not_kept_parked(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OTP event holds a code and an address, sealed; its log is trimmed, and nobody erases challenges."""
    monkeypatch.setattr(events.redriver, "MEASURE", 0.1)
    feed = msgspec.structs.replace(FEED, trimmed=True, max_age=1.0)
    consumer = Consumer("activity", [Hears(feed, Poison(1))], plant.dial, plant.ear, CODEC)
    async with running(*plant.tasks, consumer.run), connection(plant.todos.url) as conn:
        await say(plant, PEOPLE[:1], 2)
        await at(plant, 2)
        assert [seq for seq, _ in await rows(plant)] == [1, 2]
        await empty(plant)
        assert [row["seq"] for row in await conn.fetch(GIVEN_UP)] == [1, 2]


async def test_what_meets_a_not_now_lets_others_go_first(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.redriver, "EVERY", 0.05)
    poison = Poison(1, 2)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 1)
        await at(plant, 4)
        poison.numbers, poison.error = {1}, ConnectionError
        await redrive(plant, Chosen(key=PEOPLE[0]))
        await until(lambda: poison.tries[1] >= 2)
        await redrive(plant, Chosen(key=PEOPLE[1]))
        await until(lambda: _has(plant, 2))
        async with connection(plant.todos.url) as conn:
            row = await acts.shown(conn, "activity", "TODOS", 1)
        assert row is not None
        assert (row["attempts"], row["reason"]) == (1, "undecodable")  # a "not now" is no attempt
        assert row["due_at"] is not None


async def test_a_slow_redrive_holds_up_nothing_else(plant: Plant) -> None:
    poison = Poison(1, 2, 3)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 2)
        await at(plant, 8)
        poison.mend()
        await redrive(plant, Chosen(key=PEOPLE[0]), per_second=0.01)
        await until(lambda: _has(plant, 1))
        await redrive(plant, Chosen(key=PEOPLE[1]))
        await until(lambda: _has(plant, 6))
        assert [seq for seq, _ in await rows(plant)] == [3, 5, 7]


async def test_a_cap_leaves_what_is_tried_by_itself_alone(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.parking, "backoff", lambda _: 60.0)
    poison = Poison(1, 2, error=KeyError)
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 1)
        await at(plant, 4)
        poison.mend()
        await redrive(plant, events_max=1)
        await empty(plant)  # the second one is due by itself again, not stuck
    assert sorted(await numbers(plant)) == [1, 2, 3, 4]


async def test_hearing_again_what_is_parked_parks_it_once(plant: Plant) -> None:
    async with running(*plant.tasks):
        async with running(plant.consumer(Poison(2)).run):
            await say(plant, PEOPLE, 2)
            await at(plant, 8)
        async with connection(plant.todos.admin_url) as conn:
            await conn.execute("truncate heard; delete from events.checkpoint")
        async with running(plant.consumer(Poison(2)).run):
            await at(plant, 8)
    assert await numbers(plant) == [1, 3, 4, 5, 7, 8]
    assert await rows(plant) == [(2, "undecodable"), (6, "behind")]


async def test_an_answer_that_comes_late_undoes_no_newer_act(plant: Plant) -> None:
    """An old attempt's failure is written after an operator acted, or after another instance tried it."""
    async with running(*plant.tasks, plant.consumer(Poison(1)).run):
        await say(plant, PEOPLE[:1], 1)
        await at(plant, 1)
    act = await redrive(plant)
    async with connection(plant.todos.url) as conn:
        late = ("activity", "TODOS", 1, "failed", "KeyError", "", 2, None, None)
        await conn.execute(load("events").redrive_failed, *late)
        row = await acts.shown(conn, "activity", "TODOS", 1)
        [told] = await acts.acts(conn)
    assert row is not None
    assert (row["attempts"], row["due_at"] is not None) == (1, True)
    assert (told["id"], told["failed"], told["under_way"]) == (act.id, 0, 1)


async def test_what_is_given_up_is_noted_and_what_waited_behind_it_goes_on(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer(Poison(2)).run):
        await say(plant, PEOPLE, 3)
        await at(plant, 12)
        async with connection(plant.todos.url) as conn:
            act = await acts.discard(
                conn, "activity", Chosen(feed="TODOS", seq=2), By("mina@ops", "sent twice by hand")
            )
            await empty(plant)
            [noted] = await conn.fetch("select * from events.discarded")
            [told] = await acts.acts(conn)
    assert act.events == 1
    assert (noted["seq"], noted["key"], noted["act"]) == (2, PEOPLE[1], act.id)
    assert (told["who"], told["why"], told["discarded"], told["applied"]) == ("mina@ops", "sent twice by hand", 1, 2)
    assert (await numbers(plant))[-2:] == [6, 10]


async def test_an_act_says_who_and_why(plant: Plant) -> None:
    async with connection(plant.todos.url) as conn:
        for by in (By("", "why"), By("who", " "), By("who", "x" * 1001), By("a\0", "why")):
            with pytest.raises(BadAct):
                await acts.redrive(conn, "activity", Chosen(), by)
            with pytest.raises(BadAct):
                await acts.discard(conn, "activity", Chosen(), by)
        for limits in ({"events_max": 0}, {"per_second": 0.0}, {"per_second": float("nan")}, {"per_second": 1e9}):
            with pytest.raises(BadAct):
                await acts.redrive(conn, "activity", Chosen(), BY, **limits)
        assert await acts.acts(conn) == []


async def test_what_an_act_would_do_is_counted_before_it_is_done(plant: Plant) -> None:
    async with running(*plant.tasks, plant.consumer(Poison(2, 3)).run):
        await say(plant, PEOPLE, 3)
        await at(plant, 12)
    async with connection(plant.todos.url) as conn:
        [row] = await acts.count(conn, "activity", Chosen())
        assert await acts.count(conn, "activity", Chosen(seq=6)) == []
    assert (row["feed"], row["reason"], row["events"], row["behind"]) == ("TODOS", "undecodable", 2, 4)


async def test_what_comes_while_its_key_is_redriven_keeps_its_place(plant: Plant) -> None:
    poison = Poison(*range(1, 9))
    async with running(*plant.tasks, plant.consumer(poison).run):
        await say(plant, PEOPLE, 25)
        await at(plant, 100)
        poison.mend()
        await redrive(plant)
        await say(plant, PEOPLE, 50)
        await at(plant, 300)
        await empty(plant)
    got = await numbers(plant)
    assert sorted(got) == list(range(1, 301))
    for nr in range(4):
        assert [seq for seq in got if (seq - 1) % 4 == nr] == list(range(nr + 1, 301, 4))


async def test_ten_thousand_events_with_five_poison_ones_end_as_if_none_had_failed(plant: Plant, full: bool) -> None:
    """95 people see no delay; 5 wait in order; after one redrive all is as in a run that never failed."""
    people, count = [uuid7() for _ in range(100)], 10_000 if full else 1_000
    took: dict[str, float] = {}
    poison = Poison(*(count // 2 + nr for nr in range(5)))
    loop = asyncio.get_running_loop()
    async with running(*plant.tasks):
        for begin in range(0, count, 500):
            said = (plant.log.append(create(person=people[nr % 100])) for nr in range(begin, min(begin + 500, count)))
            await asyncio.gather(*said)
        async with connection(plant.todos.admin_url) as conn:
            held = {row["key"] for row in await conn.fetch(SUBJECTS, sorted(poison.numbers))}
            for name, handler in (("none fails", Poison()), ("five fail", poison)):
                await conn.execute("truncate heard; delete from events.checkpoint")
                started = loop.time()
                async with running(plant.consumer(handler).run):
                    await until(lambda: conn.fetchval("select seq = $1 from events.checkpoint", count), within=60)
                    took[name] = loop.time() - started
                    if handler is poison:
                        assert len(held) == 5
                        assert await conn.fetch(MISSING) == await conn.fetch(OF_THE_HELD, list(held), count // 2)
                        poison.mend()
                        assert (await redrive(plant)).events == 5
                        await empty(plant, within=60)
                assert await conn.fetch(PER_PERSON) == await conn.fetch(AS_SAID)
    print({name: f"{seconds:.2f} s" for name, seconds in took.items()})


SUBJECTS = "select subject as key from events.log where seq = any ($1)"
MISSING = "select seq from events.log l where not exists (select from heard h where h.seq = l.seq) order by seq"
OF_THE_HELD = "select seq from events.log where subject = any ($1) and seq >= $2 order by seq"
PER_PERSON = "select l.subject, h.seq from heard h join events.log l using (seq) order by l.subject, h.nr"
AS_SAID = "select subject, seq from events.log order by subject, seq"


async def test_a_message_published_as_another_number_stops_its_consumer(plant: Plant) -> None:
    consumer = plant.consumer()
    async with running(plant.ear.run, consumer.run), client(plant.server) as nc:
        headers = {
            "ce-id": str(uuid7()), "ce-type": "todos.TodoToggled.v1", "ce-source": "/todos",
            "ce-subject": str(PEOPLE[0]), "ce-time": "2026-01-01T00:00:00Z", "ce-seq": "7",
            "ce-aggregate": str(PEOPLE[0]), "ce-version": "1",
        }  # fmt: skip
        await nc.jetstream().publish("ev.todos.1.TodoToggled", b"{}", headers=headers)
        await until(lambda: state_of(consumer)[0] == "failed")
        assert "message 1 of stream TODOS says that it is 7" in state_of(consumer)[1]
