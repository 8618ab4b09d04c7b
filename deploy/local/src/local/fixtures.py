"""pytest fixtures: real PostgreSQL and NATS for every test. A plugin, registered in the root conftest.py.

`--backing` says where they come from: `embedded` (the wheels), `containers` (Docker) or `external` (the servers that
TEST_DATABASE_URL and TEST_NATS_URL name, with an administrator's credentials and for tests alone: each test deletes all
streams there). Tests that kill or pause a server are skipped where it is not ours to kill.
"""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from inspect import isawaitable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import asyncpg
import pytest

from events.catalog.feeds import FEEDS, feeds_of
from events.migrate import migrate
from local import ports
from local.cluster import Cluster
from local.nats import Nats, Route
from local.permissions import stack_permissions
from local.postgres import Postgres

T = TypeVar("T")
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - the cluster's folder below it is its own
_ROOM: Final = 8 << 30


@dataclass(frozen=True)
class Database:
    """A database of one test: its URLs for the runtime role, the owner and the cluster's administrator."""

    name: str
    url: str
    owner_url: str
    admin_url: str


class DatabaseFactory(Protocol):
    """What the fixture `database` gives."""

    def __call__(
        self, service: str = "events", *, feeds: tuple[str, ...] | None = None, migrated: bool = True
    ) -> Database:
        """A new database of `service` with the roles `<service>` and `<service>_owner`.

        Migrated by the library and the service, with the service's own feeds or the given ones. The default, `events`,
        has the library's tables alone.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --backing."""
    parser.addoption("--backing", choices=("embedded", "containers", "external"), default="embedded")


async def until(condition: Callable[[], T | Awaitable[T]], *, within: float = 10.0) -> T:
    """Wait until `condition` (plain or async) gives something true, and return that; fail after `within` seconds.

    It looks every 10 ms at first, and the longer it waited the less often: looking costs what is waited for its time.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        answer = condition()
        value: T = await answer if isawaitable(answer) else answer
        if value:
            return value
        waited = loop.time() - started
        if waited > within:
            pytest.fail(f"still not true after {within} s; the last answer was {value!r}")
        await asyncio.sleep(min(max(0.01, waited / 10), 0.1))


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that gives a free port below 32768."""
    return ports.free_port


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster of this test run; whoever kills or pauses it starts or resumes it."""
    backing = request.config.getoption("backing")
    if backing == "embedded":
        with _embedded_postgres() as server:
            yield server
    else:
        from local import backings  # noqa: PLC0415 - loads Docker's client, which the embedded backing does not need

        with backings.postgres(backing, cache(_password)) as cluster:
            yield cluster


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A cluster for this test alone, to kill, pause and restart."""
    with _folder("postgres") as folder, _running(folder) as server:
        yield server


@pytest.fixture
def nats(request: pytest.FixtureRequest) -> Iterator[Nats]:
    """A new server with an empty store and the users of the stack; `nats.url(user)`, `admin` by default."""
    backing = request.config.getoption("backing")
    if backing != "embedded":
        from local import backings  # noqa: PLC0415 - as above

        with backings.nats(backing, stack_permissions(), cache(_password)) as server:
            yield server
        return
    with _folder("nats") as folder:
        server = Nats(folder, ports.free_port(), stack_permissions(), cache(_password))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
def nats_cluster() -> Iterator[list[Nats]]:
    """Three servers in one cluster, with one set of users; streams may ask for three replicas."""
    password_of = cache(_password)
    routes = [ports.free_port() for _ in range(3)]
    with _folder("nats") as folder, ExitStack() as stack:
        servers = []
        for number, port in enumerate(routes, start=1):
            route = Route(f"n{number}", port, routes)
            server = Nats(folder / route.name, ports.free_port(), stack_permissions(), password_of, route=route)
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        yield servers


@pytest.fixture(scope="session")
def _templates() -> dict[tuple[str, tuple[str, ...]], str]:
    """Migrated databases that new ones are copied from: ten times faster than migrating each."""
    return {}


@pytest.fixture
def database(postgres: Cluster, _templates: dict[tuple[str, tuple[str, ...]], str]) -> Iterator[DatabaseFactory]:
    """A function that makes databases; they are dropped when the test ends."""
    made: list[str] = []

    def make(service: str = "events", *, feeds: tuple[str, ...] | None = None, migrated: bool = True) -> Database:
        names = tuple(feed.name for feed in feeds_of(service)) if feeds is None else feeds
        template = "template1"
        if migrated:
            key = (service, names)
            template = _templates.get(key) or _templates.setdefault(key, _template(postgres, service, names))
        name = f"{service}_{secrets.token_hex(4)}"
        postgres.create_database(name, service=service, template=template)
        made.append(name)
        return Database(
            name, postgres.url(name, service), postgres.url(name, f"{service}_owner"), postgres.url(name, "postgres")
        )

    yield make
    for name in made:
        postgres.drop_database(name)


def _template(postgres: Cluster, service: str, feeds: tuple[str, ...]) -> str:
    name = f"{service}_template_{secrets.token_hex(4)}"
    postgres.create_database(name, service=service)

    async def apply() -> None:
        connection = await asyncpg.connect(postgres.url(name, f"{service}_owner"))
        try:
            await migrate(connection, service, role=service, feeds=[FEEDS[name] for name in feeds])
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:  # the test's own event loop may be running here
        thread.submit(asyncio.run, apply()).result()
    return name


@contextmanager
def _embedded_postgres() -> Iterator[Postgres]:
    """A cluster that need not outlive a power cut nor a guess at its passwords, for it ends with its folder."""
    with _folder("postgres", within=_memory()) as folder, _running(folder) as server:
        server.sql("alter system set fsync = off; alter system set scram_iterations = 1; select pg_reload_conf()")
        yield server


@contextmanager
def _running(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder, ports.free_port(), cache(_password))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _memory() -> Path | None:
    """A folder in memory, where there is one with room: on ext4 the 300 files of a database cost 0.2 s of CPU."""
    with suppress(OSError):
        return _SHARED if shutil.disk_usage(_SHARED).free >= _ROOM else None
    return None


@contextmanager
def _folder(purpose: str, *, within: Path | None = None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"todo-{purpose}-", dir=within))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _password(_name: str) -> str:
    return secrets.token_hex(16)
