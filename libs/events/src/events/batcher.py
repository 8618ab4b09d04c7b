"""Questions that come while one is under way are asked together: one statement instead of many. See docs/adr/0028."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from events.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 128
_LEAVING: Final = "the process is leaving; try again"

Ask: TypeAlias = Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""Asks several questions at once; gives one answer each, in their order: perhaps an exception, for that one alone."""


def _nothing(_: object) -> Iterable[Hashable]:
    return ()


class Batcher(Generic[T, R]):
    """Asks what waits, oldest first, once the questions before it are answered; `run` must run.

    No two questions with a common element in `apart` are asked together: the later one waits for the next turn.
    """

    def __init__(self, ask: Ask[T, R], *, apart: Callable[[T], Iterable[Hashable]] = _nothing) -> None:
        self._ask = ask
        self._apart = apart
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._wake = asyncio.Event()

    async def __call__(self, question: T) -> R:
        """The answer; raises one that is an exception, what asking raises (all asked together do), `Unavailable`."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Ask until cancelled."""
        asked: Sequence[tuple[T, asyncio.Future[R]]] = ()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while asked := self._next():
                    await self._answer(asked)
        finally:
            _fail((*asked, *self._waiting), Unavailable(_LEAVING, retry_after=1))

    def _next(self) -> Sequence[tuple[T, asyncio.Future[R]]]:
        """What can be asked together now; nobody waits any more for what is left out for good."""
        together: list[tuple[T, asyncio.Future[R]]] = []
        later: list[tuple[T, asyncio.Future[R]]] = []
        held: set[Hashable] = set()
        while self._waiting and len(together) < MOST:
            question, answer = self._waiting.popleft()
            if answer.done():
                continue
            elements = set(self._apart(question))
            (later if held & elements else together).append((question, answer))
            held |= elements
        self._waiting.extendleft(reversed(later))
        return together

    async def _answer(self, asked: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._ask([question for question, _ in asked])
        except Exception as error:  # noqa: BLE001 - it is for those who asked
            _fail(asked, error)
            return
        for (_, answer), found in zip(asked, answers, strict=True):
            if answer.done():
                continue
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)


def _fail(asked: Iterable[tuple[object, asyncio.Future[R]]], error: Exception) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)
