"""`todo-ops verify`: whatever differs is named with its first number and what to do, and nothing that may differ is."""

from uuid import uuid4

import pytest
from desk import Desk

from ops import services

HEARD = "insert into events.checkpoint (consumer, feed, seq, event_id) values ('activity', 'AUTH', $1, $2)"
KEEP = """
insert into archive (
    number, feed, seq, event_id, type, subject, aggregate, version, time, heard_at,
    correlation_id, causation_id, actor, traceparent, data
)
values ($1, 'AUTH', $1, $2, 't', $2, $2, 1, now(), now(), 'r', 'r', 'a', '', $3)
"""
COUNTED = "update archive_counter set last_number = $1"
ERASE = (
    "update events.log set type = 'core.Erased.v1', data = '{}', sha256 = sha256('x') where feed = 'AUTH' and seq = $1"
)
LIST = "insert into events.deletion (feed, seq) values ('AUTH', $1)"


COPIES = tuple(word for part in ("streams", "consumers", "archive") for word in ("--only", part))


def wrong(desk: Desk, *words: str) -> dict[str, tuple[str, str]]:
    """What is wrong by what it is about: in words, and what to do next. Services are asked where that is said."""
    found = desk.told("verify", *(words or COPIES))
    return {each["about"]: (each["wrong"], each["next"]) for each in found if each["wrong"]}


def archived(desk: Desk, *, but: int = 0) -> None:
    """activity heard everything of AUTH and keeps it, but for one number."""
    [rows] = desk.run("auth", ("select seq, id, data from events.log where feed = 'AUTH' order by seq",))
    kept = [(KEEP, row["seq"], row["id"], row["data"]) for row in rows if row["seq"] != but]
    desk.run("activity", *kept, (HEARD, rows[-1]["seq"], rows[-1]["id"]), (COUNTED, len(rows)))


def test_where_all_copies_are_equal_nothing_is_wrong(desk: Desk) -> None:
    desk.say(20)
    archived(desk)
    done = desk.ask("verify", *COPIES)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "all copies say the same")
    seen = {each["about"]: each["seen"] for each in desk.told("verify")}
    assert seen["AUTH: log without gaps"] == "1 to 20"
    assert seen["AUTH: stream equals log"] == "20 numbers"
    assert seen["AUTH: activity heard the log"] == "up to 20"
    assert seen["AUTH: archive equals log"] == "20 numbers"
    assert seen["todos: rows are what the events say"] == "0 to-dos compared with their events, 0 differ"
    assert "activity: archive and figures are what the events say" in seen


def test_a_number_that_the_log_lacks_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.run("auth", ("delete from events.log where feed = 'AUTH' and seq in (3, 4)",))
    found = wrong(desk)
    assert found == {"AUTH: log without gaps": ("the log of AUTH has no 3", found["AUTH: log without gaps"][1])}
    assert desk.ask("verify", *COPIES).exit_code == 1


def test_a_log_that_ends_before_its_counter_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.run("auth", ("delete from events.log where feed = 'AUTH' and seq = 5",))
    assert wrong(desk)["AUTH: log without gaps"][0] == "the log of AUTH has no 5"


def test_a_message_that_is_gone_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.on_streams(lambda js: js.delete_msg("AUTH", 2))
    said, todo = wrong(desk)["AUTH: stream equals log"]
    assert said == "stream AUTH lacks 2, which its log has"
    assert "relay resolve AUTH --abandon-from 2" in todo
    assert todo.startswith("after a restore read docs/operations.md, Restore PostgreSQL, first: ")


def test_a_message_at_the_end_that_is_gone_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.on_streams(lambda js: js.delete_msg("AUTH", 5))
    assert wrong(desk)["AUTH: stream equals log"][0] == "stream AUTH lacks 5, which its log has"


def test_a_message_whose_event_is_erased_may_be_gone(desk: Desk) -> None:
    desk.say(5)
    for seq in (2, 5):
        desk.run("auth", (ERASE, seq))
        desk.on_streams(lambda js, seq=seq: js.delete_msg("AUTH", seq))
    assert wrong(desk) == {}


def test_what_is_erased_in_the_log_and_not_in_the_stream_is_named_unless_it_is_to_be_deleted(desk: Desk) -> None:
    desk.say(5)
    desk.run("auth", (ERASE, 2), (ERASE, 4), (LIST, 2))
    assert wrong(desk)["AUTH: stream equals log"][0].startswith("message 4 of stream AUTH still says what is erased")


def test_another_event_under_a_number_is_two_histories(desk: Desk) -> None:
    desk.say(5)
    desk.run("auth", ("update events.log set id = gen_random_uuid() where feed = 'AUTH' and seq = 4",))
    said, todo = wrong(desk)["AUTH: stream equals log"]
    assert said == "message 4 of stream AUTH is another event than the log's"
    assert "--abandon-from 4" in todo


