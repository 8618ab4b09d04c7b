"""The stack's folders, and the lock that keeps a second stack out of them."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from local.account import postgres_account
from local.child import StartError
from local.layout import Layout


def lock(layout: Layout) -> IO[str]:
    """Take the stack's folder for this process; the kernel frees it when the process ends, however it ends."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    file = (layout.folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "unknown"
        raise StartError(
            f"this stack runs already (process {holder}, {layout.gateway}); stop it, or choose another PORT_BASE"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_locked(layout: Layout) -> bool:
    """Whether a stack runs in this folder now, started or still starting."""
    with contextlib.suppress(FileNotFoundError), (layout.folder / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def explained(error: OSError) -> str:
    """What the system refused, for a person; what belongs to somebody else is named with what to do about it."""
    if not isinstance(error, PermissionError) or error.filename is None:
        return str(error)
    path = Path(error.filename)
    for place in (path.parent, path):  # the folder first: the rest of it would be refused too
        if owner := _other_owner(place):
            take = f"sudo chown -R {os.geteuid()} {place}"
            return f"{place} belongs to {owner}; go on as {owner}, or take it over: {take}"
    return str(error)


def _other_owner(path: Path) -> str | None:
    """Who owns a path that is there, unless that is who asks."""
    with contextlib.suppress(OSError, KeyError):
        if path.stat().st_uid != os.geteuid():
            return path.owner()
    return None


def data_folder(layout: Layout) -> Path:
    """The folder that PostgreSQL and NATS keep their data in.

    As root PostgreSQL runs under another account; where that cannot reach the stack's folder, the data is in a private
    folder below the system's temporary one, and the stack's folder links there.
    """
    for folder in (layout.folder, layout.logs, layout.mails, layout.seals):
        folder.mkdir(parents=True, exist_ok=True)
    layout.mails.chmod(0o700)
    layout.logs.chmod(0o700)
    data = layout.folder / "data"
    account = postgres_account()
    if account and not data.exists() and not account.can_reach(layout.folder):
        data.unlink(missing_ok=True)  # a link to what a clean-up of the temporary folder took away
        elsewhere = Path(tempfile.mkdtemp(prefix=f"todo-{layout.port_base}-"))
        elsewhere.chmod(0o711)
        data.symlink_to(elsewhere)
    data.mkdir(exist_ok=True)
    return data.resolve()
