"""Signing in over HTTP: a code is asked for, answered, and exchanged for tokens. `domain.py` says what is decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from api.answers import Answer, Envelope, answer, private
from api.failures import to_answer
from api.guard import signed_in
from api.messages import Message, Text
from api.problems import INVALID, OUTCOME_UNKNOWN, FieldError, Kind, Problem
from api.requests import Request, context_of
from api.routes import get, post
from auth import account
from auth.account import device_of
from auth.keyring import LIFETIME, MAX_AGE
from auth.limits import REFUSALS, Asker, address_of
from auth.signin import Auth
from auth.tables import Account
from auth.tokens import Configuration, KeySet, RefreshToken
from events.clock import Clock
from events.errors import OutcomeUnknown

SENT: Final = Message(key="otp.sent", en="OTP sent successfully", ko="OTP 코드가 전송되었습니다")
SIGNED_IN: Final = Message(key="user.signed_in", en="Signed in successfully", ko="로그인되었습니다")
REFRESHED: Final = Message(key="token.refreshed", en="Token refreshed successfully", ko="토큰이 갱신되었습니다")
SIGNED_OUT: Final = Message(key="user.signed_out", en="Signed out successfully", ko="로그아웃되었습니다")

OTP_INVALID: Final = Kind(
    status=401,
    code="otp.invalid",
    title=Text("Code not accepted", "코드를 확인할 수 없습니다"),
    detail=Text(
        "The code is wrong or no longer valid; check it, or ask for a new one.",
        "코드가 틀렸거나 더 이상 유효하지 않습니다. 다시 확인하거나 새 코드를 요청하세요.",
    ),
)
REFRESH_INVALID: Final = Kind(
    status=401,
    code="refresh.invalid",
    title=Text("Session over", "세션이 종료되었습니다"),
    detail=Text("This refresh token is not valid; sign in again.", "유효하지 않은 갱신 토큰입니다. 다시 로그인하세요."),
)
NOT_KNOWN: Final = replace(
    OUTCOME_UNKNOWN,
    detail=Text(
        "This may or may not have been done: send it again after `Retry-After`; to sign in, ask for a new code then.",
        "처리되었는지 알 수 없습니다. `Retry-After` 이후 다시 보내세요. 로그인하려면 그때 새 코드를 요청하세요.",
    ),
)
_BEARER: Final = {"www-authenticate": "Bearer"}
_NO_ADDRESS: Final = FieldError("email", "format", Text("must be an e-mail address", "이메일 주소여야 합니다"))

Line: TypeAlias = Annotated[str, Meta(max_length=512)]
Email: TypeAlias = Annotated[
    str, Meta(max_length=512, examples=["ann@example.org"], extra_json_schema={"format": "email"})
]
Code: TypeAlias = Annotated[str, Meta(max_length=512, examples=["183827"])]


class AskForCode(Struct, frozen=True, kw_only=True):
    """Ask for a code; `device_token` is what an earlier sign-in to this address left on the device."""

    email: Email
    device_token: Line | None = None


class CodeSent(Struct, frozen=True, kw_only=True):
    """A code is on its way; it answers this challenge alone. `otp_code` is there in development only."""

    email: str
    expires_in_minutes: int
    challenge_id: UUID
    otp_code: str | UnsetType = UNSET


class AnswerCode(Struct, frozen=True, kw_only=True):
    """Answer a challenge with the code from the mail."""

    email: Email
    challenge_id: UUID
    otp_code: Code
    device_token: Line | None = None


class Exchange(Struct, frozen=True):
    """Exchange a refresh token for the next one."""

    refresh_token: Line


class Tokens(Struct, frozen=True, kw_only=True):
    """`expires_in` is the access token's, in seconds. A refresh token is good once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str


class Identity(Struct, frozen=True):
    """Who signed in."""

    id: UUID
    email: str


class SignedIn(Tokens, frozen=True, kw_only=True):
    """Tokens of a new session; the device keeps `device_token` for its next sign-in."""

    user: Identity
    device_token: str


@dataclass(frozen=True, slots=True)
class Door:
    """What the handlers work with. `shows_codes` answers a code to whoever asked (development alone)."""

    auth: Auth
    now: Clock
    issuer: str
    shows_codes: bool


Parts: TypeAlias = NamedDependency[Door]


def _ask_again(request: Request, failure: OutcomeUnknown) -> Answer[Any]:
    return to_answer(request, Problem(NOT_KNOWN, retry_after=failure.retry_after))


# Here no answer is kept (it would hold a code or a token), so no Idempotency-Key settles anything.
_UNKEYED: Final[Any] = {OutcomeUnknown: _ask_again}


