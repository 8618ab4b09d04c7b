"""`up`: one command from nothing to ready, and nothing left behind however it ends. Services are stand-ins here."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import psutil
import pytest

from local.layout import REPOSITORY, SERVICES

STAND_IN = textwrap.dedent(
    """
    import http.server, os, signal, sys, time

    def drain(*_):
        time.sleep(5)
        sys.exit(f"{__package__} has drained")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{__package__} {self.path}".encode())

    if os.environ.get("ENDS_AT_ONCE") == __package__:
        sys.exit(f"{__package__} has no luck")
    if "DEAF_BUT" in os.environ:
        signal.signal(signal.SIGTERM, drain if os.environ["DEAF_BUT"] == __package__ else signal.SIG_IGN)
    print("a line for people from " + __package__, flush=True)
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
    """
)


class Stack:
    """A supervisor under test, started the way `just up` starts it."""

    def __init__(self, port_base: int, stand_ins: Path, **environment: str) -> None:
        self.port_base = port_base
        self.folder = REPOSITORY / "var" / str(port_base)
        env = os.environ | {"PORT_BASE": str(port_base), "PYTHONPATH": str(stand_ins)} | environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "up"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def wait_ready(self) -> list[str]:
        """Everything on stdout up to and with the ready line."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                return lines
        raise AssertionError(self.process.stderr.read())

    @property
    def details(self) -> dict:
        return json.loads((self.folder / "stack.json").read_bytes())

    @property
    def pids(self) -> list[int]:
        return list(self.details["pids"].values())

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Send a signal to the supervisor, wait for its end, and return what it said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=15)[1]


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait(condition: Callable[[], object], within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "still not true"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("services")
    for name in SERVICES:
        (folder / name / "sql" / "migrations").mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "__main__.py").write_text(STAND_IN)
    return folder


@pytest.fixture
def up(stand_ins: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Stack]]:
    """Starts stacks, each on ports of its own unless told otherwise, and removes what they leave."""
    stacks: list[Stack] = []

    def start(port_base: int | None = None, **environment: str) -> Stack:
        stack = Stack(port_base or free_port(), stand_ins, **environment)
        stacks.append(stack)
        return stack

    yield start
    for stack in stacks:
        if stack.process.poll() is None:
            stack.end()
        stack.process.communicate()
        remove(stack.folder)


def remove(folder: Path) -> None:
    data = (folder / "data").resolve()
    subprocess.run(["rm", "-rf", str(data), str(folder)], check=True)


def test_ready_is_one_plain_line_and_mail_alone_shares_its_stdout(up: Callable[..., Stack]) -> None:
    stack = up()
    gateway = f"http://127.0.0.1:{stack.port_base}"
    assert stack.wait_ready() == ["a line for people from mailer\n", f"ready {gateway}\n"]
    assert get(f"{gateway}/todos/") == (200, "todos /todos/")
    assert get(f"{gateway}/users/me") == (200, "auth /users/me")
    assert get(f"{gateway}/openapi/activity.json") == (200, "activity /openapi.json")
    assert (stack.folder / "stack.json").stat().st_mode & 0o777 == 0o600
    assert (stack.folder / "secrets.json").stat().st_mode & 0o777 == 0o600
    said = stack.end()
    assert "a line for people from todos" in said
    assert "a line for people from mailer" not in said
    assert stack.process.returncode == 0


def test_the_gateway_answers_unknown_addresses_with_a_problem(up: Callable[..., Stack]) -> None:
    stack = up()
    stack.wait_ready()
    gateway = f"http://127.0.0.1:{stack.port_base}"
    for hidden in ("/healthz/ready", "/metrics", "/todosx", "/"):
        status, body = get(gateway + hidden)
        problem = json.loads(body)
        assert (status, problem["status"], problem["code"]) == (404, 404, "not_found")
    assert json.loads(get(gateway, **{"Accept-Language": "ko-KR"})[1])["title"] == "찾을 수 없습니다"


def test_the_gateways_own_answers_carry_the_request_id_of_their_body(up: Callable[..., Stack]) -> None:
    stack = up()
    stack.wait_ready()
    os.kill(stack.process.pid, signal.SIGSTOP)
    os.kill(stack.details["pids"]["todos"], signal.SIGKILL)
    try:
        for path, status in (("/nowhere", 404), ("/openapi/todos.json", 503)):
            for sent in ("mine-1.2:3_4", "a" * 65, 'no "id"', ""):
                headers = {"X-Request-Id": sent} if sent else {}
                answer = httpx.get(f"http://127.0.0.1:{stack.port_base}{path}", headers=headers)
                told = answer.headers["x-request-id"]
                assert (answer.status_code, answer.json()["request_id"]) == (status, told)
                assert (told == sent) == (sent == "mine-1.2:3_4")
                assert told == sent or UUID(told)
    finally:
        os.kill(stack.process.pid, signal.SIGCONT)


