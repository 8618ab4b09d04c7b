"""An older version of a service beside the new one, over the new one's tables: what every rollout is for a while."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final
from zipfile import ZipFile

import httpx

from faults.fault import Effect, Fault
from faults.waiting import until
from faults.world import World
from local.child import Child
from local.environment import service_environment
from local.layout import REPOSITORY, SERVICES
from local.parts import status
from local.secret import load_or_make

EARLIER: Final = "3c0a0261cc1be0f81d8477f8de6a5a534922a5bf"
"""It knows neither rewinds nor seals; a rollout migrates first, so it finds tables and columns that it never saw."""
_BESIDE: Final = 18
_ASKED = re.compile(r'^todo_http_request_seconds_count{[^}]*route="/(?!healthz|metrics)[^}]*} (\S+)', re.MULTILINE)
_HEARD = re.compile(r"^todo_consumer_heard_total{[^}]*} (\S+)", re.MULTILINE)


def may_unpack() -> str:
    """Why the older version cannot be had here; empty where it can."""
    asked = ["git", "cat-file", "-e", f"{EARLIER}^{{tree}}"]
    known = subprocess.run(asked, cwd=REPOSITORY, stderr=subprocess.DEVNULL, check=False)
    return f"needs version {EARLIER[:7]} in this repository's history" if known.returncode else ""


@asynccontextmanager
async def older(world: World, dice: Random, effect: Effect, *, service: str) -> AsyncIterator[None]:
    """An older process joins; the new one leaves and another older one serves in its place; the new one comes back."""
    tree = unpacked(world.folder / "earlier")
    own, before = world.stack.layout.service_port(service), world.pid(service)
    async with process(world, tree, service, world.base + _BESIDE):
        with world.unsupervised():
            world.signal(service, signal.SIGTERM)
            await world.gone(service)
            async with process(world, tree, service, own) as instead:
                await asyncio.sleep(dice.uniform(0.5, 2.0))
                yield
                told = [await _metrics(world.base + _BESIDE), await _metrics(own)]
        await world.back(service, after=before)
        await world.ready(service)
        await asyncio.sleep(dice.uniform(0.0, 1.0))
    asked, heard = (sum(_total(pattern, text) for text in told) for pattern in (_ASKED, _HEARD))
    if asked or heard:
        effect.see(f"{service} of {EARLIER[:7]}, process {instead}: asked {asked} times, heard {heard} events")


def unpacked(folder: Path) -> Path:
    """The older version's tree, once in a world."""
    if not folder.exists():
        asked = ["git", "archive", "--format=zip", EARLIER]
        packed = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, check=True)
        draft = folder.with_suffix(".draft")
        with ZipFile(BytesIO(packed.stdout)) as archive:
            archive.extractall(draft)
        draft.rename(folder)
    return folder


@asynccontextmanager
async def process(world: World, tree: Path, service: str, port: int) -> AsyncIterator[int]:
    """A process of the version in `tree`, well; it obeys SIGTERM."""
    child = await started(world, tree, service, port)
    try:
        yield child.process.pid
    finally:
        await asyncio.to_thread(child.stop, within=10)


async def started(world: World, tree: Path, service: str, port: int) -> Child:
    """A process of the version in `tree`, once it is well; raises `TooLate`, and leaves none then."""
    with (world.stack.layout.logs / f"{service}-{port}.log").open("ab") as log:
        child = Child([sys.executable, "-m", service], output=log, env=_environment(world, tree, service, port))
    try:
        await until(partial(_is_well, port), f"{service} of {tree.name} is well", within=30, every=0.1)
    except BaseException:
        child.kill()
        raise
    return child


def sources(tree: Path) -> str:
    """The import path of the version in `tree`."""
    return os.pathsep.join(map(str, sorted(tree.glob("*/*/src"))))


def _environment(world: World, tree: Path, service: str, port: int) -> Mapping[str, str]:
    details, where = world.stack.details, world.stack.layout
    kept = load_or_make(where.folder / "secrets.json")
    login = f"//{service}:{kept.nats[service]}@"  # an earlier version, or an earlier one's broker, knows no nkeys
    broker = re.sub("//.*@", login, details["nats"][service])
    urls = {"DATABASE_URL": details["postgres"][service], "NATS_URL": broker}
    own = service_environment(service, where, kept, urls, os.environ | world.environment)
    return own | {"PORT": str(port), "PYTHONPATH": sources(tree)}


async def _is_well(port: int) -> bool:
    return await asyncio.to_thread(status, port, "/healthz/ready") == 200


async def _metrics(port: int) -> str:
    async with httpx.AsyncClient(timeout=5) as http:
        return (await http.get(f"http://127.0.0.1:{port}/metrics")).text


def _total(pattern: re.Pattern[str], text: str) -> int:
    return int(sum(float(count) for count in pattern.findall(text)))


FAULTS = [Fault(f"older-{service}", partial(older, service=service), history=True) for service in SERVICES]
