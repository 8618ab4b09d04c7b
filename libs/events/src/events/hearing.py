"""The vocabulary of hearing: an event as heard, a handler, a line of the table of who hears what."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from events.envelope import Envelope
from events.feed import Feed
from events.postgres import Connection


class Event(msgspec.Struct, frozen=True):
    """A heard event: `data` is None for types that the handler did not ask for by name; `raw` is the body as sent.

    `published_at`: when the stream took it. `traceparent`: of its hearing here; what follows from it carries it on.
    """

    feed: str
    envelope: Envelope
    data: msgspec.Struct | None
    raw: bytes
    published_at: datetime | None = None
    traceparent: str = ""


Handler: TypeAlias = Callable[[Connection, Sequence[Event]], Awaitable[None]]
"""Applies a batch inside the open transaction that also moves the checkpoint. Its own append, if any, comes last."""


class Hears(msgspec.Struct, frozen=True):
    """A line of the table of who hears what: `handle` gets the events of `types` of a feed, or all when it is empty.

    `on_heard` is told after the commit of a batch that `handle` was given (it wakes the workers). What is of a type in
    `never_held` is applied at once, also where earlier events of its key are parked.
    """

    feed: Feed
    handle: Handler
    types: tuple[type[msgspec.Struct], ...] = ()
    on_heard: Callable[[], None] | None = None
    never_held: tuple[type[msgspec.Struct], ...] = ()
