"""What the mailer's tests share: a whole mailer over real backing, and somebody who asks for codes."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import nats as nats_py
from nacl.public import PrivateKey, SealedBox

from events.broker import Broker
from events.catalog.auth import Locale, OtpRequested, UserRegistered
from events.catalog.feeds import FEEDS
from events.catalog.mailer import MailFailed, MailSent
from events.catalog.types import TYPES
from events.codec import Codec
from events.envelope import Envelope, subject_of, to_headers
from events.health import Check, Health
from events.ids import uuid7
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles
from events.streams import apply
from local.fixtures import Database, until
from local.nats import Nats
from mailer.main import worker_tasks
from mailer.settings import Settings

CODEC = Codec(TYPES)
LINK_KEYS = f"u1:{'A' * 43}"
KEY, NEXT_KEY = PrivateKey.generate(), PrivateKey.generate()
RECIPIENT = "person@example.com"


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def seal(content: Any, key: PrivateKey = KEY, kid: str = "k1") -> str:
    """A box as auth makes it."""
    return f"{kid}.{text_of(SealedBox(key.public_key).encrypt(msgspec.json.encode(content)))}"


def asked(
    code: str = "519834",
    *,
    locale: Locale | None = None,
    lives: float = 300.0,
    sealed: str | None = None,
    key: PrivateKey = KEY,
    kid: str = "k1",
) -> OtpRequested:
    """A request for a code that lives for some seconds."""
    expires_at = datetime.now(UTC) + timedelta(seconds=lives)
    if sealed is None:
        sealed = seal({"recipient": RECIPIENT, "code": code, "expires_at": expires_at, "locale": locale}, key, kid)
    return OtpRequested(challenge_id=uuid7(), sealed=sealed, locale=locale, expires_at=expires_at)


def registered() -> UserRegistered:
    return UserRegistered(user_id=uuid7(), sealed_contact=seal({"recipient": RECIPIENT}), locale=None, timezone=None)


def settings(database: Database, server: Nats, **changes: Any) -> Settings:
    chosen: dict[str, Any] = {
        "app_env": "development",
        "database_url": database.url,
        "nats_url": server.url("mailer"),
        "mailer_private_keys": f"k1:{text_of(bytes(KEY))}",
        "unsubscribe_keys": LINK_KEYS,
        "from_email": "noreply@todo.example",
        "jwks_url": "http://127.0.0.1:1/jwks.json",
        "issuer": "https://issuer.test",
    }
    return Settings(**{**chosen, **changes})


def smtp_settings(port: int, **changes: Any) -> dict[str, Any]:
    """What a mailer needs to post to a mail server of this machine."""
    return {"mail_transport": "smtp", "smtp_server": "127.0.0.1", "smtp_port": port, **changes}


@dataclass
class Auth:
    """Says what auth and the others say, straight into the streams."""

    client: nats_py.NATS
    counts: dict[str, int] = field(default_factory=dict)

    async def say(
        self, data: Any, *, subject: UUID | None = None, event_id: UUID | None = None, time: datetime | None = None
    ) -> Envelope:
        """`subject` is the person, where the event itself does not say who."""
        service = CODEC.name_of(data).split(".")[0]
        feed = "OTP" if isinstance(data, OtpRequested) else service.upper()
        subject = subject or getattr(data, "challenge_id", None) or data.user_id
        self.counts[feed] = self.counts.get(feed, 0) + 1
        envelope = Envelope(
            id=event_id or uuid7(),
            type=CODEC.name_of(data),
            source=f"/{service}",
            subject=subject,
            time=time or datetime.now(UTC),
            seq=self.counts[feed],
            aggregate=subject,
            version=1,
            correlation_id="request-1",
            causation_id="request-1",
            actor="anonymous",
        )
        js = self.client.jetstream(timeout=5)
        await js.publish(subject_of(envelope), CODEC.encode(data).encode(), headers=to_headers(envelope))
        return envelope


@dataclass
class Post:
    """A database, a broker and somebody who asks; mailers are started on them."""

    database: Database
    server: Nats
    auth: Auth
    owner: asyncpg.Connection

    async def letter(self, cause: Envelope) -> asyncpg.Record | None:
        return await self.owner.fetchrow("select * from letter where cause = $1", cause.id)

    async def settled(self, cause: Envelope, state: str = "", *, within: float = 10.0) -> asyncpg.Record:
        """The letter of an event once it is settled: in this state, if one is given, and without its seal."""

        async def done() -> asyncpg.Record | None:
            row = await self.letter(cause)
            return row if row is not None and row["settled_at"] is not None else None

        row = await until(done, within=within)
        assert row["state"] == (state or row["state"]), row["reason"]
        assert row["sealed"] is None
        return row

    async def said(self) -> list[MailSent | MailFailed]:
        """What mailer's own log holds of letters and people."""
        rows = await self.owner.fetch("select type, data from events.log where type like 'mailer.%' order by seq")
        return [CODEC.decode(row["type"], row["data"]) for row in rows]

    async def change_letters(self, change: str) -> None:
        """Do what time does to letters, while somebody may be looking at them through `owner`."""
        owner = await asyncpg.connect(self.database.owner_url)
        try:
            await owner.execute(f"update letter set {change}")
        finally:
            await owner.close()

    async def cut_connections(self) -> None:
        """End every connection of mailers to their database."""
        admin = await asyncpg.connect(self.database.admin_url)
        try:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and usename = 'mailer'"
            )
        finally:
            await admin.close()

    async def let_log_in(self, *, allowed: bool) -> None:
        """Whether mailers can connect to their database anew."""
        admin = await asyncpg.connect(self.database.admin_url)
        try:
            await admin.execute(f"alter role mailer {'login' if allowed else 'nologin'}")
        finally:
            await admin.close()

    @asynccontextmanager
    async def mailer(self, **changes: Any) -> AsyncIterator[Health]:
        """A mailer that works while the body runs."""
        health = Health()
        chosen = settings(self.database, self.server, **changes)
        broker = Broker(chosen.nats, name="mailer")
        outlet = Outlet(FEEDS["MAILER"], dialer(chosen.database_url, application="test"), broker, Roles(api=False))
        health.add(*outlet.checks())
        async with (
            await open_pool(chosen.database_url, application="test") as pool,
            running(*worker_tasks(chosen, pool, health, broker, outlet.wake), *outlet.tasks()),
        ):
            yield health


