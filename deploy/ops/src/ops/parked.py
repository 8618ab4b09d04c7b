"""Parked events of every consumer: look, redrive, discard. The consumer's own process does what an act asks for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from events import acts
from events.acts import Act, By, Chosen
from events.errors import BadAct
from events.sql import load
from ops.places import Places
from ops.status import WORK

SQL = load("ops")


class NotThere(BadAct):
    """What was named is not parked."""


async def listed(places: Places, services: Sequence[str], chosen: Chosen, limit: int) -> list[dict[str, Any]]:
    """Parked events, a service after another, without what they say; `limit` of each."""
    found = []
    for service in services:
        async with places.database(service) as connection:
            rows = await acts.parked(connection, service, chosen, limit=limit)
        found += [{"consumer": service, **row} for row in rows]
    return found


async def undone(
    places: Places, services: Sequence[str], key: UUID | None, reason: str | None, limit: int
) -> list[dict[str, Any]]:
    """Letters and deliveries that failed or may have: nobody tries them again. The latest first; `limit` of each."""
    found = []
    for service, table in WORK.items():
        if service in services:
            async with places.database(service) as connection:
                rows = await connection.fetch(getattr(SQL, f"failed_{table}"), key, reason, limit)
            found += [{"consumer": service, **row} for row in rows]
    return found


async def shown(places: Places, service: str, feed: str, seq: int) -> dict[str, Any]:
    """All that is known of one; raises `NotThere`."""
    async with places.database(service) as connection:
        row = await acts.shown(connection, service, feed, seq)
    if row is None:
        raise NotThere(f"{service} has not parked {feed}:{seq}")
    data: bytes = row["data"]
    return {
        "consumer": service,
        **row,
        "headers": msgspec.json.decode(row["headers"]),
        "data": data.decode(errors="backslashreplace"),
    }


async def counted(places: Places, service: str, chosen: Chosen) -> list[dict[str, Any]]:
    """What an act would be about, by feed and reason."""
    async with places.database(service) as connection:
        return [dict(row) for row in await acts.count(connection, service, chosen)]


async def sample(places: Places, service: str, chosen: Chosen) -> list[dict[str, Any]]:
    """Some of the events that an act would be about."""
    async with places.database(service) as connection:
        return [dict(row) for row in await acts.sample(connection, service, chosen)]


async def redrive(
    places: Places, service: str, chosen: Chosen, by: By, *, events_max: int | None, per_second: float | None
) -> Act:
    """Have what is chosen tried again; raises `NotThere`, `BadAct`."""
    await _some(places, service, chosen)
    async with places.database(service) as connection:
        return await acts.redrive(connection, service, chosen, by, events_max=events_max, per_second=per_second)


async def discard(places: Places, service: str, chosen: Chosen, by: By) -> Act:
    """Give up what is chosen; raises `NotThere`, `BadAct`."""
    await _some(places, service, chosen)
    async with places.database(service) as connection:
        return await acts.discard(connection, service, chosen, by)


async def done(places: Places, services: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """What operators had done, the latest first, a service after another; `limit` of each."""
    found = []
    for service in services:
        async with places.database(service) as connection:
            found += [dict(row) for row in await acts.acts(connection, limit)]
    return found


async def _some(places: Places, service: str, chosen: Chosen) -> None:
    if await counted(places, service, chosen):
        return
    if chosen.seq is not None:
        async with places.database(service) as connection:
            [*rows] = await acts.parked(connection, service, Chosen(feed=chosen.feed, seq=chosen.seq))
            if rows:
                key = rows[0]["key"]
                [first, *_] = await acts.parked(connection, service, Chosen(feed=chosen.feed, key=key), limit=1)
                raise NotThere(f"{chosen.feed}:{chosen.seq} waits behind {first['feed']}:{first['seq']}: choose that")
    raise NotThere(f"nothing that {service} parked is like that")
