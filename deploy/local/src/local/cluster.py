"""Databases and roles of a PostgreSQL cluster, ours or anybody's: one database and two roles per service, or three."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from local.account import postgres_programs
from local.child import StartError

READERS = {"activity": "analyst"}
"""Who else reads in a service's database, as its migrations allow."""


class Cluster:
    """A running PostgreSQL cluster that its administrator's URL opens."""

    def __init__(self, admin_url: str, password_of: Callable[[str], str]) -> None:
        """`password_of` gives the password of a role by its name."""
        self.admin_url = admin_url
        self._password_of = password_of

    def url(self, database: str, role: str) -> str:
        """The URL of a database for one of its roles, `postgres` being the administrator whatever its name."""
        parts = urlsplit(self.admin_url)
        if role == "postgres":
            return parts._replace(path=f"/{database}").geturl()
        return f"postgres://{role}:{self._password_of(role)}@{parts.hostname}:{parts.port or 5432}/{database}"

    def create_database(self, name: str, *, service: str | None = None, template: str = "template1") -> None:
        """Create database `name` with the roles `<service>_owner` (owns it, migrates) and `<service>` (serves).

        What is there already stays; passwords and time limits of the roles are set anew. `service` defaults to `name`.
        A service that others read from gets its reader, too.
        """
        self.sql(creation(name, self._password_of, service=service or name, template=template))

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        self.sql(_query("drop_database"), name=name)

    def sql(self, statements: str, *, within: float | None = None, **variables: str) -> str:
        """Run statements as the administrator with psql, which quotes the variables; returns unaligned rows.

        Raises StartError, and TimeoutExpired where they take longer than `within` seconds.
        """
        command = [str(psql_program()), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(
            command,
            input=_filled(statements, variables),
            env=connection_environment(self.admin_url),
            text=True,
            capture_output=True,
            check=False,
            timeout=within,
        )
        if done.returncode != 0:
            raise StartError(done.stderr.strip())
        return done.stdout


def creation(name: str, password_of: Callable[[str], str], *, service: str, template: str = "template1") -> str:
    """What psql is given, as the administrator, for `Cluster.create_database`."""
    owner = f"{service}_owner"
    statements = _query("create_database")
    variables = {"name": name, "owner": owner, "runtime": service, "template": template}
    variables |= {"owner_password": password_of(owner), "runtime_password": password_of(service)}
    if reader := READERS.get(service):
        statements += _query("create_reader")
        variables |= {"reader": reader, "reader_password": password_of(reader)}
    return _filled(statements, variables)


def connection_environment(url: str) -> dict[str, str]:
    """A connection as psql's variables: on its command line other users could read the password."""
    parts = urlsplit(url)
    return os.environ | {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/") or "postgres",
        "PGCONNECT_TIMEOUT": "5",
    }


def _query(name: str) -> str:
    return files("local").joinpath("sql", f"{name}.sql").read_text()


def _filled(statements: str, variables: Mapping[str, str]) -> str:
    return "".join(f"\\set {name} '{_plain(value)}'\n" for name, value in variables.items()) + statements


def _plain(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", value):
        raise ValueError("names and passwords may hold only letters, digits, '_', '.' and '-'")
    return value


def psql_program() -> Path:
    """The psql that came with the cluster."""
    return postgres_programs(None) / "psql"
