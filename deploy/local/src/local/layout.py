"""Where everything of one local stack is: ports, folders, and the table of services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from events.catalog.feeds import guests_of
from local.child import StartError

# A service's port is PORT_BASE + this.
SERVICES: dict[str, int] = {"auth": 4, "todos": 5, "mailer": 6, "activity": 7, "notifier": 8}
REPOSITORY = Path(__file__).resolve().parents[4]
_GUESTS = 9  # the first guest's port is PORT_BASE + this
_MOST_GUESTS = 8


@dataclass(frozen=True)
class Layout:
    """A stack's ports (`port_base` is the gateway's, the next 19 are its too) and its folder, var/<port_base>.

    `guests` is the setting GUESTS: services that somebody else runs beside it, which the stack makes room for.
    """

    port_base: int
    folder: Path
    guests: str = ""

    @property
    def guests_hear(self) -> Mapping[str, tuple[str, ...]]:
        """The feeds of each guest."""
        return guests_of(self.guests)

    @property
    def gateway(self) -> str:
        """The URL that people use."""
        return f"http://127.0.0.1:{self.port_base}"

    @property
    def postgres_port(self) -> int:
        """Where PostgreSQL listens."""
        return self.port_base + 1

    @property
    def nats_port(self) -> int:
        """Where NATS listens; its monitor is one above."""
        return self.port_base + 2

    def service_port(self, service: str) -> int:
        """Where a service listens."""
        if service in SERVICES:
            return self.port_base + SERVICES[service]
        return self.port_base + _GUESTS + [*self.guests_hear].index(service)

    def service_url(self, service: str) -> str:
        """A service's own URL, past the gateway."""
        return f"http://127.0.0.1:{self.service_port(service)}"

    @property
    def ports(self) -> dict[int, str]:
        """Every port with the name of what listens there."""
        return {
            self.port_base: "gateway",
            self.postgres_port: "PostgreSQL",
            self.nats_port: "NATS",
            self.nats_port + 1: "NATS monitor",
            **{self.service_port(service): service for service in SERVICES},
        }

    @property
    def logs(self) -> Path:
        """One log file per part."""
        return self.folder / "logs"

    @property
    def mails(self) -> Path:
        """Every mail that was sent, as a file."""
        return self.folder / "mails"

    @property
    def seals(self) -> Path:
        """The seals of activity's archive."""
        return self.folder / "seals"

    @property
    def stack_file(self) -> Path:
        """URLs and credentials, for people and tests; private."""
        return self.folder / "stack.json"


def layout(environment: Mapping[str, str] = os.environ) -> Layout:
    """The layout that PORT_BASE (default 8080) and GUESTS ask for; raises StartError where it cannot be."""
    text = environment.get("PORT_BASE") or "8080"
    if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= 32748):
        raise StartError(
            f"PORT_BASE is {text!r}; it must be a number from 1024 to 32748, and the next 19 ports are used too"
        )
    where = Layout(int(text), REPOSITORY / "var" / text, environment.get("GUESTS", ""))
    try:
        guests = where.guests_hear
    except ValueError as error:
        raise StartError(f"GUESTS: {error}") from None
    if len(guests) > _MOST_GUESTS:
        raise StartError(f"GUESTS: there is room for {_MOST_GUESTS}")
    return where
