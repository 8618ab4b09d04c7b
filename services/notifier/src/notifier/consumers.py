"""What notifier hears: what people want to know, when they rest, and whom to forget."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from events.catalog.activity import ReportReady
from events.catalog.auth import ProfileChanged, UserErased, UserRegistered
from events.catalog.feeds import FEEDS
from events.catalog.patch import followed
from events.catalog.stale import STALE_BY, stale_before
from events.catalog.todos import TodoDueSoon, TodoOverdue
from events.clock import Clock
from events.erasure import forget, living
from events.hearing import Event, Hears
from events.postgres import Connection
from notifier.domain import Kind, Preferences, is_too_old, notification_of
from notifier.live import Tell
from notifier.tables import (
    NewDelivery,
    NewNotification,
    add_notifications,
    audience,
    expire_stale,
    keep_profiles,
    queue_deliveries,
)

NAME: Final = "notifier"


@dataclass
class Outcome:
    """What was heard led to, until somebody was told: whose inboxes changed, how many deliveries are queued."""

    people: set[UUID] = field(default_factory=set)
    deliveries: int = 0


async def notify(connection: Connection, events: Sequence[Event], *, clock: Clock, outcome: Outcome) -> None:
    """Into the inboxes of those who are not erased; what is too old to be kept stays out, also when heard again.

    What waits to be pushed and is no longer true is not pushed; it stays in its inbox.

    What that leads to is added to `outcome`.
    """
    now = clock()
    people = await audience(connection, {event.envelope.subject for event in events})
    heard = [(event, people[event.envelope.subject]) for event in events if event.envelope.subject in people]
    told: list[NewNotification] = []
    sent: list[NewDelivery] = []
    for event, person in heard:
        for kind, data in notifications_of(event, now):
            if person.prefers.wanted(kind, "inbox", event.envelope.time):
                told.append(_notification(event, kind, data, silent=person.prefers.silences(kind, now)))
            if person.has_device:
                sent.append(_delivery(event, kind, data, person.prefers))
    if told:
        await add_notifications(connection, now, told)
        outcome.people.update(each.user_id for each in told)
    if sent:
        outcome.deliveries += await queue_deliveries(connection, now, sent)
    owners = ((event.data, event.envelope.time) for event, person in heard if person.has_device)
    await expire_stale(connection, stale_before(owners))


async def hear_people(connection: Connection, events: Sequence[Event]) -> None:
    """Zones and quiet hours; tombstones of those who left: the eraser does the rest."""
    await forget(connection, [event for event in events if isinstance(event.data, UserErased)])
    changes: dict[UUID, ProfileChanged] = {}
    for event in await living(connection, events):
        match event.data:
            case UserRegistered(user_id=person, timezone=zone):
                changed = ProfileChanged(user_id=person, timezone=zone)
            case ProfileChanged(user_id=person) as changed:
                pass
            case _:
                continue
        changes[person] = followed(changes.get(person, changed), changed)
    await keep_profiles(connection, list(changes.values()))


def notifications_of(event: Event, now: datetime) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Kind and data of the notification that an event leads to, if it leads to one now."""
    if event.data and not is_too_old(event.envelope.time, now) and (found := notification_of(event.data)):
        yield found


def _notification(event: Event, kind: Kind, data: dict[str, Any], *, silent: bool) -> NewNotification:
    envelope = event.envelope
    return NewNotification(
        id=envelope.id,
        user_id=envelope.subject,
        kind=kind,
        data=msgspec.json.encode(data).decode(),
        at=envelope.time,
        silent=silent,
    )


def _delivery(event: Event, kind: Kind, data: dict[str, Any], prefers: Preferences) -> NewDelivery:
    envelope = event.envelope
    return NewDelivery(
        id=envelope.id,
        user_id=envelope.subject,
        kind=kind,
        data=msgspec.json.encode(data).decode(),
        at=envelope.time,
        correlation_id=envelope.correlation_id,
        traceparent=event.traceparent,
        push=prefers.wanted(kind, "push", envelope.time),
        sms=prefers.wanted(kind, "sms", envelope.time),
    )


def hears(clock: Clock, tell: Tell, wake: Callable[[], None], wake_eraser: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what; `tell` is told whose inboxes changed, after the commit, `wake` calls the workers."""
    return (
        Hears(
            FEEDS["AUTH"],
            hear_people,
            (UserRegistered, ProfileChanged, UserErased),
            on_heard=wake_eraser,
            never_held=(UserErased,),
        ),
        _notifies("TODOS", (*STALE_BY, TodoDueSoon, TodoOverdue), clock, tell, wake),
        _notifies("ACTIVITY", (ReportReady,), clock, tell, wake),
    )


def _notifies(
    feed: str, types: tuple[type[msgspec.Struct], ...], clock: Clock, tell: Tell, wake: Callable[[], None]
) -> Hears:
    # One a feed: what the other one has not committed yet must not be told.
    outcome = Outcome()

    def on_heard() -> None:
        tell(set(outcome.people))
        if outcome.deliveries:  # most people have no device: each word has every worker ask the database
            wake()
        outcome.people.clear()
        outcome.deliveries = 0

    return Hears(FEEDS[feed], partial(notify, clock=clock, outcome=outcome), types, on_heard=on_heard)
