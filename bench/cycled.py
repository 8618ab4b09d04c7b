"""Closed-loop load of many prepared requests by turns: what `load.py` is for one.

wrk where it is on the PATH, else this module as a process of its own.
"""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.counts import Unsound
from bench.figures import percentile
from bench.requests import Connection

NOBODY: Final = "-"
"""In the place of a token: who is not signed in."""
_OVERTIME: Final = 30.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Where the requests of a file go, over how many connections, for how many seconds, and what is to be answered."""

    url: str
    file: str
    connections: int
    seconds: float
    status: int = 200


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One run, percentiles in milliseconds; `failed` were answered otherwise, or not at all."""

    answered: int
    seconds: float
    p50: float
    p99: float
    p999: float
    failed: int

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


def line(method: str, path: str, token: str = NOBODY, body: str = "") -> str:
    """A request as its file has it: everything on one line, the body last."""
    return f"{method} {path} {token} {body}".rstrip()


def generator() -> str:
    """Which load generator `cycled` uses here."""
    return "wrk" if shutil.which("wrk") else "bench/cycled.py"


async def cycled(url: str, lines: Sequence[str], *, connections: int, seconds: float, status: int = 200) -> Cycle:
    """Put load on a server; raises `Unsound` where nothing is answered. What failed is for the caller to judge."""
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{each}\n" for each in lines)
        file.flush()
        job = Job(url=url, file=file.name, connections=connections, seconds=seconds, status=status)
        result = await _run(job)
    if not result.answered:
        raise Unsound(f"{' '.join(lines[0].split()[:2])}: nothing was answered")
    return result


async def _run(job: Job) -> Cycle:
    command = _wrk(job) if shutil.which("wrk") else [sys.executable, "-m", "bench.cycled"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(job.seconds + _OVERTIME):
            output, _ = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Unsound(f"the load generator ended with {process.returncode}")
    return msgspec.json.decode(output.splitlines()[-1], type=Cycle)


def _wrk(job: Job) -> list[str]:
    script = str(Path(__file__).with_suffix(".lua"))
    shape = ["--threads=1", f"--connections={job.connections}", f"--duration={job.seconds:.0f}s", "--timeout=10s"]
    return ["wrk", *shape, f"--script={script}", job.url, "--", job.file, str(job.status)]


def _request(job: Job, text: str) -> bytes:
    method, path, token, *rest = text.split(" ", 3)
    body = "".join(rest).encode()
    fields = [f"{method} {path} HTTP/1.1", f"host: {urlsplit(job.url).netloc}"]
    if token != NOBODY:
        fields.append(f"authorization: Bearer {token}")
    if body:
        fields += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*fields, "", ""]).encode() + body


async def _serve(job: Job, texts: Sequence[str]) -> Cycle:
    """What wrk does, in Python; waits for the answers to its last requests."""
    requests = cycle([_request(job, text) for text in texts])
    expected = b"HTTP/1.1 %d " % job.status
    latencies: list[float] = []
    failed = 0
    started = perf_counter()

    async def client() -> None:
        nonlocal failed
        connection = await Connection.open(job.url)
        while (sent := perf_counter()) < started + job.seconds:
            head, _ = await connection.call(next(requests))
            latencies.append(perf_counter() - sent)
            failed += not head.startswith(expected)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(job.connections):
            group.create_task(client())
    seconds = perf_counter() - started
    p50, p99, p999 = (percentile(latencies, per_cent) for per_cent in (50, 99, 99.9))
    return Cycle(answered=len(latencies), seconds=seconds, p50=p50, p99=p99, p999=p999, failed=failed)


def main() -> None:
    """Read a job from stdin, write the result to stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(
            msgspec.json.encode(runner.run(_serve(job, Path(job.file).read_text().splitlines()))).decode() + "\n"
        )


if __name__ == "__main__":
    main()
