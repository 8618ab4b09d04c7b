"""Everything at once against the log: conflicts, cancellations, killed connections, slow commits, bad commands.

The rule: a command is whole or absent; what was answered is there exactly once, what was refused is not; numbers have
no hole; and the same command again gets the same answer.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import asyncpg
import msgspec
import pytest
from feeding import CODEC, FEED, PERSON, connection, context, create, created, running, toggled
from prometheus_client import REGISTRY

from events.command import Change, Command, new_command
from events.errors import BadCommand, OutcomeUnknown, Unavailable, VersionConflict
from events.ids import uuid7
from events.log import Log
from events.migrate import migrate
from events.postgres import dialer
from local.fixtures import until
from local.postgres import Postgres

WRITERS = 16
AGGREGATES = 40


class Story:
    """What the writers were told about each command."""

    def __init__(self) -> None:
        self.answered: dict[UUID, tuple[Command, int]] = {}
        self.refused: list[Command] = []
        self.open: list[Command] = []
        self.counts: Counter[str] = Counter()
        self.versions: dict[UUID, int] = {}
        self.shared = [uuid7() for _ in range(AGGREGATES)]


def a_command(chance: random.Random, versions: dict[UUID, int], shared: list[UUID]) -> Command:
    """A create, a change of a to-do that others change too, a command of several, or a bad one."""
    dice = chance.random()
    if dice < 0.02:
        return create(title="a\0b")
    if dice < 0.03:
        stolen = create(events=2)
        return msgspec.structs.replace(
            stolen, events=(stolen.events[0], msgspec.structs.replace(stolen.events[1], id=stolen.events[0].id))
        )
    if dice < 0.5:
        return create(events=chance.choice([1, 1, 1, 2, 4]))
    todo = chance.choice(shared)
    known = versions.get(todo, 0)
    happened = [created(todo)] if known == 0 else [toggled(todo) for _ in range(chance.choice([1, 1, 2]))]
    change = Change(aggregate=todo, expected=known, subject=PERSON, events=happened)
    if chance.random() < 0.2:  # one command, two aggregates
        other = uuid7()
        both = Change(aggregate=other, expected=0, subject=PERSON, events=[created(other)])
        return new_command(CODEC, context(), change, both)
    return new_command(CODEC, context(), change)


async def write(log: Log, chance: random.Random, story: Story, enough: Callable[[], bool]) -> None:
    while not enough():
        versions = story.versions
        command = a_command(chance, versions, story.shared)
        attempt = asyncio.create_task(log.append(command))
        if chance.random() < 0.03:
            asyncio.get_running_loop().call_later(chance.random() * 0.004, attempt.cancel)
        try:
            answer = await attempt
        except (asyncio.CancelledError, OutcomeUnknown) as left_open:
            story.open.append(command)
            story.counts[type(left_open).__name__] += 1
        except (VersionConflict, BadCommand, Unavailable) as refusal:
            story.refused.append(command)
            story.counts[type(refusal).__name__] += 1
            if isinstance(refusal, VersionConflict):
                versions |= {event.aggregate: versions.get(event.aggregate, 0) + 1 for event in command.events}
        else:
            story.answered[command.id] = (command, answer.position)
            story.counts["answered"] += 1
            story.counts["events"] += len(command.events)
            for event in command.events:
                versions[event.aggregate] = max(versions.get(event.aggregate, 0), event.version)


class Trouble:
    """Breaks the lane's connection wherever it is, and makes commits slow."""

    def __init__(self, postgres: Postgres, admin: asyncpg.Connection, holder: asyncpg.Connection) -> None:
        self.postgres, self.admin, self.holder = postgres, admin, holder

    async def kill(self) -> None:
        await self.admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mix'"
        )

    async def kill_while_waiting_for_the_counter(self) -> None:
        async with self.counter_held():
            await asyncio.sleep(0.05)
            await self.kill()

    async def outlast_the_deadline_before_the_counter(self) -> None:
        async with self.counter_held():
            await asyncio.sleep(0.8)

    async def kill_while_committing(self) -> None:
        """The commit is on this disk, and the client never hears of it."""
        async with self.commits_held():
            with suppress(pytest.fail.Exception):  # nobody writes just now
                await until(self.commits, within=1)
            await self.kill()

    async def outlast_the_deadline_in_the_commit(self) -> None:
        async with self.commits_held():
            await asyncio.sleep(0.8)

    async def commits(self) -> bool:
        query = "select exists (select from pg_stat_activity where application_name = 'mix' and wait_event = 'SyncRep')"
        return bool(await self.admin.fetchval(query))

    @asynccontextmanager
    async def counter_held(self) -> AsyncIterator[None]:
        async with self.holder.transaction():
            await self.holder.execute("select from events.feed where name = 'TODOS' for update")
            yield

    @asynccontextmanager
    async def commits_held(self) -> AsyncIterator[None]:
        """Commits wait for a copy that does not exist."""
        await self.admin.execute("alter system set synchronous_standby_names = 'nobody'")
        await self.admin.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            await self.admin.execute("alter system reset synchronous_standby_names")
            await self.admin.execute("select pg_reload_conf()")


