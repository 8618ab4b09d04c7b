"""Child processes that never outlive this one, however it dies."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import psutil

from local.account import Account

_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it; elsewhere a kill -9 may leave orphans


class StartError(Exception):
    """A part of the stack did not start; the message says why and what to do next."""


class Child:
    """A child process in a session of its own (so a Ctrl-C reaches this process alone).

    `death` is the signal it gets when this process dies, `clean` the one that asks for a clean stop. The kernel sends
    the first when the *thread* that forked ends, so children are started from the main thread.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        output: int | IO[bytes],
        stdout: int | IO[bytes] | None = None,
        death: signal.Signals = signal.SIGKILL,
        clean: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start `args`; both outputs go to `output`, or stdout to `stdout` where that is given."""
        self._clean = clean
        self._asked = False
        self.process = subprocess.Popen(
            [str(arg) for arg in args],
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env=None if env is None else dict(env),
            cwd="/" if account else None,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=partial(_die_with_parent, death, os.getpid()),  # noqa: PLW1509 - runs after the change of uid, which would clear it
        )

    @property
    def alive(self) -> bool:
        """Whether the process runs (a stopped one does)."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it is gone."""
        if self.alive:
            self.process.send_signal(number)

    def signal_tree(self, number: signal.Signals) -> None:
        """Send a signal to the process and all its descendants; the process first, so that it makes no new ones."""
        if not self.alive:
            return
        self.send(signal.SIGSTOP)
        for member in _descendants(self.process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        self.send(number)
        if number not in (signal.SIGSTOP, signal.SIGKILL):
            self.send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL the process and all its descendants, and wait until they are gone."""
        members = _descendants(self.process.pid) if self.alive else []
        self.signal_tree(signal.SIGKILL)
        self.process.wait(timeout=10)
        wait_until(lambda: not any(map(is_alive, members)), within=10, otherwise=lambda: f"{members} outlive SIGKILL")

    def ask_to_stop(self) -> None:
        """Send the signal that means a clean stop, once; `stop` then waits. Several can so stop at the same time."""
        if not self._asked:
            self._asked = True
            self.send(signal.SIGCONT)
            self.send(self._clean)

    def stop(self, *, within: float = 5.0) -> None:
        """Ask the process to stop; after `within` seconds kill it and its descendants."""
        self.ask_to_stop()
        try:
            self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a dead one that nobody has reaped yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _die_with_parent(death: signal.Signals, parent: int) -> None:
    """In the child: ask the kernel for a signal when the parent dies; exit where that has happened already."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(death))
    if os.getppid() != parent:
        os._exit(1)


def wait_until(
    condition: Callable[[], bool], *, within: float, otherwise: Callable[[], str], every: float = 0.01
) -> None:
    """Poll `condition` until it is true; after `within` seconds raise StartError with the text of `otherwise`."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(otherwise())
        time.sleep(every)


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines of a log file, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ""


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
