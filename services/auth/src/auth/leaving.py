"""Leaving over HTTP: take everything along, delete the account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from api.answers import Answer, Envelope, answer
from api.exports import Part
from api.guard import signed_in
from api.messages import Message
from api.problems import Problem
from api.requests import Request, context_of
from api.routes import delete, get
from api.streamed import ASKED_AGAIN, streamed
from auth.account import own_account
from auth.api import OTP_INVALID, Code, Line, known_device, network_of
from auth.erasure import INCOMPLETE, Exports, erase
from auth.limits import REFUSALS, Asker
from auth.signin import Auth
from events.clock import Clock
from events.deciding import decided_again
from events.erasure import Tombstones

ERASED: Final = Message(
    key="user.erased",
    en="Account deleted; everything about you is being erased",
    ko="계정이 삭제되었습니다. 회원님에 관한 모든 데이터를 지우고 있습니다",
)
EXPORTED: Final = Message(
    key="user.exported", en="Your data was exported successfully", ko="회원님의 데이터를 내보냈습니다"
)


class Leave(Struct, frozen=True, kw_only=True):
    """The code of a challenge that the account's own address asked for just now; `device_token` as at a sign-in."""

    challenge_id: UUID
    otp_code: Code
    device_token: Line | None = None


class Export(Struct, frozen=True, kw_only=True):
    """Everything about a person, by the service that holds it."""

    exported_at: datetime
    services: dict[str, Part]


@dataclass(frozen=True, slots=True)
class Leaving:
    """What the handlers work with."""

    auth: Auth
    now: Clock
    exports: Exports
    tombstones: Tombstones
    wake_eraser: Callable[[], None]


Parts: TypeAlias = NamedDependency[Leaving]


@delete("/users/me", status_code=200, guards=[signed_in], keyed=False, problems=(OTP_INVALID, *REFUSALS))
async def leave(request: Request, data: JSONBody[Leave], leaving: Parts) -> Answer[Envelope[None]]:
    """Delete your account with a fresh code, and have everything about you erased. All sessions end."""
    context = context_of(request, leaving.now())
    account = await own_account(request, leaving.auth.pool)
    known = await known_device(leaving.auth, account.email, data.device_token, context.time)
    asker = Asker(email=account.email, network=network_of(request, leaving.auth), is_known=known is not None)
    attempt = await leaving.auth.prove(data.challenge_id, data.otp_code, asker, context)

    async def left() -> int | None:
        return await erase(leaving.auth, await own_account(request, leaving.auth.pool), attempt, context)

    position = await decided_again(left)
    if position is None:
        raise Problem(OTP_INVALID, headers={"www-authenticate": "Bearer"})
    leaving.tombstones.add(account.id)
    leaving.wake_eraser()
    return answer(request, ERASED, None).at(leaving.auth.log.feed, position)


@get("/users/me/export", guards=[signed_in], problems=(INCOMPLETE, ASKED_AGAIN))
async def export(request: Request, leaving: Parts) -> Answer[Envelope[Export]]:
    """Get everything about you as one document.

    However long, it is sent as it is read: one that breaks off has no end, and is to be asked for again. Whoever asks
    again ends what they asked for before.
    """
    await own_account(request, leaving.auth.pool)
    document = leaving.exports.of(request.user.id, request.headers["authorization"], leaving.now())
    return streamed(request, EXPORTED, document, leaving.exports.turns)


ROUTES: Final = (leave, export)
