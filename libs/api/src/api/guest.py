"""A whole service that hears, keeps what it makes of that in its own database, and says nothing: docs/tutorial.md."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from api.app import create_app
from api.server import listen, serve
from events.backing import UsesServers
from events.broker import Broker
from events.catalog.types import TYPES
from events.codec import Codec
from events.consumer import Consumer
from events.health import Health
from events.hearing import Hears
from events.postgres import dialer
from events.process import run, start
from events.settings import read
from events.telemetry import configure_logging
from events.tracing import configure_tracing


class Settings(UsesServers, frozen=True, kw_only=True):
    """Each field is an environment variable in capitals, besides those of `UsesServers`.

    - HOST, PORT: where health and metrics are served
    - LOG_LEVEL: DEBUG, INFO, WARNING or ERROR
    """

    host: str = "127.0.0.1"
    port: int = 8089
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def run_guest(name: str, hears: Sequence[Hears]) -> None:
    """Hear until SIGTERM, with health and metrics over HTTP. `name` is the consumer's, the database's and the user's.

    Raises `BadSettings`.
    """
    start(_main(name, hears, read(Settings)))


async def _main(name: str, hears: Sequence[Hears], settings: Settings) -> None:
    configure_logging(name, settings.log_level)
    configure_tracing(name)
    health = Health()
    broker = Broker(settings.nats, name=name)
    consumer = Consumer(name, hears, dialer(settings.database_url, application=name), broker, Codec(TYPES))
    health.add(*consumer.checks())
    app = create_app(title=name, routes=(), health=health)
    server = partial(serve, app, listen(settings.host, settings.port))
    await run(server=server, tasks=[broker.run, consumer.run], health=health)
