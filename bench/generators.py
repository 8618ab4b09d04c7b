"""What load of one request (`load.py`) and of many by turns (`cycled.py`) share: closed loops.

They are wrk's where it is on the PATH. Without it the module that wants load runs once more, as a process of its own.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeVar

import msgspec
import uvloop

from bench.counts import Unsound
from bench.requests import Connection

_OVERTIME: Final = 30.0

T = TypeVar("T")


class Looped(msgspec.Struct, frozen=True):
    """How long each answer took in seconds, how long all did, how many answers had another status."""

    latencies: list[float]
    seconds: float
    failed: int


def has_wrk() -> bool:
    """Whether load is put on by wrk here."""
    return shutil.which("wrk") is not None


def named(module: str) -> str:
    """Who puts the load of a module (`bench.load`) on here."""
    return "wrk" if has_wrk() else f"{module.replace('.', '/')}.py"


def wrk(script: str, url: str, connections: int, seconds: float, arguments: Sequence[str]) -> list[str]:
    """The command that has wrk do what a script beside this file says."""
    shape = ["--threads=1", f"--connections={connections}", f"--duration={seconds:.0f}s", "--timeout=10s"]
    return ["wrk", *shape, f"--script={Path(__file__).with_name(script)}", url, "--", *arguments]


async def generated(module: str, by_wrk: Sequence[str], told: msgspec.Struct, seconds: float) -> bytes:
    """Put load on for so many seconds; the result, a line of JSON. Raises `Unsound` where the generator fails.

    Without wrk `python -m MODULE` is told what to do on its standard input.
    """
    command = by_wrk if has_wrk() else [sys.executable, "-m", module]
    output = await answered(command, msgspec.json.encode(told), seconds + _OVERTIME)
    return output.splitlines()[-1]


async def answered(command: Sequence[str], told: bytes, within: float) -> bytes:
    """What a process says that is told this; raises `Unsound` where it fails, `TimeoutError` after so many seconds."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within):
            output, _ = await process.communicate(told)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Unsound(f"the load generator ended with {process.returncode}")
    return output


async def looped(url: str, following: Callable[[], bytes], *, connections: int, seconds: float, status: int) -> Looped:
    """What wrk does, in Python: each connection sends what follows when it is answered; waits for its last answers."""
    expected = b"HTTP/1.1 %d " % status
    latencies: list[float] = []
    failed = 0
    started = perf_counter()

    async def client() -> None:
        nonlocal failed
        connection = await Connection.open(url)
        while (sent := perf_counter()) < started + seconds:
            head, _ = await connection.call(following())
            latencies.append(perf_counter() - sent)
            failed += not head.startswith(expected)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client())
    return Looped(latencies, perf_counter() - started, failed)


def serve(kind: type[T], work: Callable[[T], Coroutine[Any, Any, msgspec.Struct]]) -> None:
    """Do what standard input says, write the result to standard output."""
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(msgspec.json.encode(runner.run(work(told))).decode() + "\n")
