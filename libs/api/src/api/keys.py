"""The keys that access tokens are signed with, as auth publishes them (RFC 7517), kept at hand."""

import asyncio
from time import monotonic
from typing import Final, Self

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.outgoing import trust
from api.problems import UNAVAILABLE, Problem

log = structlog.get_logger(__name__)

_FRESH: Final = 300.0
_PAUSE: Final = 3.0
_TIMEOUT: Final = 2.0


class Jwks:
    """Fetched on an unknown key id, at most every 3 s, and anew after 5 minutes; served stale while auth is away."""

    def __init__(self, url: str) -> None:
        self._url = url
        # auth is next door: no proxy
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, verify=trust(url))
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = self._tried = -_FRESH
        self._reachable = False
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        await self._client.aclose()

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """The key of an id, None for an unknown one; raises `Problem` (503) for an unknown one while auth is away."""
        if kid in self._keys:
            self._renew_if_stale()
            return self._keys[kid]
        if (renewal := self._renew()) is not None:
            await asyncio.shield(renewal)
        if kid not in self._keys and not self._reachable:
            raise Problem(UNAVAILABLE, retry_after=int(_PAUSE) or 1)
        return self._keys.get(kid)

    def _renew_if_stale(self) -> None:
        """Beside the request: who brings a known key never waits for auth."""
        if monotonic() - self._fetched > _FRESH:
            self._renew()

    def _renew(self) -> asyncio.Task[None] | None:
        """What fetches for all who wait; None where somebody tried a moment ago.

        It wakes them together: a lock would let one of them go on in each turn of the loop.
        """
        if self._renewal is None or self._renewal.done():
            if monotonic() - self._tried < _PAUSE:
                return None
            self._renewal = asyncio.create_task(self._refresh())
        return self._renewal

    async def _refresh(self) -> None:
        """A failure keeps what is at hand."""
        self._tried = monotonic()
        try:
            self._keys = await self._fetch()
        except Exception as error:  # noqa: BLE001 - whatever auth answers: those who wait are told that it is away
            self._reachable = False
            log.warning("keys could not be fetched; the known ones stay in use", url=self._url, reason=repr(error))
        else:
            self._reachable = True
            self._fetched = monotonic()

    async def _fetch(self) -> dict[str, Ed25519PublicKey]:
        response = await self._client.get(self._url)
        response.raise_for_status()
        keys = jwt.PyJWKSet.from_dict(response.json()).keys
        return {key.key_id: key.key for key in keys if key.key_id and isinstance(key.key, Ed25519PublicKey)}
