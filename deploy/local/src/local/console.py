"""What the person at the terminal sees, on stderr: the parts' log files as one log, and the supervisor's own words."""

import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_ROTATE_AT = 10 * 1024 * 1024


def say(text: str) -> None:
    """A line from the supervisor; a closed terminal does not stop the stack."""
    _write(f"{text}\n")


class Console:
    """Follows log files from where they end now. Parts write to files, so no slow terminal ever holds one up."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        """`logs` names the file of each part; one that has grown beyond 10 MB is put aside first."""
        coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        width = max(map(len, logs))
        self._files = []
        for number, (name, path) in enumerate(logs.items()):
            _rotate(path)
            prefix = f"{name:<{width}} | "
            colour = _COLOURS[number % len(_COLOURS)]
            self._files.append(_Follower(path, f"\033[{colour}m{prefix}\033[0m" if coloured else prefix))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    def start(self) -> None:
        """Begin to show lines."""
        self._thread.start()

    def stop(self) -> None:
        """Show what is left, and end; a console that was not started yet has nothing to show."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self._show()
        self._show()

    def _show(self) -> None:
        for file in self._files:
            file.show()


class _Follower:
    def __init__(self, path: Path, prefix: str) -> None:
        path.touch(mode=0o600)
        self._prefix = prefix
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def show(self) -> None:
        """Print the lines that are complete by now."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        if lines:
            _write("".join(f"{self._prefix}{line.decode(errors='replace')}\n" for line in lines))


def _rotate(path: Path) -> None:
    if path.exists() and path.stat().st_size > _ROTATE_AT:
        path.replace(path.with_suffix(".log.1"))


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
