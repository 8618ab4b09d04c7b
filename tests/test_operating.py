"""An operator's day: one person's event cannot be applied, is seen, mended and redriven; nobody else notices."""

import json
import os
import subprocess
import sys
from collections import Counter
from email import message_from_bytes
from typing import Any

from local.fixtures import until
from system import System

RULE = "alter table {table} add constraint {name} check (user_id <> '{person}' or {rule}) not valid"


async def test_an_event_that_cannot_be_applied_is_seen_mended_and_redriven_in_order(world: System) -> None:
    async with world.person() as me, world.person() as other:
        await me.did()
        rule = RULE.format(table="entry", name="no_toggles", person=me.id, rule="action <> 'todo_toggled'")
        await world.rows("activity", rule)
        try:
            todo = (await me.create()).json()["data"]["id"]
            await me.http.patch(f"/todos/{todo}/toggle")
            await me.http.delete(f"/todos/{todo}")
            parked = await until(lambda: parked_of(world, me.id, count=2))
            await other.create()
            await other.did("todo_created")
            assert [(row["type"], row["reason"]) for row in parked] == [
                ("todos.TodoToggled.v1", "rejected"),
                ("todos.TodoDeleted.v1", "behind"),
            ]
            assert parked[0]["detail"] == "CheckViolationError: no_toggles"
            standing = ops(world, "status", "--json")
            assert standing.returncode == 1
            assert any("stand still" in trouble for trouble in json.loads(standing.stdout)["troubles"])
            one = f"{parked[0]['feed']}:{parked[0]['seq']}"
            assert json.loads(json.loads(ops(world, "parked", "show", "activity", one, "--json").stdout)["data"])
        finally:
            await world.rows("activity", "alter table entry drop constraint no_toggles")
        done = ops(world, "parked", "redrive", "activity", "--key", str(me.id), "--why", "the rule is gone")
        assert done.returncode == 0, done.stderr
        await me.did("todo_created", "todo_toggled", "todo_deleted")
        assert await parked_of(world, me.id, count=0) == []
        [act, *_] = json.loads(ops(world, "acts", "activity", "--json").stdout)
        assert (act["applied"], act["failed"], act["why"]) == (2, 0, "the rule is gone")
        seen = ops(world, "status", "--json")
        assert (seen.returncode, json.loads(seen.stdout)["troubles"]) == (0, [])


SET_BACK = (("mailer", "TODOS"), ("mailer", "AUTH"), ("activity", "AUTH"), ("activity", "TODOS"), ("notifier", "TODOS"))
KEPT = {
    "mailer": "select id, kind, message_id from letter order by id",
    "activity": "select number, feed, seq, event_id, sha256 from archive where feed in ('AUTH', 'TODOS') "
    "and type <> 'core.EventsHeard.v1' order by number",
    "notifier": "select user_id, number, id, read_at from notification order by id",
}


async def test_consumers_that_were_set_back_hear_everything_again_and_double_nothing(world: System) -> None:
    async with world.person() as me:
        todo = (await me.create()).json()["data"]["id"]
        await me.http.patch(f"/todos/{todo}/toggle")
        await me.did("todo_created", "todo_toggled")
        await until(lambda: settled(world), within=30)
        before = {name: await world.rows(name, query) for name, query in KEPT.items()}
        mailed = message_ids(world)
        for line in SET_BACK:
            rewind = ("consumer", "rewind", *line, "--to", "0", "--why", "to see", "--yes")
            assert ops(world, *rewind).returncode == 0
        await until(lambda: settled(world), within=60)
        assert {name: await world.rows(name, query) for name, query in KEPT.items()} == before
        again = message_ids(world) - mailed
        assert mailed
        assert not again.keys() & mailed.keys()
        assert await parked_of(world, me.id, count=0) == []
    verified = ops(world, "verify", "--json")
    assert [each for each in json.loads(verified.stdout) if each["wrong"]] == []


def message_ids(world: System) -> Counter[str]:
    """How often each letter was mailed."""
    return Counter(
        str(message_from_bytes(path.read_bytes())["Message-ID"])
        for path in world.stack.layout.mails.iterdir()
        if path.suffix == ".eml"
    )


async def settled(world: System) -> bool:
    """Whether everybody heard everything, and no letter is under way."""
    standing = json.loads(ops(world, "status", "--json").stdout)
    behind = [each["lag_events"] for feed in standing["feeds"] for each in feed["consumers"] if feed["feed"] != "OTP"]
    at_work = [row["claimed"] + row["sending"] for row in standing["work"]]
    return not any(behind) and not any(at_work)


async def test_keys_are_rotated_and_everybody_stays_signed_in(world: System) -> None:
    async with world.person() as me:
        before = await world.value("auth", "select count(*) from signing_key")
        said = ops(world, "keys", "rotate", "--json")
        assert (said.returncode, "it signs from" in json.loads(said.stdout)["said"]) == (0, True), said.stderr
        assert await world.value("auth", "select count(*) from signing_key") == before + 1
        assert (await me.create()).status_code == 201


async def parked_of(world: System, person: str, *, count: int) -> list[dict[str, Any]] | None:
    """What is parked of somebody, once it is so many."""
    rows = json.loads(ops(world, "parked", "list", "--key", person, "--json").stdout)
    return rows if len(rows) == count else None


def ops(world: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", "ops", *arguments]
    env = os.environ | {"PORT_BASE": str(world.stack.layout.port_base)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