@post("/users/request-otp", status_code=200, exception_handlers=_UNKEYED, problems=REFUSALS)
async def request_otp(request: Request, data: JSONBody[AskForCode], door: Parts) -> Answer[Envelope[CodeSent]]:
    """Ask for a sign-in code by e-mail. Known and unknown addresses get the same answer."""
    context, email = context_of(request, door.now()), _address(data.email)
    device = await known_device(door.auth, email, data.device_token, door.now())
    async with door.auth.limiter.code(email, device, network_of(request, door.auth), context.time):
        asked = await door.auth.ask(email, context)
    sent = CodeSent(
        email=email,
        expires_in_minutes=int(door.auth.policy.code_for.total_seconds() // 60),
        challenge_id=asked.challenge_id,
        otp_code=asked.code if door.shows_codes else UNSET,
    )
    return private(answer(request, SENT, sent)).at(door.auth.otp_log.feed, asked.position)


@post("/users/verify-otp", status_code=200, exception_handlers=_UNKEYED, problems=(OTP_INVALID, *REFUSALS))
async def verify_otp(request: Request, data: JSONBody[AnswerCode], door: Parts) -> Answer[Envelope[SignedIn]]:
    """Answer a challenge with its code; the first right answer opens a session."""
    context, email = context_of(request, door.now()), _address(data.email)
    known = await known_device(door.auth, email, data.device_token, door.now())
    asker = Asker(email=email, network=network_of(request, door.auth), is_known=known is not None)
    device = device_of(request.headers.get("user-agent"))
    opened = await door.auth.answer(data.challenge_id, data.otp_code, asker, context, device=device)
    if opened is None:
        raise Problem(OTP_INVALID, headers=_BEARER)
    owner, token = opened.account, opened.refresh_token
    tokens = SignedIn(
        **_tokens(door, owner, token),
        user=Identity(owner.id, owner.email),
        device_token=door.auth.devices.issue(owner.email),
    )
    return private(answer(request, SIGNED_IN, tokens)).at(door.auth.log.feed, opened.position)


@post("/users/refresh", status_code=200, exception_handlers=_UNKEYED, problems=(REFRESH_INVALID,))
async def refresh(request: Request, data: JSONBody[Exchange], door: Parts) -> Answer[Envelope[Tokens]]:
    """Exchange a refresh token for new tokens; a retry within ten seconds gives the same refresh token."""
    exchanged = await door.auth.exchange(data.refresh_token, context_of(request, door.now()), door.now)
    if exchanged is None:
        raise Problem(REFRESH_INVALID, headers=_BEARER)
    owner, token = exchanged
    return private(answer(request, REFRESHED, Tokens(**_tokens(door, owner, token))))


@post("/users/logout", status_code=200, guards=[signed_in], exception_handlers=_UNKEYED)
async def logout(request: Request, door: Parts) -> Answer[Envelope[None]]:
    """End the session of this access token. Takes no body."""
    position = await door.auth.end(request.user.sid, "logout", context_of(request, door.now()))
    ended = answer(request, SIGNED_OUT, None)
    return ended if position is None else ended.at(door.auth.log.feed, position)


@get("/.well-known/jwks.json")
async def jwks(door: Parts) -> Answer[KeySet]:
    """Get the keys that verify access tokens (RFC 7517)."""
    return _published(door.auth.access.jwks())


@get("/.well-known/openid-configuration")
async def configuration(door: Parts) -> Answer[Configuration]:
    """Get where the keys are, for gateways and libraries that look here (OpenID Connect Discovery 1.0)."""
    return _published(
        {
            "issuer": door.issuer,
            "jwks_uri": f"{door.issuer.rstrip('/')}/.well-known/jwks.json",
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "subject_types_supported": ["public"],
            "response_types_supported": [],
        }
    )


ROUTES: Final = (request_otp, verify_otp, refresh, logout, jwks, configuration, *account.ROUTES)


def _address(text: str) -> str:
    address = address_of(text)
    if address is None:
        raise Problem(INVALID, errors=[_NO_ADDRESS])
    return address


def network_of(request: Request, auth: Auth) -> str:
    """Where a request comes from, as limits count it."""
    client = request.scope["client"]
    forwarded_for = ",".join(request.headers.getall("x-forwarded-for", []))
    return auth.limiter.network_of(client[0] if client else "", forwarded_for)


async def known_device(auth: Auth, email: str, device_token: str | None, now: datetime) -> str | None:
    """The token of a device that the address knows; without one raises `Problem` (429) while the address is locked."""
    if auth.devices.knows(email, device_token):
        return device_token
    await auth.limiter.refuse_locked(email, now)
    return None


def _tokens(door: Door, owner: Account, token: RefreshToken) -> dict[str, Any]:
    """The fields of `Tokens`. None has a default: what is always there is described so."""
    return {
        "access_token": door.auth.access.sign(owner.id, token.session_id, owner.roles, owner.locale, door.now()),
        "token_type": "Bearer",
        "expires_in": int(LIFETIME.total_seconds()),
        "refresh_token": token.text,
    }


def _published(document: Any) -> Answer[Any]:
    return Answer(
        msgspec.json.encode(document), headers={"cache-control": f"public, max-age={int(MAX_AGE.total_seconds())}"}
    )
