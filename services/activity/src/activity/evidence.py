"""Evidence that nobody rewrote the archive: seals, signed and kept outside of its database (docs/adr/0023).

Whoever can write to the database can also make its hashes fit. What they cannot do is to sign another head, or to take
back a seal that is kept where they do not reach.
"""

import asyncio
import base64
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog
from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey
from prometheus_client import Gauge

from activity.recount import Finding
from activity.tables import SQL
from events.clock import Clock
from events.health import Check
from events.keys import Keys
from events.postgres import AWAY

EVERY: Final = timedelta(hours=1)
GENESIS: Final = bytes(32)
"""The head of an empty archive."""
KEY_SIZE: Final = 32
_LOOK: Final = 60.0
_AT_ONCE: Final = 10_000

SEALED_AT: Final = Gauge("todo_archive_sealed_timestamp_seconds", "Up to when all that the archive holds is sealed")

log = structlog.get_logger(__name__)


class Statement(Struct, frozen=True):
    """What is signed: the archive's rows up to `number` lead to `head` (hexadecimal)."""

    number: int
    head: str
    sealed_at: datetime


class Seal(Struct, frozen=True):
    """A statement, and who signed it: `key` is the id of an Ed25519 key, `signature` base64 (RFC 8032)."""

    statement: Statement
    key: str
    signature: str


def signed(statement: Statement, keys: Keys) -> Seal:
    """A seal by the current key."""
    signature = SigningKey(keys.value).sign(msgspec.json.encode(statement)).signature
    return Seal(statement, keys.current, base64.b64encode(signature).decode())


def is_genuine(seal: Seal, keys: Keys) -> bool:
    """Whether one of our keys has signed it."""
    try:
        key = SigningKey(keys.by_id[seal.key]).verify_key
        key.verify(msgspec.json.encode(seal.statement), base64.b64decode(seal.signature, validate=True))
    except (KeyError, ValueError, CryptoError):
        return False
    return True


def sealed(folder: Path) -> tuple[list[Seal], list[str]]:
    """The seals of a folder in the order of their numbers, and the names of files that are none; raises OSError."""
    seals, others = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            seals.append(_read(path))
        except ValueError:
            others.append(path.name)
    return seals, others


def newest(folder: Path) -> Seal | None:
    """The seal of the highest number; None where there is none yet. Raises OSError.

    What is none is passed over (`verify` tells of it): one that a full disk cut short would end all sealing.
    """
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            return _read(path)
        except ValueError as error:
            log.warning("a seal is passed over", error=str(error))
    return None


def _read(path: Path) -> Seal:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seal)
    except msgspec.DecodeError:
        raise ValueError(f"{path.name} is no seal") from None


