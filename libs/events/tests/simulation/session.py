"""One backend of the simulated PostgreSQL: executes what arrives, in turn; waits for locks; ends idle transactions."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

import simulation.queries_parking
import simulation.queries_work  # noqa: F401 - these two and the next one say what each query does
from simulation.loop import Handle
from simulation.queries import QUERIES
from simulation.tables import Blocked, Transaction

if TYPE_CHECKING:
    from simulation.postgres import Connection, Server

LOCK_TIMEOUT = 2.0
IDLE_TIMEOUT = 5.0
SETTINGS = "set idle_in_transaction_session_timeout = '3s'"


class Session:
    """What the server knows of one connection."""

    def __init__(self, server: "Server", client: "Connection") -> None:
        self.server = server
        self.client = client
        self.tx: Transaction | None = None
        self.blocked_on: Transaction | None = None
        self._requests: deque[tuple[asyncio.Future[Any], str, tuple[Any, ...], Any]] = deque()
        self._timer: Handle | None = None
        self._idle_timeout = IDLE_TIMEOUT
        self._before: Any = None
        self._autocommit = False
        self.ended = False
        self._is_leaving = False
        self.is_deaf = False
        self.pid = next(server.pids)
        self.holder = ""
        server.sessions.append(self)

    def arrive(self, future: asyncio.Future[Any], text: str, args: tuple[Any, ...], actor: Any) -> None:
        """A request came."""
        if self.ended or self.is_deaf:
            return
        self._requests.append((future, text, args, actor))
        if len(self._requests) == 1:
            self._next()

    def leave(self) -> None:
        """The client is gone: what runs runs to its end, for only the answer would show it."""
        self._is_leaving = True
        if not self._requests:
            self.end()

    def end(self) -> None:
        """Roll back what is open, execute nothing more."""
        if self.ended:
            return
        self.ended = True
        self.server.sessions.remove(self)
        self._requests.clear()
        self._stop_timer()
        if self.tx is not None:
            self.tx.roll_back()
            self.tx = None

    def cancel(self) -> None:
        """A cancel request came: it ends what runs, if anything does."""
        if not self.ended and self.blocked_on is not None:
            self._answer(asyncpg.QueryCanceledError("canceling statement due to user request"))

    def _next(self) -> None:
        self._stop_timer()
        self._before = None
        self._go_on()

    def _go_on(self) -> None:
        """Execute the first request, from its beginning where it had waited for a lock."""
        if self.ended or not self._requests:
            return
        _, text, args, actor = self._requests[0]
        self._stop_timer()
        self.blocked_on = None
        try:
            self._answer(self._execute(text, args, actor))
        except Blocked as blocked:
            self._wait(blocked.holder)
        except asyncpg.PostgresError as error:
            self._answer(error)

    def _execute(self, text: str, args: tuple[Any, ...], actor: Any) -> Any:
        if text in _CONTROL:
            return _CONTROL[text](self)
        if self.tx is None:
            self.tx, self._autocommit = self.server.store.begin(), True
            self.tx.session = self
        if self.tx.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        if self._before is None:
            self._before = self.tx.statement()
        self.tx.writes = {name: dict(rows) for name, rows in self._before.items()}
        self.tx.actor = actor
        question = QUERIES[text]
        self.server.asked(actor[0].name, question.__name__)
        rows = question(self.tx, *args)
        if self._autocommit:
            self._commit()
        return rows

    def _wait(self, holder: Transaction) -> None:
        assert self.tx is not None
        self.tx.wait()
        other: Transaction | None = holder
        while other is not None:
            if other is self.tx:
                self._answer(asyncpg.DeadlockDetectedError("deadlock detected"))
                return
            other = other.session.blocked_on
        self.blocked_on = holder
        holder.waiters.append(self._wake)
        error = asyncpg.LockNotAvailableError("canceling statement due to lock timeout")
        self._timer = self.server.loop.later(LOCK_TIMEOUT, self.server.process, self._answer, error)

    def _wake(self) -> None:
        self.server.loop.later(0, self.server.process, self._go_on)

    def _commit(self) -> None:
        assert self.tx is not None
        tx, self.tx = self.tx, None
        self._autocommit = False
        if tx.failed:
            tx.roll_back()
            return
        said = tx.said
        tx.commit()
        for channel, payload in said:
            self.server.notify(channel, payload)

    def _roll_back(self) -> None:
        if self.tx is not None:
            self.tx.roll_back()
            self.tx = None
        self._autocommit = False

    def _begin(self) -> None:
        self.tx = self.server.store.begin()
        self.tx.session = self

    def _set(self) -> None:
        self._idle_timeout = 3.0

    def _answer(self, answer: Any) -> None:
        """The request is done: send what came of it, take the next."""
        if self.ended:
            return
        self._stop_timer()
        self.blocked_on = None
        if isinstance(answer, Exception):
            if self._autocommit:
                self._roll_back()
            elif self.tx is not None:
                self.tx.failed = True
        future, text, args, _ = self._requests.popleft()
        self.client.answer(future, answer, text, args)
        if self._requests:
            self._next()
        elif self._is_leaving:
            self.end()
        elif self.tx is not None:
            self._timer = self.server.loop.later(self._idle_timeout, self.server.process, self._too_idle)

    def _too_idle(self) -> None:
        self.client.cut()
        self.end()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_CONTROL: dict[str, Callable[[Session], None]] = {
    "begin": Session._begin,
    "commit": Session._commit,
    "rollback": Session._roll_back,
    SETTINGS: Session._set,
}
