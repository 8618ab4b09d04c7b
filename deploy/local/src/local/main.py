"""The commands of the local stack: `up` runs it, `demo` walks through it, `psql`, `as` and `grant` ask parts of it."""

import argparse
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol, cast

import msgspec

from local.child import StartError
from local.cluster import READERS, connection_environment, psql_program
from local.compose import Compose
from local.console import say
from local.environment import service_environment
from local.folders import explained, lock
from local.layout import SERVICES, Layout, layout
from local.secret import load_or_make
from local.supervisor import Supervisor, greet


class Running(Protocol):
    """A whole stack: the processes of the supervisor, or containers."""

    leaving: bool
    """Whether it was asked to stop."""

    def start(self) -> None:
        """Return when all is healthy; raises StartError."""

    def watch(self) -> None:
        """See to it until interrupted."""

    def stop(self) -> None:
        """Stop it, whatever was started of it."""


def main() -> None:
    """Run the command that the arguments name."""
    arguments, rest = _read(sys.argv[1:])
    try:
        _obey(arguments, rest)
    except StartError as error:
        say(f"local: {error}")
        sys.exit(1)
    except OSError as error:
        say(f"local: {explained(error)}")
        sys.exit(1)


def _obey(arguments: argparse.Namespace, rest: list[str]) -> None:
    match arguments.command:
        case "up" | "compose":
            up(in_containers=arguments.command == "compose")
        case "demo":
            from local.demo import demo  # noqa: PLC0415 - its HTTP client would cost every other command 0.3 s

            demo(layout())
        case "psql":
            open_psql(arguments.service, arguments.role, rest)
        case "report":
            ask("activity", "report", *rest)
        case "ops":
            operate(*rest)
        case "as":
            become(arguments.role, arguments.program, *arguments.words)
        case command:
            ask("auth", command, *arguments.for_auth(arguments))


