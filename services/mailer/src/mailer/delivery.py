"""Acting: takes letters from the work table and has them posted, each outcome told in the transaction that settles it.

queued -> claimed -> sending (committed before the point of no return) -> sent | failed | unknown | expired.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import uniform
from typing import Final, Protocol
from uuid import UUID

import asyncpg
import structlog

from events.catalog.mailer import FailReason
from events.catalog.quiet import quiet_until
from events.clock import Clock
from events.codec import Codec
from events.health import Check
from events.postgres import AWAY
from events.work import BACKOFF_MAX, Row, WorkTable, backoff, lasting
from mailer.console import keep
from mailer.domain import ATTEMPTS_MAX, Letter, failed, has_expired, may_go_again, sent, settled_as
from mailer.holding import Holding
from mailer.letters import Letters, Mail
from mailer.outcomes import Outcomes
from mailer.people import Held, People, Skipped, Unknown
from mailer.seals import KeyMissing, Seals, Unreadable
from mailer.smtp import Deferred, Mark, Refused, Unsure
from mailer.tables import hold, letter_of, parts_of, resend

# A code lives for minutes: it cannot wait for the long steps of the usual back-off.
PAUSE_MAX: Final = 10.0
_KEYLESS: Final = "auth seals for a key that is not here: add its private half to MAILER_PRIVATE_KEYS"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


def pause(attempts: int, *, is_code: bool = True) -> float:
    """Seconds until a letter's next attempt."""
    return backoff(attempts, PAUSE_MAX) if is_code else backoff(attempts)


def patience(waited: timedelta) -> float:
    """Seconds until somebody unknown is asked for again: as long again as the letter waited, 1 s to 5 minutes."""
    most = min(max(waited.total_seconds(), 1.0), BACKOFF_MAX)
    return uniform(most / 2, most)  # noqa: S311 - jitter, not a secret


class Transport(Protocol):
    """Posts a letter: awaits `mark` just before the point of no return; raises what `mailer.smtp` names."""

    def check(self) -> Check:
        """Whether letters can be posted."""

    async def send(self, mail: Mail, mark: Mark) -> None:
        """Post one letter."""

    def close(self) -> None:
        """Let go of what is kept open."""


class ClaimLost(Exception):
    """Another worker has the letter now."""


class Expired(Exception):
    """What the letter says is no longer true."""


_ENDS: Final[dict[type[Exception], FailReason]] = {
    Unreadable: "unreadable",
    Expired: "expired",
}


