"""Transactions that write what is kept of the signed-in person."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from api.guard import INVALID_TOKEN
from api.problems import UNAUTHENTICATED, Problem
from api.requests import Request
from events.erasure import is_erased
from events.postgres import Connection


@asynccontextmanager
async def writing(request: Request, pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A transaction; whoever asks is not erased before it ends, so that the eraser finds what it wrote.

    Raises `Problem` (401) where they are erased already: their token may be good a little longer.
    """
    async with pool.acquire() as connection, connection.transaction():
        if await is_erased(connection, request.user.id):
            raise Problem(UNAUTHENTICATED, headers=INVALID_TOKEN)
        yield connection
