"""The parts of a stack behind one face: start, health, stop."""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from local.child import Child
from local.nats import program


class Part(Protocol):
    """What the supervisor starts, and whose child it watches and stops; PostgreSQL and NATS are parts too."""

    child: Child | None

    def start(self) -> None:
        """Start; raises StartError."""


class Program:
    """A part that is one program: a service or the gateway. `start` does not wait until it is ready."""

    def __init__(
        self, args: list[str | Path], *, log: Path, env: Mapping[str, str] | None = None, shows_mail: bool = False
    ) -> None:
        """`shows_mail` passes its stdout through to ours, as it is: a code must be in no log file."""
        self.child: Child | None = None
        self._args = args
        self._log = log
        self._env = env
        self._shows_mail = shows_mail

    def start(self) -> None:
        """Start the program."""
        with self._log.open("ab") as log:
            stdout = sys.stdout.fileno() if self._shows_mail else None
            self.child = Child(self._args, output=log, stdout=stdout, env=self._env)

    def stop(self) -> None:
        """Stop cleanly."""
        if self.child:
            self.child.stop()


def service(name: str, *, log: Path, env: Mapping[str, str]) -> Program:
    """A service with both roles in one process."""
    return Program([sys.executable, "-m", name], log=log, env=env, shows_mail=name == "mailer")


def gateway(configuration: Path, *, log: Path) -> Program:
    """Caddy with a configuration file."""
    return Program([program("caddy"), "run", "--adapter", "caddyfile", "--config", configuration], log=log)


def status(port: int, path: str) -> int:
    """The HTTP status that `path` answers with on a loopback port; 0 when nothing answers within a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
