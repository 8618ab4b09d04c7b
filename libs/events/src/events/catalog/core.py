"""What any service may say in its own feed: about hearing itself, not about a person."""

import msgspec

from events.catalog.moment import Moment


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one feed that were heard together, numbered from `first` on without a hole.

    `at`: when they were taken up; `waited_ms`: how long after its own time each was, in their order.
    """

    first: int
    at: Moment
    waited_ms: tuple[int, ...]


class EventsHeard(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer heard events of a feed. Told of once each time they are heard (ADR 17)."""

    consumer: str
    feed: str
    batches: tuple[Batch, ...]


TYPES: dict[str, type[msgspec.Struct]] = {"core.EventsHeard.v1": EventsHeard}
