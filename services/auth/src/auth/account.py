"""A person's own account over HTTP: profile and sessions, seen and changed. These answers hold no secrets."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from unicodedata import category
from uuid import UUID

import asyncpg
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType, convert
from msgspec.structs import asdict, replace

from api.answers import Answer, Envelope, Page, answer, page, private
from api.conditions import require_match
from api.guard import signed_in
from api.idempotency import intent_of, once, running, settled
from api.messages import Message, Text
from api.pages import Cursor, Limit, from_cursor, to_cursor
from api.problems import INVALID, NOT_FOUND, UNAUTHENTICATED, FieldError, Problem
from api.requests import Request, context_of
from api.routes import delete, get, patch
from auth.person import PERSON, ChangeProfile, ChangeRole, Person
from auth.signin import CODEC, ended
from auth.tables import (
    TOP,
    Account,
    OpenSession,
    PersonState,
    Place,
    account_of_session,
    accounts_by_email,
    get_session,
    list_sessions,
    other_sessions,
)
from events.catalog.auth import Locale, Role
from events.catalog.zones import known_zones
from events.clock import Clock
from events.command import Change, Context, new_command
from events.deciding import decided_again
from events.ids import uuid7
from events.log import Log

FOUND: Final = Message(key="user.found", en="User retrieved successfully", ko="사용자를 조회했습니다")
CHANGED: Final = Message(key="user.changed", en="Profile changed successfully", ko="프로필이 변경되었습니다")
LISTED: Final = Message(key="session.listed", en="Sessions retrieved successfully", ko="세션 목록을 조회했습니다")
REVOKED: Final = Message(key="session.revoked", en="Session ended successfully", ko="세션이 종료되었습니다")
OTHERS_REVOKED: Final = Message(
    key="session.others_revoked", en="Other sessions ended successfully", ko="다른 세션이 모두 종료되었습니다"
)
OPERATOR: Final = "operator"
_DEVICE_LENGTH: Final = 120
_NOT_ONE_LINE: Final = FieldError("name", "format", Text("must be one line", "한 줄이어야 합니다"))
_NO_TIMEZONE: Final = FieldError(
    "timezone",
    "not_a_timezone",
    Text("must be a time zone of the IANA database, as Asia/Seoul", "Asia/Seoul과 같은 IANA 시간대여야 합니다"),
)

_HALF_QUIET: Final = FieldError(
    "quiet_to",
    "not_a_time_span",
    Text("must be set together with `quiet_from`, and differ", "`quiet_from`과 함께, 서로 다르게 설정해야 합니다"),
)

Name: TypeAlias = Annotated[
    str, Meta(pattern=r"\S", max_length=100, description="One line; not blank", examples=["Ann"])
]
Zone: TypeAlias = Annotated[str, Meta(max_length=64, description="IANA name, as `Asia/Seoul`", examples=["Asia/Seoul"])]


Quiet: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$",  # `$` alone also matches before a last line break
        description="A time of day in the profile's time zone, as `22:30`",
        examples=["22:30"],
    ),
]


class Me(Struct, frozen=True, kw_only=True):
    """The signed-in person; `name`, `locale`, `timezone` and the quiet hours are null until chosen."""

    id: UUID
    email: str
    name: str | None
    locale: str | None
    timezone: str | None
    quiet_from: str | None
    quiet_to: str | None
    roles: Sequence[str]
    registered_at: datetime | None


class Profile(Struct, frozen=True, kw_only=True):
    """What of a profile to change. Quiet hours are times of day in the time zone, both or none."""

    name: Name | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    timezone: Zone | UnsetType | None = UNSET
    quiet_from: Quiet | UnsetType | None = UNSET
    quiet_to: Quiet | UnsetType | None = UNSET


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


@get("/users/me", guards=[signed_in], versioned=True)
async def me(request: Request, accounts: Parts) -> Answer[Envelope[Me]]:
    """Get who is signed in."""
    own = await own_account(request, accounts.pool)
    return private(answer(request, FOUND, _shown(own), version=own.version))


@get("/users/me/sessions", guards=[signed_in])
async def sessions(
    request: Request, accounts: Parts, *, limit: Limit = 20, cursor: Cursor = None
) -> Answer[Page[OwnSession]]:
    """List your open sessions, newest first."""
    await own_account(request, accounts.pool)
    after = from_cursor(cursor, Place) if cursor else TOP
    rows = await list_sessions(accounts.pool, request.user.id, accounts.now(), after, limit=limit + 1)
    more = to_cursor(convert(rows[limit - 1], Place, from_attributes=True)) if len(rows) > limit else None
    return private(page(request, LISTED, [_marked(row, request.user.sid) for row in rows[:limit]], more))


@delete("/users/me/sessions/{session_id:uuid}", status_code=200, guards=[signed_in], versioned=True)
async def revoke(request: Request, accounts: Parts, session_id: FromPath[UUID]) -> Answer[Envelope[None]]:
    """End one of your sessions, on whatever device it is. Takes no body."""

    async def decide(own: Account, context: Context) -> Decided:
        session = await get_session(accounts.pool, session_id)
        if session is None or session.user_id != own.id:
            raise Problem(NOT_FOUND)
        require_match(request.headers.get("if-match"), session.version)
        change = ended(session, "revoked", context.time)
        return answer(request, REVOKED, None, version=session.version + len(change.events)), [change]

    return await _once(request, accounts, decide)


@delete("/users/me/sessions", status_code=200, guards=[signed_in])
async def revoke_others(request: Request, accounts: Parts) -> Answer[Envelope[Revoked]]:
    """End all your sessions but this one. Takes no body."""

    async def decide(own: Account, context: Context) -> Decided:
        others = await other_sessions(accounts.pool, own.id, request.user.sid, context.time)
        changes = [ended(session, "revoked", context.time) for session in others]
        return answer(request, OTHERS_REVOKED, Revoked(len(changes))), changes

    return await _once(request, accounts, decide)


@patch("/users/me", guards=[signed_in], if_match=True, versioned=True)
async def change(request: Request, data: JSONBody[Profile], accounts: Parts) -> Answer[Envelope[Me]]:
    """Change your profile by a JSON merge patch (RFC 7396): what is left out stays, null takes a choice back."""
    if errors := list(_faults(data)):
        raise Problem(INVALID, errors=errors)

    async def decide(own: Account, _: Context) -> Decided:
        require_match(request.headers.get("if-match"), own.version)
        after, changed = changed_by(ChangeProfile(user_id=own.id, **asdict(data)), own)
        if not _is_span(after.quiet_from, after.quiet_to):
            raise Problem(INVALID, errors=[_HALF_QUIET])
        return answer(request, CHANGED, _shown(after), version=after.version), [changed]

    return await _once(request, accounts, decide)


async def change_role(accounts: Accounts, email: str, role: Role, verb: Literal["grant", "revoke"]) -> Account | None:
    """Grant or revoke a role (`python -m auth`); the account as it is then, None for an address that nobody has."""

    async def attempt() -> Account | None:
        [own] = await accounts_by_email(accounts.pool, [email])
        if own is None or not own.version:
            return None
        after, changed = changed_by(ChangeRole(user_id=own.id, role=role, change=verb), own)
        if changed.events:
            context = Context(time=accounts.now(), correlation_id=str(uuid7()), actor=OPERATOR)
            await accounts.log.append(new_command(CODEC, context, changed))
        return after

    return await decided_again(attempt)


ROUTES: Final = (me, change, sessions, revoke, revoke_others)


def changed_by(command: ChangeProfile | ChangeRole, own: Account) -> tuple[Account, Change]:
    """A registered account after a command, and the change that makes it so."""
    before = convert(own, Person, from_attributes=True)
    events = PERSON.decide(command, before)
    after = PERSON.fold(events, before) or before
    state = PersonState(**asdict(after)) if events else None
    changed = Change(aggregate=own.id, expected=own.version, subject=own.id, events=events, kind="person", state=state)
    return replace(own, version=own.version + len(events), **asdict(after)), changed


def _faults(profile: Profile) -> Iterator[FieldError]:
    """What a type cannot say: a name is one line, a time zone is one that the IANA database names."""
    if profile.name and any(category(letter) in {"Cc", "Zl", "Zp"} for letter in profile.name):
        yield _NOT_ONE_LINE
    if isinstance(profile.timezone, str) and profile.timezone not in known_zones():
        yield _NO_TIMEZONE


def _is_span(start: str | None, end: str | None) -> bool:
    """Whether quiet hours begin and end, at different times, or are none."""
    return start is end is None or (start is not None and end is not None and start != end)


def device_of(user_agent: str | None) -> str | None:
    """A device by its User-Agent, in visible text alone: a client may send anything, and its owner reads it."""
    text = (user_agent or "").encode("latin-1", "ignore").decode("utf-8", "ignore")
    visible = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(visible.split())[:_DEVICE_LENGTH].strip() or None


async def _once(
    request: Request, accounts: Accounts, decide: Callable[[Account, Context], Awaitable[Decided]]
) -> Answer[Any]:
    """Decide on the account as it is now until no other command comes first; a repeat gets the first answer."""
    intent, feed = await intent_of(request), accounts.log.feed

    async def attempt() -> Answer[Any]:
        own, context = await own_account(request, accounts.pool), context_of(request, accounts.now())
        first, decided = await decide(own, context)
        changes = [change for change in decided if change.events]
        if not changes and intent is None:
            return private(first)
        key = intent.with_answer(private(first), context.time) if intent else None
        return settled(first, await accounts.log.append(new_command(CODEC, context, *changes, key=key)), feed)

    with running(request, intent):
        return await once(accounts.pool, intent, feed, attempt)


async def own_account(request: Request, pool: asyncpg.Pool) -> Account:
    """The account behind the session that asks; raises `Problem` (401) once that has ended."""
    account = await account_of_session(pool, request.user.sid)
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
