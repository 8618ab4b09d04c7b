"""The service as its tests run it: over real PostgreSQL, behind its real server, without NATS (the API needs none)."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import msgspec
from nacl.public import PrivateKey, SealedBox

from api.app import create_app
from api.guard import Guard
from api.testing import serving
from auth.account import Accounts
from auth.api import ROUTES
from auth.erasure import Exports
from auth.leaving import ROUTES as LEAVING
from auth.leaving import Leaving
from auth.main import assemble
from auth.seals import CodeLetter
from auth.settings import Settings
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.erasure import Tombstones
from events.health import Health
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles
from events.settings import read, urls_of

BOX = PrivateKey.generate()
ADA = "ada@example.test"
LIMITS = ("OTP_RESEND_SECONDS", "OTP_PER_HOUR", "OTP_PER_DAY", "OTP_PER_IP_PER_HOUR", "GUESSES_PER_IP_PER_HOUR")


def key(value: bytes | None = None, kid: str = "k1") -> str:
    """A key as settings hold it."""
    return f"{kid}:{base64.urlsafe_b64encode(value or os.urandom(32)).decode().rstrip('=')}"


WRAPPING = key()


def environment(**values: str) -> dict[str, str]:
    """A complete environment of production."""
    names = ("REFRESH_KEYS", "OTP_PEPPERS", "DEVICE_KEYS")
    return {
        "DATABASE_URL": "postgres://localhost",
        "NATS_URL": "nats://127.0.0.1:1",
        "ISSUER": "https://todo.test",
        "MAILER_PUBLIC_KEYS": key(bytes(BOX.public_key), "box"),
        "KEY_WRAPPING_KEYS": WRAPPING,
        **{name: key() for name in names},
        **values,
    }


def opened(sealed: str) -> CodeLetter:
    """What the mailer finds in a seal."""
    kid, _, text = sealed.partition(".")
    assert kid == "box"
    return msgspec.json.decode(SealedBox(BOX).decrypt(base64.urlsafe_b64decode(text + "==")), type=CodeLetter)


@dataclass
class Clock:
    """A clock that a test moves."""

    offset: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def move(self, **by: float) -> None:
        self.offset += timedelta(**by)


@dataclass(frozen=True)
class Service:
    http: httpx.AsyncClient
    pool: asyncpg.Pool
    clock: Clock
    accounts: Accounts
    woken: list[str]

    async def ask(self, email: str = ADA, device_token: str | None = None, **headers: str) -> httpx.Response:
        body = {"email": email, "device_token": device_token}
        return await self.http.post("/users/request-otp", json=body, headers=headers)

    async def challenge(self, email: str = ADA) -> dict[str, str]:
        """Ask, and read the mail: everything that a right answer needs."""
        asked = await self.ask(email)
        assert asked.status_code == 200, asked.text
        challenge_id = asked.json()["data"]["challenge_id"]
        return {"email": email, "challenge_id": challenge_id, "otp_code": (await self.letter(challenge_id)).code}

    async def letter(self, challenge_id: str) -> CodeLetter:
        data = await self.pool.fetchval(
            "select data from events.log where feed = 'OTP' and aggregate = $1", challenge_id
        )
        return opened(msgspec.json.decode(data)["sealed"])

    async def answer(self, answer: dict[str, str], **headers: str) -> httpx.Response:
        return await self.http.post("/users/verify-otp", json=answer, headers=headers)

    async def sign_in(self, email: str = ADA, **headers: str) -> dict[str, str]:
        signed_in = await self.answer(await self.challenge(email), **headers)
        assert signed_in.status_code == 200, signed_in.text
        return signed_in.json()["data"]

    async def refresh(self, token: str) -> httpx.Response:
        return await self.http.post("/users/refresh", json={"refresh_token": token})

    async def me(self, token: str) -> httpx.Response:
        return await self.http.get("/users/me", headers={"authorization": f"Bearer {token}"})

    async def call(self, method: str, path: str, token: str, body: object = None, **headers: str) -> httpx.Response:
        """A request of somebody signed in; `headers` are named with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        json = {} if body is None else {"json": body}
        return await self.http.request(method, path, headers={"authorization": f"Bearer {token}", **named}, **json)

    async def logout(self, token: str) -> httpx.Response:
        return await self.http.post("/users/logout", headers={"authorization": f"Bearer {token}"})

    async def said(self) -> list[str]:
        """What feed AUTH says, type by type."""
        rows = await self.pool.fetch("select type from events.log where feed = 'AUTH' order by seq")
        return [row["type"].split(".")[1] for row in rows]

    async def events(self, name: str) -> list[asyncpg.Record]:
        return await self.pool.fetch("select * from events.log where type = $1 order by seq", f"auth.{name}.v1")


@asynccontextmanager
async def appends_held_up(owner_url: str) -> AsyncIterator[None]:
    """Whatever is appended waits meanwhile."""
    owner = await asyncpg.connect(owner_url)
    try:
        async with owner.transaction():
            await owner.execute("select from events.feed for update")
            yield
    finally:
        await owner.close()


def wrong(answer: dict[str, str]) -> dict[str, str]:
    """The same answer with another code."""
    return answer | {"otp_code": f"{(int(answer['otp_code']) + 1) % 10**6:06}"}


@asynccontextmanager
async def running(url: str, clock: Clock | None = None, *, port: int = 0, **values: str) -> AsyncIterator[Service]:
    """The service on a database; `values` are variables of its environment. No limits but those that are set."""
    unlimited = dict.fromkeys(LIMITS, "0")
    settings, clock, health = read(Settings, environment(**(unlimited | values))), clock or Clock(), Health()
    dial, roles = dialer(url, application="auth"), Roles(worker=False)
    otp, auth = (Outlet(FEEDS[n], dial, Broker(settings.nats, name="auth"), roles) for n in ("OTP", "AUTH"))
    async with await open_pool(url, application="auth") as pool, asyncio.TaskGroup() as group:
        door = assemble(settings, pool, clock, otp_log=otp.log, log=auth.log)
        keyring = door.auth.access.keys
        await keyring.read()
        tasks = [group.create_task(task()) for task in (keyring.run, *door.auth.tasks, *otp.tasks(), *auth.tasks())]
        tombstones, exports = Tombstones(pool), Exports(pool, urls_of(settings.export_urls))
        guard = Guard(
            keyring.find,
            issuer=settings.issuer,
            audience=settings.audience,
            clock=clock,
            refuse=lambda person: person.id in tombstones,
        )
        accounts, woken = Accounts(door.auth.log, pool, clock), list[str]()
        leaving = Leaving(door.auth, clock, exports, tombstones, lambda: woken.append("eraser"))
        parts = {"door": door, "accounts": accounts, "leaving": leaving}
        app = create_app(title="Signing in", routes=(*ROUTES, *LEAVING), health=health, guard=guard, parts=parts)
        async with serving(app, port=port) as http:
            yield Service(http, pool, clock, accounts, woken)
        for task in tasks:
            task.cancel()
