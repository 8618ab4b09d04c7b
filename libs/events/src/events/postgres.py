"""Connections to PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeGuard

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
Dial = Callable[[], Awaitable[Connection]]
"""Opens a connection; raises `OSError`, `TimeoutError` or an asyncpg error when the database is away."""

BROKEN = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a lost or confused connection raises: nothing is known of the call, the connection is of no more use."""
AWAY = (*BROKEN, asyncpg.PostgresError)
"""The same, or the database said not now."""

CONNECT_TIMEOUT = 3.0
COMMAND_TIMEOUT = 10.0


def dialer(url: str, *, application: str, patience: float | None = None) -> Dial:
    """A `Dial` for one database; `application` is what operators see in pg_stat_activity.

    `patience`: after how many seconds a call is given up; None: whoever calls watches the time.
    """

    async def dial() -> Connection:
        named = {"application_name": application}
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=patience, server_settings=named)

    return dial


async def open_pool(
    url: str, *, application: str, size: int = 8, replans: bool = False, patience: int | None = None
) -> asyncpg.Pool:
    """A pool for short reads and writes: connections are opened when first needed, so a start needs no database.

    `replans`: every query is planned for its parameters, where those decide which index serves (filters, searches).
    `patience`: how many seconds a statement may take, instead of what its role is given; a transaction twice that.
    Whoever uses it leaves no setting, lock or cursor behind in the session: none is taken back.
    """
    settings = {"application_name": application} | ({"plan_cache_mode": "force_custom_plan"} if replans else {})
    if patience:
        settings |= {"statement_timeout": f"{patience}s", "transaction_timeout": f"{2 * patience}s"}
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=patience or COMMAND_TIMEOUT,
        server_settings=settings,
        reset=_as_it_is,
    )


async def _as_it_is(_: Connection) -> None:
    """An open transaction is rolled back anyway; asyncpg's own question would cost each use another round trip."""


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction: committed at the end of the block, rolled back after an error in it.

    Cut off by a cancel or a time-out it sends nothing more, for a dead link would never answer a roll-back: the caller
    must end the connection then, which rolls back as well.
    """
    block = connection.transaction()
    await block.start()
    try:
        yield
    except Exception:
        if not connection.is_closed():  # a time limit of the server's ends the connection: nothing is left to roll back
            await block.rollback()
        raise
    await block.commit()


_NOT_NOW = {"08", "0A", "25", "28", "3D", "40", "42", "53", "55", "57", "58", "F0", "XX"}
"""Classes of SQLSTATE that speak of the server, its schema or our login, not of the data (PostgreSQL, appendix A).

0A: a plan from before a migration.
"""


def is_rejection(error: BaseException) -> TypeGuard[asyncpg.PostgresError]:
    """Whether the database said no for good (bad data, a broken rule, a limit) rather than not now."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    return bool(error.sqlstate) and error.sqlstate[:2] not in _NOT_NOW


def is_not_now(error: BaseException) -> bool:
    """Whether the connection broke or the database said not now: the same call may go well later."""
    return isinstance(error, AWAY) and not is_rejection(error)


def is_too_slow(error: BaseException) -> bool:
    """Whether a time limit ended the call, ours or the server's: less at a time may fit."""
    return isinstance(error, TimeoutError | asyncpg.QueryCanceledError)


def is_misbuilt(error: BaseException) -> bool:
    """Whether a table, a function or a right is missing: waiting does not help, migrating does."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith("42")
