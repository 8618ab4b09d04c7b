"""For the services' tests: a real server on a free port, and people who are signed in."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from api.guard import Guard
from api.outgoing import trust
from api.requests import Person
from api.server import listen, serve
from events.clock import Clock, system_clock
from events.ids import uuid7

ISSUER: Final = "https://issuer.test"
AUDIENCE: Final = "todo"


class People:
    """Signs tokens with a key of its own; `guard` lets their bearers in."""

    def __init__(self, clock: Clock = system_clock, refuse: Callable[[Person], bool] = lambda _: False) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._clock = clock
        self.guard = Guard(self._find, issuer=ISSUER, audience=AUDIENCE, clock=clock, refuse=refuse)

    async def _find(self, kid: str) -> Ed25519PublicKey | None:
        return self._key.public_key() if kid == "test" else None

    def token(
        self, user_id: UUID, *, roles: Sequence[str] = (), header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """An access token as auth makes it; `claims` and `header` override what is in it (None leaves one out)."""
        expires = self._clock() + timedelta(minutes=10)
        standard = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(uuid7()),
            "roles": list(roles),
            "exp": int(expires.timestamp()),
        }
        payload = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        return jwt.encode(
            payload, self._key, algorithm="EdDSA", headers={"kid": "test", "typ": "at+jwt", **(header or {})}
        )

    def headers(self, user_id: UUID, **claims: Any) -> dict[str, str]:
        """The `Authorization` header of a signed-in person."""
        return {"authorization": f"Bearer {self.token(user_id, **claims)}"}


@asynccontextmanager
async def serving(
    app: Any, *, drain: float = 5.0, port: int = 0, on_leaving: Callable[[], None] = lambda: None
) -> AsyncIterator[httpx.AsyncClient]:
    """The application behind its real server on a port of loopback (0: a free one); a client with relative paths."""
    listener = listen("127.0.0.1", port)
    port = listener.getsockname()[1]
    server = asyncio.create_task(serve(app, listener, drain=drain, on_leaving=on_leaving))
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, verify=trust(url)) as client:
            yield client
    finally:
        server.cancel()
        await asyncio.wait([server])


class Weighed(NamedTuple):
    """An answer's status, bytes and last three; `peak`: the bytes that this process had in memory for it at a time."""

    status: int
    size: int
    end: bytes
    peak: int


async def weighed(http: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> Weighed:
    """Read an answer of this very process to its end, keeping nothing of it."""
    size, end = 0, b""
    tracemalloc.start()
    try:
        async with http.stream("GET", path, headers=headers) as answer:
            async for chunk in answer.aiter_bytes():
                size, end = size + len(chunk), (end + chunk)[-3:]
        return Weighed(answer.status_code, size, end, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
