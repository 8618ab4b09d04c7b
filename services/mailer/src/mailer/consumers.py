"""What mailer hears: codes to send, news to tell, people to reach, people to forget."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from events.catalog.activity import ReportReady
from events.catalog.auth import OtpRequested, ProfileChanged, UserErased, UserRegistered, UserSignedIn
from events.catalog.feeds import FEEDS
from events.catalog.mailer import MailKind, MailResumed
from events.catalog.patch import followed
from events.catalog.stale import STALE_BY, stale_before
from events.catalog.todos import TodoDueSoon, TodoOverdue
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Context, new_command
from events.erasure import forget, living
from events.errors import VersionConflict
from events.hearing import Event, Hears
from events.ids import uuid7
from events.log import append_all_last
from events.postgres import Connection
from mailer.domain import DEFAULT_LOCALE, Letter, Notice, address_id, has_expired, letter_id, message_id, notice_of
from mailer.tables import Contact, change_contacts, expire_stale, keep_contacts, queue_letters, resume

CODEC: Final = Codec(TYPES)


async def write_codes(connection: Connection, events: Sequence[Event], *, sender: str) -> None:
    """A letter for each code that was asked for."""
    asked = await living(connection, events)
    letters = [_code(event, event.data, sender) for event in asked if isinstance(event.data, OtpRequested)]
    await queue_letters(connection, letters)


async def write_notices(connection: Connection, events: Sequence[Event], *, sender: str, clock: Clock) -> None:
    """A letter for each event that is worth one and not yet too old; without an address, which is found at sending."""
    now = clock()
    noticed = [
        _notice(event, notice, sender)
        for event in await living(connection, events)
        if (notice := notice_of(event.data, event.envelope.time)) and not has_expired(notice.expires_at, now)
    ]
    await queue_letters(connection, noticed)


async def hear_todos(connection: Connection, events: Sequence[Event], *, sender: str, clock: Clock) -> None:
    """Letters about to-dos; what waits to be told and is no longer true is not told."""
    await write_notices(connection, events, sender=sender, clock=clock)
    await expire_stale(connection, stale_before((event.data, event.envelope.time) for event in events))


async def hear_people(connection: Connection, events: Sequence[Event], *, sender: str, clock: Clock) -> None:
    """How to reach each person who registered and was not erased since, and what each chose since; a welcome.

    A change comes after its registration.
    """
    await forget(connection, [event for event in events if isinstance(event.data, UserErased)])
    known = await living(connection, events)
    contacts = [_contact(event, event.data) for event in known if isinstance(event.data, UserRegistered)]
    await keep_contacts(connection, contacts)
    changes: dict[UUID, ProfileChanged] = {}
    for event in known:
        if isinstance(event.data, ProfileChanged):
            person = event.data.user_id
            changes[person] = followed(changes.get(person, event.data), event.data)
    await change_contacts(connection, list(changes.values()), clock())
    await write_notices(connection, known, sender=sender, clock=clock)
    proofs = [event.envelope for event in known if isinstance(event.data, UserSignedIn)]
    await tell_resumed(connection, {proof.subject: proof.time for proof in proofs}, clock, actor="system")


async def tell_resumed(
    connection: Connection, since: Mapping[UUID, datetime], clock: Clock, *, actor: str
) -> Sequence[UUID]:
    """Take addresses for working again since a moment each: a code arrived there. Whose were suppressed; told last.

    Raises `VersionConflict` where the log knows more of an address than its row does.
    """
    resumed = await resume(connection, since)
    commands = [
        new_command(
            CODEC,
            Context(time=clock(), correlation_id=str(uuid7()), actor=actor),
            Change(
                aggregate=address_id(person),
                expected=version - 1,
                subject=person,
                events=[MailResumed(user_id=person)],
            ),
        )
        for person, version in resumed.items()
    ]
    if not all(await append_all_last(connection, "MAILER", commands)):
        raise VersionConflict("the log knows more of an address than its row does")
    return list(resumed)


def _code(event: Event, asked: OtpRequested, sender: str) -> Letter:
    locale = asked.locale or DEFAULT_LOCALE
    return _letter(event, "code", sender, expires_at=asked.expires_at, locale=locale, sealed=asked.sealed)


def _notice(event: Event, notice: Notice, sender: str) -> Letter:
    # A welcome tells nothing of its event, which holds an address, if a sealed one.
    facts = "{}" if notice.kind == "welcome" else event.raw.decode()
    content = {"expires_at": notice.expires_at, "held_until": notice.held_until, "todo_id": notice.todo_id}
    return _letter(event, notice.kind, sender, facts=facts, **content)


def _letter(event: Event, kind: MailKind, sender: str, **content: Any) -> Letter:
    envelope = event.envelope
    id_ = letter_id(envelope.id, kind)
    return Letter(
        id=id_,
        kind=kind,
        cause=envelope.id,
        subject=envelope.subject,
        correlation_id=envelope.correlation_id,
        traceparent=event.traceparent,
        happened_at=envelope.time,
        message_id=message_id(id_, sender),
        **{"locale": None, **content},
    )


def _contact(event: Event, person: UserRegistered) -> Contact:
    return Contact(
        user_id=person.user_id,
        sealed_contact=person.sealed_contact,
        locale=person.locale,
        timezone=person.timezone,
        registered_at=event.envelope.time,
    )


def hears(sender: str, clock: Clock, wake: Callable[[], None], wake_eraser: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what; `sender` is the address that letters come from, `wake` calls the workers."""

    def wake_both() -> None:
        wake()
        wake_eraser()

    people = partial(hear_people, sender=sender, clock=clock)
    notices = partial(write_notices, sender=sender, clock=clock)
    todos = partial(hear_todos, sender=sender, clock=clock)
    return (
        Hears(FEEDS["OTP"], partial(write_codes, sender=sender), (OtpRequested,), on_heard=wake),
        Hears(
            FEEDS["AUTH"],
            people,
            (UserRegistered, ProfileChanged, UserSignedIn, UserErased),
            on_heard=wake_both,
            never_held=(UserErased,),
        ),
        Hears(FEEDS["TODOS"], todos, (*STALE_BY, TodoDueSoon, TodoOverdue), on_heard=wake),
        Hears(FEEDS["ACTIVITY"], notices, (ReportReady,), on_heard=wake),
    )
