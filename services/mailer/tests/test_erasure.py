"""Of a person who was erased the mailer knows neither an address nor a letter."""

from typing import Any
from uuid import uuid4

import asyncpg
import mailing
import pytest
from aiosmtpd.smtp import SMTP
from mailserver import MailServer
from test_notices import alarm

from api.app import create_app
from api.testing import People, serving
from events.catalog.auth import UserErased
from events.catalog.todos import TodoOverdue
from events.health import Health
from events.postgres import open_pool
from local.fixtures import until
from mailer.main import export


async def erased(post: mailing.Post) -> None:
    done = "select count(*) = 1 and bool_and(erased_at is not null) from events.erasure"
    await until(lambda: post.owner.fetchval(done))


async def contacts(post: mailing.Post) -> int:
    return await post.owner.fetchval("select count(*) from contact")


LETTER = """
insert into letter (
    id, due_at, kind, cause, subject, correlation_id, traceparent, happened_at, locale, message_id, sealed
)
values (gen_random_uuid(), 'infinity', 'code', $1, $1, '', '', clock_timestamp(), 'ko', '', 'k1.box')
"""


async def test_contact_and_letters_of_an_erased_person_go_and_those_of_others_stay(post: mailing.Post) -> None:
    me, other = mailing.registered(), mailing.registered()
    async with post.mailer():
        await post.auth.say(me)
        await post.auth.say(other)
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact"))
        for person in (me, other):
            await post.owner.execute(LETTER, person.user_id)
        await post.auth.say(UserErased(user_id=me.user_id))
        await erased(post)
    assert await post.owner.fetchval("select user_id from contact") == other.user_id
    assert await post.owner.fetchval("select subject from letter") == other.user_id


async def test_an_export_holds_every_letter_of_the_person_and_none_of_others(
    post: mailing.Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.exports.PAGE", 2)
    me, other, people = mailing.registered().user_id, mailing.registered().user_id, People()
    for person in (me, me, me, me, me, other):
        await post.owner.execute(LETTER, person)
    async with await open_pool(post.database.url, application="mailer") as pool:
        app = create_app(title="Mail", routes=[export(pool)], health=Health(), guard=people.guard)
        async with serving(app) as http:
            exported = (await http.get("/mail/export", headers=people.headers(me))).json()["data"]
    mine = await post.owner.fetch("select id from letter where subject = $1 order by happened_at, id", me)
    assert [letter["id"] for letter in exported.pop("letters")] == [str(row["id"]) for row in mine]
    assert exported == {"contact": None, "preferences": None, "events": []}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_nobody_is_remembered_after_an_erasure(post: mailing.Post, together: bool) -> None:
    """However the log comes in: also a rebuilt one, or a batch that holds a whole life."""
    me = mailing.registered()
    if together:
        await post.auth.say(me)
    await post.auth.say(UserErased(user_id=me.user_id))
    async with post.mailer():
        await erased(post)
        if not together:
            await post.auth.say(me)
        await post.auth.say(UserErased(user_id=uuid4()))
        await until(lambda: post.owner.fetchval("select count(*) = 2 from events.erasure"))
    assert await contacts(post) == 0


async def test_an_erasure_under_way_and_an_outcome_do_not_wait_for_each_other(
    post: mailing.Post, server: MailServer, by_smtp: dict[str, Any]
) -> None:
    me, eraser = mailing.registered(), await asyncpg.connect(post.database.owner_url)
    begun = eraser.transaction()

    async def begin(smtp: SMTP) -> str:
        await begun.start()
        await eraser.execute("select pg_advisory_xact_lock(hashtext('events.erasure'))")
        return "250 OK"

    try:
        async with post.mailer(**by_smtp):
            await post.settled(await post.auth.say(me), "sent")
            await post.owner.execute("update contact set refusals = 1")
            server.data.append(begin)
            cause = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=me.user_id)
            await until(lambda: post.owner.fetchval("select true from pg_locks where not granted"))
            await eraser.execute("select from contact for update nowait")
            await begun.commit()
            await post.settled(cause, "sent")
    finally:
        await eraser.close()
