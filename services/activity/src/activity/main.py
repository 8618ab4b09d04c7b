"""Puts the service together and runs it."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from activity import analytics, explain
from activity.api import ROUTES, Activity
from activity.commands import COMMANDS, obey
from activity.consumers import NAME, hears
from activity.evidence import Seals
from activity.figures import Figures
from activity.projections import Projections
from activity.readers import Readers
from activity.reports import FEED, Reports
from activity.settings import Asked, Settings
from activity.tables import (
    SQL,
    drop_months,
    erase_archive,
    erase_entries,
    erase_known_todos,
    erase_person,
    erase_projections,
    open_months,
)
from api.app import create_app
from api.exports import Holdings, by_time, export_route
from api.guard import Guard
from api.keys import Jwks
from api.parked import parked_routes
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
from events.probe import Probe
from events.process import Roles, Task, roles, run, start
from events.relay import Relay
from events.retention import Drop, Retention
from events.settings import read
from events.telemetry import configure_logging
from events.tracing import configure_tracing

PATIENCE: Final = 60
"""Seconds that figures of everybody may take: the service's role has less for what a request usually asks."""
AT_ONCE: Final = 2
"""Figures that are told beside each other: each keeps a core and a snapshot."""


def main() -> None:
    """Run `python -m activity [api|worker]`, or one of the `COMMANDS` (`--help` tells)."""
    match sys.argv[1:]:
        case [command, *_] if command in COMMANDS:
            start(_command(sys.argv[1:], read(Asked)))
        case arguments:
            start(_main(roles(arguments), read(Settings)))


async def _command(arguments: Sequence[str], settings: Asked) -> None:
    name = f"{NAME} {arguments[0]}"
    async with await open_pool(settings.database_url, application=name, patience=PATIENCE) as pool:
        sys.exit(await obey(pool, arguments, seals_of(settings, pool)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    configure_tracing(NAME)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    async with (
        await open_pool(settings.database_url, application=NAME) as pool,
        await open_pool(
            settings.database_url, application=f"{NAME} figures", size=AT_ONCE, patience=PATIENCE
        ) as patient,
        Jwks(settings.jwks_url) as keys,
    ):
        probe, tombstones = Probe(pool), Tombstones(pool)
        health.add(probe.check)
        work = worker_tasks(settings, pool, health, clock) if parts.worker else []
        app = create_app(
            title="Activity",
            routes=faces(pool) if parts.api else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={"activity": Activity(pool), "analytics": analytics.Analytics(Figures(patient), clock)},
            cors_origins=[origin for origin in settings.cors_origins.split(",") if origin],
        )
        await run(
            server=partial(serve, app, listen(settings.host, settings.port)),
            tasks=[probe.run, tombstones.run, *work],
            health=health,
        )


def faces(pool: asyncpg.Pool) -> Sequence[BaseRouteHandler]:
    """What this service answers."""
    return (*ROUTES, *explain.ROUTES, *analytics.ROUTES, export(pool), *parked_routes("/activity", NAME, pool))


def export(pool: asyncpg.Pool) -> HTTPRouteHandler:
    """What a person takes along from here."""
    lists = {"entries": by_time(SQL.export_entries)}
    return export_route("/activity/export", Holdings(pool, lists, few=SQL.export))


def worker_tasks(settings: Settings, pool: asyncpg.Pool, health: Health, clock: Clock) -> list[Task]:
    """What hears, counts, reports and forgets: the tasks of the worker role, their checks added to `health`."""
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats, name=NAME)
    projections = Projections(pool)
    # The archive before what is built from it.
    steps = [erase_person, erase_entries, erase_known_todos, erase_archive, erase_projections]
    eraser = Eraser(pool, broker, feeds_of(NAME), steps)
    consumer = Consumer(NAME, hears(clock, projections.wake, eraser.wake), dial, broker, Codec(TYPES))
    relay = Relay(FEEDS[FEED], dial, broker)
    reports = Reports(pool, broker, clock, heard_as=NAME, on_appended=relay.wake)
    drops: dict[str, Drop] = {"months": partial(open_months, pool, clock)}
    if settings.activity_days:
        drops["entries"] = partial(drop_months, pool, clock, settings.activity_days)
    health.add(*consumer.checks(), eraser.check, relay.check, reports.check, projections.check)
    readers, seals = Readers(pool), seals_of(settings, pool)
    if seals:
        health.add(seals.check)
    return [
        broker.run,
        consumer.run,
        eraser.run,
        relay.run,
        reports.run,
        projections.run,
        readers.run,
        Retention(drops).run,
        *([seals.run] if seals else []),
    ]


def seals_of(settings: Asked, pool: asyncpg.Pool) -> Seals | None:
    """Who seals the archive, where it is configured."""
    keys, clock = settings.keys, clock_for(settings.app_env, settings.clock_file)
    return Seals(pool, Path(settings.seal_dir), keys, clock) if keys else None
