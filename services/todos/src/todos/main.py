"""Puts the service together and runs it."""

import gc
import sys
from functools import partial

from api.app import create_app
from api.guard import Guard
from api.keys import Jwks
from api.server import listen, serve
from events.broker import Broker
from events.catalog.feeds import FEEDS
from events.clock import clock_for
from events.health import Health
from events.outlet import Outlet
from events.postgres import dialer, open_pool
from events.process import Roles, roles, run, start
from events.retention import Retention, drop_answers
from events.settings import read
from events.telemetry import configure_logging
from todos.api import ROUTES, Todos
from todos.settings import Settings

NAME = "todos"


def main() -> None:
    """Run `python -m todos [api|worker]`."""
    start(_main(roles(sys.argv[1:]), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats_url, name=NAME)
    outlet = Outlet(FEEDS["TODOS"], dial, broker, parts)
    health.add(*outlet.checks())
    async with await open_pool(settings.database_url, application=NAME) as pool, Jwks(settings.jwks_url) as keys:
        app = create_app(
            title="To-dos",
            routes=ROUTES if parts.api else (),
            health=health,
            guard=Guard(keys.find, issuer=settings.issuer, audience=settings.audience, clock=clock),
            parts={"todos": Todos(outlet.log, pool, clock)},
            cors_origins=[origin for origin in settings.cors_origins.split(",") if origin],
        )
        work = [broker.run, Retention({"answers": partial(drop_answers, pool)}).run] if parts.worker else []
        gc.collect()
        gc.freeze()  # modules and routes stay: a full collection that walks over them holds every request up for 30 ms
        await run(
            server=partial(serve, app, listen(settings.host, settings.port)),
            tasks=[*work, *outlet.tasks()],
            health=health,
        )
