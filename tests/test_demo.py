"""The demonstration shows the whole path, with a stack that is up and with one of its own."""

import asyncio
import os
import shutil
import sys

import pytest

from local.layout import Layout
from system import System, free_layout


async def walk(where: Layout) -> str:
    """What `./run demo` prints."""
    environment = os.environ | {"PORT_BASE": str(where.port_base)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local", "demo", env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def assert_whole(shown: str) -> None:
    for step in ("POST /users/request-otp", "the letter is there", "POST /todos/", "GET /activity/", "the archive"):
        assert step in shown
    assert shown.count("log    ") == shown.count("   =\n") == 3
    assert "IS NOT" not in shown
    assert {"6114.0 ms", "2034.0 ms"} <= {" ".join(line.split()[-2:]) for line in shown.splitlines()}


async def test_it_walks_through_a_stack_that_is_up(world: System) -> None:
    assert_whole(await walk(world.stack.layout))


@pytest.fixture
def elsewhere() -> Layout:
    where = free_layout()
    yield where
    shutil.rmtree((where.folder / "data").resolve(), ignore_errors=True)
    shutil.rmtree(where.folder, ignore_errors=True)


async def test_it_starts_a_stack_of_its_own_and_shows_the_letter_as_the_console_does(elsewhere: Layout) -> None:
    shown = await walk(elsewhere)
    assert_whole(shown)
    assert "📧 EMAIL SENT (Development Mode)\n" + "=" * 50 in shown
