"""A person decides which letters come: signed in, or by one click on the link in a letter."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from hypothesis import given as over
from hypothesis import strategies as st
from mailing import LINK_KEYS, Post, asked, registered, running
from mailserver import MailServer
from test_notices import alarm

from api.app import create_app
from api.testing import People, serving
from events.broker import Broker
from events.catalog.auth import UserErased
from events.catalog.feeds import FEEDS
from events.catalog.mailer import MailPreferencesChanged, MailUnsubscribed
from events.catalog.todos import TodoOverdue
from events.clock import system_clock
from events.erasure import Tombstones
from events.health import Health
from events.ids import uuid7
from events.keys import read_keys
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles
from events.testing import given
from local.fixtures import until
from mailer.api import ROUTES, Choosing
from mailer.preferences import KINDS, PREFERENCES, Choose, Unsubscribe
from mailer.unsubscribe import Links, Wish

ADA = UUID(int=7)
WISHES = "/mail/preferences"
LINKS = Links(read_keys(LINK_KEYS, size=32), "https://issuer.test/")
EVERYTHING = dict.fromkeys(KINDS, True)
ONE_CLICK = {"content-type": "application/x-www-form-urlencoded"}
BODY = "List-Unsubscribe=One-Click"


@asynccontextmanager
async def facing(post: Post) -> AsyncIterator[tuple[httpx.AsyncClient, People]]:
    """Mailer's HTTP face, without its worker."""
    people = People()
    broker = Broker(post.server.url("mailer"), name="mailer")
    outlet = Outlet(FEEDS["MAILER"], dialer(post.database.url, application="test"), broker, Roles(worker=False))
    async with await open_pool(post.database.url, application="test") as pool:
        tombstones = Tombstones(pool)
        choosing = Choosing(outlet.log, pool, system_clock, LINKS, tombstones)
        app = create_app(title="Mail", routes=ROUTES, health=Health(), guard=people.guard, parts={"choosing": choosing})
        async with running(*outlet.tasks(), tombstones.run), serving(app) as http:
            yield http, people


async def test_everything_is_on_until_a_person_says_otherwise(post: Post) -> None:
    async with facing(post) as (http, people):
        headers = people.headers(ADA)
        first = await http.get(WISHES, headers=headers)
        assert (first.status_code, first.headers["etag"], first.json()["data"]) == (200, '"0"', EVERYTHING)
        changed = await http.patch(WISHES, json={"overdue": False, "welcome": True}, headers=headers)
        assert (changed.status_code, changed.headers["etag"]) == (200, '"1"')
        assert changed.headers["x-event-position"] == "MAILER:1"
        after = await http.get(WISHES, headers=headers)
        assert after.json()["data"] == changed.json()["data"] == EVERYTHING | {"overdue": False}
        assert (await http.get(WISHES, headers=people.headers(uuid7()))).json()["data"] == EVERYTHING
        assert (await http.get(WISHES)).status_code == 401
    assert await post.said() == [MailPreferencesChanged(user_id=ADA, overdue=False)]


