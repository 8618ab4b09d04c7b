"""The wire between the services and what they lean on: a process that passes bytes on, or does not, as it is told.

Arguments: `name:port:target` for each wire. On stdin a line is `name open`, `name cut`, `name mute` (questions pass,
answers do not), `name slow SECONDS` or `name reset`; each is answered by a line of JSON: how many ends are connected,
and how many chunks were held or delayed so far.
"""

import asyncio
import sys
from contextlib import suppress

import msgspec

_CHUNK = 1 << 16


class Wire:
    """One port that leads to another one of this machine."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.touched = 0
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._delay = 0.0
        self._there, self._back = asyncio.Event(), asyncio.Event()
        self.obey("open", 0.0)

    @property
    def connections(self) -> int:
        """How many ends are connected now."""
        return len(self._writers)

    def obey(self, word: str, seconds: float) -> None:
        """Be open, cut or mute (bytes wait, connections stay), slow; a reset ends all connections."""
        if word == "reset":
            for writer in self._writers:
                writer.transport.abort()
            return
        self._delay = seconds
        (self._there.clear if word == "cut" else self._there.set)()
        (self._back.clear if word in {"cut", "mute"} else self._back.set)()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass both ways until either end is closed."""
        self._writers.add(writer)
        try:
            await self._there.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(back)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back, self._there))
                group.create_task(self._pass(there, writer, self._back))
        except* (_Ended, OSError):
            pass
        finally:
            self._drop(writer)
            self._drop(back)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._delay or not may.is_set():
                self.touched += 1
                await asyncio.sleep(self._delay)
                await may.wait()
            writer.write(chunk)
            await writer.drain()
        raise _Ended

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()


class _Ended(Exception):
    """An end was closed: the other one is too."""


async def main(arguments: list[str]) -> None:
    """Serve until stdin ends."""
    wires = {}
    for argument in arguments:
        name, port, target = argument.split(":")
        wires[name] = Wire(int(port), int(target))
        await asyncio.start_server(wires[name].accept, "127.0.0.1", int(port))
    words = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while line := await words.readline():
        name, word, *seconds = line.decode().split()
        wire = wires[name]
        wire.obey(word, float(seconds[0]) if seconds else 0.0)
        told = {"connections": wire.connections, "touched": wire.touched}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
