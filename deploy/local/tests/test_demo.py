"""The demonstration walks through a stack that is up, and never takes another program for one."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.child import StartError
from local.demo import demo
from local.folders import lock
from local.layout import REPOSITORY, Layout
from local.nats import Nats
from local.stack import Stack


@contextmanager
def other_program(port: int) -> Iterator[None]:
    with http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def layout(tmp_path: Path, free_port: Callable[[], int]) -> Layout:
    """A stack was here: its stack.json is left, with a NATS that is gone."""
    made = Layout(free_port(), tmp_path)
    made.stack_file.write_text(json.dumps({"nats": {"admin": f"nats://127.0.0.1:{made.nats_port}"}}))
    return made


def test_a_stack_is_up_while_its_lock_is_held_whatever_answers_at_its_port(layout: Layout) -> None:
    stack = Stack(layout)
    with other_program(layout.port_base):
        assert not stack.is_up
        with lock(layout):
            assert stack.is_up
        assert not stack.is_up


def test_a_stack_that_has_not_told_its_urls_is_not_up_yet(layout: Layout) -> None:
    layout.stack_file.unlink()
    with lock(layout):
        assert not Stack(layout).is_up


def test_another_program_at_the_port_of_a_stack_that_was_is_named(free_port: Callable[[], int]) -> None:
    port = free_port()
    folder = REPOSITORY / "var" / str(port)
    folder.mkdir(parents=True)
    (folder / "stack.json").write_text("{}")
    try:
        with other_program(port):
            done = subprocess.run(
                [sys.executable, "-m", "local", "demo"],
                env=os.environ | {"PORT_BASE": str(port)},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        assert done.returncode == 1
        assert done.stderr.startswith(f"local: port {port} (gateway) is taken by another program")
        assert done.stderr.count("\n") == 1
    finally:
        shutil.rmtree((folder / "data").resolve())
        shutil.rmtree(folder)


def test_a_broker_that_is_away_ends_the_demonstration_with_one_line(
    layout: Layout, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with lock(layout), pytest.raises(StartError, match=f"the stack at {layout.gateway} does not answer"):
        demo(layout)
    assert not capfd.readouterr().err
    assert not caplog.records


def test_a_gateway_that_is_away_ends_the_demonstration_with_one_line(layout: Layout, nats: Nats) -> None:
    layout.stack_file.write_text(json.dumps({"nats": {"admin": nats.url()}}))
    with lock(layout), pytest.raises(StartError, match="does not answer as it should: ConnectError"):
        demo(layout)
