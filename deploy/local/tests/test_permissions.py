"""Who may do what at NATS: every user of the stack tries every subject, stream and consumer, its own and all others'.

What is tried comes from the catalogue, so a new feed or service is covered by itself. Expected is what is written here,
whatever the server's configuration is made from.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import nats.errors
import pytest
from whomay import kept, table

from events.access import Access, connect
from events.catalog.feeds import FEEDS, HEARS
from local.fixtures import until
from local.nats import Nats
from local.ports import free_port
from local.secret import Secrets, load_or_make
from local.supervisor import nats_of

SERVICES = tuple(HEARS)
STRANGER = "stranger"
PLACES = 4

READ = ("STREAM.INFO.{0}", "STREAM.MSG.GET.{0}")
MANAGE = (
    "STREAM.CREATE.{0}", "STREAM.UPDATE.{0}", "STREAM.DELETE.{0}", "STREAM.SNAPSHOT.{0}", "STREAM.RESTORE.{0}",
    "STREAM.PEER.REMOVE.{0}", "STREAM.LEADER.STEPDOWN.{0}", "DIRECT.GET.{0}", "DIRECT.GET.{0}.ev.auth.1.OtpRequested",
    "CONSUMER.NAMES.{0}", "CONSUMER.LIST.{0}", "CONSUMER.CREATE.{0}",
)  # fmt: skip
CONSUME = ("CONSUMER.CREATE.{0}.{1}", "CONSUMER.INFO.{0}.{1}", "CONSUMER.MSG.NEXT.{0}.{1}", "CONSUMER.DELETE.{0}.{1}")
KEEP = (
    "CONSUMER.CREATE.{0}.{1}.ev.>", "CONSUMER.DURABLE.CREATE.{0}.{1}", "CONSUMER.PAUSE.{0}.{1}",
    "CONSUMER.RESET.{0}.{1}", "CONSUMER.UNPIN.{0}.{1}", "CONSUMER.LEADER.STEPDOWN.{0}.{1}",
)  # fmt: skip
EVERYWHERE = (
    "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE",
    "$JS.API.ACCOUNT.PURGE.$G", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$JS.EVENT.ADVISORY.x", "ev.x", "x",
)  # fmt: skip
LISTENED = ("ev.>", ">", "*.>", "_INBOX.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$JS.ACK.>", "$SYS.>", "_R_.>", "x")


class Cell(NamedTuple):
    """What a user tries, and whether it may: `do` says or hears each of `subjects`."""

    user: str
    what: str
    do: str
    subjects: tuple[str, ...]
    may: bool

    def __str__(self) -> str:
        return f"{self.user} {'may' if self.may else 'may not'} {self.what}"


def calls(patterns: tuple[str, ...], *names: str) -> tuple[str, ...]:
    return tuple("$JS.API." + pattern.format(*names) for pattern in patterns)


def cells() -> Iterator[Cell]:
    """The matrix."""
    for user in SERVICES:
        yield Cell(user, "ask whether NATS is there", "say", ("$JS.API.INFO",), True)
        for subject in EVERYWHERE:
            yield Cell(user, f"say {subject}", "say", (subject,), False)
        for subject in LISTENED:
            yield Cell(user, f"listen to {subject}", "hear", (subject,), False)
        for other in (*SERVICES, STRANGER):
            yield Cell(user, f"publish as {other}", "say", (f"ev.{other}.1.Happened",), other == user)
            yield Cell(user, f"listen to {other}'s events", "hear", (f"ev.{other}.>", f"ev.{other}.1.*"), False)
            yield Cell(user, f"listen to {other}'s inbox", "hear", (f"_INBOX_{other}.>",), other == user)
            yield Cell(user, f"answer in {other}'s inbox", "say", (f"_INBOX_{other}.x",), False)
        for feed in FEEDS.values():
            yield from of_stream(user, feed.name, own=feed.service == user, trimmed=feed.trimmed)


def of_stream(user: str, stream: str, *, own: bool, trimmed: bool) -> Iterator[Cell]:
    """What a user tries at a stream."""
    hears = stream in HEARS[user]
    yield Cell(user, f"read {stream}", "say", calls(READ, stream), own or hears)
    yield Cell(user, f"manage {stream}", "say", calls(MANAGE, stream), False)
    yield Cell(user, f"delete a message of {stream}", "say", calls(("STREAM.MSG.DELETE.{0}",), stream), own)
    yield Cell(user, f"purge {stream}", "say", calls(("STREAM.PURGE.{0}",), stream), own and trimmed)
    for other in (*SERVICES, STRANGER):
        names = [f"{other}-{place}" for place in range(PLACES)]
        subjects = tuple(subject for name in names for subject in calls(CONSUME, stream, name))
        yield Cell(user, f"use {other}'s consumers of {stream}", "say", subjects, hears and other == user)
        others = tuple(f"{other}{ending}" for ending in ("-0", f"-{PLACES}", ""))
        subjects = tuple(subject for name in others for subject in calls(KEEP, stream, name))
        yield Cell(user, f"keep {other}'s consumers of {stream}", "say", subjects, False)


CELLS = tuple(cells())
_ACTIONS = {"say": "publish", "hear": "subscription"}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[tuple[str, str, str], bool]]:
    """Whether the stack's own server refuses each user to say or hear each subject."""
    with stacks(tmp_path_factory.mktemp("stack")) as (server, secrets):
        yield asyncio.run(tried(server, secrets.nkeys))


