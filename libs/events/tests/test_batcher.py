"""Questions that come while one is under way are asked together, and nobody waits for what does not come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from events.batcher import MOST, Batcher
from events.errors import Unavailable


class Oracle:
    """Answers with the square, when it is let; keeps what it was asked at a time."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await self.may.wait()
        if 13 in numbers:
            raise ConnectionRefusedError
        return [number**2 for number in numbers]


@asynccontextmanager
async def running(batcher: Batcher[int, int]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(batcher.run())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def asking(batcher: Batcher[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """Questions that wait when this returns."""
    tasks = [asyncio.create_task(batcher(number)) for number in numbers]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_is_asked_is_asked_together() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle)):
        oracle.may.clear()
        first = await asking(batcher, 1)
        others = await asking(batcher, 2, 3, 4)
        oracle.may.set()
        assert await asyncio.gather(*first, *others) == [1, 4, 9, 16]
    assert oracle.asked == [[1], [2, 3, 4]]


async def test_questions_that_must_stay_apart_are_asked_in_turn() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle, apart=lambda number: [number % 10])):
        assert await asyncio.gather(*await asking(batcher, 1, 11, 2, 21, 12)) == [1, 121, 4, 441, 144]
    assert oracle.asked == [[1, 2], [11, 12], [21]]


async def test_no_more_are_asked_together_than_fit() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle)):
        await asyncio.gather(*await asking(batcher, *range(100, 101 + MOST)))
    assert [len(asked) for asked in oracle.asked] == [MOST, 1]


async def test_a_failure_is_told_to_all_that_were_asked_together_and_to_nobody_else() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle)):
        failed = await asyncio.gather(*await asking(batcher, 1, 13), return_exceptions=True)
        assert [type(each) for each in failed] == [ConnectionRefusedError] * 2
        assert await batcher(5) == 25


async def test_who_left_is_not_asked_for_and_harms_nobody() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle)):
        oracle.may.clear()
        asked, waiting = await asking(batcher, 1, 2), await asking(batcher, 3, 4)
        for leaving in (asked[0], waiting[0]):
            leaving.cancel()
        await asking(batcher)
        oracle.may.set()
        assert await asyncio.gather(asked[1], waiting[1]) == [4, 16]
    assert oracle.asked == [[1, 2], [4]]


async def test_when_it_ends_nobody_waits_any_more() -> None:
    oracle = Oracle()
    async with running(batcher := Batcher(oracle)) as task:
        oracle.may.clear()
        tasks = [*await asking(batcher, 1), *await asking(batcher, 2)]
        task.cancel()
        for each in tasks:
            with pytest.raises(Unavailable):
                await each
