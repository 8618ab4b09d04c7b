"""A database that came back from a copy, its log's tail imported: who wanted or took no letters since gets none."""

import json
from typing import Any
from uuid import UUID

from mailing import CODEC, Post, registered
from mailserver import MailServer
from msgspec import Struct
from planning import read_whole
from restoring import SHOWN, UNDER_WAY, copied, heard
from test_notices import alarm
from test_preferences import LINKS, WISHES, facing
from test_quiet import refuse

from events.catalog.auth import UserSignedIn
from events.catalog.mailer import MailResumed, MailSuppressed
from events.catalog.todos import TodoOverdue
from events.clock import system_clock
from events.command import Change, Context, new_command
from events.ids import uuid7
from events.log import append_last
from events.sql import load
from local.fixtures import until
from mailer.domain import address_id

SQL = load("ops")
PREFERENCES = "select * from preference order by user_id"
ADDRESSES = "select user_id, refusals, suppressed_at is not null, address_version from contact order by user_id"
MANY = """
with people as (
    insert into contact (user_id, sealed_contact, registered_at)
    select gen_random_uuid(), '', now() from generate_series(1, 20000) returning user_id
)
insert into preference (user_id, version, "off") select user_id, 1, '{}' from people
"""
AS_MANY = 1_000
TOLD = """
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time, correlation_id, causation_id, actor,
    traceparent, data
)
select
    'MAILER', row_number() over (), gen_random_uuid(), id, id, 2, type, id, now(), '', '', '', '', '{"kind": "overdue"}'
from (
    (select user_id as id, 'mailer.MailUnsubscribed.v1' as type from preference limit 500)
    union all (select user_id, 'mailer.MailSuppressed.v1' from contact offset 10000 limit 500)
) as told
"""


async def test_letters_of_a_copy_that_ended_in_silence_are_not_posted(
    post: Post, server: MailServer, by_smtp: dict[str, Any], free_port: Any
):
    """Ada unsubscribed since, by the link in a letter; Bob's address refused others."""
    people = ada, bob = registered(), registered()
    async with post.mailer(**by_smtp):
        for each in people:
            await post.settled(await post.auth.say(each), "sent")
    async with post.mailer(**by_smtp | {"smtp_port": free_port()}):
        causes = [await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=each.user_id) for each in people]
        await until(lambda: post.owner.fetchval("select count(*) = 2 from letter where reason = 'SMTPConnectError'"))
    copy, ids = await copied(post), [cause.id for cause in causes]
    await post.change_letters("due_at = now() + interval '1 hour' where settled_at is null")
    async with facing(post) as (http, _):
        path = LINKS.link(ada.user_id, "overdue").removeprefix("https://issuer.test")
        assert (await http.post(path)).status_code == 200
    async with post.mailer(**by_smtp):
        for _ in range(3):
            await refuse(post, server, bob.user_id)
        await post.change_letters("due_at = now() where settled_at is null")
        for cause in causes:
            await post.settled(cause, "skipped")
    mails = len(server.mails)
    wishes, addresses = await post.owner.fetch(PREFERENCES), await post.owner.fetch(ADDRESSES)
    await copy.restore_with_its_tail(UNDER_WAY)
    await post.change_letters("due_at = now() where settled_at is null")
    async with post.mailer(**by_smtp):
        for cause in causes:
            await post.settled(cause, "skipped")
        assert await post.owner.fetch(PREFERENCES) == wishes
        assert await post.owner.fetch(ADDRESSES) == addresses
        await heard(post)
        assert len(server.mails) == mails + 1
        await post.auth.say(UserSignedIn(user_id=bob.user_id, session_id=uuid7()))
        await until(lambda: post.owner.fetchval("select count(*) = 0 from contact where suppressed_at is not null"))
    assert {row["state"] for row in await post.owner.fetch(SHOWN, ids)} == {"skipped"}


async def test_what_people_chose_since_holds_whoever_of_them_the_copy_knows(post: Post, in_parts: None):
    known, new = uuid7(), uuid7()
    async with facing(post) as (http, people):

        async def choose(who: UUID, **wanted: bool) -> None:
            assert (await http.patch(WISHES, json=wanted, headers=people.headers(who))).status_code == 200

        await choose(known, welcome=False, overdue=False, due_soon=False)
        copy = await copied(post)
        await choose(known, overdue=True, completion=False)
        await choose(new, weekly_report=False)
        await http.post(LINKS.link(new, "monthly_report").removeprefix("https://issuer.test"))
        await choose(new, weekly_report=True)
        await choose(known, welcome=True, overdue=False)
        await choose(known, overdue=True)
    chosen = await post.owner.fetch(PREFERENCES)
    assert {row["user_id"]: row["off"] for row in chosen} == {
        known: ["completion", "due_soon"],
        new: ["monthly_report"],
    }
    await copy.restore_with_its_tail(UNDER_WAY)
    assert await post.owner.fetch(PREFERENCES) == chosen


async def test_of_what_was_said_of_an_address_the_last_word_holds(post: Post):
    gone, back = uuid7(), uuid7()
    for person in (gone, back):
        await post.owner.execute(
            "insert into contact (user_id, sealed_contact, registered_at) values ($1, '', now())", person
        )
        for nr, word in enumerate((MailSuppressed, MailResumed, MailSuppressed)):
            await say(post, address_id(person), nr, person, word(user_id=person))
    await say(post, address_id(back), 3, back, MailResumed(user_id=back))
    await post.owner.execute(SQL.settle_addresses, 1, 7)
    rows = {tuple(row) for row in await post.owner.fetch(ADDRESSES)}
    assert rows == {(gone, 3, True, 3), (back, 0, False, 4)}


async def test_the_people_that_a_tail_tells_of_are_found_by_index_however_many_there_are(post: Post):
    await post.owner.execute(MANY)
    await post.owner.execute(TOLD)
    await post.owner.execute("analyze contact, preference, events.log")
    for query in (SQL.settle_wishes, SQL.settle_addresses):
        [[text]] = await post.owner.fetch(f"explain (format json) {query}", 1, AS_MANY)
        assert read_whole(json.loads(text)[0]["Plan"]).isdisjoint({"contact", "preference"})
        await post.owner.execute(query, 1, AS_MANY)
    for what in ("contact where suppressed_at is not null", """preference where "off" = '{overdue}'"""):
        assert await post.owner.fetchval(f"select count(*) from {what}") == AS_MANY / 2


async def say(post: Post, aggregate: UUID, before: int, person: UUID, *events: Struct) -> None:
    """Append to mailer's log what no row of its database knows."""
    change = Change(aggregate=aggregate, expected=before, subject=person, events=events)
    context = Context(time=system_clock(), correlation_id="", actor="system")
    async with post.owner.transaction():
        await append_last(post.owner, "MAILER", new_command(CODEC, context, change))