@contextmanager
def stacks(folder: Path) -> Iterator[tuple[Nats, Secrets]]:
    """The stack's NATS, as its supervisor makes it."""
    secrets = load_or_make(folder / "secrets.json")
    server = nats_of(secrets, folder / "nats", free_port(), log=folder / "log")
    server.start()
    try:
        yield server, secrets
    finally:
        server.kill()


async def tried(server: Nats, seeds: Mapping[str, str]) -> dict[tuple[str, str, str], bool]:
    found: dict[tuple[str, str, str], bool] = {}
    for user in SERVICES:
        own = [cell for cell in CELLS if cell.user == user]
        refusals = await refusals_of(Access(server.url(user), seeds[user]), user, own)
        for cell in own:
            for subject in cell.subjects:
                found[user, cell.do, subject] = f'{_ACTIONS[cell.do]} to "{subject.lower()}"' in refusals
    return found


async def refusals_of(access: Access, user: str, own: Iterable[Cell]) -> set[str]:
    """What the server says of everything that a user tries, each as `publish to "subject"`."""
    refusals: set[str] = set()

    async def tell(error: Exception) -> None:
        refusals.add(str(error).lower().partition("permissions violation for ")[2])

    client = await connect(access, name=user, error_cb=tell)
    try:
        for cell in own:
            for subject in cell.subjects:
                if cell.do == "say":
                    await client.publish(subject, b"", reply=client.new_inbox())
                else:
                    await (await client.subscribe(subject)).unsubscribe()
        await client.publish("the.last", b"")  # refusals come in the order of what they refuse
        await until(lambda: 'publish to "the.last"' in refusals)
    finally:
        await client.close()
    return refusals


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_nobody_does_at_nats_what_is_not_theirs(refused: Mapping[tuple[str, str, str], bool], cell: Cell) -> None:
    outcomes = {subject: refused[cell.user, cell.do, subject] for subject in cell.subjects}
    assert set(outcomes.values()) == {not cell.may}, outcomes


@pytest.mark.parametrize("earlier", [False, True])
async def test_a_service_has_no_password_unless_earlier_versions_run_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    monkeypatch.setenv("EARLIER_VERSIONS", str(earlier).lower())
    with stacks(tmp_path) as (server, secrets):
        for user in SERVICES:
            access = Access(f"nats://{user}:{secrets.nats[user]}@127.0.0.1:{server.port}")
            if earlier:
                await (await connect(access, name=user)).close()
            else:
                with pytest.raises(nats.errors.Error, match="Authorization Violation"):
                    await (await connect(access, name=user, error_cb=quiet)).close()


async def quiet(_: Exception) -> None:
    """What is wrong is raised."""


def test_the_matrix_is_whole() -> None:
    """Every pair of services is tried, each way round, and every stream by everyone."""
    subjects = {(cell.user, cell.do, subject) for cell in CELLS for subject in cell.subjects}
    for user, other in product(SERVICES, SERVICES):
        assert (user, "say", f"ev.{other}.1.Happened") in subjects
    for user, stream in product(SERVICES, FEEDS):
        assert (user, "say", f"$JS.API.STREAM.DELETE.{stream}") in subjects


def test_the_page_says_who_may_do_what_at_nats() -> None:
    rows = []
    for user in SERVICES:
        own = [feed for feed in FEEDS.values() if feed.service == user]
        deletes = ", ".join(f"{feed.name} (purges it, too)" if feed.trimmed else feed.name for feed in own)
        heard = ", ".join(HEARS[user]) or "none"
        names = f"`{user}-0` to `{user}-{PLACES - 1}`" if HEARS[user] else "none"
        rows.append((f"`{user}`", f"`ev.{user}.>`", deletes, heard, names, f"`_INBOX_{user}.>`"))
    columns = ("user", "publishes", "deletes messages of", "reads besides its own", "by consumers called", "listens to")
    assert kept("nats") == table(columns, rows)
