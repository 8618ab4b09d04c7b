"""Who is active: a lease row by the database's clock.

Safe because the fence is arithmetic: the lease only spares two instances the same work. A session advisory lock would
be kept for ever by a stopped process or a vanished node.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from events.beat import beat
from events.errors import LostFence
from events.postgres import AWAY, Connection, Dial
from events.sql import load

SQL = load("events")
SECONDS = 3.0
RENEW = 1.0
TIMEOUT = 2.0


class Lease:
    """One instance's claim to be the active one under `name`."""

    def __init__(self, name: str, dial: Dial) -> None:
        self.name = name
        self.holder: UUID = uuid4()
        self._dial = dial
        self._connection: Connection | None = None

    async def acquire(self, *, tell: Callable[[BaseException | None], None] = lambda _: None) -> int:
        """Wait until this instance is the active one; returns the takeover epoch.

        `tell` hears after each try what kept it from looking: None when somebody else is active.
        """
        while True:
            try:
                epoch = await self.take()
            except AWAY as error:
                tell(error)
            else:
                if epoch is not None:
                    return epoch
                tell(None)
            # Not at a beat: who looks at the holder's own would find each time that the lease ends a moment later.
            await asyncio.sleep(RENEW)

    async def take(self) -> int | None:
        """Take or renew now; the epoch, or None when somebody else holds it."""
        connection = await self._connected()
        try:
            async with asyncio.timeout(TIMEOUT):
                epoch: int | None = await connection.fetchval(SQL.lease_take, self.name, self.holder, SECONDS)
        except BaseException:
            connection.terminate()
            raise
        return epoch

    async def keep(self, epoch: int) -> None:
        """Renew each second; raises `LostFence` when another instance took over, also one that is gone again.

        Who takes the lease away for a moment (an operator who rewinds) so has the checkpoint read anew.
        """
        while True:
            await asyncio.sleep(beat(RENEW))
            with suppress(*AWAY):
                if await self.take() != epoch:
                    raise LostFence(f"another instance is active as {self.name}, or was")

    async def leave(self) -> None:
        """End the lease early, so that a standby takes over at once; drops the connection."""
        if self._connection is None:
            return
        for _ in range(2):  # a connection that died unnoticed is found out by its use
            with suppress(*AWAY):
                async with asyncio.timeout(TIMEOUT):
                    connection = await self._connected()
                    await connection.execute(SQL.lease_leave, self.name, self.holder)
                break
        self._connection.terminate()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._dial()
        return self._connection
