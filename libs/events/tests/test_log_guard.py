"""What may enter the log: nothing that no message could carry, and no command that would hold up all others."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from feeding import PERSON, connection, create, log_ids, running

from events.command import Command, Key
from events.errors import BadCommand, OutcomeUnknown
from events.log import Log
from events.postgres import dialer
from local.fixtures import Database, until


def with_context(**changes: str) -> Command:
    command = create()
    return msgspec.structs.replace(command, context=msgspec.structs.replace(command.context, **changes))


def with_endless_key() -> Command:
    """A key that no index can hold: PostgreSQL says program_limit_exceeded, which is no error of the data's class."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    return create(
        key=Key(user_id=PERSON, route="r", key=os.urandom(8000).hex(), body_hash=b"", answer=b"", expires_at=expires)
    )


@pytest.mark.parametrize(
    "bad",
    [
        lambda: with_context(correlation_id="a\r\nNats-Rollup: all"),
        lambda: with_context(correlation_id="é"),
        lambda: with_context(actor=" padded "),
        lambda: with_context(causation_id="x" * 2000),
        lambda: create(title="x" * 300_000),
        with_endless_key,
    ],
    ids=["header injection", "not ASCII", "padded", "a long header", "a long body", "an endless key"],
)
async def test_what_can_never_be_stored_or_published_is_refused_alone(
    todos: Database, bad: Callable[[], Command]
) -> None:
    log = Log("TODOS", dialer(todos.url, application="test"))
    async with running(log.run):
        outcomes = await asyncio.gather(
            log.append(create()), log.append(bad()), log.append(create()), return_exceptions=True
        )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Appended", "BadCommand", "Appended"]
    assert isinstance(outcomes[1], BadCommand)
    assert [seq for seq, _ in await log_ids(todos)] == [1, 2]


async def test_a_log_whose_every_append_fails_does_not_say_ok_in_between(todos: Database) -> None:
    async with connection(todos.admin_url) as admin:
        await admin.execute("revoke execute on function events.append from events")
    log = Log("TODOS", dialer(todos.url, application="test"), deadline=0.3)
    said = set()
    async with running(log.run):
        waiting = asyncio.create_task(log.append(create()))
        await until(lambda: "takes no writes" in log.check().detail)
        for _ in range(200):
            await asyncio.sleep(0.001)
            said.add(log.check().state)
        assert said == {"failed"}
        with pytest.raises(OutcomeUnknown):
            await waiting
        async with connection(todos.admin_url) as admin:
            await admin.execute("grant execute on function events.append to events")
        await until(lambda: log.check().state == "ok")