class Delivery:
    """Posts what the table `letter` holds while `run` runs; `mail_dir` keeps a copy of every mail, if there is one."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        table: WorkTable,
        codec: Codec,
        seals: Seals,
        letters: Letters,
        transport: Transport,
        clock: Clock,
        on_settled: Callable[[], None],
        notifies: bool = True,
        workers: int = 4,
        mail_dir: Path | None = None,
    ) -> None:
        self._pool = pool
        self._table = table
        self._seals = seals
        self._letters = letters
        self._transport = transport
        self._clock = clock
        self._people = People(pool, seals)
        self._notifies = notifies
        self._workers = workers
        self._outcomes = Outcomes(pool, table, codec, clock, on_settled)
        self._holding = Holding(pool, clock, table.wake)
        self._mail_dir = mail_dir
        self._keyless_until = clock()

    def checks(self) -> Sequence[Callable[[], Check]]:
        """What tells how it goes: seals, and letters that are held."""
        return (self._check_seals, self._holding.check)

    def _check_seals(self) -> Check:
        """ok, or late while letters that are still worth sending are sealed for a key that is not here."""
        if has_expired(self._keyless_until, self._clock()):
            return Check("seals", "ok")
        return Check("seals", "late", f"letters wait: {_KEYLESS}")

    async def run(self) -> None:
        """Post letters until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._holding.run())
                group.create_task(self._outcomes.run())
                await self._table.run(self._post, judge=self._judge, expire=self._expire, workers=self._workers)
        finally:
            self._transport.close()

    async def _post(self, row: Row) -> None:
        """One attempt at one letter."""
        try:
            await self._attempt(row)
        except ClaimLost:
            log.info("a letter is another worker's now", letter=str(row["id"]))
        except Refused as error:
            await self._fail(row, "refused", str(error), is_bounce=error.is_bounce)
        except (Unreadable, Expired) as error:
            await self._fail(row, _ENDS[type(error)], str(error) or None)
        except (Skipped, Held, Unknown) as reason:
            await self._set_aside(row, reason)
        except Deferred as error:
            await self._put_off(row, str(error))
        except Unsure:
            await self._judge(row)
        else:
            await self._succeed(row)

    async def _attempt(self, row: Row) -> None:
        letter = letter_of(row)
        mail, expires_at = await self._write(letter)

        async def mark() -> None:
            if has_expired(expires_at, self._clock()):
                raise Expired
            try:
                is_marked = await self._table.sending(row)
            except AWAY as error:  # marked or not: nothing went, so another attempt is safe
                raise Deferred(f"the mark failed: {type(error).__name__}") from None
            if not is_marked:
                raise ClaimLost

        await self._transport.send(mail, mark)
        self._keep(mail)

    async def _write(self, letter: Letter) -> tuple[Mail, datetime | None]:
        """The mail, and until when it may be sent: a code's own word counts."""
        try:
            if letter.kind == "code":
                code = self._seals.open_code(letter.sealed or "")
                return self._letters.write_code(letter, code, self._clock()), code.expires_at
            return await self._write_notice(letter), letter.expires_at
        except KeyMissing as error:
            if has_expired(self._keyless_until, self._clock()):
                log.warning("the seals", state="late", detail=_KEYLESS)
            self._keyless_until = max(self._keyless_until, letter.expires_at or _NEVER)
            raise Deferred(str(error)) from None

    async def _write_notice(self, letter: Letter) -> Mail:
        if not self._notifies:
            raise Skipped("switched off")
        person = await self._people.find(letter)
        until = quiet_until(self._clock(), person.zone, *person.quiet)
        if until and not has_expired(letter.expires_at, until):  # what would be over by then cannot wait
            raise Held(until)
        parts = await parts_of(self._pool, letter.id)
        facts = [letter.facts or "", *(part.facts for part in parts)]
        return self._letters.write_notice(letter, person, facts, self._clock())

    def _keep(self, mail: Mail) -> None:
        if self._mail_dir is None:
            return
        try:
            keep(mail, self._mail_dir)
        except OSError as error:
            log.warning("no copy of a mail could be kept", folder=str(self._mail_dir), error=type(error).__name__)

    async def _set_aside(self, row: Row, reason: Skipped | Held | Unknown) -> None:
        match reason:
            case Skipped():
                await self._outcomes.settle(row, "skipped", None, str(reason))
            case Held():
                await lasting(row, lambda: hold(self._pool, row, reason.until, str(reason)))
            case Unknown():
                until = self._clock() + timedelta(seconds=patience(self._clock() - row["created_at"]))
                await lasting(row, lambda: hold(self._pool, row, until, str(reason)))

    async def _succeed(self, row: Row) -> None:
        letter, now = letter_of(row), self._clock()
        others = await self._others(row)
        await self._outcomes.settle(row, "sent", sent(letter, now, others))

    async def _fail(self, row: Row, reason: FailReason, detail: str | None = None, *, is_bounce: bool = False) -> None:
        # The person may hold the first copy of a letter that was sent once more: the detail says what ended the second.
        told: FailReason = "unknown" if row["resent"] else reason
        event = failed(letter_of(row), told, await self._others(row))
        await self._outcomes.settle(row, settled_as(told), event, detail or reason, is_bounce=is_bounce)

    async def _others(self, row: Row) -> list[UUID]:
        """The further events that a letter tells of."""
        if row["kind"] != "completion":
            return []
        return [part.cause for part in await lasting(row, lambda: parts_of(self._pool, row["id"]))]

    async def _expire(self, row: Row) -> None:
        await self._fail(row, "expired")

    async def _put_off(self, row: Row, reason: str) -> None:
        if row["attempts"] >= ATTEMPTS_MAX:
            await self._fail(row, "gave_up", reason)
            return
        after = pause(row["attempts"], is_code=row["kind"] == "code")
        await lasting(row, lambda: self._table.retry(row, reason, after=after))

    async def _judge(self, row: Row) -> None:
        """Nobody knows whether the letter went: a code that still lives goes once more, under the same Message-ID."""
        if may_go_again(letter_of(row), self._clock()) and await resend(self._pool, row, "unknown"):
            self._table.wake()
        else:
            await self._fail(row, "unknown")
