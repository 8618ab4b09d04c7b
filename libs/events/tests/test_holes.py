"""A consumer over holes: lawful exactly where the stream lists the number as deleted."""

import pytest
from feeding import client, connection, is_at, make_stream, running
from prometheus_client import REGISTRY
from test_consumer import Plant, exactly_once, heard, plant, state_of

from local.fixtures import Database, until

__all__ = ["plant"]
SCATTERED = (3, 4, 6, 8, 10)


async def checkpoint(todos: Database) -> tuple[int, bool]:
    """Where the consumer is, and whether it knows the id there."""
    async with connection(todos.admin_url) as conn:
        row = await conn.fetchrow("select seq, event_id is not null from events.checkpoint")
    return tuple(row) if row else (0, False)


async def reaches(plant: Plant, seq: int, *, within: float = 10) -> None:
    async def there() -> bool:
        return (await checkpoint(plant.todos))[0] == seq

    await until(there, within=within)


async def published(plant: Plant, count: int) -> None:
    await plant.append(count)
    await until(lambda: is_at(plant.server, count))


async def delete(plant: Plant, *seqs: int) -> None:
    async with client(plant.server) as nc:
        for seq in seqs:
            await nc.jsm().delete_msg("TODOS", seq)


async def numbers(plant: Plant) -> list[int]:
    return [seq for seq, _ in await heard(plant.todos)]


async def test_a_hole_that_the_stream_lists_as_deleted_is_lawful_and_costs_no_reopening(plant: Plant) -> None:
    async with running(*plant.tasks):
        await published(plant, 10)
        await delete(plant, *SCATTERED)
        before = REGISTRY.get_sample_value("todo_consumer_reopened_total", REOPENED) or 0
        async with running(plant.consumer().run):
            await plant.append(2)
            await reaches(plant, 12)
        assert (REGISTRY.get_sample_value("todo_consumer_reopened_total", REOPENED) or 0) == before
    assert await numbers(plant) == [1, 2, 5, 7, 9, 11, 12]


REOPENED = {"consumer": "activity", "feed": "TODOS", "why": "PullBroken"}


async def test_a_front_that_was_deleted_is_lawful(plant: Plant) -> None:
    async with running(*plant.tasks):
        await published(plant, 5)
        await delete(plant, 1, 2)
        async with running(plant.consumer().run):
            await reaches(plant, 5)
    assert await numbers(plant) == [3, 4, 5]


@pytest.mark.parametrize("again", [False, True], ids=["at its first start", "at a later one"])
async def test_the_checkpoint_moves_over_a_deleted_end(plant: Plant, again: bool) -> None:
    """Somebody may wait for a position there; the lag would else never end."""
    async with running(*plant.tasks):
        await published(plant, 3)
        if again:
            async with running(plant.consumer().run):
                await reaches(plant, 3)
        await plant.append(2)
        await until(lambda: is_at(plant.server, 5))
        await delete(plant, 4, 5)
        async with running((consumer := plant.consumer()).run):
            await reaches(plant, 5)
            assert await checkpoint(plant.todos) == (5, False)
            await plant.append(1)
            await reaches(plant, 6)
            assert await checkpoint(plant.todos) == (6, True)
            await until(lambda: state_of(consumer)[0] == "ok")
    assert await numbers(plant) == [1, 2, 3, 6]


@pytest.mark.parametrize("gone", [(5,), (1, 2, 3, 4, 5)], ids=["alone", "with all before it"])
async def test_a_checkpoint_whose_message_was_deleted_is_no_other_history(plant: Plant, gone: tuple[int, ...]) -> None:
    async with running(*plant.tasks):
        await published(plant, 5)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 5)
        await delete(plant, *gone)
        async with running(plant.consumer().run):
            await plant.append(2)
            await exactly_once(plant.todos, 7)


async def test_a_stream_rebuilt_with_erased_events_is_the_same_history(plant: Plant) -> None:
    async with running(*plant.tasks):
        await published(plant, 5)
        async with running(plant.consumer().run):
            await exactly_once(plant.todos, 5)
    async with connection(plant.todos.admin_url) as admin:
        await admin.execute("update events.log set type = 'core.Erased.v1', data = '{}', sha256 = '' where seq > 3")
    async with client(plant.server) as nc:
        await nc.jetstream().delete_stream("TODOS")
    await make_stream(plant.server)
    again = Plant(plant.todos, plant.server)
    async with running(*again.tasks, again.consumer().run):
        await again.append(2)
        await exactly_once(plant.todos, 7)


async def test_a_hole_that_the_stream_does_not_list_is_refused(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a store with a lost block would be: the number is not there, and nobody deleted it."""
    import events.holes
    from events.streams import Presence

    async def silent(_js: object, _stream: str) -> Presence:
        return Presence(first_seq=1, last_seq=10, deleted=frozenset({3}))

    consumer = plant.consumer()
    async with running(*plant.tasks):
        await published(plant, 10)
        await delete(plant, 3, 4)
        monkeypatch.setattr(events.holes, "state_with_deleted", silent)
        async with running(consumer.run):
            await until(lambda: state_of(consumer)[0] == "failed")
            assert "has no 3 and does not list it" in state_of(consumer)[1]
    assert await numbers(plant) == [1, 2]
