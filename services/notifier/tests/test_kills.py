"""kill -9 under load, in every state of a delivery: a provider is asked once, whatever became of the answer."""

import json
import os
import signal
from collections import Counter
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from notifying import World, completed, service
from providing import playing

from local.fixtures import until

KILLS, FULL = 4, 200
DEVICES = 3
STATES = {
    "queued": "select count(*) from delivery where state = 'queued'",
    "claimed": "select count(*) from delivery where state = 'claimed'",
    "sending": "select count(*) from delivery where state = 'sending'",
    "settled": "select count(*) from delivery where settled_at > clock_timestamp() - interval '1 second'",
}


@pytest.mark.timeout(3600)
async def test_killed_again_and_again_a_notifier_asks_a_provider_once_for_a_delivery(world: World, full: bool) -> None:
    me, said = uuid4(), 0
    owner = await asyncpg.connect(world.database.owner_url)
    async with playing() as provider:
        account = {"FCM_ACCOUNT": provider.account, "FCM_URL": provider.url}
        for nr in range(DEVICES):
            device = {"service": "fcm", "token": f"device-{nr}"}
            await world.http.post("/notifications/devices", json=device, headers=world.people.headers(me))
        provider.hesitates = 0.05
        for nr in range(FULL if full else KILLS):
            async with service(world, **account) as process:
                await world.say("TODOS", *(completed(f"{said + each}") for each in range(4)), to=me)
                said += 4
                await until(partial(owner.fetchval, [*STATES.values()][nr % len(STATES)]), within=30)
                os.kill(process.pid, signal.SIGKILL)
            await owner.execute("update delivery set lease_until = clock_timestamp() where lease_until is not null")
        provider.hesitates = 0.0
        async with service(world, **account):
            left = "select count(*) = $1 from delivery where settled_at is not null"
            await until(lambda: owner.fetchval(left, said * DEVICES), within=120)
    messages = [json.loads(asked["body"])["message"] for asked in provider.asked]
    came = Counter((message["token"], message["data"]["id"]) for message in messages)
    assert set(came.values()) == {1}, "asked again"
    rows = await owner.fetch(
        "select state, address, cause::text from delivery w join device d on d.id = w.device_id order by w.id"
    )
    assert {row["state"] for row in rows} <= {"sent", "unknown"}
    for row in rows:
        assert row["state"] == "unknown" or came[row["address"], row["cause"]] == 1, "told as sent, and never came"
    outcomes = await owner.fetch(
        "select data ->> 'delivery_id', count(*) from events.log where type like 'notifier.%' group by 1"
    )
    assert (len(outcomes), {row["count"] for row in outcomes}) == (len(rows), {1}), "an outcome told twice, or never"
    unknown = sum(row["state"] == "unknown" for row in rows)
    print(f"{len(rows)} deliveries, {FULL if full else KILLS} kills: {unknown} unknown")
    await owner.close()
