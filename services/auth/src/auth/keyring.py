"""The keys that sign access tokens: wrapped in the database, rotated by command, read anew by every replica.

A key is published long before it signs, and stays so until the last token signed with it is dead (docs/adr/0010).
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import asyncpg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from api.problems import UNAVAILABLE, Problem
from auth import tables
from auth.seals import unwrap, wrap
from events.clock import Clock
from events.health import Check
from events.keys import Keys
from events.postgres import AWAY, Connection

LIFETIME: Final = timedelta(minutes=10)
"""An access token's."""
MAX_AGE: Final = timedelta(minutes=5)
"""How long anybody may keep the published keys at hand."""
LEAD: Final = 2 * MAX_AGE + timedelta(minutes=5)
"""How long a key is published before it signs: kept by a cache, and again by who asks that cache, and slack."""
TAIL: Final = LIFETIME + timedelta(minutes=5)
"""How long a key is published after its successor began to sign: the last token's life, and slack for clocks."""
REREAD: Final = 2.0
PAUSE: Final = 1.0

log = structlog.get_logger(__name__)


class SigningKey(Struct, frozen=True):
    """A key at hand; `drop_after` is when it is over, if that is settled."""

    kid: str
    private: Ed25519PrivateKey
    signs_from: datetime
    drop_after: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Whether no token of this key counts any more."""
        return self.drop_after is not None and now >= self.drop_after


class Keyring:
    """The signing keys as they were when last read; what counts of them is judged by the clock at each use."""

    def __init__(self, pool: asyncpg.Pool, wrapping: Keys, clock: Clock) -> None:
        self._pool = pool
        self._wrapping = wrapping
        self._clock = clock
        self._keys: Sequence[SigningKey] = ()
        self._turn = asyncio.Lock()
        self._read_at = -PAUSE
        self._state = Check("signing keys", "failed", "not read yet")

    def check(self) -> Check:
        """ok; late while the database is away and the known keys go on; failed where a key cannot be used."""
        return self._state

    async def run(self) -> None:
        """Read the keys anew until cancelled."""
        while True:
            try:
                await self.read()
            except AWAY as error:
                detail = f"they cannot be read: {type(error).__name__}"
                self._state = Check("signing keys", "late" if self._keys else "failed", detail)
            await asyncio.sleep(REREAD)

    async def read(self) -> None:
        """Read the keys, and make the first where there is none."""
        async with self._turn:
            await self._read()

    async def _read(self) -> None:
        self._read_at = monotonic()
        rows = await self._living()
        if not rows:
            await make_first(self._pool, self._wrapping, self._clock())
            rows = await self._living()
        before = {key.kid for key in self._keys}
        self._keys = [key for row in rows if (key := self._opened(row))]
        closed = len(rows) - len(self._keys)
        lost = f"{closed} are wrapped under a key that is not in KEY_WRAPPING_KEYS: add it, or revoke them"
        self._state = Check("signing keys", "failed", lost) if closed else Check("signing keys", "ok")
        if before != {key.kid for key in self._keys}:
            log.info("the signing keys are new", kids=[key.kid for key in self._keys], unreadable=closed)

    def signer(self) -> SigningKey:
        """The key to sign with now; raises `Problem` (503) while there is none."""
        now, keys = self._clock(), self.published()
        # The youngest that may; where this clock is behind the one that made the first key, that one.
        return max((key for key in keys if key.signs_from <= now), key=_begins, default=keys[0])

    def published(self) -> Sequence[SigningKey]:
        """The keys that count now; raises `Problem` (503) while there is none, which no cache may keep."""
        keys = [key for key in self._keys if not key.is_over(self._clock())]
        if not keys:
            raise Problem(UNAVAILABLE, retry_after=1)
        return keys

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """The public key of an id; one that another replica just made is looked for."""
        if not self._has(kid):
            async with self._turn:  # whoever comes while the keys are read waits for them, too
                await self._look_for(kid)
        return next((key.private.public_key() for key in self.published() if key.kid == kid), None)

    async def _look_for(self, kid: str) -> None:
        if not self._has(kid) and monotonic() - self._read_at > PAUSE:
            with suppress(*AWAY):
                await self._read()

    async def _living(self) -> Sequence[tables.SigningKeyRow]:
        now = self._clock()
        return [row for row in await tables.signing_keys(self._pool) if not _is_over(row, now)]

    def _has(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._keys)

    def _opened(self, row: tables.SigningKeyRow) -> SigningKey | None:
        seed = unwrap(self._wrapping, row.kid, row.wrapped)
        private = seed and Ed25519PrivateKey.from_private_bytes(seed)
        return SigningKey(row.kid, private, row.signs_from, row.drop_after) if private else None


class Rotation(Struct, frozen=True):
    """What a rotation did: the new key, when it signs, when those before it are over."""

    kid: str
    signs_from: datetime
    drop_after: datetime


async def make_first(pool: asyncpg.Pool, wrapping: Keys, now: datetime) -> None:
    """A key that signs at once, where there is none that counts; of replicas that start together one makes it."""
    async with pool.acquire() as connection, connection.transaction():
        if not await tables.lock_signing_keys(connection, now):
            await _add(connection, wrapping, now, now)


async def rotate(pool: asyncpg.Pool, wrapping: Keys, now: datetime, *, at_once: bool) -> Rotation:
    """Publish a new key that takes over when everybody can know it; `at_once`: now, and all before it are over."""
    signs_from = now if at_once else now + LEAD
    drop_after = now if at_once else signs_from + TAIL
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock_signing_keys(connection, now)
        await tables.retire_signing_keys(connection, drop_after)
        return Rotation(await _add(connection, wrapping, now, signs_from), signs_from, drop_after)


async def _add(connection: Connection, wrapping: Keys, now: datetime, signs_from: datetime) -> str:
    kid = f"{now:%Y%m%d}-{secrets.token_hex(4)}"
    await tables.add_signing_key(
        connection, kid, wrap(wrapping, kid, secrets.token_bytes(32)), published_at=now, signs_from=signs_from
    )
    return kid


def _begins(key: SigningKey) -> datetime:
    return key.signs_from


def _is_over(row: tables.SigningKeyRow, now: datetime) -> bool:
    return row.drop_after is not None and now >= row.drop_after
