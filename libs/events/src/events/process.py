"""A service's process: runs its tasks until SIGTERM, drains, leaves.

`python -m todos` plays both roles, `python -m todos api` and `python -m todos worker` one each.
"""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import msgspec
import structlog
import uvloop

from events.health import Health
from events.telemetry import TASKS
from events.tracing import stop_tracing

log = structlog.get_logger(__name__)

GARBAGE = (5_000, 1, 1_000)
"""When cycles are looked for (`gc.set_threshold`). A look at everything stops a process with 2,000 connections for 0.4
to 0.6 s: every 19 s with Python's own (700, 10, 10). A look at the young stops it for as long as there are many: 10 ms
at 2,000, 0.1 s at 20,000; one at those that outlived such looks, 45 ms after three at 2,000, 0.2 s after fifty. What
is in no cycle goes at once, as ever; so what is under way at once (some thirty objects a request) is no reason to look:
at 700, requests that come and go took 150 looks a second, 5 to 7 % of the processor, which found nothing.
"""

Task: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Runs until cancelled."""


class Roles(msgspec.Struct, frozen=True):
    """What this process does: answer requests, hear and act, or both."""

    api: bool = True
    worker: bool = True


def roles(arguments: Sequence[str]) -> Roles:
    """The roles that the command line names; exits with a usage line for anything else."""
    match list(arguments):
        case []:
            return Roles()
        case ["api"]:
            return Roles(worker=False)
        case ["worker"]:
            return Roles(api=False)
    sys.exit("usage: python -m <service> [api|worker]")


def start(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's main coroutine on uvloop, and send the last spans when it is over.

    Each connection needs a file, and as many are opened as are allowed.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.set_threshold(*GARBAGE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main)
        finally:
            stop_tracing()


async def run(*, server: Task, tasks: Sequence[Task], health: Health) -> None:
    """Run `tasks` beside `server` until SIGTERM or SIGINT, then cancel the server, which drains, then the tasks.

    A task that fails ends the process with its error, and so does a server that ends by itself: whoever supervises it
    starts it again.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def leave() -> None:
        health.leaving = True
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(task()) for task in tasks]
        serving = group.create_task(server())
        stopping = group.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not health.leaving:
            raise RuntimeError("the server ended by itself")
        serving.cancel()
        await asyncio.wait([serving])
        log.info("drained; leaving")
        for task in background:
            task.cancel()
