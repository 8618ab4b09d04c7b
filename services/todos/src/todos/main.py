"""Puts the service together and runs it."""

import asyncio
import gc
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from api.app import create_app
from api.exports import Holdings, by_time, export_route
from api.guard import Guard
from api.keys import Jwks
from api.parked import parked_routes
from api.server import listen, serve
from events.batcher import Batcher
from events.broker import Broker
from events.catalog.feeds import FEEDS, feeds_of
from events.catalog.types import TYPES
from events.clock import clock_for
from events.codec import Codec
from events.consumer import Consumer
from events.eraser import Eraser
from events.erasure import Tombstones
from events.health import Health
from events.hearings import Hearings
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles, roles, run, start
from events.retention import Drop, Retention, drop_answers
from events.settings import read
from events.telemetry import configure_logging
from events.tracing import configure_tracing
from todos.alarms import Alarms
from todos.api import ROUTES
from todos.consumers import hears
from todos.settings import Asked, Settings
from todos.tables import SQL, erase_todos, get_todos
from todos.verify import mend, verify
from todos.writing import Quota, Todos

NAME = "todos"


def main() -> None:
    """Run `python -m todos [api|worker]`, `python -m todos verify`, or `python -m todos mend` as the owner."""
    if sys.argv[1:] == ["verify"]:
        sys.exit(asyncio.run(_verify(read(Asked))))
    if sys.argv[1:] == ["mend"]:
        sys.exit(asyncio.run(_mend(read(Asked))))
    start(_main(roles(sys.argv[1:]), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    configure_tracing(NAME)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats, name=NAME)
    outlet = Outlet(FEEDS["TODOS"], dial, broker, parts)
    health.add(*outlet.checks())
    opened = await open_pool(settings.database_url, application=NAME, replans=True)
    async with opened as pool, Jwks(settings.jwks_url) as keys:
        tombstones, find = Tombstones(pool), Batcher(partial(get_todos, pool))
        quota = Quota(pool, settings.todos_per_person)
        eraser = Eraser(pool, broker, feeds_of(NAME), [erase_todos])
        consumer = Consumer(NAME, hears(eraser.wake), dial, broker, Codec(TYPES), clock=clock)
        health.add(*([*consumer.checks(), eraser.check] if parts.worker else []))
        app = create_app(
            title="To-dos",
            routes=faces(pool) if parts.api else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={"todos": Todos(outlet.log, pool, find, clock, quota)},
            cors_origins=[origin for origin in settings.cors_origins.split(",") if origin],
        )
        alarms = Alarms(outlet.log, pool, clock)
        drops: dict[str, Drop] = {"answers": partial(drop_answers, pool), "purged": alarms.purge}
        hearings = Hearings(pool, "TODOS", clock, on_told=outlet.wake)
        tasks = [broker.run, alarms.run, Retention(drops).run, consumer.run, hearings.run, eraser.run]
        gc.collect()
        gc.freeze()  # modules and routes stay: a full collection that walks over them holds every request up for 30 ms
        await run(
            server=partial(serve, app, listen(settings.host, settings.port)),
            tasks=[tombstones.run, find.run, quota.run, *(tasks if parts.worker else []), *outlet.tasks()],
            health=health,
        )


def faces(pool: asyncpg.Pool) -> Sequence[BaseRouteHandler]:
    """What this service answers."""
    return (*ROUTES, export(pool), *parked_routes("/todos", NAME, pool))


PAGE: Final = 20
"""To-dos, or events of them, that an export has in memory at a time: a description alone may be 60 kB of JSON."""


def export(pool: asyncpg.Pool) -> HTTPRouteHandler:
    """What a person takes along from here."""
    return export_route("/todos/export", Holdings(pool, {"todos": by_time(SQL.export_todos)}, page=PAGE))


async def _verify(settings: Asked) -> int:
    """Print whether every to-do is what its events say; the exit status."""
    connection = await dialer(settings.database_url, application=NAME)()
    try:
        verdict = await verify(connection)
    finally:
        await connection.close()
    for todo_id in verdict.differing:
        print(f"{todo_id} is not what its events say")  # noqa: T201 - it talks to a person
    print(f"{verdict.compared} to-dos compared with their events, {len(verdict.differing)} differ")  # noqa: T201
    return 1 if verdict.differing else 0


async def _mend(settings: Asked) -> int:
    """Write to-dos anew that are not what their events say, as the owner of the database; the exit status."""
    connection = await dialer(settings.database_url, application=NAME)()
    try:
        mended = await mend(connection)
    except asyncpg.InsufficientPrivilegeError:
        print("DATABASE_URL must be the owner's")  # noqa: T201 - it talks to a person
        return 1
    finally:
        await connection.close()
    print(f"{mended} to-dos are what their events say again")  # noqa: T201
    return 0
