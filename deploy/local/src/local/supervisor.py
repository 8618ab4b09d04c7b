"""The supervisor: starts everything in order, restarts what dies, stops it cleanly."""

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from local import parts
from local.child import Child, StartError, last_lines, wait_until
from local.console import Console, say
from local.environment import as_services_see_it, service_environment
from local.folders import data_folder
from local.gateway import caddyfile
from local.layout import SERVICES, Layout
from local.nats import Nats
from local.permissions import stack_permissions
from local.ports import assert_free
from local.postgres import Postgres
from local.prepare import prepare
from local.secret import Secrets, load_or_make
from local.stack import write_details

_READY_WITHIN = 60.0
_BACK_OFF_MAX = 10.0
# Counted from the beginning of the stop, whose whole is promised in under ten seconds. Services drain for up to 6.5 s.
_GATEWAY_STOPS_WITHIN = 2.5
_SERVICES_STOP_WITHIN = 7.5
_STOPS_WITHIN = 9.0


class Supervisor:
    """One stack. `start` returns when all is healthy, `watch` never does, `stop` may be called at any time."""

    def __init__(self, layout: Layout) -> None:
        """Nothing is started or bound yet; folders and secrets are made."""
        self.layout = layout
        self.leaving = False
        self.secrets = load_or_make(layout.folder / "secrets.json", layout.guests_hear)
        data = data_folder(layout)
        self.postgres = Postgres(
            data / "postgres", layout.postgres_port, self.secrets.postgres.__getitem__, log=self._log("postgres")
        )
        self.nats = nats_of(
            self.secrets, data / "nats", layout.nats_port, log=self._log("nats"), guests=layout.guests_hear
        )
        configuration = layout.folder / "Caddyfile"
        configuration.write_text(caddyfile(layout))
        self.services = {
            name: parts.service(name, log=self._log(name), env=self._environment(name)) for name in SERVICES
        }
        self.gateway = parts.gateway(configuration, log=self._log("gateway"))
        self.parts: dict[str, parts.Part] = {
            "postgres": self.postgres, "nats": self.nats, **self.services, "gateway": self.gateway,
        }  # fmt: skip
        self.console = Console({name: self._log(name) for name in self.parts})
        self._restarts = {name: _BackOff() for name in self.parts}

    def start(self) -> None:
        """Start in order and wait until every service is ready and the gateway answers; raises StartError."""
        self.layout.stack_file.unlink(missing_ok=True)  # an earlier run's: its process ids are not ours
        for port, purpose in self.layout.ports.items():
            assert_free(port, purpose)
        self.console.start()
        self.postgres.start()
        self.nats.start()
        for service in (*SERVICES, *self.layout.guests_hear):
            self.postgres.create_database(service)
        asyncio.run(prepare(list(SERVICES), lambda name: self.postgres.url(name, f"{name}_owner"), self.nats.url()))
        for part in (*self.services.values(), self.gateway):
            part.start()
        self._write_stack_file()
        for name in SERVICES:
            self._wait_ready(name, self.layout.service_port(name), "/healthz/ready", {200})
        self._wait_ready("gateway", self.layout.port_base, "/", {404})

    def watch(self) -> None:
        """Restart what dies, each time later, until interrupted or `leaving`."""
        while not self.leaving:
            time.sleep(0.1)
            for name, part in self.parts.items():
                if part.child and not part.child.alive and self._restarts[name].is_due():
                    self._restart(name, part)

    def stop(self) -> None:
        """Stop in the reverse order: the gateway, all services at the same time, then NATS and PostgreSQL."""
        begun = time.monotonic()
        _stop([self.gateway], by=begun + _GATEWAY_STOPS_WITHIN)  # first: a service that is asked accepts nobody
        _ask_to_stop(self.services.values())
        self.postgres.write_out(within=_SERVICES_STOP_WITHIN / 3)  # meanwhile: a busy disk is slow
        _stop(self.services.values(), by=begun + _SERVICES_STOP_WITHIN)
        _stop([self.nats, self.postgres], by=begun + _STOPS_WITHIN)
        self.console.stop()

    def _restart(self, name: str, part: parts.Part) -> None:
        code = part.child.process.returncode if part.child else None
        say(f"local: {name} ended ({code}), starting it again")
        try:
            part.start()
            self._write_stack_file()
        except StartError as error:
            say(f"local: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts stay and this one is tried again
            say(f"local: {name} cannot start: {type(error).__name__}: {error}")

    def _wait_ready(self, name: str, port: int, path: str, expected: set[int]) -> None:
        def is_ready() -> bool:
            if self.leaving:
                raise KeyboardInterrupt
            for other, part in self.parts.items():
                if part.child and not part.child.alive:
                    raise StartError(f"{other} ended at its start: {last_lines(self._log(other))}")
            return parts.status(port, path) in expected

        def why() -> str:
            return f"{name} is not ready after {_READY_WITHIN:.0f} s; see {self._log(name)}, or ask {url}"

        url = f"http://127.0.0.1:{port}{path}"
        wait_until(is_ready, within=_READY_WITHIN, every=0.05, otherwise=why)

    def _environment(self, service: str) -> dict[str, str]:
        urls = {
            "DATABASE_URL": as_services_see_it(self.postgres.url(service, service), "POSTGRES"),
            "NATS_URL": as_services_see_it(self.nats.url(service), "NATS"),
        }
        return service_environment(service, self.layout, self.secrets, urls)

    def _log(self, part: str) -> Path:
        return self.layout.logs / f"{part}.log"

    def _write_stack_file(self) -> None:
        pids = {name: part.child.process.pid for name, part in self.parts.items() if part.child}
        data = self.postgres.folder.parent
        write_details(self.layout, self.secrets, self.postgres, self.nats.url, pids=pids, data=data)


def nats_of(
    secrets: Secrets, folder: Path, port: int, *, log: Path, guests: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> Nats:
    """The stack's NATS and its users; with EARLIER_VERSIONS=true those from before nkeys may run beside."""
    earlier = os.environ.get("EARLIER_VERSIONS") == "true"
    return Nats(
        folder, port, stack_permissions(SERVICES, guests, earlier=earlier),
        partial(secrets.nats_password, earlier=earlier), nkeys=secrets.public_nkeys, monitor_port=port + 1, log=log,
    )  # fmt: skip


def _stop(stopping: Iterable[parts.Part], *, by: float) -> None:
    """Stop parts at the same time; what is still there at `by`, of the monotonic clock, is killed."""
    for child in _ask_to_stop(stopping):
        child.stop(within=max(0.0, by - time.monotonic()))


def _ask_to_stop(stopping: Iterable[parts.Part]) -> list[Child]:
    children = [part.child for part in stopping if part.child]
    for child in children:
        child.ask_to_stop()
    return children


class _BackOff:
    """When a part may start again: at once, then after 0.5 s, 1 s, 2 s ... until it has stayed for a while."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._last = 0.0

    def is_due(self) -> bool:
        """Whether a start is due now; one that is counts as made."""
        now = time.monotonic()
        if now - self._last > 3 * _BACK_OFF_MAX:
            self._wait = 0.0
        if now - self._last < self._wait:
            return False
        self._wait = min(max(self._wait * 2, 0.5), _BACK_OFF_MAX)
        self._last = now
        return True


def greet(layout: Layout) -> None:
    """Tell the person where everything is, then print the one line on stdout that means all is healthy."""
    say(
        f"""
  API       {layout.gateway}   (described at /docs and in /openapi.json)
  mails     {layout.mails}
  logs      {layout.logs}
  data      {layout.folder / "data"}
  details   {layout.stack_file}   (URLs and passwords)
  SQL       ./run psql {"|".join(SERVICES)}   (figures: ./run psql activity --as analyst)
  stop      Ctrl-C
"""
    )
    sys.stdout.write(f"ready {layout.gateway}\n")
    sys.stdout.flush()
