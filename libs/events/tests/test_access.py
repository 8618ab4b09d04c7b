"""The way to NATS and PostgreSQL: by a key of one's own, and over TLS that is verified, or not at all."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import nats.errors
import pytest
import trustme
from feeding import FEED, create, log_ids, running
from structlog.testing import capture_logs

from events.access import Access, connect, make_seed, public_key
from events.broker import Broker
from events.log import Log
from events.postgres import dialer
from events.relay import Relay
from events.streams import apply
from local.fixtures import Database, until
from local.nats import Nats
from local.permissions import stack_permissions

ADMIN = token_hex(8)


class Keyed(Nats):
    """A server whose users have nkeys; `rotate` and `reload` change those of one."""

    def __init__(self, folder: Path, port: int, *, tls: dict[str, str] | None = None) -> None:
        self.seeds = {user: make_seed() for user in ("todos", "activity")}
        keys = {user: (public_key(seed),) for user, seed in self.seeds.items()}
        super().__init__(folder, port, stack_permissions(), self.password, nkeys=keys, tls=tls)

    @staticmethod
    def password(user: str) -> str:
        return ADMIN if user == "admin" else ""

    def access(self, user: str, *, seed: str = "", ca_file: str = "") -> Access:
        return Access(self.url(user), seed or self.seeds.get(user, ""), ca_file)


@pytest.fixture
def serve(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Keyed]]:
    """A function that starts a server; it ends with the test."""
    started: list[Keyed] = []

    def start(*, tls: dict[str, str] | None = None) -> Keyed:
        started.append(Keyed(tmp_path / "nats", free_port(), tls=tls))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


class Authority:
    """A certificate authority, and what a server needs from it to be called by a name."""

    def __init__(self, folder: Path, name: str) -> None:
        self._authority = trustme.CA()
        self._folder = folder / name
        self._folder.mkdir()
        self.file = str(self._folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.file)

    def server(self, name: str = "127.0.0.1") -> dict[str, str]:
        """The `tls` block of a NATS server."""
        issued = self._authority.issue_cert(name)
        files = {"cert_file": str(self._folder / "server.pem"), "key_file": str(self._folder / "key.pem")}
        issued.private_key_pem.write_to_path(files["key_file"])
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(files["cert_file"], append=number > 0)
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


async def make_stream(server: Keyed, ca_file: str = "") -> None:
    client = await connect(server.access("admin", ca_file=ca_file), name="test")
    await apply(client.jetstream(timeout=5), FEED)
    await client.close()


async def ids(server: Keyed, count: int, ca_file: str = "") -> list[tuple[int, str]]:
    """Number and id of each message, once there are `count`."""
    client = await connect(server.access("admin", ca_file=ca_file), name="test")
    js = client.jetstream(timeout=5)

    async def is_there() -> bool:
        return (await js.stream_info("TODOS")).state.last_seq >= count

    await until(is_there, within=20)
    found = [(seq, (await js.get_msg("TODOS", seq)).headers["ce-id"]) for seq in range(1, count + 1)]
    await client.close()
    return found


class Plant:
    """A log of feed TODOS and its relay, which reaches NATS in its own way."""

    def __init__(self, todos: Database, access: Access) -> None:
        dial = dialer(todos.url, application="test")
        self.broker = Broker(access, name="todos")
        self.relay = Relay(FEED, dial, self.broker)
        self.log = Log("TODOS", dial, on_appended=self.relay.wake)
        self.tasks = (self.broker.run, self.relay.run, self.log.run)

    @property
    def at(self) -> int:
        """How far the relay says it is."""
        words = self.relay.check().detail.split()
        return int(words[1]) if words[:1] == ["at"] else 0


async def refused(broker: Broker, words: str) -> None:
    """The broker is kept out, and says why: once in the log, and for readiness."""
    with capture_logs() as lines:
        async with running(broker.run):
            await until(lambda: words in broker.trouble.lower())
            assert not broker.is_connected
    told = [line for line in lines if line["event"].startswith("nats is out of reach")]
    told = [line for line in told if line["error"] != "ConnectionResetError"]  # its answer lost: see the next test
    assert len(told) == 1
    assert words in told[0]["detail"].lower()


async def test_a_refusal_whose_answer_is_lost_now_and_then_is_said_once_and_stays_trouble() -> None:
    """A server that refuses a login closes at once: a client that is still writing may meet a reset in its place."""
    tries, troubles = 0, []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        troubles.append(broker.trouble)
        info = {"server_id": "x", "version": "2.15.1", "headers": True, "max_payload": 1024, "auth_required": True}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        await reader.readline()
        if tries % 2:
            writer.write(b"-ERR 'Authorization Violation'\r\n")
            writer.close()
        else:
            linger = struct.pack("ii", 1, 0)  # closed with a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    broker = Broker(f"nats://todos:x@127.0.0.1:{server.sockets[0].getsockname()[1]}", name="todos")
    with capture_logs() as lines:
        async with server, running(broker.run):
            await until(lambda: tries >= 6)
    told = [line["error"] for line in lines if line["event"].startswith("nats is out of reach")]
    assert sorted(told) == ["ConnectionResetError", "Error"]
    assert troubles == ["", *["nats is out of reach: nats: 'Authorization Violation'"] * (len(troubles) - 1)]


async def test_a_relay_proves_itself_by_its_nkey_over_tls(
    todos: Database, serve: Callable[..., Keyed], authority: Authority
) -> None:
    server = serve(tls=authority.server())
    await make_stream(server, authority.file)
    plant = Plant(todos, server.access("todos", ca_file=authority.file))
    async with running(*plant.tasks):
        await asyncio.gather(*(plant.log.append(create()) for _ in range(50)))
        assert await ids(server, 50, authority.file) == await log_ids(todos)
        assert plant.broker._client is not None
        assert plant.broker._client._transport._io_writer.get_extra_info("cipher")


async def test_an_unknown_authority_is_not_believed(
    tmp_path: Path, serve: Callable[..., Keyed], authority: Authority
) -> None:
    server = serve(tls=authority.server())
    others = Authority(tmp_path, "another's")
    for ca_file in (others.file, ""):
        await refused(Broker(server.access("todos", ca_file=ca_file), name="todos"), "certificate verify failed")


async def test_a_server_of_another_name_is_not_believed(serve: Callable[..., Keyed], authority: Authority) -> None:
    server = serve(tls=authority.server("nats.example"))
    broker = Broker(server.access("todos", ca_file=authority.file), name="todos")
    await refused(broker, "certificate is not valid for '127.0.0.1'")


async def test_a_server_without_tls_hears_nothing_where_the_url_asks_for_it(authority: Authority) -> None:
    heard: list[bytes] = []
    met: list[asyncio.StreamWriter] = []

    async def in_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "x", "version": "2.15.1", "headers": True, "max_payload": 1024, "nonce": "n"}
        met.append(writer)
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(in_clear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        access = Access(f"tls://todos@127.0.0.1:{port}", make_seed(), authority.file)
        await refused(Broker(access, name="todos"), "offers no tls")
        with pytest.raises(nats.errors.Error, match="offers no TLS"):
            await connect(access, name="todo-ops", error_cb=_quiet)
        await until(lambda: len(heard) == len(met) and all(writer.is_closing() for writer in met))
    assert set(heard) == {b""}


async def test_a_key_that_the_server_does_not_know_is_refused(serve: Callable[..., Keyed]) -> None:
    server = serve()
    for user, seed in (("todos", make_seed()), ("admin", make_seed())):
        access = Access(f"nats://{user}@127.0.0.1:{server.port}", seed)
        await refused(Broker(access, name="todos"), "authorization violation")


async def test_a_user_is_who_its_key_says_whatever_its_url_says(serve: Callable[..., Keyed]) -> None:
    server = serve()
    await make_stream(server)
    broker = Broker(Access(server.url("todos"), server.seeds["activity"]), name="todos")
    async with running(broker.run):
        with suppress(TimeoutError, nats.errors.Error):
            await (await broker.jetstream()).stream_info("TODOS")  # activity may, but not answered in todos' inbox
        await until(lambda: "subscription" in broker.trouble.lower())


async def test_a_key_is_exchanged_while_events_flow(todos: Database, serve: Callable[..., Keyed]) -> None:
    server, new = serve(), make_seed()
    await make_stream(server)
    old = server.nkeys["todos"]
    one, two = (Plant(todos, server.access("todos", seed=seed)) for seed in (server.seeds["todos"], new))
    said = 0

    async def say() -> None:
        nonlocal said
        while True:
            await one.log.append(create())
            said += 1

    async def flows(through: Plant, more: int = 20) -> None:
        """Events go on, and are published by that process."""
        wanted = said + more
        await until(lambda: through.at >= wanted, within=20)

    async with running(one.log.run, two.broker.run, two.relay.run):
        async with running(say):
            async with running(one.broker.run, one.relay.run):
                before = await one.broker.connected()
                await flows(one)
                assert not two.broker.is_connected
                server.nkeys = {**server.nkeys, "todos": (*old, public_key(new))}  # 1. the server knows both
                server.reload()
                after = await two.broker.connected()  # 2. who has the new one comes in
                await flows(two)
                assert before.is_connected
            await flows(two)  # ... and who has the old one leaves
            server.nkeys = {**server.nkeys, "todos": (public_key(new),)}  # 3. the server forgets the old one
            server.reload()
            late = Broker(server.access("todos", seed=server.seeds["todos"]), name="todos")
            await refused(late, "authorization violation")
            await flows(two)
            assert after.is_connected
        await one.log.append(create())
        kept = await log_ids(todos)
        assert await ids(server, len(kept)) == kept


async def test_who_is_still_there_with_a_key_that_was_taken_out_is_cut_off(serve: Callable[..., Keyed]) -> None:
    server = serve()
    one, other = (Broker(server.access(user), name=user) for user in ("todos", "activity"))
    async with running(one.run, other.run):
        cut, kept = await one.connected(), await other.connected()
        server.nkeys = {**server.nkeys, "todos": (public_key(make_seed()),)}
        server.reload()
        await until(lambda: not cut.is_connected)
        await until(lambda: "authorization violation" in one.trouble.lower())
        assert kept.is_connected


async def _quiet(_: Exception) -> None:
    """What is wrong is raised."""
