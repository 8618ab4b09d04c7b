"""A command on its way to the log: what it decided, under ids that are fixed before the first attempt."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from events.codec import Codec
from events.ids import uuid7
from events.tracing import Hop, about_message, beneath, hop, is_recorded

_UNRECORDED: Final = nullcontext()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command comes from: `time` is the moment of its events, `correlation_id` the request's id."""

    time: datetime
    correlation_id: str
    actor: str
    causation_id: str = ""
    traceparent: str = ""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An Idempotency-Key as the log keeps it: whose, where, over which body (SHA-256), what answer, until when."""

    user_id: UUID
    route: str
    key: str
    body_hash: bytes
    answer: bytes
    expires_at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a command does to one aggregate: its events, the version they were decided on (0: none yet), its new state.

    `kind` names the state's table for the service's `events.write_states`; without a `state` no row is written.
    """

    aggregate: UUID
    expected: int
    subject: UUID
    events: Sequence[msgspec.Struct]
    kind: str = ""
    state: msgspec.Struct | None = None


class NewEvent(msgspec.Struct, frozen=True):
    """One event, ready to be stored."""

    id: UUID
    aggregate: UUID
    version: int
    type: str
    subject: UUID
    data: str


class NewState(msgspec.Struct, frozen=True):
    """One current-state row, ready to be stored."""

    kind: str
    id: UUID
    version: int
    state: str


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """All or nothing: the events and state rows of one decision. Its id is its first event's, or a fresh one.

    Its context's `traceparent` is its append's own; `within` is that of what made it.
    """

    id: UUID
    context: Context
    events: tuple[NewEvent, ...]
    states: tuple[NewState, ...]
    key: Key | None = None
    within: str = ""

    @property
    def locks(self) -> frozenset[object]:
        """What no other command of the same group may share: the aggregates, the Idempotency-Key."""
        held: set[object] = {event.aggregate for event in self.events}
        if self.key is not None:
            held.add((self.key.user_id, self.key.route, self.key.key))
        return frozenset(held)

    @property
    def size(self) -> int:
        """About how many bytes it holds: what its client sent, as events, states and kept answer."""
        kept = len(self.key.answer) if self.key else 0
        return sum(len(event.data) for event in self.events) + sum(len(state.state) for state in self.states) + kept


def new_command(codec: Codec, context: Context, *changes: Change, key: Key | None = None) -> Command:
    """A command with fresh ids; every retry must send this very object again."""
    events = tuple(
        NewEvent(
            uuid7(), change.aggregate, change.expected + nr, codec.name_of(data), change.subject, codec.encode(data)
        )
        for change in changes
        for nr, data in enumerate(change.events, start=1)
    )
    states = tuple(
        NewState(change.kind, change.aggregate, change.expected + len(change.events), _json(change.state))
        for change in changes
        if change.state is not None
    )
    return Command(
        id=events[0].id if events else uuid7(),
        context=msgspec.structs.replace(context, traceparent=beneath(context.traceparent)),
        events=events,
        states=states,
        key=key,
        within=context.traceparent,
    )


def appending(feed: str, command: Command) -> AbstractContextManager[Hop | None]:
    """The hop of a command's append, for as long as the block takes."""
    at = command.context.traceparent
    if not is_recorded(at):
        return _UNRECORDED
    attributes = about_message("create", "append", feed, len(command.events))
    return hop(f"append {feed}", "producer", within=command.within, at=at, attributes=attributes)


def _json(state: msgspec.Struct) -> str:
    return msgspec.json.encode(state).decode()
