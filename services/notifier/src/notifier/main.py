"""Puts the service together and runs it."""

import sys
from functools import partial

import asyncpg

from api.app import create_app
from api.exports import export_route
from api.guard import Guard
from api.keys import Jwks
from api.server import listen, serve
from events.broker import Broker
from events.catalog.feeds import FEEDS, feeds_of
from events.catalog.types import TYPES
from events.clock import Clock, clock_for
from events.codec import Codec
from events.consumer import Consumer
from events.eraser import Eraser
from events.erasure import Tombstones
from events.health import Health
from events.postgres import dialer, open_pool
from events.process import Roles, Task, roles, run, start
from events.relay import Relay
from events.retention import Retention
from events.settings import read
from events.telemetry import configure_logging
from notifier import choosing, sockets
from notifier.api import ROUTES, Notifications
from notifier.consumers import NAME, hears
from notifier.crier import Crier
from notifier.live import Live
from notifier.settings import Settings
from notifier.tables import SQL, drop_notifications, erase_inbox, erase_notifications
from notifier.tickets import Tickets, drop_tickets


def main() -> None:
    """Run `python -m notifier [api|worker]`."""
    start(_main(roles(sys.argv[1:]), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    async with await open_pool(settings.database_url, application=NAME) as pool, Jwks(settings.jwks_url) as keys:
        tombstones = Tombstones(pool)
        dial = dialer(settings.database_url, application=NAME)
        crier, live = Crier(dial), Live(pool, dial, clock, lambda person: person.id in tombstones)
        health.add(live.check)
        tasks = worker_tasks(settings, pool, health, clock, crier) if parts.worker else []
        app = create_app(
            title="Notifications",
            routes=(*ROUTES, *sockets.ROUTES, *choosing.ROUTES, export_route("/notifications/export", pool, SQL.export))
            if parts.api
            else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={
                "notifications": Notifications(pool, clock, crier),
                "tickets": Tickets(pool, clock, frozenset(settings.origins)),
                "live": live,
                "pool": pool,
            },
            cors_origins=settings.origins,
        )
        server = partial(serve, app, listen(settings.host, settings.port), on_leaving=live.leave)
        await run(server=server, tasks=[tombstones.run, crier.run, live.run, *tasks], health=health)


def worker_tasks(settings: Settings, pool: asyncpg.Pool, health: Health, clock: Clock, crier: Crier) -> list[Task]:
    """What hears and says: the tasks of the worker role, their checks added to `health`."""
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats_url, name=NAME)
    relay = Relay(FEEDS["NOTIFIER"], dial, broker)
    eraser = Eraser(pool, broker, feeds_of(NAME), [erase_notifications, erase_inbox])
    consumer = Consumer(NAME, hears(clock, crier.tell, eraser.wake), dial, broker, Codec(TYPES))
    retention = Retention(
        {"notifications": partial(drop_notifications, pool, clock), "tickets": partial(drop_tickets, pool, clock)}
    )
    health.add(relay.check, *consumer.checks(), eraser.check)
    return [broker.run, relay.run, consumer.run, eraser.run, retention.run]
