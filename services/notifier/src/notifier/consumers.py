"""What notifier hears: what people want to know, and whom to forget."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from events.catalog.activity import ReportReady
from events.catalog.auth import UserErased
from events.catalog.feeds import FEEDS
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from events.clock import Clock
from events.erasure import forget, living
from events.hearing import Event, Hears
from events.postgres import Connection
from notifier.domain import is_too_old, notification_of
from notifier.tables import NewNotification, add_notifications

NAME: Final = "notifier"


async def notify(connection: Connection, events: Sequence[Event], *, clock: Clock) -> None:
    """Into the inboxes of those who are not erased; what is too old to be kept stays out, also when heard again."""
    now = clock()
    told = [
        _notification(event, *found)
        for event in await living(connection, events)
        if event.data and not is_too_old(event.envelope.time, now) and (found := notification_of(event.data))
    ]
    if told:
        await add_notifications(connection, now, told)


async def forget_people(connection: Connection, events: Sequence[Event]) -> None:
    """Tombstones; the eraser does the rest."""
    await forget(connection, events)


def _notification(event: Event, kind: Any, data: dict[str, Any]) -> NewNotification:
    envelope = event.envelope
    return NewNotification(
        id=envelope.id,
        user_id=envelope.subject,
        kind=kind,
        data=msgspec.json.encode(data).decode(),
        at=envelope.time,
    )


def hears(clock: Clock, wake_eraser: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what."""
    into_inboxes = partial(notify, clock=clock)
    return (
        Hears(FEEDS["AUTH"], forget_people, (UserErased,), on_heard=wake_eraser),
        Hears(FEEDS["TODOS"], into_inboxes, (TodoToggled, TodoDueSoon, TodoOverdue)),
        Hears(FEEDS["ACTIVITY"], into_inboxes, (ReportReady,)),
    )
