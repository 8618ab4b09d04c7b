"""PostgreSQL and NATS for tests from elsewhere: containers, or servers that are there already."""

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats as nats_py
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from local.cluster import Cluster
from local.nats import Nats

# As in deploy/compose.yaml.
_POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:18")
_NATS_IMAGE = os.environ.get("NATS_IMAGE", "nats:2.15-alpine")
_READY_TO_STAY = re.compile("(?s)listening on IPv4.*ready to accept connections")
"""The server that the image makes the cluster with, and ends, listens on no address."""


class ForeignNats(Nats):
    """A server that somebody else runs: a test that would kill or pause it is skipped."""

    def __init__(self, url_of: Callable[[str], str]) -> None:
        """`url_of` gives the URL for a user."""
        self.url_of = url_of
        self.port = urlsplit(url_of("admin")).port or 4222

    def url(self, user: str = "admin") -> str:
        """The URL of the server for one of its users."""
        return self.url_of(user)

    def _refuse(self) -> None:
        pytest.skip("needs --backing=embedded: it kills or pauses the server, or reads its files")

    start = stop = kill = pause = resume = restart = _refuse

    def __getattr__(self, name: str) -> Any:
        """What only a process on this machine has: its files, its life."""
        if name in {"child", "store"}:
            self._refuse()
        raise AttributeError(name)


@contextmanager
def postgres(backing: str, password_of: Callable[[str], str]) -> Iterator[Cluster]:
    """A cluster from a container, or the one of TEST_DATABASE_URL."""
    if backing == "external":
        yield Cluster(_required("TEST_DATABASE_URL"), password_of)
        return
    password = password_of("postgres")
    image = DockerContainer(_POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", password).with_exposed_ports(5432)
    with image.waiting_for(LogMessageWaitStrategy(_READY_TO_STAY)) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        yield Cluster(f"postgres://postgres:{password}@{host}:{port}/postgres", password_of)


@contextmanager
def nats(
    backing: str, permissions: Mapping[str, Mapping[str, Any] | None], password_of: Callable[[str], str]
) -> Iterator[Nats]:
    """A server from a container, or the one of TEST_NATS_URL (whose credentials then serve every user).

    The latter is a server for tests alone: each test deletes all of its streams first.
    """
    if backing == "external":
        url = _required("TEST_NATS_URL")
        with ThreadPoolExecutor(1) as thread:  # the test's own event loop may be running here
            thread.submit(asyncio.run, _delete_streams(url)).result()
        yield ForeignNats(lambda _user: url)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Nats(Path(folder), 4222, permissions, password_of)
        (Path(folder) / "nats.conf").write_text(model.contained())
        image = DockerContainer(_NATS_IMAGE).with_volume_mapping(folder, "/etc/todo").with_exposed_ports(4222)
        image = image.with_command("-c /etc/todo/nats.conf").waiting_for(LogMessageWaitStrategy("Server is ready"))
        with image as container:
            at = f"{container.get_container_host_ip()}:{container.get_exposed_port(4222)}"
            yield ForeignNats(lambda user: f"nats://{user}:{password_of(user)}@{at}")


async def _delete_streams(url: str) -> None:
    client = await nats_py.connect(url, allow_reconnect=False)
    try:
        js = client.jetstream()
        for info in await js.streams_info():
            await js.delete_stream(info.config.name or "")
    finally:
        await client.close()


def _required(name: str) -> str:
    if value := os.environ.get(name):
        return value
    pytest.exit(f"--backing=external needs {name} with an administrator's credentials", returncode=4)