def check_of(health: Health, name: str) -> Check:
    [check] = [check for check in health.checks() if check.name == name]
    return check


@asynccontextmanager
async def running(*tasks: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run tasks beside the body, and end them with it."""
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task()) for task in tasks]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@asynccontextmanager
async def opened(database: Database, server: Nats) -> AsyncIterator[Post]:
    async with AsyncExitStack() as stack:
        client = await nats_py.connect(server.url(), allow_reconnect=False, inbox_prefix="_INBOX_admin")
        stack.push_async_callback(client.close)
        for feed in ("OTP", "AUTH", "TODOS", "ACTIVITY", "MAILER"):
            await apply(client.jetstream(timeout=5), FEEDS[feed])
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        yield Post(database, server, Auth(client), owner)


@dataclass
class Process:
    """A mailer in a process of its own: what it wrote, once it has ended."""

    pid: int
    stdout: bytes = b""
    stderr: bytes = b""


def environment(post: Post, folder: Path) -> dict[str, str]:
    """What `python -m mailer` reads in development."""
    return {
        "APP_ENV": "development",
        "DATABASE_URL": post.database.url,
        "NATS_URL": post.server.url("mailer"),
        "JWKS_URL": "http://127.0.0.1:1/jwks.json",
        "ISSUER": "https://issuer.test",
        "MAILER_PRIVATE_KEYS": f"k1:{text_of(bytes(KEY))}",
        "UNSUBSCRIBE_KEYS": LINK_KEYS,
        "FROM_EMAIL": "noreply@todo.example",
        "MAIL_DIR": str(folder / "mails"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),  # the code under test, wherever it was imported from
    }


_AT_WORK = """
    select exists (select from pg_stat_activity where datname = current_database() and usename = 'mailer')
"""


@asynccontextmanager
async def service(post: Post, folder: Path, *, port: int = 0, **changes: str) -> AsyncIterator[Process]:
    """`python -m mailer` in development, once it works; SIGTERM ends it, unless it was killed before."""
    variables = environment(post, folder) | {"PORT": str(port), **changes}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mailer", stdout=out, stderr=err, env=variables
        )
        process = Process(child.pid)
        try:
            # On a busy machine a process takes longer to start than a letter may take.
            await until(lambda: post.owner.fetchval(_AT_WORK), within=30)
            yield process
        finally:
            with suppress(ProcessLookupError):
                child.terminate()
            await asyncio.wait_for(child.wait(), 10)
            process.stdout, process.stderr = (folder / "out").read_bytes(), (folder / "err").read_bytes()
