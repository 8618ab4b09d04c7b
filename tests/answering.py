"""A server in a test's own process that answers as the test says."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def answering(answer) -> AsyncIterator[str]:
    """A server; `answer` gives a status and a body for a head and a body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: (\d+)", head.lower())
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, said = await answer(head.decode(), body)
                writer.write(b"HTTP/1.1 %d .\r\ncontent-length: %d\r\n\r\n%b" % (status, len(said), said))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
