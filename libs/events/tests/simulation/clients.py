"""Whoever writes: people's requests, each of which is tried until it is answered, under ids or a key that stay."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from feeding import CODEC, created, toggled

from events.command import Command, Context, Key, NewEvent
from events.errors import NotNow, Refused, Unavailable, VersionConflict
from events.log import Appended
from simulation.loop import Loop
from simulation.parts import Part
from simulation.tables import Store

FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Wish:
    """What somebody wants done once. `tried`: the commands that were sent for it; `answer` once it is done."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tried: list[Command] = []
        self.refused: set[UUID] = set()
        self.answer: Appended | None = None


class Clients:
    """A few people with a few to-dos; `wishes` is all they ever wanted."""

    def __init__(self, loop: Loop, chance: Random, writers: list[Part], store: Store, *, people: int) -> None:
        self._loop = loop
        self._store = store
        self._chance = chance
        self._writers = writers
        self.people = [self._id() for _ in range(people)]
        self.wishes: list[Wish] = []
        self.on_answer: Callable[[Wish], None] = lambda _: None
        self._owners: dict[UUID, UUID] = {}

    def _id(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128))

    @property
    def are_answered(self) -> bool:
        return all(wish.answer is not None for wish in self.wishes)

    async def run(self, wishes: int, pause: float) -> None:
        """One person at a screen."""
        for _ in range(wishes):
            await asyncio.sleep(self._chance.random() * pause)
            wish = Wish(len(self.wishes))
            self.wishes.append(wish)
            await self._fulfil(wish)

    async def _fulfil(self, wish: Wish) -> None:
        """Try until it is answered: the same command again, or a new one under the same key."""
        keeps_ids = self._chance.random() < 0.5
        todo = self._choose()
        command = self._command(wish, todo)
        while wish.answer is None:
            wish.tried.append(command)
            try:
                wish.answer = await self._call(command)
            except VersionConflict:
                wish.refused.add(command.id)
                command = self._command(wish, todo)
            except (NotNow, ConnectionError) as error:
                if isinstance(error, Unavailable) and wish.tried.count(command) == 1:
                    wish.refused.add(command.id)
                if not keeps_ids or command.id in wish.refused:
                    command = self._command(wish, todo)
                await asyncio.sleep(0.05 + self._chance.random())
            else:
                self.on_answer(wish)

    def _choose(self) -> UUID:
        if self._owners and self._chance.random() < 0.6:
            return self._chance.choice(list(self._owners))
        todo = self._id()
        self._owners[todo] = self._chance.choice(self.people)
        return todo

    def _command(self, wish: Wish, todo: UUID) -> Command:
        log = self._store.tables["log"].values()
        version = max((row["version"] for row in log if row["aggregate"] == todo), default=0)
        happened: list[Any] = [toggled(todo) if version else created(todo)]
        if self._chance.random() < 0.3:
            happened.append(toggled(todo))
        person = self._owners[todo]
        ids = [self._id() for _ in happened]
        events = tuple(
            NewEvent(id_, todo, version + nr, CODEC.name_of(data), person, CODEC.encode(data))
            for nr, (id_, data) in enumerate(zip(ids, happened, strict=True), start=1)
        )
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._loop.now)
        context = Context(time=now, correlation_id="simulated", actor="somebody")
        key = Key(user_id=person, route="POST", key=str(wish.number), body_hash=b"h", answer=b"a", expires_at=FAR)
        return Command(id=ids[0], context=context, events=events, states=(), key=key)

    async def _call(self, command: Command) -> Appended:
        """A request to a process that may die meanwhile."""
        part = self._chance.choice(self._writers)
        if not part.is_up or part.heart is None:
            raise ConnectionRefusedError
        process = part.process
        assert process is not None
        answer = self._loop.create_future()
        process.ends.append(lambda: answer.done() or answer.set_exception(ConnectionResetError()))
        self._loop.spawn(process, _ask(part.heart, command, answer))
        result: Appended = await answer
        return result


async def _ask(log: Any, command: Command, answer: asyncio.Future[Appended]) -> None:
    try:
        result = await log.append(command)
    except (Refused, NotNow) as error:
        if not answer.done():
            answer.set_exception(error)
    else:
        if not answer.done():
            answer.set_result(result)
