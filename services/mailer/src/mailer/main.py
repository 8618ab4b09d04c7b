"""Puts the service together and runs it."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from api.app import create_app
from api.exports import Holdings, by_time, export_route
from api.guard import Guard
from api.keys import Jwks
from api.parked import parked_routes
from api.server import listen, serve
from events.broker import Broker
from events.catalog.feeds import FEEDS, feeds_of
from events.catalog.types import TYPES
from events.clock import clock_for
from events.codec import Codec
from events.consumer import Consumer
from events.eraser import Eraser
from events.erasure import Tombstones, hold_off
from events.health import Health
from events.hearings import Hearings
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles, Task, roles, run, start
from events.retention import Drop, Retention
from events.settings import read
from events.telemetry import configure_logging
from events.tracing import configure_tracing
from events.work import WorkTable
from mailer.api import ROUTES, Choosing
from mailer.console import Console, drop_mails
from mailer.consumers import hears, tell_resumed
from mailer.delivery import Delivery
from mailer.letters import Letters
from mailer.outcomes import FEED
from mailer.people import reseal
from mailer.preview import preview
from mailer.seals import Seals
from mailer.settings import IMPLICIT_TLS_PORT, Settings
from mailer.signature import Dkim
from mailer.smtp import Security, Server, Smtp
from mailer.tables import SQL, TURN, drop_letters, erase_contact, erase_letters, erase_preference
from mailer.unsubscribe import Links

NAME = "mailer"


def main() -> None:
    """Run `python -m mailer [api|worker]`, or a command: `preview KIND`, `resume USER_ID`, `reseal`."""
    match sys.argv[1:]:
        case ["preview", *rest]:
            preview(rest)
        case ["resume", person]:
            start(_resume(read(Settings), person))
        case ["reseal"]:
            start(_reseal(read(Settings)))
        case arguments:
            start(_main(roles(arguments), read(Settings)))


async def _resume(settings: Settings, person: str) -> None:
    """An operator knows that a suppressed address works again. May be run again."""
    clock = clock_for(settings.app_env, settings.clock_file)
    try:
        since = {UUID(person): clock()}
    except ValueError:
        sys.exit("usage: python -m mailer resume USER_ID")
    connection = await dialer(settings.database_url, application=NAME)()
    try:
        async with connection.transaction():
            await hold_off(connection)
            resumed = await tell_resumed(connection, since, clock, actor="operator")
    finally:
        await connection.close()
    sys.stdout.write("letters go to this address again\n" if resumed else "this address is not suppressed\n")


async def _reseal(settings: Settings) -> None:
    """An operator rotates the key that addresses are sealed for. May be run again."""
    connection = await dialer(settings.database_url, application=NAME)()
    try:
        done, left = await reseal(connection, Seals(settings.keys))
    finally:
        await connection.close()
    sys.stdout.write(f"{done} addresses are sealed for {settings.keys.current} now; {left} do not open\n")
    sys.exit(1 if left else 0)


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    configure_tracing(NAME)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    broker = Broker(settings.nats, name=NAME)
    outlet = Outlet(FEEDS[FEED], dialer(settings.database_url, application=NAME), broker, parts)
    health.add(*outlet.checks())
    async with await open_pool(settings.database_url, application=NAME) as pool, Jwks(settings.jwks_url) as keys:
        tombstones = Tombstones(pool)
        choosing = Choosing(outlet.log, pool, clock, Links(settings.link_keys, settings.issuer), tombstones)
        tasks = worker_tasks(settings, pool, health, broker, outlet.wake) if parts.worker else []
        app = create_app(
            title="Mail",
            routes=faces(pool) if parts.api else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={"choosing": choosing},
        )
        server = partial(serve, app, listen(settings.host, settings.port))
        await run(server=server, tasks=[tombstones.run, *tasks, *outlet.tasks()], health=health)


def faces(pool: asyncpg.Pool) -> Sequence[BaseRouteHandler]:
    """What this service answers."""
    return (*ROUTES, export(pool), *parked_routes("/mail", NAME, pool))


def export(pool: asyncpg.Pool) -> HTTPRouteHandler:
    """What a person takes along from here."""
    lists = {"letters": by_time(SQL.export_letters)}
    return export_route("/mail/export", Holdings(pool, lists, few=SQL.export))


def worker_tasks(
    settings: Settings, pool: asyncpg.Pool, health: Health, broker: Broker, on_settled: Callable[[], None]
) -> list[Task]:
    """What hears and posts: the tasks of the worker role, their checks added to `health`."""
    clock = clock_for(settings.app_env, settings.clock_file)
    codec = Codec(TYPES)
    dial = dialer(settings.database_url, application=NAME)
    table = WorkTable("letter", pool, clock=clock, turn=TURN)
    eraser = Eraser(pool, broker, feeds_of(NAME), [erase_contact, erase_letters, erase_preference])
    consumer = Consumer(NAME, hears(settings.sender, clock, table.wake, eraser.wake), dial, broker, codec, clock=clock)
    transport = Console() if settings.transport == "console" else Smtp(_mail_server(settings))
    mails = Path(settings.mail_dir) if settings.mail_dir and settings.is_development else None
    drops: dict[str, Drop] = {"letters": partial(drop_letters, pool, clock)}
    if mails:
        drops["mails"] = partial(drop_mails, mails)
    delivery = Delivery(
        pool=pool,
        table=table,
        codec=codec,
        seals=Seals(settings.keys),
        letters=_letters(settings),
        transport=transport,
        clock=clock,
        on_settled=on_settled,
        notifies=settings.notifies,
        workers=settings.smtp_connections,
        mail_dir=mails,
    )
    health.add(*consumer.checks(), table.check, transport.check, *delivery.checks(), eraser.check)
    hearings = Hearings(pool, FEED, clock, on_told=on_settled)
    return [broker.run, consumer.run, hearings.run, delivery.run, eraser.run, Retention(drops).run]


def _letters(settings: Settings) -> Letters:
    link = Links(settings.link_keys, settings.issuer).link
    if not settings.dkim_key_file:
        return Letters(settings.product_name, settings.sender, link)
    domain = settings.sender.rpartition("@")[2]
    signs = Dkim.read(settings.dkim_key_file, settings.dkim_selector, domain)
    return Letters(settings.product_name, settings.sender, link, signs.sign)


def _mail_server(settings: Settings) -> Server:
    return Server(
        host=settings.smtp_server,
        port=settings.smtp_port,
        greeting=settings.sender.rpartition("@")[2],
        security=_security(settings),
        username=settings.smtp_username,
        password=settings.smtp_password,
        ca_file=settings.smtp_ca_file,
    )


def _security(settings: Settings) -> Security:
    if settings.smtp_port == IMPLICIT_TLS_PORT:
        return "tls"
    return "starttls" if settings.smtp_starttls else "none"