def test_what_dies_is_started_again_and_no_request_is_refused_meanwhile(up: Callable[..., Stack]) -> None:
    stack = up()
    stack.wait_ready()
    for name in ("todos", "nats", "postgres", "gateway"):
        before = stack.details["pids"][name]
        os.kill(before, signal.SIGKILL)
        if name == "todos":
            assert get(f"http://127.0.0.1:{stack.port_base}/todos/") == (200, "todos /todos/")
        wait(lambda: stack.details["pids"][name] != before)  # noqa: B023
    wait(lambda: get(f"http://127.0.0.1:{stack.port_base}/todos/")[0] == 200)


def test_a_part_that_cannot_be_started_again_leaves_the_others_alone_until_it_can(up: Callable[..., Stack]) -> None:
    stack = up()
    stack.wait_ready()
    before, configuration = stack.details["pids"]["nats"], stack.folder / "data" / "nats" / "nats.conf"
    configuration.unlink()
    configuration.mkdir()
    os.kill(before, signal.SIGKILL)
    assert any(line.startswith("local: nats cannot start: IsADirectoryError") for line in stack.process.stderr)
    configuration.rmdir()
    wait(lambda: stack.details["pids"]["nats"] != before)
    assert get(f"http://127.0.0.1:{stack.port_base}/todos/") == (200, "todos /todos/")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_everything_within_ten_seconds(up: Callable[..., Stack], number: signal.Signals) -> None:
    stack = up()
    stack.wait_ready()
    pids = stack.pids
    began = time.monotonic()
    stack.end(number)
    assert time.monotonic() - began < 10
    assert stack.process.returncode == 0
    assert not any(map(is_running, pids))


def test_a_service_is_left_the_time_to_drain_and_those_that_ignore_the_end_hold_it_up_no_longer(
    up: Callable[..., Stack],
) -> None:
    stack = up(DEAF_BUT="todos")
    stack.wait_ready()
    pids = stack.pids
    began = time.monotonic()
    said = stack.end()
    assert time.monotonic() - began < 10
    assert "todos has drained" in said
    assert not any(map(is_running, pids))
    database = (stack.folder / "logs" / "postgres.log").read_text()
    assert "force wait" in database.partition("received fast shutdown request")[0]
    assert database.rstrip().endswith("database system is shut down")


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_works_with_the_same_data(
    up: Callable[..., Stack],
) -> None:
    first = up()
    first.wait_ready()
    pids, secrets = first.pids, (first.folder / "secrets.json").read_bytes()
    first.process.kill()
    second = up(first.port_base)
    wait(lambda: not any(map(is_running, pids)))
    second.wait_ready()
    assert (second.folder / "secrets.json").read_bytes() == secrets


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_first_start_that_is_interrupted_while_the_cluster_is_made_is_made_good_by_the_next(
    up: Callable[..., Stack], number: signal.Signals
) -> None:
    first = up()
    wait(lambda: list(first.folder.glob("data/postgres/*/PG_VERSION")))
    children = [child.pid for child in psutil.Process(first.process.pid).children(recursive=True)]
    first.end(number)
    wait(lambda: not any(map(is_running, children)))
    second = up(first.port_base)
    second.wait_ready()
    assert [path.name for path in second.folder.glob("data/postgres/*")] == ["data"]


def test_two_stacks_run_side_by_side_and_a_second_of_the_same_is_refused(up: Callable[..., Stack]) -> None:
    first, second = up(), up()
    first.wait_ready()
    second.wait_ready()
    third = up(first.port_base)
    assert third.process.wait(timeout=10) == 1
    assert "this stack runs already" in third.process.stderr.read()


def test_a_taken_port_is_named_with_what_to_do(up: Callable[..., Stack], free_port: Callable[[], int]) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 2))
        other.listen()
        stack = up(port)
        assert stack.process.wait(timeout=10) == 1
        said = stack.process.stderr.read()
    assert said.startswith(f"local: port {port + 2} (NATS) is taken by another program")
    assert "PORT_BASE" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("value", ["http", "80", "40000"])
def test_a_port_base_that_cannot_be_is_refused(up: Callable[..., Stack], value: str) -> None:
    stack = up(PORT_BASE=value)
    assert stack.process.wait(timeout=10) == 1
    assert "1024 to 32748" in stack.process.stderr.read()


def test_a_service_that_ends_at_its_start_ends_the_start_and_says_why(up: Callable[..., Stack]) -> None:
    stack = up(ENDS_AT_ONCE="todos")
    assert stack.process.wait(timeout=30) == 1
    assert "todos ended at its start: todos has no luck" in stack.process.stderr.read()
