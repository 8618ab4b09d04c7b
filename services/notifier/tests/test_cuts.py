"""Sockets are cut at random and resumed, at any replica: each client ends with exactly the numbers of its inbox."""

import asyncio
import random
from contextlib import suppress
from uuid import UUID, uuid4

import httpx
import pytest
from notifying import World, completed
from websockets.exceptions import ConnectionClosed

from local.fixtures import until
from notifier import live, reading

PEOPLE = 8
TABS = 2
EVENTS = 200


async def follow(world: World, me: UUID, replicas: list[httpx.AsyncClient], chance: random.Random, seen: list) -> None:
    """A client that is cut off again and again and names the last number that it saw."""
    while True:
        last = seen[-1] if seen else 0
        with suppress(ConnectionClosed):
            async with world.socket(me, last=last, at=chance.choice(replicas)) as socket:
                cut_after = chance.expovariate(1 / 5)
                with suppress(TimeoutError):
                    async with asyncio.timeout(chance.uniform(0.01, 0.5)):
                        for _ in range(int(cut_after) + 1):
                            seen += await socket.numbers(1)
                if chance.random() < 0.5:
                    socket.raw.transport.abort()


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_cut_and_resumed_each_client_ends_with_its_inbox(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 7)
    monkeypatch.setattr(live, "BATCH", 7)
    chance = random.Random(seed)
    people = [uuid4() for _ in range(PEOPLE)]
    seen: dict[tuple[UUID, int], list[int]] = {(me, tab): [] for me in people for tab in range(TABS)}
    async with world.replica() as second, world.hearing():
        replicas = [world.http, second.http]
        async with asyncio.TaskGroup() as group:
            clients = [
                group.create_task(follow(world, me, replicas, random.Random(chance.random()), numbers))
                for (me, _), numbers in seen.items()
            ]
            said = dict.fromkeys(people, 0)
            for _ in range(EVENTS):
                me = chance.choice(people)
                said[me] += 1
                await world.say("TODOS", completed(), to=me)
                if chance.random() < 0.1:
                    await asyncio.sleep(chance.uniform(0, 0.05))
            await world.heard()
            await until(lambda: all(len(got) >= said[me] for (me, _), got in seen.items()), within=60)
            for client in clients:
                client.cancel()
    for (me, _), got in seen.items():
        rows = await world.pool.fetch("select number from notification where user_id = $1 order by 1", me)
        assert got == [row["number"] for row in rows] == list(range(1, said[me] + 1))
