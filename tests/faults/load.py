"""People who work while things break. Their writes have keys, and are sent again until their outcome is known.

Half of them have an old client that knows no keys: it changes a to-do once, and what came of it unanswered stays open.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any, Final
from uuid import UUID

import httpx

from faults.journal import Journal
from faults.world import World, fresh_address

PATIENCE: Final = 60.0
"""Seconds after which a write whose outcome stays unknown is given up: nobody was told that it was made."""
_PAUSE: Final = (0.03, 0.25)
_UNKNOWN: Final = {409, 429, 502, 503, 504}
_LONG: Final = "긴 글 " * 1200


@dataclass(frozen=True)
class Ack:
    """What a person was told: this to-do is at this version by the event of this number."""

    todo: UUID
    version: int
    seq: int
    key: str


@dataclass
class Known:
    """A to-do as its person knows it."""

    title: str
    completed: bool = False
    deleted: bool = False
    version: int = 1


@dataclass
class Person:
    """Somebody signed in, what they were told, and what became of each try."""

    http: httpx.AsyncClient
    id: UUID
    journal: Journal
    dice: Random
    acks: list[Ack] = field(default_factory=list)
    todos: dict[UUID, Known] = field(default_factory=dict)
    given_up: int = 0
    unsure: set[UUID] = field(default_factory=set)
    keyless: bool = False
    wrong: list[str] = field(default_factory=list)

    async def work(self, stop: asyncio.Event, *, long: bool) -> None:
        """Write until told to stop, and then to the end of the write under way."""
        while not stop.is_set():
            await self.write(long=long)
            await asyncio.sleep(self.dice.uniform(*_PAUSE))

    async def write(self, *, long: bool = False) -> Ack | None:
        """One write, whatever it is, until its outcome is known; None where it was given up or refused."""
        method, path, body = self._choose(long=long)
        key = f"{self.dice.getrandbits(128):032x}"
        if self.keyless and method == "PATCH":
            return await self._write_once(method, path, body)
        answer = await self._settled(method, path, body, key)
        if answer is None:
            self.given_up += 1
            self.journal.note("given up", person=self.id, key=key, method=method, path=path)
            return None
        return self._keep(answer, key)

    async def _write_once(self, method: str, path: str, body: Any) -> Ack | None:
        """A write without a key; where its outcome is unknown its to-do is left alone from then on."""
        id_ = UUID(path.split("/")[2])
        try:
            answer = await self.http.request(method, path, json=body)
        except httpx.TransportError as error:
            self.journal.note("no answer", person=self.id, todo=id_, error=type(error).__name__)
        else:
            if answer.status_code not in _UNKNOWN:
                return self._keep(answer, "")
            self.journal.note("unknown", person=self.id, todo=id_, status=answer.status_code)
        self.unsure.add(id_)
        del self.todos[id_]
        return None

    def _choose(self, *, long: bool) -> tuple[str, str, dict[str, Any] | None]:
        living = [id_ for id_, known in self.todos.items() if not known.deleted]
        roll = self.dice.random()
        if not living or roll < 0.4:
            return "POST", "/todos/", self._new(long=long)
        id_ = self.dice.choice(living)
        if roll < 0.7:
            return "PATCH", f"/todos/{id_}/toggle", None
        if roll < 0.9:
            return "PATCH", f"/todos/{id_}", {"title": f"말 {self.dice.getrandbits(64):x}"}
        return "DELETE", f"/todos/{id_}", None

    def _new(self, *, long: bool) -> dict[str, Any]:
        title = {"title": f"일 {self.dice.getrandbits(64):x}", "priority": self.dice.randint(1, 5)}
        return title | {"description": _LONG} if long else title

    async def _settled(self, method: str, path: str, body: Any, key: str) -> httpx.Response | None:
        """The answer that says what became of a write, or None after a long time."""
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            try:
                answer = await self.http.request(method, path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError as error:
                self.journal.note("no answer", person=self.id, key=key, error=type(error).__name__)
            else:
                if answer.status_code not in _UNKNOWN:
                    return answer
                self.journal.note("later", person=self.id, key=key, status=answer.status_code)
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))
        return None

    def _keep(self, answer: httpx.Response, key: str) -> Ack | None:
        if not answer.is_success:
            self.wrong.append(f"{answer.request.method} was answered {answer.status_code} {_code(answer)}")
            self.journal.note("refused", person=self.id, key=key, status=answer.status_code, code=_code(answer))
            return None
        told = answer.json()["data"]
        position = answer.headers["x-event-position"].removeprefix("TODOS:")
        ack = Ack(UUID(told["id"]), told["version"], int(position), key)
        self.acks.append(ack)
        self.journal.note("acknowledged", person=self.id, todo=ack.todo, version=ack.version, seq=ack.seq, key=key)
        is_gone = told.get("deleted_at") is not None
        self.todos[ack.todo] = Known(told["title"], told["completed"], is_gone, ack.version)
        return ack


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError):
        return ""


@asynccontextmanager
async def person(world: World, journal: Journal, dice: Random) -> AsyncIterator[Person]:
    """Somebody new, signed in."""
    async with httpx.AsyncClient(base_url=world.gateway, timeout=15) as http:
        address = fresh_address()
        challenge = await _asked(http, address)
        body = {"email": address, "challenge_id": challenge["challenge_id"], "otp_code": challenge["otp_code"]}
        session = (await http.post("/users/verify-otp", json=body)).raise_for_status().json()["data"]
        http.headers["authorization"] = f"Bearer {session['access_token']}"
        yield Person(http, UUID(session["user"]["id"]), journal, dice)


async def _asked(http: httpx.AsyncClient, address: str) -> dict[str, Any]:
    answer = await http.post("/users/request-otp", json={"email": address})
    told: dict[str, Any] = answer.raise_for_status().json()["data"]
    return told


class Load:
    """People at work, and visitors who ask for codes, which are letters."""

    def __init__(self, world: World, journal: Journal, dice: Random, people: list[Person], *, long: bool) -> None:
        self.people = people
        self.codes: list[UUID] = []
        self._world = world
        self._journal = journal
        self._dice = dice
        self._long = long
        self._stop = asyncio.Event()

    @property
    def acknowledged(self) -> int:
        """How many writes people were told to be made."""
        return sum(len(each.acks) for each in self.people)

    async def run(self) -> None:
        """Work until `stop`; every write under way is brought to its end."""
        async with asyncio.TaskGroup() as group:
            for each in self.people:
                group.create_task(each.work(self._stop, long=self._long))
            group.create_task(self._visit())

    def stop(self) -> None:
        """No new write begins."""
        self._stop.set()

    async def _visit(self) -> None:
        async with httpx.AsyncClient(base_url=self._world.gateway, timeout=15) as http:
            while not self._stop.is_set():
                try:
                    challenge = await _asked(http, fresh_address())
                    self.codes.append(UUID(challenge["challenge_id"]))
                except httpx.HTTPError as error:
                    self._journal.note("no code", error=type(error).__name__)
                await asyncio.sleep(self._dice.uniform(0.1, 0.4))


@asynccontextmanager
async def at_work(world: World, journal: Journal, dice: Random, *, long: bool, count: int = 4) -> AsyncIterator[Load]:
    """People at work while the body runs, and until each knows what became of their last write."""
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(person(world, journal, Random(dice.getrandbits(64)))) for _ in range(count)
        ]
        for each in people[: count // 2]:
            each.keyless = True
        load = Load(world, journal, dice, people, long=long)
        task = asyncio.create_task(load.run())
        try:
            yield load
        finally:
            load.stop()
            await task
