"""An event's envelope on the wire: CloudEvents 1.0, NATS protocol binding, binary mode.

The body is the data as JSON; every attribute is a header. Extensions carry the event's number in its feed (`ce-seq`),
its aggregate and version, and where it came from. Source: CloudEvents specification 1.0.2, NATS binding section 3.1.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

from events.errors import Undecodable

SLOTS = 64
_uuid: Final = cast("type[UUID]", pgproto.UUID)  # the ids that rows come with too: read in an eighth of the time
ERASED = "core.Erased.v1"
"""The type of an event whose person was erased: its data is `{}`, the rest of its envelope stays as it was."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an event but its data. `seq` counts in the feed, `version` in the aggregate, both from 1."""

    id: UUID
    type: str
    source: str
    subject: UUID
    time: datetime
    seq: int
    aggregate: UUID
    version: int
    correlation_id: str
    causation_id: str
    actor: str
    traceparent: str = ""

    @property
    def service(self) -> str:
        """The publishing service: the source without its slash."""
        return self.source.removeprefix("/")


def slot_of(subject: UUID) -> int:
    """The slot of a person's events: crc32 of the id's text mod 64, fixed for ever."""
    return zlib.crc32(str(subject).encode()) % SLOTS


def subject_of(envelope: Envelope) -> str:
    """The NATS subject of an event: `ev.<service>.<slot>.<Type>`.

    An erased one stays in the space of the service that said it (`ev.todos.7.Erased`), where its relay may publish.
    """
    name = envelope.type.split(".")[1]
    return f"ev.{envelope.service}.{slot_of(envelope.subject)}.{name}"


def to_headers(envelope: Envelope) -> dict[str, str]:
    """The envelope as NATS headers."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(envelope.id),
        "ce-type": envelope.type,
        "ce-source": envelope.source,
        "ce-subject": str(envelope.subject),
        "ce-time": format_time(envelope.time),
        "ce-seq": str(envelope.seq),
        "ce-aggregate": str(envelope.aggregate),
        "ce-version": str(envelope.version),
        "content-type": "application/json",
    }
    # An attribute without a value is left out: CloudEvents knows no empty ones.
    if envelope.correlation_id:
        headers["ce-correlationid"] = envelope.correlation_id
    if envelope.causation_id:
        headers["ce-causationid"] = envelope.causation_id
    if envelope.actor:
        headers["ce-actor"] = envelope.actor
    if envelope.traceparent:
        headers["traceparent"] = envelope.traceparent
    return headers


def from_headers(headers: Mapping[str, str] | None) -> Envelope:
    """The envelope of a message; raises `Undecodable` when an attribute is missing or malformed."""
    if not headers:
        raise Undecodable("a message without headers is no event")
    try:
        return Envelope(
            id=_uuid(headers["ce-id"]),
            type=headers["ce-type"],
            source=headers["ce-source"],
            subject=_uuid(headers["ce-subject"]),
            time=_moment(headers["ce-time"]),
            seq=int(headers["ce-seq"]),
            aggregate=_uuid(headers["ce-aggregate"]),
            version=int(headers["ce-version"]),
            correlation_id=headers.get("ce-correlationid", ""),
            causation_id=headers.get("ce-causationid", ""),
            actor=headers.get("ce-actor", ""),
            traceparent=headers.get("traceparent", ""),
        )
    except (KeyError, ValueError) as error:
        raise Undecodable(f"the envelope does not decode: {error!r}") from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return moment


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a Z."""
    # By msgspec, in a sixth of the time that `isoformat` takes; it leaves out a fraction of nothing.
    text: str = msgspec.to_builtins(moment if moment.tzinfo is UTC else moment.astimezone(UTC))
    return text if moment.microsecond else f"{text[:-1]}.000000Z"
