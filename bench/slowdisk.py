"""A disk whose flushes take longer, where the machine's own is fast: a library that is loaded before the C library."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.child import StartError

_SOURCE: Final = Path(__file__).with_name("slowdisk.c")
_WAIT: Final = "FLUSH_MICROSECONDS"


@contextmanager
def flushes_take(milliseconds: float) -> Iterator[None]:
    """Every flush of a program that is started meanwhile takes so many milliseconds more; 0 changes nothing.

    Raises `StartError` where there is no C compiler.
    """
    if not milliseconds:
        yield
        return
    compiler = shutil.which("cc")
    if compiler is None:
        raise StartError("a slow disk needs a C compiler (`cc`) on the PATH: install one, or leave --flush out")
    with tempfile.TemporaryDirectory(prefix="bench-slow-disk-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        library = Path(folder, "slowdisk.so")
        if subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=False).returncode:
            raise StartError(f"a slow disk needs a C compiler that makes a shared library: {compiler} did not")
        library.chmod(0o755)
        os.environ |= {"LD_PRELOAD": str(library), _WAIT: str(round(milliseconds * 1000))}
        try:
            yield
        finally:
            del os.environ["LD_PRELOAD"], os.environ[_WAIT]


def longer() -> float:
    """How many milliseconds longer flushes are to take now."""
    return int(os.environ.get(_WAIT, "0")) / 1000


def is_slow(pid: int) -> bool:
    """Whether a process has that library: what may not read it goes on without, and says so in its log alone."""
    return "slowdisk.so" in Path(f"/proc/{pid}/maps").read_text()
