"""File systems of our own for the data of NATS and PostgreSQL: they can be full, and their power can be cut.

A cut is ext4's own shutdown without a flush (FS_IOC_SHUTDOWN): whatever no fsync and no write-back brought to the
device by then is gone, as is a torn journal's end; the next mount recovers as after a real one. Needs root and loop
devices.
"""

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_NEW_NAMESPACE: Final = 0x00020000
_SHUTDOWN: Final = 0x8004587D
_NO_FLUSH: Final = struct.pack("I", 2)
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 6 << 30


def may_mount() -> str:
    """Why no file system can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root, to mount a file system"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    return "" if Path("/dev/loop-control").exists() else "needs loop devices"


def seclude() -> None:
    """Mounts of this process and its children are theirs alone from now on: they end with the last of them."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace of our own")
    _run("mount", "--make-rprivate", "/")


class Disk:
    """One file system in a file, mounted at `folder`."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        within = _MEMORY if _MEMORY.exists() and shutil.disk_usage(_MEMORY).free > _ROOM else None
        handle, name = tempfile.mkstemp(prefix="todo-faults-", suffix=".img", dir=within)
        os.ftruncate(handle, megabytes << 20)
        os.close(handle)
        self._image = Path(name)
        _run("mkfs.ext4", "-q", "-m", "0", name)
        self._mount()

    def _mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop", str(self._image), str(self.folder))

    def mark(self, name: str, *, synced: bool) -> None:
        """Write a file; where it is not `synced`, a power cut takes it away."""
        with (self.folder / name).open("w") as file:
            file.write("x" * 8192)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        if synced:
            folder = os.open(self.folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)

    def has(self, name: str) -> bool:
        """Whether a file is there, whole."""
        path = self.folder / name
        return path.exists() and path.stat().st_size == 8192

    def cut(self) -> None:
        """Cut the power: nothing reaches the device from now on, also of what was written before."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _NO_FLUSH)
        finally:
            os.close(folder)

    def restore_power(self) -> None:
        """Mount again, which replays the journal; nobody may use the folder meanwhile."""
        _run("umount", str(self.folder))
        self._mount()

    def fill(self) -> int:
        """Take all the room there is; how many bytes that were."""
        taken = 0
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12):
                try:
                    while True:
                        taken += file.write(b"\0" * size)
                except OSError:
                    continue
        return taken

    @property
    def free(self) -> int:
        """Bytes that anybody may still write."""
        return shutil.disk_usage(self.folder).free

    def free_up(self) -> None:
        """Give the room back."""
        (self.folder / "filler").unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount, and take the file away."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
        self._image.unlink(missing_ok=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
