"""The stack in containers: writes what deploy/compose.yaml mounts, has Compose start it, and stops it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.child import StartError
from local.cluster import Cluster, creation
from local.console import say
from local.environment import service_environment
from local.gateway import assets, caddyfile
from local.layout import REPOSITORY, SERVICES, Layout
from local.nats import Nats
from local.permissions import stack_permissions
from local.secret import Secrets, load_or_make, write_private
from local.stack import write_details

_NOBODY = 10001
"""Who services run as where the caller is root: the user of the images."""


@dataclass(frozen=True)
class Inside(Layout):
    """The same stack as its containers see it: hosts by their names, folders where they are mounted."""

    def service_port(self, service: str) -> int:  # noqa: ARG002 - each has a host of its own
        """Where a service listens."""
        return 8080

    def service_url(self, service: str) -> str:
        """A service's own URL."""
        return f"http://{service}:{self.service_port(service)}"

    @property
    def mails(self) -> Path:
        """Where mailer keeps its letters."""
        return Path("/mails")

    @property
    def seals(self) -> Path:
        """Where activity keeps its seals."""
        return Path("/seals")


class Compose:
    """One stack in containers; everything is synchronous. Data outlives it in the engine's volumes."""

    def __init__(self, layout: Layout) -> None:
        """Nothing is started yet; folders, secrets and the files of the containers are made."""
        self.layout = layout
        self.leaving = False
        self.folder = layout.folder / "compose"
        self._secrets = load_or_make(layout.folder / "secrets.json")
        self._program = _program()
        owner = (os.getuid(), os.getgid()) if os.getuid() else (_NOBODY, _NOBODY)
        for folder in (self.folder, layout.logs, layout.mails, layout.seals):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        for folder in (layout.mails, layout.seals):
            os.chown(folder, *owner)
        for name, text in files(layout, self._secrets).items():
            write_private(self.folder / name, text.encode())
        self._environment = os.environ | {
            "PORT_BASE": str(layout.port_base),
            "POSTGRES_PORT": str(layout.postgres_port),
            "NATS_PORT": str(layout.nats_port),
            "TODO_FOLDER": str(self.folder),
            "TODO_USER": "{}:{}".format(*owner),
            "PICTURES": str(assets()),
        }

    def start(self) -> None:
        """Start everything in order and wait until all is healthy; raises StartError."""
        self.layout.stack_file.unlink(missing_ok=True)
        self._run("up", "--detach", "--wait", "--remove-orphans")
        passwords = self._secrets.postgres
        admin = f"postgres://postgres:{passwords['postgres']}@127.0.0.1:{self.layout.postgres_port}/postgres"
        postgres = Cluster(admin, passwords.__getitem__)
        write_details(self.layout, self._secrets, postgres, self._nats_url, data=self.folder, pids={})

    def watch(self) -> None:
        """Show what the containers say, until interrupted."""
        subprocess.run(self._command("logs", "--follow", "--tail", "0"), env=self._environment, check=False)

    def stop(self) -> None:
        """Stop and remove the containers, not the data; raises StartError."""
        self._run("down")

    def _nats_url(self, user: str) -> str:
        return f"nats://{self._secrets.nats_login(user)}@127.0.0.1:{self.layout.nats_port}"

    def _run(self, *arguments: str) -> None:
        command = self._command("--progress", "quiet", *arguments)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            say(done.stderr.strip())
            raise StartError(
                f"compose {arguments[0]} failed, see above; a container's own words: "
                f"{' '.join(self._program)} -p todo-{self.layout.port_base} logs"
            )

    def _command(self, *arguments: str) -> list[str]:
        return [*self._program, "--file", str(REPOSITORY / "deploy" / "compose.yaml"), *arguments]


def files(layout: Layout, secrets: Secrets) -> dict[str, str]:
    """What the containers find, by file name: environments, configurations, and statements that make databases."""
    inside = Inside(layout.port_base, Path("/data"))
    postgres = Cluster(
        f"postgres://postgres:{secrets.postgres['postgres']}@postgres/postgres", secrets.postgres.__getitem__
    )
    nats = Nats(
        Path("/data"), 4222, stack_permissions(), secrets.nats_password, nkeys=secrets.public_nkeys, monitor_port=8222
    )
    texts = {
        "postgres": secrets.postgres["postgres"],
        "pgpass": f"*:*:*:postgres:{secrets.postgres['postgres']}\n",
        "databases.sql": "".join(
            f"\\connect postgres\n{creation(name, secrets.postgres.__getitem__, service=name)}" for name in SERVICES
        ),
        "nats.conf": nats.contained(),
        "Caddyfile": caddyfile(inside, bind="0.0.0.0", docs=Path("/srv/docs"), pictures=Path("/srv/pictures")),  # noqa: S104 - in its container
    }
    for service in SERVICES:
        serving = {"DATABASE_URL": postgres.url(service, service), "NATS_URL": _nats_url(secrets, service)}
        owning = {"DATABASE_URL": postgres.url(service, f"{service}_owner"), "NATS_URL": _nats_url(secrets, "admin")}
        owning["APP_ENV"] = "development"  # the network between the containers is this machine's
        environment = service_environment(service, inside, secrets, serving, caller={}) | {"HOST": "0.0.0.0"}  # noqa: S104 - as above
        texts[f"{service}.env"] = _lines(environment)
        texts[f"{service}-owner.env"] = _lines(owning)
    return texts


def _nats_url(secrets: Secrets, user: str) -> str:
    return f"nats://{secrets.nats_login(user)}@nats:4222"


def _lines(environment: Mapping[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in environment.items())


def _program() -> list[str]:
    """Docker's own Compose, else one beside this interpreter or on the PATH; raises StartError."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    beside = str(Path(sys.executable).parent)
    if found := shutil.which("docker-compose", path=os.pathsep.join((beside, os.environ.get("PATH", "")))):
        return [found]
    raise StartError("Docker's Compose is not installed: install its plugin, or docker-compose")
