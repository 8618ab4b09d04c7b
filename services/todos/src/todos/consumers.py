"""What todos hears: who asked to be forgotten."""

from collections.abc import Callable, Sequence

from events.catalog.auth import UserErased
from events.catalog.feeds import FEEDS
from events.erasure import forget
from events.hearing import Event, Hears
from events.postgres import Connection


async def forget_people(connection: Connection, events: Sequence[Event]) -> None:
    """A tombstone each; the eraser does the rest."""
    await forget(connection, events)


def hears(wake: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what; `wake` calls the eraser."""
    return (Hears(FEEDS["AUTH"], forget_people, (UserErased,), on_heard=wake, never_held=(UserErased,)),)
