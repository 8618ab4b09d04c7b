"""Seconds of the processors that PostgreSQL takes: in all, and for who is connected as one role to one database."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from bench.held import held, tree


class Server:
    """The PostgreSQL whose files are in a folder. A connection has a process there, whose title says whose it is."""

    def __init__(self, data: Path) -> None:
        self._process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))

    def in_all(self) -> float:
        """What the server took since it began."""
        return held(tree(self._process.pid)).cpu

    def of(self, role: str, database: str) -> Mapping[int, float]:
        """What each open connection took since it began, by its process."""
        title = f"postgres: {role} {database} "
        found = {}
        for process in self._process.children():
            with suppress(psutil.NoSuchProcess):
                if " ".join(process.cmdline()).startswith(title):
                    times = process.cpu_times()
                    found[process.pid] = times.user + times.system
        return found


def taken(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """What connections took between two looks; one that was closed meanwhile was idle for minutes before."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
