"""Puts the service together and runs it."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import asyncpg
import httpx
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from api.app import create_app
from api.exports import Holdings, by_number, by_time, export_route
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
from events.hearings import Hearings
from events.notify import Notifier
from events.postgres import dialer, open_pool
from events.process import Roles, Task, roles, run, start
from events.relay import Relay
from events.retention import Retention
from events.settings import read
from events.telemetry import configure_logging
from events.tracing import configure_tracing
from events.work import WorkTable
from notifier import choosing, devices, phones, sockets
from notifier.api import ROUTES, Notifications
from notifier.consumers import NAME, hears
from notifier.deliveries import TURN, Deliveries
from notifier.fcm import Fcm
from notifier.live import CHANNEL, Live, Tell
from notifier.providers import TIMEOUT, Provider
from notifier.settings import Settings
from notifier.sms import Sms
from notifier.tables import (
    SQL,
    drop_codes,
    drop_counts,
    drop_deliveries,
    drop_notifications,
    erase_deliveries,
    erase_inbox,
    erase_notifications,
)
from notifier.tickets import Tickets, drop_tickets
from notifier.webpush import WebPush

FACES: Final = (*ROUTES, *sockets.ROUTES, *choosing.ROUTES, *devices.ROUTES, *phones.ROUTES)


def main() -> None:
    """Run `python -m notifier [api|worker]`."""
    start(_main(roles(sys.argv[1:]), read(Settings)))


async def _main(parts: Roles, settings: Settings) -> None:
    configure_logging(NAME, settings.log_level)
    configure_tracing(NAME)
    health = Health()
    clock = clock_for(settings.app_env, settings.clock_file)
    async with (
        await open_pool(settings.database_url, application=NAME) as pool,
        Jwks(settings.jwks_url) as keys,
        httpx.AsyncClient(timeout=TIMEOUT) as client,
    ):
        tombstones = Tombstones(pool)
        dial = dialer(settings.database_url, application=NAME)
        crier = Notifier(CHANNEL, dial)
        live = Live(pool, dial, clock, lambda person: person.id in tombstones, crier)
        health.add(live.check)
        web = web_push_of(settings, client, clock)
        providers = providers_of(settings, client, web) if parts.worker else {}
        tasks = worker_tasks(settings, pool, health, clock, tell=live.tell, providers=providers) if parts.worker else []
        app = create_app(
            title="Notifications",
            routes=faces(pool) if parts.api else (),
            health=health,
            guard=Guard(
                keys.find,
                issuer=settings.issuer,
                audience=settings.audience,
                clock=clock,
                refuse=lambda person: person.id in tombstones,
            ),
            parts={
                "notifications": Notifications(pool, clock, live.tell),
                "tickets": Tickets(pool, clock, frozenset(settings.origins)),
                "live": live,
                "choosing": choosing.Choosing(pool, clock),
                "phones": phones.Phones(pool, clock, settings.code_keys, settings.countries),
                "devices": devices.Devices(pool, clock, settings.services, web.public_key if web else None),
            },
            cors_origins=settings.origins,
        )
        server = partial(serve, app, listen(settings.host, settings.port), on_leaving=live.leave)
        await run(server=server, tasks=[tombstones.run, crier.run, live.run, *tasks], health=health)


def faces(pool: asyncpg.Pool) -> Sequence[BaseRouteHandler]:
    """What this service answers."""
    return (*FACES, export(pool), *parked_routes("/notifications", NAME, pool))


def export(pool: asyncpg.Pool) -> HTTPRouteHandler:
    """What a person takes along from here."""
    lists = {
        "notifications": by_number(SQL.export_notifications),
        "deliveries": by_time(SQL.export_deliveries),
    }
    return export_route("/notifications/export", Holdings(pool, lists, few=SQL.export))


def worker_tasks(
    settings: Settings,
    pool: asyncpg.Pool,
    health: Health,
    clock: Clock,
    *,
    tell: Tell,
    providers: Mapping[str, Provider],
) -> list[Task]:
    """What hears and says: the tasks of the worker role, their checks added to `health`."""
    dial = dialer(settings.database_url, application=NAME)
    broker = Broker(settings.nats, name=NAME)
    relay = Relay(FEEDS["NOTIFIER"], dial, broker)
    table = WorkTable("delivery", pool, clock=clock, turn=TURN)
    eraser = Eraser(pool, broker, feeds_of(NAME), [erase_notifications, erase_deliveries, erase_inbox])
    codec = Codec(TYPES)
    consumer = Consumer(NAME, hears(clock, tell, table.wake, eraser.wake), dial, broker, codec, clock=clock)
    retention = Retention(
        {
            "notifications": partial(drop_notifications, pool, clock),
            "tickets": partial(drop_tickets, pool, clock),
            "deliveries": partial(drop_deliveries, pool, clock),
            "phone codes": partial(drop_codes, pool, clock),
            "counts of phone codes": partial(drop_counts, pool, clock),
        }
    )
    deliveries = Deliveries(
        pool=pool,
        table=table,
        codec=codec,
        providers=providers,
        clock=clock,
        on_settled=relay.wake,
        phone_key=settings.phone_key,
        sms_per_day=settings.sms_per_day,
    )
    health.add(relay.check, table.check, *consumer.checks(), eraser.check)
    hearings = Hearings(pool, "NOTIFIER", clock, on_told=relay.wake)
    return [broker.run, relay.run, consumer.run, hearings.run, eraser.run, retention.run, deliveries.run]


def web_push_of(settings: Settings, client: httpx.AsyncClient, clock: Clock) -> WebPush | None:
    """Web Push, where it is configured."""
    key = settings.vapid_private_key
    return WebPush(client, key, settings.vapid_contact, clock) if key else None


def providers_of(settings: Settings, client: httpx.AsyncClient, web: WebPush | None) -> dict[str, Provider]:
    """The providers that are configured, as devices name them."""
    providers: dict[str, Provider] = {"web": web} if web else {}
    if settings.fcm_account:
        providers["fcm"] = Fcm(client, settings.fcm_url, settings.fcm_account)
    if settings.sms_account_sid:
        providers["sms"] = Sms(
            client,
            settings.sms_url,
            sid=settings.sms_account_sid,
            token=settings.sms_auth_token,
            sender=settings.sms_from,
            name=settings.product_name,
        )
    return providers
