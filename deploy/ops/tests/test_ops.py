"""`todo-ops`: it tells what is so, also where something does not answer, and acts on what was named outright."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import nats as nats_py
import pytest
from desk import Desk

from events.catalog.feeds import FEEDS, HEARS

ADA, BOB = uuid4(), uuid4()
APPENDED = """
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time,
    correlation_id, causation_id, actor, traceparent, data, appended_at
)
values (
    'TODOS', $1, $2, $2, $2, 1, 'todos.TodoPurged.v1', $2, now(), 'r', 'r', 'a', '', '{}', now() - interval '5 minutes'
)
"""
WAITING = """
insert into letter (id, kind, cause, subject, correlation_id, traceparent, happened_at, message_id, sealed, due_at)
values ($1, 'code', $1, $1, '', '', now(), '', 'k1.box', now() - interval '1 minute')
"""


def test_all_is_well_where_nothing_is(desk: Desk) -> None:
    done = desk.ask("status")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "all is well")
    found = desk.told("status")
    assert {feed["feed"]: [each["consumer"] for each in feed["consumers"]] for feed in found["feeds"]} == {
        name: [service for service, feeds in HEARS.items() if name in feeds] for name in FEEDS
    }
    assert found["troubles"] == []


def test_what_is_neither_published_nor_heard_is_told_with_its_age(desk: Desk) -> None:
    grown = ("update events.feed set last_seq = 3 where name = 'TODOS'",)
    desk.run("todos", grown, *((APPENDED, seq, uuid4()) for seq in (1, 2, 3)))
    desk.run("mailer", ("insert into events.checkpoint (consumer, feed, seq) values ('mailer', 'TODOS', 1)",))
    desk.run("activity", ("insert into events.checkpoint (consumer, feed, seq) values ('activity', 'TODOS', 3)",))
    found = desk.told("status")
    [todos] = [feed for feed in found["feeds"] if feed["feed"] == "TODOS"]
    assert (todos["log"], todos["stream"]) == (3, 0)
    assert 299 < todos["unpublished_seconds"] < 400
    behind = {each["consumer"]: (each["seq"], each["lag_events"]) for each in todos["consumers"]}
    assert behind == {"mailer": (1, 2), "activity": (3, 0), "notifier": (0, 3)}
    late = [each["consumer"] for each in todos["consumers"] if each["lag_seconds"] > 299]
    assert late == ["mailer", "notifier"]
    assert len(found["troubles"]) == 3
    assert desk.ask("status").exit_code == 1


def test_what_waits_in_a_work_table_is_told(desk: Desk) -> None:
    desk.run("mailer", (WAITING, uuid4()))
    found = {each["service"]: each for each in desk.told("status")["work"]}
    assert found.keys() == {"mailer", "notifier"}
    assert (found["mailer"]["table"], found["mailer"]["queued"], found["mailer"]["claimed"]) == ("letter", 1, 0)
    assert 59 < found["mailer"]["oldest_seconds"] < 200


def test_what_does_not_answer_is_told_and_the_rest_is_asked_all_the_same(desk: Desk) -> None:
    desk.nats.kill()
    urls = desk.environment["DATABASE_URLS"].replace(desk.databases["todos"].url, "postgres://x:x@127.0.0.1:1/x")
    done = desk.ask("status", "--json", DATABASE_URLS=urls)
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert sorted(text.split(":")[0] for text in found["troubles"]) == [
        "NATS does not answer",
        "the database of todos does not answer",
    ]
    told = {feed["feed"]: (feed["log"], feed["stream"]) for feed in found["feeds"]}
    assert (told["TODOS"], told["AUTH"]) == ((None, None), (0, None))


def test_a_stream_that_is_gone_is_named(desk: Desk) -> None:
    async def gone() -> None:
        client = await nats_py.connect(desk.nats.url(), allow_reconnect=False)
        await client.jetstream(timeout=5).delete_stream("MAILER")
        await client.close()

    asyncio.run(gone())
    assert desk.told("status")["troubles"] == ["stream MAILER does not exist"]


def test_a_stream_ahead_of_its_log_is_two_histories(desk: Desk) -> None:
    async def stray() -> None:
        client = await nats_py.connect(desk.nats.url(), allow_reconnect=False)
        await client.jetstream(timeout=5).publish("ev.todos.1.TodoPurged", b"{}")
        await client.close()

    asyncio.run(stray())
    assert "ahead of its log" in desk.told("status")["troubles"][0]


def test_what_is_parked_is_listed_without_what_it_says_and_shown_with_it(desk: Desk) -> None:
    assert "nothing is parked" in desk.ask("parked", "list").stdout
    desk.park((3, ADA, "rejected"), (5, ADA, "behind"), (4, BOB, "undecodable"))
    rows = desk.told("parked", "list")
    assert [(row["consumer"], row["seq"], row["reason"]) for row in rows] == [
        ("activity", 3, "rejected"),
        ("activity", 4, "undecodable"),
        ("activity", 5, "behind"),
    ]
    assert "우유" not in desk.ask("parked", "list").stdout
    assert [row["seq"] for row in desk.told("parked", "list", "activity", "--key", str(ADA))] == [3, 5]
    assert [row["seq"] for row in desk.told("parked", "list", "--limit", "1")] == [3]
    one = desk.told("parked", "show", "activity", "todos:3")
    assert (one["headers"], one["data"], one["stack"]) == ({"ce-id": "an id"}, '{"title": "우유"}', "where")
    assert "우유" in desk.ask("parked", "show", "activity", "TODOS:3").stdout
    assert "has keys of TODOS that stand still, 2 of them" in desk.told("status")["troubles"][0]


LETTER = """
insert into letter (
    id, state, settled_at, reason, attempts, kind, cause, subject, correlation_id, traceparent, happened_at, message_id
)
values (gen_random_uuid(), $1, $2, 'refused', 3, 'welcome', $3, $4, 'r', '', now(), 'm')
"""
DELIVERY = """
insert into delivery (
    id, state, settled_at, reason, attempts,
    channel, device_id, user_id, cause, kind, data, correlation_id, traceparent, happened_at
)
values (
    gen_random_uuid(), $1, $2, 'the worker ended', 1,
    'push', gen_random_uuid(), $4, $3, 'due_soon', '{}', 'r', '', now()
)
"""


def test_letters_and_deliveries_that_failed_are_told_in_the_same_words(desk: Desk) -> None:
    now, cause = datetime.now(UTC), uuid4()
    desk.park((3, ADA, "failed"))
    desk.run("mailer", *((LETTER, state, now, cause, ADA) for state in ("sent", "failed", "unknown", "expired")))
    desk.run("notifier", (DELIVERY, "unknown", now, cause, BOB), (DELIVERY, "queued", None, cause, BOB))
    told = [(row["consumer"], row["seq"], row["type"], row["reason"]) for row in desk.told("parked", "list")]
    assert told[0] == ("activity", 3, "todos.TodoToggled.v1", "failed")
    assert sorted(told[1:]) == [
        ("mailer", None, "letter welcome", "failed"),
        ("mailer", None, "letter welcome", "unknown"),
        ("notifier", None, "push due_soon", "unknown"),
    ]
    assert f"refused, of event {cause}" in desk.ask("parked", "list").stdout

    def consumers(*words: str) -> list[str]:
        return [row["consumer"] for row in desk.told("parked", "list", *words)]

    assert consumers("--reason", "unknown") == ["mailer", "notifier"]
    assert consumers("--reason", "failed") == ["activity", "mailer"]
    assert consumers("--reason", "rejected") == []
    assert consumers("--key", str(BOB)) == ["notifier"]
    assert consumers("--feed", "TODOS") == ["activity"]
    assert consumers("mailer") == ["mailer", "mailer"]
    assert desk.told("parked", "redrive", "activity", "--all", "--why", "x")["events"] == 1


def test_a_rehearsal_counts_and_changes_nothing(desk: Desk) -> None:
    desk.park((3, ADA, "rejected"), (5, ADA, "behind"), (4, BOB, "undecodable"))
    for verb in ("redrive", "discard"):
        found = desk.told("parked", verb, "activity", "--all", "--dry-run", "--why", "a look")
        assert [(row["reason"], row["events"], row["behind"]) for row in found["counts"]] == [
            ("rejected", 1, 1),
            ("undecodable", 1, 0),
        ]
        assert [row["seq"] for row in found["sample"]] == [3, 4]
        assert "It would be about" in desk.ask("parked", verb, "activity", "--all", "--dry-run", "--why", "a").stdout
    assert desk.told("acts") == []
    assert len(desk.told("parked", "list")) == 3


def test_a_redrive_makes_the_first_of_each_key_due_and_is_kept_with_who_and_why(desk: Desk) -> None:
    desk.park((3, ADA, "rejected"), (5, ADA, "behind"), (4, BOB, "undecodable"))
    act = desk.told("parked", "redrive", "activity", "--reason", "rejected", "--why", "mended", "--who", "mina")
    assert act["events"] == 1
    assert [row["seq"] for row in desk.told("parked", "list") if row["due_at"]] == [3]
    [kept] = desk.told("acts", "activity")
    assert (kept["id"], kept["who"], kept["why"], kept["what"]) == (act["id"], "mina", "mended", "redrive")
    assert json.loads(kept["chosen"]) == {"reason": "rejected"}


def test_what_is_given_up_goes_and_is_noted(desk: Desk) -> None:
    desk.park((3, ADA, "rejected"), (5, ADA, "behind"))
    assert desk.told("parked", "discard", "activity", "--one", "TODOS:3", "--why", "twice")["events"] == 1
    assert [(row["seq"], bool(row["due_at"])) for row in desk.told("parked", "list")] == [(5, True)]
    [[noted]] = desk.run("activity", ("select seq, key from events.discarded",))
    assert tuple(noted) == (3, ADA)
    assert "twice" in desk.ask("acts").stdout


def test_what_people_wrote_is_shown_as_they_wrote_it(desk: Desk) -> None:
    desk.park((3, ADA, "rejected"))
    desk.told("parked", "redrive", "activity", "--all", "--why", "see [/1234] in [red]", "--who", "[ops]")
    shown = desk.ask("acts").stdout
    assert "see [/1234] in [red]" in shown
    assert "[ops]" in shown


def test_a_consumer_ahead_of_its_log_is_two_histories(desk: Desk) -> None:
    desk.run("mailer", ("insert into events.checkpoint (consumer, feed, seq) values ('mailer', 'TODOS', 7)",))
    found = desk.told("status")
    assert found["troubles"] == ["mailer is ahead of the log of TODOS: two histories: todo-ops relay check TODOS"]


def test_a_service_that_is_not_named_is_not_asked(desk: Desk) -> None:
    found = json.loads(desk.ask("status", "--json", DATABASE_URLS=f"todos={desk.databases['todos'].url}").stdout)
    assert ([feed["feed"] for feed in found["feeds"]], found["troubles"]) == (["TODOS"], [])


def test_keys_are_rotated_by_auths_own_command_and_what_is_in_its_way_is_told(desk: Desk) -> None:
    ours = {"KEY_WRAPPING_KEYS": "", "APP_ENV": "development"}
    done = desk.ask("keys", "rotate", **ours)
    assert (done.exit_code, "KEY_WRAPPING_KEYS is required" in done.output) == (1, True)


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "nothing chosen": (("parked", "redrive", "activity", "--why", "x"), 2, "say which"),
    "too much chosen": (("parked", "redrive", "activity", "--all", "--feed", "TODOS", "--why", "x"), 2, "say which"),
    "no why": (("parked", "redrive", "activity", "--all"), 2, "--why"),
    "an empty why": (("parked", "redrive", "activity", "--all", "--why", " "), 1, "say why"),
    "no event": (("parked", "show", "activity", "TODOS"), 2, "FEED:SEQ"),
    "a number beyond numbers": (("parked", "show", "activity", "TODOS:" + "9" * 30), 2, "FEED:SEQ"),
    "an unknown feed": (("parked", "show", "activity", "TODO:1"), 2, "FEED:SEQ"),
    "who hears nothing": (("parked", "list", "auth"), 2, "'auth' is not one of"),
    "not there": (("parked", "show", "activity", "TODOS:9"), 1, "has not parked TODOS:9"),
    "behind another": (("parked", "redrive", "activity", "--one", "TODOS:5", "--why", "x"), 1, "waits behind TODOS:3"),
    "nothing like that": (("parked", "discard", "activity", "--reason", "failed", "--why", "x"), 1, "nothing that"),
    "no rate": (("parked", "redrive", "activity", "--all", "--why", "x", "--rate", "nan"), 1, "the rate of a redrive"),
    "a cap of nothing": (("parked", "redrive", "activity", "--all", "--why", "x", "--cap", "0"), 2, "--cap"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_asked_in_a_wrong_way_is_told_so_and_nothing_is_done(desk: Desk, case: str) -> None:
    words, code, said = WRONG[case]
    desk.park((3, ADA, "rejected"), (5, ADA, "behind"))
    done = desk.ask(*words)
    assert (done.exit_code, done.exception is None or isinstance(done.exception, SystemExit)) == (code, True)
    assert said in done.output
    assert [row["due_at"] for row in desk.told("parked", "list")] == [None, None]
    assert desk.told("acts") == []


def test_without_its_settings_it_says_which(desk: Desk) -> None:
    for environment in ({"DATABASE_URLS": text} for text in ("", "elsewhere=postgres://x", "todos", "todos=http://x")):
        done = desk.ask("status", **environment)
        assert done.exit_code == 2
        assert "DATABASE_URLS" in done.output
