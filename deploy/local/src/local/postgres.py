"""One embedded PostgreSQL cluster on a loopback port, with its own initdb and postgres command lines."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psutil

from local.account import postgres_account, postgres_programs
from local.child import Child, StartError, is_alive, last_lines, wait_until
from local.cluster import Cluster
from local.ports import assert_free, free_port

# C.UTF-8 also as the C library's ctype: with C, trigram search finds no Korean.
_INITDB = (
    "--username=postgres", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--lc-ctype=C.UTF-8",
)  # fmt: skip
_SETTINGS = (
    "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "log_line_prefix=%m %u@%d ",
)  # fmt: skip


class Postgres(Cluster):
    """A cluster whose files live in `folder`/data and whose log is `folder`/postgres.log; `start` makes them.

    Everything here is synchronous and shares no event loop. As root the server runs under an unprivileged account.
    """

    def __init__(self, folder: Path, port: int, password_of: Callable[[str], str], log: Path | None = None) -> None:
        """`password_of` gives the password of a role by its name, `postgres` among them (letters and digits)."""
        super().__init__(f"postgres://postgres:{password_of('postgres')}@127.0.0.1:{port}/postgres", password_of)
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = log or self.folder / "postgres.log"
        self.port = port
        self.child: Child | None = None
        self._account = postgres_account()
        self._programs = postgres_programs(self._account)

    def start(self) -> None:
        """Start and wait until connections are accepted; raises StartError."""
        if not self.data.exists():
            self._initialise()
        self._release()
        assert_free(self.port, "PostgreSQL")
        options = [part for setting in (f"port={self.port}", *_SETTINGS) for part in ("-c", setting)]
        with self.log.open("ab") as log:
            # SIGQUIT: stop at once, children too, and recover at the next start; a SIGKILL would leave children behind.
            self.child = Child(
                [self._programs / "postgres", "-D", self.data, *options],
                output=log, death=signal.SIGQUIT, clean=signal.SIGINT, account=self._account,
            )  # fmt: skip
        wait_until(self._ready, within=60, otherwise=lambda: f"PostgreSQL is not ready: {last_lines(self.log)}")

    def stop(self) -> None:
        """Stop cleanly: connections are ended, data is flushed."""
        if self.child:
            self.child.stop(within=2)

    def write_out(self, *, within: float) -> None:
        """Checkpoint now, so that little is left for the stop to write; after `within` seconds it stays undone."""
        with contextlib.suppress(StartError, subprocess.TimeoutExpired):
            if self.child and self.child.alive:
                self.sql("checkpoint", within=within)

    def kill(self) -> None:
        """SIGKILL the whole cluster."""
        self._running().kill()

    def pause(self) -> None:
        """SIGSTOP the whole cluster."""
        self._running().signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT the whole cluster."""
        self._running().signal_tree(signal.SIGCONT)

    def restart(self) -> None:
        """Stop cleanly and start."""
        self.stop()
        self.start()

    def _running(self) -> Child:
        if self.child is None:
            raise StartError("PostgreSQL was never started")
        return self.child

    def _ready(self) -> bool:
        child = self._running()
        if not child.alive:
            raise StartError(f"PostgreSQL ended at its start: {last_lines(self.log)}")
        lines = self._pid_file()  # perhaps still the one of an earlier run
        return lines[:1] == [str(child.process.pid)] and lines[7:8] == ["ready   "]

    def _pid_file(self) -> list[str]:
        """The lines of postmaster.pid: the first is the process, the eighth its status, padded."""
        with contextlib.suppress(FileNotFoundError):
            return (self.data / "postmaster.pid").read_text().split("\n")
        return []

    def _initialise(self) -> None:
        """Make the cluster in a draft: initdb writes PG_VERSION first, so the folder's name alone says it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob("draft-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.folder))
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password_of("postgres"))
        if self._account:
            for path in (self.folder, draft, secret):
                self._account.own(path)
        try:
            self._initdb(draft, secret)
        finally:
            secret.unlink()
        draft.rename(self.data)
        _flush(self.folder)

    def _initdb(self, folder: Path, secret: Path) -> None:
        command = [str(self._programs / "initdb"), *_INITDB, f"--pwfile={secret}", f"--pgdata={folder}"]
        child = Child(command, stdout=subprocess.DEVNULL, output=subprocess.PIPE, account=self._account)
        try:
            _, said = child.process.communicate()
        finally:
            child.kill()
        if child.process.returncode != 0:
            raise StartError(f"initdb failed: {said.decode(errors='replace').strip()}")

    def _release(self) -> None:
        """Wait for a postmaster of an earlier run that is still ending; drop a pid file that means nobody."""
        owner = self._owner()
        if owner is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        else:
            wait_until(
                lambda: not is_alive(owner),
                within=5,
                otherwise=lambda: f"{self.data} is in use by process {owner.pid}, another stack's; stop that one first",
            )

    def _owner(self) -> psutil.Process | None:
        """The process that the pid file names, if it is a PostgreSQL of this very folder."""
        with contextlib.suppress(psutil.Error, IndexError, ValueError):
            process = psutil.Process(int(self._pid_file()[0]))
            if process.name() == "postgres" and Path(process.cwd()) == self.data.resolve():
                return process
        return None


def _flush(folder: Path) -> None:
    """Bring a folder's names to the disk: after a power cut a cluster in use must not be found as a draft."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary(purpose: str) -> Iterator[Postgres]:
    """A cluster of one's own, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"todo-{purpose}-") as folder:
        postgres = Postgres(Path(folder), free_port(), cache(lambda _: secrets.token_hex(16)))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()
