"""Streams as declared: made by an operator's command (`apply`), only checked by services.

A stream is a repairable copy of a log. Made anew after a loss, it begins at the oldest number that the log still has,
so that event N is message N again.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo, StreamState

from events.errors import StreamMissing, StreamUnlawful
from events.feed import Feed

_AT_ONCE = 500
"""How many messages are asked for at the same time."""
_MEND = "run `python -m events.admin streams SERVICE`"


def declared(feed: Feed, *, replicas: int = 1, first_seq: int = 1) -> StreamConfig:
    """The configuration of a feed's stream; `first_seq` is the number of its first message to come."""
    return StreamConfig(
        name=feed.name,
        subjects=list(feed.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=feed.max_age,
        max_msgs=-1,
        max_bytes=-1,
        max_msgs_per_subject=-1,
        max_consumers=-1,
        deny_purge=not feed.trimmed,
        deny_delete=False,
        allow_direct=False,
        num_replicas=replicas,
        allow_atomic=True,
        first_seq=first_seq if first_seq > 1 else None,
    )


async def apply(js: JetStreamContext, feed: Feed, *, replicas: int = 1, first_seq: int = 1) -> StreamInfo:
    """Make the stream, or bring an existing one to its declaration; `first_seq` counts only for a new one."""
    try:
        known = await js.stream_info(feed.name)
    except nats.js.errors.NotFoundError:
        return await js.add_stream(declared(feed, replicas=replicas, first_seq=first_seq))
    wanted = declared(feed, replicas=replicas)
    wanted.first_seq = known.config.first_seq
    return await js.update_stream(wanted)


async def checked(js: JetStreamContext, feed: Feed) -> StreamInfo:
    """The stream's info; raises `StreamMissing`, or `StreamUnlawful` naming what differs from the declaration."""
    try:
        info = await js.stream_info(feed.name)
    except nats.js.errors.NotFoundError:
        raise StreamMissing(f"stream {feed.name} does not exist: {_MEND}") from None
    wrong = sorted(_differences(info.config, declared(feed)))
    if wrong:
        raise StreamUnlawful(f"stream {feed.name} is not as declared: {', '.join(wrong)}; {_MEND}")
    return info


_LAW = ("retention", "storage", "discard", "deny_purge", "max_msgs", "max_bytes", "max_msgs_per_subject", "max_age")
_FORBIDDEN = ("mirror", "sources", "subject_transform", "republish", "allow_msg_ttl", "sealed", "no_ack")


def _differences(actual: StreamConfig, wanted: StreamConfig) -> Iterable[str]:
    for name in _LAW:
        if (getattr(actual, name) or 0) != (getattr(wanted, name) or 0):
            yield name
    if not set(wanted.subjects or ()) <= set(actual.subjects or ()):
        yield "subjects"
    for name in _FORBIDDEN:
        if getattr(actual, name, None):
            yield name


async def ids_at_the_end(
    js: JetStreamContext, stream: str, state: StreamState, *, depth: int, since: int | None
) -> dict[int, str | None]:
    """The ids of a stream's last messages by number, None where one is gone: all from `since` on, else `depth`.

    Where none of those is present (aged out, erased) back to the newest that is; empty when the stream holds nothing.
    """
    first = max(state.first_seq, 1)
    end = state.last_seq
    start = max(first, end - depth + 1 if since is None else min(since, end))
    found: dict[int, str | None] = {}
    while state.messages and end >= first:
        found |= await _ids_between(js, stream, start, end)
        if any(event_id is not None for event_id in found.values()):
            break
        start, end = max(first, start - depth), start - 1
    return found


async def _ids_between(js: JetStreamContext, stream: str, start: int, end: int) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for begin in range(start, end + 1, _AT_ONCE):
        seqs = range(begin, min(begin + _AT_ONCE, end + 1))
        ids = await asyncio.gather(*(_id_at(js, stream, seq) for seq in seqs))
        found |= dict(zip(seqs, ids, strict=True))
    return found


async def _id_at(js: JetStreamContext, stream: str, seq: int) -> str | None:
    """The event id of one message, empty for what is no event, None when it is not there."""
    try:
        message = await js.get_msg(stream, seq)
    except nats.js.errors.NotFoundError:
        return None
    return str((message.headers or {}).get("ce-id", ""))


class Presence(msgspec.Struct, frozen=True):
    """Where a stream begins and ends, and the numbers in between that were deleted one by one."""

    first_seq: int = 0
    last_seq: int = 0
    deleted: frozenset[int] = frozenset()

    def lacks(self, first: int, last: int) -> bool:
        """Whether the stream says of each of these numbers that it was deleted: at its front, or one by one."""
        # The front moves over what is deleted there; nothing else takes messages from an untrimmed feed.
        return last <= self.last_seq and self.deleted.issuperset(range(max(first, self.first_seq), last + 1))


class _Answer(msgspec.Struct):
    state: Presence = Presence()
    error: dict[str, Any] | None = None


async def state_with_deleted(js: JetStreamContext, stream: str) -> Presence:
    """Ask for the deleted numbers too, which nats-py's `stream_info` leaves out; raises its `APIError`."""
    reply = await js._nc.request(f"$JS.API.STREAM.INFO.{stream}", b'{"deleted_details":true}', timeout=1)  # noqa: SLF001
    answer = msgspec.json.decode(reply.data, type=_Answer)
    if answer.error is not None:
        nats.js.errors.APIError.from_error(answer.error)
    return answer.state
