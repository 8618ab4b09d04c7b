"""What a person wants to be told, and on which ways, over HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeAlias, cast, get_args

import asyncpg
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api.answers import Answer, Envelope, answer
from api.guard import signed_in
from api.messages import Message
from api.requests import Request
from api.routes import get, patch
from api.transactions import writing
from events.catalog.patch import said
from events.clock import Clock
from notifier.domain import Channel, Kind, Preferences
from notifier.tables import choose, preferences

SHOWN: Final = Message(
    key="notification.preferences", en="Preferences retrieved successfully", ko="알림 설정을 조회했습니다"
)
CHOSEN: Final = Message(
    key="notification.preferences_changed", en="Preferences changed successfully", ko="알림 설정을 변경했습니다"
)

Until = Annotated[
    datetime, Meta(tz=True, description="Nothing makes a sound before; push and SMS wait. null: disturb me")
]


class Channels(Struct, frozen=True):
    """Which ways notifications of one kind go. Without `live` they come to open connections silently."""

    inbox: bool
    live: bool
    push: bool
    sms: bool


class Kinds(Struct, frozen=True, kw_only=True):
    """Every kind of notification."""

    completion: Channels
    due_soon: Channels
    overdue: Channels
    weekly_report: Channels
    monthly_report: Channels


class Chosen(Struct, frozen=True):
    """What a person is told, and on which ways."""

    kinds: Kinds
    do_not_disturb_until: Until | None


class SomeChannels(Struct, frozen=True, forbid_unknown_fields=True):
    """The ways to change; the others stay."""

    inbox: bool | UnsetType = UNSET
    live: bool | UnsetType = UNSET
    push: bool | UnsetType = UNSET
    sms: bool | UnsetType = UNSET


class SomeKinds(Struct, frozen=True, forbid_unknown_fields=True):
    """The kinds to change; the others stay."""

    completion: SomeChannels | UnsetType = UNSET
    due_soon: SomeChannels | UnsetType = UNSET
    overdue: SomeChannels | UnsetType = UNSET
    weekly_report: SomeChannels | UnsetType = UNSET
    monthly_report: SomeChannels | UnsetType = UNSET


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is absent stays."""

    kinds: SomeKinds | UnsetType = UNSET
    do_not_disturb_until: Until | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Choosing:
    """What the handlers work with."""

    pool: asyncpg.Pool
    now: Clock


Parts: TypeAlias = NamedDependency[Choosing]


@get("/notifications/preferences", guards=[signed_in])
async def show(request: Request, choosing: Parts) -> Answer[Envelope[Chosen]]:
    """Get what you are told, and on which ways."""
    found = await preferences(choosing.pool, [request.user.id])
    return answer(request, SHOWN, _shown(found.get(request.user.id, Preferences())))


@patch("/notifications/preferences", guards=[signed_in], keyed=False)
async def change(request: Request, choosing: Parts, data: JSONBody[Change]) -> Answer[Envelope[Chosen]]:
    """Change what you are told, and on which ways. Holds for what happens from now on."""
    choices: dict[tuple[Kind, Channel], bool] = {
        (cast("Kind", kind), cast("Channel", channel)): wanted
        for kind, some in said(data.kinds or SomeKinds()).items()
        for channel, wanted in said(some).items()
    }
    until = data.do_not_disturb_until
    chosen = Preferences(choices, None if until is UNSET else until)
    async with writing(request, choosing.pool) as connection:
        now = await choose(connection, request.user.id, chosen, choosing.now(), until=until is not UNSET)
    return answer(request, CHOSEN, _shown(now))


def _shown(chosen: Preferences) -> Chosen:
    kinds = {kind: Channels(*(chosen.wants(kind, channel) for channel in get_args(Channel))) for kind in get_args(Kind)}
    return Chosen(Kinds(**kinds), chosen.do_not_disturb_until)


ROUTES: Final = (show, change)
