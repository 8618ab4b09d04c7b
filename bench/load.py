"""Closed-loop load on one route: a number of connections, each sends again when it is answered.

wrk where it is on the PATH, else this module as a process of its own. Either uses a fraction of what the server does.
"""

import asyncio
import shutil
import sys
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import uvloop

from bench.counts import Unsound
from bench.figures import Run, percentile
from bench.requests import Connection, post

CONNECTIONS: Final = 32
NUMBER: Final = "$NUMBER$"
"""In the place of this in a body, each request of a run has a number of its own, of eight digits."""
_OVERTIME: Final = 30.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, where, for how long (seconds), and what is to be answered.

    wrk itself tells 4xx and 5xx alone from what is to be answered; it would have to show its script every answer.
    """

    url: str
    path: str
    body: str
    token: str
    seconds: float
    status: int = 201


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    answered: int
    seconds: float
    p50: float
    p99: float
    failed: int


def generator() -> str:
    """Which load generator `load` uses here."""
    return "wrk" if shutil.which("wrk") else "bench/load.py"


def cut_off() -> int:
    """How many requests may be done and not counted: wrk leaves its last ones, one a connection, unawaited."""
    return CONNECTIONS if shutil.which("wrk") else 0


async def load(target: Target) -> Run:
    """Put load on a target; raises `Unsound` for any answer but the one that is to be."""
    command = _wrk(target) if shutil.which("wrk") else [sys.executable, "-m", "bench.load"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(target.seconds + _OVERTIME):
            output, _ = await process.communicate(msgspec.json.encode(target))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Unsound(f"the load generator ended with {process.returncode}")
    result = msgspec.json.decode(output.splitlines()[-1], type=_Result)
    if result.failed or not result.answered:
        raise Unsound(f"{target.path}: {result.failed} of {result.answered} answers were not {target.status}")
    return Run(answered=result.answered, seconds=result.seconds, p50=result.p50, p99=result.p99)


def _wrk(target: Target) -> list[str]:
    script = str(Path(__file__).with_name("post.lua"))
    shape = ["--threads=1", f"--connections={CONNECTIONS}", f"--duration={target.seconds:.0f}s", "--timeout=10s"]
    return ["wrk", *shape, f"--script={script}", target.url + target.path, "--", target.token, target.body]


async def _serve(target: Target) -> _Result:
    """What wrk does, in Python; waits for the answers to its last requests."""
    request = post(target.url, target.path, target.body.encode(), target.token)
    mark, expected = NUMBER.encode(), b"HTTP/1.1 %d" % target.status
    numbers = count()
    latencies: list[float] = []
    failed = 0
    started = perf_counter()

    async def client() -> None:
        nonlocal failed
        connection = await Connection.open(target.url)
        while (sent := perf_counter()) < started + target.seconds:
            head, _ = await connection.call(request.replace(mark, b"%08d" % next(numbers)))
            latencies.append(perf_counter() - sent)
            failed += not head.startswith(expected)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(client())
    p50, p99 = (percentile(latencies, per_cent) for per_cent in (50, 99))
    return _Result(answered=len(latencies), seconds=perf_counter() - started, p50=p50, p99=p99, failed=failed)


def main() -> None:
    """Read a target from stdin, write the result to stdout."""
    target = msgspec.json.decode(sys.stdin.buffer.read(), type=Target)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(msgspec.json.encode(runner.run(_serve(target))).decode() + "\n")


if __name__ == "__main__":
    main()
