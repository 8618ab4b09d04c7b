"""The commands: what they take, and what they say to somebody whose start fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.account import postgres_account
from local.folders import explained, lock
from local.layout import REPOSITORY, Layout


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may do everything: it is somebody else meanwhile."""
    account = postgres_account()
    if account:
        os.seteuid(account.uid)
    yield
    if account:
        os.seteuid(0)


def local(port_base: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    env = os.environ | {"PORT_BASE": str(port_base)} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["up", "demo"])
def test_an_argument_that_a_command_does_not_know_is_refused(command: str) -> None:
    done = local(80, command, "--port", "9000")  # a port that would be refused too: nothing is started
    assert done.returncode == 2
    assert "unrecognized arguments: --port 9000" in done.stderr


def test_the_arguments_of_psql_are_its_own(free_port: Callable[[], int]) -> None:
    done = local(free_port(), "psql", "todos", "--csv", "-c", "select 1")
    assert (done.returncode, done.stderr) == (1, "local: no stack was started here yet; ./run up starts one\n")


def test_only_a_database_that_has_readers_is_opened_as_one(free_port: Callable[[], int]) -> None:
    done = local(free_port(), "psql", "activity", "--as", "analyst", "-c", "select 1")
    assert done.stderr == "local: no stack was started here yet; ./run up starts one\n"
    done = local(free_port(), "psql", "todos", "--as", "analyst")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "local: error: todos has no analyst")


def test_a_program_is_given_all_of_its_words(free_port: Callable[[], int]) -> None:
    done = local(free_port(), "as", "todos", "python", "-m", "todos", "--help")
    assert (done.returncode, done.stderr) == (1, "local: no stack was started here yet; ./run up starts one\n")


@pytest.mark.parametrize(
    ("guests", "said"),
    [
        ("tally=NEWS", "no feed is called 'NEWS'; there are OTP, AUTH, TODOS, MAILER, ACTIVITY, NOTIFIER"),
        (",".join(f"guest{number}=TODOS" for number in range(9)), "there is room for 8"),
    ],
)
def test_guests_that_cannot_be_are_refused_before_anything_starts(
    free_port: Callable[[], int], guests: str, said: str
) -> None:
    done = local(free_port(), "up", GUESTS=guests)
    assert (done.returncode, done.stderr) == (1, f"local: GUESTS: {said}\n")


@pytest.mark.parametrize(
    "arguments",
    [("grant", "a@example.org", "analyst"), ("revoke", "a@example.org", "analyst"), ("rotate-keys", "--now")],
)
def test_auth_is_asked_in_a_stack_that_was_started(free_port: Callable[[], int], arguments: tuple[str, ...]) -> None:
    done = local(free_port(), *arguments)
    assert (done.returncode, done.stderr) == (1, "local: no stack was started here yet; ./run up starts one\n")


def test_what_the_system_refuses_is_one_line(free_port: Callable[[], int]) -> None:
    port = free_port()
    folder = REPOSITORY / "var" / str(port)
    folder.parent.mkdir(exist_ok=True)
    folder.touch()
    try:
        done = local(port, "up")
    finally:
        folder.unlink()
    assert (done.returncode, done.stderr) == (1, f"local: [Errno 17] File exists: '{folder}'\n")


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_of_somebody_else_is_named_with_its_owner_and_what_to_do() -> None:
    with pytest.raises(PermissionError) as refused:
        lock(Layout(8080, Path("/usr/8080")))
    assert explained(refused.value).startswith("/usr belongs to root; go on as root, or take it over: sudo chown -R ")


@pytest.mark.usefixtures("unprivileged")
def test_a_file_in_a_folder_of_somebody_else_is_told_as_its_folder() -> None:
    with pytest.raises(PermissionError) as refused:
        Path("/etc/passwd").touch()
    assert explained(refused.value).startswith("/etc belongs to root; ")
