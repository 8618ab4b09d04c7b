"""A second opinion: the archive looked through for gaps, and some people's days counted anew, event by event."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from activity.periods import zone_of
from activity.tables import SQL
from events.postgres import Connection

Days: TypeAlias = Counter[tuple[date, str]]
"""How often what was done on which day."""

_COUNTED: Final = ("created", "completed", "reopened", "deleted", "overdue")
_KINDS: Final = {
    "todos.TodoCreated.v1": "created",
    "todos.TodoDeleted.v1": "deleted",
    "todos.TodoOverdue.v1": "overdue",
}


class Told(Struct, frozen=True):
    """An event of the archive."""

    number: int
    type: str
    time: datetime
    data: Any


class Finding(Struct, frozen=True):
    """What was looked at, and what is wrong with it; empty: nothing."""

    about: str
    wrong: str


def counted(life: Iterable[Told]) -> Days:
    """A person's days by what the archive says of them, all words about their zone known."""
    events = list(life)
    words = sorted((told.time, told.number, told.data["timezone"]) for told in events if _is_word(told))
    days: Days = Counter()
    for told in events:
        if kind := _kind(told):
            zone = next((zone for since, _, zone in reversed(words) if since <= told.time), None)
            days[told.time.astimezone(zone_of(zone)).date(), kind] += 1
    return days


def _is_word(told: Told) -> bool:
    if told.type == "auth.UserRegistered.v1":
        return True
    return told.type == "auth.ProfileChanged.v1" and "timezone" in told.data


def _kind(told: Told) -> str | None:
    if told.type == "todos.TodoToggled.v1":
        return "completed" if told.data["completed"] else "reopened"
    return _KINDS.get(told.type)


async def look_through(pool: asyncpg.Pool, consumer: str) -> list[Finding]:
    """Whether the archive holds every event that was heard, once, and its own numbers have no gap."""
    found = []
    for row in await pool.fetch(SQL.archive_gaps, consumer):
        held = row["rows"] == row["numbers"] and row["last"] <= row["heard"]
        lawful = row["erased"] + row["aside"]
        whole = held and row["first"] + row["numbers"] + lawful - 1 == row["heard"]
        aside = f", {row['aside']:,} parked or given up" if row["aside"] else ""
        about = f"archive of {row['feed']}: {row['first']:,} to {row['last']:,}{aside}"
        wrong = f"{row['rows']:,} rows, {row['numbers']:,} numbers, heard up to {row['heard']:,}"
        found.append(Finding(about, "" if whole else wrong))
    [row] = await pool.fetch(SQL.archive_numbers)
    whole = row["rows"] == row["numbers"] == row["last_number"] and row["first"] in {None, 1}
    wrong = f"{row['rows']:,} rows, {row['numbers']:,} numbers, from {row['first']} to {row['last']}"
    found.append(Finding(f"numbers of the archive: 1 to {row['last_number']:,}", "" if whole else wrong))
    return found


async def recount(pool: asyncpg.Pool, sample: int) -> list[Finding]:
    """Count the days of some people anew, each in one snapshot, and compare with what is shown of them."""
    people = [row["user_id"] for row in await pool.fetch(SQL.some_people, sample)]
    wrong = []
    for person in people:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            if difference := await _difference(connection, person):
                wrong.append(f"{person}: {difference}")
    return [Finding(f"days of {len(people):,} people, counted anew", "; ".join(wrong))]


async def _difference(connection: Connection, person: UUID) -> str:
    [shown] = await connection.fetch(SQL.reflected, "actions")
    rows = await connection.fetch(SQL.life_of, person, shown["position"])
    life = [Told(row["number"], row["type"], row["time"], msgspec.json.decode(row["data"])) for row in rows]
    expected = counted(life)
    days: Sequence[asyncpg.Record] = await connection.fetch(SQL.daily_of, person)
    told: Days = Counter({(row["day"], kind): row[kind] for row in days for kind in _COUNTED if row[kind]})
    if told == expected:
        return ""
    day, kind = min((expected - told) + (told - expected))
    return f"{told[day, kind]} {kind} on {day}, counted {expected[day, kind]}"
