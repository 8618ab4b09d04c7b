"""Work tables: what is to be done outside Postgres, as rows.

Hearing writes the row; workers claim it with a lease and a token, mark the point of no return, and write the outcome
only while the claim is theirs. Retry, back-off, giving up and scaling out are rows and SQL.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from random import uniform
from typing import TypeAlias, TypeVar

import asyncpg
import structlog

from events.batcher import Batcher
from events.beat import beat
from events.clock import Clock, system_clock
from events.health import Check
from events.postgres import AWAY, Connection, is_rejection
from events.presence import Presence
from events.sql import filled, load
from events.telemetry import WORK_AGE, WORK_DONE, WORK_ROWS
from events.tracing import about_work, hop, note, trace_id_of

SQL = load("events")
LEASE = 60.0
POLL = 1.0
LOOK = 5.0
"""The sweep looks for what is due each `POLL` seconds, for all lanes; a lane by itself after so many: that may hang."""
DRAIN = 5.0
BACKOFF_FIRST = 1.0
BACKOFF_MAX = 300.0
AGAIN = 0.5
EVERY_ROW = "true"
_WRONG = frozenset({"failed", "unknown", "expired"})

T = TypeVar("T")

log = structlog.get_logger(__name__)

Row: TypeAlias = asyncpg.Record
"""A claimed row: the table's own columns, and `id`, `token`, `attempts` (this one included), `expires_at`."""
Act: TypeAlias = Callable[[Row], Awaitable[None]]


def backoff(attempts: int, longest: float = BACKOFF_MAX) -> float:
    """Seconds until the next try: doubling from 1 s to `longest`, with full jitter over the upper half."""
    doublings = min(attempts - 1, 16)  # past the longest wait; a float ends after a thousand of them
    most: float = min(longest, BACKOFF_FIRST * 2.0**doublings)
    return uniform(most / 2, most)  # noqa: S311 - jitter, not a secret


async def lasting(row: Row, write: Callable[[], Awaitable[T]]) -> T:
    """Write what became of a row until the database answers, within the time that its attempt has.

    What the database rejects for good is raised: no repetition changes that.
    """
    while True:
        try:
            return await write()
        except AWAY as error:
            if is_rejection(error):
                raise
            log.warning("the outcome will be written again", id=str(row["id"]), error=type(error).__name__)
        await asyncio.sleep(AGAIN)