def test_a_stream_that_goes_on_where_its_log_ends_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.lose_tail(after=3)
    said, todo = wrong(desk)["AUTH: stream equals log"]
    assert said == "stream AUTH goes on from 4, where its log ends"
    assert "--import-tail" in todo


def test_what_is_just_not_published_yet_is_not_wrong_until_it_is_late(desk: Desk) -> None:
    desk.say(3)
    desk.append(2)
    assert wrong(desk) == {}
    desk.run("auth", ("update events.log set appended_at = now() - interval '1 hour' where feed = 'AUTH'",))
    assert wrong(desk)["AUTH: stream equals log"][0].startswith("2 events wait to be published for 36")


def test_a_consumer_that_heard_another_event_is_named(desk: Desk) -> None:
    desk.say(5)
    desk.run("mailer", ("insert into events.checkpoint values ('mailer', 'AUTH', 4, $1)", uuid4()))
    said, todo = wrong(desk)["AUTH: mailer heard the log"]
    assert said == "it heard another event under 4"
    assert "consumer rewind mailer AUTH --to 3" in todo
    desk.run("mailer", ("update events.checkpoint set seq = 9 where consumer = 'mailer'",))
    assert wrong(desk)["AUTH: mailer heard the log"][0] == "its log does not go so far"


def test_an_archive_that_lacks_an_event_is_named_unless_that_is_parked_or_given_up(desk: Desk) -> None:
    desk.say(5)
    archived(desk, but=3)
    assert wrong(desk)["AUTH: archive equals log"][0] == "the archive lacks 3"
    aside = "insert into events.discarded (consumer, feed, seq, key, type) values ('activity', 'AUTH', 3, $1, 't')"
    desk.run("activity", (aside, uuid4()))
    assert "AUTH: archive equals log" not in wrong(desk)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data = '{\"user_id\": 1}'", "what the archive says under 2 is not what was said"),
        ("event_id = gen_random_uuid()", "the archive holds another event under 2"),
    ],
)
def test_an_archive_that_says_something_else_is_named(desk: Desk, change: str, said: str) -> None:
    desk.say(3)
    archived(desk)
    desk.run("activity", (f"update archive set {change} where feed = 'AUTH' and seq = 2",))
    assert wrong(desk)["AUTH: archive equals log"][0] == said


def test_an_event_that_the_archive_holds_twice_is_named(desk: Desk) -> None:
    desk.say(3)
    archived(desk)
    [[row]] = desk.run("auth", ("select seq, id, data from events.log where feed = 'AUTH' and seq = 2",))
    desk.run("activity", (KEEP, row["seq"], row["id"], row["data"]))
    assert wrong(desk)["AUTH: archive equals log"][0] == "the archive holds 2 twice"


def test_a_row_that_is_not_what_its_events_say_is_found_by_its_own_service(desk: Desk) -> None:
    title = "insert into todo (id, user_id, version, title, priority, completed, created_at, updated_at)"
    desk.run("todos", (f"{title} values ($1, $1, 1, 'by hand', 3, false, now(), now())", uuid4()))
    said, todo = wrong(desk, "--only", "states")["todos: rows are what the events say"]
    assert "1 differ" in said
    assert todo == "python -m todos verify"


def test_what_does_not_answer_is_a_finding_and_the_rest_is_looked_at(desk: Desk) -> None:
    desk.say(2)
    desk.nats.kill()
    auth = f"auth={desk.databases['auth'].url}"
    found = desk.told(
        "verify", "--only", "streams", "--only", "consumers", DATABASE_URLS=f"{auth},mailer=postgres://x@127.0.0.1:1/x"
    )
    assert [(each["about"], each["wrong"].split(":")[0]) for each in found] == [
        ("OTP: log and stream", "NATS does not answer"),
        ("AUTH: log and stream", "NATS does not answer"),
        ("MAILER: log and stream", "NATS does not answer"),
        ("OTP: mailer heard the log", "the database of mailer does not answer"),
        ("AUTH: mailer heard the log", "the database of mailer does not answer"),
    ]


def test_a_service_that_is_not_installed_here_is_said_to_be_not_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "find_spec", lambda _: None)
    found = desk.told("verify", "--only", "states")
    assert [(each["seen"], each["wrong"]) for each in found] == [("not asked", "")] * 2
    assert "`python -m todos verify`" in desk.ask("verify", "--only", "states").stdout


def test_codes_that_were_trimmed_or_grew_old_are_not_missed(desk: Desk) -> None:
    desk.append(5, feed="OTP")
    desk.publish(5, feed="OTP")
    desk.run("auth", ("delete from events.log where feed = 'OTP' and seq < 4",))
    assert wrong(desk) == {}
    desk.on_streams(lambda js: js.purge_stream("OTP", seq=5))
    assert wrong(desk) == {}
    desk.run("auth", ("update events.log set id = gen_random_uuid() where feed = 'OTP' and seq = 5",))
    assert wrong(desk)["OTP: stream equals log"][0].startswith("message 5 of stream OTP is another event")
