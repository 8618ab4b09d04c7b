"""What traces cost: POST /todos/ and all behind it, in a stack without an endpoint and in one that tells 1 %."""

import argparse
import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from bench.counts import Unsound, assert_durable, heard, rows_of
from bench.figures import Run, at_least, ratios, row, spread, table
from bench.posts import post_and_reconcile
from bench.stack import Stack, running

OFF: Final = "without an endpoint"
ON: Final = "with an endpoint, 1 % recorded"
GOAL: Final = 0.95


class Collector:
    """How many bytes of spans came to `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received = 0


@contextmanager
def collecting() -> Iterator[Collector]:
    """A receiver of OTLP over HTTP that keeps nothing, in a thread of this process, which waits while there is load."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            collector.received += len(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()


def main() -> None:
    """Two stacks side by side, one of them idle; print how their rates compare."""
    parser = argparse.ArgumentParser(prog="bench.traces", description="Measure what traces cost")
    parser.add_argument("--rounds", type=int, default=6, help="runs of each (6)")
    parser.add_argument("--seconds", type=float, default=8, help="length of a run (8)")
    options = parser.parse_args()
    with ExitStack() as parts:
        collector = parts.enter_context(collecting())
        stacks = {OFF: parts.enter_context(running())}
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        stacks[ON] = parts.enter_context(running())
        runs = asyncio.run(_measure(stacks, options.rounds, options.seconds))
        if not collector.received:
            raise Unsound("no span arrived")
        _tell(runs, collector.received)


async def _measure(stacks: dict[str, Stack], rounds: int, seconds: float) -> dict[str, list[Run]]:
    """A B, B A, ...: what grows warm or tired does so for both."""
    runs: dict[str, list[Run]] = {name: [] for name in stacks}
    for number in range(rounds):
        for name in sorted(stacks, reverse=bool(number % 2)):
            runs[name].append(await _run(stacks[name], seconds))
    return runs


async def _run(stack: Stack, seconds: float) -> Run:
    """One run, and the rest until everything behind it has come to rest."""
    todos, activity = await stack.connect("todos"), await stack.connect("activity")
    try:
        await assert_durable(todos)
        run = await post_and_reconcile(stack, stack.todos, todos, seconds)
        await heard(activity, await rows_of(todos))
    finally:
        await todos.close()
        await activity.close()
    return run


def _tell(runs: dict[str, list[Run]], received: int) -> None:
    compared = ratios(runs[ON], runs[OFF])
    lines = [row(OFF, runs[OFF], "1"), row(ON, runs[ON], spread(compared))]
    print(table(("POST /todos/, everything behind it", "requests/s", "p50", "p99", "ratio"), lines))
    print(f"\n{received:,} bytes of spans\n{at_least('rate with traces to without', compared, GOAL)}")


if __name__ == "__main__":
    main()