class WorkTable:
    """One work table (`create table letter (like events.work including all, ...)`).

    `lease` is in seconds; what an `Act` may take in all must stay under half of it. `turn` is the SQL by which due rows
    take their turn; give another one an index.
    """

    def __init__(
        self,
        table: str,
        pool: asyncpg.Pool,
        *,
        lease: float = LEASE,
        clock: Clock = system_clock,
        turn: str = "due_at",
    ) -> None:
        self.table = table
        self._pool = pool
        self._lease = lease
        self._clock = clock
        self._presence = Presence(pool)
        self._news: dict[str, asyncio.Event] = {}
        self._lookouts: dict[str, asyncio.Lock] = {}
        self._claims: dict[str, Batcher[None, Sequence[Row]]] = {}
        self._marks: Batcher[Row, bool] = Batcher(self._mark)
        self._state = Check(f"work {table}", "ok")
        self._sql = {
            name: filled(getattr(SQL, f"work_{name}"), table=table, turn=turn)
            for name in ("claim", "sending", "settle", "retry", "release", "doubtful", "overdue", "measure")
        }

    def wake(self) -> None:
        """There may be a new row."""
        for news in self._news.values():
            news.set()

    def check(self) -> Check:
        """ok, or late while the table cannot be reached."""
        return self._state

    async def claim(self, limit: int, lane: str = EVERY_ROW) -> Sequence[Row]:
        """Claim up to `limit` due rows of a lane that have not expired, in their turn."""
        return await self._pool.fetch(filled(self._sql["claim"], lane=lane), limit, *self._claimed())

    async def doubtful(self, limit: int) -> Sequence[Row]:
        """Rows whose holder vanished after the point of no return: nobody knows whether the effect happened."""
        return await self._pool.fetch(self._sql["doubtful"], limit, self._lease, self._presence.holder)

    async def overdue(self, limit: int) -> Sequence[Row]:
        """Queued rows past their expiry, claimed to be settled as expired."""
        return await self._pool.fetch(self._sql["overdue"], limit, *self._claimed())

    async def sending(self, row: Row) -> bool:
        """Commit the mark before the point of no return; False when the claim is lost: then do nothing.

        While `run` runs, marks that come together are one commit.
        """
        return await self._marks(row) if self._claims else (await self._mark([row]))[0]

    async def _mark(self, rows: Sequence[Row]) -> Sequence[bool]:
        ids, tokens = [row["id"] for row in rows], [row["token"] for row in rows]
        found = await self._pool.fetch(self._sql["sending"], ids, tokens, self._lease)
        marked = {(row["id"], row["token"]) for row in found}
        return [claim in marked for claim in zip(ids, tokens, strict=True)]

    async def retry(self, row: Row, reason: str | None, *, after: float | None = None) -> bool:
        """Queue again after `after` seconds (default: by back-off); False when the claim is lost."""
        delay = backoff(row["attempts"]) if after is None else after
        queued = await self._pool.fetchval(self._sql["retry"], row["id"], row["token"], delay, reason)
        if queued is not None:
            WORK_DONE.labels(self.table, "retried").inc()
            note("todo.work.outcome", "retried")
        return queued is not None

    async def settle(self, connection: Connection, row: Row, state: str, reason: str | None = None) -> bool:
        """Write the outcome inside the caller's transaction; False when the claim is lost: then write nothing else."""
        settled = await connection.fetchval(self._sql["settle"], row["id"], row["token"], state, reason)
        if settled is not None:
            self.tell(state)
        return settled is not None

    def tell(self, state: str) -> None:
        """Count a row's outcome that its service wrote by an SQL of its own, in the trace of the row's act."""
        WORK_DONE.labels(self.table, state).inc()
        note("todo.work.outcome", state, error=state if state in _WRONG else "")

    async def run(
        self, act: Act, *, judge: Act, expire: Act, workers: int = 4, lanes: Sequence[str] = (EVERY_ROW,)
    ) -> None:
        """Work until cancelled: `act` on claimed rows, `judge` on doubtful ones, `expire` on overdue ones.

        Each settles its row itself. An exception is logged and leaves the row to its lease. What is under way when the
        cancel comes has five seconds to end.

        A lane is a condition on a row, in SQL, with so many `workers` of its own: what hangs in one holds up no other.
        A row that is in no lane is never acted on.
        """
        self._news = {lane: asyncio.Event() for lane in lanes}
        self._lookouts = {lane: asyncio.Lock() for lane in lanes}
        self._claims = {lane: Batcher(partial(self._claim_each, lane)) for lane in lanes}
        try:
            async with asyncio.TaskGroup() as asking:  # asks until the last act has ended
                for ask in (self._marks.run, *(claims.run for claims in self._claims.values())):
                    asking.create_task(ask())
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._sweep(judge, expire))
                    for lane in lanes:
                        for _ in range(workers):
                            group.create_task(self._work(act, lane))
        finally:
            await self._presence.leave()

    async def _work(self, act: Act, lane: str) -> None:
        news = self._news[lane]  # each lane's own: another would take the word for a row that it does not claim
        while True:
            news.clear()
            try:
                rows = await self._claim_whole(lane)
                self._state = Check(self._state.name, "ok")
            except AWAY as error:
                self._state = Check(self._state.name, "late", f"the table is out of reach: {type(error).__name__}")
                rows = []
            if not rows:
                await self._rest(lane)
                continue
            news.set()  # where one is due there may be more
            for row in rows:
                await self._attempt(act, row)

    async def _claim_whole(self, lane: str) -> Sequence[Row]:
        """Claim a row; cancelled, give back what was claimed by then: it would else wait for its lease to end."""
        claiming = asyncio.create_task(self._claims[lane](None))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            giving = asyncio.create_task(self._give_back(claiming))
            await asyncio.wait([giving], timeout=DRAIN)
            giving.cancel()
            raise

    async def _claim_each(self, lane: str, askers: Sequence[None]) -> Sequence[Sequence[Row]]:
        """A row for each worker that asks, as far as they go."""
        rows = await self.claim(len(askers), lane)
        return [rows[nr : nr + 1] for nr in range(len(askers))]

    async def _give_back(self, claiming: Awaitable[Sequence[Row]]) -> None:
        with suppress(*AWAY):
            for row in await claiming:
                await self.retry(row, row["reason"], after=0)

    async def _sweep(self, judge: Act, expire: Act) -> None:
        """Each second: measure, and where there are any wake who acts, give back dead claims, judge, expire."""
        while True:
            try:
                found = await self._measure()
                freed = await self._pool.fetch(self._sql["release"]) if found["dead"] else ()
                if found["due"] or freed or self._state.state != "ok":
                    self.wake()
                for row in await self.doubtful(100) if found["doubtful"] else ():
                    await self._attempt(judge, row)
                for row in await self.overdue(100) if found["overdue"] else ():
                    await self._attempt(expire, row)
            except AWAY as error:
                log.warning("work table out of reach", table=self.table, error=type(error).__name__)
                self.wake()  # a lane that tries says so
            await asyncio.sleep(beat(POLL))

    async def _attempt(self, act: Act, row: Row) -> None:
        """Act on a row; cancelled, let that end first: cut off past its mark, nobody would know what it did."""
        acting = asyncio.create_task(self._act(act, row))
        try:
            await asyncio.shield(acting)
        except asyncio.CancelledError:
            await asyncio.wait([acting], timeout=DRAIN)
            acting.cancel()
            await asyncio.wait([acting])
            raise

    async def _act(self, act: Act, row: Row) -> None:
        traceparent = row.get("traceparent") or ""
        if trace_id := trace_id_of(traceparent):
            structlog.contextvars.bind_contextvars(trace_id=trace_id)  # in a task of its own
        about = about_work(self.table, row.get("kind") or "", row["attempts"])
        # Under half the lease: when this ends, the claim is still ours.
        try:
            with hop(f"work {self.table}", "consumer", within=traceparent, attributes=about):
                async with asyncio.timeout(self._lease / 2):
                    await act(row)
        except Exception as error:  # noqa: BLE001 - a bug in one row must not stop the others; its lease gives it back
            log.error("work failed", table=self.table, id=str(row["id"]), error=type(error).__name__)

    async def _measure(self) -> Row:
        [row] = await self._presence.fetch(self._sql["measure"], self._clock(), self._lease)
        for state in ("queued", "claimed", "sending"):
            WORK_ROWS.labels(self.table, state).set(row[state])
        WORK_AGE.labels(self.table).set(row["oldest"])
        return row

    async def _rest(self, lane: str) -> None:
        """Wait for news. Of a lane's workers that rest, one is on the look-out: the look is the lane's."""
        async with self._lookouts[lane]:
            with suppress(TimeoutError):
                async with asyncio.timeout(beat(LOOK)):
                    await self._news[lane].wait()

    def _claimed(self) -> tuple[float, datetime, str]:
        """What a claim is made with: for how long, what the time is, whose it is."""
        return self._lease, self._clock(), self._presence.holder
