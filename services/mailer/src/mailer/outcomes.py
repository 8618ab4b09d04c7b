"""What became of letters: each outcome is written and told in one transaction, however long the database takes.

Codes come by the hundred: their outcomes that come together are one transaction (docs/adr/0029).
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import asyncpg
from msgspec import Struct

from events.batcher import Batcher
from events.catalog.mailer import MailFailed, MailSent, MailSuppressed
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Command, Context, new_command
from events.erasure import hold_off
from events.errors import VersionConflict
from events.log import append_all_last, append_last
from events.postgres import Connection, is_rejection
from events.tracing import here
from events.work import Row, WorkTable, lasting
from mailer.domain import Settled, address_id
from mailer.tables import accepted, clear_content, refused, settle_codes, settle_parts

FEED: Final = "MAILER"
Outcome: TypeAlias = MailSent | MailFailed | None
"""What is told of a letter's end; a skipped one ends in silence."""


class _End(Struct, frozen=True):
    """How a code's letter ends, and what is told of it."""

    row: Row
    state: Settled
    reason: str | None
    told: Command | None


class Outcomes:
    """Settles letters of a work table while `run` runs; `on_settled` is told after each."""

    def __init__(
        self, pool: asyncpg.Pool, table: WorkTable, codec: Codec, clock: Clock, on_settled: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._table = table
        self._codec = codec
        self._clock = clock
        self._on_settled = on_settled
        self._ends: Batcher[_End, bool] = Batcher(self._end_together)

    async def run(self) -> None:
        """Write the outcomes of codes until cancelled."""
        await self._ends.run()

    async def settle(
        self, row: Row, state: Settled, event: Outcome, reason: str | None = None, *, is_bounce: bool = False
    ) -> None:
        """Write the outcome and tell it, both or neither; `is_bounce`: the address was refused, not the letter."""
        if row["kind"] == "code":
            told = new_command(self._codec, self._context(row), _told(row, event)) if event else None
            if await lasting(row, lambda: self._ends(_End(row, state, reason, told))):
                self._table.tell(state)
        else:
            await lasting(row, lambda: self._settle_once(row, state, event, reason, is_bounce=is_bounce))
        self._on_settled()

    async def _end_together(self, ends: Sequence[_End]) -> Sequence[bool | Exception]:
        """Whether each was written, which it is not twice; where the database rejects one, each by itself."""
        try:
            return await self._end(ends)
        except (asyncpg.PostgresError, VersionConflict) as error:
            if not _is_of_one(error):
                raise
            if len(ends) == 1:
                return [error]
        return [found for end in ends for found in await self._end_together([end])]

    async def _end(self, ends: Sequence[_End]) -> Sequence[bool]:
        async with self._pool.acquire() as connection, connection.transaction():
            claims = [(end.row["id"], end.row["token"], end.state, end.reason) for end in ends]
            written = await settle_codes(connection, claims)
            told = [end.told for end in ends if end.told and end.row["id"] in written]
            if not all(await append_all_last(connection, FEED, told)):
                raise VersionConflict("the log knows more of a letter than its row does")
        return [end.row["id"] in written for end in ends]

    async def _settle_once(
        self, row: Row, state: Settled, event: Outcome, reason: str | None, *, is_bounce: bool
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await hold_off(connection)  # it holds a contact's row, and then appends
            await clear_content(connection, row)
            if not await self._table.settle(connection, row, state, reason):
                return  # also where an earlier try was committed, and its answer lost
            await settle_parts(connection, row, state)
            if event:
                changes = [_told(row, event)]
                changes += await self._judge_address(connection, row, event, is_bounce=is_bounce)
                await append_last(connection, FEED, new_command(self._codec, self._context(row), *changes))

    async def _judge_address(
        self, connection: Connection, row: Row, event: MailSent | MailFailed, *, is_bounce: bool
    ) -> list[Change]:
        """Learn from a notice whether its address works; what is to be told where it gets no more of them."""
        person = row["subject"]
        if isinstance(event, MailSent):
            await accepted(connection, person)
            return []
        if not is_bounce:
            return []
        version = await refused(connection, person, self._clock())
        if version is None:
            return []
        told = MailSuppressed(user_id=person)
        return [Change(aggregate=address_id(person), expected=version - 1, subject=person, events=[told])]

    def _context(self, row: Row) -> Context:
        return Context(
            time=self._clock(),
            correlation_id=row["correlation_id"],
            causation_id=str(row["cause"]),
            actor="system",
            traceparent=here() or row["traceparent"],
        )


def _is_of_one(error: Exception) -> bool:
    return isinstance(error, VersionConflict) or is_rejection(error)


def _told(row: Row, event: MailSent | MailFailed) -> Change:
    return Change(aggregate=row["id"], expected=0, subject=row["subject"], events=[event])
