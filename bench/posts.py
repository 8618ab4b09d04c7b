"""POST /todos/ beside an echo of the same parts: what appending durably costs on top of HTTP."""

from typing import Final

import asyncpg
from bench.counts import heard, reconcile, rows_of
from bench.figures import Run
from bench.load import Target, cut_off, load
from bench.stack import Stack

from events.ids import uuid7

POST: Final = "POST /todos/"
ECHO: Final = "POST /echo"
BODY: Final = '{"title":"우유 사기","priority":2}'


async def measure(
    stack: Stack, todos: asyncpg.Connection, activity: asyncpg.Connection, seconds: float
) -> dict[str, Run]:
    """One run of each. The whole pipeline runs behind the first; the second waits until that has come to rest."""
    posted = await _post(stack, todos, seconds)
    await heard(activity, await rows_of(todos))
    echoed = await load(_target(stack.echo, "/echo", stack, seconds))
    return {POST: posted, ECHO: echoed}


async def _post(stack: Stack, todos: asyncpg.Connection, seconds: float) -> Run:
    before = await rows_of(todos)
    run = await load(_target(stack.todos, "/todos/", stack, seconds))
    await reconcile(todos, before, run.answered, cut_off=cut_off())
    return run


def _target(url: str, path: str, stack: Stack, seconds: float) -> Target:
    return Target(url=url, path=path, body=BODY, token=stack.token(uuid7()), seconds=seconds)
