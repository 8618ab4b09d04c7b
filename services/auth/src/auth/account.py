"""What people do with their own account over HTTP: see it, see and end its sessions. These answers hold no secrets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct, convert

from api.answers import Answer, Envelope, Page, answer, page
from api.conditions import require_match
from api.guard import signed_in
from api.idempotency import intent_of, kept, running, settled
from api.messages import Message
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.problems import NOT_FOUND, UNAUTHENTICATED, Problem
from api.requests import Request, context_of
from auth.signin import CODEC, decided_again, ended
from auth.tables import (
    TOP,
    Account,
    OpenSession,
    Place,
    account_of_session,
    get_session,
    list_sessions,
    other_sessions,
)
from events.clock import Clock
from events.command import Change, Context, new_command
from events.log import Log

T = TypeVar("T")

FOUND: Final = Message(key="user.found", en="User retrieved successfully", ko="사용자를 조회했습니다")
LISTED: Final = Message(key="session.listed", en="Sessions retrieved successfully", ko="세션 목록을 조회했습니다")
REVOKED: Final = Message(key="session.revoked", en="Session ended successfully", ko="세션이 종료되었습니다")
OTHERS_REVOKED: Final = Message(
    key="session.others_revoked", en="Other sessions ended successfully", ko="다른 세션이 모두 종료되었습니다"
)
_DEVICE_LENGTH: Final = 120


class Me(Struct, frozen=True, kw_only=True):
    """The signed-in person; `name`, `locale` and `timezone` are null until chosen."""

    id: UUID
    email: str
    name: str | None
    locale: str | None
    timezone: str | None
    roles: Sequence[str]
    registered_at: datetime | None


class OwnSession(OpenSession, frozen=True, kw_only=True):
    """An open session; `device` is how it named itself at its sign-in, `current` the one that asks."""

    current: bool


class Revoked(Struct, frozen=True):
    """How many sessions were ended."""

    revoked: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the handlers work with."""

    log: Log
    pool: asyncpg.Pool
    now: Clock


Parts: TypeAlias = NamedDependency[Accounts]
Decided: TypeAlias = tuple[Answer[Any], Sequence[Change]]


@get("/users/me", guards=[signed_in])
async def me(request: Request, accounts: Parts) -> Answer[Envelope[Me]]:
    """Get who is signed in."""
    own = await _own(request, accounts)
    return private(answer(request, FOUND, _shown(own), version=own.version))


@get("/users/me/sessions", guards=[signed_in])
async def sessions(
    request: Request, accounts: Parts, *, limit: Limit = 20, cursor: Cursor = None
) -> Answer[Page[OwnSession]]:
    """List your open sessions, newest first."""
    await _own(request, accounts)
    after = from_cursor(cursor, Place) if cursor else TOP
    rows = await list_sessions(accounts.pool, request.user.id, accounts.now(), after, limit=limit + 1)
    more = to_cursor(convert(rows[limit - 1], Place, from_attributes=True)) if len(rows) > limit else None
    return private(page(request, LISTED, [_marked(row, request.user.sid) for row in rows[:limit]], more))


@delete("/users/me/sessions/{session_id:uuid}", status_code=200, guards=[signed_in])
async def revoke(request: Request, accounts: Parts, session_id: FromPath[UUID]) -> Answer[Envelope[None]]:
    """End one of your sessions, on whatever device it is. Takes no body."""

    async def decide(own: Account, context: Context) -> Decided:
        session = await get_session(accounts.pool, session_id)
        if session is None or session.user_id != own.id:
            raise Problem(NOT_FOUND)
        require_match(request, session.version)
        change = ended(session, "revoked", context.time)
        return answer(request, REVOKED, None, version=session.version + len(change.events)), [change]

    return await _once(request, accounts, decide)


@delete("/users/me/sessions", status_code=200, guards=[signed_in])
async def revoke_others(request: Request, accounts: Parts) -> Answer[Envelope[Revoked]]:
    """End all your sessions but this one. Takes no body."""

    async def decide(own: Account, context: Context) -> Decided:
        others = await other_sessions(accounts.pool, own.id, request.user.sid)
        changes = [ended(session, "revoked", context.time) for session in others]
        return answer(request, OTHERS_REVOKED, Revoked(len(changes))), changes

    return await _once(request, accounts, decide)


ROUTES: Final = (me, sessions, revoke, revoke_others)


def device_of(user_agent: str | None) -> str | None:
    """A device by its User-Agent, in visible text alone: a client may send anything, and its owner reads it."""
    text = (user_agent or "").encode("latin-1", "ignore").decode("utf-8", "ignore")
    visible = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(visible.split())[:_DEVICE_LENGTH].strip() or None


def private(answer: Answer[T]) -> Answer[T]:
    """The same answer, kept by no cache."""
    answer.headers["cache-control"] = "no-store"
    return answer


async def _once(
    request: Request, accounts: Accounts, decide: Callable[[Account, Context], Awaitable[Decided]]
) -> Answer[Any]:
    """Decide on the account as it is now until no other command comes first; a repeat gets the first answer."""
    intent, feed = await intent_of(request), accounts.log.feed

    async def attempt() -> Answer[Any]:
        own, context = await _own(request, accounts), context_of(request, accounts.now())
        first, decided = await decide(own, context)
        changes = [change for change in decided if change.events]
        if not changes and intent is None:
            return private(first)
        key = intent.with_answer(private(first), context.time) if intent else None
        return settled(first, await accounts.log.append(new_command(CODEC, context, *changes, key=key)), feed)

    with running(request, intent):
        try:
            return await decided_again(attempt)
        except Problem:
            # The first try may have made true what now refuses its repeat.
            if (first := await kept(accounts.pool, intent, feed)) is not None:
                return first
            raise


async def _own(request: Request, accounts: Accounts) -> Account:
    """The account behind the session that asks; raises `Problem` (401) once that has ended."""
    account = await account_of_session(accounts.pool, request.user.sid)
    if account is None:
        raise Problem(UNAUTHENTICATED, headers={"www-authenticate": 'Bearer error="invalid_token"'})
    return account


def _shown(account: Account) -> Me:
    return convert(account, Me, from_attributes=True)


def _marked(session: OpenSession, current: UUID) -> OwnSession:
    return OwnSession(
        id=session.id,
        device=session.device,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == current,
    )
