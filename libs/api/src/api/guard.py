"""Who may in: access tokens (JWT, EdDSA), verified offline from the published keys."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.messages import LOCALES, Locale
from api.problems import FORBIDDEN, UNAUTHENTICATED, Problem
from api.requests import Person
from events.clock import Clock, system_clock

FindKey = Callable[[str], Awaitable[Ed25519PublicKey | None]]
"""The key of a key id, None for an unknown one; raises `Problem` (503) where that cannot be told."""

_LONGEST: Final = 4096
_REMEMBERED: Final = 10_000
INVALID_TOKEN: Final = {"www-authenticate": 'Bearer error="invalid_token"'}
_OPTIONS: Final[Any] = {
    "require": ["iss", "aud", "sub", "sid", "exp"],
    "verify_exp": False,  # by our own clock, below
    "verify_iat": False,
    "verify_nbf": False,
}


class _Claims(msgspec.Struct, frozen=True):
    sub: UUID
    sid: UUID
    exp: float
    roles: frozenset[str] = frozenset()
    locale: str | None = None


class _Verified(msgspec.Struct, frozen=True):
    person: Person
    expires: float
    kid: str


def _nobody(_: Person) -> bool:
    return False


class Guard:
    """Turns a bearer token into a `Person`.

    Checking a signature costs 0.1 ms, so verified tokens are remembered, for as long as their key is still published.
    """

    def __init__(
        self,
        find_key: FindKey,
        *,
        issuer: str,
        audience: str,
        clock: Clock = system_clock,
        refuse: Callable[[Person], bool] = _nobody,
    ) -> None:
        self._find_key = find_key
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._refuse = refuse
        self._known: OrderedDict[str, _Verified] = OrderedDict()

    async def person(self, authorization: str | None) -> Person:
        """Who the `Authorization` header names; raises `Problem` (401) where it is absent, false or out of date."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(UNAUTHENTICATED, headers={"www-authenticate": "Bearer"})
        found = self._known.get(token)
        if found is not None and await self._find_key(found.kid) is None:
            self._known.pop(token, None)
            raise Problem(UNAUTHENTICATED, headers=INVALID_TOKEN)
        found = found or await self._verified(token)
        if found.expires <= self._clock().timestamp() or self._refuse(found.person):
            self._known.pop(token, None)
            raise Problem(UNAUTHENTICATED, headers=INVALID_TOKEN)
        return found.person

    async def _verified(self, token: str) -> _Verified:
        try:
            found = await self._decode(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Problem(UNAUTHENTICATED, headers=INVALID_TOKEN) from error
        self._known[token] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _decode(self, token: str) -> _Verified:
        """Raises an error of PyJWT, `ValueError` or `RecursionError` for what is not our token."""
        if len(token) > _LONGEST:
            raise ValueError("longer than any token of ours")
        header = jwt.get_unverified_header(token)
        if header.get("typ") != "at+jwt" or header.get("alg") != "EdDSA":
            raise ValueError("not an access token (RFC 9068)")
        kid = str(header.get("kid"))
        key = await self._find_key(kid)
        if key is None:
            raise ValueError("signed with an unknown key")
        payload = jwt.decode(
            token, key, algorithms=["EdDSA"], audience=self._audience, issuer=self._issuer, options=_OPTIONS
        )
        claims = msgspec.convert(payload, _Claims)
        return _Verified(_person_of(claims), claims.exp, kid)


def _person_of(claims: _Claims) -> Person:
    locale = cast("Locale", claims.locale) if claims.locale in LOCALES else None
    return Person(claims.sub, claims.sid, claims.roles, locale, claims.exp)


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A Litestar guard: lets signed-in people through and leaves the `Person` in `request.user`."""
    guard: Guard = connection.app.state.guard
    connection.scope["user"] = await guard.person(connection.headers.get("authorization"))


def has_role(role: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """A Litestar guard that lets people with this role through; it stands after `signed_in` in `guards`."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if role not in connection.scope["user"].roles:
            raise Problem(FORBIDDEN)

    return guard
