"""A database that came back from a copy, its log's tail imported: its accounts and sessions are as that tells."""

import json
from uuid import UUID

import asyncpg
import copying
import feeding
import pytest
from copying import Copy
from feeding import make_stream
from planning import read_whole
from signing import ADA, Service, running
from test_leaving import leave
from test_own_sessions import sid
from test_reserved import reserve

from auth.account import change_role
from auth.erasure import erase_person
from events.acts import By
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.eraser import Eraser
from events.errors import BadAct
from events.sql import load
from local.fixtures import Database, DatabaseFactory
from local.nats import Nats
from local.prepare import connected
from ops.abandoning import abandon
from ops.importing import import_tail

SETTLE = load("ops").settle_accounts
ROWS = ("account", "session", "events.erasure", "events.deletion")
LEFT = "brings accounts and sessions"
CAME = ["OtpVerified", "UserRegistered", "UserSignedIn"]
TAIL = [*CAME, *CAME, "ProfileChanged"]
ACCOUNTS = "select * from account order by id"
SESSIONS = "select id, version, user_id, ended_at, expires_at from session order by id"
WITHOUT_ACCOUNT = """
select aggregate from events.log
where type = 'auth.UserRegistered.v1' and not exists (select from account where id = aggregate)
"""
"""As docs/operations.md has an operator ask."""
MANY = """
with people as (
    insert into account (id, version, email, registered_at)
    select gen_random_uuid(), 1, n || '@example.test', now() from generate_series(1, 20000) n returning id
)
insert into session (id, version, user_id, refresh_hash, created_at, refreshed_at, expires_at)
select gen_random_uuid(), 1, id, '', now(), now(), now() from people
"""
AS_MANY = 1_000
TOLD = """
insert into events.log (
    feed, seq, id, command_id, aggregate, version, type, subject, time, correlation_id, causation_id, actor,
    traceparent, data
)
select
    'AUTH', row_number() over (), id, id, id, 2, type, id, now(), '', '', '', '', '{"name": "Ann"}'
from (
    (select id, 'auth.ProfileChanged.v1' as type from account limit 500)
    union all (select id, 'auth.UserSignedOut.v1' from session limit 500)
) as told
"""


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail comes back in several parts."""
    monkeypatch.setattr("ops.importing.PULLED", 2)


async def copied(database: Database, nats: Nats, owner: asyncpg.Connection) -> Copy:
    """A copy of its database, and a stream for its log."""
    await make_stream(nats, "AUTH")
    return await copying.copied("AUTH", database, nats, owner, ROWS)


async def test_accounts_and_sessions_of_a_copy_are_what_was_said_since_and_change_and_go_as_ever(
    database: DatabaseFactory, nats: Nats, in_parts: None
) -> None:
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        ada, lost = await auth.sign_in(), await auth.sign_in()
        token = ada["access_token"]
        await change_role(auth.accounts, ADA, "operator", "grant")
        await changed(auth, token, name="Ada", timezone="Asia/Seoul")
        copy = await copied(made, nats, owner)
        await changed(auth, token, name=None, quiet_from="22:00", quiet_to="07:00")
        await changed(auth, token, locale="en")
        await change_role(auth.accounts, ADA, "operator", "revoke")
        await change_role(auth.accounts, ADA, "analyst", "grant")
        await auth.call("DELETE", f"/users/me/sessions/{sid(lost)}", token)
        accounts, sessions = await owner.fetch(ACCOUNTS), await owner.fetch(SESSIONS)
        await copy.restore_with_its_tail(LEFT)
        assert await owner.fetch(ACCOUNTS) == accounts
        assert await owner.fetch(SESSIONS) == sessions
        assert (await auth.refresh(lost["refresh_token"])).status_code == 401
        await changed(auth, token, name="Augusta")
        assert await change_role(auth.accounts, ADA, "operator", "grant")
        assert (await leave(auth, ada, await auth.challenge())).status_code == 200


async def test_who_registered_since_on_an_id_that_the_copy_has_reserved_is_registered(
    database: DatabaseFactory, nats: Nats
) -> None:
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        reserved = await reserve(auth)
        copy = await copied(made, nats, owner)
        await auth.sign_in()
        accounts = await owner.fetch(ACCOUNTS)
        await copy.restore_with_its_tail(LEFT)
        assert await owner.fetch(ACCOUNTS) == accounts
        assert (await auth.sign_in())["user"]["id"] == str(reserved)


async def test_who_registered_since_and_has_no_account_is_erased_by_an_operator(
    database: DatabaseFactory, nats: Nats
) -> None:
    made = database("auth")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        await auth.sign_in("eve@example.test")
        copy = await copied(made, nats, owner)
        lost = await auth.sign_in()
        await changed(auth, lost["access_token"], name="Ada")
        await copy.restore_with_its_tail(LEFT)
        assert await owner.fetchval("select count(*) from account") == 1
        ada = UUID(lost["user"]["id"])
        assert [row["aggregate"] for row in await owner.fetch(WITHOUT_ACCOUNT)] == [ada]
        assert [await erase_person(auth.accounts, ada) for _ in range(2)] == [True, False]
        [said] = await auth.events("UserErased")
        assert (said["version"], said["subject"], await auth.said()) == (3, ada, [*TAIL, "UserErased"])
        eraser = Eraser(auth.pool, Broker(nats.url("auth"), name="test"), [FEEDS["AUTH"]])
        assert await eraser.erase_rows()
        assert await auth.said() == [*TAIL[:3], *["Erased"] * 4, "UserErased"]
        assert (await auth.sign_in())["user"]["id"] != lost["user"]["id"]
        assert await owner.fetch(WITHOUT_ACCOUNT) == []
        assert await owner.fetchval("select count(*) from account") == 2


async def test_who_deleted_their_account_since_and_is_back_with_the_copy_is_erased_again_and_not_published(
    database: DatabaseFactory, nats: Nats
) -> None:
    made, broker = database("auth"), Broker(nats.url("auth"), name="test")
    async with running(made.url) as auth, connected(made.owner_url) as owner:
        back = await auth.sign_in()
        eve, copy = await auth.sign_in("eve@example.test"), await copied(made, nats, owner)
        await leave(auth, back, await auth.challenge())
        eraser = Eraser(auth.pool, broker, [FEEDS["AUTH"]])
        await copy.relay()
        assert await eraser.erase_rows()
        async with feeding.client(nats) as client:
            await eraser.delete_messages(client.jetstream(timeout=5), fresh=False)
        await copy.restore()
        with pytest.raises(BadAct, match="lacks 1, which its log has; after a restore read "):
            await import_tail(copy.places(), "AUTH", By("mina", "restored"), lambda *_: None)
        assert await erase_person(auth.accounts, UUID(back["user"]["id"]))
        assert await eraser.erase_rows()
        await abandon(copy.places(), "AUTH", copy.last + 1, By("mina", "restored"), lambda *_: None)
        await copy.relay()
        said = ["Erased"] * 3 + [*CAME, "UserErased"]
        assert await auth.said() == said
        assert await published(nats) == said
        assert (await auth.me(eve["access_token"])).status_code == 200


async def test_the_rows_that_a_tail_tells_of_are_found_by_index_however_many_there_are(
    database: DatabaseFactory,
) -> None:
    async with connected(database("auth").owner_url) as owner:
        await owner.execute(MANY)
        await owner.execute(TOLD)
        await owner.execute("analyze account, session, events.log")
        [[text]] = await owner.fetch(f"explain (format json) {SETTLE}", 1, AS_MANY)
        assert read_whole(json.loads(text)[0]["Plan"]).isdisjoint({"account", "session"})
        await owner.execute(SETTLE, 1, AS_MANY)
        for what in ("account where name = 'Ann'", "session where ended_at is not null"):
            assert await owner.fetchval(f"select count(*) from {what} and version = 2") == AS_MANY / 2


async def published(nats: Nats) -> list[str]:
    """What stream AUTH says, type by type."""
    async with feeding.client(nats) as client:
        js = client.jetstream(timeout=5)
        last = (await js.stream_info("AUTH")).state.last_seq
        messages = [await js.get_msg("AUTH", seq) for seq in range(1, last + 1)]
    return [(message.headers or {})["ce-type"].split(".")[1] for message in messages]


async def changed(auth: Service, token: str, **profile: str | None) -> None:
    """Change a profile."""
    answer = await auth.call("PATCH", "/users/me", token, profile)
    assert answer.status_code == 200, answer.text
