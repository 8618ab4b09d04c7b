"""A process: SIGTERM lets what is in flight finish, then ends everything; a failed task ends the process."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from events.process import Roles, roles

SCRIPT = """
import asyncio, sys
from events.health import Health
from events.process import run, start
from events.telemetry import configure_logging

configure_logging("test")
health = Health()

async def task():
    try:
        await asyncio.Event().wait()
    finally:
        print("task ended", flush=True)

async def failing():
    if sys.argv[1] == "failing":
        raise RuntimeError("broken")

async def server():
    done = asyncio.Event()

    async def answer(reader, writer):
        writer.write(b"go on")
        await reader.readline()
        writer.write(b"answered, leaving" if health.leaving else b"answered")
        writer.close()
        done.set()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    if sys.argv[1] == "ending":
        return
    try:
        await asyncio.Event().wait()
    finally:
        listener.close()
        print("draining", flush=True)
        await done.wait()
        print("drained", flush=True)

start(run(server=server, tasks=[task, failing], health=health))
"""


async def started(mode: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, mode, stdout=PIPE, stderr=PIPE)


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(10):
        return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_request_in_flight_finish_before_the_tasks_end(number: signal.Signals) -> None:
    process = await started("healthy")
    try:
        port = int(await line(process))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"go on"
        process.send_signal(number)
        assert await line(process) == "draining"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"the rest of the request\n")
        assert await reader.read() == b"answered, leaving"
        writer.close()
        assert [await line(process), await line(process)] == ["drained", "task ended"]
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_task_that_fails_ends_the_process_with_its_error() -> None:
    process = await started("failing")
    async with asyncio.timeout(10):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"RuntimeError: broken" in errors


async def test_a_server_that_ends_by_itself_ends_the_process() -> None:
    """Left running it would look alive and answer nobody."""
    process = await started("ending")
    async with asyncio.timeout(10):
        out, errors = await process.communicate()
    assert process.returncode == 1
    assert b"the server ended by itself" in errors
    assert out.endswith(b"task ended\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], Roles()), (["api"], Roles(worker=False)), (["worker"], Roles(api=False))],
)
def test_a_role_is_named_on_the_command_line(arguments: list[str], expected: Roles) -> None:
    assert roles(arguments) == expected


@pytest.mark.parametrize("arguments", [["both"], ["api", "worker"], ["--help"]])
def test_anything_else_gets_a_usage_line(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="usage: python -m <service>"):
        roles(arguments)
