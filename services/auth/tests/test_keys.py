"""Signing keys: made, hidden, rotated without a failed request, revoked at once."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg
import jwt
import pytest
from signing import WRAPPING, Clock, Service, key, running
from test_commands import command

from api.problems import Problem
from auth import keyring as keyrings
from auth.keyring import LEAD, LIFETIME, MAX_AGE, TAIL, Keyring, rotate
from auth.seals import unwrap, wrap
from events.keys import Keys, read_keys
from events.postgres import open_pool
from local.fixtures import DatabaseFactory, until


def wrapping() -> Keys:
    return read_keys(WRAPPING, size=32)


async def published(auth: Service) -> set[str]:
    return {each["kid"] for each in (await auth.http.get("/.well-known/jwks.json")).json()["keys"]}


def kid_of(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


@asynccontextmanager
async def replicas(url: str, count: int = 2) -> AsyncIterator[list[Service]]:
    """Instances over one database, by one clock."""
    async with AsyncExitStack() as stack:
        clock, shared = Clock(), {"REFRESH_KEYS": key()}
        yield [await stack.enter_async_context(running(url, clock, **shared)) for _ in range(count)]


@dataclass
class Verifier:
    """Somebody who checks offline and keeps the published keys as long as anybody may: from a cache that did so too."""

    auth: Service
    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    cached: tuple[datetime, dict[str, object]] | None = None
    fetched: datetime | None = None

    async def verify(self, token: str, now: datetime) -> None:
        if self.fetched is None or now - self.fetched >= MAX_AGE:
            if self.cached is None or now - self.cached[0] >= MAX_AGE:
                self.cached = now, (await self.auth.http.get("/.well-known/jwks.json")).json()
            self.keys = {each.key_id or "": each for each in jwt.PyJWKSet.from_dict(self.cached[1]).keys}
            self.fetched = now
        options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        found = self.keys[kid_of(token)].key
        jwt.decode(token, found, algorithms=["EdDSA"], audience="todo", issuer="https://todo.test", options=options)


@dataclass
class Crowd:
    """People who use tokens to their last second, of whatever replica, and verifiers with the oldest keys."""

    replicas: list[Service]
    signed_in: dict[str, str]
    tokens: list[tuple[datetime, str]] = field(default_factory=list)
    kids: list[str] = field(default_factory=list)
    used: int = 0

    def __post_init__(self) -> None:
        self.verifiers = [Verifier(auth) for auth in self.replicas]

    async def act(self, now: datetime) -> None:
        for auth in self.replicas:
            answer = await auth.refresh(self.signed_in["refresh_token"])
            assert answer.status_code == 200, answer.text
            self.signed_in |= answer.json()["data"]
            self.tokens.append((now, self.signed_in["access_token"]))
            self.kids.append(kid_of(self.signed_in["access_token"]))
        self.tokens = [(made, token) for made, token in self.tokens if now - made < LIFETIME - timedelta(seconds=3)]
        for _, token in (self.tokens[0], self.tokens[len(self.tokens) // 2], self.tokens[-1]):
            for verifier in self.verifiers:
                await verifier.verify(token, now)
            for auth in self.replicas:
                assert (await auth.me(token)).status_code == 200
            self.used += 1


async def test_no_request_fails_over_a_whole_rotation(database: DatabaseFactory, full: bool) -> None:
    url = database("auth").url
    async with replicas(url) as both, await open_pool(url, application="auth") as pool:
        clock, step = both[0].clock, 10 if full else 60
        [old] = await published(both[0])
        crowd = Crowd(both, await both[0].sign_in())
        await crowd.act(clock())
        done = await rotate(pool, wrapping(), clock(), at_once=False)
        await until(lambda: all_publish(done.kid, both))
        end = clock() + LEAD + TAIL + 2 * MAX_AGE
        while clock() < end:
            await crowd.act(clock())
            clock.move(seconds=step)
        assert (crowd.kids[0], crowd.kids[-1]) == (old, done.kid)
        assert crowd.kids == sorted(crowd.kids, key=lambda kid: kid != old), "it changes once"
        assert [await published(auth) for auth in both] == [{done.kid}] * 2
        assert crowd.used > 100


async def all_publish(kid: str, replicas: list[Service]) -> bool:
    return all([kid in await published(auth) for auth in replicas])


async def test_a_revoked_key_is_gone_at_once_with_all_its_tokens(database: DatabaseFactory) -> None:
    url = database("auth").url
    async with replicas(url) as (one, two):
        ada = await one.sign_in()
        [old] = await published(one)
        for auth in (one, two):
            assert (await auth.me(ada["access_token"])).is_success
        code, said, _ = await command(url, "rotate-keys", "--now")
        assert (code, "all others are revoked" in said) == (0, True)
        await until(lambda: replaced(old, one, two), within=5)
        for auth in (one, two):
            assert (await auth.me(ada["access_token"])).status_code == 401, "also where the token was seen before"
        fresh = (await two.refresh(ada["refresh_token"])).json()["data"]["access_token"]
        assert kid_of(fresh) != old
        assert (await one.me(fresh)).is_success


async def replaced(old: str, *replicas: Service) -> bool:
    kids = [await published(auth) for auth in replicas]
    return all(len(each) == 1 and old not in each for each in kids)


async def test_replicas_that_start_together_make_one_key(database: DatabaseFactory) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        now = datetime.now(UTC)
        keyrings = [Keyring(pool, wrapping(), lambda: now) for _ in range(8)]
        await asyncio.gather(*(each.read() for each in keyrings))
        assert await pool.fetchval("select count(*) from signing_key") == 1
        assert len({each.signer().kid for each in keyrings}) == 1


async def test_everybody_who_asks_for_a_key_that_another_replica_just_made_gets_it(database: DatabaseFactory) -> None:
    """Also who comes while the first one's question is under way; and nobody waits for a run that reads anew."""
    async with await open_pool(database("auth").url, application="auth") as pool:
        clock = Clock()
        mine = Keyring(pool, wrapping(), clock)
        async with asyncio.TaskGroup() as group:
            first = [group.create_task(mine.find("unknown")) for _ in range(3)]
        assert {task.result() for task in first} == {None}
        await until(lambda: monotonic() - mine._read_at > keyrings.PAUSE)
        made = await rotate(pool, wrapping(), clock(), at_once=True)
        async with asyncio.TaskGroup() as group:
            found = [group.create_task(mine.find(made.kid)) for _ in range(5)]
        assert all(task.result() for task in found)


