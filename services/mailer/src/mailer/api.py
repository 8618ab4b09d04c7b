"""Which letters a person gets: chosen signed in, or stopped by the link in a letter (RFC 8058)."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from api.answers import Answer, Envelope, answer, private
from api.conditions import require_match
from api.guard import signed_in
from api.idempotency import intent_of, once, running, settled
from api.messages import Message
from api.problems import NOT_FOUND, Problem
from api.requests import Request, context_of
from api.routes import get, patch, post
from events.catalog.patch import said
from events.catalog.types import TYPES
from events.clock import Clock
from events.codec import Codec
from events.command import Change, new_command
from events.deciding import decided_again
from events.erasure import Tombstones
from events.log import Log
from mailer.pages import ASKED, STOPPED, page_of
from mailer.preferences import KINDS, PREFERENCES, Choose, Command, Preferences, Unsubscribe
from mailer.tables import PreferenceState, get_preference
from mailer.unsubscribe import Links, Wish

FOUND: Final = Message(key="mail.preferences", en="Preferences retrieved successfully", ko="메일 설정을 조회했습니다")
CHANGED: Final = Message(
    key="mail.preferences_changed", en="Preferences changed successfully", ko="메일 설정이 변경되었습니다"
)
CODEC: Final = Codec(TYPES)
HTML: Final = "text/html"


class Wanted(Struct, frozen=True, kw_only=True):
    """Which letters you get. Sign-in codes are not among them: they always come."""

    welcome: bool
    completion: bool
    due_soon: bool
    overdue: bool
    weekly_report: bool
    monthly_report: bool


class Choices(Struct, frozen=True, kw_only=True):
    """What to change; what is left out stays."""

    welcome: bool | UnsetType = UNSET
    completion: bool | UnsetType = UNSET
    due_soon: bool | UnsetType = UNSET
    overdue: bool | UnsetType = UNSET
    weekly_report: bool | UnsetType = UNSET
    monthly_report: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Choosing:
    """What the handlers work with."""

    log: Log
    pool: asyncpg.Pool
    now: Clock
    links: Links
    erased: Tombstones


Parts: TypeAlias = NamedDependency[Choosing]


@get("/mail/preferences", guards=[signed_in], versioned=True)
async def preferences(request: Request, choosing: Parts) -> Answer[Envelope[Wanted]]:
    """Get which letters you get by mail."""
    version, chosen = await get_preference(choosing.pool, request.user.id)
    return private(answer(request, FOUND, _shown(chosen), version=version))


@patch("/mail/preferences", guards=[signed_in], if_match=True, versioned=True)
async def change(request: Request, data: JSONBody[Choices], choosing: Parts) -> Answer[Envelope[Wanted]]:
    """Change which letters you get (JSON merge patch)."""
    intent, feed = await intent_of(request), choosing.log.feed

    async def attempt() -> Answer[Envelope[Wanted]]:
        context = context_of(request, choosing.now())
        version, before = await get_preference(choosing.pool, request.user.id)
        require_match(request.headers.get("if-match"), version)
        after, decided = _change(Choose(request.user.id, said(data)), version, before)
        first = private(answer(request, CHANGED, _shown(after), version=version + len(decided.events)))
        changes = [decided] if decided.events else []
        if not changes and intent is None:
            return first
        key = intent.with_answer(first, context.time) if intent else None
        return settled(first, await choosing.log.append(new_command(CODEC, context, *changes, key=key)), feed)

    with running(request, intent):
        return await once(choosing.pool, intent, feed, attempt)


@get("/mail/unsubscribe/{token:str}", media=(HTML,))
async def ask(request: Request, token: FromPath[str], choosing: Parts) -> Answer[str]:
    """See what the link in a letter stops. It changes nothing: programs follow links that nobody clicked."""
    wish = _wish(choosing, token)
    return page_of(ASKED, wish.kind, request.locale)


@post("/mail/unsubscribe/{token:str}", status_code=200, media=(HTML,))
async def stop(request: Request, token: FromPath[str], choosing: Parts) -> Answer[str]:
    """Stop letters of a kind, by the link in one of them (RFC 8058). Needs no login and no body; may be repeated."""
    wish = _wish(choosing, token)

    async def attempt() -> int | None:
        version, before = await get_preference(choosing.pool, wish.user_id)
        _, decided = _change(Unsubscribe(wish.user_id, wish.kind), version, before)
        if not decided.events:
            return None
        command = new_command(CODEC, context_of(request, choosing.now()), decided)
        return (await choosing.log.append(command)).position

    position = await decided_again(attempt)
    done = page_of(STOPPED, wish.kind, request.locale)
    return done if position is None else done.at(choosing.log.feed, position)


ROUTES: Final = (preferences, change, ask, stop)


def _wish(choosing: Choosing, token: str) -> Wish:
    """What a link stands for; raises `Problem` (404), also where its person is erased."""
    wish = choosing.links.read(token)
    if wish is None or wish.user_id in choosing.erased:
        raise Problem(NOT_FOUND)
    return wish


def _change(command: Command, version: int, before: Preferences) -> tuple[Preferences, Change]:
    events = PREFERENCES.decide(command, before)
    after = PREFERENCES.fold(events, before)
    person, state = command.user_id, PreferenceState(sorted(after.off))
    return after, Change(
        aggregate=person, expected=version, subject=person, events=events, kind="preference", state=state
    )


def _shown(chosen: Preferences) -> Wanted:
    return Wanted(**{kind: kind not in chosen.off for kind in KINDS})
