"""POST /todos/ beside an echo in the same process: what a durable append costs on top of HTTP."""

from typing import Final

import asyncpg

from bench.counts import heard, reconcile, rows_of
from bench.figures import Run
from bench.load import Target, cut_off, load
from bench.stack import Stack
from events.ids import uuid7

PIPELINE: Final = "POST /todos/, everything behind it running too"
POST: Final = "POST /todos/"
ECHO: Final = "POST /echo"
BODY: Final = '{"title":"우유 사기","priority":2}'


async def measure(
    stack: Stack, todos: asyncpg.Connection, activity: asyncpg.Connection, alone: asyncpg.Connection, seconds: float
) -> dict[str, Run]:
    """One run of each; the others wait until the pipeline has come to rest. `alone` is where the echo's app appends."""
    pipeline = await post_and_reconcile(stack, stack.todos, todos, seconds)
    await heard(activity, await rows_of(todos))
    posted = await post_and_reconcile(stack, stack.echo, alone, seconds)
    echoed = await load(_target(stack, stack.echo, "/echo", seconds))
    return {PIPELINE: pipeline, POST: posted, ECHO: echoed}


async def post_and_reconcile(stack: Stack, url: str, database: asyncpg.Connection, seconds: float) -> Run:
    """Load on a to-do service at `url`; raises `Unsound` where its database holds other than was answered."""
    before = await rows_of(database)
    run = await load(_target(stack, url, "/todos/", seconds))
    await reconcile(database, before, run.answered, cut_off=cut_off())
    return run


def _target(stack: Stack, url: str, path: str, seconds: float) -> Target:
    return Target(url=url, path=path, body=BODY, token=stack.token(uuid7()), seconds=seconds)
