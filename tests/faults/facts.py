"""What is so, by SQL and by JetStream: where logs, streams and consumers stand, what is parked."""

import asyncio
from typing import Final

import asyncpg
import msgspec
import nats.errors
import nats.js.errors

from events.catalog.feeds import FEEDS, HEARS
from faults.waiting import TooLate
from faults.world import World
from local.layout import SERVICES

AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, nats.errors.Error)
_LOGS: Final = "select name, last_seq from events.feed"
_CHECKPOINTS: Final = "select feed, seq from events.checkpoint where consumer = $1"
_PARKED: Final = "select count(*) from events.parked"
_CONVERGED_WITHIN: Final = 60.0


class Facts(msgspec.Struct):
    """Last numbers by feed, and by consumer and feed; a service or NATS that did not answer is in `away`."""

    logs: dict[str, int] = {}
    streams: dict[str, int] = {}
    heard: dict[str, dict[str, int]] = {}
    parked: dict[str, int] = {}
    away: list[str] = []


async def facts(world: World) -> Facts:
    """Ask all databases and the broker at once."""
    found = Facts()
    await asyncio.gather(_streams(world, found), *(_service(world, found, service) for service in SERVICES))
    return found


async def _streams(world: World, found: Facts) -> None:
    try:
        async with world.jetstream() as js:
            for feed in FEEDS:
                try:
                    found.streams[feed] = (await js.stream_info(feed)).state.last_seq
                except nats.js.errors.NotFoundError:
                    continue
    except AWAY:
        found.streams.clear()
        found.away.append("nats")


async def _service(world: World, found: Facts, service: str) -> None:
    try:
        async with world.database(service) as connection:
            logs = {row["name"]: row["last_seq"] for row in await connection.fetch(_LOGS, timeout=2)}
            heard = {row["feed"]: row["seq"] for row in await connection.fetch(_CHECKPOINTS, service, timeout=2)}
            found.parked[service] = await connection.fetchval(_PARKED, timeout=2)
    except AWAY:
        found.away.append(service)
        return
    found.logs |= logs
    found.heard[service] = {feed: heard.get(feed, 0) for feed in HEARS[service]}


async def converged(world: World, *, within: float = _CONVERGED_WITHIN) -> Facts:
    """Wait until all that the logs hold now is in the streams and heard by everybody; raises `TooLate`.

    Returns the facts as of the beginning: up to its logs everything can be compared.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    wanted = await facts(world)
    behind = ["nothing was asked yet"]
    while behind:
        now = await facts(world)
        behind = [*_behind(wanted, now), *(f"{name} is away" for name in wanted.away)]
        if wanted.away:
            wanted = now
        if loop.time() > deadline:
            raise TooLate(f"not converged within {within:.0f} s: {', '.join(behind)}")
        await asyncio.sleep(0.1 if behind else 0)
    return wanted


def _behind(wanted: Facts, now: Facts) -> list[str]:
    streams = [
        f"stream {feed} at {now.streams.get(feed)} of {last}"
        for feed, last in wanted.logs.items()
        if now.streams.get(feed, 0) < last
    ]
    heard = [
        f"{service} at {places.get(feed)} of {wanted.logs.get(feed)} in {feed}"
        for service, places in now.heard.items()
        for feed in places
        if places[feed] < wanted.logs.get(feed, 0)
    ]
    away = [f"{name} is away" for name in now.away]
    return [*streams, *heard, *away]
