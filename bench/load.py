"""Closed-loop load on one route: a number of connections, each sends again when it is answered.

wrk where it is on the PATH, else this module as a process of its own. Either uses a fraction of what the server does.
"""

from itertools import count
from typing import Final

import msgspec

from bench import generators
from bench.counts import Unsound
from bench.figures import Run, percentile
from bench.requests import post

CONNECTIONS: Final = 32
NUMBER: Final = "$NUMBER$"
"""In the place of this in a body, each request of a run has a number of its own, of eight digits."""
_MODULE: Final = "bench.load"


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
    return generators.named(_MODULE)


def cut_off() -> int:
    """How many requests may be done and not counted: wrk leaves its last ones, one a connection, unawaited."""
    return CONNECTIONS if generators.has_wrk() else 0


async def load(target: Target) -> Run:
    """Put load on a target; raises `Unsound` for any answer but the one that is to be."""
    by_wrk = generators.wrk(
        "post.lua", target.url + target.path, CONNECTIONS, target.seconds, [target.token, target.body]
    )
    output = await generators.generated(_MODULE, by_wrk, target, target.seconds)
    result = msgspec.json.decode(output, type=_Result)
    if result.failed or not result.answered:
        raise Unsound(f"{target.path}: {result.failed} of {result.answered} answers were not {target.status}")
    return Run(answered=result.answered, seconds=result.seconds, p50=result.p50, p99=result.p99)


async def _serve(target: Target) -> _Result:
    request = post(target.url, target.path, target.body.encode(), target.token)
    mark, numbers = NUMBER.encode(), count()
    done = await generators.looped(
        target.url,
        lambda: request.replace(mark, b"%08d" % next(numbers)),
        connections=CONNECTIONS,
        seconds=target.seconds,
        status=target.status,
    )
    p50, p99 = (percentile(done.latencies, per_cent) for per_cent in (50, 99))
    return _Result(answered=len(done.latencies), seconds=done.seconds, p50=p50, p99=p99, failed=done.failed)


if __name__ == "__main__":
    generators.serve(Target, _serve)
