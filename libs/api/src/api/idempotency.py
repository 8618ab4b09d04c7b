"""Retry safety: a write with an `Idempotency-Key` happens once, however often it is sent.

The answer is kept by the log's append, in the same transaction as the events. Here is what surrounds it: reading the
key, refusing a twin that is still running in this process, and giving the kept answer back.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from api.answers import Answer
from api.messages import Text
from api.problems import INVALID, KEY_REUSED, STILL_RUNNING, FieldError, Problem
from api.requests import Request
from events.command import Key
from events.deciding import decided_again
from events.log import Appended
from events.sql import load

SQL = load("events")
T = TypeVar("T")

_VISIBLE: Final = re.compile(r"[!-~]{1,255}")
_KEPT: Final = timedelta(hours=24)
_BAD_KEY: Final = FieldError(
    "Idempotency-Key",
    "format",
    Text("must be 1 to 255 visible ASCII characters", "눈에 보이는 ASCII 문자 1~255자여야 합니다"),
)


class Intent(msgspec.Struct, frozen=True):
    """What makes two requests the same: who, which route, which key; `body_hash` tells a reuse from a retry."""

    user_id: UUID
    route: str
    key: str
    body_hash: bytes

    def with_answer(self, answer: Answer[Any], now: datetime) -> Key:
        """The row that append keeps for 24 hours."""
        return Key(
            user_id=self.user_id,
            route=self.route,
            key=self.key,
            body_hash=self.body_hash,
            answer=_keep(answer),
            expires_at=now + _KEPT,
        )


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    status: int
    headers: dict[str, str]
    body: bytes


async def intent_of(request: Request) -> Intent | None:
    """The request's key, None without the header; raises `Problem` (422) for a malformed one."""
    text = request.headers.get("idempotency-key")
    if text is None:
        return None
    if not _VISIBLE.fullmatch(text):
        raise Problem(INVALID, errors=[_BAD_KEY])
    method, path = request.scope["method"], request.scope["path"]
    parts = (method.encode(), path.encode(), await request.body())
    digest = hashlib.sha256(b"\0".join(parts)).digest()
    return Intent(request.user.id, f"{method} {request.scope['path_template']}", text, digest)


@contextmanager
def running(request: Request, intent: Intent | None) -> Iterator[None]:
    """Hold the key while its request runs; raises `Problem` (409) while a twin holds it in this process."""
    if intent is None:
        yield
        return
    held: set[tuple[UUID, str, str]] = request.app.state.running
    name = (intent.user_id, intent.route, intent.key)
    if name in held:
        raise Problem(STILL_RUNNING, retry_after=1)
    held.add(name)
    try:
        yield
    finally:
        held.discard(name)


def _keep(answer: Answer[Any]) -> bytes:
    return msgspec.msgpack.encode(_Kept(answer.status, answer.headers, answer.body))


def settled(answer: Answer[T], appended: Appended, feed: str) -> Answer[T]:
    """What to send after append: this answer, or the first one again (`Idempotency-Replayed: true`)."""
    final = answer if appended.replayed is None else _replay(appended.replayed)
    return final.at(feed, appended.position)


async def kept(pool: asyncpg.Pool, intent: Intent | None, feed: str) -> Answer[Any] | None:
    """The first answer, if the key has one. For a refused request: what refuses it may be its own first try."""
    if intent is None:
        return None
    row = await pool.fetchrow(SQL.idempotency_read, intent.user_id, intent.route, intent.key)
    if row is None:
        return None
    if row["body_hash"] != intent.body_hash:
        raise Problem(KEY_REUSED)
    return _replay(row["answer"]).at(feed, row["position"])


async def once(
    pool: asyncpg.Pool, intent: Intent | None, feed: str, attempt: Callable[[], Awaitable[Answer[T]]]
) -> Answer[T]:
    """What `attempt` answers, decided again while other commands come first; refused, the key's first answer instead.

    Only then: the first try may have made true what now refuses its repeat.
    """
    try:
        return await decided_again(attempt)
    except Problem:
        if (first := await kept(pool, intent, feed)) is not None:
            return first
        raise


def _replay(kept: bytes) -> Answer[Any]:
    found = msgspec.msgpack.decode(kept, type=_Kept)
    return Answer(found.body, status=found.status, headers={**found.headers, "idempotency-replayed": "true"})
