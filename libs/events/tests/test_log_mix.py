"""Everything at once against the log: conflicts, cancellations, killed connections, slow commits, bad commands.

The rule: a command is whole or absent; what was answered is there exactly once, what was refused is not; numbers have
no hole; and the same command again gets the same answer.
"""

import asyncio
import random
from collections import Counter
from uuid import UUID

import asyncpg
import msgspec
from feeding import CODEC, PERSON, connection, context, create, created, running, toggled

from events.command import Change, Command, new_command
from events.errors import BadCommand, OutcomeUnknown, Unavailable, VersionConflict
from events.ids import uuid7
from events.log import Log
from events.postgres import dialer
from local.fixtures import Database

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


async def write(log: Log, chance: random.Random, story: Story, goal: int) -> None:
    while story.counts["events"] < goal:
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


async def disturb(todos: Database, chance: random.Random, story: Story, stop: asyncio.Event) -> None:
    """Kill the lane's connection wherever it is: idle, waiting for the counter, committing; make commits slow."""
    async with connection(todos.admin_url) as admin, connection(todos.owner_url) as holder:
        while not stop.is_set():
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            kind = chance.choice(["kill"] * 5 + ["kill while waiting"] * 2 + ["slow"])
            if kind in {"slow", "kill while waiting"}:
                async with holder.transaction():
                    await holder.execute("select from events.feed where name = 'TODOS' for update")
                    await asyncio.sleep(0.8 if kind == "slow" else 0.05)
                    if kind == "kill while waiting":
                        await kill(admin)
            else:
                await kill(admin)
            story.counts[kind] += 1


async def kill(admin: asyncpg.Connection) -> None:
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mix'")


async def test_everything_at_once(todos: Database, full: bool) -> None:
    goal = 100_000 if full else 6_000
    chance = random.Random(4)
    story = Story()
    log = Log("TODOS", dialer(todos.url, application="mix"), deadline=0.5)
    stop = asyncio.Event()
    async with running(log.run):
        trouble = asyncio.create_task(disturb(todos, chance, story, stop))
        writers = [random.Random(nr) for nr in range(WRITERS)]
        await asyncio.gather(*(write(log, w, story, goal) for w in writers))
        stop.set()
        await trouble
        repeated = [await repeat(log, command) for command in story.open]
        sample = list(story.answered.values())[:: max(1, len(story.answered) // 500)]
        for command, position in sample:
            assert await repeat(log, command) == position
    print(dict(story.counts), "settled later:", len(repeated))
    assert (
        min(
            story.counts[kind] for kind in ("CancelledError", "OutcomeUnknown", "VersionConflict", "BadCommand", "kill")
        )
        > 0
    )
    await verify(todos, story)


async def repeat(log: Log, command: Command) -> int | None:
    """Send the same command again until its outcome is known: its position, or None when it was refused."""
    while True:
        try:
            return (await log.append(command)).position
        except OutcomeUnknown:
            continue
        except (VersionConflict, BadCommand):
            return None


async def verify(todos: Database, story: Story) -> None:
    async with connection(todos.admin_url) as admin:
        rows = await admin.fetch("select seq, id, aggregate, version from events.log order by seq")
        counter = await admin.fetchval("select last_seq from events.feed where name = 'TODOS'")
    assert [row["seq"] for row in rows] == list(range(1, counter + 1))
    latest: dict[UUID, int] = {}
    for row in rows:
        assert row["version"] == latest.get(row["aggregate"], 0) + 1
        latest[row["aggregate"]] = row["version"]
    stored = {row["id"]: row["seq"] for row in rows}
    for command, position in story.answered.values():
        seqs = [stored[event.id] for event in command.events]
        assert seqs == list(range(position - len(seqs) + 1, position + 1))
    for command in story.refused:
        assert not [event for event in command.events if event.id in stored]
    for command in story.open:
        assert len([event for event in command.events if event.id in stored]) in {0, len(command.events)}
