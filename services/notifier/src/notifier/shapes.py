"""A notification and the messages of a live connection, as they are sent."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from api.messages import Locale
from notifier.domain import Kind
from notifier.tables import Notified
from notifier.texts import words_of

Data: TypeAlias = Annotated[
    msgspec.Raw,
    Meta(
        description="The facts, by kind: a to-do's `todo_id`, `title`, `priority`, `due_at`, `due_zone`; or a report's "
        "`from`, `to`, `timezone`, `figures`, `previous`",
        extra_json_schema={"type": "object"},
        examples=[{"todo_id": "01a20814-539f-7708-909d-2061a066dbb9", "title": "Buy milk", "priority": 3}],
    ),
]


class Notification(Struct, frozen=True, kw_only=True):
    """What a person is told. `number` counts their notifications without gaps, from 1, in the order they came."""

    id: UUID
    number: Annotated[int, Meta(ge=1)]
    kind: Annotated[Kind, Meta(examples=["completion"])]
    title: Annotated[str, Meta(examples=["Completed"])]
    body: Annotated[str, Meta(examples=["“Buy milk” is done. Well done!"])]
    data: Data
    silent: Annotated[bool, Meta(description="To be shown without a sound, as the person chose")]
    at: datetime
    read_at: datetime | None


class Hello(Struct, frozen=True, tag="hello"):
    """The connection is open: where the inbox stands, and when the connection ends unless it is renewed."""

    last_number: int
    unread: int
    expires_at: datetime


class News(Struct, frozen=True, tag="notification"):
    """A notification, missed or new."""

    notification: Notification


class Gap(Struct, frozen=True, tag="gap", rename={"start": "from", "end": "to"}):
    """The numbers `start` to `end` will not come: they are dropped, or never were. What follows goes on after them."""

    start: int
    end: int
    resume: int


class Unread(Struct, frozen=True, tag="unread"):
    """Something was read elsewhere."""

    unread: int


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """Nothing else to say; `number` is the last that was sent."""

    number: int


class Authenticated(Struct, frozen=True, tag="authenticated"):
    """The connection lives on with the new token."""

    expires_at: datetime


class Close(Struct, frozen=True, tag="close"):
    """The server ends the connection; over a WebSocket it is the close frame that says so."""

    code: int
    reason: str


Frame: TypeAlias = Hello | News | Gap | Unread | Heartbeat | Authenticated | Close


class Authenticate(Struct, frozen=True, tag="authenticate", forbid_unknown_fields=True):
    """What a client may say over a WebSocket: here is a fresh access token."""

    access_token: str


def told(row: Notified, locale: Locale) -> Notification:
    """A notification in its reader's language."""
    words = words_of(row.kind, msgspec.json.decode(row.data), locale)
    return Notification(
        id=row.id,
        number=row.number,
        kind=row.kind,
        title=words.title,
        body=words.body,
        data=msgspec.Raw(row.data.encode()),
        silent=row.silent,
        at=row.at,
        read_at=row.read_at,
    )