KINDS = {
    Trouble.kill: 6,
    Trouble.kill_while_waiting_for_the_counter: 2,
    Trouble.kill_while_committing: 2,
    Trouble.outlast_the_deadline_before_the_counter: 1,
    Trouble.outlast_the_deadline_in_the_commit: 1,
}
WANTED = ("CancelledError", "OutcomeUnknown", "VersionConflict", "BadCommand", *(kind.__name__ for kind in KINDS))
"""What must have happened at least once."""


async def disturb(postgres: Postgres, chance: random.Random, story: Story, stop: asyncio.Event) -> None:
    owner = postgres.url("events", "events_owner")
    async with connection(postgres.url("events", "postgres")) as admin, connection(owner) as holder:
        trouble = Trouble(postgres, admin, holder)
        while not stop.is_set():
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            [kind] = chance.choices(list(KINDS), list(KINDS.values()))
            before = len(story.answered)
            await kind(trouble)
            story.counts[kind.__name__] += 1
            # On a busy machine, trouble by the clock alone would leave no time for anything else.
            await until(lambda: stop.is_set() or len(story.answered) >= before + 25, within=60)  # noqa: B023


def stored() -> float:
    """How often the log found a command of its own that it did not know to be there."""
    labels = {"feed": "TODOS", "outcome": "stored"}
    return REGISTRY.get_sample_value("todo_append_commands_total", labels) or 0


@pytest.mark.timeout(600)
async def test_everything_at_once(own_postgres: Postgres, full: bool) -> None:
    goal = 100_000 if full else 4_000
    chance, story, stop, before = random.Random(4), Story(), asyncio.Event(), stored()

    def enough() -> bool:
        """So many events, and everything that can happen has: on a slow machine some of it comes late."""
        return story.counts["events"] >= goal and stored() > before and min(story.counts[each] for each in WANTED) > 0

    own_postgres.create_database("events", service="events")
    async with connection(own_postgres.url("events", "events_owner")) as owner:
        await migrate(owner, "events", role="events", feeds=[FEED])
    log = Log("TODOS", dialer(own_postgres.url("events", "events"), application="mix"), deadline=0.5)
    async with running(log.run):
        trouble = asyncio.create_task(disturb(own_postgres, chance, story, stop))
        writers = [random.Random(nr) for nr in range(WRITERS)]
        await asyncio.gather(*(write(log, w, story, enough) for w in writers))
        stop.set()
        await trouble
        found = stored() - before
        repeated = [(command, await repeat(log, command)) for command in story.open]
        sample = list(story.answered.values())[:: max(1, len(story.answered) // 500)]
        for command, position in sample:
            assert await repeat(log, command) == position
    print(dict(story.counts), "found stored:", found, "settled later:", len(repeated))
    assert found > 0
    assert {position is None for _, position in repeated} == {True, False} or not full
    await verify(own_postgres, story, repeated)


async def repeat(log: Log, command: Command) -> int | None:
    """Send the same command again until its outcome is known: its position, or None when it was refused."""
    while True:
        try:
            return (await log.append(command)).position
        except OutcomeUnknown:
            continue
        except (VersionConflict, BadCommand):
            return None


async def verify(postgres: Postgres, story: Story, repeated: list[tuple[Command, int | None]]) -> None:
    async with connection(postgres.url("events", "postgres")) as admin:
        rows = await admin.fetch("select seq, id, aggregate, version from events.log order by seq")
        counter = await admin.fetchval("select last_seq from events.feed where name = 'TODOS'")
    assert [row["seq"] for row in rows] == list(range(1, counter + 1))
    latest: dict[UUID, int] = {}
    for row in rows:
        assert row["version"] == latest.get(row["aggregate"], 0) + 1
        latest[row["aggregate"]] = row["version"]
    seqs = {row["id"]: row["seq"] for row in rows}
    settled = [(command, position) for command, position in repeated if position is not None]
    for command, position in [*story.answered.values(), *settled]:
        found = [seqs[event.id] for event in command.events]
        assert found == list(range(position - len(found) + 1, position + 1))
    for command in [*story.refused, *(command for command, position in repeated if position is None)]:
        assert not [event for event in command.events if event.id in seqs]
