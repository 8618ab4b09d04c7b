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
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        os.environ |= {"LD_PRELOAD": str(library), "FLUSH_MICROSECONDS": str(round(milliseconds * 1000))}
        try:
            yield
        finally:
            del os.environ["LD_PRELOAD"], os.environ["FLUSH_MICROSECONDS"]
