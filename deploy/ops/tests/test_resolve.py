"""`todo-ops relay resolve`: what an operator decides where log and stream parted, told first, and seen to be right."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

import nats.errors
import nats.js.errors
import pytest
from desk import Desk, make_streams
from feeding import CODEC, connection, running, stream_ids

from events.access import Access
from events.acts import By
from events.broker import Broker
from events.catalog.feeds import FEEDS, HEARS
from events.consumer import Consumer
from events.hearing import Event, Hears
from events.postgres import Connection, dialer
from local.fixtures import DatabaseFactory, until
from local.nats import Nats
from ops.importing import import_tail
from ops.places import Places

IMPORT = ("relay", "resolve", "AUTH", "--import-tail", "--why", "restored from last night", "--who", "mina")
LOG = "select * from events.log where feed = 'AUTH' order by seq"
ACT = "insert into events.act (who, why, consumer, what, chosen) values ('m', 'x', 'auth', 'abandon', $1)"
AT = "select seq from events.checkpoint where consumer = $1 and feed = 'AUTH'"


def abandon(seq: int) -> tuple[str, ...]:
    return ("relay", "resolve", "AUTH", "--abandon-from", str(seq), "--why", "the standby lost its tail", "--who", "m")


def owners(desk: Desk) -> dict[str, str]:
    return {"DATABASE_URLS": ",".join(f"{name}={base.owner_url}" for name, base in desk.databases.items())}


def kept(desk: Desk) -> list[tuple[object, ...]]:
    """The log, but for what belongs to the copy: which command an event was of, when it was written there."""
    [rows] = desk.run("auth", (LOG,))
    return [tuple(value for name, value in row.items() if name not in {"command_id", "appended_at"}) for row in rows]


def relayed(desk: Desk) -> bool:
    """Whether the stream is the log, number by number and id by id."""
    return asyncio.run(stream_ids(desk.nats, "AUTH")) == [(row[1], str(row[2])) for row in kept(desk)]


def mailer_hears(desk: Desk, until_heard: int, heard: list[str]) -> None:
    """A consumer is at work until its checkpoint is there; the ids of what it heard are added."""

    async def hear(_: Connection, events: Sequence[Event]) -> None:
        heard.extend(str(event.envelope.id) for event in events)

    async def work() -> None:
        dial = dialer(desk.databases["mailer"].url, application="test")
        broker = Broker(desk.nats.url("mailer"), name="test")
        consumer = Consumer("mailer", [Hears(FEEDS["AUTH"], hear)], dial, broker, CODEC)
        async with connection(desk.databases["mailer"].url) as asked, running(broker.run, consumer.run):
            await until(lambda: asked.fetchval(f"select exists ({AT} and seq = $2)", "mailer", until_heard))

    asyncio.run(work())


def test_a_log_that_only_lost_its_tail_gets_it_back_and_goes_on(desk: Desk) -> None:
    desk.say(5)
    before = kept(desk)
    desk.lose_tail(after=3)
    planned = desk.told(*IMPORT, **owners(desk))
    assert (planned["first"], planned["last"], [row["seq"] for row in planned["sample"]]) == (4, 5, [4, 5])
    shown = desk.ask(*IMPORT, **owners(desk)).stdout
    assert "copies 2 events, 4 to 5, from stream AUTH into its log" in shown
    assert "--yes does it" in shown
    assert len(kept(desk)) == 3
    done = desk.told(*IMPORT, "--yes", **owners(desk))
    assert done == {"feed": "AUTH", "first": 4, "last": 5}
    assert kept(desk) == before
    desk.say(2)
    assert relayed(desk)
    assert {each["wrong"] for each in desk.told("verify", "--only", "streams")} == {""}
    [[act]] = desk.run("auth", ("select who, why, what, chosen from events.act",))
    assert tuple(act)[:3] == ("mina", "restored from last night", "import")
    assert json.loads(act["chosen"]) == {"feed": "AUTH", "from": 4, "to": 5}


def test_an_import_may_take_hours_where_no_part_of_it_does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.say(5)
    before = kept(desk)
    desk.lose_tail(after=0)
    limit = f"alter role auth_owner in database {desk.databases['auth'].name} set transaction_timeout = '2s'"
    desk.run("auth", (limit,))
    parts: list[tuple[int, int]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time

        def an_hour_passes(what: str, done: int, end: int) -> None:
            if what == "back into the log of AUTH":
                parts.append((done, end))
                time.sleep(0.7)  # with the others longer than the role gives a transaction
                monkeypatch.setattr(loop, "time", lambda: now() + 3600 * len(parts))

        places = Places({"auth": desk.databases["auth"].owner_url}, Access(desk.nats.url()), {})
        await import_tail(places, "AUTH", By("mina", "a week was lost"), an_hour_passes)

    monkeypatch.setattr("ops.importing.PULLED", 2)
    asyncio.run(work())
    assert parts == [(2, 5), (4, 5), (5, 5)]
    assert kept(desk) == before


def test_of_who_was_erased_meanwhile_nothing_comes_back_but_the_number(desk: Desk) -> None:
    person = uuid4()
    desk.say(3)
    desk.say(1, person=person)
    desk.lose_tail(after=3)
    desk.run("auth", ("select events.forget($1, $2)", person, uuid4()))
    desk.told(*IMPORT, "--yes", **owners(desk))
    [[row], [due]] = desk.run("auth", (f"{LOG} offset 3",), ("select seq from events.deletion",))
    assert (row["type"], row["data"], due["seq"]) == ("core.Erased.v1", "{}", 4)


def test_a_fork_is_no_lost_tail(desk: Desk) -> None:
    desk.say(5)
    desk.lose_tail(after=3)
    desk.append(1)
    done = desk.ask(*IMPORT, "--yes", **owners(desk))
    assert (done.exit_code, "did not only lose its tail" in done.output) == (1, True)
    assert len(kept(desk)) == 4


def test_what_the_relay_never_published_is_not_copied(desk: Desk) -> None:
    desk.say(3)
    desk.on_streams(lambda js: js.publish("ev.auth.1.UserSignedIn", b"{}"))
    done = desk.ask(*IMPORT, "--yes", **owners(desk))
    assert (done.exit_code, "message 4 of stream AUTH is no event" in done.output) == (1, True)
    assert len(kept(desk)) == 3


def test_a_tail_with_a_hole_is_not_copied(desk: Desk) -> None:
    desk.say(5)
    desk.lose_tail(after=2)
    desk.on_streams(lambda js: js.delete_msg("AUTH", 4))
    done = desk.ask(*IMPORT, "--yes", **owners(desk))
    assert (done.exit_code, "stream AUTH lacks 4" in done.output) == (1, True)
    assert len(kept(desk)) == 2


def test_a_tail_that_does_not_follow_is_not_copied(desk: Desk) -> None:
    desk.say(3)
    desk.run("auth", ("update events.log set version = 7 where feed = 'AUTH' and seq = 3",))
    desk.on_streams(lambda js: js.delete_stream("AUTH"))
    desk.renew("AUTH")
    desk.publish(3)
    desk.lose_tail(after=2)
    done = desk.ask(*IMPORT, "--yes", **owners(desk))
    assert (done.exit_code, "do not follow one another" in done.output) == (1, True)
    assert len(kept(desk)) == 2


def test_a_role_that_may_not_write_a_log_is_told_whose_part_that_is(desk: Desk) -> None:
    desk.say(3)
    desk.lose_tail(after=2)
    done = desk.ask(*IMPORT, "--yes")
    assert (done.exit_code, "DATABASE_URLS must name its owner" in done.output) == (1, True)


def test_a_fork_is_given_up_and_its_consumers_hear_the_log_instead(desk: Desk) -> None:
    heard: list[str] = []
    desk.say(5)
    mailer_hears(desk, 5, heard)
    desk.run("notifier", ("insert into events.checkpoint values ('notifier', 'AUTH', 3, $1)", kept(desk)[2][2]))
    desk.lose_tail(after=3)
    desk.append(4)
    planned = desk.told(*abandon(4))
    assert ([row["seq"] for row in planned["sample"]], planned["events"]) == ([4, 5], 2)
    assert [(each["consumer"], each["at"]) for each in planned["consumers"]] == [("mailer", 5)]
    shown = desk.ask(*abandon(4)).stdout
    assert "sets mailer back from 5 to 3" in shown
    assert "undo what the events that are given up have done" in shown
    assert not relayed(desk)
    done = desk.told(*abandon(4), "--yes")
    assert done == {"feed": "AUTH", "seq": 4, "consumers": ["mailer"]}
    desk.publish(7)
    assert relayed(desk)
    mailer_hears(desk, 7, heard)
    assert heard[5:] == [str(row[2]) for row in kept(desk)[3:]]
    [[act], [noted]] = desk.run("mailer", (AT, "mailer"), ("select what, chosen from events.act",))
    assert (act["seq"], noted["what"], json.loads(noted["chosen"])) == (
        7,
        "abandon",
        {"feed": "AUTH", "from": 5, "to": 3},
    )
    found = desk.told("verify", "--only", "streams", "--only", "consumers")
    assert {each["wrong"] for each in found} == {""}


def test_cut_off_in_between_the_same_call_does_the_rest(desk: Desk) -> None:
    desk.say(5)
    desk.run("mailer", ("insert into events.checkpoint values ('mailer', 'AUTH', 5, $1)", kept(desk)[4][2]))
    desk.lose_tail(after=3)
    desk.append(3)
    desk.on_streams(lambda js: js.delete_stream("AUTH"))
    assert desk.told(*abandon(4), "--yes")["consumers"] == ["mailer"]
    desk.publish(6)
    assert relayed(desk)
    assert desk.ask(*abandon(4), "--yes").exit_code == 1


def test_cut_off_behind_the_deletion_the_same_call_makes_the_stream_with_as_many_replicas_as_it_had(
    database: DatabaseFactory, nats_cluster: list[Nats]
) -> None:
    asyncio.run(until(lambda: three_replicas(nats_cluster[0]), within=30))
    desk = Desk({name: database(name) for name in HEARS}, nats_cluster[0])
    desk.say(5)
    desk.run("mailer", ("insert into events.checkpoint values ('mailer', 'AUTH', 5, $1)", kept(desk)[4][2]))
    desk.lose_tail(after=3)
    desk.append(1)
    desk.run("mailer", ("revoke insert on events.act from mailer",))
    assert desk.ask(*abandon(4), "--yes").exit_code == 1
    with pytest.raises(nats.js.errors.NotFoundError):
        desk.on_streams(lambda js: js.stream_info("AUTH"))
    assert "anew, with 3 replicas" in desk.ask(*abandon(4)).stdout
    assert desk.ask(*abandon(4), "--yes").exit_code == 1, "cut off again, it still knows"
    desk.run("mailer", ("grant insert on events.act to mailer",))
    desk.told(*abandon(4), "--yes")
    assert desk.on_streams(lambda js: js.stream_info("AUTH")).config.num_replicas == 3
    desk.publish(4)
    assert relayed(desk)


def test_what_another_call_said_of_replicas_is_not_taken_for_this_one(desk: Desk) -> None:
    desk.say(5)
    desk.run("mailer", ("insert into events.checkpoint values ('mailer', 'AUTH', 5, $1)", kept(desk)[4][2]))
    long_ago = {"feed": "AUTH", "from": 2, "events": 1, "replicas": 3}
    desk.run("auth", (ACT, json.dumps(long_ago)))
    desk.lose_tail(after=3)
    desk.append(1)
    desk.on_streams(lambda js: js.delete_stream("AUTH"))
    assert "anew, with 1 replica:" in desk.ask(*abandon(4)).stdout
    desk.told(*abandon(4), "--yes")
    desk.publish(4)
    assert relayed(desk)


async def three_replicas(broker: Nats) -> bool:
    """Whether the streams are made: a cluster makes none until it has a leader."""
    with suppress(OSError, TimeoutError, nats.errors.Error):
        await make_streams(broker, replicas=3)
        return True
    return False


def test_a_stream_that_only_lacks_messages_is_filled_again_and_nobody_is_set_back(desk: Desk) -> None:
    desk.say(5)
    desk.run("mailer", ("insert into events.checkpoint values ('mailer', 'AUTH', 5, $1)", kept(desk)[4][2]))
    desk.on_streams(lambda js: js.delete_msg("AUTH", 2))
    assert desk.told(*abandon(2), "--yes")["consumers"] == []
    desk.publish(5)
    assert relayed(desk)


WRONG = {
    "neither": ((), 2, "say which"),
    "both": (("--import-tail", "--abandon-from", "4"), 2, "say which"),
    "elsewhere": (("--abandon-from", "3"), 1, "say --abandon-from 4"),
    "an empty why": (("--abandon-from", "4", "--yes", "--why", ""), 1, "say why"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_asked_in_a_wrong_way_is_told_so_and_nothing_is_done(desk: Desk, case: str) -> None:
    words, code, said = WRONG[case]
    desk.say(5)
    desk.lose_tail(after=3)
    desk.append(1)
    done = desk.ask("relay", "resolve", "AUTH", "--why", "x", *words, **owners(desk))
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert desk.on_streams(lambda js: js.stream_info("AUTH")).state.last_seq == 5


def test_where_log_and_stream_are_one_there_is_nothing_to_decide(desk: Desk) -> None:
    desk.say(3)
    for words in (IMPORT, abandon(2)):
        done = desk.ask(*words, "--yes", **owners(desk))
        assert done.exit_code == 1
        assert ("nothing that its log lacks" in done.output) or ("are one" in done.output)