def _read(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and what psql or a service shall get."""
    parser = argparse.ArgumentParser(prog="local", description="The local stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run everything until Ctrl-C")
    commands.add_parser("compose", help="run everything in containers until Ctrl-C")
    commands.add_parser("demo", help="walk the whole path, in a stack of its own unless one is up")
    psql = commands.add_parser("psql", help="open a service's database", allow_abbrev=False)
    psql.add_argument("service")
    psql.add_argument("--as", dest="role", choices=("owner", *READERS.values()), default="owner", help="as its owner")
    commands.add_parser("report", help="write figures as a page with charts", add_help=False, allow_abbrev=False)
    commands.add_parser("ops", help="run todo-ops on this stack", add_help=False, allow_abbrev=False)
    other = commands.add_parser("as", help="run a program with the environment of a service", allow_abbrev=False)
    other.add_argument("role", help="a service, or <service>_owner: its database's owner and NATS' administrator")
    other.add_argument("program")
    other.add_argument("words", nargs=argparse.REMAINDER)
    for verb in ("grant", "revoke"):
        role = commands.add_parser(verb, help=f"{verb} a role")
        role.add_argument("email")
        role.add_argument("role")
        role.set_defaults(for_auth=lambda given: [given.email, given.role])
    rotate = commands.add_parser("rotate-keys", help="rotate the keys that sign access tokens")
    rotate.add_argument("--now", action="store_true", help="revoke all others at once")
    rotate.set_defaults(for_auth=lambda given: ["--now"] if given.now else [])
    arguments, rest = parser.parse_known_args(words)
    if rest and arguments.command not in {"psql", "report", "ops"}:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.command == "psql" and arguments.role not in {"owner", READERS.get(arguments.service)}:
        parser.error(f"{arguments.service} has no {arguments.role}")
    return arguments, rest


def up(*, in_containers: bool = False) -> None:
    """Run the stack until SIGINT or SIGTERM; raises StartError."""
    where = layout()
    if in_containers and where.guests:
        raise StartError("GUESTS: the stack in containers has no room for any; ./run up has")
    with lock(where):
        running: Running = Compose(where) if in_containers else Supervisor(where)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts its background jobs with SIGINT ignored
            signal.signal(number, partial(_interrupt, running))
        try:
            running.start()
            greet(where)
            running.watch()
        except KeyboardInterrupt:
            say("local: stopping")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            running.stop()
    say("local: stopped")


def open_psql(service: str, role: str, options: list[str]) -> NoReturn:
    """Become psql in a service's database as `owner` or its reader; raises StartError where no stack was started."""
    urls = _stack_of(layout())["postgres"]
    program = str(psql_program())
    url = urls.get(f"{service}_owner" if role == "owner" else role)
    if url is None:
        raise StartError(f"this stack has no {service}")
    os.execve(program, [program, *options], connection_environment(url))  # noqa: S606


def ask(service: str, *arguments: str) -> NoReturn:
    """Become a service with an operator's command, as the stack's own would run it; raises StartError."""
    where = layout()
    stack = _stack_of(where)
    urls = {"DATABASE_URL": stack["postgres"][service], "NATS_URL": stack["nats"][service]}
    environment = service_environment(service, where, load_or_make(where.folder / "secrets.json"), urls)
    os.execve(sys.executable, [sys.executable, "-m", service, *arguments], environment)  # noqa: S606


def operate(*arguments: str) -> NoReturn:
    """Become todo-ops, pointed at this stack; raises StartError.

    What writes into a log is done as its owner; what asks a service for more than its database, with its environment.
    """
    where = layout()
    stack = _stack_of(where)
    role = "_owner" if arguments[:2] == ("relay", "resolve") else ""
    services = (*SERVICES, *replace(where, guests=stack["guests"]).guests_hear)
    urls = ",".join(f"{service}={stack['postgres'][service + role]}" for service in services)
    pointed = {"DATABASE_URLS": urls, "NATS_URL": stack["nats"]["admin"], "GUESTS": stack["guests"]}
    pointed["NATS_NKEY_SEED"] = ""
    environment = os.environ | pointed
    if service := {"keys": "auth", "verify": "activity"}.get(arguments[0] if arguments else ""):
        environment = service_environment(service, where, load_or_make(where.folder / "secrets.json"), pointed)
    os.execve(sys.executable, [sys.executable, "-m", "ops", *arguments], environment)  # noqa: S606


def become(role: str, program: str, *words: str) -> NoReturn:
    """Become a program with the environment that the stack gives a service or guest, or the owner of its database.

    Programs of this installation are found first. Raises StartError.
    """
    where = layout()
    stack = _stack_of(where)
    where = replace(where, guests=stack["guests"])
    service = role.removesuffix("_owner")
    if service not in (here := (*SERVICES, *where.guests_hear)):
        raise StartError(f"this stack has no {service}; it has {', '.join(here)}")
    user = service if role == service else "admin"  # who has a password, and no key
    urls = {"DATABASE_URL": stack["postgres"][role], "NATS_URL": stack["nats"][user]}
    environment = service_environment(service, where, load_or_make(where.folder / "secrets.json"), urls)
    if user == "admin":
        del environment["NATS_NKEY_SEED"]
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}"
    try:
        os.execvpe(program, [program, *words], environment)  # noqa: S606
    except FileNotFoundError:
        raise StartError(f"there is no program {program}") from None


def _stack_of(where: Layout) -> dict[str, Any]:
    """What the stack says about itself; raises StartError where none was started."""
    if not where.stack_file.exists():
        raise StartError("no stack was started here yet; ./run up starts one")
    return cast("dict[str, Any]", msgspec.json.decode(where.stack_file.read_bytes()))


def _interrupt(running: Running, _number: int, _frame: FrameType | None) -> None:
    running.leaving = True  # the exception alone would be ignored where it meets a hook of a fork
    raise KeyboardInterrupt
