"""POST /todos/ beside an echo in the same process, and beside pgbench: what the append costs, and what HTTP does."""

import argparse
from collections import defaultdict
from typing import Final

import asyncpg
import uvloop

from bench import findings
from bench.counts import SQL, assert_durable, heard, reconcile, rows_of
from bench.figures import Goal, Run, at_least, at_most, ratios, row, spread, table
from bench.findings import Findings
from bench.load import CONNECTIONS, Target, cut_off, generator, load
from bench.machine import facts
from bench.singles import PGBENCH, PLAIN, SHORTEST, pgbench, scripted
from bench.stack import Stack, running
from events.ids import uuid7
from local.console import say

PIPELINE: Final = "POST /todos/, everything behind it running too"
POST: Final = "POST /todos/, API role alone"
ECHO: Final = "POST /echo"
BODY: Final = '{"title":"우유 사기","priority":2}'
_WARM_UP: Final = 2.0
_TEXT: Final = """\
## POST /todos/ beside an echo route of the same app, and pgbench

{connections} connections, closed loop, load by {generator}. The first row is the service with both roles, with relay,
JetStream and activity at work on the same cores; the next two are two routes of one process, the API role alone, while
all workers have nothing to do. pgbench writes an event and its row, prepared, by as many clients.

{posts}"""

Posts = dict[str, list[Run]]


def main() -> None:
    """Tell a table and goals."""
    parser = argparse.ArgumentParser(prog="bench.posts", description="Compare POST /todos/ with an echo and pgbench")
    parser.add_argument("--seconds", type=float, default=8, help="how long each run takes (8)")
    findings.run(parser, _found, seconds=SHORTEST)


def _found(options: argparse.Namespace) -> Findings:
    with running() as stack:
        return uvloop.run(_measure(stack, options.rounds, options.seconds))


async def _measure(stack: Stack, rounds: int, seconds: float) -> Findings:
    todos, activity = await stack.connect("todos"), await stack.connect("activity")
    alone = await stack.connect_alone()
    await assert_durable(todos)
    machine = await facts(todos, stack.data)
    await alone.execute(SQL.peer_tables)
    bench = _Bench(stack, todos, activity, alone)
    await bench.round(min(seconds, _WARM_UP))  # what a process does once
    posts: Posts = defaultdict(list)
    for nr in range(1, rounds + 1):
        say(f"bench: round {nr} of {rounds}")
        for name, run in (await bench.round(seconds)).items():
            posts[name].append(run)
            say(f"bench: {name}: {run.rate:,.0f}/s, p50 {run.p50:.1f} ms, p99 {run.p99:.1f} ms")
    for connection in (todos, activity, alone):
        await connection.close()
    text = _TEXT.format(connections=CONNECTIONS, generator=generator(), posts=_table(posts))
    without = "" if PLAIN in posts else f"\n\nskipped: {PLAIN}: no pgbench beside the server or on the PATH"
    return Findings(text=text + without, goals=goals(posts), machine=machine)


class _Bench:
    """`alone` is where the echo's app appends, and pgbench beside it."""

    def __init__(
        self, stack: Stack, todos: asyncpg.Connection, activity: asyncpg.Connection, alone: asyncpg.Connection
    ) -> None:
        self._stack = stack
        self._todos = todos
        self._activity = activity
        self._alone = alone
        self._pgbench = pgbench()

    async def round(self, seconds: float) -> dict[str, Run]:
        """One run of each; the others wait until the pipeline has come to rest."""
        runs = {PIPELINE: await post_and_reconcile(self._stack, self._stack.todos, self._todos, seconds)}
        await heard(self._activity, await rows_of(self._todos))
        runs[POST] = await post_and_reconcile(self._stack, self._stack.echo, self._alone, seconds)
        runs[ECHO] = await load(_target(self._stack, self._stack.echo, "/echo", seconds))
        if self._pgbench:
            url, script = self._stack.alone_url, PGBENCH[PLAIN]
            runs[PLAIN] = await scripted(self._pgbench, url, script, CONNECTIONS, seconds)
        return runs


async def post_and_reconcile(stack: Stack, url: str, database: asyncpg.Connection, seconds: float) -> Run:
    """Load on a to-do service at `url`; raises `Unsound` where its database holds other than was answered."""
    before = await rows_of(database)
    run = await load(_target(stack, url, "/todos/", seconds))
    await reconcile(database, before, run.answered, cut_off=cut_off())
    return run


def _target(stack: Stack, url: str, path: str, seconds: float) -> Target:
    return Target(url=url, path=path, body=BODY, token=stack.token(uuid7()), seconds=seconds)


def _table(posts: Posts) -> str:
    peers = [peer for peer in (ECHO, PLAIN) if peer in posts]
    lines = [row(name, runs, *(spread(ratios(runs, posts[peer])) for peer in peers)) for name, runs in posts.items()]
    return table(("side", "requests/s", "p50", "p99", *(f"times {peer}" for peer in peers)), lines)


def goals(posts: Posts) -> list[Goal]:
    """Beside the echo, and beside pgbench where there is one."""
    tails = [ours.p99 / echo.p99 for ours, echo in zip(posts[POST], posts[ECHO], strict=True)]
    beside_pgbench = [
        at_least(f"{name}, to {PLAIN}", ratios(posts[name], posts[PLAIN]), least)
        for name, least in ((PIPELINE, 0.9), (POST, 1.2))
        if PLAIN in posts
    ]
    return [
        at_least(f"{POST}, to {ECHO}", ratios(posts[POST], posts[ECHO]), 0.75),
        at_most(f"p99 of {POST}, to that of {ECHO}", tails, 3),
        *beside_pgbench,
    ]


if __name__ == "__main__":
    main()
