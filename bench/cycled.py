"""Closed-loop load of many prepared requests by turns: what `load.py` is for one.

wrk where it is on the PATH, else this module as a process of its own.
"""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bench import generators
from bench.counts import Unsound
from bench.figures import percentile

NOBODY: Final = "-"
"""In the place of a token: who is not signed in."""
_MODULE: Final = "bench.cycled"


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
    return generators.named(_MODULE)


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
    by_wrk = generators.wrk("cycled.lua", job.url, job.connections, job.seconds, [job.file, str(job.status)])
    return msgspec.json.decode(await generators.generated(_MODULE, by_wrk, job, job.seconds), type=Cycle)


def _requests(job: Job) -> list[bytes]:
    return [_request(job, text) for text in Path(job.file).read_text().splitlines()]


def _request(job: Job, text: str) -> bytes:
    method, path, token, *rest = text.split(" ", 3)
    body = "".join(rest).encode()
    fields = [f"{method} {path} HTTP/1.1", f"host: {urlsplit(job.url).netloc}"]
    if token != NOBODY:
        fields.append(f"authorization: Bearer {token}")
    if body:
        fields += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*fields, "", ""]).encode() + body


async def _serve(job: Job) -> Cycle:
    requests = cycle(_requests(job))
    done = await generators.looped(
        job.url, requests.__next__, connections=job.connections, seconds=job.seconds, status=job.status
    )
    p50, p99, p999 = (percentile(done.latencies, per_cent) for per_cent in (50, 99, 99.9))
    answered = len(done.latencies)
    return Cycle(answered=answered, seconds=done.seconds, p50=p50, p99=p99, p999=p999, failed=done.failed)


if __name__ == "__main__":
    generators.serve(Job, _serve)
