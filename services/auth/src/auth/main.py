"""Puts the service together and runs it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, get_args
from uuid import UUID

import asyncpg

from api.app import create_app
from api.guard import Guard
from api.server import listen, serve
from auth.account import Accounts, change_role
from auth.api import ROUTES, Door
from auth.erasure import Exports, erase_person
from auth.keyring import Keyring, rotate
from auth.leaving import ROUTES as LEAVING
from auth.leaving import Leaving
from auth.limits import Limiter, address_of
from auth.seals import Peppers
from auth.settings import KEY_SIZE, Settings
from auth.signin import Auth, Policy
from auth.tables import accounts_by_email, drops
from auth.tokens import AccessTokens, DeviceTokens, RefreshTokens
from events.batcher import Batcher
from events.broker import Broker
from events.catalog.auth import Role
from events.catalog.feeds import FEEDS, feeds_of
from events.clock import Clock, clock_for
from events.eraser import Eraser
from events.erasure import Tombstones
from events.errors import NotNow
from events.health import Health
from events.keys import Keys, read_keys
from events.log import Log
from events.outlet import Outlet
from events.postgres import AWAY, dialer, open_pool
from events.process import Roles, roles, run, start
from events.retention import Retention
from events.settings import read, urls_of
from events.telemetry import configure_logging
from events.tracing import configure_tracing

NAME = "auth"
ROLES: Final[tuple[Role, ...]] = get_args(Role)


def main() -> None:
    """Run `python -m auth [api|worker]`, or one of the operator's commands."""
    match sys.argv[1:]:
        case ["grant" | "revoke" as verb, email, role]:
            start(_told(_change_role(read(Settings), verb, email, role)))
        case ["grant" | "revoke" as verb, *_]:
            sys.exit(f"usage: python -m auth {verb} EMAIL {'|'.join(ROLES)}")
        case ["erase", person]:
            start(_told(_erase(read(Settings), person)))
        case ["erase", *_]:
            sys.exit("usage: python -m auth erase USER_ID")
        case ["rotate-keys", *rest] if rest in ([], ["--now"]):
            start(_told(_rotate_keys(read(Settings), at_once=bool(rest))))
        case ["rotate-keys", *_]:
            sys.exit("usage: python -m auth rotate-keys [--now]")
        case arguments:
            start(_main(roles(arguments), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    configure_tracing(NAME)
    health, clock = Health(), clock_for(settings.app_env, settings.clock_file)
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats, name=NAME)
    otp, auth = (Outlet(FEEDS[name], dial, broker, parts) for name in ("OTP", "AUTH"))
    health.add(*otp.checks(), *auth.checks())
    async with await open_pool(settings.database_url, application=NAME) as pool:
        door = assemble(settings, pool, clock, otp_log=otp.log, log=auth.log)
        tombstones, exports = Tombstones(pool), Exports(pool, urls_of(settings.export_urls))
        eraser, keys = Eraser(pool, broker, feeds_of(NAME)), door.auth.access.keys
        health.add(*([eraser.check] if parts.worker else []), *([keys.check] if parts.api else []))
        app = create_app(
            title="Signing in",
            routes=(*ROUTES, *LEAVING) if parts.api else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={
                "door": door,
                "accounts": Accounts(door.auth.log, pool, clock),
                "leaving": Leaving(door.auth, clock, exports, tombstones, eraser.wake),
            },
            cors_origins=[origin for origin in settings.cors_origins.split(",") if origin],
        )
        if parts.api:
            with suppress(*AWAY):  # before anybody can ask: a restart refuses nobody
                await keys.read()
        answering = [keys.run, *door.auth.tasks] if parts.api else []
        work = [broker.run, Retention(drops(pool, clock)).run, eraser.run] if parts.worker else []
        await run(
            server=partial(serve, app, listen(settings.host, settings.port)),
            tasks=[tombstones.run, *answering, *work, *otp.tasks(), *auth.tasks()],
            health=health,
        )


async def _told(command: Coroutine[Any, Any, str]) -> None:
    """Run an operator's command and print what it says; exits with what went wrong. Each may be run again."""
    try:
        sys.stdout.write(f"{await command}\n")
    except (NotNow, *AWAY) as error:
        sys.exit(f"auth: nothing is sure ({type(error).__name__}): see that PostgreSQL answers, then run it again")


async def _change_role(settings: Settings, verb: Literal["grant", "revoke"], email: str, role: str) -> str:
    """Through the log, so that it is audited; another process may be writing to it. No address is ever quoted."""
    address = address_of(email)
    if role not in ROLES:
        sys.exit(f"auth: there is no such role; use one of: {', '.join(ROLES)}")
    if address is None:
        sys.exit("auth: the first argument is no e-mail address")
    async with _beside(settings) as accounts:
        changed = await change_role(accounts, address, role, verb)
    if changed is None:
        sys.exit("auth: nobody has signed in with this address; ask them to sign in once, then run it again")
    return f"roles: {', '.join(changed.roles) or 'none'}; in their tokens from the next refresh on"


async def _erase(settings: Settings, person: str) -> str:
    """What `DELETE /users/me` says, without a session. Eraser, guards and other services hear it as ever."""
    try:
        person_id = UUID(person)
    except ValueError:
        sys.exit("auth: the argument is no id of a person: it must be a UUID")
    async with _beside(settings) as accounts:
        erased = await erase_person(accounts, person_id)
    if erased is None:
        sys.exit("auth: the log knows no person with this id; see that it is whole, and that this is a person's id")
    if not erased:
        return "this person was erased before: nothing is said again"
    return "the person is erased: the account is gone, and each service takes away the rest once it hears of it"


@asynccontextmanager
async def _beside(settings: Settings) -> AsyncIterator[Accounts]:
    """What writes to the log for a command; the relay of the running service publishes it."""
    configure_logging(NAME, settings.log_level)
    outlet = Outlet(
        FEEDS["AUTH"],
        dialer(settings.database_url, application=NAME),
        Broker(settings.nats, name=NAME),
        Roles(worker=False),
    )
    async with await open_pool(settings.database_url, application=NAME) as pool:
        tasks = [asyncio.create_task(task()) for task in outlet.tasks()]
        try:
            yield Accounts(outlet.log, pool, clock_for(settings.app_env, settings.clock_file))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _rotate_keys(settings: Settings, *, at_once: bool) -> str:
    """Replicas read the keys anew by themselves."""
    clock = clock_for(settings.app_env, settings.clock_file)
    async with await open_pool(settings.database_url, application=NAME) as pool:
        done = await rotate(pool, _keys(settings.key_wrapping_keys), clock(), at_once=at_once)
    if at_once:
        return f"key {done.kid} signs now; all others are revoked, and everybody's access token must be refreshed"
    return (
        f"key {done.kid} is published; it signs from {done.signs_from:%Y-%m-%d %H:%M:%S} UTC, "
        f"those before it are over at {done.drop_after:%Y-%m-%d %H:%M:%S} UTC"
    )


def assemble(settings: Settings, pool: asyncpg.Pool, clock: Clock, *, otp_log: Log, log: Log) -> Door:
    """What the handlers work with, by the settings."""
    peppers = Peppers(_keys(settings.otp_peppers))
    keyring = Keyring(pool, _keys(settings.key_wrapping_keys), clock)
    auth = Auth(
        otp_log=otp_log,
        log=log,
        pool=pool,
        account_of=Batcher(partial(accounts_by_email, pool)),
        policy=_policy(settings),
        limiter=Limiter(pool, settings.limits, peppers),
        peppers=peppers,
        mailer_keys=_keys(settings.mailer_public_keys),
        access=AccessTokens(keyring, issuer=settings.issuer, audience=settings.audience),
        refresh=RefreshTokens(_keys(settings.refresh_keys)),
        devices=DeviceTokens(_keys(settings.device_keys)),
    )
    return Door(auth, clock, settings.issuer, settings.is_development)


def _policy(settings: Settings) -> Policy:
    return Policy(
        code_length=settings.otp_length,
        code_for=timedelta(minutes=settings.otp_expiration_minutes),
        guesses=settings.otp_guesses,
        session_for=timedelta(days=settings.session_days),
    )


def _keys(text: str) -> Keys:
    return read_keys(text, size=KEY_SIZE)