async def test_a_change_is_made_once_and_not_on_what_another_changed(post: Post) -> None:
    async with facing(post) as (http, people):
        headers = people.headers(ADA)
        keyed = headers | {"idempotency-key": "k", "if-match": '"0"'}
        first, again = [await http.patch(WISHES, json={"welcome": False}, headers=keyed) for _ in range(2)]
        assert first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"
        stale = await http.patch(WISHES, json={"welcome": True}, headers=headers | {"if-match": '"0"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "stale")
        same = await http.patch(WISHES, json={"welcome": False}, headers=headers)
        assert (same.status_code, same.headers["etag"]) == (200, '"1"')
        for wrong in ({"welcome": None}, {"welcome": "no"}, []):
            assert (await http.patch(WISHES, json=wrong, headers=headers)).status_code == 422
    assert len(await post.said()) == 1


async def test_after_a_restore_that_lost_what_was_chosen_people_choose_again(post: Post) -> None:
    """Its events are in the log again, the row is not."""
    async with facing(post) as (http, people):
        headers = people.headers(ADA)
        await http.patch(WISHES, json={"overdue": False}, headers=headers)
        await post.owner.execute("delete from preference")
        again = await http.patch(WISHES, json={"overdue": False}, headers=headers)
        assert (again.status_code, again.headers["etag"]) == (200, '"2"')
        assert again.json()["data"] == EVERYTHING | {"overdue": False}


async def test_the_link_shows_with_get_and_acts_with_post(post: Post) -> None:
    path = LINKS.link(ADA, "overdue").removeprefix("https://issuer.test")
    async with facing(post) as (http, people):
        for method in ("GET", "HEAD"):
            shown = await http.request(method, path)
            assert shown.status_code == 200
        assert 'form method="post"' in (await http.get(path)).text
        assert "마감 지남" in (await http.get(path, headers={"accept-language": "ko"})).text
        assert await post.said() == []
        for _ in range(2):
            done = await http.post(path, content=BODY, headers=ONE_CLICK)
            assert (done.status_code, done.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "form" not in done.text.partition("</head>")[2]
        wanted = (await http.get(WISHES, headers=people.headers(ADA))).json()["data"]
    assert wanted == EVERYTHING | {"overdue": False}
    assert await post.said() == [MailUnsubscribed(user_id=ADA, kind="overdue")]


async def test_a_wrong_link_is_nothing(post: Post) -> None:
    token = LINKS.token(ADA, "overdue")
    foreign = Links(read_keys(f"u1:{'B' * 43}", size=32), "").token(ADA, "overdue")
    async with facing(post) as (http, _):
        for wrong in (
            foreign,
            token[:-1] + ("A" if token[-1] != "A" else "B"),
            token + "A",
            token[:-1],
            "u1.",
            "x",
            "%F0",
        ):
            for method in ("GET", "POST"):
                refused = await http.request(method, f"/mail/unsubscribe/{wrong}")
                assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), wrong
    assert await post.said() == []


async def test_the_link_of_an_erased_person_is_nothing(post: Post) -> None:
    ada = registered()
    path = f"/mail/unsubscribe/{LINKS.token(ada.user_id, 'overdue')}"
    async with post.mailer(), facing(post) as (http, people):
        await post.auth.say(ada)
        await http.patch(WISHES, json={"welcome": False}, headers=people.headers(ada.user_id))
        await post.auth.say(UserErased(user_id=ada.user_id))
        await until(lambda: post.owner.fetchval("select count(*) = 1 from events.erasure where erased_at is not null"))
        assert await post.owner.fetchval("select count(*) from preference") == 0

        async def gone() -> bool:
            return (await http.post(path)).status_code == 404

        await until(gone)
        assert await post.owner.fetchval("select count(*) from preference") == 0


async def test_nothing_is_kept_of_what_a_person_chooses_after_their_erasure(post: Post) -> None:
    async with facing(post) as (http, people):
        await post.owner.execute("select events.forget($1, $2)", ADA, uuid7())
        answers = [
            await http.patch(WISHES, json={"overdue": False}, headers=people.headers(ADA)),
            await http.post(LINKS.link(ADA, "overdue").removeprefix("https://issuer.test")),
        ]
    assert {answer.status_code for answer in answers} <= {200, 401, 404}
    assert await post.owner.fetchval("select count(*) from preference") == 0


async def test_what_a_person_does_not_want_is_not_sent_and_all_else_is(
    post: Post, server: MailServer, by_smtp: dict[str, Any]
) -> None:
    ada = registered()
    async with post.mailer(**by_smtp), facing(post) as (http, _):
        await post.settled(await post.auth.say(ada), "sent")
        first = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        await post.settled(first, "sent")
        [link] = re.findall("<https://issuer.test(.*)>", server.mails[-1]["List-Unsubscribe"])
        assert server.mails[-1]["List-Unsubscribe-Post"] == BODY
        assert link in server.mails[-1].get_body(("plain",)).get_content()
        assert (await http.post(link, content=BODY, headers=ONE_CLICK)).status_code == 200
        second = await post.auth.say(alarm(TodoOverdue, due_in=-5), subject=ada.user_id)
        assert (await post.settled(second, "skipped"))["reason"] == "unwanted"
        await post.settled(await post.auth.say(asked()), "sent")
    assert len(server.mails) == 3
    assert all("List-Unsubscribe" not in mail for mail in server.mails if "OTP" in mail["Subject"])


@over(st.uuids(), st.sampled_from(KINDS))
def test_a_token_says_whose_letters_of_which_kind(user_id: UUID, kind: Any) -> None:
    assert LINKS.read(LINKS.token(user_id, kind)) == Wish(user_id, kind)


@over(st.text())
def test_any_other_text_is_no_token(text: str) -> None:
    assert LINKS.read(text) is None
    assert LINKS.read(f"u1.{text}") is None


def test_a_person_decides_kind_by_kind() -> None:
    off = given(PREFERENCES).when(Unsubscribe(ADA, "welcome")).then(MailUnsubscribed(user_id=ADA, kind="welcome"))
    off.when(Unsubscribe(ADA, "welcome")).then_nothing()
    off.when(Choose(ADA, {"welcome": False})).then_nothing()
    on = off.when(Choose(ADA, {"welcome": True, "overdue": False, "completion": True})).then(
        MailPreferencesChanged(user_id=ADA, welcome=True, overdue=False)
    )
    assert on.state.off == {"overdue"}
