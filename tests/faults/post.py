"""A mail server that keeps the Message-ID of everything it was given, and can be told to misbehave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from random import Random
from typing import Any, Final, Literal

from aiosmtpd.smtp import SMTP, Envelope, Session

Mood = Literal["kind", "hangs", "drops", "refuses"]
_HESITATES: Final = 0.3
"""Seconds between a final dot and its answer, at most: what dies then leaves a letter in doubt."""


class Post:
    """`copies` counts what came before a final dot and was not refused; a letter may be there though nobody was told.

    Moods: `hangs` never answers, `drops` ends the connection after the final dot, `refuses` says 451 to it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.mood: Mood = "kind"
        self.copies: Counter[str] = Counter()
        self.spoiled = 0
        self._dice = Random(port)
        self._well = asyncio.Event()
        self._connections: list[SMTP] = []

    def be(self, mood: Mood) -> None:
        """Change the mood; becoming kind again ends what hangs."""
        self.mood = mood
        if mood == "kind":
            self._well.set()
        else:
            self._well.clear()

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Where a letter goes is not kept."""
        if self.mood == "hangs" and len(self._connections) % 2:
            await self._hang(server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """A letter is here."""
        message = message_from_bytes(_bytes(envelope.content), policy=default)
        if self.mood == "refuses":
            self.spoiled += 1
            return "451 not now"
        self.copies[str(message["Message-ID"]).strip()] += 1
        await asyncio.sleep(self._dice.uniform(0.0, _HESITATES))
        if self.mood == "hangs":
            await self._hang(server)
        if self.mood == "drops":
            self.spoiled += 1
            self._abort(server)
        return "250 OK"

    async def _hang(self, server: SMTP) -> None:
        self.spoiled += 1
        await self._well.wait()
        self._abort(server)

    def _abort(self, server: SMTP) -> None:
        if isinstance(server.transport, asyncio.Transport):
            server.transport.abort()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while the body runs."""
        loop = asyncio.get_running_loop()

        def connect() -> Any:
            connection = SMTP(self, hostname="mail.test", loop=loop)
            self._connections.append(connection)
            return connection

        server = await loop.create_server(connect, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for connection in self._connections:
                self._abort(connection)
                if connection._handler_coroutine is not None:
                    connection._handler_coroutine.cancel()


def _bytes(content: bytes | str | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""