def keep(seal: Seal, folder: Path) -> Path:
    """Write a seal beside the others, never over one, and whole where the disk allows; raises OSError."""
    path = folder / f"{seal.statement.number:015}.json"
    with suppress(FileExistsError):  # another instance sealed up to the same number
        file = path.open("xb")
        try:
            with file:
                file.write(msgspec.json.format(msgspec.json.encode(seal)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
    return path


async def chained(pool: asyncpg.Pool, after: int, head: bytes, to: int) -> tuple[int, bytes]:
    """How many rows there are after a number up to another one, and the head that they lead to."""
    rows = 0
    for start in range(after, to, _AT_ONCE):
        [found] = await pool.fetch(SQL.archive_chain, start, head, min(start + _AT_ONCE, to))
        rows, head = rows + found["rows"], found["head"]
    return rows, head


async def look_at_seals(pool: asyncpg.Pool, seals: Sequence[Seal], keys: Keys) -> list[Finding]:
    """Whether the archive is what was sealed, from each seal to the next one, and only the erased are erased."""
    found = []
    after, head = 0, GENESIS
    for seal in seals:
        said = seal.statement
        about = f"archive {after + 1:,} to {said.number:,}, sealed {said.sealed_at:%Y-%m-%d %H:%M}Z"
        if not is_genuine(seal, keys):
            found.append(Finding(about, f"the seal is not signed by a key of SEAL_KEYS ({seal.key})"))
            continue
        rows, leads_to = await chained(pool, after, head, said.number)
        found.append(Finding(about, _wrong(rows, said.number - after, is_same=leads_to.hex() == said.head)))
        after, head = said.number, bytes.fromhex(said.head)
    [unlawful] = await pool.fetch(SQL.archive_unlawful)
    wrong = f"{unlawful['rows']:,} rows of people who are not, the first is {unlawful['first']}"
    found.append(Finding("only the erased are erased", wrong if unlawful["rows"] else ""))
    return found


def _wrong(rows: int, expected: int, *, is_same: bool) -> str:
    if rows != expected:
        return f"{rows:,} rows, sealed were {expected:,}"
    return "" if is_same else "a row was changed, or rows changed places: compare with the feeds' logs"


class Unsealed(Exception):
    """The archive cannot be sealed; the message says why."""


class Seals:
    """Seals the archive each hour while `run` runs; any number of instances may."""

    def __init__(self, pool: asyncpg.Pool, folder: Path, keys: Keys, clock: Clock) -> None:
        self._pool = pool
        self._folder = folder
        self._keys = keys
        self._clock = clock
        self._state = Check("seals", "ok")

    def check(self) -> Check:
        """ok, or late while no seal can be kept."""
        return self._state

    async def run(self) -> None:
        """Seal until cancelled."""
        while True:
            try:
                await self.seal(at_least=EVERY)
                self._state = Check("seals", "ok")
            except Unsealed as error:
                self._state = Check("seals", "late", str(error))
                log.warning("the archive is not sealed", error=str(error))
            except AWAY:
                pass  # said by whoever cannot work without it
            await asyncio.sleep(_LOOK)

    async def seal(self, *, at_least: timedelta = timedelta(0)) -> Seal | None:
        """Seal what came since the last seal, where that is `at_least` so old; None where there is nothing to seal.

        Raises one of `AWAY`, or `Unsealed`.
        """
        now = self._clock()
        last = await self._last()
        SEALED_AT.set(last.sealed_at.timestamp())
        to: int = await self._pool.fetchval(SQL.archive_end)
        if to < last.number:
            raise Unsealed(f"the archive ends at {to:,}, and was sealed up to {last.number:,}: rows are missing")
        if to == last.number:
            SEALED_AT.set(now.timestamp())
            return None
        if now - last.sealed_at < at_least:
            return None
        _, head = await chained(self._pool, last.number, bytes.fromhex(last.head), to)
        seal = signed(Statement(to, head.hex(), now), self._keys)
        try:
            await asyncio.to_thread(keep, seal, self._folder)
        except OSError as error:
            raise Unsealed(f"no seal can be written to {self._folder}: {error.strerror}") from None
        SEALED_AT.set(now.timestamp())
        return seal

    async def look_through(self) -> list[Finding]:
        """Whether the archive is what was sealed; raises one of `AWAY`."""
        try:
            seals, others = await asyncio.to_thread(sealed, self._folder)
        except OSError as error:
            return [Finding("seals", f"{self._folder}: {error}")]
        found = [Finding(f"seal {name}", "the file is no seal") for name in others]
        return found + await look_at_seals(self._pool, seals, self._keys)

    async def _last(self) -> Statement:
        try:
            seal = await asyncio.to_thread(newest, self._folder)
        except OSError as error:
            raise Unsealed(f"the seals of {self._folder} cannot be read: {error}") from None
        if seal is None:
            return Statement(0, GENESIS.hex(), datetime.fromtimestamp(0, UTC))
        if not is_genuine(seal, self._keys):
            raise Unsealed(f"the seal of number {seal.statement.number} is not signed by a key of SEAL_KEYS")
        return seal.statement
