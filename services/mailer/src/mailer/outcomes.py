"""What became of letters: each outcome is written and told in one transaction, however long the database takes."""

from collections.abc import Callable
from typing import Final, TypeAlias

import asyncpg

from events.catalog.mailer import MailFailed, MailSent, MailSuppressed
from events.clock import Clock
from events.codec import Codec
from events.command import Change, Context, new_command
from events.erasure import hold_off
from events.log import append_last
from events.postgres import Connection
from events.tracing import here
from events.work import Row, WorkTable, lasting
from mailer.domain import Settled, address_id
from mailer.tables import accepted, clear_content, refused, settle_parts

FEED: Final = "MAILER"
Outcome: TypeAlias = MailSent | MailFailed | None
"""What is told of a letter's end; a skipped one ends in silence."""


class Outcomes:
    """Settles letters of a work table; `on_settled` is told after each."""

    def __init__(
        self, pool: asyncpg.Pool, table: WorkTable, codec: Codec, clock: Clock, on_settled: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._table = table
        self._codec = codec
        self._clock = clock
        self._on_settled = on_settled

    async def settle(
        self, row: Row, state: Settled, event: Outcome, reason: str | None = None, *, is_bounce: bool = False
    ) -> None:
        """Write the outcome and tell it, both or neither; `is_bounce`: the address was refused, not the letter."""
        await lasting(row, lambda: self._settle_once(row, state, event, reason, is_bounce=is_bounce))
        self._on_settled()

    async def _settle_once(
        self, row: Row, state: Settled, event: Outcome, reason: str | None, *, is_bounce: bool
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if row["kind"] != "code":  # it holds a contact's row, and then appends
                await hold_off(connection)
            await clear_content(connection, row)
            if not await self._table.settle(connection, row, state, reason):
                return  # also where an earlier try was committed, and its answer lost
            await settle_parts(connection, row, state)
            if event:
                changes = [Change(aggregate=row["id"], expected=0, subject=row["subject"], events=[event])]
                changes += await self._judge_address(connection, row, event, is_bounce=is_bounce)
                await append_last(connection, FEED, new_command(self._codec, self._context(row), *changes))

    async def _judge_address(
        self, connection: Connection, row: Row, event: MailSent | MailFailed, *, is_bounce: bool
    ) -> list[Change]:
        """Learn from a notice whether its address works; what is to be told where it gets no more of them."""
        person = row["subject"]
        if event.kind == "code":
            return []
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
