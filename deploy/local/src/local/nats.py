"""A NATS server with JetStream in a folder of its own, alone or as one of a cluster."""

import json
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from local.child import Child, StartError, last_lines, wait_until
from local.ports import assert_free


@dataclass(frozen=True)
class Route:
    """A server's place in a cluster: its own cluster port and those of all its peers."""

    name: str
    port: int
    peers: Sequence[int]


class Nats:
    """A nats-server; its configuration, log and `store` live in `folder`. Synchronous: it shares no event loop."""

    def __init__(
        self,
        folder: Path,
        port: int,
        permissions: Mapping[str, Mapping[str, Any] | None],
        password_of: Callable[[str], str],
        *,
        nkeys: Mapping[str, Sequence[str]] | None = None,
        tls: Mapping[str, str] | None = None,
        monitor_port: int | None = None,
        sync_interval: str = "2m",
        route: Route | None = None,
        log: Path | None = None,
    ) -> None:
        """`permissions` maps each user to its rights (None: all), `nkeys` some of them to their public keys.

        `password_of` gives a user's password, empty where an nkey alone lets it in. `tls` is the server's block of that
        name. `sync_interval` is how often the store is flushed.
        """
        self.folder = folder.absolute()
        self.store = self.folder / "store"
        self.name = route.name if route else "local"
        self.log = log or self.folder / "nats.log"
        self.port = port
        self.monitor_port = monitor_port
        self.sync_interval = sync_interval
        self.child: Child | None = None
        self.nkeys = nkeys or {}
        self._tls = tls
        self._permissions = permissions
        self._password_of = password_of
        self._route = route

    def url(self, user: str = "admin") -> str:
        """The URL of the server for one of its users; who has an nkey proves itself by that."""
        login = user if user in self.nkeys else f"{user}:{self._password_of(user)}"
        return f"{'tls' if self._tls else 'nats'}://{login}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until clients are accepted; raises StartError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self._write_configuration()
        assert_free(self.port, "NATS")
        with self.log.open("ab") as log:
            self.child = Child([server_program(), "-c", configuration], output=log)
        wait_until(self._ready, within=30, otherwise=lambda: f"NATS is not ready: {last_lines(self.log)}")

    def reload(self) -> None:
        """Have it read its configuration anew: it cuts off whoever may no longer be there, and nobody else."""
        self._write_configuration()
        self._running().send(signal.SIGHUP)

    def stop(self) -> None:
        """Stop cleanly."""
        if self.child:
            self.child.stop(within=2)

    def kill(self) -> None:
        """SIGKILL the server."""
        self._running().kill()

    def pause(self) -> None:
        """SIGSTOP the server, and see it stand still: its connections stay open and silent."""
        server = self._running()
        server.send(signal.SIGSTOP)
        process = psutil.Process(server.process.pid)
        wait_until(  # the signal is only delivered when `send` returns: a request sent at once may still be answered
            lambda: process.status() == psutil.STATUS_STOPPED, within=1, otherwise=lambda: "the server does not stop"
        )

    def resume(self) -> None:
        """SIGCONT the server."""
        self._running().send(signal.SIGCONT)

    def restart(self) -> None:
        """Stop cleanly and start on the same port and store."""
        self.stop()
        self.start()

    def _running(self) -> Child:
        if self.child is None:
            raise StartError("NATS was never started")
        return self.child

    def _ready(self) -> bool:
        """The server greets with an INFO line once it serves clients."""
        if not self._running().alive:
            raise StartError(f"NATS ended at its start: {last_lines(self.log)}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def _write_configuration(self) -> Path:
        configuration = self.folder / "nats.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps(self.configuration(), indent=2))
        return configuration

    def configuration(self) -> dict[str, Any]:
        """The server's configuration; the format is a superset of JSON."""
        configuration: dict[str, Any] = {
            "server_name": self.name,
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": {"store_dir": str(self.store), "sync_interval": self.sync_interval},
            "authorization": {"users": [user for item in self._permissions.items() for user in self._logins(*item)]},
        }
        if self._tls:
            configuration["tls"] = dict(self._tls)
        if self.monitor_port:
            configuration["http"] = f"127.0.0.1:{self.monitor_port}"
        if self._route:
            configuration["cluster"] = {
                "name": "local",
                "listen": f"127.0.0.1:{self._route.port}",
                "routes": [f"nats://127.0.0.1:{port}" for port in self._route.peers],
            }
        return configuration

    def contained(self) -> str:
        """The configuration for a server in a container, with its store mounted at /data."""
        inside = {"listen": f"0.0.0.0:{self.port}", "jetstream": {"store_dir": "/data"}}
        return json.dumps(self.configuration() | inside, indent=2)

    def _logins(self, name: str, permissions: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Each way in that a user has, all with the same rights."""
        rights = {} if permissions is None else {"permissions": permissions}
        for key in self.nkeys.get(name, ()):
            yield {"nkey": key, **rights}
        if password := self._password_of(name):
            yield {"user": name, "password": password, **rights}


def server_program() -> Path:
    """The nats-server that its wheel put beside this interpreter, else one on the PATH."""
    return program("nats-server")


def program(name: str) -> Path:
    """A program that a wheel put beside this interpreter, else one on the PATH; raises StartError."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StartError(f"{name} is not installed; ./run installs it")
    return Path(found)
