"""Whom a notice goes to, looked up when it is sent: an address, a name, a language and a time zone."""

from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import msgspec

from events.catalog.auth import Locale
from events.postgres import Connection
from mailer.domain import DEFAULT_LOCALE, Letter
from mailer.seals import KeyMissing, Seals, Unreadable
from mailer.tables import contacts_to_reseal, reach, reseal_contacts

DEFAULT_ZONE: Final = ZoneInfo("UTC")
BATCH: Final = 500


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets a letter; no name: none was chosen. `quiet`: from when to when what can wait does not disturb them."""

    recipient: str
    name: str | None
    locale: Locale
    zone: tzinfo
    quiet: tuple[str | None, str | None] = (None, None)


class Unknown(Exception):
    """Nobody is known under this id yet: the feed that tells of them is behind."""


class Skipped(Exception):
    """The letter is not to be sent, which is no failure; the text says why."""


class Held(Exception):
    """The letter can wait, and is not to disturb its person before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__("quiet hours")
        self.until = until


class People:
    """Finds people by what `contact` holds now."""

    def __init__(self, pool: asyncpg.Pool, seals: Seals) -> None:
        self._pool = pool
        self._seals = seals

    async def find(self, letter: Letter) -> Person:
        """Whom a notice goes to; raises `Unknown`, `Skipped`, `Unreadable` or `KeyMissing`."""
        found = await reach(self._pool, letter.subject, letter.kind)
        if found is None:
            raise Unknown("nobody is known under this id yet")
        if found.is_unwanted:
            raise Skipped("unwanted")
        if found.is_suppressed:
            raise Skipped("suppressed")
        return Person(
            recipient=self._seals.open_contact(found.sealed_contact).recipient,
            name=found.name,
            locale=found.locale or DEFAULT_LOCALE,
            zone=zone_of(found.timezone),
            quiet=(found.quiet_from, found.quiet_to),
        )


def zone_of(name: str | None) -> tzinfo:
    """A time zone by its IANA name; UTC for none, and for one that this machine does not know."""
    try:
        return ZoneInfo(name) if name else DEFAULT_ZONE
    except (ZoneInfoNotFoundError, ValueError):
        return DEFAULT_ZONE


async def reseal(connection: Connection, seals: Seals) -> tuple[int, int]:
    """Put every address into a box for the current key; how many were, and how many stay because they do not open.

    Letters go on meanwhile. May be run again.
    """
    done, left, after = 0, 0, None
    while found := await contacts_to_reseal(connection, after, seals.current, BATCH):
        after = found[-1][0]
        boxes = []
        for person, sealed in found:
            try:
                boxes.append((person, sealed, seals.resealed(sealed)))
            except (KeyMissing, Unreadable):
                left += 1
        done += await reseal_contacts(connection, boxes)
    return done, left
