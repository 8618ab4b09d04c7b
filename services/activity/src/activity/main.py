"""Puts the service together and runs it."""

import sys
from functools import partial

from activity.api import ROUTES, Activity
from activity.consumers import NAME, hears
from activity.settings import Settings
from api.app import create_app
from api.guard import Guard
from api.keys import Jwks
from api.server import listen, serve
from events.broker import Broker
from events.catalog.types import TYPES
from events.clock import clock_for
from events.codec import Codec
from events.consumer import Consumer
from events.health import Health
from events.postgres import dialer, open_pool
from events.probe import Probe
from events.process import Roles, roles, run, start
from events.settings import read
from events.telemetry import configure_logging


def main() -> None:
    """Run `python -m activity [api|worker]`."""
    start(_main(roles(sys.argv[1:]), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats_url, name=NAME)
    consumer = Consumer(NAME, hears(clock), dial, broker, Codec(TYPES))
    async with await open_pool(settings.database_url, application=NAME) as pool, Jwks(settings.jwks_url) as keys:
        probe = Probe(pool)
        health.add(probe.check, *(consumer.checks() if parts.worker else []))
        app = create_app(
            title="Activity",
            routes=ROUTES if parts.api else (),
            health=health,
            guard=Guard(keys.find, issuer=settings.issuer, audience=settings.audience, clock=clock),
            parts={"activity": Activity(pool)},
            cors_origins=[origin for origin in settings.cors_origins.split(",") if origin],
        )
        await run(
            server=partial(serve, app, listen(settings.host, settings.port)),
            tasks=[probe.run, *([broker.run, consumer.run] if parts.worker else [])],
            health=health,
        )