async def test_rotations_at_once_leave_one_successor(database: DatabaseFactory) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        now = datetime.now(UTC)
        await Keyring(pool, wrapping(), lambda: now).read()
        await asyncio.gather(*(rotate(pool, wrapping(), now, at_once=False) for _ in range(5)))
        assert await pool.fetchval("select count(*) from signing_key where drop_after is null") == 1
        later = Keyring(pool, wrapping(), lambda: now + LEAD)
        await later.read()
        assert later.signer().kid in {row["kid"] for row in await pool.fetch("select kid from signing_key")}


async def test_no_seed_is_in_clear_in_a_table_or_a_log(
    database: DatabaseFactory, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    seed = b"0123456789abcdef0123456789abcdef"
    monkeypatch.setattr(keyrings.secrets, "token_bytes", lambda size: seed if size == 32 else os.urandom(size))
    async with running(database("auth").url) as auth:
        monkeypatch.undo()
        rows = await auth.pool.fetch("select t::text as row from signing_key t")
        shown = "".join(row["row"] for row in rows) + caplog.text + "".join(capfd.readouterr())
        assert "the signing keys are new" in shown
        for text in (seed.decode(), seed.hex(), key(seed).partition(":")[2]):
            assert text not in shown
            assert key(text.encode()).partition(":")[2] not in shown


async def test_keys_that_nobody_can_open_any_more_are_given_up_by_revoking_them(database: DatabaseFactory) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        await Keyring(pool, wrapping(), lambda: datetime.now(UTC)).read()
        other = read_keys(key(kid="k2"), size=32)
        blind = Keyring(pool, other, lambda: datetime.now(UTC))
        done = await rotate(pool, other, datetime.now(UTC), at_once=True)
        await blind.read()
        assert (blind.check().state, blind.signer().kid) == ("ok", done.kid)


async def test_a_key_wrapped_under_a_key_that_is_gone_is_said_and_none_is_made_in_its_place(
    database: DatabaseFactory,
) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        first = Keyring(pool, wrapping(), lambda: datetime.now(UTC))
        await first.read()
        blind = Keyring(pool, read_keys(key(kid="k2"), size=32), lambda: datetime.now(UTC))
        await blind.read()
        assert (blind.check().state, "KEY_WRAPPING_KEYS" in blind.check().detail) == ("failed", True)
        rewrapped = Keyring(pool, read_keys(f"{key(kid='k2')},{WRAPPING}", size=32), lambda: datetime.now(UTC))
        await rewrapped.read()
        assert rewrapped.signer().kid == first.signer().kid
        assert await pool.fetchval("select count(*) from signing_key") == 1


def test_a_wrap_opens_under_its_own_name_alone() -> None:
    wrapped = wrap(wrapping(), "k1", b"seed")
    assert unwrap(wrapping(), "k1", wrapped) == b"seed"
    assert unwrap(wrapping(), "k2", wrapped) is None
    assert unwrap(wrapping(), "k1", wrapped[:-1]) is None


async def test_keys_at_hand_go_on_while_the_database_is_away(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        owner = await asyncpg.connect(made.owner_url)
        await owner.execute("alter table signing_key rename to elsewhere")
        await owner.close()
        keyring = Keyring(auth.pool, wrapping(), auth.clock)
        keyring_runs = asyncio.create_task(keyring.run())
        await until(lambda: "cannot be read" in keyring.check().detail)
        assert keyring.check().state == "failed"
        with pytest.raises(Problem):
            keyring.published()
        keyring_runs.cancel()
        assert (await auth.http.get("/.well-known/jwks.json")).is_success
