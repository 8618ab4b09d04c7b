"""docs/tutorial.md is followed to the letter: its files in an empty folder, its commands beside a stack of our own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local import ports
from local.fixtures import until
from local.layout import REPOSITORY
from local.permissions import service_permissions
from system import PLAIN, Person, System, system

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
UP, MAKE, MIGRATE, RUN, REWIND = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[RUN_BESIDE] = re.findall(r"`(\$TODO/run as tally env PORT=0 [^`]+)`", PAGE)
SPOKEN_OF = re.compile(r"takes (\d+) lines of Python")
COUNTED = "select coalesce(sum(completed), 0)::int from tally"
AT = "select coalesce(max(seq), 0) from events.checkpoint where consumer = 'tally' and feed = 'TODOS'"


class Reader:
    """Somebody who follows the page, in a folder beside something that has `run` as the repository has."""

    def __init__(self, folder: Path, stack: System) -> None:
        self.system = stack
        self.todo = folder / "todo"
        self.folder = folder / "tally-service"
        self.log = folder / "log"
        self.todo.mkdir()
        run = self.todo / "run"  # the repository's own installs where a copy of it is tested
        run.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m local "$@"\n')
        run.chmod(0o755)

    def write(self) -> None:
        self.does(MAKE, self.todo)
        for name, text in FILES.items():
            (self.folder / name).write_text(text)

    def does(self, commands: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["sh", "-euc", commands],
            cwd=folder or self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, command: str = RUN) -> Iterator[subprocess.Popen[bytes]]:
        """Tally, killed at the end if it is still there; a failure shows what it said."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-euc", f"exec {command}"], cwd=self.folder, env=self._environment(), stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def counts(self, number: int) -> None:
        """Wait until tally has heard everything, and see what it counted."""

        async def heard() -> bool:
            last: int = await self.system.value("todos", "select last_seq from events.feed where name = 'TODOS'")
            return bool(await self.system.value("tally", AT) == last)

        await until(heard, within=40)  # a process may take long to start
        assert await self.system.value("tally", "select count(*) from events.parked") == 0
        assert await self.system.value("tally", COUNTED) == number, self.log.read_text()[-2000:]

    def _environment(self) -> Mapping[str, str]:
        return os.environ | {"TODO": str(self.todo), "PORT_BASE": str(self.system.stack.layout.port_base)}


@pytest.fixture(scope="module")
def hosting() -> Iterator[System]:
    with system(GUESTS=UP.removeprefix("GUESTS=").removesuffix(" ./run up\n")) as started:
        yield started


async def complete(person: Person) -> None:
    """Two to-dos, one of them undone again: it was completed as well."""
    for toggles in (1, 2):
        created = await person.create()
        for _ in range(toggles):
            answer = await person.http.patch(f"/todos/{created.json()['data']['id']}/toggle")
            assert answer.status_code == 200, answer.text


async def test_a_service_that_follows_the_page_counts_each_event_once_whatever_happens(
    hosting: System, tmp_path: Path
) -> None:
    reader = Reader(tmp_path, hosting)
    reader.write()
    assert reader.does(MIGRATE).endswith("tally/0001_tally.sql\n")
    async with hosting.person() as ann:
        await complete(ann)  # before tally was ever there
        with reader.running() as first:
            await reader.counts(2)
            await well(first, hosting.stack.layout.port_base + 9)
            assert reader.does("$TODO/run ops acts tally --json") == "[]\n"
        await complete(ann)
        with reader.running() as again:
            await reader.counts(4)
            reader.does(REWIND)
            await reader.counts(4)
            port = ports.free_port()  # which nobody could ask for at 0
            with reader.running(RUN_BESIDE.replace("PORT=0", f"PORT={port}")) as beside:
                await well(beside, port)
                await complete(ann)
                await reader.counts(6)
                again.send_signal(signal.SIGKILL)
                await complete(ann)
                await reader.counts(8)


async def well(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until it listens there, and its own health says so."""

    async def is_well() -> bool:
        try:
            told = (await http.get(f"http://127.0.0.1:{port}/healthz/ready")).json()
        except httpx.TransportError:
            assert process.poll() is None
            return False
        states = {check["name"]: check["state"] for check in told["checks"]}
        return states == {"consumer tally TODOS": "ok", "parked tally": "ok"}

    async with httpx.AsyncClient(timeout=5, verify=PLAIN) as http:
        await until(is_well, within=40)


def test_the_page_says_how_much_it_takes_and_it_is_less_than_fifty_lines() -> None:
    lines = sum(len(text.splitlines()) for name, text in FILES.items() if name.endswith(".py"))
    spoken = SPOKEN_OF.search(PAGE)
    assert spoken is not None
    assert int(spoken[1]) == lines < 50


def test_the_rights_on_the_page_are_those_that_the_stack_gives() -> None:
    shown = json.loads(re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0])
    assert shown == service_permissions("tally", says=(), hears=("TODOS",))
