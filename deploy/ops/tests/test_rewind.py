"""`todo-ops consumer rewind`: told first, done when it is said, kept, and noticed by the consumer that is at work."""

import asyncio
import json
from uuid import uuid4

import pytest
from desk import Desk
from feeding import CODEC, running

from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.consumer import Consumer
from events.hearing import Event, Hears
from events.postgres import Connection, dialer
from local.fixtures import DatabaseFactory, until

HEARD = "insert into events.checkpoint (consumer, feed, seq) values ($1, 'AUTH', $2)"
AT = "select seq, event_id from events.checkpoint where consumer = 'mailer' and feed = 'AUTH'"
PARKED = """
insert into events.parked (consumer, feed, seq, key, type, headers, data, reason, detail, stack, attempts)
values ('mailer', 'AUTH', $1, gen_random_uuid(), 't', '{}', '', 'rejected', '', '', 1)
"""
GIVEN_UP = """
with act as (
    insert into events.act (who, why, consumer, what, chosen) values ('w', 'w', 'mailer', 'discard', '') returning id
)
insert into events.discarded (consumer, feed, seq, key, type, act)
select 'mailer', 'AUTH', $1, gen_random_uuid(), 't', id from act
"""
ERASED = "insert into events.discarded (consumer, feed, seq, key, type) values ('mailer', 'AUTH', $1, $2, 't')"
ASIDE = "select seq from events.parked union all select seq + 100 from events.discarded order by 1"
REWIND = ("consumer", "rewind", "mailer", "AUTH", "--to", "2", "--why", "a mended handler", "--who", "mina")


def stood(desk: Desk) -> None:
    """mailer heard five events of AUTH; of these some are parked, given up, gone with their person."""
    desk.say(5)
    aside = [(PARKED, 2), (PARKED, 4), (GIVEN_UP, 1), (GIVEN_UP, 3), (ERASED, 5, uuid4())]
    desk.run("mailer", (HEARD, "mailer", 5), *aside)


def test_what_it_does_and_does_not_is_told_first_and_nothing_is_done(desk: Desk) -> None:
    stood(desk)
    plan = desk.told(*REWIND)
    assert (plan["at"], plan["to"], plan["repeats"], plan["parked"], plan["given_up"]) == (5, 2, 3, 1, 1)
    shown = desk.ask(*REWIND).stdout
    assert "mailer hears AUTH again from 3 to 5" in shown
    assert "sends nothing again" in shown
    assert "--yes does it" in shown
    [[at], rows] = desk.run("mailer", (AT,), (ASIDE,))
    assert (at["seq"], [row["seq"] for row in rows]) == (5, [2, 4, 101, 103, 105])
    assert desk.told("acts", "mailer")[0]["what"] == "discard"


def test_the_checkpoint_names_the_logs_event_and_what_is_heard_again_is_no_longer_aside(desk: Desk) -> None:
    stood(desk)
    assert desk.told(*REWIND, "--yes") == {"before": 5, "parked": 1, "given_up": 1}
    [[at], rows] = desk.run("mailer", (AT,), (ASIDE,))
    [[event]] = desk.run("auth", ("select id from events.log where feed = 'AUTH' and seq = 2",))
    assert (at["seq"], at["event_id"]) == (2, event["id"])
    assert [row["seq"] for row in rows] == [2, 101, 105]
    [act, *_] = desk.told("acts", "mailer")
    assert (act["what"], act["who"], act["why"]) == ("rewind", "mina", "a mended handler")
    assert json.loads(act["chosen"]) == {"feed": "AUTH", "from": 5, "to": 2}
    assert desk.ask(*REWIND, "--yes").exit_code == 1


def test_to_the_beginning_there_is_no_event_to_compare(desk: Desk) -> None:
    stood(desk)
    desk.told("consumer", "rewind", "mailer", "auth", "--to", "0", "--why", "all of it", "--yes")
    [[at]] = desk.run("mailer", (AT,))
    assert tuple(at) == (0, None)


def test_a_guest_is_told_of_beside_the_others_and_rewound_like_them(desk: Desk, database: DatabaseFactory) -> None:
    desk.databases["tally"] = made = database()
    urls = f"{desk.environment['DATABASE_URLS']},tally={made.url}"
    guests = {"DATABASE_URLS": urls, "GUESTS": "tally=AUTH"}
    desk.say(5)
    desk.run("tally", (HEARD, "tally", 5))
    [auth] = [feed for feed in desk.told("status", **guests)["feeds"] if feed["feed"] == "AUTH"]
    assert {each["consumer"]: each["seq"] for each in auth["consumers"]}["tally"] == 5
    words = ("consumer", "rewind", "tally", "AUTH", "--to", "2", "--why", "a mended handler")
    plan = desk.told(*words, **guests)
    assert (plan["repeats"], "what its handlers write" in plan["does"][1]) == (3, True)
    assert not [each for each in plan["does_not"] if "sends" in each]
    assert desk.told(*words, "--yes", **guests)["before"] == 5
    assert [act["what"] for act in desk.told("acts", "tally", **guests)] == ["rewind"]
    assert desk.ask(*words).exit_code == 2


WRONG = {
    "not further back": (("mailer", "AUTH", "--to", "5", "--why", "x"), 1, "is at 5"),
    "not heard": (("todos", "TODOS", "--to", "1", "--why", "x"), 1, "todos does not hear TODOS"),
    "no why": (("mailer", "AUTH", "--to", "1"), 2, "--why"),
    "an empty why": (("mailer", "AUTH", "--to", "1", "--why", " ", "--yes"), 1, "say why"),
    "below nothing": (("mailer", "AUTH", "--to", "-1", "--why", "x"), 2, "--to"),
    "nobody who hears": (("auth", "AUTH", "--to", "1", "--why", "x"), 2, "'auth' is not one of"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_asked_in_a_wrong_way_is_told_so_and_nothing_is_done(desk: Desk, case: str) -> None:
    words, code, said = WRONG[case]
    stood(desk)
    done = desk.ask("consumer", "rewind", *words)
    assert (done.exit_code, said in done.output) == (code, True), done.output
    [[at]] = desk.run("mailer", (AT,))
    assert at["seq"] == 5


def test_a_consumer_at_work_hears_again_from_there_within_seconds_though_nothing_new_comes(desk: Desk) -> None:
    desk.say(5)
    heard: list[int] = []

    async def hear(_: Connection, events: list[Event]) -> None:
        heard.extend(event.envelope.seq for event in events)

    async def work() -> None:
        dial = dialer(desk.databases["mailer"].url, application="test")
        broker = Broker(desk.nats.url("mailer"), name="test")
        consumer = Consumer("mailer", [Hears(FEEDS["AUTH"], hear)], dial, broker, CODEC)
        async with running(broker.run, consumer.run):
            await until(lambda: heard == [1, 2, 3, 4, 5])
            done = await asyncio.to_thread(desk.ask, *REWIND, "--yes")
            assert done.exit_code == 0, done.output
            await until(lambda: heard == [1, 2, 3, 4, 5, 3, 4, 5], within=5)

    asyncio.run(work())
