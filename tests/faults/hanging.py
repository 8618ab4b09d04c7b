"""SIGSTOP, later SIGCONT: a process is there, and does nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import psutil

from faults.fault import HANG_ENDED, Effect, Fault
from faults.waiting import TooLate, until
from faults.world import World
from local.layout import SERVICES

WATCHDOG = 6.0
"""Seconds of silence after which a service cuts its connection to NATS."""


@asynccontextmanager
async def hung(world: World, dice: Random, effect: Effect, *, part: str) -> AsyncIterator[None]:
    """A part stands still for some seconds."""
    pid = world.pid(part)
    world.signal(part, signal.SIGSTOP)
    try:
        await until(lambda: _stands_still(pid), f"{part} stands still", within=2)
        effect.see(f"{part}: process {pid} stood still")
        await asyncio.sleep(dice.uniform(0.5, 3.0))
        yield
    finally:
        world.signal(part, signal.SIGCONT)


@asynccontextmanager
async def hung_with_bytes_unsent(world: World, dice: Random, effect: Effect) -> AsyncIterator[None]:
    """NATS stands still under load for longer than a watchdog waits, with bytes that it never read."""
    pid, port = world.pid("nats"), world.stack.layout.nats_port
    world.signal("nats", signal.SIGSTOP)
    try:
        await until(lambda: _stands_still(pid), "nats stands still", within=2)
        unread = await until(lambda: _unread(port), "bytes wait for nats", within=5)
        yield
        await asyncio.sleep(WATCHDOG + dice.uniform(1.0, 3.0))
        try:
            await until(lambda: _cut(world), "a service cut its connection", within=6)
            effect.see(f"nats stood still with {unread} bytes unread, and a watchdog cut a connection")
        except TooLate:
            return
    finally:
        world.signal("nats", signal.SIGCONT)


async def _cut(world: World) -> bool:
    return any(
        "the connection is cut" in log.read_text(errors="replace") for log in world.stack.layout.logs.glob("*.log")
    )


async def _stands_still(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def _unread(port: int) -> int:
    return _waiting_bytes(port)


def _waiting_bytes(port: int) -> int:
    """Bytes that wait in the kernel for whoever listens at a port, or in those that write to it."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        sent, received = (int(part, 16) for part in queues.split(":"))
        waiting += received if int(local.split(":")[1], 16) == port else 0
        waiting += sent if int(remote.split(":")[1], 16) == port else 0
    return waiting


FAULTS = [
    *(Fault(f"hang-{part}", partial(hung, part=part), goal=HANG_ENDED) for part in (*SERVICES, "nats", "postgres")),
    Fault("hang-nats-unsent", hung_with_bytes_unsent, goal=HANG_ENDED, long=True),
]
