"""A stack seen from outside, as its users see it: for the demonstration and for the whole-system tests."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from local.child import Child, StartError
from local.cluster import READERS, Cluster
from local.folders import is_locked
from local.layout import SERVICES, Layout
from local.secret import Secrets, write_private

_READY = b"ready "
_STOPS_WITHIN = 20.0


class Stack:
    """A stack at its ports, whoever started it; `start` and `stop` are for one of our own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.gateway = layout.gateway
        self.child: Child | None = None
        self._reader: threading.Thread | None = None

    @property
    def is_up(self) -> bool:
        """Whether it runs and has told its URLs; what answers at its port may be another program."""
        return is_locked(self.layout) and self.layout.stack_file.exists()

    @property
    def details(self) -> dict[str, Any]:
        """URLs, passwords, folders and process ids; the ids change when a part is started again."""
        return cast("dict[str, Any]", msgspec.json.decode(self.layout.stack_file.read_bytes()))

    def mails_to(self, address: str) -> list[EmailMessage]:
        """Every mail to an address that the stack has kept, oldest first."""
        files = sorted(self.layout.mails.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        mails = (message_from_bytes(file.read_bytes(), policy=default) for file in files)
        return [mail for mail in mails if mail["To"] == address]

    def start(self, environment: Mapping[str, str], show: Callable[[bytes], object]) -> None:
        """Start it and wait until it is ready; `show` gets what it prints later (letters). Raises StartError."""
        with tempfile.TemporaryFile() as errors:
            self.child = Child(
                [sys.executable, "-m", "local", "up"],
                output=errors,
                stdout=subprocess.PIPE,
                death=signal.SIGTERM,
                env={**os.environ, **environment, "PORT_BASE": str(self.layout.port_base)},
            )
            output = cast("IO[bytes]", self.child.process.stdout)
            if not any(line.startswith(_READY) for line in output):
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise StartError(said[-2000:].removeprefix("local: "))
        self._reader = threading.Thread(target=_pass_on, args=(output, show), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Stop what `start` started."""
        if self.child is not None:
            self.child.stop(within=_STOPS_WITHIN)
        if self._reader is not None:
            self._reader.join()


def _pass_on(output: IO[bytes], show: Callable[[bytes], object]) -> None:
    with output:
        for line in output:
            show(line)


def write_details(
    layout: Layout,
    secrets: Secrets,
    postgres: Cluster,
    nats_url: Callable[[str], str],
    *,
    data: Path,
    pids: Mapping[str, int],
) -> None:
    """Write the stack file, as `Stack.details` reads it: what is up can be asked from then on."""
    roles = {role: role.removesuffix("_owner") for role in secrets.postgres if role != "postgres"}
    roles |= {reader: service for service, reader in READERS.items()}
    urls = {role: postgres.url(database, role) for role, database in roles.items()}
    stack = {
        "gateway": layout.gateway,
        "postgres": {"admin": postgres.admin_url, **urls},
        "nats": {user: nats_url(user) for user in secrets.nats},
        "guests": layout.guests,
        "nkeys": secrets.nkeys,
        "services": {name: layout.service_url(name) for name in SERVICES},
        "mails": str(layout.mails),
        "logs": str(layout.logs),
        "data": str(data),
        "pids": {"supervisor": os.getpid(), **pids},
    }
    write_private(layout.stack_file, msgspec.json.format(msgspec.json.encode(stack)))
