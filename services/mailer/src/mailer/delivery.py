"""Acting: takes letters from the work table and has them posted, each outcome told in the transaction that settles it.

queued -> claimed -> sending (committed before the point of no return) -> sent | failed | unknown | expired.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from events.catalog.mailer import FailReason, MailFailed, MailSent, MailSuppressed
from events.catalog.quiet import quiet_until
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from events.health import Check
from events.log import append_last
from events.postgres import AWAY, Connection
from events.work import Row, WorkTable, backoff
from mailer.console import keep
from mailer.domain import ATTEMPTS_MAX, Letter, Settled, address_id, failed, has_expired, may_go_again, sent, settled_as
from mailer.letters import Letters, Mail
from mailer.people import Held, People, Skipped, Unknown
from mailer.seals import KeyMissing, Seals, Unreadable
from mailer.smtp import Deferred, Mark, Refused, Unsure
from mailer.tables import accepted, clear_content, hold, letter_of, parts_of, refused, release, resend, settle_parts

FEED: Final = "MAILER"
# A code lives for minutes: it cannot wait for the long steps of the usual back-off.
PAUSE_MAX: Final = 10.0
EVERY: Final = 1.0
_KEYLESS: Final = "auth seals for a key that is not here: add its private half to MAILER_PRIVATE_KEYS"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Outcome: TypeAlias = MailSent | MailFailed | None
"""What is told of a letter's end; a skipped one ends in silence."""

log = structlog.get_logger(__name__)


def pause(attempts: int, *, is_code: bool = True) -> float:
    """Seconds until a letter's next attempt."""
    return backoff(attempts, PAUSE_MAX) if is_code else backoff(attempts)


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
    Refused: "refused",
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
        self._codec = codec
        self._seals = seals
        self._letters = letters
        self._transport = transport
        self._clock = clock
        self._people = People(pool, seals)
        self._notifies = notifies
        self._workers = workers
        self._on_settled = on_settled
        self._mail_dir = mail_dir
        self._keyless_until = clock()

    def check(self) -> Check:
        """ok, or late while letters that are still worth sending are sealed for a key that is not here."""
        if has_expired(self._keyless_until, self._clock()):
            return Check("seals", "ok")
        return Check("seals", "late", f"letters wait: {_KEYLESS}")

    async def run(self) -> None:
        """Post letters until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._release())
                await self._table.run(self._post, judge=self._judge, expire=self._expire, workers=self._workers)
        finally:
            self._transport.close()

    async def _release(self) -> None:
        """Each second: make due what was held until now."""
        while True:
            try:
                if await release(self._pool, self._clock()):
                    self._table.wake()
            except AWAY as error:
                log.warning("letters are held for longer", error=type(error).__name__)
            await asyncio.sleep(EVERY)

    async def _post(self, row: Row) -> None:
        """One attempt at one letter."""
        try:
            await self._attempt(row)
        except ClaimLost:
            log.info("a letter is another worker's now", letter=str(row["id"]))
        except (Unreadable, Expired, Refused) as error:
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
            if not await self._table.sending(row):
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
        return self._letters.write_notice(letter, person, [letter.facts or "", *(part.facts for part in parts)])

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
                await self._settle(row, "skipped", None, str(reason))
            case Held():
                await hold(self._pool, row, reason.until, str(reason))
            case Unknown():
                await self._table.retry(row, str(reason), after=pause(row["attempts"]))

    async def _succeed(self, row: Row) -> None:
        await self._settle(row, "sent", sent(letter_of(row), self._clock(), await self._others(row)))

    async def _fail(self, row: Row, reason: FailReason, detail: str | None = None) -> None:
        # The person may hold the first copy of a letter that was sent once more: the detail says what ended the second.
        told: FailReason = "unknown" if row["resent"] else reason
        event = failed(letter_of(row), told, await self._others(row))
        await self._settle(row, settled_as(told), event, detail or reason)

    async def _others(self, row: Row) -> list[UUID]:
        """The further events that a letter tells of, however long the database takes: the letter may be out."""
        while row["kind"] == "completion":
            try:
                return [part.cause for part in await parts_of(self._pool, row["id"])]
            except AWAY as error:
                log.warning("the outcome will be written again", letter=str(row["id"]), error=type(error).__name__)
                await asyncio.sleep(0.5)
        return []

    async def _expire(self, row: Row) -> None:
        await self._fail(row, "expired")

    async def _put_off(self, row: Row, reason: str) -> None:
        if row["attempts"] >= ATTEMPTS_MAX:
            await self._fail(row, "gave_up", reason)
        else:
            await self._table.retry(row, reason, after=pause(row["attempts"], is_code=row["kind"] == "code"))

    async def _judge(self, row: Row) -> None:
        """Nobody knows whether the letter went: a code that still lives goes once more, under the same Message-ID."""
        if may_go_again(letter_of(row), self._clock()) and await resend(self._pool, row, "unknown"):
            self._table.wake()
        else:
            await self._fail(row, "unknown")

    async def _settle(self, row: Row, state: Settled, event: Outcome, reason: str | None = None) -> None:
        """Write the outcome and tell it, both or neither; until the database answers, with the same ids."""
        command = self._command(letter_of(row), event) if event else None
        while True:
            try:
                await self._settle_once(row, state, event, command, reason)
            except AWAY as error:
                log.warning("the outcome will be written again", letter=str(row["id"]), error=type(error).__name__)
                await asyncio.sleep(0.5)
            else:
                self._on_settled()
                return

    async def _settle_once(
        self, row: Row, state: Settled, event: Outcome, command: Command | None, reason: str | None
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await clear_content(connection, row)
            if not await self._table.settle(connection, row, state, reason):
                return
            await settle_parts(connection, row, state)
            suppressed = await self._judge_address(connection, row, event)
            if command:
                await append_last(connection, FEED, command)
            if suppressed:
                await append_last(connection, FEED, suppressed)

    async def _judge_address(self, connection: Connection, row: Row, event: Outcome) -> Command | None:
        """Learn from a notice whether its address works; what is to be told where it gets no more of them."""
        if event is None or event.kind == "code":
            return None
        if isinstance(event, MailSent):
            await accepted(connection, row["subject"])
            return None
        if event.reason != "refused":
            return None
        version = await refused(connection, row["subject"], self._clock())
        if version is None:
            return None
        person = row["subject"]
        told = MailSuppressed(user_id=person)
        change = Change(aggregate=address_id(person), expected=version - 1, subject=person, events=[told])
        return new_command(self._codec, self._context(letter_of(row)), change)

    def _command(self, letter: Letter, event: MailSent | MailFailed) -> Command:
        change = Change(aggregate=letter.id, expected=0, subject=letter.subject, events=[event])
        return new_command(self._codec, self._context(letter), change)

    def _context(self, letter: Letter) -> Context:
        return Context(
            time=self._clock(),
            correlation_id=letter.correlation_id,
            causation_id=str(letter.cause),
            actor="system",
            traceparent=letter.traceparent,
        )
