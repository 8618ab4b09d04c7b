"""What mailer hears: codes to send, people to reach, people to forget."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from msgspec.structs import replace

from events.catalog.auth import OtpRequested, ProfileChanged, UserErased, UserRegistered
from events.catalog.feeds import FEEDS
from events.catalog.patch import said
from events.erasure import forget, living
from events.hearing import Event, Hears
from events.postgres import Connection
from mailer.domain import DEFAULT_LOCALE, Letter, letter_id, message_id
from mailer.tables import Contact, ContactChange, change_contacts, keep_contacts, queue_letters


async def write_codes(connection: Connection, events: Sequence[Event], *, sender: str) -> None:
    """A letter for each code that was asked for."""
    asked = await living(connection, events)
    letters = [_code(event, event.data, sender) for event in asked if isinstance(event.data, OtpRequested)]
    await queue_letters(connection, letters)


async def remember_people(connection: Connection, events: Sequence[Event]) -> None:
    """How to reach each person who registered and was not erased since, and what each chose since.

    A change comes after its registration.
    """
    await forget(connection, [event for event in events if isinstance(event.data, UserErased)])
    known = await living(connection, events)
    contacts = [_contact(event, event.data) for event in known if isinstance(event.data, UserRegistered)]
    await keep_contacts(connection, contacts)
    changes: dict[UUID, ContactChange] = {}
    for event in known:
        if isinstance(event.data, ProfileChanged):
            person = event.data.user_id
            changes[person] = _with(changes.get(person, ContactChange(user_id=person)), event.data)
    await change_contacts(connection, list(changes.values()))


def _code(event: Event, asked: OtpRequested, sender: str) -> Letter:
    envelope = event.envelope
    id_ = letter_id(envelope.id, "code")
    return Letter(
        id=id_,
        kind="code",
        cause=envelope.id,
        subject=envelope.subject,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        happened_at=envelope.time,
        expires_at=asked.expires_at,
        locale=asked.locale or DEFAULT_LOCALE,
        message_id=message_id(id_, sender),
        sealed=asked.sealed,
    )


def _contact(event: Event, person: UserRegistered) -> Contact:
    return Contact(
        user_id=person.user_id,
        sealed_contact=person.sealed_contact,
        locale=person.locale,
        timezone=person.timezone,
        registered_at=event.envelope.time,
    )


def _with(earlier: ContactChange, changed: ProfileChanged) -> ContactChange:
    """A person's changes of one batch, the later word counts."""
    return replace(earlier, **said(changed))


def hears(sender: str, wake: Callable[[], None], wake_eraser: Callable[[], None]) -> tuple[Hears, ...]:
    """Who hears what; `sender` is the address that letters come from, `wake` calls the workers."""
    return (
        Hears(FEEDS["OTP"], partial(write_codes, sender=sender), (OtpRequested,), on_heard=wake),
        Hears(FEEDS["AUTH"], remember_people, (UserRegistered, ProfileChanged, UserErased), on_heard=wake_eraser),
    )
